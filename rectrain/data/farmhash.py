"""FarmHash Fingerprint64 of texts: the hash that `tf.strings.to_hash_bucket_fast` takes modulo its buckets.

Source: G. Pike, FarmHash, https://github.com/google/farmhash, farmhashna::Hash64 (MIT licence); names as there.

All arithmetic is modulo 2^64. Letters: N texts.
"""

import numba
import numpy as np
import pyarrow as pa

from rectrain.data.compiled import compiled
from rectrain.data.string_buffers import string_buffers

_K0, _K1, _K2 = np.uint64(0xC3A5C85C97CB3127), np.uint64(0xB492B66FBE98F273), np.uint64(0x9AE16A3B2F90404F)
_ARROW_OFFSETS, _ARROW_BYTES = (numba.types.Array(t, 1, "C", readonly=True) for t in (numba.int32, numba.uint8))


def fingerprints(text: pa.Array) -> np.ndarray:
    """uint64 (N,): of the bytes in UTF-8; a null has that of the empty text."""
    hashes = np.empty(len(text), np.uint64)
    _fingerprints(*string_buffers(text), hashes)
    return hashes


# Inlined before types are known: a call would count references of the array, which takes longer than the hash. Unsigned
# positions, as others may count from the end, which is a branch; bytes in this form become one load.
@numba.njit(inline="always")
def _fetch32(data, at):
    return (
        np.uint64(data[at])
        | np.uint64(data[at + np.uint64(1)]) << np.uint64(8)
        | np.uint64(data[at + np.uint64(2)]) << np.uint64(16)
        | np.uint64(data[at + np.uint64(3)]) << np.uint64(24)
    )


@numba.njit(inline="always")
def _fetch64(data, at):
    return (
        np.uint64(data[at])
        | np.uint64(data[at + np.uint64(1)]) << np.uint64(8)
        | np.uint64(data[at + np.uint64(2)]) << np.uint64(16)
        | np.uint64(data[at + np.uint64(3)]) << np.uint64(24)
        | np.uint64(data[at + np.uint64(4)]) << np.uint64(32)
        | np.uint64(data[at + np.uint64(5)]) << np.uint64(40)
        | np.uint64(data[at + np.uint64(6)]) << np.uint64(48)
        | np.uint64(data[at + np.uint64(7)]) << np.uint64(56)
    )


@numba.njit(inline="always")
def _rotate(x, by):
    return x >> np.uint64(by) | x << np.uint64(64 - by)


@numba.njit(inline="always")
def _shift_mix(x):
    return x ^ (x >> np.uint64(47))


@numba.njit(inline="always")
def _hash_len_16(u, v, mul):
    a = _shift_mix((u ^ v) * mul)
    return _shift_mix((v ^ a) * mul) * mul


@numba.njit(inline="always")
def _hash_len_0_to_16(data, s, size):
    mul = _K2 + size * np.uint64(2)
    if size >= 8:
        a, b = _fetch64(data, s) + _K2, _fetch64(data, s + size - np.uint64(8))
        return _hash_len_16(_rotate(b, 37) * mul + a, (_rotate(a, 25) + b) * mul, mul)
    if size >= 4:
        a, b = _fetch32(data, s), _fetch32(data, s + size - np.uint64(4))
        return _hash_len_16(size + (a << np.uint64(3)), b, mul)
    if size > 0:
        a, b = np.uint64(data[s]), np.uint64(data[s + (size >> np.uint64(1))])
        c = np.uint64(data[s + size - np.uint64(1)])
        y, z = a + (b << np.uint64(8)), size + (c << np.uint64(2))
        return _shift_mix(y * _K2 ^ z * _K0) * _K2
    return _K2


@numba.njit(inline="always")
def _hash_len_17_to_32(data, s, size):
    mul, end = _K2 + size * np.uint64(2), s + size
    a, b = _fetch64(data, s) * _K1, _fetch64(data, s + np.uint64(8))
    c, d = _fetch64(data, end - np.uint64(8)) * mul, _fetch64(data, end - np.uint64(16)) * _K2
    return _hash_len_16(_rotate(a + b, 43) + _rotate(c, 30) + d, a + _rotate(b + _K2, 18) + c, mul)


@numba.njit(inline="always")
def _hash_len_33_to_64(data, s, size):
    mul, end = _K2 + size * np.uint64(2), s + size
    a, b = _fetch64(data, s) * _K2, _fetch64(data, s + np.uint64(8))
    c, d = _fetch64(data, end - np.uint64(8)) * mul, _fetch64(data, end - np.uint64(16)) * _K2
    y = _rotate(a + b, 43) + _rotate(c, 30) + d
    z = _hash_len_16(y, a + _rotate(b + _K2, 18) + c, mul)
    e, f = _fetch64(data, s + np.uint64(16)) * mul, _fetch64(data, s + np.uint64(24))
    g, h = (y + _fetch64(data, end - np.uint64(32))) * mul, (z + _fetch64(data, end - np.uint64(24))) * mul
    return _hash_len_16(_rotate(e + f, 43) + _rotate(g, 30) + h, e + _rotate(f + a, 18) + g, mul)


@numba.njit(inline="always")
def _weak_hash_len_32(data, s, a, b):
    w, x = _fetch64(data, s), _fetch64(data, s + np.uint64(8))
    y, z = _fetch64(data, s + np.uint64(16)), _fetch64(data, s + np.uint64(24))
    a += w
    c = a
    b = _rotate(b + a + z, 21)
    a += x + y
    return a + z, b + _rotate(a, 44) + c


@numba.njit(inline="always")
def _hash_of_64_bytes(data, s, x, y, z, v0, v1, w0, w1, mul, nine):
    """One turn; `nine` is 9 in the last one and else 1."""
    x = _rotate(x + y + v0 + _fetch64(data, s + np.uint64(8)), 37) * mul
    y = _rotate(y + v1 + _fetch64(data, s + np.uint64(48)), 42) * mul
    x ^= w1 * nine
    y += v0 * nine + _fetch64(data, s + np.uint64(40))
    z = _rotate(z + w0, 33) * mul
    v0, v1 = _weak_hash_len_32(data, s, v1 * mul, x + w0)
    w0, w1 = _weak_hash_len_32(data, s + np.uint64(32), z + w1, y + _fetch64(data, s + np.uint64(16)))
    return z, y, x, v0, v1, w0, w1


@numba.njit(inline="always")
def _hash_len_65_and_more(data, s, size):
    last = size - np.uint64(1)
    end = s + (last & ~np.uint64(63))
    y = np.uint64(81) * _K1 + np.uint64(113)
    z = _shift_mix(y * _K2 + np.uint64(113)) * _K2
    x = np.uint64(81) * _K2 + _fetch64(data, s)
    v0 = v1 = w0 = w1 = np.uint64(0)
    while s != end:
        x, y, z, v0, v1, w0, w1 = _hash_of_64_bytes(data, s, x, y, z, v0, v1, w0, w1, _K1, np.uint64(1))
        s += np.uint64(64)
    mul = _K1 + ((z & np.uint64(0xFF)) << np.uint64(1))
    s = end + (last & np.uint64(63)) - np.uint64(63)
    w0 += last & np.uint64(63)
    v0 += w0
    w0 += v0
    x, y, z, v0, v1, w0, w1 = _hash_of_64_bytes(data, s, x, y, z, v0, v1, w0, w1, mul, np.uint64(9))
    return _hash_len_16(_hash_len_16(v0, w0, mul) + _shift_mix(y) * _K0 + z, _hash_len_16(v1, w1, mul) + x, mul)


@compiled(numba.void(_ARROW_OFFSETS, _ARROW_BYTES, numba.uint64[::1]))
def _fingerprints(offsets, data, hashes):
    for i in range(len(hashes)):
        s = np.uint64(offsets[i])
        size = np.uint64(offsets[i + 1]) - s
        if size <= 16:
            hashes[i] = _hash_len_0_to_16(data, s, size)
        elif size <= 32:
            hashes[i] = _hash_len_17_to_32(data, s, size)
        elif size <= 64:
            hashes[i] = _hash_len_33_to_64(data, s, size)
        else:
            hashes[i] = _hash_len_65_and_more(data, s, size)
