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
from rectrain.schema import Categorical, Schema
from tests import samples
from tests.reference import models as reference
from tests.reference.layers import set_random_weights

CONFIGS = Path(__file__).parents[1] / "configs" / "model"
EMBEDDING = {"embedding_dim": 4, "embedding_stddev": 0.3}
DEEP = {**EMBEDDING, "hidden_units": [5, 3], "dropout": 0.0, "batch_norm": False}
DCN = {**DEEP, "num_crosses": 2}
DCN_V2 = {**DCN, "cross_rank": None, "structure": "parallel"}
AUTOINT = {
    **DEEP,
    "num_attention_layers": 2,
    "num_heads": 2,
    "head_width": 3,
    "residual": True,
    "scaling": False,
}
KNOBS = {
    "lr": {},
    "fm": EMBEDDING,
    "wide_deep": DEEP,
    "deepfm": DEEP,
    "dcn": DCN,
    "dcn_v2": DCN_V2,
    "autoint": AUTOINT,
}
NORMED = {"batch_norm": True, "dropout": 0.4}
VARIANTS = [
    *((name, {}) for name in KNOBS),
    *((name, NORMED) for name in KNOBS if "batch_norm" in KNOBS[name]),
    ("fm", {"embedding_dim": 1}),
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
    ("autoint", {"head_width": 2}),  # as wide as the embeddings: the residual needs no matrix
]
NUMERIC_ONLY = Schema("n", (), samples.schema(numeric=3).numeric, (), (), ("click",))
SCHEMAS = {
    "all kinds": samples.schema(),
    "categorical": samples.schema(numeric=0, multi_valued=False, crosses=False),
    "numeric": NUMERIC_ONLY,
}
each_model = pytest.mark.parametrize("name", KNOBS)
each_variant = pytest.mark.parametrize(
    ("name", "changed"), VARIANTS, ids=[" ".join([n, *(f"{k}={v}" for k, v in c.items())]) for n, c in VARIANTS]
)


def build(name, schema, **changed):
    module = importlib.import_module(f"rectrain.models.{name}")
    return module.build(schema, **{**KNOBS[name], **changed})


@pytest.fixture
def set_policy():
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy("float32")


@each_variant
@pytest.mark.parametrize("kinds", SCHEMAS)
@pytest.mark.parametrize("apart", [False, True])
def test_logits_match_numpy(name, changed, kinds, apart):
    schema = SCHEMAS[kinds]
    with first_order_tables_apart(apart):
        model = build(name, schema, **changed)
    weights = set_random_weights(model, seed=1)
    for rows in (0, 1, 6):
        batch = samples.batch(schema, rows, seed=rows)
        expected = getattr(reference, name)(weights, schema, batch, **{**KNOBS[name], **changed})
        logits = model(batch)
        assert list(logits) == ["click"]
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
        ("deepfm", {}, LINEAR + VECTORS + NUMERIC_VECTORS + FIELDS * 5 + TOWER),
        ("dcn", {}, VECTORS + 2 * (FLAT + FLAT) + FLAT * 5 + TOWER + FLAT),
        ("dcn", {"hidden_units": []}, VECTORS + 2 * (FLAT + FLAT) + FLAT + 1),
        ("dcn", NORMED, VECTORS + 2 * (FLAT + FLAT) + FLAT * 5 + TOWER + FLAT - (5 + 3) + 4 * (5 + 3)),
        ("dcn_v2", {}, VECTORS + 2 * (FLAT * FLAT + FLAT) + FLAT * 5 + TOWER + FLAT),
        ("dcn_v2", {"cross_rank": 3}, VECTORS + 2 * (2 * FLAT * 3 + FLAT) + FLAT * 5 + TOWER + FLAT),
        ("dcn_v2", {"structure": "stacked"}, VECTORS + 2 * (FLAT * FLAT + FLAT) + FLAT * 5 + TOWER),
        (
            "autoint",
            {},
            VECTORS + NUMERIC_VECTORS + 4 * 4 * 6 + 3 * 6 * 6 + (6 * 6 + 1) + FIELDS * 5 + TOWER,
        ),
        ("autoint", {"hidden_units": []}, VECTORS + NUMERIC_VECTORS + 4 * 4 * 6 + 3 * 6 * 6 + (6 * 6 + 1)),
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
    first, second = (build(name, samples.schema(), **(NORMED if "dropout" in KNOBS[name] else {})) for _ in range(2))
    assert [w.path for w in first.variables] == [w.path for w in second.variables]
    assert [layer.name for layer in first.layers] == [layer.name for layer in second.layers]
    assert len({w.path for w in first.variables}) == len(first.variables)


@each_model
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_gradients_of_tables_are_sparse_and_all_weights_have_one(name, policy, set_policy):
    set_policy(policy)
    schema = samples.schema()
    model = build(name, schema)
    set_random_weights(model, seed=1)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(samples.batch(schema, 6), training=True)["click"] ** 2)
    weights = model.trainable_weights
    gradients = tape.gradient(loss, [weight.value for weight in weights])
    sparse = [weight.path for weight, g in zip(weights, gradients, strict=True) if isinstance(g, tf.IndexedSlices)]
    assert sparse == [weight.path for weight in weights if weight.path.endswith("/table")]
    assert all(np.any(tf.convert_to_tensor(g)) for g in gradients)


@each_model
def test_bfloat16_gives_float32_logits_near_those_of_float32(name, set_policy):
    schema = samples.schema()
    batch = samples.batch(schema, 50)
    exact = build(name, schema)
    set_policy("mixed_bfloat16")
    rounded = build(name, schema)
    set_random_weights(rounded, seed=1, scale=0.3)
    set_random_weights(exact, seed=1, scale=0.3)
    logits = rounded(batch)["click"]
    assert logits.dtype == tf.float32
    assert all(weight.dtype == "float32" for weight in rounded.weights)
    np.testing.assert_allclose(logits, exact(batch)["click"], atol=2e-2)


@pytest.mark.parametrize("name", [name for name in KNOBS if "dropout" in KNOBS[name]])
def test_dropout_acts_in_training_only(name):
    schema = samples.schema()
    batch = samples.batch(schema, 20)
    model, plain = build(name, schema, dropout=0.5), build(name, schema)
    set_random_weights(model, seed=1)
    set_random_weights(plain, seed=1)
    first, second = (model(batch, training=True)["click"].numpy() for _ in range(2))
    assert np.any(first != second)
    np.testing.assert_array_equal(model(batch)["click"], plain(batch)["click"])
    np.testing.assert_array_equal(plain(batch, training=True)["click"], plain(batch)["click"])


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
    schema = samples.schema()
    model = build(name, schema)
    set_random_weights(model, seed=1)
    batch = samples.batch(schema, 8)
    other = dict(batch, tags=np.where(batch["tags_valid"], batch["tags"], 17).astype("int32"))
    np.testing.assert_array_equal(model(batch)["click"], model(other)["click"])


@each_model
def test_defaults_are_the_knobs_of_the_builder_and_build(name):
    defaults = OmegaConf.to_container(OmegaConf.load(CONFIGS / f"{name}.yaml"))
    assert defaults.pop("name") == name
    module = importlib.import_module(f"rectrain.models.{name}")
    assert list(defaults) == list(inspect.signature(module.build).parameters)[1:]
    schema = samples.schema()
    assert module.build(schema, **defaults)(samples.batch(schema, 3))["click"].shape == (3,)


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        *((name, {"embedding_dim": 0}) for name in KNOBS if name != "lr"),
        *((name, {"embedding_stddev": -0.1}) for name in KNOBS if name != "lr"),
        *((name, {"hidden_units": [4, 0]}) for name in KNOBS if "hidden_units" in KNOBS[name]),
        *((name, {"dropout": 1.0}) for name in KNOBS if "dropout" in KNOBS[name]),
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
        build(name, samples.schema(), **changed)


@each_model
def test_several_labels_are_refused(name):
    with pytest.raises(InputError, match=r"data\.labels"):
        build(name, samples.schema(labels=("click", "like")))
