"""TF_CONFIG is checked, and the processes of a run meet, agree, and hear of each other's end."""

import json
import re
import socket
import threading
import time

import numpy as np
import pytest

from rectrain import cluster
from rectrain.cluster import Cluster, Member, free_addresses
from rectrain.errors import InputError
from rectrain.training import team as teams
from rectrain.training.team import Alone, Team

HELLO = {"seed": 1, "model": {"name": "fm", "settings": {"embedding_dim": 4}}}


def told(**changes) -> dict:
    good = {"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 1}}
    return {**good, **changes}


def test_the_chief_is_first_and_this_process_is_found(monkeypatch):
    addresses_of = {"worker": ["a:1", "[::1]:2"], "chief": ["c:3"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps(told(cluster=addresses_of, task={"type": "worker", "index": "1"})))
    found = cluster.from_environment("multi_worker")
    assert [str(member) for member in found.members] == ["chief 0 (c:3)", "worker 0 (a:1)", "worker 1 ([::1]:2)"]
    assert (found.position, found.is_chief, found.me.endpoint) == (2, False, ("::1", 2))
    assert cluster.is_told()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "strategy=multi_worker reads which processes there are from the variable TF_CONFIG, which is not set"),
        ("{", "TF_CONFIG: it is no JSON"),
        ("[]", "expected an object with the keys cluster and task"),
        ({"cluster": {"worker": ["a:1"]}}, "expected an object with the keys cluster and task"),
        (told(cluster={"wroker": ["a:1"]}), "strategy=multi_worker has no job 'wroker'. Did you mean 'worker'?"),
        (told(cluster={"worker": ["a:1"], "ps": ["b:2"]}), "strategy=multi_worker has no job 'ps'"),
        (told(cluster={"worker": "a:1"}), "cluster.worker='a:1': expected a list of host:port"),
        (told(cluster={"worker": ["a"]}), r"cluster.worker\[0\]='a': expected host:port"),
        (told(cluster={"worker": ["a:1", "b:70000"]}), r"cluster.worker\[1\]='b:70000': expected host:port"),
        (told(cluster={"worker": ["a:1", 5]}), r"cluster.worker\[1\]=5: expected host:port"),
        (told(cluster={"worker": ["a:1", "a:1"]}), r"worker 0 \(a:1\) and worker 1 \(a:1\) have one address"),
        (told(cluster={"chief": ["a:1"]}), "strategy=multi_worker needs cluster.worker"),
        (told(cluster={"chief": ["a:1", "b:2"], "worker": ["c:3"]}), "cluster.chief names 2 processes; expected one"),
        (
            told(task={"type": "worker", "index": 2}),
            "task.type='worker' and task.index=2 name none of worker 0, worker",
        ),
        (told(task={"type": "worker", "index": True}), "task.index=True name none of"),
        (told(task={}), "task.type=None and task.index=None name none of"),
    ],
)
def test_what_is_no_cluster_is_refused(monkeypatch, text, message):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if text is not None:
        monkeypatch.setenv("TF_CONFIG", text if isinstance(text, str) else json.dumps(text))
    with pytest.raises(InputError, match=message):
        cluster.from_environment("multi_worker")


def test_a_strategy_of_one_process_refuses_a_cluster(rectrain, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", json.dumps(told()))
    code, _, err = rectrain("strategy=one")
    assert code == 2
    assert "strategy=one is of one process, and TF_CONFIG names several. Set strategy=multi_worker" in err


def members(number: int) -> list[Cluster]:
    found = tuple(Member("worker", i, address) for i, address in enumerate(free_addresses(number)))
    return [Cluster(found, me) for me in found]


def together(clusters: list[Cluster], act, *, hellos=(), wait_s=10.0) -> list:
    """What `act(team)` returns or raises in each process; here each is a thread."""
    found: list = [None] * len(clusters)

    def run(i):
        try:
            with Team(clusters[i], dict(hellos).get(i, HELLO), wait_s) as team:
                found[i] = act(team)
        except InputError as error:
            found[i] = error

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(clusters))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    return found


@pytest.fixture(autouse=True)
def _connections_end():
    """Before pytest looks for what was left open."""
    others = threading.active_count()
    yield
    until = time.monotonic() + 5
    while threading.active_count() > others and time.monotonic() < until:
        time.sleep(0.02)


@pytest.mark.parametrize("number", [1, 3])
def test_all_hear_the_chief_any_flag_and_the_chief_gets_all_rows(number):
    def act(team):
        rows = np.full((team.position, 2), team.position, np.float32)
        return team.share({"of": team.position}), team.any(team.position == 2, False), team.gather_rows({"x": rows})

    first, *others = together(members(number), act)
    assert first[:2] == ({"of": 0}, [number == 3, False])
    np.testing.assert_array_equal(first[2]["x"], np.repeat(np.arange(number), np.arange(number))[:, None] * [1, 1])
    for other in others:
        assert other == ({"of": 0}, [True, False], None)


def test_one_process_is_a_team_of_its_own():
    alone, rows = Alone(), {"x": np.zeros(3)}
    assert (alone.share(5), alone.any(True, False), alone.gather_rows(rows)) == (5, [True, False], rows)


def test_another_config_is_refused_by_its_key_everywhere():
    other = {**HELLO, "model": {"name": "fm", "settings": {"embedding_dim": 8}}}
    for error in together(members(3), lambda team: "met", hellos=[(1, other)]):
        assert re.search(r"worker 1 \(.*\) has model.settings.embedding_dim=8, and worker 0 \(.*\), the chief, has "
                         "model.settings.embedding_dim=4", str(error))  # fmt: skip


def test_another_cluster_is_refused():
    clusters = members(2)
    longer = (*clusters[0].members, Member("worker", 2, "h:1"))
    errors = together([clusters[0], Cluster(longer, longer[1])], lambda team: "met")
    for error in errors:
        assert "has cluster=[" in str(error)


def test_who_does_not_come_is_named():
    clusters, started = members(3), time.monotonic()
    errors = together(clusters[:2], lambda team: "met", wait_s=1.0)
    assert time.monotonic() - started < 10
    for error in errors:
        assert f"{clusters[2].me} did not come within strategy.wait_s=1 seconds" in str(error)


def test_a_chief_that_does_not_come_is_named():
    (error,) = together(members(2)[1:], lambda team: "met", wait_s=0.5)
    assert re.search(r"worker 0 \(.*\), the chief, could not be reached within strategy.wait_s=0.5", str(error))


def test_two_with_one_number_are_refused():
    clusters = members(3)
    elsewhere = Member("worker", 1, *free_addresses(1))  # of one address the second would find the port in use
    errors = together([clusters[0], clusters[1], Cluster((*clusters[0].members, elsewhere), elsewhere)], len)
    for error in errors:
        assert f"{clusters[1].me} came twice: two processes have worker index 1." in str(error)


@pytest.mark.parametrize("position", [0, 1])
def test_a_port_in_use_is_told(position):
    clusters = members(2)
    with socket.create_server(("", clusters[position].me.endpoint[1])):
        (error,) = together([clusters[position]], lambda team: "met", wait_s=1.0)
    assert f"this process is {clusters[position].me}, and port" in str(error)
    assert "cannot be had here" in str(error)


def test_strangers_at_the_port_are_sent_away():
    clusters = members(2)

    def knock():
        for _ in range(50):
            try:
                with socket.create_connection(clusters[0].me.endpoint, timeout=1) as stranger:
                    stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
                return
            except OSError:
                time.sleep(0.02)

    stranger = threading.Thread(target=knock)
    stranger.start()
    first = threading.Thread(target=lambda: found.append(together(clusters[:1], lambda team: "met")))
    found: list = []
    first.start()
    stranger.join()
    assert together(clusters[1:], lambda team: "met") == ["met"]
    first.join()
    assert found == [["met"]]


@pytest.mark.parametrize("lost", [0, 1])
def test_the_loss_of_a_process_ends_the_others_by_name(monkeypatch, lost):
    stopped = []
    monkeypatch.setattr(teams, "_stop_tensorflow", stopped.append)

    def act(team):
        if team.position == lost:
            team._over.set()
            for link in team._links.values():  # as the system does where a process is killed
                link.shutdown(socket.SHUT_RDWR)
            return "killed"
        return team.any(False)

    clusters = members(3)
    found = together(clusters, act)
    for position in {0, 1, 2} - {lost}:
        assert f"{clusters[lost].me} is gone: its process or its machine ended" in str(found[position])
        assert "resume=true" in str(found[position])
    assert len(stopped) == 2


def test_why_a_process_ended_is_told_to_the_others():
    def act(team):
        if team.position == 1:
            raise InputError("the disk is full")
        return team.any(False)

    first, second, third = together(members(3), act)
    assert str(second) == "the disk is full"
    for error in (first, third):
        assert re.match(r"worker 1 \(.*\) ended: the disk is full", str(error))


def test_errors_of_tensorflow_are_the_loss_that_made_them(monkeypatch):
    monkeypatch.setattr(teams, "_PING_S", 0.3)

    def act(lost):
        def fail(team):
            team.lost = lost
            with team.naming_the_lost():
                raise RuntimeError("collective aborted")

        return fail

    (error,) = together(members(1), act("worker 1 is gone"))
    assert str(error) == "worker 1 is gone"
    with pytest.raises(RuntimeError, match="collective aborted"), Team(members(1)[0], HELLO, 1.0) as team:
        act(None)(team)
