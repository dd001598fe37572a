"""Models of several tasks against NumPy, who counts for a task, and what goes wrong with labels."""

import dataclasses
import importlib
import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf
from omegaconf import OmegaConf

from rectrain.config import TaskConfig, TasksConfig
from rectrain.errors import InputError
from rectrain.evaluation import regression
from rectrain.evaluation.evaluate import Scored, split_curves, split_metrics
from rectrain.layers.experts import Experts, Gates, Mixture
from rectrain.layers.joint_logit import JointLogit
from rectrain.tasks import Task, from_config, from_schema
from rectrain.training.gates import gate_figures
from rectrain.training.losses import loss_sum
from tests import samples
from tests.reference import multi_task as reference
from tests.reference.layers import assert_weights_follow_the_seed, set_random_weights

SHARED = {"embedding_dim": 4, "embedding_stddev": 0.1, "tower_units": [3], "dropout": 0.0}
KNOBS = {
    "shared_bottom": {**SHARED, "hidden_units": [6, 5], "batch_norm": False},
    "mmoe": {**SHARED, "num_experts": 3, "expert_units": [5]},
    "ple": {**SHARED, "num_levels": 2, "num_shared_experts": 2, "num_task_experts": 1, "expert_units": [5]},
    "esmm": {**SHARED, "tower_units": [5, 3]},
}
VARIANTS = [
    *((name, {}) for name in KNOBS),
    ("shared_bottom", {"batch_norm": True, "tower_units": []}),
    ("mmoe", {"expert_units": [5, 4, 3], "tower_units": []}),
    ("mmoe", {"num_experts": 1}),
    ("ple", {"num_levels": 1, "num_task_experts": 3}),
    ("ple", {"num_levels": 3, "expert_units": [4, 3]}),
    ("esmm", {"tower_units": []}),
]
FUNNEL = [
    Task("ctr", "click", 0),
    Task("cvr", "conversion", 1, given=0, weight=0.0),
    Task("ctcvr", "conversion", 1),
]
SCHEMAS = {
    "all kinds": samples.schema(labels=("click", "conversion")),
    "categorical": samples.schema(numeric=0, multi_valued=False, crosses=False, labels=("click", "conversion")),
}
each_model = pytest.mark.parametrize("name", KNOBS)


def tasks_of(name, schema):
    return FUNNEL if name == "esmm" else from_schema(schema)


def build(name, schema, tasks=None, **changed):
    module = importlib.import_module(f"rectrain.models.{name}")
    return module.build(schema, tasks or tasks_of(name, schema), **{**KNOBS[name], **changed})


def outputs(model, batch, **mode):
    return model({key: batch[key] for key in model.input}, **mode)


@pytest.mark.parametrize(("name", "changed"), VARIANTS, ids=str)
@pytest.mark.parametrize("kinds", SCHEMAS)
def test_logits_match_numpy(name, changed, kinds):
    schema = SCHEMAS[kinds]
    tasks = tasks_of(name, schema)
    model = build(name, schema, **changed)
    weights = set_random_weights(model, seed=1)
    for rows in (0, 1, 6):
        batch = samples.batch(schema, rows, seed=rows)
        expected = getattr(reference, name)(weights, schema, tasks, batch, **{**KNOBS[name], **changed})
        found = outputs(model, batch)
        assert list(found) == [task.name for task in tasks]
        for task, logits in expected.items():
            np.testing.assert_allclose(found[task], np.reshape(logits, rows), rtol=1e-4, atol=1e-4, err_msg=task)


@each_model
def test_initial_weights_follow_the_seed(name):
    schema = SCHEMAS["all kinds"]
    assert_weights_follow_the_seed(lambda: build(name, schema))


@each_model
def test_defaults_are_the_knobs_of_the_builder_and_build(name):
    defaults = OmegaConf.to_container(OmegaConf.load(samples.CONFIGS / "model" / f"{name}.yaml"))
    assert defaults.pop("name") == name
    module = importlib.import_module(f"rectrain.models.{name}")
    assert list(defaults) == list(inspect.signature(module.build).parameters)[2:]
    schema = SCHEMAS["all kinds"]
    model = module.build(schema, tasks_of(name, schema), **defaults)
    assert all(logit.shape == (3,) for logit in outputs(model, samples.batch(schema, 3)).values())


@each_model
def test_all_weights_learn(name):
    schema = SCHEMAS["all kinds"]
    tasks = tasks_of(name, schema)
    model = build(name, schema)
    set_random_weights(model, seed=3)
    batch = samples.batch(schema, 200, seed=2)
    labels = np.random.default_rng(0).integers(0, 2, (200, 2)).astype("float32")
    with tf.GradientTape() as tape:
        loss = loss_sum(tasks, outputs(model, batch, training=True), labels, np.ones(200, "float32"))
    weights = model.trainable_variables
    for weight, gradient in zip(weights, tape.gradient(loss, [w.value for w in weights]), strict=True):
        assert gradient is not None, weight.path
        assert np.any(tf.convert_to_tensor(gradient)), weight.path


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        *((name, {"embedding_dim": 0}) for name in KNOBS),
        *((name, {"dropout": 1.0}) for name in KNOBS),
        ("shared_bottom", {"hidden_units": []}),
        ("mmoe", {"num_experts": 0}),
        ("mmoe", {"expert_units": []}),
        ("ple", {"num_levels": 0}),
        ("ple", {"num_shared_experts": 0}),
        ("ple", {"num_task_experts": 0}),
        ("ple", {"expert_units": [4, 0]}),
    ],
    ids=str,
)
def test_wrong_knobs_are_refused_by_key(name, changed):
    (key,) = changed
    with pytest.raises(InputError, match=rf"model\.{key}\b"):
        build(name, SCHEMAS["all kinds"], **changed)


def test_no_two_experts_start_equal_and_each_starts_as_a_dense_layer_would():
    layer = Experts(4, [200, 50])
    layer.build((None, 300))
    first = np.split(layer.kernels[0].numpy(), 4, axis=1)
    second = list(layer.kernels[1].numpy())
    for experts, (fan_in, fan_out) in ((first, (300, 200)), (second, (200, 50))):
        for i, one in enumerate(experts):
            assert one.std() == pytest.approx(np.sqrt(2 / (fan_in + fan_out)), rel=0.05)
            assert all(abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.05 for other in experts[:i])


def test_gates_sum_to_one_and_are_each_their_own():
    layer = Gates(["x", "y"], 5)
    gates = layer(np.random.default_rng(0).normal(size=(7, 11)).astype("float32") * 30).numpy()
    assert gates.shape == (7, 2, 5)
    np.testing.assert_allclose(gates.sum(axis=-1), 1, atol=1e-6)
    assert np.abs(gates[:, 0] - gates[:, 1]).max() > 0.1


def test_mixtures_keep_the_policy_of_the_experts():
    gates, experts = tf.ones((2, 1, 3)) / 3, tf.cast(tf.ones((2, 3, 4)), tf.bfloat16)
    (heard,) = Mixture(dtype="mixed_bfloat16")(gates, experts)
    assert heard.dtype == tf.bfloat16


def test_gate_figures_are_means_over_rows():
    schema = SCHEMAS["all kinds"]
    model = build("mmoe", schema)
    set_random_weights(model, seed=5)
    batches = [samples.batch(schema, rows, seed=rows) for rows in (5, 2)]
    layer = model.get_layer("gates")
    inner = keras.Model(model.input, layer.output)
    weights = np.concatenate([inner({k: b[k] for k in model.input}).numpy() for b in batches]).astype("float64")
    found = gate_figures(model, batches)
    assert list(found) == ["click", "conversion"]
    for g, figures in enumerate(found.values()):
        np.testing.assert_allclose(figures["load"], weights[:, g].mean(axis=0), rtol=1e-6)
        entropy = -(weights[:, g] * np.log(weights[:, g])).sum(axis=1).mean()
        assert figures["entropy"] == pytest.approx(entropy, rel=1e-6)
    assert gate_figures(build("shared_bottom", schema), batches) == {}


def test_the_joint_logit_is_that_of_the_product_and_never_above_either():
    rng = np.random.default_rng(0)
    a, b = rng.normal(scale=20, size=(2, 1000)).astype("float32")
    a[:4], b[:4] = [80, -80, 80, -80], [80, -80, -80, 80]
    joint = JointLogit()(a, b).numpy()
    assert np.isfinite(joint).all()
    assert (joint <= a).all()
    assert (joint <= b).all()
    assert (tf.sigmoid(joint).numpy() <= tf.sigmoid(a).numpy()).all()
    small = (np.abs(a) < 15) & (np.abs(b) < 15)
    p = 1 / (1 + np.exp(-a[small].astype("float64"))) / (1 + np.exp(-b[small].astype("float64")))
    np.testing.assert_allclose(joint[small], np.log(p) - np.log1p(-p), rtol=1e-4, atol=1e-4)


def test_extreme_logits_give_finite_losses_and_gradients():
    a, b = (tf.Variable(v, dtype=tf.float32) for v in ([80.0, 80.0, -80.0, -80.0] * 2, [80.0, -80.0] * 4))
    labels = np.array([[1, 1], [1, 0], [0, 0], [1, 1]] * 2, "float32")
    with tf.GradientTape() as tape:
        logits = {"ctr": a.value(), "cvr": b.value(), "ctcvr": JointLogit()(a.value(), b.value())}
        loss = loss_sum(FUNNEL, logits, labels, np.ones(8, "float32"))
    assert np.isfinite(loss)
    assert all(np.isfinite(gradient).all() for gradient in tape.gradient(loss, [a, b]))


def test_esmm_learns_conversions_of_rows_without_a_click_through_the_joint_loss_alone():
    schema = SCHEMAS["categorical"]
    model = build("esmm", schema)
    set_random_weights(model, seed=4)
    batch = samples.batch(schema, 8, seed=1)
    labels = np.zeros((8, 2), "float32")  # no click anywhere
    conversion = [w.value for w in model.trainable_weights if w.path.startswith(("tower_cvr", "logit_cvr"))]
    assert conversion

    def gradients(tasks):
        with tf.GradientTape() as tape:
            loss = loss_sum(tasks, outputs(model, batch, training=True), labels, np.ones(8, "float32"))
        return tape.gradient(loss, conversion)

    assert all(np.any(g) for g in gradients(FUNNEL))
    clicks, conversions, joint = FUNNEL
    assert gradients([clicks, conversions, dataclasses.replace(joint, weight=0.0)]) == [None] * len(conversion)
    trained = dataclasses.replace(conversions, weight=1.0)
    only_given = gradients([clicks, trained, dataclasses.replace(joint, weight=0.0)])
    assert not any(np.any(g) for g in only_given)  # rows without a click do not count for it


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        (FUNNEL[:2], "learns three tasks"),
        ([FUNNEL[0], Task("buy", "buy", 1)], r"there are ctr, buy\. Set task=funnel"),
        ([FUNNEL[0], dataclasses.replace(FUNNEL[1], weight=1.0), FUNNEL[2]], r"task\.tasks\.cvr\.weight=0\.0"),
    ],
)
def test_esmm_refuses_tasks_that_are_no_funnel(tasks, message):
    with pytest.raises(InputError, match=message):
        build("esmm", SCHEMAS["categorical"], tasks)


# Tasks from the config


def section(tasks=None, only=None):
    return TasksConfig({name: TaskConfig(**task) for name, task in tasks.items()} if tasks else None, only, "error")


LABELS = dataclasses.replace(samples.schema(labels=("click", "conversion", "price")), number_labels=("price",))


def test_without_any_there_is_one_task_a_label():
    assert from_config(section(), LABELS) == [
        Task("click", "click", 0),
        Task("conversion", "conversion", 1),
        Task("price", "price", 2, is_number=True),
    ]
    assert [t.name for t in from_config(section(only=["price", "click"]), LABELS)] == ["click", "price"]


def test_tasks_are_what_their_section_says():
    given = {
        "cvr": {"label": "conversion", "given": "click", "weight": 0.5, "metrics": ["auc"]},
        "price": {"loss": "mean_squared_error"},
    }
    assert from_config(section(given), LABELS) == [
        Task("cvr", "conversion", 1, given=0, weight=0.5, metrics=("auc",)),
        Task("price", "price", 2, is_number=True),
    ]


@pytest.mark.parametrize(
    ("tasks", "only", "message"),
    [
        ({"ctr": {"label": "clik"}}, None, r"task\.tasks\.ctr\.label=clik: .* Did you mean 'click'\?"),
        ({"clicks": {}}, None, r"task\.tasks\.clicks\.label=clicks: dataset 'toy' has no such label"),
        ({"cvr": {"label": "conversion", "given": "view"}}, None, r"task\.tasks\.cvr\.given=view"),
        ({"click": {"given": "price"}}, None, r"task\.tasks\.click\.given=price: that label is a number"),
        ({"click": {"loss": "mean_squared_error"}}, None, r"task\.tasks\.click\.loss=mean_squared_error: .* 0 or 1"),
        ({"click": {"weight": 0.0}}, None, r"every weight is 0"),
        (None, ["clik"], r"task\.only=\['clik'\]: there is no task 'clik'"),
        ({"a/b": {"label": "click"}}, None, r"a part of a file name, 1 to 100 characters without /"),
    ],
)
def test_wrong_tasks_are_refused_by_key(tasks, only, message):
    with pytest.raises(InputError, match=message):
        from_config(section(tasks, only), LABELS)


# Losses and metrics


def test_losses_count_the_rows_and_weights_of_each_task():
    rng = np.random.default_rng(0)
    tasks = [
        Task("ctr", "click", 0, weight=2.0),
        Task("cvr", "conversion", 1, given=0, weight=0.5),
        Task("seen", "conversion", 1, weight=0.0),
        Task("price", "price", 2, is_number=True),
    ]
    labels = np.column_stack([rng.integers(0, 2, (9, 2)), rng.normal(size=9)]).astype("float32")
    logits = {task.name: tf.constant(rng.normal(size=9), tf.float32) for task in tasks}
    weight = rng.uniform(size=9).astype("float32")
    p = {name: 1 / (1 + np.exp(-logit.numpy())) for name, logit in logits.items()}
    expected = 0.0
    for i, (click, conversion, price) in enumerate(labels):
        row = 2.0 * -np.log(p["ctr"][i] if click else 1 - p["ctr"][i])
        if click:
            row += 0.5 * -np.log(p["cvr"][i] if conversion else 1 - p["cvr"][i])
        row += (logits["price"].numpy()[i] - price) ** 2
        expected += weight[i] * row
    np.testing.assert_allclose(loss_sum(tasks, logits, labels, weight), expected, rtol=1e-5)


def test_a_batch_in_which_nobody_counts_has_no_loss():
    task = Task("cvr", "conversion", 1, given=0)
    loss = loss_sum([task], {"cvr": tf.constant([3.0, -2.0])}, np.zeros((2, 2), "float32"), np.ones(2, "float32"))
    assert loss.numpy() == 0


def test_metrics_are_of_the_rows_that_count():
    rng = np.random.default_rng(0)
    click = rng.random(400) < 0.4
    conversion = click & (rng.random(400) < 0.5)
    labels = np.column_stack([click, conversion]).astype("float32")
    probabilities = {task.name: rng.random(400).astype("float32") for task in FUNNEL}
    groups = rng.integers(1, 20, 400)
    found = split_metrics(Scored(labels, probabilities, groups), FUNNEL, seed=0)
    assert [found[name]["rows"] for name in ("ctr", "cvr", "ctcvr")] == [400, click.sum(), 400]
    assert [found[name]["positives"] for name in ("ctr", "cvr", "ctcvr")] == [click.sum(), *[conversion.sum()] * 2]
    alone = Scored(labels[click][:, 1:], {"cvr": probabilities["cvr"][click]}, groups[click])
    assert found["cvr"] == split_metrics(alone, [Task("cvr", "conversion", 0)], seed=0)["cvr"]


def test_a_task_of_one_class_says_why_it_has_no_auc_and_one_may_ask_for_some_metrics():
    labels = np.array([[1, 0], [0, 0], [1, 0]], "float32")
    probabilities = {"ctr": np.array([0.5, 0.2, 0.4], "float32"), "cvr": np.array([0.5, 0.2, 0.4], "float32")}
    tasks = [Task("ctr", "click", 0, metrics=("auc", "pcoc")), FUNNEL[1]]
    found = split_metrics(Scored(labels, probabilities, None), tasks, seed=0)
    assert list(found["ctr"]) == ["rows", "positives", "auc", "pcoc"]
    assert found["cvr"]["auc"]["value"] is None
    assert found["cvr"]["auc"]["reason"]


def test_numbers_are_scored_by_their_squares():
    rng = np.random.default_rng(0)
    labels = rng.normal(size=(300, 1)).astype("float32")
    predictions = (labels[:, 0] * 0.5).astype("float32")
    task = Task("price", "price", 0, is_number=True)
    scored = Scored(labels, {"price": predictions}, None)
    found = split_metrics(scored, [task], seed=0)["price"]
    squares = (labels[:, 0].astype("float64") - predictions) ** 2
    assert found["mse"]["value"] == pytest.approx(squares.mean())
    assert found["r2"]["value"] == pytest.approx(1 - squares.mean() / labels.astype("float64").var())
    for entry in (found["mse"], found["r2"]):
        assert entry["low"] < entry["value"] < entry["high"]
    assert split_curves(scored, [task]) == {}


def test_intervals_of_a_squared_error_cover_it():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        errors = rng.normal(size=200)
        entry = regression.compute(errors, np.zeros(200))["mse"]
        covered += entry["low"] <= 1.0 <= entry["high"]
    assert 0.91 <= covered / 400 <= 0.98


@pytest.mark.parametrize(("labels", "missing"), [([1.0], ["mse", "r2"]), ([2.0, 2.0], ["r2"])])
def test_metrics_of_numbers_that_do_not_exist_say_why(labels, missing):
    found = regression.compute(np.array(labels), np.zeros(len(labels)))
    assert [name for name, entry in found.items() if entry["value"] is None and entry["reason"]] == missing


def test_predictions_that_are_not_finite_are_refused():
    with pytest.raises(InputError, match="NaN or infinite"):
        regression.compute(np.zeros(2), np.array([1.0, np.nan]))


def test_weights_above_the_relus_of_a_tower_start_with_alternating_signs():
    model = build("shared_bottom", SCHEMAS["all kinds"], tower_units=[8])
    for task in ("click", "conversion"):
        kernel = model.get_layer(f"logit_{task}").kernel.numpy()[:, 0]
        assert np.sign(kernel).tolist() == [1, -1] * 4
        assert len(set(np.abs(kernel))) == 8
