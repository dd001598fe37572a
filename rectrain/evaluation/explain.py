"""How much each step of a row's history counts for its score: the weights that attentions give.

Letters: B rows, T steps.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import keras
import numpy as np

from rectrain.data.texts import Texts
from rectrain.errors import InputError
from rectrain.schema import Schema
from rectrain.tasks import Task


class _StepWeights(keras.layers.Layer):
    """What an attention gives to each step, float32 (B, T)."""

    def __init__(self, attention):
        super().__init__(name=f"weights_of_{attention.name}", dtype="float32")
        self.attention = attention

    def call(self, history):
        return self.attention.step_weights(history)


def explainer(model: keras.Model) -> keras.Model:
    """A model from the same batch to {attention: {"weights": float (B, T), "valid": bool (B, T), "ids": {step: ...}}}.

    Raises:
        InputError: the model has no attention to a history.
    """
    found = {layer.name: layer for layer in model.layers if hasattr(layer, "step_weights")}
    if not found:
        raise InputError(
            f"explain: model={model.name} does not weigh the steps of a history one by one. Set explain=0, or train "
            "one that does, as din, din_self_attention, sim_hard or sim_soft."
        )
    told = {}
    for name, layer in found.items():
        (history,) = layer._inbound_nodes[0].arguments.args  # layer.input has lost its names
        told[name] = {"weights": _StepWeights(layer)(history), "valid": history["valid"], "ids": history["ids"]}
    return keras.Model(model.input, told, name="explainer")


def explanations(
    score,
    explain,
    batches: Iterable[dict],
    places: list[int],
    tasks: list[Task],
    schema: Schema,
    folder: Path,
    first_row: int = 0,
) -> list[dict]:
    """For some rows of a split what they are, how they score, and the steps of their histories.

    Args:
        score: batch -> {task: probabilities}.  explain: batch -> what `explainer` returns.
        places: of the rows, ascending.  folder: where the vocabularies are.
        first_row: what the first row of the batches is called.
    Returns:
        one dict a row: "row", "labels" (where the batches have them) and "scores" by task, "fields" {feature: text},
        and "histories" {attention: steps}, oldest first, those of a search best first; a step is {"weight": float, and
        what each of its kinds says}.
    """
    texts = Texts(schema, folder)
    found = []
    for start, batch in _at(batches, places):
        scores, seen = score(batch), explain(batch)
        for b in range(len(start)):
            row = {name: np.asarray(column)[b] for name, column in batch.items()}
            found.append(
                {
                    "row": first_row + start[b],
                    "labels": {t.name: int(row["labels"][t.column]) for t in tasks if "labels" in row},
                    "scores": {task.name: float(scores[task.name][b]) for task in tasks},
                    "fields": _fields(schema, row, texts),
                    "histories": {name: _steps(told, b, texts) for name, told in seen.items()},
                }
            )
    return found


def spread_evenly(num_rows: int, count: int) -> list[int]:
    """`count` places in [0, num_rows), as many as there are."""
    count = min(count, num_rows)
    return [i * num_rows // count for i in range(count)]


def _at(batches: Iterable[dict], places: list[int]) -> Iterator[tuple[list[int], dict]]:
    """The rows at `places`, as far as one batch holds them together."""
    first = 0
    for batch in batches:
        size = len(next(iter(batch.values())))
        here = [place for place in places if first <= place < first + size]
        if here:
            rows = np.array(here) - first
            yield here, {name: np.asarray(column)[rows] for name, column in batch.items()}
        first += size


def _fields(schema: Schema, row: dict, texts: Texts) -> dict[str, str]:
    fields = {f.name: texts.of(row["categorical"][i]) for i, f in enumerate(schema.categorical)}
    for feature in schema.multi_valued:
        values = row[feature.name][row[f"{feature.name}_valid"]]
        fields[feature.name] = ", ".join(texts.of(value) for value in values)
    return fields


def _steps(told: dict, b: int, texts: Texts) -> list[dict]:
    places = np.flatnonzero(np.asarray(told["valid"])[b])
    weights = np.asarray(told["weights"])[b]
    ids = {name: np.asarray(values)[b] for name, values in told["ids"].items()}
    return [
        {"weight": float(weights[t]), **{name: texts.of(values[t]) for name, values in ids.items()}} for t in places
    ]
