"""Training that is stopped or killed and goes on ends as if it never was: bit for bit, whatever the moment."""

import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from rectrain.training import trainer as trainer_module
from rectrain.training.steps import Steps
from tests.mortal import Killed, Life

# Evaluations in mid-epoch, at ends of epochs that cut compiled calls, and a checkpoint after each call.
OFTEN = ("trainer.save_every_s=0", "trainer.steps_per_call=3", "trainer.eval_every_steps=7", "trainer.epochs=3")
DCN = (
    "model=dcn", "model.embedding_dim=4", "model.hidden_units=[8]", "model.dropout=0.3", "data.sample.rows=2000",
    "trainer.batch_size=128", "optimizer.learning_rate=0.02",
)  # fmt: skip
PLATEAU = ("trainer.schedule.plateau_factor=0.5", "trainer.schedule.decay=cosine", "trainer.patience=2")
HISTORIES = (
    "data=movielens", "data.source=sample", "data.sample.rows=3000", "trainer.batch_size=256", "model.hidden_units=[8]",
    "model.attention_units=[4]", "model.dropout=0.2",
)  # fmt: skip
FAMILIES = {
    "dcn": (*DCN, *PLATEAU),
    "dcn_bfloat16": (*DCN, "trainer.precision=bfloat16", "trainer.shuffle_rows=500", "optimizer=rowwise_adagrad"),
    "din_self_attention": ("model=din_self_attention", *HISTORIES),
    "sim_soft": ("model=sim_soft", *HISTORIES, "data.sample.truth=long", "model.num_found=5"),
    "mmoe": (
        "model=mmoe", "data=census_income", "data.source=sample", "data.sample.rows=3000", "model.expert_units=[8]",
        "model.tower_units=[4]", "model.dropout=0.2", "trainer.batch_size=256",
    ),
    "esmm": (
        "model=esmm", "task=funnel", "data=ali_ccp", "data.source=sample", "data.sample.rows=12000",
        "model.embedding_dim=4", "model.tower_units=[8]", "trainer.batch_size=1024", "trainer.monitor=ctr.auc",
    ),
    "wide_ftrl": (
        "model=wide_deep", "optimizer=wide_ftrl", "model.hidden_units=[8]", "data.crosses=[[C1,C2]]",
        "data.sample.rows=2000", "trainer.batch_size=128", "trainer.schedule.warmup_steps=9",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return tmp_path_factory.mktemp("data") / "prepared"


@pytest.fixture
def train(rectrain, tmp_path, prepared):
    """Runs in-process: (exit code, stdout, stderr)."""

    def call(name, *overrides):
        return rectrain(f"data.prepared_dir={prepared}", f"hydra.run.dir={tmp_path / name}", *overrides)

    return call


@pytest.fixture
def done(train, tmp_path):
    """What a run leaves that must succeed."""

    def call(name, *overrides):
        code, _, err = train(name, *overrides)
        assert code == 0, err
        return left(tmp_path / name)

    return call


@pytest.fixture
def live(train):
    """Runs until it dies at a moment, or is done: the moments that passed, and whether it died."""

    def call(name, *overrides, dies_at=None):
        with pytest.MonkeyPatch.context() as patch:
            life = Life(patch, dies_at)
            try:
                code, _, err = train(name, *overrides)
            except Killed:
                return life.moments, True
        assert code == 0, err
        return life.moments, False

    return call


def report_of(folder):
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def left(folder):
    """Everything that a run leaves but what depends on the clock and on how often it was begun."""
    report = report_of(folder)
    told = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    index = json.loads((folder / "checkpoints/index.json").read_text(encoding="utf-8"))
    of_report = ("status", "weights_sha256", "metrics", "losses", "best", "stopped_because", "steps", "curves")
    return {
        **{key: report[key] for key in of_report},
        "history": timeless(report["history"]),
        "lines": timeless(map(json.loads, told)),
        "points": points(folder / "tensorboard"),
        "index": index,
        "checkpoints": {step: checkpoint(folder, step) for step in index["steps"]},
        "files": sorted(path.name for path in (folder / "checkpoints").iterdir()),
    }


def timeless(entries):
    return [{key: value for key, value in entry.items() if key != "seconds"} for entry in entries]


def points(folder):
    """Each scalar that TensorBoard shows, as often as it would."""
    events = [e for path in sorted(folder.glob("events*")) for e in tf.compat.v1.train.summary_iterator(str(path))]
    return sorted((v.tag, e.step, float(tf.make_ndarray(v.tensor))) for e in events for v in e.summary.value)


def checkpoint(folder, step):
    """Its variables, weights and slots, as bytes, and the loop's plain values."""
    path = folder / f"checkpoints/step-{step:08d}"
    reader = tf.train.load_checkpoint(str(path / "variables"))
    variables = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    state = json.loads((path / "state.json").read_text(encoding="utf-8"))
    progress = {k: v for k, v in state["done"].items() if not k.endswith("seconds") and k != "attempts"}
    progress["evaluations"] = timeless(progress["evaluations"])
    numbers = {name: np.asarray(value).tobytes() for name, value in variables.items()}
    return numbers | {"state": {**state, "done": progress}}


# Kills


def test_killed_in_a_save_in_an_evaluation_and_before_the_report_it_ends_as_if_it_never_was(done, live, tmp_path):
    options = (*DCN, *PLATEAU, *OFTEN, "resume=true")
    whole = done("whole", *options)
    for dies_at in ("before rename step-00000006", "after rename step-00000014", "before replace report.json"):
        assert live("killed", *options, dies_at=dies_at)[1]
    live("killed", *options)
    assert left(tmp_path / "killed") == whole
    assert report_of(tmp_path / "killed")["resumed"] == 3


def kind(moment):
    """Its name without the step of a checkpoint."""
    return moment.partition("-0")[0]


@pytest.mark.slow
def test_killed_once_at_each_kind_of_moment(done, live, tmp_path):
    options = (*FAMILIES["dcn"], *OFTEN, "resume=true")
    whole = done("whole", *options)
    moments, _ = live("counted", *options)
    rng = random.Random(3)
    for name in sorted(set(map(kind, moments))):
        dies_at = rng.choice([i for i, moment in enumerate(moments, 1) if kind(moment) == name])
        assert live("killed", *options, dies_at=dies_at)[1]
        live("killed", *options)
        assert left(tmp_path / "killed") == whole, (name, dies_at)
        shutil.rmtree(tmp_path / "killed")


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_killed_again_and_again_at_random(done, live, tmp_path, family):
    options = (*FAMILIES[family], *OFTEN, "resume=true")
    whole = done("whole", *options)
    moments, _ = live("counted", *options)
    rng = random.Random(family)
    kills, died = [], True
    while died:
        dies_at = rng.randrange(1, len(moments)) if len(kills) < 8 else None
        _, died = live("killed", *options, dies_at=dies_at)
        kills.append(dies_at)
    assert left(tmp_path / "killed") == whole, kills
    assert len(whole["history"]) > 3


def test_saves_by_the_clock_alter_nothing(done):
    seldom = done("seldom", *DCN, *OFTEN, "trainer.save_every_s=300")
    often = done("often", *DCN, *OFTEN)
    for key in ("weights_sha256", "losses", "history", "metrics", "lines", "points", "best"):
        assert seldom[key] == often[key], key
    assert seldom["checkpoints"][seldom["best"]["step"]].keys() == often["checkpoints"][often["best"]["step"]].keys()


def test_checkpoints_come_by_the_clock(train, tmp_path, monkeypatch):
    saved = []
    write = trainer_module.Checkpoints._write
    monkeypatch.setattr(
        trainer_module.Checkpoints, "_write", lambda self, step, *a: (saved.append(step), write(self, step, *a))
    )
    now = iter(range(0, 100_000, 10))
    monkeypatch.setattr(trainer_module.time, "monotonic", lambda: next(now))
    code, _, err = train(
        "run", *DCN, *OFTEN, "trainer.epochs=1", "trainer.eval_every_steps=null", "trainer.save_every_s=35"
    )
    assert code == 0, err
    assert saved[-1] == 13
    assert 1 < len(saved) < 5
