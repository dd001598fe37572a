"""The packed batch as Keras inputs."""

import keras

from rectrain.schema import Schema


def packed_inputs(schema: Schema) -> dict[str, keras.KerasTensor]:
    """One Keras input for each packed tensor that the schema fills (see rectrain/schema.py), keyed by its name."""
    inputs = {}
    if schema.num_categorical_columns:
        inputs["categorical"] = keras.Input((schema.num_categorical_columns,), dtype="int32", name="categorical")
    if schema.numeric:
        inputs["numeric"] = keras.Input((len(schema.numeric),), dtype="float32", name="numeric")
    for feature in schema.multi_valued:
        inputs[feature.name] = keras.Input((feature.max_length,), dtype="int32", name=feature.name)
        valid = f"{feature.name}_valid"
        inputs[valid] = keras.Input((feature.max_length,), dtype="bool", name=valid)
    return inputs
