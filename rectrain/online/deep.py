"""Any model, learned in windows of rows: each window is scored, then one step is made with it."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from rectrain.config import OnlineConfig
from rectrain.data.row_groups import Rows
from rectrain.errors import InputError, first_line
from rectrain.outputs.run_report import count_parameters, weights_sha256
from rectrain.schema import Schema
from rectrain.training.build import CONSTANT_RATE, build_steps, variables_by_name
from rectrain.training.strategy import describe_device


class ModelLearner:
    """A model and its optimizer, as `rectrain train` builds them."""

    row_by_row = False

    def __init__(self, config: OnlineConfig, schema: Schema, folder: Path | None):
        """folder: of the prepared data set, whose histories the model may read; None: raw files."""
        self.steps = build_steps(config, schema, CONSTANT_RATE, "float32")
        self._views = None
        if folder is not None and schema.histories:
            from rectrain.data.history_views import HistoryViews  # loads numba

            self._views = HistoryViews.of(schema, folder, self.steps.model.input)
        self._checkpoint = tf.train.Checkpoint(variables=variables_by_name(self.steps.model, self.steps.optimizer))

    def learn(self, rows: Rows) -> dict[str, np.ndarray]:
        """Probabilities before the step, {task: float32 (N,)}."""
        if self._views is not None:
            rows = {**rows, **self._views.read(rows)}
        scores = {name: values.numpy() for name, values in self.steps.score(rows).items()}
        self.steps.train_batch(rows)
        return scores

    def sparsity(self) -> dict:
        weights = [w.value for w in self.steps.model.trainable_variables]
        nonzero = sum(int(tf.math.count_nonzero(w)) for w in weights)
        return {"nonzero_weights": nonzero, "weights": sum(w.shape.num_elements() for w in weights)}

    @property
    def device(self) -> str:
        """What computes, and in which precision."""
        return f"{describe_device(self.steps.strategy)}, float32"

    def parameters(self) -> dict[str, int]:
        return count_parameters(self.steps.model)

    def weights_sha256(self) -> str:
        return weights_sha256(self.steps.model)

    def save(self, folder: Path):
        """Raises OSError where the folder cannot be written."""
        try:
            self._checkpoint.write(str(folder / "variables"))
        except tf.errors.OpError as error:
            raise OSError(first_line(error).rstrip(".")) from error

    def restore(self, folder: Path, num_rows: int):
        """Raises InputError where what was saved is damaged, or that of another model."""
        try:
            self._checkpoint.read(str(folder / "variables")).assert_consumed()
        except (AssertionError, LookupError, RuntimeError, ValueError, tf.errors.OpError) as error:
            raise InputError(
                f"{folder} does not fit the model: {first_line(error)} Set model=... as it was."
            ) from error
