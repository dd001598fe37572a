"""Progressive Layered Extraction: levels of experts, some shared and some a task's own, gated for each task.

Source: Tang et al. 2020, "Progressive Layered Extraction (PLE): A Novel Multi-Task Learning (MTL) Model for
Personalized Recommendations", RecSys.
"""

import keras

from rectrain.errors import InputError
from rectrain.features.embedding import flat_features
from rectrain.features.inputs import packed_inputs
from rectrain.layers.experts import Experts, Gates, Mixture
from rectrain.layers.towers import towers
from rectrain.schema import Schema
from rectrain.tasks import Task

_SHARED = "of_all"


def build(
    schema: Schema,
    tasks: list[Task],
    *,
    embedding_dim: int,
    embedding_stddev: float,
    num_levels: int,
    num_shared_experts: int,
    num_task_experts: int,
    expert_units: list[int],
    tower_units: list[int],
    dropout: float,
) -> keras.Model:
    if num_levels < 1:
        raise InputError(f"model.num_levels must be at least 1; received {num_levels}.")
    batch = packed_inputs(schema)
    features = flat_features(schema, batch, width=embedding_dim, stddev=embedding_stddev)
    counts = dict.fromkeys((task.name for task in tasks), num_task_experts) | {_SHARED: num_shared_experts}
    heard = dict.fromkeys(counts, features)
    for level in range(1, num_levels + 1):
        heard = _level(level, heard, counts, expert_units, is_last=level == num_levels)
    inputs = [heard[task.name] for task in tasks]
    return keras.Model(batch, towers(tasks, inputs, units=tower_units, dropout=dropout), name="ple")


def _level(level: int, inputs: dict, counts: dict[str, int], units: list[int], *, is_last: bool) -> dict:
    """What each task, and but for the last level the shared part, hears: {name: float (B, H)}."""
    experts = {}
    for name, count in counts.items():
        key = "num_shared_experts" if name == _SHARED else "num_task_experts"
        experts[name] = Experts(count, units, key=key, name=f"experts_{level}_{name}")(inputs[name])
    heard = {}
    for name in counts:
        if name == _SHARED and is_last:
            continue
        listened = list(experts) if name == _SHARED else [name, _SHARED]
        joined = keras.layers.Concatenate(axis=1, name=f"heard_{level}_{name}")([experts[of] for of in listened])
        number = sum(counts[of] for of in listened)
        title = f"{'shared' if name == _SHARED else name}, level {level}"
        gates = Gates([title], number, name=f"gate_{level}_{name}")(inputs[name])
        heard[name] = Mixture(name=f"mixture_{level}_{name}")(gates, joined)[0]
    return heard
