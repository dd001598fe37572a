"""Command lines of the pages made small: few rows, steps and runs."""

from itertools import islice

from hydra.core.override_parser.overrides_parser import OverridesParser

ROWS = 1200
SAMPLED = {"criteo", "criteo_log", "movielens", "census_income", "ali_ccp"}  # data of the pages with a built-in sample
FEW = {
    "train": ["trainer.epochs=1"],
    "bench": ["bench.vocabulary=5000", "bench.steps=10", "bench.batch_size=256"],
}
INSTEAD = {
    "online.watch_s": 1,
    "sweep.trials": 3,
    "trainer.eval_every_steps": 3,
    "trainer.schedule.warmup_steps": 3,
}


def small(words):
    """The words behind `rectrain`, with few rows, steps and runs of a sweep; a later word counts."""
    if "--" in words:  # rectrain cluster -- a run
        place = words.index("--") + 1
        return [*words[:place], *small(words[place:])]
    command = words[0] if words and words[0].isalpha() else "train"
    if command not in ("train", "prepare", "online", "bench") or {"--cfg", "--shell-completion"} & {*words}:
        return words
    named = {word.partition("=")[0]: word.partition("=")[2] for word in words}
    more = [f"{key}={value}" for key, value in INSTEAD.items() if key in named]
    if "sweep" in named:
        more += [] if "sweep.trials" in named else ["sweep.trials=2"]
    elif command == "train" and "trainer.batch_size" not in named:
        more.append("trainer.batch_size=256")
    from_files = named.get("experiment", "").startswith("bars/")
    if command != "bench" and named.get("data", "criteo") in SAMPLED and not from_files:
        more.append(f"data.sample.rows={ROWS}")
    given = short_sweep(words) if "-m" in words else words
    return [*given, *FEW.get(command, []), *more]


def short_sweep(words):
    """Two values of the first key that is swept and of the seed, one of the others."""
    given, most = [], 2
    for word in words:
        parsed = OverridesParser.create().parse_override(word) if "=" in word else None
        if parsed and parsed.is_sweep_override():
            values = islice(parsed.sweep_string_iterator(), 2 if parsed.key_or_group == "seed" else most)
            word, most = f"{parsed.key_or_group}={','.join(values)}", 1
        given.append(word)
    return given
