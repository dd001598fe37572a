"""Texts as kernels read them: Arrow's own memory."""

import numpy as np
import pyarrow as pa


def string_buffers(text: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Offsets int32 (N + 1,) and bytes of string (N,); a null has no bytes."""
    assert text.type == pa.string(), text.type
    if text.null_count:
        text = text.fill_null("")  # what stands behind a null is not said
    _, offsets, data = text.buffers()
    if len(text) == 0 or data is None:
        return np.zeros(len(text) + 1, np.int32), np.zeros(0, np.uint8)
    whole = np.frombuffer(offsets, np.int32)
    return whole[text.offset : text.offset + len(text) + 1], np.frombuffer(data, np.uint8)
