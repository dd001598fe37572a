"""Learning row by row against plain loops, the TensorFlow path, Keras and Vowpal Wabbit.

Letters: N rows, M values of a row, C coordinates, the bias included.
"""

import math
import os
from pathlib import Path

import keras
import numpy as np
import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from rectrain.evaluation import metrics
from rectrain.online import kernels
from rectrain.online.deep import ModelLearner
from rectrain.online.features import HashedFeatures
from rectrain.online.linear import LinearLearner
from rectrain.online.progressive import Progressive
from rectrain.online.quarantine import Quarantine
from rectrain.online.stream import RawStream
from rectrain.optimizers import ftrl as batch_ftrl
from rectrain.sections import online_config
from rectrain.tasks import from_config
from tests import samples
from tests.reference import online as reference

NUM_COORDINATES = 12
FTRL = {"alpha": 0.3, "beta": 0.7, "lambda1": 0.4, "lambda2": 0.2}
FTRL_PLAIN = {"alpha": 0.5, "beta": 0.0, "lambda1": 0.0, "lambda2": 0.0}
OPTIMIZERS = {
    "ftrl": FTRL,
    "ftrl_plain": FTRL_PLAIN,
    **{rates: {"learning_rate": 0.3, "rates": rates, "lambda1": 0.0} for rates in kernels.RATES},
    **{f"{rates}_l1": {"learning_rate": 0.3, "rates": rates, "lambda1": 0.04} for rates in kernels.RATES},
}
NO_VALUES = np.zeros((0, 0), np.float32)
FOLDER = os.environ.get("RECTRAIN_REAL_DATA")
CRITEO = Path(FOLDER or ".") / "criteo/train_110k.tsv.gz"


def draw(seed, *, with_values, rows=200):
    """ids (N, 6) with gaps, repetitions and empty rows; the third row and every seventh has weight 0."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(-1, NUM_COORDINATES - 1, (rows, 6)).astype(np.int32)
    ids[::3, 4] = ids[::3, 1]
    ids[5::50] = -1
    values = rng.normal(0.2, 1.5, ids.shape).astype(np.float32) if with_values else NO_VALUES
    labels = (rng.random(rows) < 0.3).astype(np.float32)
    weights = rng.gamma(2, 0.5, rows).astype(np.float32)
    weights[2::7] = 0
    return ids, values, labels, weights


def by_kernel(knobs, state, ids, values, labels, weights, num_before=0):
    scores = np.full(len(ids), np.nan)
    if "alpha" in knobs:
        kernels.ftrl(state, ids, values, labels, weights, *map(float, knobs.values()), scores)
    else:
        rate, rates, lambda1 = knobs["learning_rate"], kernels.RATES.index(knobs["rates"]), float(knobs["lambda1"])
        kernels.gradient_descent(state, ids, values, labels, weights, rate, rates, lambda1, num_before, scores)
    return scores


def twin_of(knobs, num_coordinates, **kwargs):
    twin = reference.Ftrl if "alpha" in knobs else reference.GradientDescent
    return twin(num_coordinates, **knobs, **kwargs)


@pytest.mark.parametrize("with_values", [True, False])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_kernels_equal_a_plain_loop(name, with_values):
    for seed in range(4):
        rows = draw(seed, with_values=with_values)
        state = np.zeros((NUM_COORDINATES, 3), np.float32)
        scores = np.concatenate(
            [  # a second call goes on where the first one stopped
                by_kernel(OPTIMIZERS[name], state, *(a[:70] for a in rows)),
                by_kernel(OPTIMIZERS[name], state, *(a[70:] for a in rows), num_before=70),
            ]
        )
        ids, values, labels, weights = rows
        for kept, tolerance in ((np.float32, 1e-6), (np.float64, 2e-5)):
            twin = twin_of(OPTIMIZERS[name], NUM_COORDINATES, kept=kept)
            expected = twin.learn(ids, values if with_values else None, labels, weights)
            np.testing.assert_allclose(scores, expected, rtol=0, atol=tolerance)
            largest = np.maximum(np.abs(twin.state).max(axis=0), 1)  # of w, z and n; n goes beyond 100
            np.testing.assert_allclose(state / largest, twin.state / largest, rtol=0, atol=tolerance)
        if OPTIMIZERS[name]["lambda1"]:
            assert 0 < np.count_nonzero(state[:-1, 0]) < NUM_COORDINATES  # or the twin says nothing of truncation


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_kernels_leave_everything_as_it_is_without_rows_and_move_the_bias_alone_without_values(name):
    state = np.zeros((NUM_COORDINATES, 3), np.float32)
    by_kernel(OPTIMIZERS[name], state, *draw(1, with_values=True))
    before = state.copy()
    assert by_kernel(OPTIMIZERS[name], state, *(a[:0] for a in draw(0, with_values=True))).shape == (0,)
    np.testing.assert_array_equal(state, before)
    ones = np.ones(3, np.float32)
    scores = by_kernel(OPTIMIZERS[name], state, np.zeros((3, 0), np.int32), NO_VALUES, ones, ones)
    assert (np.diff(scores) > 0).all()
    np.testing.assert_array_equal(state[:-1], before[:-1])


def test_ftrl_does_not_move_for_a_row_of_weight_0():
    ids, values, labels, weights = draw(3, with_values=True)
    state = np.random.default_rng(0).gamma(2, 1, (NUM_COORDINATES, 3)).astype(np.float32)
    before = state.copy()
    by_kernel(FTRL, state, ids, values, labels, 0 * weights)
    np.testing.assert_array_equal(state, before)


@pytest.mark.parametrize("threshold", [2, 3, 7, 255])
def test_admit_lets_a_value_in_at_exactly_its_threshold_th_occurrence(threshold):
    rng = np.random.default_rng(threshold)
    ids = np.minimum(rng.geometric(0.02, (600, 9)) - 2, 400).astype(np.int32)  # some very often, -1 too
    expected = reference.admitted(ids.tolist(), threshold)
    assert 0 < (expected >= 0).sum() < (ids >= 0).sum() or threshold == 255
    counters = np.zeros(2**22, np.uint8)
    for start, stop in ((0, 100), (100, 100), (100, 600)):  # the counts outlive a call
        kernels.admit(ids[start:stop], counters, threshold)
    np.testing.assert_array_equal(ids, expected)


def test_admit_with_a_small_filter_lets_in_too_early_but_never_too_late():
    ids = np.random.default_rng(5).integers(-1, 300, (500, 4)).astype(np.int32)
    exact = reference.admitted(ids.tolist(), 4)
    kernels.admit(ids, np.zeros(256, np.uint8), 4)
    assert (ids[exact >= 0] == exact[exact >= 0]).all()
    assert (ids >= 0).sum() > (exact >= 0).sum()


def config_of(*overrides):
    with initialize_config_module("rectrain.configs", version_base="1.3"):
        return online_config(OmegaConf.to_container(compose("online", list(overrides)), resolve=True))


def learners(schema, *overrides):
    config = config_of(*overrides)
    return LinearLearner(config, schema, from_config(config.task, schema)[0]), ModelLearner(config, schema, None)


def rows_of(schema, num_rows):
    """Rows whose values differ from one another within a row; the first one's tags are empty.

    Padding names a value that the row has anyway: in a batch every row of the table that is read feels SGD's L1.
    """
    rng = np.random.default_rng(8)
    rows = samples.batch(schema, num_rows, seed=8)
    for feature in schema.multi_valued:
        length = rows[feature.name].shape[1]
        drawn = [rng.permutation(feature.num_rows - 1)[:length] + 1 for _ in range(num_rows)]
        ids = np.where(rows[f"{feature.name}_valid"], feature.offset + np.array(drawn), rows["categorical"][:, :1])
        rows[feature.name] = ids.astype(np.int32)
    rows["labels"] = (rng.random((num_rows, 1)) < 0.3).astype(np.float32)
    rows["weight"] = rng.gamma(2, 0.5, num_rows).astype(np.float32)
    return rows


@pytest.mark.parametrize(
    "overrides",
    [
        ["optimizer=ftrl", "optimizer.alpha=.3", "optimizer.beta=.7", "optimizer.lambda1=.4", "optimizer.lambda2=.2"],
        *(["optimizer=sgd", f"optimizer.rates={rates}", "optimizer.lambda1=.1"] for rates in kernels.RATES),
    ],
    ids=["ftrl", *kernels.RATES],
)
def test_row_by_row_equals_batches_of_one_row_through_tensorflow(overrides):
    schema = samples.schema()
    row_by_row, in_batches = learners(schema, *overrides)
    rows = rows_of(schema, 300)
    parts = [{name: column[part] for name, column in rows.items()} for part in (slice(120), slice(120, None))]
    scores = np.concatenate([row_by_row.learn(part)["click"] for part in parts])
    for i in range(300):
        expected = in_batches.learn({name: column[i : i + 1] for name, column in rows.items()})["click"]
        np.testing.assert_allclose(scores[i], expected[0], rtol=0, atol=1e-5)
    weights = np.concatenate([w.numpy().ravel() for w in in_batches.steps.model.trainable_variables])
    np.testing.assert_allclose(row_by_row.state[:, 0], weights, rtol=0, atol=1e-5)
    assert (weights == 0).any()


def after_steps(optimizer, gradients):
    with keras.name_scope("mlp_0"):
        variable = keras.Variable(np.zeros(gradients.shape[1:], np.float32), name="kernel")
    optimizer.build([variable])
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
    return variable.numpy()


def test_ftrl_equals_that_of_keras_from_an_accumulator_of_0_and_not_from_the_default_of_keras():
    gradients = np.random.default_rng(4).normal(size=(30, 5, 3)).astype(np.float32)
    ours = after_steps(batch_ftrl.build(**FTRL, lambda_group=0.0), gradients)
    same = {
        "learning_rate": FTRL["alpha"],
        "l1_regularization_strength": FTRL["lambda1"],
        "l2_regularization_strength": FTRL["lambda2"] / 2,
        "beta": FTRL["beta"],
    }
    theirs = after_steps(keras.optimizers.Ftrl(**same, initial_accumulator_value=0.0), gradients)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)
    assert np.abs(ours - after_steps(keras.optimizers.Ftrl(**same), gradients)).max() > 1e-3


def draw_scores(num_rows, seed=0):
    rng = np.random.default_rng(seed)
    scores = 1 / (1 + np.exp(-rng.normal(-1.5, 1.2, num_rows)))
    return (rng.random(num_rows) < scores).astype(np.float32), scores


def test_progressive_figures_equal_those_of_the_evaluation():
    labels, scores = draw_scores(50_000)
    scores[:3], labels[:3] = (0, 1, 1), (1, 0, 1)
    at_once, in_parts = Progressive(), Progressive()
    at_once.add(labels, scores)
    for part in np.array_split(np.arange(50_000), 7):
        in_parts.add(labels[part], scores[part])
    for progressive in (at_once, in_parts):
        found = progressive.metrics()
        assert (found["rows"], found["positives"]) == (50_000, labels.sum())
        assert found["auc"]["value"] == pytest.approx(metrics.auc(labels, scores).value, abs=1e-4)
        for name in ("logloss", "pcoc"):
            assert found[name]["value"] == pytest.approx(getattr(metrics, name)(labels, scores).value, rel=1e-12)
        assert found["ne"]["value"] == pytest.approx(metrics.ne(labels, scores, seed=0).value, rel=1e-9)
        for bound in ("low", "high"):
            assert found["auc"][bound] == pytest.approx(getattr(metrics.auc(labels, scores), bound), abs=1e-4)
            assert found["logloss"][bound] == pytest.approx(getattr(metrics.logloss(labels, scores), bound), rel=1e-6)


def test_a_window_holds_the_rows_since_the_last_one_and_goes_on_after_a_restore():
    labels, scores = draw_scores(9_000, seed=1)
    progressive = Progressive()
    progressive.add(labels[:4_000], scores[:4_000])
    assert progressive.window() == progressive.overall()
    progressive.add(labels[4_000:5_000], scores[4_000:5_000])
    restored = Progressive()
    restored.restore({name: array.copy() for name, array in progressive.arrays().items()})
    for each in (progressive, restored):
        each.add(labels[5_000:], scores[5_000:])
    assert restored.overall() == progressive.overall()
    window = restored.window()
    assert window == progressive.window()
    assert window["rows"] == 5_000
    assert window["base_rate"] == pytest.approx(labels[4_000:].mean())
    assert window["logloss"] == pytest.approx(metrics.logloss(labels[4_000:], scores[4_000:]).value, rel=1e-12)
    assert window["auc"] == pytest.approx(metrics.auc(labels[4_000:], scores[4_000:]).value, abs=1e-4)


def test_of_one_class_there_is_no_auc_and_of_no_rows_nothing():
    progressive = Progressive()
    assert progressive.window() == {"rows": 0, "logloss": None, "auc": None, "base_rate": None}
    progressive.add(np.zeros(3, np.float32), np.array([0.1, 0.2, 0.4]))
    found = progressive.overall()
    assert (found["rows"], found["auc"], found["base_rate"]) == (3, None, 0)
    assert found["logloss"] == pytest.approx(-(math.log(0.9) + math.log(0.8) + math.log(0.6)) / 3)
    whole = progressive.metrics()
    assert [whole[name]["value"] for name in ("auc", "pcoc", "ne")] == [None] * 3


def raw_rows(config, tmp_path, limit):
    """The first rows of a raw stream as the learner gets them, and their schema."""
    features = HashedFeatures(config.data, 2**config.online.bits)
    schema = features.schema()
    quarantine = Quarantine(0, tmp_path / "bad_rows.jsonl", {})
    parts, num_rows = [], 0
    for part in RawStream(config.data, features, {}, quarantine, None).parts():
        parts += [part.rows] if len(part.origins) else []
        num_rows += len(part.origins)
        if num_rows >= limit:
            break
    return {name: np.concatenate([p[name] for p in parts])[:limit] for name in parts[0]}, schema


@pytest.mark.skipif(FOLDER is None, reason="RECTRAIN_REAL_DATA is not set: no folder of real data")
def test_10_000_real_rows_leave_the_weights_of_the_plain_loop(tmp_path):
    knobs = {"alpha": 0.1, "beta": 1.0, "lambda1": 0.5, "lambda2": 0.01}
    config = config_of(f"data.files={CRITEO}", "online.bits=18", *(f"optimizer.{k}={v}" for k, v in knobs.items()))
    rows, schema = raw_rows(config, tmp_path, 10_000)
    learner = LinearLearner(config, schema, from_config(config.task, schema)[0])
    scores = learner.learn(rows)["click"]
    twin = reference.Ftrl(2**18 + 1, **knobs, kept=np.float32)
    expected = twin.learn(rows["categorical"], None, rows["labels"][:, 0], rows["weight"])
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose(learner.state[:, 0], twin.state[:, 0], rtol=0, atol=1e-6)
    assert 1_000 < np.count_nonzero(twin.state[:, 0]) < np.count_nonzero(twin.state[:, 2])


def test_ftrl_reaches_the_progressive_log_loss_of_vowpal_wabbit(tmp_path, monkeypatch):
    vowpalwabbit = pytest.importorskip("vowpalwabbit", reason="vowpalwabbit has no wheel here", exc_type=ImportError)
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "scripts")
    import bench_online

    knobs = {"alpha": 0.1, "beta": 1.0, "lambda1": 0.3, "lambda2": 0.1}
    config = config_of(
        "data.source=sample",
        "data.sample.rows=20000",
        f"data.prepared_dir={tmp_path}/prepared",
        *(f"optimizer.{k}={v}" for k, v in knobs.items()),
    )
    rows, schema = raw_rows(config, tmp_path, 20_000)
    learner = LinearLearner(config, schema, from_config(config.task, schema)[0])
    labels = rows["labels"][:, 0]
    ours = metrics.logloss(labels, learner.learn(rows)["click"]).value

    (sample,) = tmp_path.rglob("*.tsv")
    workspace = vowpalwabbit.Workspace(f"{bench_online.vw_arguments(**knobs)} --quiet")
    theirs = []
    for line in bench_online.vw_lines(sample):
        example = workspace.parse(line)
        workspace.learn(example)  # what it predicts, it predicts before it moves
        theirs.append(1 / (1 + math.exp(-example.get_simplelabel_prediction())))
        workspace.finish_example(example)
    assert len(theirs) == 20_000
    assert ours == pytest.approx(metrics.logloss(labels, np.array(theirs)).value, rel=0.005)
