"""TF_CONFIG, checked: which processes make a cluster, and which of them this one is."""

import contextlib
import dataclasses
import importlib.metadata
import itertools
import json
import os
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass

from rectrain.config import StrategyConfig
from rectrain.errors import InputError, did_you_mean
from rectrain.same_config import word

VARIABLE = "TF_CONFIG"
START_AGAIN = "What was saved stays: start all processes again, with resume=true and the hydra.run.dir."
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:]+\]|[\w.-]+):(\d{1,5})")
_EXAMPLE = '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}'
JOBS = {"multi_worker": ("chief", "worker"), "parameter_server": ("chief", "worker", "ps")}


@dataclass(frozen=True, order=True)
class Member:
    """One process: its job, its number in it, and the host:port where the others reach it."""

    job: str
    index: int
    address: str

    def __str__(self):
        return f"{self.job} {self.index} ({self.address})"

    @property
    def endpoint(self) -> tuple[str, int]:
        host, port = self.address.rsplit(":", 1)
        return host.strip("[]"), int(port)


@dataclass(frozen=True)
class Cluster:
    """All processes in TensorFlow's order, the chief's (or, without one, worker 0's) first; and which is this one."""

    members: tuple[Member, ...]
    me: Member

    @property
    def chief(self) -> Member:
        return self.members[0]

    @property
    def is_chief(self) -> bool:
        return self.me == self.chief

    @property
    def position(self) -> int:
        """Of this process among all."""
        return self.members.index(self.me)


def is_told() -> bool:
    """Whether the environment names a cluster of more than one process."""
    try:
        cluster = json.loads(os.environ.get(VARIABLE, "{}"))["cluster"]
        return sum(len(addresses) for addresses in cluster.values()) > 1
    except (ValueError, KeyError, TypeError, AttributeError):
        return False


def from_environment(strategy: str) -> Cluster:
    """The cluster that TF_CONFIG names, for a strategy of several processes.

    Raises:
        InputError: it is missing, or is not what the strategy needs.
    """
    text = os.environ.get(VARIABLE)
    if not text:
        raise InputError(
            f"strategy={strategy} reads which processes there are from the variable {VARIABLE}, which is not set. "
            f"Set it as in {_EXAMPLE}, or start a cluster on this machine with rectrain cluster."
        )
    try:
        told = json.loads(text)
    except ValueError as error:
        raise _wrong(f"it is no JSON ({error})") from error
    if not all(isinstance(part, dict) for part in (told, *(_part(told, key) for key in ("cluster", "task")))):
        raise _wrong("expected an object with the keys cluster and task")
    members = _members(told["cluster"], strategy)
    return Cluster(members, _me(told["task"], members))


def _part(told, key: str):
    return told.get(key) if isinstance(told, dict) else None


def _members(cluster: dict, strategy: str) -> tuple[Member, ...]:
    for job in cluster:
        if job not in JOBS[strategy]:
            raise _wrong(f"strategy={strategy} has no job {job!r}.{did_you_mean(job, JOBS[strategy])}")
    found = [
        Member(job, index, _address(address, f"cluster.{job}[{index}]"))
        for job in JOBS[strategy]
        for index, address in enumerate(_addresses(cluster, job))
    ]
    _check_jobs(cluster, strategy)
    for first, second in itertools.combinations(found, 2):
        if first.address == second.address:
            raise _wrong(f"{first} and {second} have one address")
    return tuple(found)


def _addresses(cluster: dict, job: str) -> list:
    addresses = cluster.get(job, [])
    if not isinstance(addresses, list):
        raise _wrong(f"cluster.{job}={addresses!r:.200}: expected a list of host:port")
    return addresses


def _address(address, key: str) -> str:
    match = _ADDRESS.fullmatch(address) if isinstance(address, str) else None
    if match is None or not 0 < int(match[2]) < 65_536:
        raise _wrong(f"{key}={address!r:.200}: expected host:port with a port from 1 to 65535")
    return address


def _check_jobs(cluster: dict, strategy: str):
    if len(cluster.get("chief", [])) > 1:
        raise _wrong(f"cluster.chief names {len(cluster['chief'])} processes; expected one")
    needed = ("chief", "worker", "ps") if strategy == "parameter_server" else ("worker",)
    for job in needed:
        if not cluster.get(job):
            raise _wrong(f"strategy={strategy} needs cluster.{job}, a list of host:port")


def _me(task: dict, members: tuple[Member, ...]) -> Member:
    job, index = task.get("type"), task.get("index")
    for member in members:
        if member.job == job and str(member.index) == str(index) and not isinstance(index, bool):
            return member
    raise _wrong(
        f"task.type={job!r} and task.index={index!r} name none of {', '.join(f'{m.job} {m.index}' for m in members)}"
    )


def _wrong(what: str) -> InputError:
    return InputError(f"{VARIABLE}: {what}. Expected it as in {_EXAMPLE}.")


def free_addresses(number: int) -> list[str]:
    """host:port of this machine, of ports that nobody has now, all of them different."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(number)]
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]


def in_common(strategy: StrategyConfig) -> dict:
    """{name: value in JSON's types} that all processes of a cluster must have in common, whatever they run."""
    settings = json.loads(json.dumps(dataclasses.asdict(strategy)))
    return {"strategy": settings, "version of rectrain": importlib.metadata.version("rectrain")}


def gone(member: Member) -> str:
    """The beginning of a message."""
    return f"{member} is gone: its process or its machine ended, or the network between."


def did_not_come(members: Iterable[Member], wait_s: float) -> InputError:
    """Of those that others have waited for."""
    return InputError(
        f"{', '.join(map(str, members))} did not come within strategy.wait_s={wait_s:g} seconds. Start all processes, "
        f"and see that their addresses in {VARIABLE} are right."
    )


def differs(member: Member, chief: Member, found: tuple[str, object, object]) -> InputError:
    """found: key, value there and at the chief, as `difference` gives them."""
    key, there, here = found
    return InputError(
        f"{member} has {key}={word(there)}, and {chief}, the chief, has {key}={word(here)}. Start all processes with "
        "one command, of one version and over one set of data."
    )


def check_port_is_free(member: Member):
    """Raises InputError where another program listens at this process' port, or its host is not this machine's."""
    with contextlib.closing(bound(member)):
        pass


def bound(member: Member) -> socket.socket:
    """A socket at the member's port.

    Raises:
        InputError: it cannot be had.
    """
    host, port = member.endpoint
    try:
        # All addresses of the machine, as TensorFlow listens: the host's name may be one that others reach it by.
        return socket.create_server(("", port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=64)
    except OSError as error:
        raise InputError(
            f"{VARIABLE}: this process is {member}, and port {port} cannot be had here ({error.strerror}). End the "
            "program that has it, perhaps a process that an earlier run left, or choose another port."
        ) from error
