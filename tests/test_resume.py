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

from rectrain.commands import train as train_command
from rectrain.training import trainer as trainer_module
from rectrain.training.checkpoint import Checkpoints
from rectrain.training.steps import Steps
from tests.mortal import Killed, Life

# Evaluations in mid-epoch, at ends of epochs that cut compiled calls, and a checkpoint after each call.
OFTEN = ("trainer.save_every_s=0", "trainer.steps_per_call=3", "trainer.eval_every_steps=7", "trainer.epochs=2")
DCN = (
    "model=dcn", "model.embedding_dim=4", "model.hidden_units=[8]", "model.dropout=0.3", "data.sample.rows=2000",
    "trainer.batch_size=128", "optimizer.learning_rate=0.02",
)  # fmt: skip
LONG = (*OFTEN, "trainer.epochs=4", "resume=true")
# A rate so high that the second evaluation is worse than the first.
PLATEAU = ("optimizer.learning_rate=0.3", "trainer.schedule.plateau_factor=0.5", "trainer.patience=3")
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
        "trainer.schedule.decay=cosine",
    ),
}  # fmt: skip


MIRRORED = (*DCN, "model.batch_norm=true", "strategy=mirrored", "strategy.cpu_replicas=2")


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


@pytest.fixture(scope="module")
def wholes():
    return {}


@pytest.fixture
def whole(done, wholes):
    """What a run with these options leaves that nothing disturbed; each is made once."""

    def call(*options):
        if options not in wholes:
            wholes[options] = done(f"whole{len(wholes)}", *options)
        return wholes[options]

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


def test_killed_in_a_save_in_an_evaluation_and_before_the_report_it_ends_as_if_it_never_was(
    done, live, tmp_path, whole
):
    options = (*DCN, *PLATEAU, *OFTEN, "resume=true")
    expected = whole(*options)
    first, second = (entry["valid"]["click"]["auc"] for entry in expected["history"][:2])
    assert second < first  # so that the rate is cut, and the cut must be remembered
    for dies_at in ("before rename step-00000006", "after rename step-00000014", "before replace report.json"):
        assert live("killed", *options, dies_at=dies_at)[1]
    live("killed", *options)
    assert left(tmp_path / "killed") == expected
    assert report_of(tmp_path / "killed")["resumed"] == 3


def kind(moment):
    """Its name without the step of a checkpoint."""
    return moment.partition("-0")[0]


@pytest.mark.slow
def test_killed_once_at_each_kind_of_moment(done, live, tmp_path, whole):
    options = (*FAMILIES["dcn"], *LONG)
    expected = whole(*options)
    moments, _ = live("counted", *options)
    rng = random.Random(3)
    for name in sorted(set(map(kind, moments))):
        dies_at = rng.choice([i for i, moment in enumerate(moments, 1) if kind(moment) == name])
        assert live("killed", *options, dies_at=dies_at)[1]
        live("killed", *options)
        assert left(tmp_path / "killed") == expected, (name, dies_at)
        shutil.rmtree(tmp_path / "killed")


@pytest.mark.slow
@pytest.mark.parametrize("family", [*FAMILIES, pytest.param("mirrored", marks=pytest.mark.own_process)])
def test_killed_again_and_again_at_random(done, live, tmp_path, family, whole):
    options = (*(MIRRORED if family == "mirrored" else FAMILIES[family]), *LONG)
    expected = whole(*options)
    moments, _ = live("counted", *options)
    rng = random.Random(family)
    kills, died = [], True
    while died:
        dies_at = rng.randrange(1, len(moments)) if len(kills) < 8 else None
        _, died = live("killed", *options, dies_at=dies_at)
        kills.append(dies_at)
    assert left(tmp_path / "killed") == expected, kills
    assert len(expected["history"]) >= 3


def test_saves_by_the_clock_alter_nothing(done, whole):
    seldom = done("seldom", *DCN, *OFTEN, "trainer.save_every_s=300")
    often = whole(*SHORT)
    for key in ("weights_sha256", "losses", "history", "metrics", "lines", "points", "best"):
        assert seldom[key] == often[key], key
    assert seldom["checkpoints"][seldom["best"]["step"]].keys() == often["checkpoints"][often["best"]["step"]].keys()


def test_checkpoints_come_by_the_clock(train, tmp_path, monkeypatch):
    saved = []
    write = Checkpoints._write
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


# Real kills

# Learns slowly, so that a kill comes in the middle.
DRIVER = """
import os, time
from rectrain.training.steps import Steps
train = Steps.train
def slowly(self, *args):
    time.sleep(float(os.environ["PAUSE_S"]))
    return train(self, *args)
Steps.train = slowly
from rectrain.cli import main
main()
"""


@pytest.fixture
def start(tmp_path, prepared):
    """Starts it as a process of its own, that learns slowly."""
    driver = tmp_path / "driver.py"
    driver.write_text(DRIVER, encoding="utf-8")
    started = []

    def call(name, *overrides, pause_s):
        words = [f"data.prepared_dir={prepared}", f"hydra.run.dir={tmp_path / name}", *overrides]
        with (tmp_path / "terminal").open("ab") as said:
            process = subprocess.Popen(
                [sys.executable, driver, *words],
                cwd=tmp_path,
                env={**os.environ, "PAUSE_S": str(pause_s)},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )
        started.append(process)
        return process

    yield call
    for process in started:
        process.kill()
        process.wait()


def newest(folder):
    """Step of the newest checkpoint; 0 where there is none."""
    steps = [int(path.name.split("-")[1]) for path in (folder / "checkpoints").glob("step-*[0-9]")]
    return max(steps, default=0)


def wait_until(holds, process, limit_s=120):
    end = time.monotonic() + limit_s
    while not holds():
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.002)


def kill_at(start, tmp_path, options, steps, pause_s):
    """Kills it each time a checkpoint of so many steps is there, a random moment later."""
    rng = random.Random(5)
    for step in steps:
        process = start("killed", *options, pause_s=pause_s)
        wait_until(lambda step=step: newest(tmp_path / "killed") >= step, process)
        time.sleep(rng.random() * 2 * pause_s)
        process.kill()
        assert process.wait() == -signal.SIGKILL


def test_a_process_that_is_killed_goes_on(start, done, tmp_path, whole):
    options = (*DCN, *PLATEAU, *OFTEN, "resume=true")
    kill_at(start, tmp_path, options, [10], pause_s=0.1)
    assert done("killed", *options) == whole(*options)
    assert report_of(tmp_path / "killed")["resumed"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_processes_that_are_killed_again_and_again(start, done, tmp_path, family, whole):
    options = (*FAMILIES[family], *LONG)
    expected = whole(*options)
    last = expected["steps"]
    kill_at(start, tmp_path, options, [1, last // 3, last // 2, last - 4], pause_s=0.05)
    assert done("killed", *options) == expected


# Signals

NUMBERS = ("weights_sha256", "losses", "history", "metrics", "lines", "points", "best", "stopped_because")


def same(run, other):
    """Equal in all but which checkpoints are kept."""
    assert {key: run[key] for key in NUMBERS} == {key: other[key] for key in NUMBERS}


@pytest.fixture
def signal_at(monkeypatch):
    """Sends this process a signal when a function is called for the n-th time."""

    def call(owner, name, number, n=1):
        original, calls = getattr(owner, name), []

        def signalled(*args, **kwargs):
            calls.append(name)
            if len(calls) == n:
                signal.raise_signal(number)
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, signalled)

    return call


@pytest.mark.parametrize(("number", "code", "nth_call", "step"), [("SIGTERM", 143, 2, 6), ("SIGINT", 130, 3, 7)])
def test_a_signal_waits_for_the_compiled_call_and_is_told_how_to_go_on(
    train, done, rectrain, signal_at, tmp_path, number, code, nth_call, step, whole
):
    """After the third call an evaluation is due, which is made by the process that goes on."""
    options = (*DCN, *OFTEN, "trainer.epochs=1", "trainer.save_every_s=300")
    expected = whole(*options)
    signal_at(Steps, "train", signal.Signals[number], nth_call)
    found, _, err = train("run", *options)
    assert found == code, err
    report = report_of(tmp_path / "run")
    assert (report["status"], report["steps"], newest(tmp_path / "run")) == ("stopped", step, step)
    assert report["error"] == f"stopped by {number} at step {step}. What was learned up to step {step} is saved."
    assert report["error"] in err
    (again,) = [line.removeprefix("Go on with: ") for line in err.splitlines() if line.startswith("Go on with: ")]
    found, out, err = rectrain(*shlex.split(again)[1:])
    assert found == 0, err
    assert f"resumed      after step {step}" in out
    same(left(tmp_path / "run"), expected)


def test_a_signal_in_an_evaluation_ends_at_once_and_what_was_saved_stays(train, done, signal_at, tmp_path, whole):
    signal_at(trainer_module, "score_rows", signal.SIGTERM)
    options = (*DCN, "trainer.epochs=1", "trainer.report_splits=[test]")
    code, _, err = train("run", *options)
    assert code == 143
    assert "stopped by SIGTERM at step 13, before anything was saved." in err
    assert report_of(tmp_path / "run")["status"] == "stopped"
    same(done("run", *options, "resume=true"), whole(*options))


def test_a_signal_in_the_preparation_leaves_nothing_behind(train, signal_at, tmp_path):
    signal_at(train_command, "prepare_and_say", signal.SIGTERM)
    code, _, err = train("run", *DCN)
    assert code == 143
    assert "stopped by SIGTERM\nGo on with: rectrain" in err
    assert not (tmp_path / "run/config.yaml").exists()


LONG_CALL = """
import hashlib
from rectrain.signals import Signals
with Signals() as signals, signals.held():
    print("in it", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2_000_000_000)
"""


def test_a_second_ctrl_c_ends_a_call_that_python_cannot_interrupt():
    process = subprocess.Popen([sys.executable, "-c", LONG_CALL], stdout=subprocess.PIPE)
    with process:
        process.stdout.readline()
        for number in (signal.SIGTERM, signal.SIGTERM):
            process.send_signal(number)
            time.sleep(0.2)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 130


# What is refused, and what there is nothing to do for


def test_to_go_on_needs_a_folder(rectrain, tmp_path):
    code, _, err = rectrain(*DCN, "resume=true")
    assert (code, err) == (2, "rectrain: resume=true needs the folder of what goes on: set hydra.run.dir=DIR.\n")
    assert not (tmp_path / "outputs").exists()
    code, _, err = rectrain("-m", *DCN, "resume=true", "seed=1,2")
    assert code == 2
    assert "set hydra.sweep.dir=DIR" in err


def test_a_run_that_is_done_is_left_alone(train, tmp_path):
    assert train("run", *DCN, "trainer.epochs=1")[0] == 0
    before = (tmp_path / "run/report.json").read_bytes()
    code, out, err = train("run", *DCN, "trainer.epochs=1", "resume=true", "trainer.keep_checkpoints=9")
    assert code == 0, err
    assert out == f"{tmp_path}/run is done already: report.json is there.\n"
    assert (tmp_path / "run/report.json").read_bytes() == before
    code, _, err = train(
        "run", *DCN, "trainer.epochs=1", "resume=true", "expect={metric:auc,value:0.99,tolerance:0.01}"
    )
    assert code == 3
    code, _, err = train("run", *DCN, "trainer.epochs=1")
    assert code == 2
    assert "holds a run already" in err


# Its steps: 13 an epoch; checkpoints of steps 14 and 17 (and the best of 7 and 14) are there when it dies.
SHORT = (*DCN, *OFTEN, "resume=true")
DIES_AT = "before rename step-00000020"


@pytest.fixture
def unfinished(live, tmp_path):
    assert live("killed", *SHORT, dies_at=DIES_AT)[1]
    assert newest(tmp_path / "killed") == 17
    return tmp_path / "killed"


def test_another_config_is_refused_and_harms_nothing(train, done, unfinished, tmp_path, whole):
    for change, was in (
        ("trainer.epochs=4", "trainer.epochs=2"),
        ("trainer.max_steps=30", "trainer.max_steps=null"),
        ("model=fm", "model.name=dcn"),
    ):
        words = [word for word in SHORT if change != "model=fm" or not word.startswith("model")]
        code, _, err = train("killed", *words, change)
        assert code == 2, err
        key, value = (change if change != "model=fm" else "model.name=fm").split("=")
        told = f"{key}={value}: {unfinished}/checkpoints/step-00000017 was learned with {was}. Make it as it was, or"
        assert told in err
    assert done("killed", *SHORT)["weights_sha256"] == whole(*SHORT)["weights_sha256"]
    for change in ("seed=1", "optimizer.learning_rate=0.01", "data.split.by=random", "task.on_inconsistent=drop"):
        code, _, err = train("killed", *SHORT, change)
        assert (code, f"{change}: " in err) == (2, True)  # nor is a run that is done taken for another one


@pytest.mark.slow
def test_what_decides_no_number_may_change(done, unfinished, whole):
    other = ("trainer.keep_checkpoints=1", "trainer.save_every_s=300", "trainer.report_splits=[valid]")
    found, expected = done("killed", *SHORT, *other), whole(*SHORT)
    assert set(found["metrics"]) == {"valid"}
    assert found["history"] == expected["history"]
    assert found["weights_sha256"] == expected["weights_sha256"]


@pytest.mark.slow
def test_other_files_are_refused(train, live, done, prepared, tmp_path):
    done("sample", *DCN)
    (sample,) = (prepared.parent / "sample").glob("criteo-2000-*.tsv")
    own = tmp_path / "own.tsv"
    shutil.copy(sample, own)
    options = (*SHORT, f"data.files={own}")
    assert live("killed", *options, dies_at=DIES_AT)[1]
    own.write_text("".join(own.read_text().splitlines(keepends=True)[1:]))
    code, _, err = train("killed", *options)
    assert code == 2
    assert "prepared data=criteo-" in err


def test_a_folder_of_another_command_is_refused(rectrain, tmp_path):
    for command, other in ((), "online"), (("online",), "trainer"):
        (tmp_path / other).mkdir()
        (tmp_path / other / "config.yaml").write_text(f"seed: 1\n{other}:\n  batch_size: 1\n")
        code, _, err = rectrain(*command, f"hydra.run.dir={tmp_path / other}", "resume=true")
        assert code == 2
        assert "holds a run of another command" in err


def test_leftovers_of_a_run_that_saved_nothing_give_way(done, live, train, tmp_path, whole):
    assert live("killed", *SHORT, dies_at="before rename step-00000003")[1]
    assert list((tmp_path / "killed/checkpoints").glob(".saving-*"))
    assert train("killed", *DCN, *OFTEN)[0] == 2
    (tmp_path / "killed/notes.txt").write_text("mine")
    assert done("killed", *SHORT) == whole(*SHORT)
    assert (tmp_path / "killed/notes.txt").exists()
    assert report_of(tmp_path / "killed")["resumed"] == 0


# Damage


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_damaged_checkpoint_is_told_and_the_one_before_is_used(train, done, unfinished, tmp_path, whole):
    shutil.copytree(unfinished, tmp_path / "ruined")
    flip_a_bit(unfinished / "checkpoints/step-00000017/variables.data-00000-of-00001")
    code, out, err = train("killed", *SHORT)
    assert code == 0, err
    assert out.count("is damaged") == out.count("step-00000017 is damaged (variables.data-00000-of-00001: not as") == 1
    assert "resumed      after step 14" in out
    expected = whole(*SHORT)
    assert left(unfinished) == expected
    for path in (tmp_path / "ruined/checkpoints").glob("step-*/state.json"):
        path.unlink()
    assert done("ruined", *SHORT) == expected
    assert report_of(tmp_path / "ruined")["resumed"] == 0


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (tf.train.Checkpoint, "write"),
        pytest.param(os, "fsync", marks=pytest.mark.slow),
        pytest.param(Path, "rename", marks=pytest.mark.slow),
    ],
)
def test_a_full_disk_leaves_the_earlier_checkpoints(train, done, tmp_path, whole, owner, name):
    with pytest.MonkeyPatch.context() as patch:
        do = getattr(owner, name)

        def full(*args, **kwargs):
            if newest(tmp_path / "run") == 14 and not (tmp_path / "full").exists():
                (tmp_path / "full").touch()
                raise OSError(28, "No space left on device")
            return do(*args, **kwargs)

        patch.setattr(owner, name, full)
        code, _, err = train("run", *DCN, *OFTEN)
    assert code == 2
    assert "cannot write the checkpoint of step 1" in err
    assert "No space left on device. Earlier checkpoints are untouched." in err
    assert "Traceback" not in err
    assert report_of(tmp_path / "run")["status"] == "failed"
    assert done("run", *SHORT) == whole(*SHORT)


# Sweeps


@pytest.mark.slow
def test_a_sweep_goes_on_job_by_job(rectrain, done, prepared, tmp_path):
    """The first job is done, the second failed, the third was killed, the fourth had not begun."""
    options = (*SHORT, "trainer.epochs=1")
    words = ["-m", f"data.prepared_dir={prepared}", *options, "hydra.sweep.dir=sweep", "seed=1,2,3,4"]
    write = Checkpoints._write

    def ends(self, step, state):
        job = self.folder.parent.name
        if step == 10 and job == "1":
            raise OSError(28, "No space left on device")
        if step == 10 and job == "2":
            raise Killed
        write(self, step, state)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "_write", ends)
        with pytest.raises(Killed):
            rectrain(*words)
    assert report_of(tmp_path / "sweep/1")["status"] == "failed"
    assert not (tmp_path / "sweep/3").exists()
    code, out, err = rectrain(*words)
    assert code == 0, err
    assert out.count("is done already") == out.count("sweep/0 is done already") == 1
    assert out.count("resumed      after step 7") == 2
    for job in range(4):
        assert left(tmp_path / f"sweep/{job}") == done(f"alone{job}", *options, f"seed={job + 1}")
    assert rectrain(*words)[1].count("is done already") == 4


def test_a_signal_ends_a_sweep_which_can_go_on(rectrain, signal_at, prepared, tmp_path):
    signal_at(Steps, "train", signal.SIGTERM)
    code, _, err = rectrain("-m", f"data.prepared_dir={prepared}", *DCN, "trainer.epochs=1", "seed=1,2")
    assert code == 143
    (sweep,) = (tmp_path / "outputs").glob("*/*_sweep")
    assert [path.name for path in sweep.glob("[0-9]")] == ["0"]
    again = err.splitlines()[-1].removeprefix("Go on with: ")
    assert f"hydra.sweep.dir={sweep}" in again
    assert rectrain(*shlex.split(again)[1:])[0] == 0
    assert [report_of(sweep / job)["status"] for job in "01"] == ["done", "done"]
    assert [report_of(sweep / job)["resumed"] for job in "01"] == [1, 0]


# The same once more


def test_a_run_is_run_again_from_its_report(rectrain, done, tmp_path):
    first = done("first", *DCN, "trainer.epochs=1", r"data.folder='\${nothing}'")
    report = tmp_path / "first/report.json"
    code, _, err = rectrain(f"rerun={report}", "hydra.run.dir=again")
    assert code == 0, err
    assert report_of(tmp_path / "again")["config"] == report_of(tmp_path / "first")["config"]
    assert left(tmp_path / "again") == first
    code, _, err = rectrain(f"rerun={report}", "hydra.run.dir=other", "seed=1")
    assert code == 0, err
    assert left(tmp_path / "other")["weights_sha256"] != first["weights_sha256"]
    code, _, err = rectrain(f"rerun={report}", "model=fm")
    assert (code, "model=fm: with rerun=... there are no groups left" in err) == (2, True)
    assert "received the command prepare" in rectrain("prepare", f"rerun={report}")[2]


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"config": {"online": {}}}', "\x00"])
def test_what_is_no_report_is_not_run_again(rectrain, tmp_path, content):
    if content is not None:
        (tmp_path / "report.json").write_text(content)
    code, _, err = rectrain("rerun=report.json")
    assert code == 2
    assert "rerun=report.json: expected the report.json of a training run" in err
    assert "Traceback" not in err
