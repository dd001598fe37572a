"""What a training step is made of, seen in its graph."""

from collections import Counter

import pytest
import tensorflow as tf
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from rectrain import memory
from rectrain.sections import bench_config
from rectrain.training import bench
from rectrain.training.build import CONSTANT_RATE, build_steps


def train_graph(*overrides):
    """(names of tables, how often each type of operation stands in a step)."""
    with initialize_config_module("rectrain.configs", version_base="1.3"):
        raw = compose("bench", ["bench.vocabulary=5000", "bench.batch_size=32", *overrides])
    config = bench_config(OmegaConf.to_container(raw, resolve=True))
    schema = bench.synthetic_schema(config.bench)
    steps = build_steps(config, schema, CONSTANT_RATE, config.bench.precision)
    batch = bench.synthetic_batch(schema, config.bench.batch_size, 0)
    iterator = steps.distribute(tf.data.Dataset.from_tensors(batch))
    graph = steps.train_steps.get_concrete_function(iterator, tf.constant(1)).graph
    (body,) = [f for name, f in graph._functions.items() if "while_body" in str(name)] or [None]
    nodes = body.cached_definition.node_def if hasattr(body, "cached_definition") else body.definition.node_def
    tables = {w.path for w in steps.model.weights if w.path.endswith("/table")}
    return tables, Counter(node.op for node in nodes)


@pytest.mark.parametrize("model", ["lr", "fm", "deepfm", "dcn_v2"])
def test_ids_of_a_batch_are_made_distinct_once_and_no_table_is_read_whole(model):
    tables, operations = train_graph(f"model={model}")
    assert len(tables) == 1
    assert operations["Unique"] == 1
    assert operations["UnsortedSegmentSum"] == 0


@pytest.mark.parametrize(
    ("overrides", "num_tables"),
    [
        (["optimizer=ftrl"], 1),
        (["optimizer=ftrl", "optimizer.lambda_group=1e-5"], 2),  # shrinks vectors, not first-order weights
        (["optimizer=rowwise_adagrad"], 2),  # one accumulator for a whole row
        (["optimizer=wide_ftrl"], 2),
    ],
)
def test_first_order_weights_stand_apart_where_the_optimizer_treats_them_otherwise(overrides, num_tables):
    tables, _ = train_graph("model=deepfm", *overrides)
    assert len(tables) == num_tables


def test_without_glibc_the_allocator_is_left_alone(monkeypatch):
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())
    memory.keep_freed_memory()
