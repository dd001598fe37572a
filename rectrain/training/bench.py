"""What a training step costs: synthetic rows in Criteo's shape, held in memory, so that only the step is timed.

Letters: B batch, F categorical features, N numeric features, T steps of a history.
"""

import time

import numpy as np
import tensorflow as tf

from rectrain.config import SMALLEST_TABLE, BenchConfig, StepBenchConfig
from rectrain.schema import Categorical, History, Numeric, Schema, Step
from rectrain.training.build import CONSTANT_RATE, build_steps
from rectrain.training.steps import Steps
from rectrain.training.strategy import describe_device

_WARM_UP_STEPS = 10
_STEPS_PER_CALL = 10  # of the compiled loop, as in training: the end of a step runs beside the start of the next
_NUM_BATCHES = 16  # distinct ones, used over and over


def measure(config: BenchConfig) -> dict:
    """Times calls of several steps each.

    Returns:
        {"rows_per_s": over all timed steps, "step_ms": median over the calls of a step's share, "step_ms_90": 90th
        percentile, "looked_up_rows" and "distinct_rows": ids a step and different ones among them}.
    """
    schema = synthetic_schema(config.bench)
    batches = [synthetic_batch(schema, config.bench.batch_size, config.seed + i) for i in range(_NUM_BATCHES)]
    steps = build_steps(config, schema, CONSTANT_RATE, config.bench.precision)
    num_steps, seconds = _seconds(steps, batches, config.bench.steps)
    ids = [looked_up(schema, batch) for batch in batches]
    return {
        "rows_per_s": config.bench.batch_size * float(num_steps.sum() / seconds.sum()),
        "step_ms": 1000 * float(np.median(seconds / num_steps)),
        "step_ms_90": 1000 * float(np.quantile(seconds / num_steps, 0.9)),
        "looked_up_rows": ids[0].size,
        "distinct_rows": round(np.mean([np.unique(i).size for i in ids])),
        "parameters": steps.model.count_params(),
        "device": describe_device(steps.strategy),
    }


def looked_up(schema: Schema, batch: dict[str, np.ndarray]) -> np.ndarray:
    """All ids that a batch looks up, one after the other."""
    steps = [f"{history.name}_{step.name}" for history in schema.histories for step in history.steps]
    return np.concatenate([batch[name].ravel() for name in ("categorical", *steps)])


def synthetic_schema(bench: StepBenchConfig) -> Schema:
    """Features whose table sizes grow geometrically and add up to `bench.vocabulary`."""
    sizes = _sizes(bench.vocabulary, bench.categorical)
    offsets = np.cumsum([0, *sizes[:-1]])
    categorical = tuple(
        Categorical(f"C{i + 1}", int(size), int(offset), {})
        for i, (size, offset) in enumerate(zip(sizes, offsets, strict=True))
    )
    return Schema(
        name="bench",
        categorical=categorical,
        numeric=tuple(Numeric(f"I{i + 1}", {}) for i in range(bench.numeric)),
        multi_valued=(),
        crosses=(),
        labels=("click", *(f"click_{k}" for k in range(2, bench.labels + 1))),
        histories=_history(categorical, bench.history_length),
    )


def _history(categorical: tuple[Categorical, ...], length: int) -> tuple[History, ...]:
    """A history of the largest feature, as item, and the one before it, as category."""
    if not length:
        return ()
    steps = tuple(Step(f.name, f.name, f.num_rows, f.offset) for f in (categorical[-1], categorical[-2]))
    return (History("history", "short", length, steps),)


def _sizes(vocabulary: int, num_features: int) -> np.ndarray:
    """int (F,), each at least SMALLEST_TABLE; the largest takes what rounding leaves."""
    spare = vocabulary - SMALLEST_TABLE * num_features
    shares = np.geomspace(1, max(vocabulary / 100, 1), num_features)
    sizes = SMALLEST_TABLE + np.floor(spare * shares / shares.sum()).astype(np.int64)
    sizes[-1] += vocabulary - sizes.sum()
    return sizes


def synthetic_batch(schema: Schema, num_rows: int, seed: int) -> dict[str, np.ndarray]:
    """A packed batch of Zipf's ids: the value of rank r has a share of about 1 / r of its feature's rows.

    Histories are full, as the slowest ones are.
    """
    rng = np.random.default_rng(seed)
    ids = [_zipf(rng, feature, (num_rows,)) for feature in schema.categorical]
    batch = {
        "categorical": np.stack(ids, axis=1),
        "labels": (rng.random((num_rows, len(schema.labels))) < 0.25).astype(np.float32),
        "weight": np.ones(num_rows, np.float32),
    }
    if schema.numeric:
        batch["numeric"] = rng.standard_normal((num_rows, len(schema.numeric))).astype(np.float32)
    for history in schema.histories:
        shape = (num_rows, history.max_length)
        batch |= {f"{history.name}_{step.name}": _zipf(rng, step, shape) for step in history.steps}
        batch[f"{history.name}_valid"] = np.ones(shape, bool)
    return batch


def _zipf(rng: np.random.Generator, table: Categorical | Step, shape: tuple[int, ...]) -> np.ndarray:
    """int32 rows of a feature's table."""
    ranks = np.floor(table.num_rows ** rng.random(shape))
    return (table.offset + ranks - 1).astype(np.int32)


def _seconds(steps: Steps, batches: list[dict], num_steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Steps and seconds of each call."""
    stacked = {name: np.stack([batch[name] for batch in batches]) for name in batches[0]}
    dataset = tf.data.Dataset.from_tensor_slices(stacked).repeat().prefetch(2)
    iterator = steps.distribute(dataset)
    steps.train(iterator, _WARM_UP_STEPS)
    calls = [min(_STEPS_PER_CALL, num_steps - done) for done in range(0, num_steps, _STEPS_PER_CALL)]
    seconds = []
    for size in calls:
        started = time.perf_counter()
        steps.train(iterator, size)
        seconds.append(time.perf_counter() - started)
    return np.array(calls), np.array(seconds)
