"""strategy=parameter_server: one worker makes the steps of strategy=one, several lose no row, and what is lost is told.

The slow tests run real processes on this machine.
"""

import contextlib
import functools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from rectrain.cluster import Member, free_addresses
from rectrain.errors import InputError
from rectrain.features import tables
from rectrain.features.tables import normal_columns
from rectrain.optimizers.groups import GroupedOptimizer
from rectrain.optimizers.parts import pieces
from rectrain.outputs.run_report import weights_sha256
from rectrain.training import variable_files, watch
from rectrain.training.build import build_steps, variables_by_name
from rectrain.training.checkpoint import Checkpoints
from rectrain.training.restore import restore_model
from rectrain.training.watch import Presence, is_up
from tests import samples
from tests.clusters import RECTRAIN, ROOT, ended, outputs, start
from tests.test_mirrored import (
    CASES,
    CONSTANT,
    L2_AND_CLIP,
    NUM_STEPS,
    RATE,
    assert_close,
    config_of,
    dataset,
    learned_by,
    schema_of,
    scores,
)
from tests.test_multi_worker import by_case

OF_WHOLE_TABLES = ("deepfm", "adam", "l2_table")  # regularize=frequency, adam, regularize=table: refused
SUPPORTED = tuple(case for case in CASES if case not in OF_WHOLE_TABLES)
SERVERS = 3  # tables of unequal parts
MOVES_BY_GRADIENT = {
    "name": "sgd", "learning_rate": 1.0, "rates": "constant", "lambda1": 0.0,
    "regularize": "batch", "l2_embedding": 0.0, "l2_dense": 0.0, "clip_norm": None,
}  # fmt: skip
RUN = (
    "model=deepfm", "data.sample.rows=3000", "trainer.batch_size=70", "trainer.epochs=2", "trainer.steps_per_call=5",
    "model.hidden_units=[8]", "trainer.shuffle_rows=700", "hydra.run.dir=run", "data.group=C1",
)  # fmt: skip
ON_SERVERS = "strategy=parameter_server"
LONG = ("trainer.epochs=60", "trainer.patience=null", "trainer.save_every_s=3", "trainer.steps_per_call=40")

# What is lost costs most here: .002 to .007 of AUC where steps did not count, .007 to .015 where workers set rows.
AMID_ITS_CLIMB = (
    "model=lr", "~model.hidden_units", "data.sample.rows=60000", "trainer.epochs=1", "optimizer.learning_rate=3e-4",
)  # fmt: skip
# Earlier a DeepFM has found its pairs of values or not, by chance: runs of one config differ by .03.
AT_ITS_TOP = ("data.sample.rows=200000", "trainer.epochs=2")


# Steps, in one process that is chief, worker and servers.


def cluster_of_one_process(num_servers: int, num_workers: int = 1):
    told = {"chief": free_addresses(1), "worker": free_addresses(num_workers), "ps": free_addresses(num_servers)}
    spec = tf.train.ClusterSpec(told)
    threads = tf.compat.v1.ConfigProto(inter_op_parallelism_threads=8)  # a worker that waits for a server keeps one
    servers = [
        tf.distribute.Server(spec, job, i, config=threads) for job in ("worker", "ps") for i in range(len(told[job]))
    ]
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        spec, task_type="chief", task_id=0, rpc_layer="grpc"
    )
    return tf.distribute.experimental.ParameterServerStrategy(resolver), servers


def built(case: str, strategy):
    return build_steps(
        config_of(case, 1), schema_of(case), CONSTANT if case == "ftrl" else RATE, "float32", strategy=strategy
    )


def learned_on_servers(case: str, strategy, coordinator, folder: Path) -> dict[str, np.ndarray]:
    """As test_mirrored.learned; the state is what a single process reads from the checkpoint."""
    steps = built(case, strategy)
    train = tf.function(lambda: steps.train_steps(iter(dataset(case)), tf.constant(NUM_STEPS)), autograph=False)
    losses = coordinator.schedule(train).fetch()
    assert_spread(steps)
    Checkpoints(folder, variables_by_name(steps.model, steps.optimizer), keep=1).save(1, {}, best=None)
    alone = built(case, tf.distribute.OneDeviceStrategy("/cpu:0"))
    variables = variables_by_name(alone.model, alone.optimizer)
    Checkpoints(folder, variables, keep=1).restore(1)
    assert_comes_back(steps, folder)
    found = {name: variable.numpy() for name, variable in variables.items()}
    assert int(steps.rows_trained.numpy()) > NUM_STEPS
    return {"losses": losses, **found, **scores(steps, samples.batch(schema_of(case), 7, seed=999))}


def assert_comes_back(steps, folder: Path):
    """What the servers read from their checkpoint is what they wrote."""
    tables = [weight for weight in steps.model.trainable_variables if weight.path.endswith("/table")]
    before = [np.concatenate([*pieces(table)]) for table in tables]
    for table in tables:
        for part in table._value.variables:
            part.assign(part + 1)
    Checkpoints(folder, variables_by_name(steps.model, steps.optimizer), keep=1).restore(1)
    for table, expected in zip(tables, before, strict=True):
        np.testing.assert_array_equal(np.concatenate([*pieces(table)]), expected, err_msg=table.path)


def assert_spread(steps):
    """Every table and each of its slots has a part on every server, a slot where its rows are."""
    for name, variable in variables_by_name(steps.model, steps.optimizer).items():
        if "/table" in name:
            sizes = [part.shape[0] for part in variable.variables]
            assert len(sizes) == SERVERS, name
            assert max(sizes) - min(sizes) <= 1, name
            table = variables_by_name(steps.model, steps.optimizer)[
                "model/" + re.sub("(optimizer/[a-z]+|model)/(.*/table).*", r"\2", name)
            ]
            assert [part.device for part in variable.variables] == [part.device for part in table.variables], name
            assert len({part.device for part in variable.variables}) == SERVERS


def save_learned(file: str, cases: tuple[str, ...]):
    """Runs in a process of its own."""
    variable_files._SMALLEST = 20  # numbers: several pieces of a part
    strategy, servers = cluster_of_one_process(SERVERS)
    coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)
    arrays = {}
    for case in cases:
        with tempfile.TemporaryDirectory() as folder:
            found = learned_on_servers(case, strategy, coordinator, Path(folder))
            arrays |= {f"{case}:{name}": value for name, value in found.items()}
    np.savez(file, **arrays)
    assert len(servers) == 1 + SERVERS


@functools.cache
def learned_by_servers(cases: tuple[str, ...]) -> dict:
    """{case: {name: array}}."""
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/learned.npz"
        code = f"from tests.test_parameter_server import save_learned; save_learned({file!r}, {cases!r})"
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
        return by_case(np.load(file))


@pytest.mark.slow
@pytest.mark.parametrize("case", SUPPORTED)
def test_one_worker_learns_on_servers_what_one_process_learns(case):
    """Bit for bit; a norm over all gradients is a sum in another order where tables have parts."""
    received, expected = learned_by_servers(SUPPORTED)[case], learned_by(SUPPORTED, (1,))[case, 0]
    assert_close(received, expected)
    if not {*L2_AND_CLIP} <= {*CASES[case]}:
        for name, value in expected.items():
            np.testing.assert_array_equal(received[name], value, err_msg=name)


@pytest.mark.own_process
def test_of_what_two_workers_do_at_the_same_time_every_move_and_step_counts():
    """Steps of gradient 1 at a rate of 1, of a whole weight and of the even rows of a table."""
    strategy, servers = cluster_of_one_process(2, num_workers=2)
    coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)
    with strategy.scope():
        dense, table = (keras.Variable(np.zeros(shape, "float32")) for shape in ((7,), (10, 3)))
        optimizer = GroupedOptimizer(MOVES_BY_GRADIENT, CONSTANT)
        optimizer.build([dense, table])

    def move():
        rows = tf.IndexedSlices(tf.ones((5, 3)), tf.range(0, 10, 2), tf.constant((10, 3)))
        optimizer.apply([tf.ones(7), rows], [dense, table])

    def unit():
        return tf.while_loop(lambda step: step < 20, lambda step: (strategy.run(move), step + 1)[1:], (0,))

    function = tf.function(unit, autograph=False)
    for _ in range(25):
        coordinator.schedule(function)
    coordinator.join()
    assert int(optimizer.step.numpy()) == 500
    np.testing.assert_array_equal(dense.numpy(), np.full(7, -500))
    # TensorFlow adds to rows without a lock: two adds within nanoseconds may count as one.
    np.testing.assert_allclose(table.numpy()[::2], -500, atol=2)
    np.testing.assert_array_equal(table.numpy()[1::2], 0)
    assert len(servers) == 4


# Runs of real processes.


def run_alone(folder: Path, *words: str, strategy: str = "strategy=one") -> dict:
    command = [sys.executable, *RECTRAIN, *RUN, strategy, *words]
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return report_of(folder)


def environment() -> dict[str, str]:
    return {**{k: v for k, v in os.environ.items() if k != "TF_CONFIG"}, "PYTHONPATH": str(ROOT)}


def report_of(folder: Path) -> dict:
    return json.loads((folder / "run/report.json").read_text(encoding="utf-8"))


class Processes:
    """A cluster whose members are started, killed and started again by name, as in "worker 0"."""

    def __init__(self, folder: Path, workers: int, servers: int, *words: str):
        self.folder, self.words = folder, words
        self.addresses = {"chief": free_addresses(1), "worker": free_addresses(workers), "ps": free_addresses(servers)}
        self.running: dict[str, subprocess.Popen] = {}

    def start(self, *names: str, words: tuple[str, ...] = ()):
        for name in names or [f"{job} {i}" for job, of_job in self.addresses.items() for i in range(len(of_job))]:
            job, index = name.split()
            arguments = (*RECTRAIN, *RUN, ON_SERVERS, *self.words, *words)
            self.running[name] = start(self.addresses, job, int(index), *arguments, cwd=self.folder)

    def kill(self, name: str):
        process = self.running.pop(name)
        process.kill()
        process.communicate()

    def named(self, name: str) -> str:
        job, index = name.split()
        return f"{name} ({self.addresses[job][int(index)]})"

    def ends(self, timeout_s: float = 300) -> dict[str, tuple[int, str]]:
        """{name: (exit code, what it printed)} of all that run."""
        return dict(zip(self.running, outputs(list(self.running.values()), timeout_s), strict=True))


@contextlib.contextmanager
def cluster(folder: Path, workers: int, servers: int, *words: str):
    processes = Processes(folder, workers, servers, *words)
    with ended([]) as all_of_them:
        try:
            yield processes
        finally:
            all_of_them += processes.running.values()


def run_on_servers(folder: Path, workers: int, servers: int, *words: str) -> dict:
    with cluster(folder, workers, servers, *words) as processes:
        processes.start()
        for name, (code, text) in processes.ends().items():
            assert code == 0, f"{name}: {text}"
    return report_of(folder)


def evaluations(folder: Path, number: int, timeout_s: float = 300) -> list[dict]:
    """What metrics.jsonl holds when so many evaluations are made."""
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            lines = (folder / "run/metrics.jsonl").read_text(encoding="utf-8").splitlines()
            if len(lines) >= number:
                return [json.loads(line) for line in lines[:number]]
        time.sleep(0.05)
    raise AssertionError("no evaluation came")


def forget_the_end(folder: Path):
    """As if the run had been killed after its first epoch."""
    (folder / "run/report.json").unlink()
    newest = max((folder / "run/checkpoints").glob("step-*"))
    shutil.rmtree(newest)


@pytest.mark.slow
def test_a_run_of_one_worker_is_that_of_one_process_and_each_goes_on_where_the_other_was(tmp_path, rectrain):
    alone, served = tmp_path / "alone", tmp_path / "served"
    for folder in (alone, served):
        folder.mkdir()
    expected = run_alone(alone)
    same = ("weights_sha256", "metrics", "losses", "steps", "best", "stopped_because", "parameters")
    report = run_on_servers(served, 1, 2)
    assert {key: report[key] for key in same} == {key: expected[key] for key in same}
    assert report["rows"] == {"repeated": 0}
    assert report["device"] == "asynchronous: 1 worker, tables on 2 servers"
    assert weights_sha256(restore_model(served / "run", "best").steps.model) == expected["weights_sha256"]

    forget_the_end(served)
    report = run_alone(served, "resume=true")
    assert {key: report[key] for key in same} == {key: expected[key] for key in same}
    forget_the_end(alone)
    report = run_on_servers(alone, 1, 2, "resume=true")
    assert {key: report[key] for key in same} == {key: expected[key] for key in same}


@pytest.mark.slow
def test_a_run_on_servers_is_scored_and_exported_by_one_process(tmp_path, rectrain):
    report = run_on_servers(tmp_path, 2, 2)
    assert rectrain("evaluate", "run=run", "split=test")[0] == 0
    evaluation = json.loads((tmp_path / "run/evaluation-test.json").read_text(encoding="utf-8"))
    assert evaluation["metrics"]["test"] == report["metrics"]["test"]
    assert weights_sha256(restore_model(tmp_path / "run", "best").steps.model) == report["weights_sha256"]
    assert rectrain("export", "run=run")[0] == 0


@pytest.mark.slow
@pytest.mark.parametrize("words", [AMID_ITS_CLIMB, AT_ITS_TOP])
def test_two_workers_learn_as_well_as_one_process(tmp_path, words):
    """To .003 of AUC; the same seed differs by .0006 (standard deviation over seeds), either way."""
    words = (*words, "trainer.batch_size=256", "trainer.steps_per_call=10", "seed=1")
    expected = run_alone(tmp_path, *words)["metrics"]["test"]["click"]["auc"]["value"]
    (tmp_path / "run").rename(tmp_path / "alone")
    received = run_on_servers(tmp_path, 2, 2, *words)["metrics"]["test"]["click"]["auc"]["value"]
    assert abs(received - expected) < 0.003, (received, expected)


@pytest.mark.slow
def test_a_worker_that_is_killed_and_comes_back_loses_no_row(tmp_path):
    words = ("data.sample.rows=60000", "trainer.epochs=6", "trainer.patience=null", "trainer.steps_per_call=172")
    with cluster(tmp_path, 2, 2, *words) as processes:
        processes.start()
        seconds = [entry["seconds"] for entry in evaluations(tmp_path, 2)]
        time.sleep((seconds[1] - seconds[0]) / 4)  # each worker is amid the first of its two units of an epoch
        processes.kill("worker 0")
        evaluations(tmp_path, 3)  # the other goes on
        processes.start("worker 0")
        for name, (code, text) in processes.ends(480).items():
            assert code == 0, f"{name}: {text}"
    report = report_of(tmp_path)
    assert report["status"] == "done"
    assert report["steps"] == 6 * 686
    assert 0 < report["rows"]["repeated"] <= 172 * 70
    assert "trained on again, as a worker was lost" in (tmp_path / "run/report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_worker_that_stands_still_ends_the_run_after_wait_s(tmp_path):
    with cluster(tmp_path, 2, 1, *LONG, "strategy.wait_s=20") as processes:
        processes.start()
        evaluations(tmp_path, 2)
        stopped = processes.running["worker 0"]
        stopped.send_signal(signal.SIGSTOP)
        code, text = outputs([processes.running["chief 0"]], 120)[0]
        assert code == 2, text
        assert "no worker has finished anything for strategy.wait_s=20 s (all can be reached)" in text
        stopped.send_signal(signal.SIGCONT)
        code, text = outputs([stopped], 120)[0]
        assert code == 2, text
    assert report_of(tmp_path)["status"] == "failed"


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["ps 1", "chief 0"])
def test_a_lost_server_or_chief_ends_the_run_by_name_and_it_goes_on_from_its_checkpoint(tmp_path, lost):
    with cluster(tmp_path, 2, 2, *LONG) as processes:
        processes.start()
        evaluations(tmp_path, 3)
        processes.kill(lost)
        killed = time.monotonic()
        found = processes.ends(60)
        assert time.monotonic() - killed < 60
        for name, (code, text) in found.items():
            assert code == 2, f"{name}: {text}"
            assert f"{processes.named(lost)} is gone" in text or "chief, ended: " in text, f"{name}: {text}"
    report = run_on_servers(tmp_path, 2, 2, *LONG, "resume=true")
    assert report["resumed"] == 1
    assert report["steps"] == 60 * 35


@pytest.mark.slow
def test_a_signal_to_all_processes_leaves_the_chief_time_to_save(tmp_path):
    with cluster(tmp_path, 2, 2, *LONG) as processes:
        processes.start()
        evaluations(tmp_path, 3)
        for process in processes.running.values():
            process.send_signal(signal.SIGTERM)
        found = processes.ends(60)
        assert {code for code, _ in found.values()} <= {143, 2}, found
        assert found["chief 0"][0] == 143
    report = report_of(tmp_path)
    assert report["status"] == "stopped"
    assert re.search(r"What was learned up to step [\d,]+ is saved", report["error"])


@pytest.mark.slow
def test_a_process_of_another_config_is_refused_by_name(tmp_path):
    with cluster(tmp_path, 1, 1) as processes:
        processes.start("chief 0", "ps 0")
        processes.start("worker 0", words=("trainer.batch_size=71",))
        found = processes.ends(120)
    message = (
        f"{processes.named('worker 0')} has trainer.batch_size=71, and {processes.named('chief 0')}, the chief, has "
        "trainer.batch_size=70"
    )
    for name, (code, text) in found.items():
        assert code == 2, f"{name}: {text}"
        assert message in text, f"{name}: {text}"
    assert not (tmp_path / "run/config.yaml").exists()


@pytest.mark.slow
def test_processes_that_do_not_come_are_named_after_wait_s(tmp_path):
    with cluster(tmp_path, 1, 2, "strategy.wait_s=3") as processes:
        processes.start("chief 0", "ps 0")
        (code, text), (server_code, server_text) = processes.ends(120).values()
    assert (code, server_code) == (2, 2), text + server_text
    assert f"{processes.named('worker 0')}, {processes.named('ps 1')} did not come within strategy.wait_s=3" in text


# Without a cluster.


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["optimizer=adam"], "optimizer=adam moves every row of a table"),
        (["optimizer.regularize=table"], "optimizer.regularize=table needs more of a table than the rows of a batch"),
        (["optimizer.regularize=frequency"], "optimizer.regularize=frequency needs more of a table"),
        (["strategy.wait_s=null"], "strategy.wait_s goes with strategy=multi_worker and parameter_server"),
        ([], "strategy=parameter_server reads which processes there are from the variable TF_CONFIG, which is not set"),
    ],
)
def test_what_cannot_be_done_on_servers_is_refused(rectrain, monkeypatch, words, message):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    code, _, err = rectrain("model=lr", ON_SERVERS, *words)
    assert code == 2
    assert message in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["bench", "model=lr"], "strategy=parameter_server: rectrain bench measures one process"),
        (["evaluate", "run=run"], "strategy=parameter_server is for training; rectrain evaluate reads the checkpoints"),
        (
            ["predict", "run=run", "input=a", "output=b"],
            "strategy=parameter_server is for training; rectrain predict reads the checkpoints",
        ),
        (["online", "model=lr"], "strategy=parameter_server: rectrain online learns on one device"),
    ],
)
def test_other_commands_refuse_servers(rectrain, words, message):
    code, _, err = rectrain(*words, ON_SERVERS)
    assert code == 2
    assert message in err


def test_a_process_is_seen_before_tensorflow_listens_and_a_port_in_use_is_told():
    member = Member("chief", 0, free_addresses(1)[0])
    assert not is_up(member)
    with Presence(member):
        for _ in range(100):  # more than wait in line at a port
            assert is_up(member)
        with pytest.raises(InputError, match=r"this process is chief 0 .* cannot be had here"):
            Presence(member)
    assert not is_up(member)
    with Presence(member):
        assert is_up(member)


def test_a_member_is_gone_after_some_looks_without_an_answer(monkeypatch):
    monkeypatch.setattr(watch, "_EVERY_S", 0.05)
    member = Member("ps", 1, free_addresses(1)[0])
    with Presence(member), watch.Watch([member]) as looking:
        time.sleep(0.5)
        assert not looking.gone
    with watch.Watch([member]) as looking:
        until = time.monotonic() + 20
        while not looking.gone:
            assert time.monotonic() < until
            time.sleep(0.01)
        assert looking.gone == [member]


def test_a_table_drawn_in_pieces_is_the_one_drawn_whole(monkeypatch):
    random.seed(3)
    whole = normal_columns((10, 3), 2, 0.5)
    monkeypatch.setattr(tables, "_ROWS_AT_A_TIME", 4)
    random.seed(3)
    np.testing.assert_array_equal(normal_columns((10, 3), 2, 0.5), whole)
    assert not whole[:, 2].any()
