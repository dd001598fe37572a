"""AUC by an external sort is that of the same rows in memory."""

import numpy as np
import pytest

from rectrain.errors import InputError
from rectrain.evaluation import metrics
from rectrain.evaluation.external import auc_of_blocks
from rectrain.evaluation.metrics import UndefinedMetricError


def rows(num_rows, *, decimals=None, seed=0):
    rng = np.random.default_rng(seed)
    labels = (rng.random(num_rows) < 0.2).astype("float32")
    scores = 1 / (1 + np.exp(1 - labels - rng.normal(size=num_rows)))
    return labels, (scores if decimals is None else scores.round(decimals)).astype("float32")


def in_blocks(labels, scores, sizes):
    starts = np.cumsum(sizes)[:-1]
    return list(zip(np.split(labels, starts), np.split(scores, starts), strict=True))


@pytest.mark.parametrize("decimals", [None, 2, 0])
@pytest.mark.parametrize("run_keys", [64, 1000, 5000, 100_000])
def test_value_and_interval_are_those_of_all_rows_in_memory(tmp_path, decimals, run_keys):
    labels, scores = rows(5000, decimals=decimals)
    blocks = in_blocks(labels, scores, [0, 1, 2000, 17, 0, 2982])
    found = auc_of_blocks(blocks, folder=tmp_path, run_keys=run_keys)
    np.testing.assert_allclose(found, metrics.auc(labels, scores), rtol=1e-12)
    assert found.value == metrics.auc(labels, scores).value
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("scores", [[0.0, 0.0, -0.0, 0.0], [1.0, 0.0, 1e-45, 1.0], [0.2, 0.1, 0.9, 0.3]])
def test_ties_denormals_and_perfect_rankings(tmp_path, scores):
    labels, scores = np.array([0, 0, 1, 1]), np.array(scores, "float32")
    found = auc_of_blocks(in_blocks(labels, scores, [3, 1]), folder=tmp_path, run_keys=2)
    assert found == metrics.auc(labels, scores)


def test_one_class_and_no_rows_have_no_auc(tmp_path):
    for labels in (np.ones(5), np.zeros(3), np.zeros(0)):
        with pytest.raises(UndefinedMetricError):
            auc_of_blocks([(labels, np.full(len(labels), 0.5))], folder=tmp_path, run_keys=2)
    with pytest.raises(UndefinedMetricError):
        auc_of_blocks([], folder=tmp_path)
    assert not list(tmp_path.iterdir())


def test_runs_are_removed_after_a_wrong_block(tmp_path):
    good = rows(50)
    with pytest.raises(InputError, match="probabilities"):
        auc_of_blocks([good, (good[0], good[1] + 1)], folder=tmp_path, run_keys=10)
    assert not list(tmp_path.iterdir())


def test_no_more_than_a_run_is_read_at_a_time(tmp_path, monkeypatch):
    from rectrain.evaluation import external

    sizes = []
    count = external.count_keys
    monkeypatch.setattr(external, "count_keys", lambda keys: (sizes.append(len(keys)), count(keys))[1])
    auc_of_blocks(in_blocks(*rows(20_000), [5000] * 4), folder=tmp_path, run_keys=1000)
    assert sum(sizes) == 2 * 20_000
    assert max(sizes) < 1500
