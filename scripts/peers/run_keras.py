"""Keras 3 as a user writes it: one Embedding layer a feature, Adam, `fit` on NumPy arrays.

python scripts/peers/run_keras.py DATA [--model dcn_v2 | deepfm] [--width 429 | 624] [--steps N]
"""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import common
import keras
import numpy as np
from common import CATEGORICAL, EMBEDDING_DIM, NUMERIC
from keras import layers, ops


def main():
    arguments = common.arguments(widths=[common.NARROW, common.WIDE])
    keras.utils.set_random_seed(common.SEED)
    rows = common.table_rows(arguments.data)
    model = build(arguments.model, rows, embed_numeric=arguments.width == common.WIDE)
    model.compile(optimizer=keras.optimizers.Adam(common.LEARNING_RATE), loss="binary_crossentropy")
    numbers, ids, labels = common.load(arguments.data, arguments.steps * common.BATCH_SIZE)
    columns = {name: np.ascontiguousarray(numbers[:, i]) for i, name in enumerate(NUMERIC)}
    columns |= {name: np.ascontiguousarray(ids[:, i]) for i, name in enumerate(CATEGORICAL)}
    clock = common.StepClock()
    tick = keras.callbacks.LambdaCallback(on_train_batch_end=lambda step, logs: clock.tick())
    model.fit(columns, labels, batch_size=common.BATCH_SIZE, verbose=0, callbacks=[tick])
    common.report(parameters=model.count_params(), table_rows=sum(rows), **clock.figures())


def build(name: str, rows: list[int], *, embed_numeric: bool) -> keras.Model:
    inputs = {n: keras.Input((), dtype="float32", name=n) for n in NUMERIC}
    inputs |= {c: keras.Input((), dtype="int32", name=c) for c in CATEGORICAL}
    numbers = [layers.Reshape((1,))(inputs[n]) for n in NUMERIC]
    vectors = [layers.Embedding(n, EMBEDDING_DIM)(inputs[c]) for c, n in zip(CATEGORICAL, rows, strict=True)]
    if embed_numeric:
        vectors += [layers.Dense(EMBEDDING_DIM, use_bias=False)(number) for number in numbers]
    x = layers.Concatenate()(vectors if embed_numeric else vectors + numbers)
    if name == "dcn_v2":
        logit = layers.Dense(1)(layers.Concatenate()([crosses(x), mlp(x)]))
    else:
        logit = layers.Add()([layers.Dense(1)(mlp(x)), linear(inputs, numbers, rows), pairs(vectors)])
    return keras.Model(inputs, layers.Activation("sigmoid")(logit))


def mlp(x):
    for units in common.HIDDEN_UNITS:
        x = layers.Dense(units, activation="relu")(x)
    return x


def crosses(x0):
    x = x0
    for _ in range(common.NUM_CROSSES):
        x = layers.Add()([layers.Multiply()([x0, layers.Dense(x0.shape[-1])(x)]), x])
    return x


def linear(inputs, numbers, rows: list[int]):
    terms = [layers.Embedding(n, 1)(inputs[c]) for c, n in zip(CATEGORICAL, rows, strict=True)]
    return layers.Add()([*terms, layers.Dense(1)(layers.Concatenate()(numbers))])


def pairs(vectors):
    """Sum of the inner products of all pairs of vectors, (B, 1)."""
    sum_BD = layers.Add()(vectors)
    sum_of_squares_BD = layers.Add()([ops.square(vector) for vector in vectors])
    return 0.5 * ops.sum(ops.square(sum_BD) - sum_of_squares_BD, axis=-1, keepdims=True)


if __name__ == "__main__":
    main()
