"""The sample of two regression tasks: as akin as it says, and its labels by the formula from its own columns."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from rectrain.data import mmoe_sample, sample
from rectrain.data.manifest import Prepared
from rectrain.data.row_groups import read_rows, row_groups
from rectrain.errors import InputError

TRUTHS = ["p1", "p0.9", "p0.5"]
D = mmoe_sample.NUM_FEATURES


def written(folder, truth, rows=3000, seed=5):
    path = folder / sample.place("mmoe_synthetic", rows=rows, seed=seed, truth=truth)
    return path, sample.write("mmoe_synthetic", path, rows=rows, seed=seed, truth=truth)


def columns_of(path) -> tuple[np.ndarray, np.ndarray]:
    """x, float64 (N, D), and y, float64 (N, 2)."""
    with path.open() as file:
        rows = list(csv.DictReader(file))
    x = [[float(row[f"x{i + 1}"]) for i in range(D)] for row in rows]
    return np.array(x), np.array([[float(row["y1"]), float(row["y2"])] for row in rows])


def function_of(truth, seed=5):
    function_rng, _ = np.random.default_rng(seed).spawn(2)
    return mmoe_sample.Function.draw(mmoe_sample.CORRELATIONS[truth], function_rng)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("truth", TRUTHS)
def test_weights_have_one_length_and_the_angle_of_the_truth(truth, seed):
    weights = function_of(truth, seed).weights
    p, square = float(truth[1:]), mmoe_sample.LENGTH**2
    np.testing.assert_allclose(weights.T @ weights, [[square, p * square], [p * square, square]], atol=1e-12)


@pytest.mark.parametrize("truth", TRUTHS)
def test_labels_follow_the_formula_but_for_the_noise(tmp_path, truth):
    x, y = columns_of(written(tmp_path, truth)[0])
    function = function_of(truth)
    alphas_and_betas = list(zip(mmoe_sample.ALPHAS, function.betas, strict=True))
    noise = np.empty_like(y)
    for n in range(len(x)):
        for k in range(2):
            projected = sum(function.weights[d, k] * x[n, d] for d in range(D))
            sines = sum(math.sin(alpha * projected + beta) for alpha, beta in alphas_and_betas)
            noise[n, k] = y[n, k] - projected - sines
    np.testing.assert_allclose(noise.mean(axis=0), 0, atol=0.01)
    np.testing.assert_allclose(noise.std(axis=0), 0.1, atol=0.005)
    assert abs(np.corrcoef(noise.T)[0, 1]) < 0.1
    assert y.var() > 1


def test_points_are_standard_normal_and_independent(tmp_path):
    x, _ = columns_of(written(tmp_path, "p1")[0])
    np.testing.assert_allclose(np.cov(x.T), np.eye(D), atol=0.1)
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=0.08)


def test_truths_differ_by_the_second_task_alone(tmp_path):
    x_of, y_of = {}, {}
    for truth in TRUTHS:
        x_of[truth], y_of[truth] = columns_of(written(tmp_path, truth)[0])
    for truth in TRUTHS[1:]:
        np.testing.assert_array_equal(x_of[truth], x_of["p1"])
        np.testing.assert_array_equal(y_of[truth][:, 0], y_of["p1"][:, 0])
    apart = [np.mean((y[:, 0] - y[:, 1]) ** 2) for y in y_of.values()]
    assert apart[0] == pytest.approx(0.02, abs=0.003), "twice the noise"
    assert apart[0] < apart[1] < apart[2]


def test_same_arguments_give_the_same_bytes_and_another_seed_others(tmp_path):
    first, again = (written(tmp_path / name, "p0.9", rows=50)[0].read_bytes() for name in "ab")
    assert first == again
    assert first != written(tmp_path, "p0.9", rows=50, seed=6)[0].read_bytes()


def test_there_are_no_scores_of_true_probabilities(tmp_path):
    path, info = written(tmp_path, "p0.5", rows=20)
    assert (info.bayes_auc, info.bayes_logloss, info.base_rate, info.truth) == (None, None, None, "p0.5")
    assert sample.SampleInfo.read(path) == info
    assert path.relative_to(tmp_path) == Path("mmoe_synthetic-p0.5-20-5/mmoe_synthetic.csv")


@pytest.mark.parametrize(("truth", "received"), [("p0.7", "'p0.7'"), (None, "null")])
def test_another_truth_is_refused(tmp_path, truth, received):
    message = rf"data\.sample\.truth={received}: expected p1, p0\.9, p0\.5, what the labels"
    with pytest.raises(InputError, match=message):
        sample.write("mmoe_synthetic", tmp_path / "x", rows=5, seed=1, truth=truth)
    assert not list(tmp_path.iterdir())


def test_a_prepared_data_set_holds_the_numbers_of_the_file(rectrain, tmp_path):
    code, _, err = rectrain("prepare", "data=mmoe_synthetic", "data.sample.rows=600", "data.sample.truth=p0.9")
    assert code == 0, err
    (folder,) = (p for p in Path("data/prepared").iterdir() if p.is_dir())
    prepared = Prepared.load(folder)
    (path,) = Path("data/sample").glob("*/mmoe_synthetic.csv")
    x, y = columns_of(path)
    assert prepared.manifest["rows"] == {"train": 480, "valid": 60, "test": 60}
    assert prepared.schema.number_labels == ("y1", "y2")
    groups = [g for split in ("train", "valid", "test") for g in row_groups(prepared.shards(split))]
    rows = [read_rows(prepared.schema, group) for group in groups]
    for name, expected in (("numeric", x), ("labels", y)):
        found = np.concatenate([part[name] for part in rows])
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, expected.astype("float32"))
