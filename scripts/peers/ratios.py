"""What is compared with what, the aim of each comparison, and the tables of the results."""

import statistics
from collections.abc import Iterable, Iterator
from typing import NamedTuple

OURS = {"ours float32": "float32", "ours bfloat16": "bfloat16"}  # side -> bench.precision
VALUES_PER_ROW = {"dcn_v2": 16, "deepfm": 17, "din": 16}  # of a table row; DeepFM's has a linear weight too


class Run(NamedTuple):
    """One side doing one piece of work."""

    work: str  # dcn_v2 | deepfm | din: training steps; prepare: raw rows
    size: str  # rows of all tables together, or raw rows
    side: str

    def __str__(self):
        return " ".join(self)


class Ratio(NamedTuple):
    """Milliseconds of one run over those of another in the same round."""

    upper: Run
    lower: Run
    aim: str = ""  # ≥ or ≤
    bound: float | None = None

    def target(self, reached: float) -> str:
        if self.bound is None:
            return "–"
        missed = reached < self.bound if self.aim == "≥" else reached > self.bound
        return f"{self.aim} {self.bound:g} {'missed' if missed else 'met'}"


def speedups(work: str, size: str, peer: str, **bounds: float) -> list[Ratio]:
    """How many times as fast as a peer we are, in each precision; at least `bounds[precision]` times."""
    return [
        Ratio(Run(work, size, peer), Run(work, size, side), "≥", bounds.get(precision))
        for side, precision in OURS.items()
    ]


RATIOS = [
    *speedups("dcn_v2", "1M", "keras 429", float32=1.2, bfloat16=2.0),
    *speedups("dcn_v2", "1M", "fuxictr 624", bfloat16=3.5),
    *speedups("dcn_v2", "1M", "fuxictr 429", bfloat16=2.5),
    *speedups("dcn_v2", "1M", "torchrec 429", bfloat16=2.0),
    *speedups("dcn_v2", "16M", "keras 429", bfloat16=6.0),
    *speedups("dcn_v2", "16M", "fuxictr 624", bfloat16=15.0),
    *speedups("dcn_v2", "16M", "torchrec 429", bfloat16=2.0),
    *[Ratio(Run("dcn_v2", "16M", side), Run("dcn_v2", "1M", side), "≤", 1.15) for side in OURS],
    *speedups("deepfm", "1M", "keras 429", bfloat16=2.2),
    *speedups("deepfm", "1M", "keras 624"),
    *speedups("deepfm", "1M", "fuxictr 624", bfloat16=3.5),
    *speedups("din", "1M", "fuxictr", float32=2.5, bfloat16=2.5),
    Ratio(Run("prepare", "1M", "fuxictr"), Run("prepare", "1M", "ours")),
]


def runs_of(ratios: Iterable[Ratio], only: list[str]) -> list[Run]:
    """Each run once, side by side with those it is compared with; those whose name contains one of `only`."""
    runs = {run: None for ratio in ratios for run in (ratio.lower, ratio.upper)}
    return [run for run in runs if not only or any(part in str(run) for part in only)]


def in_turns(runs: list[Run], num_rounds: int) -> Iterator[tuple[int, Run]]:
    """Each run once a round; every other round backwards, so that a machine that warms up favours nobody."""
    for i in range(num_rounds):
        yield from ((i, run) for run in (runs if i % 2 == 0 else reversed(runs)))


class Results:
    """What each run found in each round: {"ms": ..., and what a script reports}."""

    def __init__(self):
        self.found: dict[Run, dict[int, dict]] = {}

    def add(self, round_: int, run: Run, found: dict):
        self.found.setdefault(run, {})[round_] = found

    def rows(self) -> list[dict]:
        """One flat dict a run and round, for JSON."""
        return [
            {**run._asdict(), "round": round_, **found}
            for run, rounds in self.found.items()
            for round_, found in rounds.items()
        ]

    def median(self, run: Run, key: str = "ms") -> float | None:
        values = [found[key] for found in self.found[run].values() if key in found]
        return statistics.median(values) if values else None

    def ratios(self, ratio: Ratio) -> list[float]:
        """Of the rounds in which both runs succeeded."""
        upper, lower = self.found.get(ratio.upper, {}), self.found.get(ratio.lower, {})
        return [upper[i]["ms"] / lower[i]["ms"] for i in sorted(upper.keys() & lower.keys())]


def ratio_table(results: Results, ratios: Iterable[Ratio]) -> str:
    rows = [_ratio_row(results, ratio) for ratio in ratios if results.ratios(ratio)]
    return _table(["time of", "ms", "over that of", "ms", "ratio [min, max]", "target"], rows)


def _ratio_row(results: Results, ratio: Ratio) -> list[str]:
    found = results.ratios(ratio)
    median = statistics.median(found)
    upper, lower = results.median(ratio.upper), results.median(ratio.lower)
    spread = f"{median:.2f} [{min(found):.2f}, {max(found):.2f}]"
    return [str(ratio.upper), f"{upper:,.1f}", str(ratio.lower), f"{lower:,.1f}", spread, ratio.target(median)]


def run_table(results: Results) -> str:
    """Medians over rounds; parameters outside the tables show whether two models are the same."""
    head = ["run", "rounds", "ms", "rows/s", "peak MiB", "parameters", "of them outside the tables"]
    return _table(head, [_run_row(results, run) for run in results.found])


def _run_row(results: Results, run: Run) -> list[str]:
    ms, rows_per_s, peak, parameters, table_rows = (
        results.median(run, key) for key in ("ms", "rows_per_s", "peak_rss_bytes", "parameters", "table_rows")
    )
    outside = None if parameters is None else parameters - VALUES_PER_ROW[run.work] * table_rows
    numbers = [rows_per_s, peak and peak / 2**20, parameters, outside]
    cells = ["–" if number is None else f"{number:,.0f}" for number in numbers]
    return [str(run), str(len(results.found[run])), f"{ms:,.1f}", *cells]


def _table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])
