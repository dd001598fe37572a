"""What TensorBoard's HPARAMS tab reads of a run of a sweep, written without the tensorboard package.

Messages of tensorboard/plugins/hparams/plugin_data.proto, put together from protobuf's own encoding of fields.
"""

import struct
import time

from google.protobuf.struct_pb2 import Value

START, END = "_hparams_/session_start_info", "_hparams_/session_end_info"
STATUS = {"stopped": 0, "done": 1, "failed": 2}  # STATUS_UNKNOWN, _SUCCESS, _FAILURE
_VARINT, _DOUBLE, _BYTES = 0, 1, 2  # how a field is encoded


def session_start(values: dict, group: str) -> bytes:
    """HParamsPluginData of a run that begins.

    Args:
        values: {key: number, bool or what is shown as text} that set the run apart.  group: runs of one are a line.
    """
    hparams = b"".join(_bytes(1, _bytes(1, key.encode()) + _bytes(2, _value(value))) for key, value in values.items())
    return _plugin_data(3, hparams + _bytes(4, group.encode()) + _double(5, time.time()))


def session_end(status: str) -> bytes:
    """That of a run that ends: done, stopped or failed."""
    return _plugin_data(4, _number(1, STATUS[status]) + _double(2, time.time()))


def _plugin_data(field: int, message: bytes) -> bytes:
    return _number(1, 0) + _bytes(field, message)  # version 0


def _value(value) -> bytes:
    if isinstance(value, bool):
        return Value(bool_value=value).SerializeToString()
    if isinstance(value, int | float):
        return Value(number_value=value).SerializeToString()
    return Value(string_value=str(value)).SerializeToString()


def _bytes(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | _BYTES) + _varint(len(content)) + content


def _double(field: int, value: float) -> bytes:
    return _varint(field << 3 | _DOUBLE) + struct.pack("<d", value)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3 | _VARINT) + _varint(value)


def _varint(value: int) -> bytes:
    """Seven bits a byte, lowest first; the highest bit says that more follow."""
    low = value & 0x7F
    return bytes([low]) if value < 0x80 else bytes([low | 0x80]) + _varint(value >> 7)
