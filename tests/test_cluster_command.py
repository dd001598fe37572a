"""rectrain cluster starts every process of a cluster, shows what they say, and ends when they have."""

import json
import re

import pytest


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["cluster"], "expected the run behind --, as in rectrain cluster workers=2 -- model=dcn"),
        (["cluster", "workers=0", "--", "model=fm"], r"workers=0: expected int in \[1, "),
        (["model=fm", "--", "seed=1"], "--: only rectrain cluster takes a run behind it"),
    ],
)
def test_what_cannot_be_started_is_refused(rectrain, words, message):
    code, _, err = rectrain(*words)
    assert code == 2
    assert re.search(message, err), err


@pytest.mark.slow
def test_a_cluster_trains_and_says_who_says_what(rectrain, tmp_path):
    run = ("model=fm", "data.sample.rows=2000", "trainer.epochs=1", "hydra.run.dir=run")
    code, out, err = rectrain("cluster", "workers=2", "--", *run)
    assert code == 0, out + err
    assert re.search(r"^worker 0 \| device +2 replicas on CPU", out, re.M), out
    assert re.search(r"^worker 1 \| .*trains along", out, re.M), out
    assert json.loads((tmp_path / "run/report.json").read_text(encoding="utf-8"))["replicas"] == 2


@pytest.mark.slow
def test_processes_that_fail_are_told_with_their_codes(rectrain):
    code, out, err = rectrain("cluster", "workers=2", "--", "model=fm", "trainer.epochs=none")
    assert code == 2
    assert "processes that failed, with their exit codes: worker 0 (2), worker 1 (2)" in err
    assert "worker 1 | rectrain: trainer.epochs='none': expected an integer" in out
