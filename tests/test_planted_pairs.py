"""Why factorization machines exist: they score pairs of values that training never held."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rectrain.models import fm, lr
from rectrain.schema import Categorical, Schema
from rectrain.tasks import Task

NUM_USERS, NUM_ITEMS = 20, 24
TASKS = [Task("click", "click", 0)]


def schema(*, crosses):
    """Users and items without missing values; with crosses, every pair has a row of its own in the linear part."""
    users, items = Categorical("user", NUM_USERS, 0, {}), Categorical("item", NUM_ITEMS, NUM_USERS, {})
    pair = Categorical("user_x_item", NUM_USERS * NUM_ITEMS, NUM_USERS + NUM_ITEMS, {})
    return Schema("pairs", (users, items), (), (), (pair,) if crosses else (), ("click",))


def batch(pairs, *, crosses):
    user, item = pairs.T
    columns = [user, NUM_USERS + item]
    if crosses:
        columns.append(NUM_USERS + NUM_ITEMS + user * NUM_ITEMS + item)
    return {"categorical": np.stack(columns, axis=1).astype("int32")}


def planted(seed=0):
    """Click probabilities whose logits are inner products of random vectors of length 2: float (users, items)."""
    rng = np.random.default_rng(seed)
    logits = 1.5 * rng.normal(size=(NUM_USERS, 2)) @ rng.normal(size=(2, NUM_ITEMS))
    return 1 / (1 + np.exp(-logits))


def train(model, features, click_rates, *, steps=300):
    """Minimizes the log loss over all pairs at once; each stands for equally many rows of its click rate."""
    optimizer = keras.optimizers.Adam(0.03)
    optimizer.build(model.trainable_variables)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            logits = model(features, training=True)["click"]
            loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=click_rates, logits=logits))
        gradients = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
        optimizer.apply([tf.convert_to_tensor(g) for g in gradients])

    for _ in range(steps):
        step()


def expected_auc(scores, probs):
    """AUC over endless rows: the chance that a clicked row outranks one without a click, ties counting half."""
    wins = (scores[:, None] > scores[None]) + 0.5 * (scores[:, None] == scores[None])
    weight = probs[:, None] * (1 - probs[None])
    return np.sum(wins * weight) / np.sum(weight)


def test_fm_scores_pairs_it_never_saw_and_explicit_pair_weights_do_not():
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(1)
    probs = planted()
    pairs = rng.permutation(np.argwhere(probs > 0))
    unseen, seen = pairs[:120], pairs[120:]
    assert set(unseen[:, 0]) <= set(seen[:, 0])
    assert set(unseen[:, 1]) <= set(seen[:, 1])
    click_rates = (rng.binomial(200, probs[tuple(seen.T)]) / 200).astype("float32")

    def aucs(model, *, crosses):
        train(model, batch(seen, crosses=crosses), click_rates)
        return [
            expected_auc(model(batch(part, crosses=crosses))["click"].numpy(), probs[tuple(part.T)])
            for part in (seen, unseen)
        ]

    best_seen, best_unseen = (expected_auc(p, p) for p in (probs[tuple(seen.T)], probs[tuple(unseen.T)]))
    fm_seen, fm_unseen = aucs(
        fm.build(schema(crosses=False), TASKS, embedding_dim=2, embedding_stddev=0.1), crosses=False
    )
    pairs_seen, pairs_unseen = aucs(lr.build(schema(crosses=True), TASKS), crosses=True)
    _, values_unseen = aucs(lr.build(schema(crosses=False), TASKS), crosses=False)

    assert fm_seen == pytest.approx(best_seen, abs=0.01)
    assert fm_unseen == pytest.approx(best_unseen, abs=0.02)
    assert pairs_seen == pytest.approx(best_seen, abs=0.01)
    assert pairs_unseen == pytest.approx(values_unseen, abs=0.05)
    assert pairs_unseen < best_unseen - 0.2
