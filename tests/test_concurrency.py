"""Runs that start at once do not get in each other's way."""

import json
import os
import subprocess
import sys

import pytest

from rectrain.run_dir import RunDir

DATED = "outputs/2026-02-03/12-34-56_lr_criteo"


def test_a_folder_that_another_run_took_in_the_same_second_is_left_alone(tmp_path):
    first = RunDir(tmp_path / DATED).claimed()
    second = RunDir(tmp_path / DATED).claimed()
    first.begin("config", "schema", None)
    first.discard_if_empty()  # ends the claim; the run stays
    third = RunDir(tmp_path / DATED).claimed()
    names = [folder.path.name for folder in (first, second, third)]
    assert names == ["12-34-56_lr_criteo", "12-34-56_lr_criteo-2", "12-34-56_lr_criteo-3"]
    for unused in (second, third):
        unused.discard_if_empty()
    assert [p.name for p in first.path.parent.iterdir()] == [names[0]]
    assert sorted(p.name for p in first.path.iterdir()) == ["config.yaml", "schema.json"]


@pytest.mark.slow
def test_eight_runs_at_once_on_one_data_set_and_one_folder_of_outputs(tmp_path):
    """They draw the sample and prepare it together, and end alike but for their folder."""
    code = "from rectrain.cli import main; main()"
    words = ["model=fm", "data=criteo", "data.sample.rows=20000", "trainer.epochs=1", "trainer.report_splits=[test]"]
    environment = {**os.environ, "TF_NUM_INTRAOP_THREADS": "1"}
    with (tmp_path / "said.txt").open("w") as said:
        runs = [
            subprocess.Popen(
                [sys.executable, "-c", code, *words], cwd=tmp_path, stdout=said, stderr=said, env=environment
            )
            for _ in range(8)
        ]
        codes = [run.wait(timeout=500) for run in runs]
    assert codes == [0] * 8, (tmp_path / "said.txt").read_text()
    reports = [json.loads(p.read_text(encoding="utf-8")) for p in (tmp_path / "outputs").rglob("report.json")]
    assert len(reports) == 8
    assert {report["status"] for report in reports} == {"done"}
    assert len({report["weights_sha256"] for report in reports}) == 1
    assert len([p for p in (tmp_path / "data/prepared").iterdir() if p.is_dir()]) == 1
    assert not list(tmp_path.rglob(".claimed"))
