"""Every YAML of configs/ composes into a valid config; a broken model leaves the band of its tiny experiment."""

import json
from dataclasses import replace

import pytest
import tensorflow as tf
from hydra import compose, initialize_config_module
from keras import ops
from omegaconf import OmegaConf

from rectrain.data.history_views import HistoryViews
from rectrain.features import sequences
from rectrain.features.embedding import FieldEmbeddings
from rectrain.layers.attention import InteractingLayer
from rectrain.layers.cross import MatrixCrossNetwork, VectorCrossNetwork
from rectrain.layers.din import ActivationUnit, step_values
from rectrain.layers.experts import Gates
from rectrain.layers.fm import PairwiseInteractions
from rectrain.layers.history_attention import SelfAttention
from rectrain.layers.joint_logit import JointLogit
from rectrain.layers.pooling import MeanPooling, weighted_sum
from rectrain.layers.soft_search import best_steps
from rectrain.layers.towers import tower
from rectrain.models import shared_bottom
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


@pytest.mark.parametrize("group", ["model", "data", "task", "optimizer", "strategy"])
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


def without_pairs(self, fields):
    return -ops.sum(ops.square(fields["fields"]), axis=(1, 2)) / 2


def without_attention(self, x):
    """Every field keeps its own value: nothing is mixed (the scores only get a gradient of 0)."""
    scores = ops.matmul(x, self.query_kernel) + ops.matmul(x, self.key_kernel)
    mixed = ops.matmul(x, self.value_kernel) + 0 * scores
    return ops.relu(mixed + (x if self.residual_kernel is None else ops.matmul(x, self.residual_kernel)))


healthy_embeddings = FieldEmbeddings.call


def without_offsets(self, batch, training=False):
    """All features look up the rows of the first one."""
    rows_of_the_first = batch["categorical"] % self.schema.categorical[0].num_rows
    return healthy_embeddings(self, {**batch, "categorical": rows_of_the_first}, training=training)


def without_history(self, keys, valid):
    return 0 * ops.sum(keys, axis=1)


def without_the_candidate(self, history):
    """The mean of the steps, whatever the candidate is (the weights only get a gradient of 0)."""
    valid = ops.cast(history["valid"], "float32")
    mean = valid / ops.maximum(ops.sum(valid, axis=1, keepdims=True), 1)
    return weighted_sum(mean + 0 * self.step_weights(history), step_values(history))


healthy_self_attention = SelfAttention.call


def without_mixing(self, history):
    """Steps keep to themselves and have no place."""
    keys = self.norm(history["keys"]) * ops.cast(history["valid"], "float32")[..., None]
    return keys + 0 * healthy_self_attention(self, history)


healthy_places = HistoryViews._places


def newest_instead_of_hits(self, history, batch):
    """The newest steps, of whatever category."""
    return healthy_places(self, replace(history, role="long"), batch)


def oldest_steps(scores_of, valid, num_found):
    """The first steps, whatever their scores."""
    return best_steps(lambda start, stop: 0 * scores_of(start, stop), valid, num_found)


def one_tower_for_all(tasks, inputs, *, units, dropout):
    """Each task has the logit of the first."""
    logit = tower(tasks[0], inputs[0], units=units, dropout=dropout)
    return {task.name: logit for task in tasks}


def gates_over_rows(self, x):
    """The softmax runs over the rows of a batch, not over the experts."""
    logits = ops.reshape(ops.matmul(x, self.kernel), (-1, len(self.names), self.num_experts))
    return tf.nn.softmax(logits, axis=0)


def click_logit(self, a, b):
    """As if every click converted; what is not read must still reach the loss."""
    return a + 0 * b


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "owner", "function", "sabotage"),
    [
        ("dcn", VectorCrossNetwork, "call", without_residual),
        ("dcn_v2", MatrixCrossNetwork, "call", crossing_itself),
        ("fm", PairwiseInteractions, "call", without_pairs),
        ("autoint", InteractingLayer, "call", without_attention),
        ("deepfm", FieldEmbeddings, "call", without_offsets),
        ("wide_deep", FieldEmbeddings, "call", without_offsets),
        ("pooled_dnn", MeanPooling, "call", without_history),
        ("din", ActivationUnit, "call", without_the_candidate),
        ("din_self_attention", SelfAttention, "call", without_mixing),
        ("sim_hard", HistoryViews, "_places", newest_instead_of_hits),
        ("sim_soft", sequences, "best_steps", oldest_steps),
        ("shared_bottom", shared_bottom, "towers", one_tower_for_all),
        ("mmoe", Gates, "call", gates_over_rows),
        ("ple", Gates, "call", gates_over_rows),
        ("esmm", JointLogit, "call", click_logit),
    ],
)
def test_a_sabotaged_model_falls_out_of_its_band(rectrain, monkeypatch, model, owner, function, sabotage):
    monkeypatch.setattr(owner, function, sabotage)
    code, _, err = rectrain(f"experiment=tiny/{model}", "hydra.run.dir=run")
    assert code == 3, err


@pytest.mark.slow
@pytest.mark.parametrize("experiment", TINY)
def test_a_healthy_model_stays_in_its_band(rectrain, experiment):
    code, _, err = rectrain(f"experiment={experiment}", "hydra.run.dir=run")
    assert code == 0, err


# A model that sees the planted truth of MovieLens' sample, one that cannot, and by how much AUC they differ at least.
MARGINS = [
    ("tiny/din", "tiny/pooled_dnn", 0.1),
    ("tiny/din_self_attention", "truth/order_din", 0.03),
    ("tiny/sim_hard", "truth/long_din", 0.1),
    ("tiny/sim_soft", "truth/long_din", 0.08),
]


def test_margins_are_those_that_the_experiments_state():
    for better, than, margin in MARGINS:
        head = (CONFIGS / f"experiment/{better}.yaml").read_text(encoding="utf-8").splitlines()[:4]
        assert f"beats {than} by at least {margin:g}" in " ".join(line.removeprefix("# ") for line in head)


@pytest.mark.slow
@pytest.mark.parametrize(("better", "than", "margin"), MARGINS)
def test_a_model_that_can_see_the_planted_truth_beats_one_that_cannot(rectrain, tmp_path, better, than, margin):
    truths, aucs = [], []
    for name in (better, than):
        code, _, err = rectrain(f"experiment={name}", f"hydra.run.dir={name}")
        assert code == 0, err
        report = json.loads((tmp_path / name / "report.json").read_text(encoding="utf-8"))
        truths.append(report["data"]["sample"]["truth"])
        aucs.append(report["metrics"]["test"]["like"]["auc"]["value"])
    assert truths[0] == truths[1]
    assert aucs[0] - aucs[1] > margin
