"""Variables by name as the files of a tf.train.Checkpoint, tables in parts piece by piece.

A part is read and written by the server that holds it, some rows at a time: TensorFlow alone would have a second copy
of all of them in memory. The files fit those of a table that is whole, and the other way round.
"""

import itertools
import re
from dataclasses import dataclass

import tensorflow as tf

from rectrain.optimizers.parts import are_in_parts, parts_of

_SMALLEST = 2**22  # numbers of a piece
_PIECES = 128  # of a part, at most
_VALUE = "VARIABLE_VALUE"


class VariableFiles:
    def __init__(self, variables: dict[str, tf.Variable]):
        self._rest: list[_Piece] = []
        stand_ins = {}
        for name, variable in variables.items():
            if are_in_parts(variable):
                first, *others = _pieces(name, variable)
                stand_ins[name] = _StandIn(first)
                self._rest += others
        self._checkpoint = tf.train.Checkpoint(variables={**variables, **stand_ins})

    def write(self, prefix: str):
        if not self._rest:
            self._checkpoint.write(prefix)
            return
        prefixes = [f"{prefix}-{number}" for number in range(len(self._rest) + 1)]
        self._checkpoint.write(prefixes[0])
        for piece, there in zip(self._rest, prefixes[1:], strict=True):
            piece.write(there)
        tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=prefixes, destination_prefix=prefix, delete_old_dirs=False)

    def read(self, prefix: str):
        """
        Raises:
            AssertionError, ValueError or tf.errors.OpError: there are not these variables.
        """
        self._checkpoint.read(prefix).assert_consumed()
        for piece in self._rest:
            piece.read(prefix)


@dataclass(frozen=True)
class _Piece:
    """Rows of one part of a table."""

    key: str
    part: tf.Variable
    start: int  # within the part
    stop: int
    slice_spec: str  # which part of which shape they are, in TensorFlow's words

    def rows(self):
        with tf.device(self.part.device):
            return self.part.sparse_read(tf.range(self.start, self.stop))

    def assign(self, rows):
        with tf.device(self.part.device):
            self.part.scatter_update(tf.IndexedSlices(rows, tf.range(self.start, self.stop)))

    def write(self, prefix: str):
        with tf.device(self.part.device):
            tf.raw_ops.SaveV2(
                prefix=prefix, tensor_names=[self.key], shape_and_slices=[self.slice_spec], tensors=[self.rows()]
            )

    def read(self, prefix: str):
        with tf.device(self.part.device):
            (rows,) = tf.raw_ops.RestoreV2(
                prefix=prefix, tensor_names=[self.key], shape_and_slices=[self.slice_spec], dtypes=[self.part.dtype]
            )
        self.assign(rows)


class _StandIn(tf.__internal__.tracking.Trackable):
    """Lets the checkpoint know of a table by its first piece."""

    def __init__(self, piece: _Piece):
        self._piece = piece

    def _serialize_to_tensors(self):
        return {_VALUE: {self._piece.slice_spec: self._piece.rows()}}

    def _restore_from_tensors(self, restored):
        self._piece.assign(restored[_VALUE])


def _pieces(name: str, table) -> list[_Piece]:
    num_rows, width = table.shape
    key = f"variables/{re.sub('/', '.S', name.replace('.', '..'))}/.ATTRIBUTES/{_VALUE}"
    first, found = 0, []
    for part in parts_of(table):
        for start, stop in itertools.pairwise(_cuts(part.shape[0], width, begins=first == 0)):
            spec = f"{num_rows} {width} {first + start},{stop - start}:0,{width}"
            found.append(_Piece(key, part, start, stop, spec))
        first += part.shape[0]
    return found


def _cuts(num_rows: int, width: int, *, begins: bool) -> list[int]:
    """Where the pieces of a part begin and end. The first one of a table has one row: TensorFlow keeps it for long."""
    size = max(_SMALLEST // width, -(-num_rows // _PIECES), 1)
    return sorted({0, *([1] if begins else []), *range(size, num_rows, size), num_rows})
