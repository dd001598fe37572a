"""What tests of the whole command line share."""

import json
import os
import subprocess
import sys

import pytest

from rectrain.cli import _main


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Runs a test that is marked own_process in a new one, where TensorFlow has not made its devices yet."""
    if pyfuncitem.get_closest_marker("own_process") is None or "IN_OWN_PROCESS" in os.environ:
        return None
    command = [sys.executable, "-m", "pytest", "-q", "-m", "own_process", pyfuncitem.nodeid]
    environment = {**os.environ, "IN_OWN_PROCESS": "1"}
    done = subprocess.run(command, cwd=pyfuncitem.config.rootpath, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return True


@pytest.fixture
def rectrain(tmp_path, monkeypatch, capsys):
    """Runs the command line in-process, in an empty folder: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")

    def call(*argv):
        monkeypatch.setattr(sys, "argv", ["rectrain"])
        try:
            code = _main(list(argv))
        except SystemExit as stop:  # --help
            code = stop.code or 0
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def tiny_run(rectrain, tmp_path):
    """Trains on a small sample: (exit code, stderr, report or None)."""

    def call(name, *overrides):
        fixed = ["data.sample.rows=4000", "trainer.batch_size=256", f"hydra.run.dir={tmp_path / name}"]
        code, _, err = rectrain(*fixed, *overrides)
        path = tmp_path / name / "report.json"
        return code, err, json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    return call
