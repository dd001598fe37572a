"""Scalars for TensorBoard, written without the tensorboard package."""

from pathlib import Path

import tensorflow as tf

from rectrain.errors import InputError, first_line
from rectrain.outputs import hparams

_DATA_CLASS_SCALAR = 1  # tensorflow.DataClass in summary.proto, which has no Python name


class EventWriter:
    """Writes each evaluation of the history as scalars under `folder`, which is made with the first of them.

    Args:
        swept: {key: value} that sets a run of a sweep apart, for TensorBoard's HPARAMS; empty for a run of its own.
    """

    def __init__(self, folder: Path, swept: dict):
        self.folder, self.swept = folder, swept
        self._writer: tf.summary.SummaryWriter | None = None

    def rewrite(self, entries: list[dict]):
        """Makes these all that is written: an evaluation that is made again has one point. Raises as `write`."""
        for path in self.folder.glob("events*"):
            path.unlink()
        for entry in entries:
            self.write(entry)

    def write(self, entry: dict):
        """Raises InputError where the folder cannot be written, or the disk is full."""
        try:
            self._write(entry)
        except tf.errors.OpError as error:
            raise InputError(
                f"cannot write TensorBoard's events under {self.folder}: {first_line(error)} Free some space or choose "
                "another place with hydra.run.dir."
            ) from error

    def end(self, status: str):
        """Says how a run of a sweep ended, unless it had nothing to write."""
        if self.swept and self._writer is not None:
            self._write_hparams(self._writer, hparams.END, hparams.session_end(status))

    def _begin(self) -> tf.summary.SummaryWriter:
        self._writer = tf.summary.create_file_writer(str(self.folder))
        if self.swept:
            self._write_hparams(self._writer, hparams.START, hparams.session_start(self.swept, str(self.folder)))
        return self._writer

    def _write_hparams(self, writer: tf.summary.SummaryWriter, tag: str, content: bytes):
        metadata = tf.compat.v1.SummaryMetadata()
        metadata.plugin_data.plugin_name = "hparams"
        metadata.plugin_data.content = content
        with writer.as_default(step=0):
            tf.summary.write(tag, tf.constant(0.0), metadata=metadata)
        writer.flush()

    def _write(self, entry: dict):
        writer = self._writer or self._begin()
        with writer.as_default(step=entry["step"]):
            for tag, value in _scalars(entry).items():
                tf.summary.write(tag, tf.constant(value, tf.float32), metadata=_scalar_metadata())
        writer.flush()


def _scalars(entry: dict) -> dict[str, float]:
    rates = {f"train/learning_rate/{group}": rate for group, rate in entry["learning_rate"].items()}
    metrics = {f"valid/{task}/{m}": value for task, found in entry["valid"].items() for m, value in found.items()}
    values = {"train/loss": entry["train_loss"], **rates, **metrics, **_of_gates(entry.get("gates") or {})}
    return {tag: value for tag, value in values.items() if value is not None}


def _of_gates(gates: dict) -> dict[str, float]:
    loads = {f"gates/{name}/expert_{e}": x for name, gate in gates.items() for e, x in enumerate(gate["load"], 1)}
    return loads | {f"gates/{name}/entropy": gate["entropy"] for name, gate in gates.items()}


def _scalar_metadata():
    """What tells TensorBoard's scalar plugin that a value is its own."""
    metadata = tf.compat.v1.SummaryMetadata(data_class=_DATA_CLASS_SCALAR)
    metadata.plugin_data.plugin_name = "scalars"
    return metadata
