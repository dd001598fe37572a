"""rectrain online, killed in-process at any moment again and again, ends as if it never was."""

import itertools
import json
import random

import pytest

from rectrain.data import sample
from rectrain.data.readers import rows
from tests.mortal import ONLINE_PLACES, Killed, Life

OPTIONS = {
    "ftrl": ["model=lr", "optimizer=ftrl", "online.min_count=2"],
    "sgd": ["model=lr", "optimizer=sgd", "optimizer.rates=per_coordinate"],
    "windows": [
        "model=dcn",
        "model.hidden_units=[8]",
        "model.dropout=0.2",
        "optimizer=lazy_adam",
        "online.batch_size=150",
    ],
}
FIXED = ["data=criteo", "online.bits=12", "online.window=500", "online.save_every_s=0", "data.max_bad_rows=10"]


@pytest.fixture
def online(rectrain, tmp_path, monkeypatch):
    """Goes on until it dies at a moment: whether it did, and how many moments passed."""
    monkeypatch.setattr(rows, "CHUNK_BYTES", 1 << 15)  # many blocks of rows in a small file
    monkeypatch.setattr(rows, "LINE_BYTES", 1 << 14)
    sample.write("criteo", tmp_path / "rows.tsv", rows=2_000, seed=5, truth=None)
    lines = (tmp_path / "rows.tsv").read_text(encoding="ascii").splitlines(keepends=True)
    lines[300:300], lines[1700:1700] = ["0\t1\n"], ["7" + "\t" * 39 + "\n"]
    (tmp_path / "rows.tsv").write_text("".join(lines), encoding="ascii")

    def call(name, family, dies_at=None):
        words = [*OPTIONS[family], *FIXED, "data.files=rows.tsv", f"hydra.run.dir={name}", "resume=true"]
        with pytest.MonkeyPatch.context() as patch:
            life = Life(patch, dies_at, ONLINE_PLACES)
            try:
                code, _, err = rectrain("online", *words)
            except Killed:
                return True, len(life.moments)
        assert code == 0, err
        return False, len(life.moments)

    return call


def left(folder):
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    quarantine = [json.loads(line) for line in (folder / "bad_rows.jsonl").read_text(encoding="utf-8").splitlines()]
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    timeless = [{key: value for key, value in line.items() if "second" not in key} for line in lines]
    return report["weights_sha256"], report["metrics"], report["data"]["bad_rows"], quarantine, timeless


FAST = [("ftrl", 6)]
SLOW = [pytest.param(family, 24, marks=pytest.mark.slow) for family in OPTIONS]


@pytest.mark.parametrize(("family", "num_kills"), [*FAST, *SLOW])
def test_an_online_run_killed_again_and_again_at_random(online, tmp_path, family, num_kills):
    _, moments = online("whole", family)
    expected, rng, died = left(tmp_path / "whole"), random.Random(num_kills), 0
    for attempt in itertools.count():
        name = f"killed{attempt}"
        while online(name, family, dies_at=rng.randint(1, moments // 4))[0]:
            died += 1
        assert left(tmp_path / name) == expected
        if died >= num_kills:
            break
