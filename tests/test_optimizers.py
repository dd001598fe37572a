"""Every optimizer against its NumPy twin: alone, grouped, on one device and mirrored on two.

The trained weights have the paths and shapes of a wide & deep model; gradients are drawn, not computed from a loss.
"""

import functools
import math
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml

from rectrain.errors import InputError
from rectrain.optimizers.groups import GroupedOptimizer
from rectrain.registry import keyword_types, load
from tests.reference import optimizers as reference

ROOT = Path(__file__).parents[1]
KNOBS = {
    "lazy_adam": {"learning_rate": 0.05, "beta1": 0.8, "beta2": 0.97, "epsilon": 1e-4},
    "adam": {"learning_rate": 0.05, "beta1": 0.8, "beta2": 0.97, "epsilon": 1e-4},
    "adagrad": {"learning_rate": 0.3, "initial_accumulator_value": 0.05, "epsilon": 1e-3},
    "rowwise_adagrad": {"learning_rate": 0.3, "initial_accumulator_value": 0.05, "epsilon": 1e-3},
    "sgd": {"learning_rate": 0.2, "rates": "constant", "lambda1": 0.0},
    "ftrl": {"alpha": 0.4, "beta": 0.7, "lambda1": 0.3, "lambda2": 0.2, "lambda_group": 0.0},
}
NUM_ROWS = 11  # no other dimension is as large
SHAPES = {"embedding/table": (NUM_ROWS, 3), "linear/table": (NUM_ROWS, 1), "linear/bias": (1,), "mlp_0/kernel": (5, 4)}
COMMON = {"regularize": "batch", "l2_embedding": 0.0, "l2_dense": 0.0, "clip_norm": None}
CONSTANT = {"warmup_steps": 0, "decay": "constant", "decay_steps": 24, "final_fraction": 0.0}
DECAYED = {"warmup_steps": 4, "decay": "cosine", "decay_steps": 24, "final_fraction": 0.1}
WIDE_DEEP = {
    "name": "wide_ftrl",
    "wide": {"name": "ftrl", **KNOBS["ftrl"]},
    "deep": {"name": "lazy_adam", **KNOBS["lazy_adam"]},
}
L2_AND_CLIP = {"l2_embedding": 0.3, "l2_dense": 0.1, "clip_norm": 1.5}
RATES = ("constant", "inverse_sqrt", "per_coordinate")
LAZY_ADAM = {"name": "lazy_adam", **KNOBS["lazy_adam"], **COMMON}
CASES = {
    **{name: {"name": name, **knobs, **COMMON} for name, knobs in KNOBS.items()},
    "ftrl_groups": {"name": "ftrl", **KNOBS["ftrl"], **COMMON} | {"lambda_group": 6.0},
    **{
        f"sgd_{rates}_l1": {"name": "sgd", "learning_rate": 0.2, "rates": rates, "lambda1": 1.5, **COMMON}
        for rates in RATES
    },
    "l2_batch_and_clip": LAZY_ADAM | L2_AND_CLIP,
    "l2_frequency_and_clip": LAZY_ADAM | L2_AND_CLIP | {"regularize": "frequency"},
    "l2_table_and_clip": LAZY_ADAM | L2_AND_CLIP | {"regularize": "table"},
    "wide_ftrl": {**WIDE_DEEP, **COMMON, **L2_AND_CLIP},
}
WHOLE_TABLE = ("adam", "l2_table_and_clip")  # their semantics move every row
FTRL_ALONE = ("ftrl", "ftrl_groups")  # no schedule moves it
MIRRORED = tuple(case for case in CASES if case not in FTRL_ALONE)


def initial_weights(name):
    """Anywhere; those of a linear part trained by FTRL at 0, as in its paper."""
    rng = np.random.default_rng(7)
    weights = {path: rng.normal(size=shape).astype("float32") for path, shape in SHAPES.items()}
    if name == "wide_ftrl":
        return {path: w * (not path.startswith("linear/")) for path, w in weights.items()}
    return weights


def make_variables(weights):
    variables = []
    for path, weight in weights.items():
        layer, name = path.split("/")
        with keras.name_scope(layer):
            variables.append(keras.Variable(weight, name=name))
    assert [v.path for v in variables] == list(weights)
    return variables


@functools.cache
def draw_ids(step, replica=0):
    """Rows 0-8 with repetitions, 9 only every third step, 10 never; no row at all at three steps of a replica."""
    rng = np.random.default_rng([step, replica])
    if (step, replica) in ((5, 0), (13, 0), (0, 1)):
        return np.zeros(0, "int32")
    ids = rng.integers(0, 9, size=rng.integers(1, 30)).astype("int32")
    return np.append(ids, [9, 9]).astype("int32") if step % 3 == 0 else ids


def draw_gradients(step, replica=0):
    """{path: dense array, or (ids (N,), values (N, D)) for a table}."""
    rng = np.random.default_rng([step, replica, 1])
    ids = draw_ids(step, replica)
    gradients = {}
    for path, shape in SHAPES.items():
        if path.endswith("/table"):
            gradients[path] = ids, rng.normal(size=(len(ids), *shape[1:])).astype("float32")
        else:
            gradients[path] = rng.normal(size=shape).astype("float32")
    return gradients


def add_replicas(first, second):
    return {
        path: tuple(map(np.concatenate, zip(g, second[path], strict=True)))
        if isinstance(g, tuple)
        else g + second[path]
        for path, g in first.items()
    }


def to_slices(gradients):
    """What a tape gives: tf.IndexedSlices for a table."""
    return [
        tf.IndexedSlices(tf.convert_to_tensor(g[1]), tf.convert_to_tensor(g[0]), tf.constant(SHAPES[path]))
        if isinstance(g, tuple)
        else tf.convert_to_tensor(g)
        for path, g in gradients.items()
    ]


def signature():
    """Of `draw_gradients`, for any number of looked-up rows."""
    return {
        path: (tf.TensorSpec([None], tf.int32), tf.TensorSpec([None, *shape[1:]], tf.float32))
        if path.endswith("/table")
        else tf.TensorSpec(shape, tf.float32)
        for path, shape in SHAPES.items()
    }


def occurrences():
    """{path of a table: float32 (rows,)}, for regularize=frequency."""
    tables = {path: shape for path, shape in SHAPES.items() if path.endswith("/table")}
    return {path: np.linspace(1, 50, shape[0], dtype=np.float32) for path, shape in tables.items()}


def train_twin(config, schedule, num_replicas, num_steps=24):
    """{path: weights} after the gradients of all replicas, in float64."""
    twins = {}
    for path, weight in initial_weights(config["name"]).items():
        settings = config
        if config["name"] == "wide_ftrl":
            settings = config["wide" if path.startswith("linear/") else "deep"]
        knobs = {key: value for key, value in settings.items() if key not in (*COMMON, "name")}
        twins[path] = reference.twin(settings["name"], weight, path, **knobs)
    for step in range(num_steps):
        gradients = draw_gradients(step)
        if num_replicas == 2:
            gradients = add_replicas(gradients, draw_gradients(step, 1))
        factor = reference.schedule_factor(step, **schedule)
        reference.grouped_step(twins, gradients, config, factor, occurrences())
    return {path: t.weight for path, t in twins.items()}


def train(strategy, config, schedule, num_steps=24):
    """({path: weights}, number of traces, names of tensors as long as a table)."""
    with strategy.scope():
        variables = make_variables(initial_weights(config["name"]))
        optimizer = GroupedOptimizer(config, schedule)
        optimizer.build(variables, occurrences())
    num_replicas, num_traces = strategy.num_replicas_in_sync, 0

    @tf.function(input_signature=[[signature()] * num_replicas], autograph=False)
    def step(replicas):
        nonlocal num_traces
        num_traces += 1

        def apply():
            replica = int(tf.get_static_value(tf.distribute.get_replica_context().replica_id_in_sync_group))
            optimizer.apply(to_slices(replicas[replica]), variables)

        strategy.run(apply)

    for k in range(num_steps):
        step([draw_gradients(k, replica) for replica in range(num_replicas)])
    assert optimizer.step.numpy() == num_steps
    tensors = [t for op in step.get_concrete_function().graph.get_operations() for t in op.outputs]
    as_long_as_tables = [t.name for t in tensors if t.dtype.is_floating and t.shape.rank and t.shape[0] == NUM_ROWS]
    return {v.path: v.numpy() for v in variables}, num_traces, as_long_as_tables


def assert_close(weights, expected):
    assert weights.keys() == expected.keys()
    for path, weight in weights.items():
        np.testing.assert_allclose(weight, expected[path], rtol=2e-4, atol=2e-6, err_msg=path)


@pytest.mark.parametrize("case", CASES)
def test_one_device_matches_numpy_and_traces_once(case):
    schedule = CONSTANT if case in FTRL_ALONE else DECAYED
    weights, num_traces, as_long_as_tables = train(tf.distribute.OneDeviceStrategy("/cpu:0"), CASES[case], schedule)
    assert_close(weights, train_twin(CASES[case], schedule, num_replicas=1))
    assert num_traces == 1
    assert bool(as_long_as_tables) == (case in WHOLE_TABLE), as_long_as_tables[:5]


def train_mirrored_and_save(file):
    """Runs in a process of its own: logical devices cannot be changed once TensorFlow has started."""
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )
    strategy = tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])
    arrays = {}
    for case in MIRRORED:
        weights, _, as_long_as_tables = train(strategy, CASES[case], DECAYED)
        assert bool(as_long_as_tables) == (case in WHOLE_TABLE), as_long_as_tables[:5]
        arrays |= {f"{case}:{path}": weight for path, weight in weights.items()}
    np.savez(file, **arrays)


@pytest.fixture(scope="module")
def mirrored_weights(tmp_path_factory):
    file = tmp_path_factory.mktemp("mirrored") / "weights.npz"
    code = f"from tests.test_optimizers import train_mirrored_and_save; train_mirrored_and_save({str(file)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    return np.load(file)


@pytest.mark.parametrize("case", MIRRORED)
def test_two_mirrored_replicas_match_numpy_fed_with_the_global_batch(case, mirrored_weights):
    weights = {path: mirrored_weights[f"{case}:{path}"] for path in SHAPES}
    assert_close(weights, train_twin(CASES[case], DECAYED, num_replicas=2))


def repeated_row(optimizer, repetitions=100):
    """How far one step moves row 3 of a table of zeros that a batch looked up many times, each with gradient 1."""
    table = keras.Variable(np.zeros((8, 2), "float32"), name="table")
    optimizer.build([table])
    ids = tf.fill([repetitions], 3)
    gradient = tf.IndexedSlices(tf.ones([repetitions, 2]), ids, tf.constant([8, 2]))
    tf.function(lambda: optimizer.apply_gradients([(gradient, table)]))()
    return -table.numpy()[3, 0]


def test_keras_adam_moves_a_repeated_row_too_far_and_ours_by_the_learning_rate():
    """Keras adds (g_i)^2 one by one, n instead of n^2; used alone, outside a GroupedOptimizer, ours merges as well."""
    assert repeated_row(keras.optimizers.Adam(1e-3, epsilon=1e-12)) == pytest.approx(1e-3 * 10, rel=1e-3)
    for name in ("lazy_adam", "adam"):
        ours = load("optimizers", name)(learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-12)
        assert repeated_row(ours) == pytest.approx(1e-3, rel=1e-5)


def test_adam_adds_epsilon_after_the_bias_correction():
    """At the first step m_hat = g and sqrt(v_hat) = |g|: g = epsilon moves by half the rate; in Keras' form by 3 %."""
    weight = keras.Variable(np.zeros((1, 2), "float32"), name="kernel")
    optimizer = load("optimizers", "adam")(learning_rate=0.1, beta1=0.9, beta2=0.999, epsilon=1e-6)
    optimizer.build([weight])
    optimizer.apply_gradients([(tf.constant([[1e-6, -3e-6]]), weight)])
    np.testing.assert_allclose(weight, [[-0.05, 0.075]], rtol=1e-5)


def test_ftrl_is_keras_ftrl_with_its_names_translated():
    """From n = 0, with Keras' l2 = lambda2 / 2 and learning_rate = alpha."""
    knobs = KNOBS["ftrl"]
    theirs = keras.optimizers.Ftrl(
        learning_rate=knobs["alpha"],
        initial_accumulator_value=0.0,
        l1_regularization_strength=knobs["lambda1"],
        l2_regularization_strength=knobs["lambda2"] / 2,
        beta=knobs["beta"],
    )
    weights = [keras.Variable(np.zeros((5, 4), "float32"), name="kernel") for _ in range(2)]
    for weight, optimizer in zip(weights, (load("optimizers", "ftrl")(**knobs), theirs), strict=True):
        optimizer.build([weight])
        for step in range(20):
            optimizer.apply_gradients([(tf.constant(draw_gradients(step)["mlp_0/kernel"]), weight)])
    np.testing.assert_allclose(weights[0], weights[1], rtol=1e-4, atol=1e-6)


def test_l1_makes_touched_weights_exactly_zero_but_not_biases():
    config = CASES["ftrl"] | {"lambda1": 100.0}
    weights, _, _ = train(tf.distribute.OneDeviceStrategy("/cpu:0"), config, CONSTANT, num_steps=8)
    for path, weight in weights.items():
        touched = weight[:9] if path.endswith("/table") else weight
        assert np.all(touched == 0) == (path != "linear/bias"), path
    some_zero, _, _ = train(tf.distribute.OneDeviceStrategy("/cpu:0"), CASES["ftrl"] | {"lambda1": 2.0}, CONSTANT)
    assert 0 < np.mean(some_zero["embedding/table"][:9] == 0) < 1


def test_group_l1_makes_whole_rows_of_wide_tables_zero_and_leaves_narrow_ones_alone():
    config = CASES["ftrl_groups"] | {"lambda1": 0.0, "lambda_group": 8.0}
    weights, _, _ = train(tf.distribute.OneDeviceStrategy("/cpu:0"), config, CONSTANT)
    zeros = weights["embedding/table"][:10] == 0
    np.testing.assert_array_equal(zeros.any(axis=1), zeros.all(axis=1))
    assert 0 < zeros.all(axis=1).sum() < 10
    assert np.all(weights["linear/table"][:10] != 0)
    assert np.all(weights["embedding/table"][10] != 0)  # never touched: as it began


def test_without_l1_ftrl_goes_on_from_the_initial_weight():
    """The first step from n = 0 is Adagrad's: w - alpha g / (beta + |g|)."""
    knobs = KNOBS["ftrl"] | {"lambda1": 0.0, "lambda2": 0.0}
    start, gradient = np.array([[0.5, -2.0]], "float32"), np.array([[0.25, 3.0]], "float32")
    weight = keras.Variable(start, name="kernel")
    optimizer = load("optimizers", "ftrl")(**knobs)
    optimizer.build([weight])
    optimizer.apply_gradients([(tf.constant(gradient), weight)])
    expected = start - knobs["alpha"] * gradient / (knobs["beta"] + np.abs(gradient))
    np.testing.assert_allclose(weight, expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["adagrad", "ftrl"])
def test_zero_gradient_of_a_fresh_weight_is_no_move_even_with_a_zero_divisor(name):
    zeros = {"adagrad": {"initial_accumulator_value": 0.0, "epsilon": 0.0}, "ftrl": {"beta": 0.0, "lambda2": 0.0}}
    weight = keras.Variable(np.zeros((2, 3), "float32"), name="kernel")
    optimizer = load("optimizers", name)(**KNOBS[name] | zeros[name])
    optimizer.build([weight])
    optimizer.apply_gradients([(tf.zeros([2, 3]), weight)])
    np.testing.assert_array_equal(weight, np.zeros((2, 3)))


def move_sgd(rates, lambda1, weight, gradients, path="mlp_0/kernel"):
    """The weight after one step a gradient."""
    layer, name = path.split("/")
    with keras.name_scope(layer):
        variable = keras.Variable(np.array(weight, "float32"), name=name)
    optimizer = load("optimizers", "sgd")(learning_rate=0.5, rates=rates, lambda1=lambda1)
    optimizer.build([variable])
    for gradient in gradients:
        optimizer.apply_gradients([(tf.convert_to_tensor(gradient, "float32"), variable)])
    return variable.numpy()


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ("constant", [[1.0 - 0.5 * 3 - 0.5 * 3, -2.0]]),
        ("inverse_sqrt", [[1.0 - 0.5 * 3 - 0.5 / math.sqrt(2) * 3, -2.0]]),
        ("per_coordinate", [[1.0 - 0.5 / 3 * 3 - 0.5 / math.sqrt(9 + 9) * 3, -2.0]]),
    ],
)
def test_sgd_rates_fall_with_the_steps_or_with_the_gradients_of_each_weight(rates, expected):
    np.testing.assert_allclose(move_sgd(rates, 0.0, [[1.0, -2.0]], [[[3.0, 0.0]]] * 2), expected, rtol=1e-6)


@pytest.mark.parametrize("path", ["mlp_0/kernel", "linear/bias"])
def test_sgd_pulls_weights_towards_zero_where_they_stop_but_not_biases(path):
    """By rate x lambda1 = 0.5 x 0.4: what is further away comes nearer, what would pass 0 is exactly 0."""
    moved = move_sgd("constant", 0.4, [1.0, -1.0, 0.1, -0.1, 0.3], [[0.0, 0.0, 0.0, 0.0, 1.2]], path)
    expected = [0.8, -0.8, 0.0, 0.0, -0.1] if path.endswith("kernel") else [1.0, -1.0, 0.1, -0.1, -0.3]
    np.testing.assert_allclose(moved, expected, rtol=1e-6)
    assert np.count_nonzero(moved == 0) == (2 if path.endswith("kernel") else 0)


def test_sgd_pulls_by_the_rate_of_the_weight_itself_and_not_before_its_first_gradient():
    """Rates 0.5 / 4 and 0.5 / 0.1 pull by 0.05 and 2; the third weight has no rate yet."""
    moved = move_sgd("per_coordinate", 0.4, [[2.0, 1.0, 0.01]], [[[4.0, -0.1, 0.0]]])
    np.testing.assert_allclose(moved, [[2.0 - 0.5 - 0.05, 0.0, 0.01]], rtol=1e-6)
    assert moved[0, 1] == 0


@pytest.mark.parametrize("rates", RATES)
def test_sgd_with_l1_moves_touched_rows_once_and_no_other(rates):
    gradient = tf.IndexedSlices(tf.constant([[1.0], [2.0], [0.5]]), tf.constant([3, 3, 1]), tf.constant([5, 1]))
    variable = keras.Variable(np.full((5, 1), 0.01, "float32"), name="table")
    optimizer = load("optimizers", "sgd")(learning_rate=0.5, rates=rates, lambda1=0.2)
    optimizer.build([variable])
    optimizer.apply_gradients([(gradient, variable)])
    rate = {1: 0.5 / 0.5, 3: 0.5 / 3} if rates == "per_coordinate" else {1: 0.5, 3: 0.5}
    expected = np.full((5, 1), 0.01)
    expected[1] += rate[1] * (0.2 - 0.5)
    expected[3] += rate[3] * (0.2 - 3)
    np.testing.assert_allclose(variable, expected, rtol=1e-5)


@pytest.mark.parametrize("rates", RATES)
def test_sgd_l1_makes_touched_weights_exactly_zero_and_keeps_untouched_rows(rates):
    config = CASES["sgd"] | {"rates": rates, "lambda1": 100.0}
    weights, _, _ = train(tf.distribute.OneDeviceStrategy("/cpu:0"), config, CONSTANT, num_steps=8)
    for path, weight in weights.items():
        touched = weight[:9] if path.endswith("/table") else weight
        assert np.all(touched == 0) == (path != "linear/bias"), path
        if path.endswith("/table"):
            np.testing.assert_array_equal(weight[10], initial_weights("sgd")[path][10])
    some_zero, _, _ = train(tf.distribute.OneDeviceStrategy("/cpu:0"), CASES[f"sgd_{rates}_l1"], CONSTANT)
    assert 0 < np.mean(some_zero["embedding/table"][:9] == 0) < 1


@pytest.mark.parametrize("rates", RATES)
def test_sgd_moves_a_column_alike_whatever_stands_beside_it(rates):
    config = {"name": "sgd", **KNOBS["sgd"], **COMMON} | {"rates": rates, "lambda1": 0.3}
    assert GroupedOptimizer(config, CONSTANT).moves_columns_alike
    weight, gradients = initial_weights("sgd")["mlp_0/kernel"], [draw_gradients(k)["mlp_0/kernel"] for k in range(3)]
    alone = [move_sgd(rates, 0.3, weight[:, [i]], [g[:, [i]] for g in gradients]) for i in range(weight.shape[1])]
    np.testing.assert_array_equal(move_sgd(rates, 0.3, weight, gradients), np.concatenate(alone, axis=1))


def test_sgd_has_sums_of_squares_only_where_rates_are_of_each_weight():
    for rates in RATES:
        optimizer = GroupedOptimizer(CASES[f"sgd_{rates}_l1"], CONSTANT)
        optimizer.build(make_variables(initial_weights("sgd")))
        slots = {f"all/{path}/n" for path in SHAPES} if rates == "per_coordinate" else set()
        assert set(optimizer.variables) == {"plateau_scale", "all/iteration"} | slots


def test_an_unknown_rate_of_sgd_is_refused():
    with pytest.raises(
        InputError, match=r"^optimizer\.rates='inverse_root': expected one of constant, inverse_sqrt, per"
    ):
        GroupedOptimizer(CASES["sgd"] | {"rates": "inverse_root"}, CONSTANT)


def test_state_names_are_stable_unique_and_complete():
    """A checkpoint written by one process fits another, whatever else that one built before."""
    names = []
    for _ in range(2):
        variables = make_variables(initial_weights("wide_ftrl"))
        optimizer = GroupedOptimizer(CASES["wide_ftrl"], CONSTANT)
        optimizer.build(variables)
        names.append({name: tuple(v.shape) for name, v in optimizer.variables.items()})
    assert names[0] == names[1]
    slots = {"wide": ("linear/table", "linear/bias"), "deep": ("embedding/table", "mlp_0/kernel")}
    expected = {"plateau_scale": (), "wide/iteration": (), "deep/iteration": ()}
    for group, letters in (("wide", "zn"), ("deep", "mv")):
        expected |= {f"{group}/{path}/{letter}": SHAPES[path] for path in slots[group] for letter in letters}
    assert names[0] == expected


def test_restored_state_goes_on_bit_for_bit():
    def run(steps, state=None):
        variables = make_variables(initial_weights("lazy_adam"))
        optimizer = GroupedOptimizer(LAZY_ADAM | L2_AND_CLIP, DECAYED)
        optimizer.build(variables)
        everything = optimizer.variables | {f"model/{v.path}": v.value for v in variables}
        for name, value in (state or {}).items():
            everything[name].assign(value)
        for step in steps:
            if step == 4:
                optimizer.scale(0.5)
            optimizer.apply(to_slices(draw_gradients(step)), variables)
        return {name: v.numpy() for name, v in everything.items()}

    whole, resumed = run(range(12)), run(range(7, 12), state=run(range(7)))
    for name, value in whole.items():
        np.testing.assert_array_equal(value, resumed[name], err_msg=name)


def test_learning_rates_follow_schedule_and_plateau_in_scheduled_groups_only():
    optimizer = GroupedOptimizer(CASES["wide_ftrl"], CONSTANT | {"warmup_steps": 2})
    assert optimizer.learning_rates(0) == pytest.approx({"deep": 0.025})
    optimizer.scale(0.5)
    optimizer.scale(0.5)
    assert optimizer.learning_rates(1) == pytest.approx({"deep": 0.0125})
    assert GroupedOptimizer(CASES["ftrl"], CONSTANT).learning_rates(0) == {}


@pytest.mark.parametrize(("key", "value"), [("decay", "linear"), ("warmup_steps", 5)])
def test_schedule_is_refused_for_ftrl_alone(key, value):
    with pytest.raises(InputError, match=rf"trainer\.schedule\.{key}={value}: optimizer=ftrl .* choose another"):
        GroupedOptimizer(CASES["ftrl"], CONSTANT | {key: value})


@pytest.mark.parametrize(
    ("case", "part", "knob", "value", "bounds"),
    [
        ("lazy_adam", None, "beta1", 1.0, r"\[0, 1\)"),
        ("adam", None, "beta2", -0.1, r"\[0, 1\)"),
        ("adam", None, "epsilon", 0.0, r"\(0, inf\)"),
        ("sgd", None, "learning_rate", float("nan"), r"\(0, inf\)"),
        ("adagrad", None, "initial_accumulator_value", -1.0, r"\[0, inf\)"),
        ("sgd", None, "lambda1", -0.5, r"\[0, inf\)"),
        ("ftrl", None, "alpha", 0.0, r"\(0, inf\)"),
        ("wide_ftrl", "wide", "lambda1", -1.0, r"\[0, inf\)"),
        ("wide_ftrl", "deep", "learning_rate", 0.0, r"\(0, inf\)"),
    ],
)
def test_knob_out_of_bounds_is_named_with_its_section(case, part, knob, value, bounds):
    config = CASES[case] | ({knob: value} if part is None else {part: CASES[case][part] | {knob: value}})
    section = "optimizer" if part is None else rf"optimizer\.{part}"
    with pytest.raises(InputError, match=rf"^{section}\.{knob}={value}: expected a number in {bounds}"):
        GroupedOptimizer(config, CONSTANT)


def test_wide_ftrl_needs_both_parts():
    variables = make_variables(initial_weights("wide_ftrl"))
    with pytest.raises(InputError, match=r"no weights for optimizer\.wide, only mlp_0/kernel"):
        GroupedOptimizer(CASES["wide_ftrl"], CONSTANT).build(variables[3:])


@pytest.mark.parametrize("name", [*KNOBS, "wide_ftrl"])
def test_yaml_holds_every_knob_and_builds(name):
    config = yaml.safe_load((ROOT / "configs" / "optimizer" / f"{name}.yaml").read_text(encoding="utf-8"))
    assert config["name"] == name
    for part in (config["wide"], config["deep"]) if name == "wide_ftrl" else (config,):
        assert {"name", *keyword_types("optimizers", part["name"])} == set(part)
    optimizer = GroupedOptimizer(config | COMMON, CONSTANT)
    optimizer.build(make_variables(initial_weights(name)))
