"""strategy=mirrored makes the steps of strategy=one: the same weights, slots, scores, and the same on each replica.

Batches are ragged, and short ones leave replicas without rows. Epsilons are large, as a gradient that is 0 but for
rounding would else move a weight by a whole step.
"""

import functools
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from rectrain.config import StrategyConfig, TrainConfig
from rectrain.errors import InputError
from rectrain.layers.dice import Dice
from rectrain.layers.mlp import MLP, _batch_norm
from rectrain.outputs.run_report import weights_sha256
from rectrain.schema import Schema
from rectrain.sections import train_config
from rectrain.training import strategy as strategies
from rectrain.training.build import build_steps, variables_by_name
from rectrain.training.checkpoint import Checkpoints
from rectrain.training.gates import gate_figures
from rectrain.training.restore import restore_model
from rectrain.training.steps import Steps
from tests import samples

ROOT = Path(__file__).parents[1]
ROWS = (16, 16, 5, 16, 1, 16, 2, 3)  # of the batches, over and over
# Where rows are normalized, as by batch norm: with fewer of them variances are 0 but for rounding.
ROWS_TO_NORMALIZE = (16, 13, 5, 16, 7, 16, 8, 10)
NUM_STEPS = 104
RATE = {"warmup_steps": 5, "decay": "cosine", "decay_steps": NUM_STEPS, "final_fraction": 0.1}
CONSTANT = {"warmup_steps": 0, "decay": "constant", "decay_steps": 1, "final_fraction": 0.0}

LAZY_ADAM = ("optimizer=lazy_adam", "optimizer.learning_rate=0.01", "optimizer.epsilon=1e-3")
L2_AND_CLIP = ("optimizer.l2_embedding=0.01", "optimizer.l2_dense=0.01", "optimizer.clip_norm=0.5")
DEEP = ("model.embedding_dim=4", "model.embedding_stddev=0.1", "model.hidden_units=[8,5]")
DEEPFM = ("model=deepfm", *DEEP)
SEQUENCES = (*LAZY_ADAM, *DEEP, "model.attention_units=[6]")
SEVERAL = ("model.embedding_dim=4", "model.embedding_stddev=0.1", "model.tower_units=[5]")
CASES = {
    "deepfm": (*DEEPFM, *LAZY_ADAM, *L2_AND_CLIP, "model.batch_norm=true", "optimizer.regularize=frequency"),
    "mmoe": ("model=mmoe", *SEVERAL, *LAZY_ADAM, "model.num_experts=3", "model.expert_units=[6]"),
    "dcn_v2": ("model=dcn_v2", *DEEP, *LAZY_ADAM, "model.batch_norm=true"),
    "din": ("model=din", *SEQUENCES, "model.hidden_activation=dice"),
    "sim_soft": ("model=sim_soft", *SEQUENCES, "model.num_found=3", "model.num_trained=4"),
    "sim_hard": ("model=sim_hard", *SEQUENCES),
    "esmm": ("model=esmm", "task=funnel", *SEVERAL, *LAZY_ADAM),
    "adam": (*DEEPFM, "optimizer=adam", "optimizer.learning_rate=0.01", "optimizer.epsilon=1e-3"),
    "adagrad": (*DEEPFM, "optimizer=adagrad", "optimizer.initial_accumulator_value=0.1", *L2_AND_CLIP),
    "rowwise_adagrad": (*DEEPFM, "optimizer=rowwise_adagrad", "optimizer.initial_accumulator_value=0.1"),
    "sgd": (*DEEPFM, "optimizer=sgd", "optimizer.rates=inverse_sqrt", "optimizer.lambda1=1e-4"),
    "ftrl": (*DEEPFM, "optimizer=ftrl", "optimizer.beta=1", "optimizer.lambda1=1e-4", "optimizer.lambda_group=1e-5"),
    "wide_ftrl": (
        *DEEPFM, "optimizer=wide_ftrl", "optimizer.wide.beta=1", "optimizer.deep.initial_accumulator_value=0.1",
        *L2_AND_CLIP,
    ),
    "l2_batch": (*DEEPFM, *LAZY_ADAM, *L2_AND_CLIP),
    "l2_table": (*DEEPFM, *LAZY_ADAM, *L2_AND_CLIP, "optimizer.regularize=table"),
}  # fmt: skip
OF_HISTORIES, OF_SEVERAL_TASKS = ("din", "sim_soft", "sim_hard"), ("mmoe", "esmm")
FAST = ("deepfm",)
MIRRORED_RUN = (
    "strategy=mirrored", "strategy.cpu_replicas=2", "data.sample.rows=3000", "trainer.batch_size=250",
    "trainer.epochs=1", "model.hidden_units=[8]", "hydra.run.dir=run", "trainer.precision=bfloat16",
)  # fmt: skip


def schema_of(case: str) -> Schema:
    labels = ("click", "conversion") if case in OF_SEVERAL_TASKS else ("click",)
    return samples.with_histories(labels=labels) if case in OF_HISTORIES else samples.schema(labels=labels)


def config_of(case: str, num_replicas: int) -> TrainConfig:
    strategy = ["strategy=mirrored", f"strategy.cpu_replicas={num_replicas}"] if num_replicas > 1 else ["strategy=one"]
    with initialize_config_module("rectrain.configs", version_base="1.3"):
        return train_config(OmegaConf.to_container(compose("train", [*CASES[case], *strategy]), resolve=True))


def batches(case: str):
    normalized = {"model.batch_norm=true", "model.hidden_activation=dice"} & {*CASES[case]}
    schema, sizes = schema_of(case), ROWS_TO_NORMALIZE if normalized else ROWS
    for number in range(NUM_STEPS):
        rows, rng = sizes[number % len(sizes)], np.random.default_rng([7, number])
        labels = (rng.random((rows, len(schema.labels))) < 0.4).astype("float32")
        weight = rng.uniform(0.5, 2, rows).astype("float32")
        yield {
            **samples.batch(schema, rows, seed=number),
            "labels": np.minimum(labels, labels[:, :1]),
            "weight": weight,
        }


def dataset(case: str):
    specs = {name: tf.TensorSpec(_any_length(name, x.shape), x.dtype) for name, x in next(batches(case)).items()}
    return tf.data.Dataset.from_generator(lambda: batches(case), output_signature=specs)


def _any_length(name: str, shape: tuple) -> tuple:
    """Any number of rows, and of steps of a history."""
    return (None, None) if name.startswith(("history", "long", "hits")) else (None, *shape[1:])


def learned(case: str, num_replicas: int, here: Callable = lambda data: data) -> dict[str, np.ndarray]:
    """All state after the steps, the losses, and what the model then says.

    Args:
        here: what this process reads of the batches.
    """
    schema, config = schema_of(case), config_of(case, num_replicas)
    occurrences = np.linspace(1, 50, schema.num_linear_rows, dtype=np.float32)
    schedule = CONSTANT if case == "ftrl" else RATE
    steps = build_steps(config, schema, schedule, "float32", occurrences=occurrences)
    losses = steps.train(steps.distribute(here(dataset(case))), NUM_STEPS)
    return {"losses": losses, **state(steps), **scores(steps, samples.batch(schema, 7, seed=999))}


def state(steps: Steps) -> dict[str, np.ndarray]:
    found = {}
    for name, variable in variables_by_name(steps.model, steps.optimizer).items():
        first, *others = steps.strategy.experimental_local_results(variable)
        for other in others:
            np.testing.assert_array_equal(first.numpy(), other.numpy(), err_msg=name)
        found[name] = first.numpy()
    return found


def scores(steps: Steps, batch: dict) -> dict[str, np.ndarray]:
    gates = gate_figures(steps.model, [batch])
    return {
        **{f"score {task}": values.numpy() for task, values in steps.score(batch).items()},
        **{f"gate {name}": np.array([*figures["load"], figures["entropy"]]) for name, figures in gates.items()},
    }


def save_learned(file: str, cases: tuple[str, ...], replicas: tuple[int, ...]):
    """Runs in a process of its own: logical devices cannot be changed once TensorFlow has started."""
    strategies.create(StrategyConfig("mirrored", cpu_replicas=max(replicas)))
    arrays = {}
    for case in cases:
        for number, num_replicas in enumerate(replicas):
            arrays |= {f"{case}:{number}:{name}": value for name, value in learned(case, num_replicas).items()}
    np.savez(file, **arrays)


@functools.cache
def learned_by(cases: tuple[str, ...], replicas: tuple[int, ...]) -> dict:
    """{(case, number of the run): {name: array}}."""
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/learned.npz"
        code = f"from tests.test_mirrored import save_learned; save_learned({file!r}, {cases!r}, {replicas!r})"
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
        found: dict = {}
        for key, value in np.load(file).items():
            case, number, name = key.split(":")
            found.setdefault((case, int(number)), {})[name] = value
        return found


def assert_close(received: dict, expected: dict):
    assert received.keys() == expected.keys()
    for name, value in received.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("case", FAST)
def test_three_replicas_learn_what_one_learns(case):
    found = learned_by(FAST, (1, 3))
    assert_close(found[case, 1], found[case, 0])
    assert len(found[case, 0]["losses"]) == NUM_STEPS


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_two_and_three_replicas_learn_what_one_learns_and_twice_the_same(case):
    found = learned_by(tuple(CASES), (1, 2, 3, 2, 3))
    for number in (1, 2):
        assert_close(found[case, number], found[case, 0])
        for name, value in found[case, number + 2].items():
            np.testing.assert_array_equal(value, found[case, number][name], err_msg=name)


@pytest.mark.slow
@pytest.mark.own_process
@pytest.mark.parametrize("make", [lambda: _batch_norm(0), Dice])
def test_statistics_are_those_of_all_rows_where_shares_are_unequal_or_empty(make):
    strategy = strategies.create(StrategyConfig("mirrored", cpu_replicas=3))
    x = np.random.default_rng(0).normal(1, 2, size=(9, 4)).astype("float32")
    shares = [tf.constant(part) for part in (x[:7], x[7:], x[9:])]
    alone = make()
    expected = alone(x, training=True)
    with strategy.scope():
        layer = make()
        layer.build((None, 4))
    inputs = strategy.experimental_distribute_values_from_function(lambda c: shares[c.replica_id_in_sync_group])
    outputs = tf.function(lambda: strategy.run(lambda share: layer(share, training=True), (inputs,)))()
    received = np.concatenate([part.numpy() for part in strategy.experimental_local_results(outputs)])
    np.testing.assert_allclose(received, expected, rtol=1e-4, atol=1e-5)
    for weight, of_alone in zip(layer.weights, alone.weights, strict=True):
        np.testing.assert_allclose(weight.numpy(), of_alone.numpy(), rtol=1e-5, err_msg=weight.path)


@pytest.mark.slow
@pytest.mark.own_process
def test_each_replica_drops_other_units():
    strategy = strategies.create(StrategyConfig("mirrored", cpu_replicas=3))
    with strategy.scope():
        layer = MLP([64], dropout=0.5, batch_norm=False)
        layer.build((None, 4))
    same = tf.ones((2, 4))
    outputs = tf.function(lambda: strategy.run(lambda: layer(same, training=True)))()
    kept = [part.numpy() != 0 for part in strategy.experimental_local_results(outputs)]
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert (kept[first] != kept[second]).sum() > 8


def check_checkpoints_fit_both(folder: str):
    """Runs in a process of its own."""
    strategies.create(StrategyConfig("mirrored", cpu_replicas=2))
    for saves, restores in ((2, 1), (1, 2)):
        made = [build_steps(config_of("dcn_v2", n), schema_of("dcn_v2"), RATE, "float32") for n in (saves, restores)]
        variables = [variables_by_name(steps.model, steps.optimizer) for steps in made]
        made[0].train(made[0].distribute(dataset("dcn_v2")), 9)
        made[0].optimizer.scale(0.5)
        first, second = (Checkpoints(Path(folder, str(saves)), of, keep=1) for of in variables)
        first.save(9, {}, best=None)
        second.restore(9)
        for name, value in state(made[0]).items():
            np.testing.assert_array_equal(state(made[1])[name], value, err_msg=name)
        assert made[1].optimizer.learning_rates(0) == made[0].optimizer.learning_rates(0)


@pytest.mark.slow
def test_a_checkpoint_of_replicas_is_one_of_a_single_device_and_the_other_way_round(tmp_path):
    code = f"from tests.test_mirrored import check_checkpoints_fit_both; check_checkpoints_fit_both({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.slow
def test_a_mirrored_run_is_scored_and_exported_on_one_device(rectrain, tmp_path):
    command = [sys.executable, "-c", "from rectrain.cli import main; main()", "model=deepfm", *MIRRORED_RUN]
    subprocess.run(command, cwd=tmp_path, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    report = json.loads((tmp_path / "run/report.json").read_text(encoding="utf-8"))
    assert report["replicas"] == 2
    assert report["device"].startswith("2 replicas on CPU")

    code, _, err = rectrain("evaluate", "run=run", "split=test")
    assert code == 0, err
    evaluation = json.loads((tmp_path / "run/evaluation-test.json").read_text(encoding="utf-8"))
    for name, found in evaluation["metrics"]["test"]["click"].items():
        expected = report["metrics"]["test"]["click"][name]
        if isinstance(found, dict) and found["value"] is not None:
            np.testing.assert_allclose(found["value"], expected["value"], rtol=1e-5, err_msg=name)
    assert evaluation["device"].startswith("CPU")
    model = restore_model(tmp_path / "run", "best").steps.model
    assert weights_sha256(model) == report["weights_sha256"]
    assert rectrain("export", "run=run")[0] == 0


def test_auto_is_mirrored_where_there_is_more_than_one_gpu(monkeypatch):
    made = []
    monkeypatch.setattr(tf.distribute, "MirroredStrategy", lambda devices, **_: made.append(devices))
    monkeypatch.setattr(tf.distribute, "OneDeviceStrategy", made.append)
    for num_gpus in range(4):
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind, n=num_gpus: ["a GPU"] * n)
        strategies.create(StrategyConfig("auto"))
    assert made == ["/cpu:0", "/gpu:0", ["/gpu:0", "/gpu:1"], ["/gpu:0", "/gpu:1", "/gpu:2"]]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "takes all GPUs, and TensorFlow sees none"),
        ({"devices": ["gpu:0", "gpu:1"]}, "strategy.devices: there is no 'gpu:0'; TensorFlow sees cpu:0"),
        ({"devices": ["cpu:0", "cpu:0"]}, r"strategy.devices=\[cpu:0,cpu:0\]: expected one or more different devices"),
        ({"devices": []}, r"strategy.devices=\[\]: expected one or more different devices"),
        ({"cpu_replicas": 7}, "strategy.cpu_replicas=7: this process has begun with 1 on its CPU"),
    ],
)
@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="there are GPUs")
def test_devices_that_are_not_there_are_told_by_their_key(settings, message):
    assert len(tf.config.list_logical_devices("CPU")) == 1
    with pytest.raises(InputError, match=message):
        strategies.create(StrategyConfig("mirrored", **settings))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["+strategy.cpu_replicas=2"], "strategy.devices and strategy.cpu_replicas need strategy=mirrored, not auto"),
        (["strategy=mirrored", "strategy.cpu_replicas=2", "strategy.devices=[cpu:0]"], "set it or strategy.devices to"),
        (
            ["strategy=mirrored", "strategy.cpu_replicas=0"],
            r"strategy.cpu_replicas=0: expected int in \[1, 2147483647\]",
        ),
        (["online", "model=lr", "strategy=mirrored"], "rectrain online learns on one device. Set strategy=one"),
    ],
)
def test_what_cannot_be_meant_is_refused(rectrain, overrides, message):
    code, _, err = rectrain(*overrides)
    assert code == 2
    assert re.search(message, err), err
