"""Valid input -> input that is a little wrong, or only odd: bytes, cells, trees of plain values, Arrow tables.

Every function takes a random.Random and decides by it alone.
"""

import datetime
import decimal
import random
import string

import numpy as np
import pyarrow as pa

TEXTS = [
    *("", " ", "\t", "0", "1", "-1", "-0", "2", "1.0", "0.5", "1e999", "-1e300", "1e-400", "nan", "NaN", "-inf"),
    "Infinity",
    *("true", "false", "True", "yes", "no", "null", "None", "NULL", "~", "NA", "0x10", "0b1", "1_000", "+1"),
    *("1,5", "١٢", str(2**31), str(2**63), str(2**64), str(10**40), "-9223372036854775809", "00012", "1" * 400),
    *("x" * 70_000, "yesterday", "2024-02-30T00:00:00+00:00", "2024-05-01T00:00:00", "2024-05-01T00:00:00+99:99"),
    *("9999-12-31T23:59:59Z", "0001-01-01T00:00:00+00:00", "24050199", "<script>alert(1)</script>"),
    *("'; DROP TABLE x; --", "${oc.env:HOME}", "${data}", "${", "../../../etc/passwd", "/etc/passwd", "~/x", "-", "*"),
    "[]",
    *("{}", "a|b|c", "|", "||||", '"', '""', '"a', 'a"b', "'", "\x00", "\x1f", "\x7f", "\ufeff", "\u200b", "\u202e"),
    *("\ud7ff", "Zürich", "🙂", "e\u0301", "\r", "\n", "a\nb", "a,b", "a\tb", "__class__"),
    *("!!python/object/apply:os.system [ls]", "&a *a", "%s%n", "%Y", "%", "a=b", "name", "label", "city"),
]  # fmt: skip
VALUES = [
    *(None, True, False, 0, 1, -1, 2, 3, 7, 0.0, -0.0, 0.5, 1.5, 1e308, 1e-300, 2**16),
    *([], {}, [[]], [None], [1], ["a"], {"a": 1}, {"": None}, [1, "a", None], {"type": "vocabulary"}, {"name": "fm"}),
    *(float("inf"), float("nan")),
]
LARGE = [2**31, 2**31 - 1, 2**32, 2**63, -(2**63), 10**40, 10**9]


def mutated_bytes(data: bytes, rng: random.Random) -> bytes:
    """One to four changes of bytes, of any kind."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        data = _changed(data, rng)
    return data


def _changed(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data) + 1)
    stop = min(len(data), start + rng.choice((0, 1, 1, 2, 8, 64, 1000)))
    piece = data[start:stop]
    kind = rng.randrange(8)
    if kind == 0 and piece:
        piece = bytes([piece[0] ^ 1 << rng.randrange(8)]) + piece[1:]
    elif kind == 1:
        piece = rng.randbytes(len(piece))
    elif kind == 2:
        piece = b""
    elif kind == 3:
        piece = piece * rng.choice((2, 3, 50))
    elif kind == 4:
        piece = piece + rng.choice(TEXTS).encode("utf-8")
    elif kind == 5:
        return data[:start]
    elif kind == 6:
        piece = rng.choice((b"\x00", b"\xff", b"\n", b"\r", b'"', b",", b"\xef\xbb\xbf", b"\xff\xfe")) * rng.choice(
            (1, 3)
        )
    else:
        other = rng.randrange(len(data) + 1)
        piece = data[other : other + 64]
    return data[:start] + piece + data[stop:]


def mutated_rows(rows: list[list[str]], rng: random.Random) -> list[list[str]]:
    """One to three cells, rows or columns changed; the first row names the columns."""
    rows = [list(row) for row in rows]
    for _ in range(rng.choice((1, 1, 2, 3))):
        row, column = rng.randrange(len(rows)), rng.randrange(max(1, len(rows[0])))
        kind = rng.randrange(10)
        if kind < 5 and column < len(rows[row]):
            rows[row][column] = rng.choice(TEXTS)
        elif kind == 5:
            rows[row].insert(column, rng.choice(TEXTS))
        elif kind == 6:
            del rows[row][column : column + 1]
        elif kind == 7:
            value = rng.choice(TEXTS)
            rows[1:] = [[*line[:column], value, *line[column + 1 :]] for line in rows[1:]]
        elif kind == 8:
            del rows[row : row + rng.choice((1, 5, 100))]
            rows = rows or [[""]]
        else:
            rows.insert(row, [])
    return rows


def mutated_tree(tree, rng: random.Random, *, large: bool = True):
    """Plain values, as of JSON, with one to three of them changed, removed, renamed or added. large: huge ones too."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        path = rng.choice(list(_paths(tree)))
        tree = _replaced(tree, path, rng, [*VALUES, *TEXTS, *(LARGE if large else [])])
    return tree


def _paths(tree, path=()):
    yield path
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield from _paths(value, (*path, key))


def _replaced(tree, path: tuple, rng: random.Random, values: list):
    if len(path) > 1:
        copy = dict(tree) if isinstance(tree, dict) else list(tree)
        copy[path[0]] = _replaced(tree[path[0]], path[1:], rng, values)
        return copy
    if not path:
        return rng.choice(values) if rng.random() < 0.3 else tree
    return _with_one_changed(tree, path[0], rng, values)


def _with_one_changed(tree, key, rng: random.Random, values: list):
    copy = dict(tree) if isinstance(tree, dict) else list(tree)
    kind, value = rng.randrange(6), rng.choice(values)
    if kind == 0:
        del copy[key]
    elif kind == 1 and isinstance(copy, dict):
        copy[rng.choice((*TEXTS, f"{key}s", f"{key}x"))] = copy.pop(key)
    elif kind == 2 and isinstance(copy, dict):
        copy[rng.choice((*TEXTS, f"{key}s"))] = value
    elif kind == 3 and isinstance(copy, list):
        copy += [copy[key]] * rng.choice((1, 3))
    elif isinstance(copy[key], int | float) and not isinstance(copy[key], bool) and rng.random() < 0.5:
        copy[key] = rng.choice(
            (copy[key] + 1, copy[key] - 1, -copy[key], copy[key] * 2, float(copy[key]), str(copy[key]))
        )
    else:
        copy[key] = value
    return copy


def mutated_table(table: pa.Table, rng: random.Random) -> pa.Table:
    """One or two columns of other values, types or names."""
    for _ in range(rng.choice((1, 1, 2))):
        at = rng.randrange(table.num_columns)
        name = table.column_names[at]
        kind = rng.randrange(8)
        if kind == 0:
            table = table.rename_columns(
                [rng.choice((*TEXTS[:80], "city")) if n == name else n for n in table.column_names]
            )
        elif kind == 1 and table.num_columns > 1:
            table = table.remove_column(at)
        elif kind == 2:
            table = table.slice(0, rng.choice((0, 1, 3)))
        elif kind == 3:
            table = table.append_column(name, table.column(at))
        else:
            table = table.set_column(at, name, _odd_column(table.num_rows, rng))
    return table


def _odd_column(num_rows: int, rng: random.Random) -> pa.Array:
    """Values of some type, with nulls here and there."""
    make = rng.choice(_MAKERS)
    values = [None if rng.random() < 0.1 else value for value in make[1](num_rows, rng)]
    try:
        return pa.array(values, make[0])
    except (pa.ArrowException, OverflowError, ValueError):
        return pa.nulls(num_rows, make[0])


def _numbers(low, high):
    return lambda n, rng: [rng.randint(low, high) for _ in range(n)]


def _texts(n, rng):
    return [rng.choice(TEXTS) for _ in range(n)]


def _zero_or_one(n, rng):
    return [i % 2 for i in range(n)]


def _moments(n, rng):
    return [datetime.datetime(1970, 1, 1) + datetime.timedelta(days=rng.randint(-700_000, 2_000_000)) for _ in range(n)]


_MAKERS = [
    (pa.int8(), _zero_or_one),
    (pa.uint64(), _numbers(0, 2**64 - 1)),
    (pa.int64(), _numbers(-(2**63), 2**63 - 1)),
    (pa.float16(), lambda n, rng: np.array([rng.random() for _ in range(n)], np.float16)),
    (
        pa.float64(),
        lambda n, rng: [rng.choice((0.0, 1.0, 1e300, 5e-324, float("nan"), float("inf"))) for _ in range(n)],
    ),
    (pa.bool_(), lambda n, rng: [i % 2 == 0 for i in range(n)]),
    (pa.null(), lambda n, rng: [None] * n),
    (pa.string(), _texts),
    (pa.large_string(), _texts),
    (pa.string_view(), _texts),
    (pa.binary(), lambda n, rng: [rng.randbytes(3) for _ in range(n)]),
    (pa.binary(3), lambda n, rng: [rng.randbytes(3) for _ in range(n)]),
    (pa.dictionary(pa.int32(), pa.string()), _texts),
    (pa.decimal128(38, 3), lambda n, rng: [decimal.Decimal(rng.randint(-(10**20), 10**20)) for _ in range(n)]),
    (pa.decimal256(60, 0), lambda n, rng: [decimal.Decimal(10) ** 50 for _ in range(n)]),
    (pa.timestamp("ns", "Europe/Berlin"), _moments),
    (pa.timestamp("s"), _moments),
    (pa.date32(), _moments),
    (pa.time64("us"), lambda n, rng: [datetime.time(1, 2, 3)] * n),
    (pa.duration("ms"), _numbers(0, 10**6)),
    (pa.list_(pa.string()), lambda n, rng: [_texts(rng.randrange(4), rng) for _ in range(n)]),
    (pa.large_list(pa.int64()), lambda n, rng: [[1, None, 2**62]] * n),
    (pa.list_(pa.list_(pa.int8())), lambda n, rng: [[[1], []]] * n),
    (pa.list_(pa.float32(), 2), lambda n, rng: [[1.0, 2.0]] * n),
    (pa.struct([("a", pa.int8())]), lambda n, rng: [{"a": 1}] * n),
    (pa.map_(pa.string(), pa.int8()), lambda n, rng: [[("a", 1)]] * n),
]


def word(rng: random.Random) -> str:
    """A short word of letters and signs that mean something to some grammar."""
    return "".join(rng.choice(string.ascii_letters + string.punctuation + " ") for _ in range(rng.randrange(1, 12)))
