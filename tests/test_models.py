"""Every model against its NumPy twin, its size against a count by hand, and what all of them promise."""

import importlib
import inspect
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from omegaconf import OmegaConf

from rectrain.errors import InputError
from rectrain.features.linear import first_order_tables_apart
from rectrain.schema import Categorical, History, Schema, Step
from rectrain.tasks import from_schema
from rectrain.training.losses import loss_sum
from tests import samples
from tests.reference import models as reference
from tests.reference.layers import assert_weights_follow_the_seed, set_random_weights

CONFIGS = Path(__file__).parents[1] / "configs" / "model"
EMBEDDING = {"embedding_dim": 4, "embedding_stddev": 0.3}
DEEP = {**EMBEDDING, "hidden_units": [5, 3], "dropout": 0.0, "batch_norm": False}
WIDE_DEEP = {**DEEP, "numeric_vectors": False}
DCN = {**WIDE_DEEP, "num_crosses": 2}
DCN_V2 = {**DCN, "cross_rank": None, "structure": "parallel"}
AUTOINT = {
    **DEEP,
    "num_attention_layers": 2,
    "num_heads": 2,
    "head_width": 3,
    "residual": True,
    "scaling": False,
    "layer_norm": False,
    "linear": False,
}
POOLED = {**DEEP, "hidden_activation": "relu", "pooling": "mean", "weighted_by": "gap"}
DIN = {
    **DEEP,
    "hidden_activation": "relu",
    "attention_units": [6],
    "attention_activation": "dice",
    "softmax": False,
    "scaling": False,
}
SELF_ATTENTION = {**DIN, "num_heads": 2, "head_width": 3, "positions": True}
SIM = {**DIN, "exact_search": "multi_head", "num_heads": 2, "head_width": 3}
SEQUENCE_KNOBS = {
    "pooled_dnn": POOLED,
    "din": DIN,
    "din_self_attention": SELF_ATTENTION,
    "sim_hard": SIM,
    "sim_soft": {**SIM, "num_found": 3, "num_trained": 4},
}
KNOBS = {
    "lr": {},
    "fm": EMBEDDING,
    "wide_deep": WIDE_DEEP,
    "deepfm": DEEP,
    "dcn": DCN,
    "dcn_v2": DCN_V2,
    "autoint": AUTOINT,
    **SEQUENCE_KNOBS,
}
NORMED = {"batch_norm": True, "dropout": 0.4}
VARIANTS = [
    *((name, {}) for name in KNOBS),
    *((name, NORMED) for name in KNOBS if "batch_norm" in KNOBS[name]),
    ("fm", {"embedding_dim": 1}),
    *((name, {"numeric_vectors": True}) for name in ("wide_deep", "dcn", "dcn_v2")),
    ("dcn", {"hidden_units": []}),
    ("dcn", {"num_crosses": 0}),
    ("dcn_v2", {"hidden_units": []}),
    ("dcn_v2", {"cross_rank": 2}),
    ("dcn_v2", {"structure": "stacked"}),
    ("dcn_v2", {"structure": "stacked", "hidden_units": []}),
    ("autoint", {"hidden_units": []}),
    ("autoint", {"num_attention_layers": 0}),
    ("autoint", {"residual": False}),
    ("autoint", {"scaling": True}),
    ("autoint", {"layer_norm": True}),
    ("autoint", {"linear": True}),
    ("autoint", {"linear": True, "layer_norm": True, "hidden_units": []}),
    ("autoint", {"head_width": 2}),  # as wide as the embeddings: the residual needs no matrix
    ("pooled_dnn", {"pooling": "sum"}),
    ("pooled_dnn", {"pooling": "weighted"}),
    ("pooled_dnn", {"pooling": "weighted", "weighted_by": "action"}),
    ("pooled_dnn", {"hidden_activation": "prelu"}),
    ("pooled_dnn", {"hidden_activation": "dice"}),
    ("din", {"attention_activation": "prelu"}),
    ("din", {"attention_activation": "relu", "attention_units": [6, 4]}),
    ("din", {"attention_activation": "sigmoid"}),
    ("din", {"softmax": True, "scaling": True}),
    ("din_self_attention", {"positions": False}),
    ("sim_hard", {"exact_search": "din"}),
    ("sim_soft", {"exact_search": "din"}),
    ("sim_soft", {"num_found": 20, "num_trained": 20}),  # more than there are steps
]
NUMERIC_ONLY = Schema("n", (), samples.schema(numeric=3).numeric, (), (), ("click",))
SCHEMAS = {
    "all kinds": samples.schema(),
    "categorical": samples.schema(numeric=0, multi_valued=False, crosses=False),
    "numeric": NUMERIC_ONLY,
    "histories": samples.with_histories(),
    "histories alone": samples.with_histories(
        numeric=0, multi_valued=False, crosses=False, gaps=False, action=False, lists=True
    ),
}
each_model = pytest.mark.parametrize("name", KNOBS)
each_variant = pytest.mark.parametrize(
    ("name", "changed"), VARIANTS, ids=[" ".join([n, *(f"{k}={v}" for k, v in c.items())]) for n, c in VARIANTS]
)


def schema_for(name, **kinds):
    return samples.with_histories(**kinds) if name in SEQUENCE_KNOBS else samples.schema(**kinds)


def outputs(model, batch, **mode):
    """Logits of what the model reads of a batch."""
    return model({key: batch[key] for key in model.input}, **mode)


def build(name, schema, **changed):
    module = importlib.import_module(f"rectrain.models.{name}")
    return module.build(schema, from_schema(schema), **{**KNOBS[name], **changed})


@pytest.fixture
def set_policy():
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy("float32")


def lacks_weights(schema, name, changed):
    return changed.get("pooling") == "weighted" and len(schema.history("short").steps) == 2


@each_variant
@pytest.mark.parametrize("kinds", SCHEMAS)
@pytest.mark.parametrize("apart", [False, True])
def test_logits_match_numpy(name, changed, kinds, apart):
    schema = SCHEMAS[kinds]
    if name in SEQUENCE_KNOBS and (apart or "histories" not in kinds or lacks_weights(schema, name, changed)):
        return
    with first_order_tables_apart(apart):
        model = build(name, schema, **changed)
    weights = set_random_weights(model, seed=1)
    for rows in (0, 1, 6):
        batch = samples.batch(schema, rows, seed=rows)
        expected = getattr(reference, name)(weights, schema, batch, **{**KNOBS[name], **changed})
        logits = outputs(model, batch)
        assert [output for output in logits if "/" not in output] == ["click"]
        assert logits["click"].shape == (rows,)
        np.testing.assert_allclose(logits["click"], expected, rtol=1e-4, atol=1e-4)


# The toy schema: a, b, c, tags with 5 + 3 + 7 + 6 = 21 rows, 2 numeric features, a cross of 11 rows; vectors of 4.
LINEAR = 21 + 11 + 2 + 1
VECTORS, NUMERIC_VECTORS = 21 * 4, 2 * 4
FLAT, FIELDS = 4 * 4 + 2, 6 * 4  # width of the raw and of the embedded features
TOWER = 5 + 5 * 3 + 3 + (3 + 1)  # all of the deep part but its first kernel


@pytest.mark.parametrize(
    ("name", "changed", "expected"),
    [
        ("lr", {}, LINEAR),
        ("fm", {}, LINEAR + VECTORS + NUMERIC_VECTORS),
        ("wide_deep", {}, LINEAR + VECTORS + FLAT * 5 + TOWER),
        ("wide_deep", {"numeric_vectors": True}, LINEAR + VECTORS + NUMERIC_VECTORS + FIELDS * 5 + TOWER),
        ("deepfm", {}, LINEAR + VECTORS + NUMERIC_VECTORS + FIELDS * 5 + TOWER),
        ("dcn", {}, VECTORS + 2 * (FLAT + FLAT) + FLAT * 5 + TOWER + FLAT),
        ("dcn", {"hidden_units": []}, VECTORS + 2 * (FLAT + FLAT) + FLAT + 1),
        ("dcn", NORMED, VECTORS + 2 * (FLAT + FLAT) + FLAT * 5 + TOWER + FLAT - (5 + 3) + 4 * (5 + 3)),
        (
            "dcn",
            {"numeric_vectors": True},
            VECTORS + NUMERIC_VECTORS + 2 * (FIELDS + FIELDS) + FIELDS * 5 + TOWER + FIELDS,
        ),
        ("dcn_v2", {}, VECTORS + 2 * (FLAT * FLAT + FLAT) + FLAT * 5 + TOWER + FLAT),
        ("dcn_v2", {"cross_rank": 3}, VECTORS + 2 * (2 * FLAT * 3 + FLAT) + FLAT * 5 + TOWER + FLAT),
        ("dcn_v2", {"structure": "stacked"}, VECTORS + 2 * (FLAT * FLAT + FLAT) + FLAT * 5 + TOWER),
        (
            "autoint",
            {},
            VECTORS + NUMERIC_VECTORS + 4 * 4 * 6 + 3 * 6 * 6 + (6 * 6 + 1) + FIELDS * 5 + TOWER,
        ),
        ("autoint", {"hidden_units": []}, VECTORS + NUMERIC_VECTORS + 4 * 4 * 6 + 3 * 6 * 6 + (6 * 6 + 1)),
        (
            "autoint",
            {"hidden_units": [], "layer_norm": True, "linear": True},
            LINEAR + VECTORS + NUMERIC_VECTORS + 4 * 4 * 6 + 3 * 6 * 6 + (6 * 6 + 1) + 2 * 2 * 6,
        ),
    ],
)
def test_parameters_equal_a_count_by_hand(name, changed, expected):
    assert build(name, samples.schema(), **changed).count_params() == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lr", 62_227),
        ("fm", 684_487),
        ("wide_deep", 1_162_087 + 1),  # ours has a bias in each part
        ("deepfm", 1_162_088),
        ("dcn", 1_102_591),
        ("dcn_v2", 1_557_721),
        ("autoint", 1_108_534),
    ],
)
def test_parameters_equal_those_of_fuxictr_on_criteo(name, expected):
    """FuxiCTR 2.3.10: 39 categorical fields with 62,226 rows, vectors of 10, MLP 400 x 3."""
    sizes = [1_000] * 38 + [24_226]
    fields = tuple(Categorical(f"f{i}", size, sum(sizes[:i]), {}) for i, size in enumerate(sizes))
    schema = Schema("criteo", fields, (), (), (), ("click",))
    theirs = {"embedding_dim": 10, "hidden_units": [400, 400, 400], "num_crosses": 3}
    theirs |= {"num_attention_layers": 3, "num_heads": 2, "head_width": 16}
    changed = {key: value for key, value in theirs.items() if key in KNOBS[name]}
    assert build(name, schema, **changed).count_params() == expected


@each_model
def test_names_are_the_same_when_built_again(name):
    first, second = (build(name, schema_for(name), **(NORMED if "dropout" in KNOBS[name] else {})) for _ in range(2))
    assert [w.path for w in first.variables] == [w.path for w in second.variables]
    assert [layer.name for layer in first.layers] == [layer.name for layer in second.layers]
    assert len({w.path for w in first.variables}) == len(first.variables)


@each_model
def test_initial_weights_follow_the_seed(name):
    assert_weights_follow_the_seed(lambda: build(name, schema_for(name)))


@each_model
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_gradients_of_tables_are_sparse_and_all_weights_have_one(name, policy, set_policy):
    set_policy(policy)
    schema = schema_for(name)
    model = build(name, schema)
    set_random_weights(model, seed=1)
    with tf.GradientTape() as tape:
        logits = outputs(model, samples.batch(schema, 6), training=True)
        loss = tf.add_n([tf.reduce_sum(logit**2) for logit in logits.values()])
    weights = model.trainable_weights
    gradients = tape.gradient(loss, [weight.value for weight in weights])
    sparse = [weight.path for weight, g in zip(weights, gradients, strict=True) if isinstance(g, tf.IndexedSlices)]
    assert sparse == [weight.path for weight in weights if weight.path.endswith("/table")]
    assert all(np.any(tf.convert_to_tensor(g)) for g in gradients)


@each_model
def test_bfloat16_gives_float32_logits_near_those_of_float32(name, set_policy):
    schema = schema_for(name)
    batch = samples.batch(schema, 50)
    exact = build(name, schema)
    set_policy("mixed_bfloat16")
    rounded = build(name, schema)
    set_random_weights(rounded, seed=1, scale=0.3)
    set_random_weights(exact, seed=1, scale=0.3)
    logits = outputs(rounded, batch)["click"]
    assert logits.dtype == tf.float32
    assert all(weight.dtype == "float32" for weight in rounded.weights)
    np.testing.assert_allclose(logits, outputs(exact, batch)["click"], atol=2e-2)


@pytest.mark.parametrize("name", [name for name in KNOBS if "dropout" in KNOBS[name]])
def test_dropout_acts_in_training_only(name):
    schema = schema_for(name)
    batch = samples.batch(schema, 20)
    without_statistics = {"attention_activation": "relu"} if "attention_activation" in KNOBS[name] else {}
    model, plain = (build(name, schema, dropout=dropout, **without_statistics) for dropout in (0.5, 0.0))
    set_random_weights(model, seed=1)
    set_random_weights(plain, seed=1)
    first, second = (outputs(model, batch, training=True)["click"].numpy() for _ in range(2))
    assert np.any(first != second)
    np.testing.assert_array_equal(outputs(model, batch)["click"], outputs(plain, batch)["click"])
    np.testing.assert_array_equal(outputs(plain, batch, training=True)["click"], outputs(plain, batch)["click"])


@pytest.mark.parametrize("name", ["fm", "deepfm", "autoint", "dcn", "dcn_v2"])
def test_crosses_reach_linear_parts_only(name):
    schema = samples.schema()
    model = build(name, schema)
    set_random_weights(model, seed=1)
    if "linear" in {layer.name for layer in model.layers}:
        table = model.get_layer("linear").table
        table.assign(tf.zeros_like(table.value))
    batch = samples.batch(schema, 5)
    other = dict(batch, categorical=batch["categorical"].copy())
    other["categorical"][:, -1] = 21
    assert np.any(other["categorical"] != batch["categorical"])
    np.testing.assert_array_equal(model(batch)["click"], model(other)["click"])


@each_model
def test_padding_does_not_count(name):
    schema = schema_for(name)
    model = build(name, schema)
    set_random_weights(model, seed=1)
    batch = samples.batch(schema, 8)
    other = dict(batch, tags=np.where(batch["tags_valid"], batch["tags"], 17).astype("int32"))
    np.testing.assert_array_equal(outputs(model, batch)["click"], outputs(model, other)["click"])


@each_model
def test_defaults_are_the_knobs_of_the_builder_and_build(name):
    defaults = OmegaConf.to_container(OmegaConf.load(CONFIGS / f"{name}.yaml"))
    assert defaults.pop("name") == name
    module = importlib.import_module(f"rectrain.models.{name}")
    assert list(defaults) == list(inspect.signature(module.build).parameters)[2:]
    schema = schema_for(name)
    assert outputs(module.build(schema, from_schema(schema), **defaults), samples.batch(schema, 3))["click"].shape == (
        3,
    )


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        *((name, {"embedding_dim": 0}) for name in KNOBS if name != "lr"),
        *((name, {"embedding_stddev": -0.1}) for name in KNOBS if name != "lr"),
        *((name, {"hidden_units": [4, 0]}) for name in KNOBS if "hidden_units" in KNOBS[name]),
        *((name, {"dropout": 1.0}) for name in KNOBS if "dropout" in KNOBS[name]),
        *((name, {"hidden_units": []}) for name in SEQUENCE_KNOBS),
        *((name, {"hidden_activation": "rellu"}) for name in SEQUENCE_KNOBS),
        *((name, {"attention_units": []}) for name in ("din", "din_self_attention", "sim_hard", "sim_soft")),
        *((name, {"attention_activation": "dise"}) for name in ("din", "din_self_attention", "sim_hard", "sim_soft")),
        *((name, {"num_heads": 0}) for name in ("din_self_attention", "sim_hard", "sim_soft")),
        *((name, {"head_width": 0}) for name in ("din_self_attention", "sim_hard", "sim_soft")),
        *((name, {"exact_search": "dim"}) for name in ("sim_hard", "sim_soft")),
        ("pooled_dnn", {"pooling": "max"}),
        ("pooled_dnn", {"weighted_by": "time"}),
        ("sim_soft", {"num_found": 0}),
        ("sim_soft", {"num_trained": 0}),
        ("wide_deep", {"hidden_units": []}),
        ("deepfm", {"hidden_units": []}),
        ("dcn", {"num_crosses": -1}),
        ("dcn_v2", {"num_crosses": -1}),
        ("dcn_v2", {"cross_rank": 0}),
        ("dcn_v2", {"cross_rank": 19}),  # the features are 18 wide
        ("dcn_v2", {"structure": "paralel"}),
        ("autoint", {"num_attention_layers": -1}),
        ("autoint", {"num_heads": 0}),
        ("autoint", {"head_width": 0}),
    ],
    ids=str,
)
def test_wrong_knobs_are_refused_by_key(name, changed):
    (key,) = changed
    with pytest.raises(InputError, match=rf"model\.{key}\b"):
        build(name, schema_for(name), **changed)


@each_model
def test_several_labels_are_refused(name):
    with pytest.raises(InputError, match=r"there are 2: click, like\. Choose one with task\.only=\[click\]"):
        build(name, schema_for(name, labels=("click", "like")))


each_sequence_model = pytest.mark.parametrize("name", SEQUENCE_KNOBS)


def logits_of(name, schema, batch, **changed):
    model = build(name, schema, **changed)
    set_random_weights(model, seed=1)
    return {key: logit.numpy() for key, logit in outputs(model, batch).items()}


@pytest.mark.parametrize("changed", [{}, {"num_trained": 20}, {"hidden_activation": "prelu"}], ids=str)
def test_auxiliary_logits_of_the_search_match_numpy(changed):
    schema = samples.with_histories()
    model = build("sim_soft", schema, **changed)
    weights = set_random_weights(model, seed=1)
    for rows in (0, 1, 6):
        batch = samples.batch(schema, rows, seed=rows)
        expected = reference.sim_soft_search(weights, schema, batch, **{**KNOBS["sim_soft"], **changed})
        np.testing.assert_allclose(outputs(model, batch)["click/search"], expected, rtol=1e-4, atol=1e-4)


@each_sequence_model
@pytest.mark.parametrize("extra", [1, 7])
def test_more_padding_changes_nothing(name, extra):
    schema = samples.with_histories(lists=True)
    batch = samples.batch(schema, 9)
    short, long = (logits_of(name, schema, b) for b in (batch, samples.padded(schema, batch, extra)))
    for key in short:
        np.testing.assert_allclose(long[key], short[key], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", SEQUENCE_KNOBS)
def test_padding_does_not_count_in_training(name):
    """Dice has the statistics of real steps alone."""
    schema = samples.with_histories()
    batch = samples.batch(schema, 9)
    model = build(name, schema)
    set_random_weights(model, seed=1)
    short, long = (outputs(model, b, training=True)["click"] for b in (batch, samples.padded(schema, batch, 4)))
    np.testing.assert_allclose(long, short, rtol=1e-5, atol=1e-5)


def shuffled(schema, batch):
    """The real steps of each history in another order."""
    rng = np.random.default_rng(5)
    other = dict(batch)
    for h in schema.histories:
        order = np.arange(batch[f"{h.name}_valid"].shape[1])[None].repeat(len(batch[f"{h.name}_valid"]), axis=0)
        for row, valid in enumerate(batch[f"{h.name}_valid"]):
            order[row, : valid.sum()] = rng.permutation(valid.sum())
        for step in h.steps:
            other[f"{h.name}_{step.name}"] = np.take_along_axis(batch[f"{h.name}_{step.name}"], order, axis=1)
    return other


@each_sequence_model
def test_the_order_of_steps_counts_with_positions_only(name):
    schema = samples.with_histories()
    batch = samples.batch(schema, 9)
    other = shuffled(schema, batch)
    assert any(np.any(batch[key] != other[key]) for key in batch)
    changed = {"num_trained": 20} if name == "sim_soft" else {}  # else the search learns from other steps
    if name == "din_self_attention":
        assert np.any(np.abs(logits_of(name, schema, batch)["click"] - logits_of(name, schema, other)["click"]) > 1e-3)
        changed = {"positions": False}
    first, second = (logits_of(name, schema, b, **changed) for b in (batch, other))
    for key in first:
        np.testing.assert_allclose(first[key], second[key], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "changed", "expected"),
    [("pooled_dnn", {}, 63_681), ("din", {}, 72_066), ("din", {"attention_activation": "relu"}, 72_002)],
)
def test_parameters_equal_those_of_fuxictr_on_movielens(name, changed, expected):
    """FuxiCTR: three fields with 2,812 rows, a history of item and genre, vectors of 16, MLP 128-64, attention 64."""
    fields = (Categorical("user", 946, 0, {}), Categorical("item", 1648, 946, {}), Categorical("genre", 218, 2594, {}))
    steps = (Step("item", "item", 1648, 946), Step("genre", "genre", 218, 2594))
    schema = Schema("ml", fields, (), (), (), ("click",), (History("history", "short", 50, steps),))
    size = {"embedding_dim": 16, "hidden_units": [128, 64]}
    size |= {"attention_units": [64]} if name == "din" else {}
    by_hand = 2812 * 16 + 5 * 16 * 128 + 128 + 128 * 64 + 64 + 64 + 1
    by_hand += 0 if name == "pooled_dnn" else 4 * 32 * 64 + 64 + 64 + 1 + (0 if changed else 64)
    model = build(name, schema, **size, **changed)
    assert sum(np.prod(weight.shape) for weight in model.trainable_weights) == by_hand == expected


@pytest.mark.parametrize(
    ("name", "schema", "message"),
    [
        *((name, samples.schema(), r"data\.history is null") for name in SEQUENCE_KNOBS),
        ("sim_hard", samples.with_histories(roles=("short",)), r"data\.history\.hits_length is null"),
        ("sim_soft", samples.with_histories(roles=("short",)), r"data\.history\.long_length is null"),
    ],
)
def test_missing_histories_are_named_by_their_key(name, schema, message):
    with pytest.raises(InputError, match=rf"model={name} .*{message}"):
        build(name, schema)


@pytest.mark.parametrize(("weighted_by", "key"), [("gap", "gaps"), ("action", "action")])
def test_weights_that_the_history_lacks_are_named_by_their_key(weighted_by, key):
    schema = samples.with_histories(gaps=False, action=False)
    with pytest.raises(InputError, match=rf"data\.history\.{key}"):
        build("pooled_dnn", schema, pooling="weighted", weighted_by=weighted_by)


def test_weighted_pooling_starts_as_the_mean():
    schema = samples.with_histories()
    batch = samples.batch(schema, 6)
    weighted, mean = (build("pooled_dnn", schema, pooling=pooling) for pooling in ("weighted", "mean"))
    for weight in mean.weights:
        value = np.random.default_rng(0).normal(size=weight.shape)
        weight.assign(value)
        next(w for w in weighted.weights if w.path == weight.path).assign(value)
    np.testing.assert_allclose(outputs(weighted, batch)["click"], outputs(mean, batch)["click"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("name", "roles"), [("lr", ()), ("dcn", ("short",)), ("sim_hard", ("short", "hits"))])
def test_models_ask_for_the_histories_they_read_alone(name, roles):
    schema = samples.with_histories()
    read = {h.role for h in schema.histories if f"{h.name}_valid" in build(name, schema).input}
    assert read == set(roles)
    assert ("history_gap" in build(name, schema).input) == (name == "sim_hard")


def test_the_search_learns_from_its_own_output_alone():
    schema = samples.with_histories()
    model = build("sim_soft", schema)
    set_random_weights(model, seed=1)
    kernels = [w.value for w in model.trainable_weights if w.path.startswith("embedding/search/")]
    assert len(kernels) == 2
    with tf.GradientTape(persistent=True) as tape:
        logits = outputs(model, samples.batch(schema, 6), training=True)
    assert tape.gradient(logits["click"], kernels) == [None, None]
    assert all(np.any(g) for g in tape.gradient(logits["click/search"], kernels))


@each_sequence_model
def test_all_ids_of_a_row_are_made_distinct_once(name):
    schema = samples.with_histories()
    model = build(name, schema)
    batch = samples.batch(schema, 3)
    inputs = {key: batch[key] for key in model.input}
    graph = tf.function(lambda x: model(x, training=True)).get_concrete_function(inputs).graph
    assert [op.type for op in graph.get_operations()].count("Unique") == 1


def test_auxiliary_logits_are_trained_on_the_label_of_their_task_and_never_scored():
    tasks = from_schema(samples.schema(labels=("click", "like")))
    rng = np.random.default_rng(0)
    logits = {name: tf.constant(rng.normal(size=4), tf.float32) for name in ("click", "like", "like/search", "like/x")}
    labels = rng.integers(0, 2, (4, 2)).astype("float32")
    weight = rng.uniform(size=4).astype("float32")
    probabilities = {name: 1 / (1 + np.exp(-logit.numpy())) for name, logit in logits.items()}
    columns = {"click": 0, "like": 1, "like/search": 1, "like/x": 1}
    expected = -sum(
        weight[row] * np.log(p[row] if labels[row, columns[name]] else 1 - p[row])
        for name, p in probabilities.items()
        for row in range(4)
    )
    np.testing.assert_allclose(loss_sum(tasks, logits, labels, weight), expected, rtol=1e-5)
    assert [task.name for task in tasks] == ["click", "like"]
