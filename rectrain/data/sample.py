"""A built-in sample with a known truth, in the raw layout of Criteo's or Avazu's file; and the way to all samples.

Samples of event logs (MovieLens, Amazon, Taobao) are drawn by behaviour_sample.py. What follows is about the others.

Columns are independent. A categorical column is Zipf-like, a count is floor(exp(Normal)), a blank is one value more; a
few columns hold a value of its own in every other row and tell nothing. Every value of the others has one number e, of
mean 0 and standard deviation 1 over its column: random for the values of a categorical column, log1p for a count (a
blank or a negative count is taken as 0). A row of values x is clicked with

    P(click) = sigmoid(  bias
                       + sum_f     main_f * e_f[x_f]
                       + sum_f     bend_f * standardized |e_f[x_f]|
                       + sum_axis  scale / sqrt(number of pairs) * sum_(a<b) e_a[x_a] * e_b[x_b] )

where a < b run over all pairs of the columns of an axis; one of them may be a count. Since e has mean 0, no pair moves
the average of any single value: a model that adds up one weight a value (LR) cannot see it. Since a pair is a product,
one latent factor an axis holds it exactly (FM, cross layers). That a value's own effect goes with its factor is on
purpose: with main effects drawn apart from the factors the start of training is a saddle point that deep models do not
leave within a few epochs of 100,000 rows. A bend is what neither LR nor FM can fit on log1p of a count.

The truth "drift" (Criteo's layout) negates main and bend from the middle of the file on, so what a single value says
turns into its opposite. Since these effects have mean 0, base rate and best AUC stay about the same.

`main`, `bend` and `scale` are standard deviations on the logit scale, under the distribution of the columns, so the
truth depends on (layout, seed) and not on the number of rows.

Letters: N rows, V values of one column, A columns of one axis.
"""

import contextlib
import dataclasses
import json
import math
import os
import uuid
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from types import ModuleType
from typing import BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from rectrain.data import behaviour_sample, census_sample, funnel_sample, mmoe_sample
from rectrain.data.planted import draw_positions, intercept, standardize
from rectrain.errors import InputError, did_you_mean

BLOCK_ROWS = 65_536  # drawn and written at a time; part of the recipe: another size draws other rows
NUM_QUANTILES = 1_000
NUM_HOURS = 240

# each has LAYOUTS, {layout: (file, truths)}, and draw
_DRAWN_WHOLE = (behaviour_sample, census_sample, funnel_sample, mmoe_sample)


def scrambled(values: np.ndarray, column: str) -> np.ndarray:
    """Distinct numbers, uint32, for distinct values: each step maps 32 bits one to one."""
    x = values.astype(np.uint32) * np.uint32(2_654_435_761) + np.uint32(zlib.crc32(column.encode()))
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x45D9F3B)
    return x ^ (x >> np.uint32(16))


def hex_tokens(values: np.ndarray, column: str) -> np.ndarray:
    """Strings of 8 hexadecimal digits, distinct for distinct values."""
    digits = scrambled(values, column).astype(">u4").tobytes().hex()
    return np.frombuffer(digits.encode(), "S8").astype(str)


@dataclass(frozen=True)
class Field:
    """A categorical column. Its arrays run over its V values, of which the last is the blank."""

    name: str
    num_values: int  # without the blank
    zipf: float  # share of value k ~ 1 / (k + 2)^zipf
    main: float = 0.0
    missing: float = 0.0  # share of blanks
    first: int | None = None  # None: tokens of 8 hexadecimal digits; else whole numbers from here
    bend = 0.0

    def shares(self) -> np.ndarray:
        weights = (np.arange(self.num_values) + 2.0) ** -self.zipf
        return np.append(weights * ((1 - self.missing) / weights.sum()), self.missing)

    def numbers(self, rng: np.random.Generator) -> np.ndarray:
        return rng.standard_normal(self.num_values + 1)

    def tokens(self) -> np.ndarray:
        if self.first is None:
            return hex_tokens(np.arange(self.num_values), self.name)
        return np.arange(self.first, self.first + self.num_values).astype(str)


@dataclass(frozen=True)
class Count:
    """A numeric column, floor(exp(Normal(center, spread))) - shift, as equally likely quantiles and then the blank."""

    name: str
    center: float
    spread: float
    missing: float = 0.0
    main: float = 0.0
    bend: float = 0.0
    shift: int = 0

    def values(self) -> np.ndarray:
        normal = NormalDist(self.center, self.spread)
        quantiles = [normal.inv_cdf((k + 0.5) / NUM_QUANTILES) for k in range(NUM_QUANTILES)]
        return np.floor(np.exp(quantiles)).astype(np.int64) - self.shift

    def shares(self) -> np.ndarray:
        return np.append(np.full(NUM_QUANTILES, (1 - self.missing) / NUM_QUANTILES), self.missing)

    def numbers(self, rng: np.random.Generator) -> np.ndarray:
        return np.log1p(np.maximum(np.append(self.values(), 0), 0))

    def tokens(self) -> np.ndarray:
        return self.values().astype(str)


def token_of_row(column: str) -> Callable[[np.ndarray, int], pa.Array]:
    """One of 16 values in half of the rows, a value of its own in the others: who it was, which tells nothing."""

    def tokens(row: np.ndarray, num_rows: int) -> pa.Array:
        dice = scrambled(row, f"{column} dice")
        return pa.array(hex_tokens(np.where(dice % 2 == 0, dice // 2 % 16, 16 + row), column))

    return tokens


def row_id(row: np.ndarray, num_rows: int) -> pa.Array:
    """Distinct large numbers: an odd factor maps 64 bits one to one."""
    return pa.array((row.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15))


def hour_of_row(row: np.ndarray, num_rows: int) -> pa.Array:
    """YYMMDDHH, rising evenly over the ten days from 21 October 2014."""
    hours = row * NUM_HOURS // num_rows
    return pa.array(14_10_21_00 + hours // 24 * 100 + hours % 24)


@dataclass(frozen=True)
class Axis:
    """Columns that interact, each with each."""

    names: tuple[str, ...]
    scale: float

    @property
    def num_pairs(self) -> int:
        return math.comb(len(self.names), 2)


@dataclass(frozen=True)
class Layout:
    names: tuple[str, ...]  # the file's columns in order
    delimiter: str
    header: bool
    label: str
    blank: str | None  # how a missing value is written; None: not at all
    base_rate: float
    columns: tuple[Field | Count, ...]
    axes: tuple[Axis, ...]
    by_row: dict[str, Callable[[np.ndarray, int], pa.Array]]  # columns that follow from the row's place in the file
    other_truths: tuple[str, ...] = ()  # besides null

    @property
    def bias(self) -> float:
        variance = sum(c.main**2 + c.bend**2 for c in self.columns) + sum(axis.scale**2 for axis in self.axes)
        return intercept(self.base_rate, variance)


CRITEO = Layout(
    names=("label", *(f"I{i}" for i in range(1, 14)), *(f"C{i}" for i in range(1, 27))),
    delimiter="\t",
    header=False,
    label="label",
    blank=None,
    base_rate=0.25,
    columns=(
        Count("I1", center=0.2, spread=1.7, missing=0.45, main=0.15),
        Count("I2", center=1.4, spread=2.2, shift=1),
        Count("I3", center=1.8, spread=1.5, missing=0.21),
        Count("I4", center=1.5, spread=1.1, missing=0.21),
        Count("I5", center=7.9, spread=2.0, missing=0.03, main=-0.2),
        Count("I6", center=3.5, spread=1.7, missing=0.22, bend=0.15),
        Count("I7", center=1.2, spread=1.9, missing=0.04, main=0.2),
        Count("I8", center=2.0, spread=1.3),
        Count("I9", center=3.7, spread=1.5, missing=0.04, bend=0.15),
        Count("I10", center=0.0, spread=0.5, missing=0.45),
        Count("I11", center=0.3, spread=1.2, missing=0.04, main=0.33),
        Count("I12", center=-0.8, spread=1.2, missing=0.77),
        Count("I13", center=1.4, spread=1.3, missing=0.21, main=-0.1),
        Field("C1", 32, zipf=0.6, main=0.33),
        Field("C2", 500, zipf=1.4, main=0.2),
        Field("C4", 20_000, zipf=1.5, missing=0.03),
        Field("C5", 24, zipf=0.6, main=0.33),
        Field("C6", 20, zipf=0.5, main=0.33, missing=0.12),
        Field("C7", 2_000, zipf=2.0),
        Field("C8", 30, zipf=0.6, main=0.33),
        Field("C9", 4, zipf=2.5, main=0.1),
        Field("C10", 5_000, zipf=2.0),
        Field("C11", 1_000, zipf=1.8, main=0.1),
        Field("C12", 30_000, zipf=1.3, missing=0.03),
        Field("C13", 1_500, zipf=2.0),
        Field("C14", 20, zipf=0.5, main=0.33),
        Field("C15", 3_000, zipf=2.0),
        Field("C17", 12, zipf=0.7, main=0.2),
        Field("C18", 200, zipf=1.4, main=0.2),
        Field("C19", 500, zipf=1.8, missing=0.44),
        Field("C20", 4, zipf=0.5, main=0.1, missing=0.44),
        Field("C22", 12, zipf=1.0, main=0.1, missing=0.76),
        Field("C23", 26, zipf=0.6, main=0.33),
        Field("C24", 4_000, zipf=1.8, missing=0.03),
        Field("C25", 40, zipf=0.6, main=0.33, missing=0.05),
        Field("C26", 2_000, zipf=1.8, missing=0.44),
    ),
    axes=(
        Axis(("C1", "C5", "C14", "C23"), scale=0.66),
        Axis(("C6", "C8", "C25", "I11"), scale=0.66),
    ),
    by_row={name: token_of_row(name) for name in ("C3", "C16", "C21")},
    other_truths=("drift",),
)

AVAZU = Layout(
    names=(
        *("id", "click", "hour", "C1", "banner_pos", "site_id", "site_domain", "site_category"),
        *("app_id", "app_domain", "app_category", "device_id", "device_ip", "device_model"),
        *("device_type", "device_conn_type", "C14", "C15", "C16", "C17", "C18", "C19", "C20", "C21"),
    ),
    delimiter=",",
    header=True,
    label="click",
    blank="-1",
    base_rate=0.17,
    columns=(
        Field("C1", 7, zipf=2.5, main=0.1, first=1001),
        Field("banner_pos", 7, zipf=0.7, main=0.32, first=0),
        Field("site_id", 4_000, zipf=1.8, main=0.15),
        Field("site_domain", 5_000, zipf=1.8),
        Field("site_category", 26, zipf=0.5, main=0.32),
        Field("app_id", 6_000, zipf=1.8, main=0.15),
        Field("app_domain", 400, zipf=1.4, main=0.2),
        Field("app_category", 32, zipf=0.5, main=0.32),
        Field("device_id", 150_000, zipf=1.2),
        Field("device_model", 8_000, zipf=1.5, main=0.1),
        Field("device_type", 5, zipf=2.0, main=0.1, first=0),
        Field("device_conn_type", 4, zipf=1.5, main=0.32, first=0),
        Field("C14", 2_500, zipf=1.4, main=0.2, first=375),
        Field("C15", 8, zipf=1.5, main=0.15, first=120),
        Field("C16", 9, zipf=1.5, main=0.15, first=20),
        Field("C17", 430, zipf=1.4, main=0.2, first=112),
        Field("C18", 4, zipf=0.5, main=0.32, first=0),
        Field("C19", 36, zipf=0.6, main=0.32, first=33),
        Field("C20", 30, zipf=0.6, main=0.32, missing=0.15, first=100_000),
        Field("C21", 40, zipf=0.6, main=0.32, first=13),
    ),
    axes=(
        Axis(("site_category", "app_category", "banner_pos", "C18"), scale=0.62),
        Axis(("C19", "C20", "C21", "device_conn_type"), scale=0.62),
    ),
    by_row={"id": row_id, "hour": hour_of_row, "device_ip": token_of_row("device_ip")},
)

LAYOUTS = {"criteo": CRITEO, "avazu": AVAZU}


@dataclass(frozen=True)
class SampleInfo:
    """What a sample is, and how its true probabilities score on its own labels."""

    layout: str
    rows: int
    seed: int
    truth: str | None  # null: the layout's plain one, or it has none
    bayes_auc: float | None  # null: all labels are the same, several a row, or none before negatives are sampled
    bayes_logloss: float | None  # null: there are several labels or none
    base_rate: float | None

    @staticmethod
    def path(sample: Path) -> Path:
        return sample.with_name(f"{sample.name}.info.json")

    @staticmethod
    def read(sample: Path) -> "SampleInfo":
        return SampleInfo(**json.loads(SampleInfo.path(sample).read_text(encoding="utf-8")))


class Truth:
    """The drawn numbers of one (layout, seed): everything but the rows."""

    def __init__(self, layout: Layout, rng: np.random.Generator, *, drifts: bool):
        self.layout = layout
        self.drifts = drifts
        self.shares = {column.name: column.shares() for column in layout.columns}
        self.numbers = {c.name: standardize(c.numbers(rng), self.shares[c.name]) for c in layout.columns}
        self.effects = {column.name: self.own_effect(column) for column in layout.columns}

    def own_effect(self, column: Field | Count) -> np.ndarray:
        """What each value adds to the logit by itself, float (V,)."""
        numbers = self.numbers[column.name]
        if column.bend == 0:
            return column.main * numbers
        return column.main * numbers + column.bend * standardize(np.abs(numbers), self.shares[column.name])

    def interaction(self, axis: Axis, positions: dict[str, np.ndarray]) -> np.ndarray:
        """Sum over all pairs of the axis, float (N,): half of the square of the sum less the sum of squares."""
        numbers_AN = np.stack([self.numbers[name][positions[name]] for name in axis.names])
        pairs = (numbers_AN.sum(axis=0) ** 2 - (numbers_AN**2).sum(axis=0)) / 2
        return axis.scale / math.sqrt(axis.num_pairs) * pairs

    def draw(self, num_rows: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """For each column the positions of its values, int (N,)."""
        return {name: draw_positions(shares, num_rows, rng) for name, shares in self.shares.items()}

    def negated(self, rows: np.ndarray, num_rows: int) -> np.ndarray:
        """Whether the own effects of values are negated in these rows of the file, bool (N,)."""
        return self.drifts & (rows >= num_rows // 2)

    def probabilities(self, positions: dict[str, np.ndarray], negated: np.ndarray) -> np.ndarray:
        """P(click), float64 (N,)."""
        own = sum(effects[positions[name]] for name, effects in self.effects.items())
        logit = np.where(negated, -own, own)
        logit += sum(self.interaction(axis, positions) for axis in self.layout.axes)
        return 1 / (1 + np.exp(-(logit + self.layout.bias)))


def _drawn_whole_by(layout: str) -> ModuleType | None:
    """The module that draws the samples of a layout in memory; None: this one draws them, block by block."""
    return next((module for module in _DRAWN_WHOLE if layout in module.LAYOUTS), None)


def check(layout: str, rows: int, seed: int, truth: str | None = None) -> None:
    layouts = [*LAYOUTS, *(name for module in _DRAWN_WHOLE for name in module.LAYOUTS)]
    if layout not in layouts:
        hint = did_you_mean(layout, layouts)
        raise InputError(
            f"data.sample.layout={layout!r}: expected the layout of a built-in sample.{hint} "
            "For data of any other layout set data.files to its files."
        )
    _check_truth(layout, truth)
    if rows < 1:
        raise InputError(f"data.sample.rows={rows}: expected at least 1 row. Set data.sample.rows=120000, for example.")
    if seed < 0:
        raise InputError(
            f"data.sample.seed={seed}: expected a whole number from 0 on. Set data.sample.seed=1, for example."
        )


def _check_truth(layout: str, truth: str | None) -> None:
    module = _drawn_whole_by(layout)
    truths = module.LAYOUTS[layout].truths if module is not None else ()
    if truths and truth not in truths:
        received = "null" if truth is None else repr(truth)
        raise InputError(
            f"data.sample.truth={received}: expected {', '.join(truths)}, what the labels of layout {layout} depend on."
        )
    others = LAYOUTS[layout].other_truths if module is None else ()
    if not truths and truth not in (None, *others):
        but = f" but {', '.join(others)}" if others else ""
        raise InputError(
            f"data.sample.truth={truth!r}: the layout {layout} has no choice of truths{but}. "
            f"Set data.sample.truth={' or '.join(('null', *others))}."
        )


def place(layout: str, *, rows: int, seed: int, truth: str | None = None) -> Path:
    """Where `write` should put the sample, below the folder of all samples; one of several files has its own folder.

    Raises:
        InputError: unknown layout or truth, or rows or seed out of range.
    """
    check(layout, rows, seed, truth)
    module = _drawn_whole_by(layout)
    named = layout if truth is None else f"{layout}-{truth}"
    if module is not None:
        return Path(f"{named}-{rows}-{seed}", module.LAYOUTS[layout].file)
    ending = "tsv" if LAYOUTS[layout].delimiter == "\t" else "csv"
    return Path(f"{named}-{rows}-{seed}.{ending}")


def draw_truth(layout: str, seed: int, truth: str | None = None) -> tuple[Truth, np.random.Generator]:
    """The truth, and the generator of the rows, which does not depend on how much the truth drew."""
    truth_rng, rows_rng = np.random.default_rng(seed).spawn(2)
    return Truth(LAYOUTS[layout], truth_rng, drifts=truth == "drift"), rows_rng


class Block(NamedTuple):
    rows: np.ndarray  # int (N,), places in the file
    positions: dict[str, np.ndarray]  # int (N,)
    probabilities: np.ndarray  # float64 (N,)
    labels: np.ndarray  # bool (N,)


def draw_blocks(truth: Truth, num_rows: int, rng: np.random.Generator) -> Iterator[Block]:
    for start in range(0, num_rows, BLOCK_ROWS):
        rows = np.arange(start, min(start + BLOCK_ROWS, num_rows))
        positions = truth.draw(rows.size, rng)
        probabilities = truth.probabilities(positions, truth.negated(rows, num_rows))
        yield Block(rows, positions, probabilities, rng.random(rows.size) < probabilities)


def true_probabilities(layout: str, *, rows: int, seed: int, truth: str | None = None) -> np.ndarray | None:
    """P(1) of the rows that `write` writes, float64 (N,); None where negatives are to be sampled."""
    check(layout, rows, seed, truth)
    module = _drawn_whole_by(layout)
    if module is not None:
        return module.draw(layout, rows=rows, seed=seed, truth=truth).probabilities
    drawn, rng = draw_truth(layout, seed, truth)
    return np.concatenate([block.probabilities for block in draw_blocks(drawn, rows, rng)])


def write(layout: str, path: Path, *, rows: int, seed: int, truth: str | None = None) -> SampleInfo:
    """Writes the sample to path, and beside it other files of the layout and its SampleInfo; path is whole and last.

    The same arguments give the same bytes.

    Raises:
        InputError: unknown layout or truth, or rows or seed out of range.
    """
    check(layout, rows, seed, truth)
    with replacing(path) as partial:
        module = _drawn_whole_by(layout)
        if module is not None:
            drawn_whole = module.draw(layout, rows=rows, seed=seed, truth=truth)
            labels, probabilities = write_log(drawn_whole, path, partial)
        else:
            drawn, rng = draw_truth(layout, seed, truth)
            labels, probabilities = write_rows(drawn, partial, rows, rng)
        info = SampleInfo(layout, rows, seed, truth, *_scores(labels, probabilities))
        with replacing(SampleInfo.path(path)) as partial_info:
            partial_info.write_text(json.dumps(dataclasses.asdict(info), indent=1) + "\n", encoding="utf-8")
    return info


def write_log(drawn: behaviour_sample.DrawnLog, path: Path, partial: Path):
    """The log to partial, the files beside it to where they belong; labels and true probabilities, or None."""
    for name, content in drawn.side_files.items():
        with replacing(path.with_name(name)) as partial_side:
            partial_side.write_bytes(content)
    partial.write_bytes(drawn.log)
    return drawn.labels, drawn.probabilities


def _scores(labels: np.ndarray | None, probabilities: np.ndarray | None):
    """AUC, log loss and base rate."""
    if labels is None or probabilities is None:
        return None, None, None
    return *bayes_scores(labels, probabilities), float(labels.mean())


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write that takes the place of path when the block ends, and is gone when it fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_rows(truth: Truth, path: Path, num_rows: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Labels bool (N,) and true probabilities float64 (N,) of all rows."""
    layout = truth.layout
    tokens = {column.name: pa.array([*column.tokens().tolist(), layout.blank]) for column in layout.columns}
    blocks = []
    with path.open("wb") as file:
        if layout.header:
            file.write((layout.delimiter.join(layout.names) + "\n").encode())
        for block in draw_blocks(truth, num_rows, rng):
            write_block(file, layout, tokens, block, num_rows)
            blocks.append((block.labels, block.probabilities))
    labels, probabilities = zip(*blocks, strict=True)
    return np.concatenate(labels), np.concatenate(probabilities)


def write_block(file: BinaryIO, layout: Layout, tokens: dict[str, pa.Array], block: Block, num_rows: int) -> None:
    columns = {name: tokens[name].take(pa.array(positions)) for name, positions in block.positions.items()}
    columns |= {name: column(block.rows, num_rows) for name, column in layout.by_row.items()}
    columns[layout.label] = pa.array(block.labels.astype(np.int8))
    table = pa.table({name: columns[name] for name in layout.names})
    options = pa_csv.WriteOptions(include_header=False, delimiter=layout.delimiter, quoting_style="none")
    pa_csv.write_csv(table, file, options)


def bayes_scores(labels: np.ndarray, probabilities: np.ndarray) -> tuple[float | None, float]:
    """AUC and log loss of the true probabilities, which no model can beat but by luck."""
    logloss = -np.log(np.where(labels, probabilities, 1 - probabilities)).mean()
    return rank_auc(labels, probabilities), float(logloss)


def rank_auc(labels: np.ndarray, scores: np.ndarray) -> float | None:
    """Share of (click, no click) pairs in the right order, ties counting half; None without such pairs."""
    clicks, others = np.count_nonzero(labels), np.count_nonzero(~labels)
    if not clicks or not others:
        return None
    _, tie, count = np.unique(scores, return_inverse=True, return_counts=True)
    mid_ranks = np.cumsum(count) - (count - 1) / 2
    return float((mid_ranks[tie[labels]].sum() - clicks * (clicks + 1) / 2) / (clicks * others))
