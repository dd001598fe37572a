"""How the gates of a mixture of experts listen. Letters: B rows, G gates of a layer, E experts."""

from collections.abc import Iterable

import keras
import numpy as np

from rectrain.layers.experts import Gates
from rectrain.training.precision import float32_layers


def gate_figures(model: keras.Model, batches: Iterable[dict]) -> dict[str, dict]:
    """{gate: {"load": [mean weight of each expert], "entropy": mean over rows in nats}}; empty without any gates.

    The entropy of a gate that listens to all E experts alike is ln E, of one that listens to a single expert 0. Experts
    are in the order of the model: with experts of a task's own, these come first.
    """
    layers = [layer for layer in model.layers if isinstance(layer, Gates)]
    if not layers:
        return {}
    gates = keras.Model(model.input, {layer.name: layer.output for layer in layers}, name="gates")
    sums = {layer.name: _Sums() for layer in layers}
    with float32_layers(gates):
        for batch in batches:
            for name, weights_BGE in gates({name: batch[name] for name in model.input}).items():
                sums[name].add(np.asarray(weights_BGE, np.float64))
    return {gate: figures for layer in layers for gate, figures in sums[layer.name].figures(layer.names).items()}


class _Sums:
    def __init__(self):
        self.rows, self.load_GE, self.entropy_G = 0, 0.0, 0.0

    def add(self, weights_BGE: np.ndarray):
        self.rows += len(weights_BGE)
        self.load_GE = self.load_GE + weights_BGE.sum(axis=0)
        self.entropy_G = self.entropy_G - (weights_BGE * np.log(np.maximum(weights_BGE, 1e-300))).sum(axis=(0, 2))

    def figures(self, names: list[str]) -> dict[str, dict]:
        loads, entropies = self.load_GE / self.rows, self.entropy_G / self.rows
        return {
            name: {"load": load.tolist(), "entropy": float(entropy)}
            for name, load, entropy in zip(names, loads, entropies, strict=True)
        }
