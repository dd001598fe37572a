"""rectrain cluster: a whole cluster on this machine, for a trial of what is to run on many."""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

from rectrain.cluster import VARIABLE, free_addresses
from rectrain.config import ClusterConfig
from rectrain.console import say
from rectrain.errors import InputError
from rectrain.sections import cluster_config
from rectrain.signals import Signals

_POLL_S = 0.1


def run(raw: dict, words: list[str]):
    """Starts a process for each member, shows what each prints behind its name, and ends with the last of them.

    Args:
        words: of the command line that each of them runs.
    Raises:
        InputError: there is nothing to run, or a process failed.
        StoppedError: a signal came, which all processes were sent.
    """
    config = cluster_config(raw)
    if not words:
        raise InputError("rectrain cluster: expected the run behind --, as in rectrain cluster workers=2 -- model=dcn.")
    with _started(config, [*words, *_strategy(config, words)]) as processes, Signals() as signals, signals.held():
        _wait(processes, signals, config.grace_s)
        failed = {name: process.returncode for name, process in processes.items() if process.returncode}
    if failed:
        told = ", ".join(f"{name} ({code})" for name, code in failed.items())
        raise InputError(f"processes that failed, with their exit codes: {told}. Each has said why above.")


def _strategy(config: ClusterConfig, words: list[str]) -> list[str]:
    """The strategy that the processes are for, unless the command line names one."""
    if any(word.startswith("strategy=") for word in words):
        return []
    return ["strategy=parameter_server" if config.servers else "strategy=multi_worker"]


def _addresses(config: ClusterConfig) -> dict[str, list[str]]:
    """{job: host:port of each process}, of ports that are free now."""
    sizes = {"worker": config.workers}
    if config.servers:
        sizes = {"chief": 1, "worker": config.workers, "ps": config.servers}
    left = iter(free_addresses(sum(sizes.values())))
    return {job: [next(left) for _ in range(number)] for job, number in sizes.items()}


@contextlib.contextmanager
def _started(config: ClusterConfig, words: list[str]) -> Iterator[dict[str, subprocess.Popen]]:
    """{name: process}; none of them outlives this."""
    addresses, processes = _addresses(config), {}
    try:
        for job, members in addresses.items():
            for index in range(len(members)):
                told = json.dumps({"cluster": addresses, "task": {"type": job, "index": index}})
                processes[f"{job} {index}"] = _start(words, told)
        width = max(map(len, processes))
        readers = [threading.Thread(target=_show, args=(name.ljust(width), p)) for name, p in processes.items()]
        for reader in readers:
            reader.start()
        yield processes
    finally:
        for process in processes.values():
            process.kill()
            process.wait()
    for reader in readers:
        reader.join()


def _start(words: list[str], told: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "rectrain", *words],
        env={**os.environ, VARIABLE: told},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # a Ctrl-C reaches them through this process alone, once
    )


def _show(name: str, process: subprocess.Popen):
    assert process.stdout is not None
    with process.stdout as lines:
        for line in lines:
            say(f"{name} | {line.rstrip()}")


def _wait(processes: dict[str, subprocess.Popen], signals: Signals, grace_s: float):
    """Until all have ended; those that remain long after one has failed, or after a signal, are killed."""
    until = float("inf")
    while any(process.poll() is None for process in processes.values()):
        time.sleep(_POLL_S)
        if until == float("inf") and (signals.any() or any(p.returncode for p in processes.values())):
            until = time.monotonic() + grace_s
            if signals.came is not None:
                for process in processes.values():
                    process.send_signal(signals.came)
        if time.monotonic() > until:
            return
