"""Clusters of real processes on this machine, for tests."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
RECTRAIN = ("-c", "from rectrain.cli import main; main()")


def tf_config(cluster: dict[str, list[str]], job: str, index: int) -> str:
    return json.dumps({"cluster": cluster, "task": {"type": job, "index": index}})


def start(cluster: dict[str, list[str]], job: str, index: int, *arguments: str, cwd: Path) -> subprocess.Popen:
    """A Python process with these arguments that is a member of the cluster."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CONFIG": tf_config(cluster, job, index)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextlib.contextmanager
def ended(processes: list[subprocess.Popen]) -> Iterator[list[subprocess.Popen]]:
    """The processes, none of which outlives the test."""
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def outputs(processes: list[subprocess.Popen], timeout_s: float = 240) -> list[tuple[int, str]]:
    """(exit code, what it printed) of each."""
    told = [process.communicate(timeout=timeout_s)[0] for process in processes]
    return [(process.returncode, text) for process, text in zip(processes, told, strict=True)]
