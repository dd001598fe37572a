"""What a training step costs: synthetic rows in Criteo's shape, held in memory, so that only the step is timed.

Letters: B batch, F categorical features, N numeric features.
"""

import time

import numpy as np
import tensorflow as tf

from rectrain.config import SMALLEST_TABLE, BenchConfig, StepBenchConfig
from rectrain.schema import Categorical, Numeric, Schema
from rectrain.training.build import build_steps
from rectrain.training.steps import Steps

_WARM_UP_STEPS = 5
_NUM_BATCHES = 16  # distinct ones, used over and over
_CONSTANT_RATE = {"warmup_steps": 0, "decay": "constant", "decay_steps": 1, "final_fraction": 0.0}


def measure(config: BenchConfig) -> dict:
    """Times each step by itself.

    Returns:
        {"rows_per_s": over all timed steps, "step_ms": median, "step_ms_90": 90th percentile, "looked_up_rows" and
        "distinct_rows": ids a step and different ones among them}.
    """
    schema = synthetic_schema(config.bench)
    batches = [synthetic_batch(schema, config.bench.batch_size, config.seed + i) for i in range(_NUM_BATCHES)]
    steps = build_steps(config, schema, _CONSTANT_RATE, config.bench.precision)
    seconds = np.array(_step_seconds(steps, batches, config.bench.steps))
    ids = [batch["categorical"] for batch in batches]
    return {
        "rows_per_s": config.bench.batch_size / float(seconds.mean()),
        "step_ms": 1000 * float(np.median(seconds)),
        "step_ms_90": 1000 * float(np.quantile(seconds, 0.9)),
        "looked_up_rows": ids[0].size,
        "distinct_rows": round(np.mean([np.unique(i).size for i in ids])),
        "parameters": steps.model.count_params(),
    }


def synthetic_schema(bench: StepBenchConfig) -> Schema:
    """Features whose table sizes grow geometrically and add up to `bench.vocabulary`."""
    sizes = _sizes(bench.vocabulary, bench.categorical)
    offsets = np.cumsum([0, *sizes[:-1]])
    return Schema(
        name="bench",
        categorical=tuple(
            Categorical(f"C{i + 1}", int(size), int(offset), {})
            for i, (size, offset) in enumerate(zip(sizes, offsets, strict=True))
        ),
        numeric=tuple(Numeric(f"I{i + 1}", {}) for i in range(bench.numeric)),
        multi_valued=(),
        crosses=(),
        labels=("click",),
    )


def _sizes(vocabulary: int, num_features: int) -> np.ndarray:
    """int (F,), each at least SMALLEST_TABLE; the largest takes what rounding leaves."""
    spare = vocabulary - SMALLEST_TABLE * num_features
    shares = np.geomspace(1, max(vocabulary / 100, 1), num_features)
    sizes = SMALLEST_TABLE + np.floor(spare * shares / shares.sum()).astype(np.int64)
    sizes[-1] += vocabulary - sizes.sum()
    return sizes


def synthetic_batch(schema: Schema, num_rows: int, seed: int) -> dict[str, np.ndarray]:
    """A packed batch of Zipf's ids: the value of rank r has a share of about 1 / r of its feature's rows."""
    rng = np.random.default_rng(seed)
    sizes_F = np.array([f.num_rows for f in schema.categorical])
    offsets_F = np.array([f.offset for f in schema.categorical])
    ranks_BF = np.floor(sizes_F ** rng.random((num_rows, len(sizes_F)))).astype(np.int64)
    batch = {
        "categorical": (offsets_F + ranks_BF - 1).astype(np.int32),
        "labels": (rng.random((num_rows, 1)) < 0.25).astype(np.float32),
        "weight": np.ones(num_rows, np.float32),
    }
    if schema.numeric:
        batch["numeric"] = rng.standard_normal((num_rows, len(schema.numeric))).astype(np.float32)
    return batch


def _step_seconds(steps: Steps, batches: list[dict], num_steps: int) -> list[float]:
    stacked = {name: np.stack([batch[name] for batch in batches]) for name in batches[0]}
    dataset = tf.data.Dataset.from_tensor_slices(stacked).repeat().prefetch(2)
    iterator = iter(steps.strategy.distribute_datasets_from_function(lambda _: dataset))
    steps.train(iterator, tf.constant(_WARM_UP_STEPS))
    seconds = []
    for _ in range(num_steps):
        started = time.perf_counter()
        steps.train(iterator, tf.constant(1)).numpy()
        seconds.append(time.perf_counter() - started)
    return seconds
