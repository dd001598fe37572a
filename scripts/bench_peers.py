"""Our training steps beside those of Keras, FuxiCTR and TorchRec: ratios of runs that took turns on one machine.

    python scripts/bench_peers.py [--scratch build/peers] [--rounds 3] [--steps N] [--only TEXT ...]

SCRATCH holds venvs/ (scripts/peers/install.sh), data/ (made at the first call, 0.5 GB) and results.json. Times of one
program differ by 10 to 50 % from one quarter of an hour to the next, so only ratios within a round count: the first
table gives their median over rounds with the smallest and the largest. Each run is a process of its own that trains
DCN-V2 (3 full crosses beside an MLP of 3 x 400) or DeepFM on batches of 4,096 rows of 26 categories and 13 numbers,
width 16; "keras 429" reads the numbers as they are, "keras 624" makes a vector of each. Ours are 429 and 624 wide.
DIN reads 6 categories and a history of 50 (item, category), attention [64] with Dice, MLP 128-64.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from peers.ratios import OURS, RATIOS, Results, Run, in_turns, ratio_table, run_table, runs_of

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / "scripts/peers"
RECTRAIN = Path(sys.executable).parent / "rectrain"
MILLIONS = {"1M": 1, "16M": 16}  # of table rows; make_data.py's --scale
OUR_STEPS = 100
PEER_STEPS = {"1M": 60, "16M": 25}
DIN_STEPS = 25
DIN = ["bench.categorical=6", "bench.numeric=0", "bench.history_length=50", "model.embedding_dim=16"]
DIN += ["model.attention_units=[64]", "model.attention_activation=dice", "model.hidden_units=[128,64]"]
# The same as FuxiCTR does: an id for every value, numbers scaled to [0, 1], vocabularies of (nearly) all rows.
PREPARE = [
    "data=criteo",
    "data.features.categories.min_count=1",
    "data.features.numbers.transform=minmax",
    "data.features.numbers.min_count=null",
    "data.split={train: 0.98, valid: 0.01, test: 0.01}",
]


def main() -> int:
    arguments = parsed(sys.argv[1:])
    scratch = arguments.scratch.resolve()
    runs = runs_of(RATIOS, arguments.only)
    require_environments(scratch, runs)
    make_data(scratch / "data", runs)
    results = Results()
    for round_, run in in_turns(runs, arguments.rounds):
        print(f"round {round_ + 1}, {run}", file=sys.stderr, flush=True)
        try_run(results, round_, run, scratch, arguments.steps)
        (scratch / "results.json").write_text(json.dumps(results.rows(), indent=1), encoding="utf-8")
    print(f"{ratio_table(results, RATIOS)}\n\n{run_table(results)}")
    return int(len(results.rows()) < len(runs) * arguments.rounds)


def parsed(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scratch", type=Path, default=ROOT / "build/peers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, help="of every run; left out: 100 of ours, 60 (1M) and 25 (16M) of a peer")
    parser.add_argument("--only", nargs="+", default=[], metavar="TEXT", help="runs whose name holds it: 'deepfm 1M'")
    return parser.parse_args(argv)


def make_data(folder: Path, runs: list[Run]):
    if any(run.work == "din" for run in runs) and not (folder / "din/tables.json").exists():
        subprocess.run([sys.executable, PEERS / "make_history_data.py", folder / "din"], check=True)
    for scale in {MILLIONS[run.size] for run in runs if run.work != "din"}:
        if not (folder / f"x{scale}/tables.json").exists():
            subprocess.run([sys.executable, PEERS / "make_data.py", folder, "--scale", str(scale)], check=True)


def require_environments(scratch: Path, runs: list[Run]):
    pythons = [command(run, scratch, scratch, None)[0] for run in runs]
    missing = sorted({str(python) for python in pythons if not python.exists()})
    if missing:
        sys.exit(f"there is no {', '.join(missing)}. Run scripts/peers/install.sh {scratch}/venvs, or make bench.")


def try_run(results: Results, round_: int, run: Run, scratch: Path, steps: int | None):
    """A run that fails says so and is missing from the tables; the others go on."""
    try:
        results.add(round_, run, measured(run, scratch, steps))
    except subprocess.CalledProcessError as error:
        print(f"FAILED with exit code {error.returncode}:\n{error.output[-2000:]}", file=sys.stderr, flush=True)


def measured(run: Run, scratch: Path, steps: int | None) -> dict:
    """What a run found, with its `ms`: of one step, or of the whole command where it prepares.

    Raises:
        subprocess.CalledProcessError: the run failed; `output` is what it printed.
    """
    with tempfile.TemporaryDirectory() as folder:
        words = command(run, scratch, Path(folder), steps)
        started = time.perf_counter()
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True)
        ms = 1000 * (time.perf_counter() - started)
        if run.work == "prepare":
            return {"ms": ms, "rows_per_s": 1000 / ms * 1e6}
        found = benched(Path(folder), run) if run.side in OURS else reported(done.stdout)
    return {"ms": found["step_ms"], **found}


def command(run: Run, scratch: Path, folder: Path, steps: int | None) -> list:
    """The words of a run. It writes into `folder` alone."""
    peer, *width = run.side.split()
    raw, data = scratch / "data/raw", scratch / f"data/x{MILLIONS[run.size]}"
    match run.work, peer:
        case "prepare", "ours":
            return [RECTRAIN, "prepare", *PREPARE, f"data.files={raw}/train.tsv", f"data.prepared_dir={folder}"]
        case "prepare", _:
            return [scratch / f"venvs/{peer}/bin/python", PEERS / f"prepare_{peer}.py", raw / "train.csv"]
        case "din", "fuxictr":
            script = [scratch / "venvs/fuxictr/bin/python", PEERS / "run_fuxictr_din.py", scratch / "data/din"]
            return [*script, "--steps", str(steps or DIN_STEPS)]
        case _, "ours":
            return [RECTRAIN, "bench", *our_overrides(run, steps or OUR_STEPS), f"output={folder}/found.json"]
    script = [scratch / f"venvs/{peer}/bin/python", PEERS / f"run_{peer}.py", data]
    return [*script, "--model", run.work, "--width", *width, "--steps", str(steps or PEER_STEPS[run.size])]


def our_overrides(run: Run, steps: int) -> list[str]:
    model = [f"model={run.work}", "optimizer=lazy_adam"]
    size = [f"bench.vocabulary={MILLIONS[run.size]}000000", "bench.batch_size=4096", f"bench.steps={steps}"]
    return [*model, *size, f"bench.precision={OURS[run.side]}", *(DIN if run.work == "din" else [])]


def benched(folder: Path, run: Run) -> dict:
    found = json.loads((folder / "found.json").read_text(encoding="utf-8"))
    keys = ("step_ms", "rows_per_s", "peak_rss_bytes", "parameters")
    return {**{key: found[key] for key in keys}, "table_rows": MILLIONS[run.size] * 1_000_000}


def reported(output: str) -> dict:
    """What the last line RESULT {...} of a peer's script holds."""
    lines = [line for line in output.splitlines() if line.startswith("RESULT ")]
    return json.loads(lines[-1].removeprefix("RESULT "))


if __name__ == "__main__":
    sys.exit(main())
