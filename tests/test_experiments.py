"""Every YAML of configs/ composes into a valid config; a broken model leaves the band of its tiny experiment."""

import pytest
from hydra import compose, initialize_config_module
from keras import ops
from omegaconf import OmegaConf

from rectrain.features.embedding import FieldEmbeddings
from rectrain.layers.attention import InteractingLayer
from rectrain.layers.cross import MatrixCrossNetwork, VectorCrossNetwork
from rectrain.layers.fm import PairwiseInteractions
from rectrain.sections import train_config
from tests.samples import CONFIGS

EXPERIMENTS = sorted(
    str(p.relative_to(CONFIGS / "experiment").with_suffix("")) for p in (CONFIGS / "experiment").rglob("*.yaml")
)
TINY = [name for name in EXPERIMENTS if name.startswith("tiny/")]


def composed(*overrides):
    with initialize_config_module("rectrain.configs", version_base="1.3"):
        return train_config(OmegaConf.to_container(compose("train", list(overrides)), resolve=True))


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_is_a_valid_config(experiment):
    composed(f"experiment={experiment}")


@pytest.mark.parametrize("group", ["model", "data", "optimizer", "strategy"])
def test_every_option_of_a_group_is_a_valid_config(group):
    for path in (CONFIGS / group).glob("*.yaml"):
        composed(f"{group}={path.stem}")


def test_every_model_has_a_tiny_experiment_with_a_tight_band():
    assert [name.removeprefix("tiny/") for name in TINY] == sorted(p.stem for p in (CONFIGS / "model").glob("*.yaml"))
    for name in TINY:
        config = composed(f"experiment={name}")
        assert config.expect.tolerance <= 0.01
        assert config.data.source == "sample"
        assert config.data.sample.rows >= 50_000


def without_residual(self, x):
    crossed = x
    for kernel, bias in zip(self.kernels, self.biases, strict=True):
        crossed = x * ops.matmul(crossed, kernel) + bias
    return crossed


def crossing_itself(self, x):
    """Multiplies by nothing: x_l + W x_l + b."""
    crossed = x
    for (kernel,), bias in zip(self.factors, self.biases, strict=True):
        crossed = ops.matmul(crossed, kernel) + bias + crossed
    return crossed


def without_pairs(self, x):
    return -ops.sum(ops.square(x), axis=(1, 2)) / 2


def without_attention(self, x):
    """Every field keeps its own value: nothing is mixed (the scores only get a gradient of 0)."""
    scores = ops.matmul(x, self.query_kernel) + ops.matmul(x, self.key_kernel)
    mixed = ops.matmul(x, self.value_kernel) + 0 * scores
    return ops.relu(mixed + (x if self.residual_kernel is None else ops.matmul(x, self.residual_kernel)))


def without_offsets(self, batch):
    """All features look up the rows of the first one."""
    ids_BF = batch["categorical"][:, : len(self.schema.categorical)] % self.schema.categorical[0].num_rows
    return self._look_up(ids_BF)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "layer", "sabotage"),
    [
        ("dcn", VectorCrossNetwork, without_residual),
        ("dcn_v2", MatrixCrossNetwork, crossing_itself),
        ("fm", PairwiseInteractions, without_pairs),
        ("autoint", InteractingLayer, without_attention),
        ("deepfm", FieldEmbeddings, without_offsets),
        ("wide_deep", FieldEmbeddings, without_offsets),
    ],
)
def test_a_sabotaged_model_falls_out_of_its_band(rectrain, monkeypatch, model, layer, sabotage):
    monkeypatch.setattr(layer, "call", sabotage)
    code, _, err = rectrain(f"experiment=tiny/{model}", "hydra.run.dir=run")
    assert code == 3, err


@pytest.mark.slow
@pytest.mark.parametrize("experiment", TINY)
def test_a_healthy_model_stays_in_its_band(rectrain, experiment):
    code, _, err = rectrain(f"experiment={experiment}", "hydra.run.dir=run")
    assert code == 0, err
