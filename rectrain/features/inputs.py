"""The packed batch as Keras inputs."""

import keras

from rectrain.schema import History, Schema


def packed_inputs(
    schema: Schema, *, roles: tuple[str, ...] = ("short",), extras: bool = False
) -> dict[str, keras.KerasTensor]:
    """One Keras input for each packed tensor that a model reads (see rectrain/schema.py), keyed by its name.

    Only these are produced for the model.

    Args:
        roles: of the histories that it reads.
        extras: whether it reads their steps that have rows of their own too, such as the gap.
    """
    inputs = {}
    if schema.num_categorical_columns:
        inputs["categorical"] = keras.Input((schema.num_categorical_columns,), dtype="int32", name="categorical")
    if schema.numeric:
        inputs["numeric"] = keras.Input((len(schema.numeric),), dtype="float32", name="numeric")
    for feature in schema.multi_valued:
        inputs |= _padded(feature.name, [feature.name], feature.max_length)
    for history in schema.histories:
        if history.role in roles:
            inputs |= _padded(history.name, _step_names(history, extras), None)
    return inputs


def _step_names(history: History, extras: bool) -> list[str]:
    return [f"{history.name}_{step.name}" for step in history.steps if extras or step.feature is not None]


def _padded(name: str, ids: list[str], length: int | None) -> dict[str, keras.KerasTensor]:
    """Tensors of ids and the one that says which are real; without a length it is that of the batch's longest."""
    inputs = {key: keras.Input((length,), dtype="int32", name=key) for key in ids}
    return {**inputs, f"{name}_valid": keras.Input((length,), dtype="bool", name=f"{name}_valid")}
