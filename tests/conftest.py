"""What tests of the whole command line share."""

import json
import sys

import pytest

from rectrain.cli import _main


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
