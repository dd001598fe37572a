"""sweep=NAME: Optuna proposes, Hydra runs, and the best validation metric of each run is what Optuna is told."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from rectrain.config import PruneConfig, SearchConfig
from rectrain.errors import InputError
from rectrain.search.pruning import Pruner
from rectrain.search.space import Numbers, parse_space, word
from rectrain.search.study import Search

optuna = pytest.importorskip("optuna")

RATES = {
    "rate": {"low": 1e-4, "high": 1.0, "log": True},
    "depth": {"low": 1, "high": 9},
    "kind": {"choices": ["a", [2]]},
}


def search(folder, trials=30, *, sampler="tpe", seed=0, resume=False, prune=None, maximize=True, at_once=1):
    config = SearchConfig(sampler, seed, trials, at_once, 1, prune, RATES)
    fixed = {"sweep": {"space": RATES, "seed": seed, "prune": None if prune is None else vars(prune)}}
    return Search(config, parse_space(RATES), folder, maximize=maximize, fixed=fixed, resume=resume)


def planted(values):
    """Its greatest value, 0, is at rate .01, depth 7, kind a."""
    return -((np.log10(values["rate"]) + 2) ** 2) - (values["depth"] - 7) ** 2 / 9 - (values["kind"] != "a")


def run_to_end(found, objective=planted):
    told = []
    while trials := found.ask():
        for trial in trials:
            value = objective(trial.values)
            found.tell(trial, "complete", value)
            told.append((trial.slot, trial.values, value))
    return told


# The space


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"low": 1, "hihg": 2}, "sweep.space.a.b.hihg: no such key. Did you mean 'high'?"),
        ({"low": 1}, "sweep.space.a.b.high: missing"),
        ({"low": 2, "high": 1}, "sweep.space.a.b: low=2 is above high=1"),
        ({"low": 0.0, "high": 1.0, "log": True}, "sweep.space.a.b.low=0.0: with log: true it must be above 0"),
        ({"low": 1, "high": 2, "log": 1}, "sweep.space.a.b.log=1: expected true or false"),
        ({"low": "x", "high": 2}, "sweep.space.a.b.low='x': expected a number"),
        ({"low": 1, "high": float("inf")}, "sweep.space.a.b.high=inf: expected a number"),
        ({"low": True, "high": 2}, "sweep.space.a.b.low=True: expected a number"),
        ({"low": 1, "high": 4, "step": 2}, "sweep.space.a.b.step=2: expected a step that leads from 1 to 4"),
        ({"low": 1, "high": 4, "step": 0}, "sweep.space.a.b.step=0: expected a step"),
        ({"low": 1, "high": 2, "step": 0.5}, "sweep.space.a.b.step=0.5: expected a step"),
        ({"low": 1, "high": 4, "step": 1, "log": True}, "step and log: true do not go together"),
        ({"choices": []}, "sweep.space.a.b.choices=[]: expected a list of values"),
        ({"choices": [1, 1]}, "a value is there twice"),
        ({"choices": [{"x": 1}]}, "expected a list of values"),
        ({"choices": [1], "low": 1}, "sweep.space.a.b.low: no such key"),
    ],
)
def test_what_is_no_range_is_named(entry, message):
    with pytest.raises(InputError, match=re.escape(message)):
        parse_space({"a.b": entry})


@pytest.mark.parametrize("key", ["seed", "resume", "trainer.monitor", "hydra.sweep.dir", "sweep.trials"])
def test_some_keys_are_not_searched(key):
    with pytest.raises(InputError, match=f"sweep.space.{key}: no key to search"):
        parse_space({key: {"choices": [1, 2]}})


def test_bounds_that_are_whole_stay_whole():
    found = parse_space(
        {"a": {"low": 1, "high": 3}, "b": {"low": 1, "high": 2.5}, "c": {"low": 0, "high": 1.0, "step": 0.25}}
    )
    assert found == {
        "a": Numbers(1, 3, False, None),
        "b": Numbers(1.0, 2.5, False, None),
        "c": Numbers(0.0, 1.0, False, 0.25),
    }
    assert [knob.whole for knob in found.values()] == [True, False, False]


def test_words_are_read_back_as_the_values_they_were():
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parser = OverridesParser.create()
    for value in [1e-05, 3, True, None, "a b, c", "true", [64, 32], [], ["x"], 0.1234567890123456]:
        assert parser.parse_override(word("a.b", value, is_group=False)).value() == value
    assert word("model", "fm", is_group=True) == "model=fm"


# The study


def test_tpe_learns_where_the_planted_optimum_lies_and_random_does_not(tmp_path):
    """The optimum is worth 0. TPE's first 10 trials are random."""
    values = {
        sampler: [value for *_, value in run_to_end(search(tmp_path / sampler, 30, sampler=sampler, seed=4))]
        for sampler in ("tpe", "random")
    }
    assert values["tpe"][:10] == values["random"][:10]
    assert np.mean(values["tpe"][10:]) > np.mean(values["random"][10:]) / 2
    assert max(values["tpe"]) > -0.1


def test_direction_follows_the_metric(tmp_path):
    down = search(tmp_path / "down", 25, maximize=False)
    run_to_end(down, lambda values: -planted(values))
    results = down.results()
    assert [r["value"] for r in results] == sorted(r["value"] for r in results)
    assert results[0]["value"] < 0.5
    up = search(tmp_path / "up", 5)
    run_to_end(up)
    assert [r["value"] for r in up.results()] == sorted((r["value"] for r in up.results()), reverse=True)


@pytest.mark.parametrize("sampler", ["tpe", "random"])
@pytest.mark.parametrize("dies", ["asked", "asked_half", "failed"])
def test_a_search_that_goes_on_ends_as_one_that_never_stopped(tmp_path, sampler, dies):
    """Killed once after every trial, it draws what it would have drawn, and comes to the same total."""
    whole = run_to_end(search(tmp_path / "whole", 12, sampler=sampler))
    told = []
    for number in range(12):
        found = search(tmp_path / "cut", number + 1, sampler=sampler, resume=True)
        assert found.config.trials == number + 1
        (trial,) = found.ask()
        if dies == "failed":
            found.tell(trial, "fail")
        elif dies == "asked_half":
            found._ask()  # one more of a batch that was not told
        found = search(tmp_path / "cut", number + 1, sampler=sampler, resume=True)
        again = found.ask()
        assert (again[0].slot, again[0].values) == (trial.slot, trial.values)
        found.tell(again[0], "complete", planted(trial.values))
        told.append((trial.slot, trial.values, planted(trial.values)))
        if dies == "asked_half":
            break  # its second trial was drawn without knowing the first
        assert not found.ask()
    assert told == whole[: len(told)]
    assert [r["state"] for r in found.results()][:1] == ["complete"]


def test_the_total_is_a_total_and_pruned_trials_count(tmp_path):
    found = search(tmp_path / "s", 3)
    for state in ("complete", "pruned", "fail"):
        (trial,) = found.ask()
        found.tell(trial, state, 1.0 if state == "complete" else None)
    assert not found.ask()
    again = search(tmp_path / "s", 3, resume=True)
    (trial,) = again.ask()  # the failed one is tried again
    assert trial.slot == 2
    again.tell(trial, "fail")
    assert not again.ask()
    more = search(tmp_path / "s", 5, resume=True)
    slots = []
    while trials := more.ask():
        slots.append(trials[0].slot)
        more.tell(trials[0], "complete", 0.0)
    assert slots == [2, 3, 4]


def test_several_at_once_and_a_batch_is_cut_at_the_total(tmp_path):
    found = search(tmp_path / "s", 5, at_once=3)
    sizes = []
    while trials := found.ask():
        sizes.append([trial.slot for trial in trials])
        for trial in trials:
            found.tell(trial, "complete", planted(trial.values))
    assert sizes == [[0, 1, 2], [3, 4]]


def test_a_folder_that_holds_a_search_is_gone_on_with_by_resume_alone_and_as_it_was(tmp_path):
    search(tmp_path / "s", 2)
    with pytest.raises(InputError, match=r"holds a search already.*resume=true"):
        search(tmp_path / "s", 2)
    with pytest.raises(InputError, match=r"sweep.seed=1: .* was learned with sweep.seed=0"):
        search(tmp_path / "s", 2, seed=1, resume=True)
    search(tmp_path / "s", 9, resume=True)


# Pruning


def test_the_worse_half_is_pruned_after_the_warm_up_and_not_before(tmp_path):
    prune = PruneConfig(startup_trials=3, warmup_evaluations=1)
    found = search(tmp_path / "s", 9, prune=prune)
    ended = []
    for height in [0.5, 0.6, 0.7, 0.55, 0.65, 0.1]:
        (trial,) = found.ask()
        folder = tmp_path / "s" / str(trial.slot)
        folder.mkdir()
        told = {"trial": trial.slot, "number": trial.optuna.number, "values": {}, "prunes": True}
        (folder / "trial.json").write_text(json.dumps(told), encoding="utf-8")
        pruner = Pruner.of(folder)
        reasons = [pruner({"monitored": height + 0.01 * n}) for n in range(3)]
        ended.append([reason is not None for reason in reasons].index(True) + 1 if any(reasons) else None)
        found.tell(trial, "pruned" if any(reasons) else "complete", None if any(reasons) else height)
    assert ended == [None, None, None, 2, None, 2]  # medians of .51, .61, .71 and, later, .66 at evaluation 2
    assert "at evaluation 2" in next(filter(None, reasons))
    assert Pruner.of(folder) is None  # its trial has ended


def test_a_run_that_goes_on_is_pruned_as_it_would_have_been(tmp_path):
    found = search(tmp_path / "s", 3, prune=PruneConfig(0, 0))
    (first,) = found.ask()
    first.note([{"monitored": 0.7}, {"monitored": 0.8}])
    found.tell(first, "complete", 0.8)
    (second,) = found.ask()
    folder = tmp_path / "s/1"
    folder.mkdir()
    (folder / "trial.json").write_text(json.dumps({"number": second.optuna.number, "prunes": True}), encoding="utf-8")
    assert Pruner.of(folder).go_on([]) is None
    assert Pruner.of(folder).go_on([{"monitored": 0.71}]) is None
    assert Pruner.of(folder).go_on([{"monitored": 0.71}, {"monitored": 0.75}]).startswith("pruned: at evaluation 2")
    (folder / "trial.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match=r"trial\.json"):
        Pruner.of(folder)


# The command line

BETA = "  optimizer.beta1: {low: 0.1, high: 0.9}\n"
SMALL = (
    "model=lr", "data.sample.rows=2000", "trainer.batch_size=128", "trainer.epochs=2", "trainer.report_splits=[valid]",
)  # fmt: skip


@pytest.fixture
def space(tmp_path):
    """Writes conf/sweep/mine.yaml; gives the words that choose it."""

    def write(text: str, **settings) -> tuple[str, ...]:
        path = tmp_path / "conf/sweep/mine.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = "".join(f"{key}: {value}\n" for key, value in settings.items())
        path.write_text(f"defaults: [search, _self_]\n{lines}space:\n{text}", encoding="utf-8")
        return ("-m", "--config-dir", str(tmp_path / "conf"), "sweep=mine", f"hydra.sweep.dir={tmp_path / 's'}")

    return write


def reports(folder):
    found = sorted(folder.glob("*/report.json"), key=lambda path: int(path.parent.name))
    return {path.parent.name: json.loads(path.read_text(encoding="utf-8")) for path in found}


def summary(folder):
    return json.loads((folder / "search.json").read_text(encoding="utf-8"))["trials"]


def test_a_search_runs_reports_and_goes_on_to_a_greater_total(rectrain, space, tmp_path):
    words = space("  optimizer.learning_rate: {low: 0.001, high: 0.1, log: true}\n", trials=2, prune="null")
    code, out, err = rectrain(*words, *SMALL)
    assert code == 0, err
    assert "best of 2: trial" in out
    assert (tmp_path / "s/leaderboard.csv").is_file()
    found = reports(tmp_path / "s")
    assert list(found) == ["0", "1"]
    rates = [r["config"]["optimizer"]["learning_rate"] for r in found.values()]
    assert len(set(rates)) == 2
    assert all("sweep" not in r["config"] for r in found.values())  # each is the same run alone
    by_trial = {trial["trial"]: trial for trial in summary(tmp_path / "s")}
    for number, report in found.items():
        assert by_trial[int(number)]["value"] == report["best"]["value"]
        assert by_trial[int(number)]["runs"] == [int(number)]
        assert by_trial[int(number)]["values"] == {"optimizer.learning_rate": rates[int(number)]}
    code, _, err = rectrain(*words, *SMALL)
    assert code == 2
    assert "holds a search already" in err
    before = (tmp_path / "s/0/report.json").read_bytes()
    code, out, err = rectrain(*words, *SMALL, "sweep.trials=3", "resume=true")
    assert code == 0, err
    assert list(reports(tmp_path / "s")) == ["0", "1", "2"]
    assert (tmp_path / "s/0/report.json").read_bytes() == before


def test_a_trial_that_fails_is_recorded_and_the_search_goes_on(rectrain, space, tmp_path):
    """At the greater rate the loss is no number after a step."""
    words = space("  optimizer.learning_rate: {choices: [0.01, 3.0e+38]}\n", trials=3)
    code, out, err = rectrain(*words, *SMALL, "optimizer=sgd")
    assert code == 2, out + err
    found = reports(tmp_path / "s")
    assert [r["status"] for r in found.values()].count("failed") >= 1
    assert len(found) == 3
    states = {trial["trial"]: trial["state"] for trial in summary(tmp_path / "s")}
    for number, report in found.items():
        assert states[int(number)] == {"failed": "fail", "done": "complete", "stopped": "pruned"}[report["status"]]


def test_several_seeds_count_by_their_mean_and_pruned_trials_stop(rectrain, space, tmp_path):
    words = space(
        "  optimizer.learning_rate: {choices: [0.05, 1.0e-7]}\n", trials=5, seeds=2,
        prune="{startup_trials: 1, warmup_evaluations: 0}", sampler="random", seed=1,
    )  # fmt: skip
    code, _, err = rectrain(*words, *SMALL, "optimizer.l2_embedding=0", "seed=5")
    assert code == 0, err
    found, trials = reports(tmp_path / "s"), summary(tmp_path / "s")
    pruned = [trial for trial in trials if trial["state"] == "pruned"]
    complete = [trial for trial in trials if trial["state"] == "complete"]
    assert pruned
    assert complete
    for trial in complete:
        of_seeds = [found[str(number)] for number in trial["runs"]]
        assert [r["seed"] for r in of_seeds] == [5, 6]
        assert trial["value"] == pytest.approx(np.mean([r["best"]["value"] for r in of_seeds]), abs=0)
    for trial in pruned:
        assert len(trial["runs"]) == 1  # the other seed is spared
        report = found[str(trial["runs"][0])]
        assert report["status"] == "stopped"
        assert report["stopped_because"].startswith("pruned: at evaluation 1")
        assert report["metrics"] == {}
    assert all(number == trial["trial"] * 2 + i for trial in trials for i, number in enumerate(trial["runs"]))


@pytest.mark.parametrize(
    ("text", "more", "message"),
    [
        ("  optimizer.learning_rat: {low: 0.1, high: 1.0}\n", (), "sweep.space.optimizer.learning_rat: optimizer."),
        ("  modle: {choices: [fm, lr]}\n", (), "sweep.space.modle: modle: no such key"),
        ("  trainer.batch_size: {low: 0, high: 9}\n", (), "trainer.batch_size: trainer.batch_size=0: expected int"),
        ("  optimizer: {choices: [adam, admagrad]}\n", (), "sweep.space.optimizer: optimizer=admagrad: there is no"),
        ("  seed: {choices: [1, 2]}\n", (), "sweep.space.seed: no key to search"),
        ("  model: {choices: [fm, lr]}\n", ("model=fm",), "model=fm: sweep.space searches model"),
        (BETA, ("trainer.epochs=1,2",), "trainer.epochs=1,2: sweep=NAME chooses"),
        (BETA, ("sweep.trails=3",), "sweep.trails: no such key. Did you mean 'trials'?"),
        (BETA, ("sweep.sampler=grid",), "sweep.sampler=grid: expected one of tpe, random"),
        (BETA, ("trainer.monitor=pcoc",), "trainer.monitor=pcoc: a search needs"),
        (BETA, ("data.split.valid=0", "data.split.train=0.9"), "a search needs a validation split"),
        (BETA, ("strategy=multi_worker",), "strategy=multi_worker is of several processes"),
        ("  strategy: {choices: [auto, parameter_server]}\n", (), "strategy=parameter_server is of several processes"),
    ],
)  # fmt: skip
def test_a_wrong_search_is_one_message_and_leaves_nothing(rectrain, space, tmp_path, text, more, message):
    code, out, err = rectrain(*space(text), *more)
    assert code == 2, out + err
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "s").exists()


def test_a_search_without_m_says_so(rectrain, space):
    words = space(BETA)
    code, _, err = rectrain(*words[1:])
    assert code == 2
    assert "add -m" in err


def test_without_optuna_the_message_says_what_to_install(rectrain, space, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "optuna", None)
    code, _, err = rectrain(*space(BETA))
    assert code == 2
    assert err == "rectrain: sweep=... needs Optuna: pip install 'rectrain[optuna]'.\n"
    assert not (tmp_path / "s").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "launcher", [(), ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "sweep.trials_at_once=2")]
)
def test_killed_again_and_again_it_comes_to_the_total_and_the_same_values(space, tmp_path, launcher):
    """kill -9 to the whole group, in trials and between them."""
    if launcher:
        pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    words = space(
        "  optimizer.learning_rate: {low: 0.001, high: 0.1, log: true}\n",
        trials=5,
        prune="{startup_trials: 2, warmup_evaluations: 0}",
    )
    words = [*words[:-1], *SMALL, *launcher, "trainer.save_every_s=0", "trainer.steps_per_call=2", "resume=true"]
    command = [sys.executable, "-c", "from rectrain.cli import main; main()", *words]
    environment = {**os.environ, "TF_NUM_INTRAOP_THREADS": "1"}

    def start(folder):
        with (tmp_path / "said.txt").open("a") as said:
            return subprocess.Popen(
                [*command, f"hydra.sweep.dir={tmp_path / folder}"],
                cwd=tmp_path, env=environment, stdout=said, stderr=said, start_new_session=True,
            )  # fmt: skip

    assert start("whole").wait(600) == 0, (tmp_path / "said.txt").read_text()
    for seconds in (6, 9, 14, 17):
        process = start("cut")
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert start("cut").wait(600) == 0, (tmp_path / "said.txt").read_text()
    whole, cut = summary(tmp_path / "whole"), summary(tmp_path / "cut")
    assert len(whole) == 5
    assert cut == whole
    hashes = [{n: r["weights_sha256"] for n, r in reports(tmp_path / folder).items()} for folder in ("whole", "cut")]
    assert hashes[0] == hashes[1]
