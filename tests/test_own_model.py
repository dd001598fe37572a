"""The model that docs/own_model.md builds: from the text of the page to a trained run."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.small_commands import small

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/own_model.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_model_of_the_page_is_found_listed_and_trained(tmp_path):
    copied = shutil.ignore_patterns("__pycache__", "configs")
    shutil.copytree(ROOT / "rectrain", tmp_path / "rectrain", ignore=copied)
    shutil.copytree(ROOT / "configs", tmp_path / "rectrain/configs", ignore=copied)
    for code in re.findall(r"```(?:python|yaml)\n(.*?)```", PAGE, re.S):
        path = tmp_path / re.match(r"# (\S+)\n", code)[1]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code.split("\n", 1)[1], encoding="utf-8")
    words = [shlex.split(line)[1:] for line in re.search(r"```sh\n(.*?)```", PAGE, re.S)[1].splitlines()]

    listed = call(tmp_path, "models", "--config-dir", "conf")
    assert "nfm                 Neural factorization machine: He and Chua 2017, arXiv:1708.05027." in listed
    for number, line in enumerate(words):
        assert line[:3] == ["--config-dir", "conf", "model=nfm"]
        call(tmp_path, *small(line), f"hydra.run.dir=out/{number}")
        report = json.loads((tmp_path / f"out/{number}/report.json").read_text(encoding="utf-8"))
        assert report["status"] == "done"
        assert report["model"] == "nfm"
        assert 0.4 < report["metrics"]["test"]["click"]["auc"]["value"] < 1
    assert "model.hidden_unitz: no such key. Did you mean 'hidden_units'?" in call(
        tmp_path, *words[0], "model.hidden_unitz=[8]", code=2
    )


def call(folder, *words, code=0):
    done = subprocess.run(
        [sys.executable, "-m", "rectrain", *words], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr
