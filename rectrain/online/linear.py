"""Logistic regression learned row by row: the state of its coordinates and what moves them.

Coordinates: the rows of the table that all features share (Schema.num_linear_rows), then one a numeric feature, then
the bias. Letters: N rows, M values of a row, C coordinates.
"""

import hashlib
import math
from pathlib import Path

import numpy as np

from rectrain.config import OnlineConfig
from rectrain.data.row_groups import Rows
from rectrain.errors import InputError, did_you_mean
from rectrain.online import kernels
from rectrain.optimizers.rates import RATES
from rectrain.plain_files import read_array
from rectrain.schema import Schema
from rectrain.tasks import Task

_NOT_NEGATIVE = ("beta", "lambda1", "lambda2", "lambda_group")
OPTIMIZERS = ("ftrl", "sgd")
_NO_VALUES = np.zeros((0, 0), np.float32)


class LinearLearner:
    """Scores rows and learns from them, one after another.

    Memory: three floats a coordinate and the filter's counters; nothing for a row.
    """

    row_by_row = True

    def __init__(self, config: OnlineConfig, schema: Schema, task: Task):
        _check(config)
        self.config, self.schema, self.task = config, schema, task
        self.num_rows = 0
        self.state = np.zeros((schema.num_linear_rows + len(schema.numeric) + 1, 3), np.float32)
        self.counters = np.zeros(2**config.online.filter_bits if config.online.min_count > 1 else 0, np.uint8)

    def learn(self, rows: Rows) -> dict[str, np.ndarray]:
        """Probabilities before each row was learned from, {task: float64 (N,)}."""
        ids, values = self._coordinates(rows)
        if len(self.counters):
            ids = ids.copy()
            kernels.admit(ids, self.counters, self.config.online.min_count)
        labels = np.ascontiguousarray(rows["labels"][:, self.task.column])
        weights = np.ascontiguousarray(rows["weight"] * self.task.weight, np.float32)
        if self.task.given is not None:
            weights = weights * rows["labels"][:, self.task.given]
        scores = np.empty(len(labels))
        self._move(ids, values, labels, weights, scores)
        self.num_rows += len(labels)
        return {self.task.name: scores}

    def _move(self, ids, values, labels, weights, scores):
        knobs = self.config.optimizer.settings
        lambda1 = float(knobs["lambda1"])
        if self.config.optimizer.name == "ftrl":
            alpha, beta, lambda2 = (float(knobs[name]) for name in ("alpha", "beta", "lambda2"))
            kernels.ftrl(self.state, ids, values, labels, weights, alpha, beta, lambda1, lambda2, scores)
        else:
            rate, rates = float(knobs["learning_rate"]), RATES.index(knobs["rates"])
            kernels.gradient_descent(
                self.state, ids, values, labels, weights, rate, rates, lambda1, self.num_rows, scores
            )

    def _coordinates(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        """ids int32 (N, M), -1 where there is no value, and values float32 (N, M), or (0, 0) where all are 1."""
        ids = [rows["categorical"]] if "categorical" in rows else []
        if not self.schema.numeric and not self.schema.multi_valued and ids:
            return np.ascontiguousarray(ids[0]), _NO_VALUES
        values = [np.ones(part.shape, np.float32) for part in ids]
        for feature in self.schema.multi_valued:
            valid = rows[f"{feature.name}_valid"]
            share = 1 / np.maximum(valid.sum(axis=1, keepdims=True, dtype=np.float32), 1)
            ids.append(np.where(valid, rows[feature.name], -1).astype(np.int32))
            values.append(np.broadcast_to(share, valid.shape).astype(np.float32))
        if self.schema.numeric:
            first = self.schema.num_linear_rows
            numbers = rows["numeric"]
            places = np.arange(first, first + numbers.shape[1], dtype=np.int32)
            ids.append(np.where(numbers == 0, np.int32(-1), places))
            values.append(numbers)
        return np.concatenate(ids, axis=1), np.concatenate(values, axis=1)

    def sparsity(self) -> dict:
        """How many weights there are that are not 0, and what their state takes."""
        moved = int(np.count_nonzero(self.state[:-1, 2])) if self._counts_squares else None
        return {
            "nonzero_weights": int(np.count_nonzero(self.state[:-1, 0])),
            "weights": len(self.state) - 1,
            "coordinates_in_use": moved,
            "state_bytes": self.state.nbytes,
            "filter_bytes": self.counters.nbytes,
        }

    @property
    def _counts_squares(self) -> bool:
        return self.config.optimizer.name == "ftrl" or self.config.optimizer.settings["rates"] == "per_coordinate"

    @property
    def device(self) -> str:
        """What computes, and in which precision."""
        return "CPU, 1 core, float64 arithmetic on float32 weights"

    def parameters(self) -> dict[str, int]:
        total = len(self.state)
        table = self.schema.num_linear_rows
        return {"total": total, "embedding": table, "dense": total - table}

    def weights_sha256(self) -> str:
        return hashlib.sha256(np.ascontiguousarray(self.state[:, 0]).tobytes()).hexdigest()

    def save(self, folder: Path):
        np.save(folder / "state.npy", self.state)
        np.save(folder / "counters.npy", self.counters)

    def restore(self, folder: Path, num_rows: int):
        """Raises OSError or ValueError where what was saved is damaged, or that of another model."""
        self.state, self.counters = (
            read_array(folder / f"{name}.npy", like)
            for name, like in (("state", self.state), ("counters", self.counters))
        )
        self.num_rows = num_rows


def _check(config: OnlineConfig):
    """Refuses what the kernels do not read, and what has no meaning."""
    for key, absent in {"l2_embedding": 0, "l2_dense": 0, "clip_norm": None}.items():
        value = getattr(config.optimizer, key)
        if value != absent:
            raise InputError(
                f"optimizer.{key}={value} has no effect row by row (online.batch_size=1). Leave it out (FTRL has "
                "optimizer.lambda2), or set online.batch_size above 1."
            )
    knobs = config.optimizer.settings
    if knobs.get("lambda_group"):
        raise InputError(
            "optimizer.lambda_group is about vectors; model=lr has single weights, whose L1 is optimizer.lambda1. Set "
            "optimizer.lambda_group=0."
        )
    if "rates" in knobs and knobs["rates"] not in RATES:
        hint = did_you_mean(knobs["rates"], RATES)
        raise InputError(f"optimizer.rates={knobs['rates']}: expected one of {', '.join(RATES)}.{hint}")
    for name, value in knobs.items():
        least = 0 if name in _NOT_NEGATIVE else math.ulp(0.0)
        if name != "rates" and not least <= value < math.inf:
            raise InputError(f"optimizer.{name}={value}: expected a number {'>= 0' if least == 0 else '> 0'}.")
