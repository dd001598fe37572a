"""A model as an ONNX file, from the packed batch to probabilities. Texts do not become ids in it."""

from pathlib import Path

import tensorflow as tf

from rectrain.errors import InputError
from rectrain.training.precision import float32_layers
from rectrain.training.steps import Steps

_OPSET = 18


def write(steps: Steps, path: Path):
    """Inputs are called as the tensors of a packed batch (schema.py), outputs as the tasks.

    Raises:
        InputError: the extra is not installed.
    """
    try:
        import tf2onnx
    except ImportError as error:
        raise InputError(
            f"export.formats=[onnx] needs the extra ({error}): pip install 'rectrain[onnx]', or leave onnx out."
        ) from error

    specs = {name: tf.TensorSpec(x.shape, x.dtype, name) for name, x in steps.model.input.items()}

    def score(batch):
        with float32_layers(steps.model):
            return steps.predictions(batch)

    graph = tf.function(score, input_signature=[specs], autograph=False)
    tf2onnx.convert.from_function(graph, input_signature=[specs], opset=_OPSET, output_path=str(path))
