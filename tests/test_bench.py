"""rectrain bench: the synthetic rows are what they say, and the command writes what it measured."""

import json

import numpy as np
import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from rectrain.errors import InputError
from rectrain.sections import bench_config
from rectrain.training.bench import looked_up, synthetic_batch, synthetic_schema

SMALL = ("bench.vocabulary=5000", "bench.batch_size=32", "bench.steps=3", "model.hidden_units=[8]")


def config(*overrides):
    with initialize_config_module("rectrain.configs", version_base="1.3"):
        return bench_config(OmegaConf.to_container(compose("bench", list(overrides)), resolve=True))


@pytest.mark.parametrize("vocabulary", [260, 1_000, 123_457, 16_000_000])
def test_the_tables_have_the_asked_number_of_rows(vocabulary):
    schema = synthetic_schema(config(f"bench.vocabulary={vocabulary}").bench)
    assert schema.num_embedding_rows == vocabulary
    assert min(f.num_rows for f in schema.categorical) >= 10
    for before, after in zip(schema.categorical, schema.categorical[1:], strict=False):
        assert after.offset == before.offset + before.num_rows


def test_ids_lie_in_their_features_rows_and_follow_zipf():
    schema = synthetic_schema(config("bench.vocabulary=100000").bench)
    ids = synthetic_batch(schema, 20_000, seed=1)["categorical"]
    for column, feature in zip(ids.T, schema.categorical, strict=True):
        assert column.min() >= feature.offset
        assert column.max() < feature.offset + feature.num_rows
    largest = ids[:, -1] - schema.categorical[-1].offset
    first, tenth = np.mean(largest == 0), np.mean((largest >= 9) & (largest < 19)) / 10
    assert 5 < first / tenth < 20


def test_the_command_writes_what_it_measured(rectrain, tmp_path):
    code, out, err = rectrain("bench", "model=deepfm", *SMALL, "output=found.json")
    assert code == 0, err
    assert "deepfm, lazy_adam, 5,000 rows in tables, batch 32" in out
    found = json.loads((tmp_path / "found.json").read_text())
    assert 0 < found["step_ms"] <= found["step_ms_90"]
    assert found["rows_per_s"] > 0
    assert found["peak_rss_bytes"] > 2**20
    linear, embeddings, mlp = 5000 + 13 + 1, (5000 + 13) * 16, 39 * 16 * 8 + 8 + 8 + 1
    assert found["parameters"] in (linear + embeddings + mlp, linear + embeddings + mlp - 1)
    assert found["looked_up_rows"] == 32 * 26
    assert [p.name for p in tmp_path.iterdir()] == ["found.json"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("bench.vocabulary=200", "bench.vocabulary=200: expected at least 10 rows for each of the 26 features"),
        ("bench.stpes=3", "bench.stpes: no such key. Did you mean 'steps'?"),
        ("output=nowhere/found.json", "output=nowhere/found.json: there is no folder nowhere"),
        ("data.name=criteo", "data: no such key."),
    ],
)
def test_a_wrong_bench_is_one_message(rectrain, tmp_path, override, message):
    code, _, err = rectrain("bench", override)
    assert code == 2
    assert message in err
    assert not list(tmp_path.iterdir())


def test_histories_are_full_and_lie_in_the_rows_of_the_two_largest_features():
    schema = synthetic_schema(config("bench.vocabulary=5000", "bench.categorical=4", "bench.history_length=7").bench)
    (history,) = schema.histories
    assert [step.feature for step in history.steps] == ["C4", "C3"]
    batch = synthetic_batch(schema, 50, seed=1)
    assert batch["history_valid"].shape == (50, 7)
    assert batch["history_valid"].all()
    for step in history.steps:
        ids = batch[f"history_{step.name}"] - step.offset
        assert ids.min() >= 0
        assert ids.max() < step.num_rows
    assert looked_up(schema, batch).size == 50 * (4 + 2 * 7)


def test_a_history_needs_an_item_and_a_category():
    with pytest.raises(InputError, match=r"bench\.history_length=5 needs two features.*bench\.categorical"):
        config("bench.categorical=1", "bench.history_length=5")
