"""Preparation row by row in plain Python: what rectrain/data/prepare.py must agree with.

Raw rows are dicts of text, None where blank.
"""

import calendar
import math
import time
from collections import Counter

import numpy as np

from rectrain.config import DataConfig


def fingerprint(text: str, buckets: int) -> int:
    import tensorflow as tf  # here, so that processes without hashing start fast

    return int(tf.strings.to_hash_bucket_fast([text], buckets)[0])


def splits(data: DataConfig, rows: list[dict]) -> list[str]:
    """Split of each row; `random` has no twin."""
    config, n = data.split, len(rows)
    first_valid, first_test = (
        math.floor(round(config.train * n, 6)),
        math.floor(round((config.train + config.valid) * n, 6)),
    )
    if config.by == "order":
        place, valid, test = range(n), first_valid, first_test
    elif config.by == "hash":
        place = [fingerprint(r[config.column], 2**62) / 2**62 for r in rows]
        valid, test = config.train, config.train + config.valid
    else:
        place = [moment(data, r[data.time.column]) for r in rows]
        if config.valid_from is not None:
            valid, test = moment(data, config.valid_from), moment(data, config.test_from)
        else:
            valid, test = sorted(place)[first_valid], sorted(place)[first_test]
    return ["test" if p >= test else "valid" if p >= valid else "train" for p in place]


def moment(data, text):
    if data.time.format is None:
        return float(text)
    text = f"{text:.0f}" if isinstance(text, float) else text
    return float(calendar.timegm(time.strptime(text, data.time.format)))


def prepare(data: DataConfig, rows: list[dict], split_of: list[str]) -> dict[str, list[dict]]:
    """split -> rows, each with the packed columns as plain lists."""
    train = [r for r, s in zip(rows, split_of, strict=True) if s == "train"]
    groups = [(column, group) for group in data.features.values() for column in group.columns]
    categorical = [encoder(c, g, train) for c, g in groups if is_categorical(g)]
    numeric = [scaler(c, g, train) for c, g in groups if g.type == "numeric" and not is_categorical(g)]
    multi_valued = [(c, *bag(c, g, train)) for c, g in groups if g.type == "multi_valued"]
    crosses = [cross(columns, data.cross_buckets) for columns in data.crosses]
    encoded = {"train": [], "valid": [], "test": []}
    for row, split in zip(rows, split_of, strict=True):
        out, offset = {"categorical": []}, 0
        for encode, size in categorical:
            out["categorical"].append(offset + encode(row))
            offset += size
        for name, encode, size in multi_valued:
            out[name] = [offset + i for i in encode(row)]
            offset += size
        for encode, size in crosses:
            out["categorical"].append(offset + encode(row))
            offset += size
        out["numeric"] = [scale(row) for scale in numeric]
        out["labels"] = [float(row[column]) for column in data.labels.values()]
        if data.weight is not None:
            out["weight"] = float(row[data.weight])
        if data.group is not None:
            out["group"] = 0 if row[data.group] is None else 1 + fingerprint(row[data.group], 2**62)
        if data.time is not None:
            out["time"] = moment(data, row[data.time.column])
        encoded[split].append(out)
    return encoded


def is_categorical(group):
    return group.type == "categorical" or (group.type == "numeric" and group.transform in ("log_square", "quantile"))


def vocabulary(values, min_count):
    counts = Counter(values)
    kept = sorted((v for v in counts if counts[v] >= min_count), key=lambda v: (-counts[v], v.encode()))
    return {value: 2 + i for i, value in enumerate(kept)}


def text_ids(values, group):
    if group.hash_buckets is not None:
        return (lambda v: 0 if v is None else 1 + fingerprint(v, group.hash_buckets)), 1 + group.hash_buckets
    ids = vocabulary([v for v in values if v is not None], group.min_count)
    return (lambda v: 0 if v is None else ids.get(v, 1)), 2 + len(ids)


def encoder(column, group, train):
    if group.type == "categorical":
        ids, size = text_ids([r[column] for r in train], group)
        return (lambda row: ids(row[column])), size
    numbers = [float(r[column]) for r in train if r[column] is not None]
    if group.transform == "log_square":
        ids = vocabulary([log_square(x) for x in numbers], group.min_count or 1)
        return (lambda row: 0 if row[column] is None else ids.get(log_square(float(row[column])), 1)), 2 + len(ids)
    ordered = sorted(numbers)
    edges = sorted({ordered[i * len(ordered) // group.buckets] for i in range(1, group.buckets)} - {ordered[0]})
    bucket = lambda x: 1 + sum(edge <= x for edge in edges)  # noqa: E731
    return (lambda row: 0 if row[column] is None else bucket(float(row[column]))), 2 + len(edges)


def log_square(x):
    x = float(math.floor(math.log(x) ** 2)) if x > 2 else x
    return str(int(x)) if x == int(x) else repr(x)


def scaler(column, group, train):
    x = np.array([float(r[column]) for r in train if r[column] is not None])
    scale = {
        "none": lambda v: v,
        "log1p": lambda v: math.copysign(math.log1p(abs(v)), v),
        "standardize": lambda v: (v - x.mean()) / x.std(),
        "minmax": lambda v: (v - x.min()) / (x.max() - x.min()),
    }[group.transform]
    return lambda row: 0.0 if row[column] is None else scale(float(row[column]))


def bag(column, group, train):
    def items(row):
        return [v for v in (row[column] or "").split(group.separator) if v][: group.max_length]

    ids, size = text_ids([v for r in train for v in items(r)], group)
    return (lambda row: [ids(v) for v in items(row)]), size


def cross(columns, buckets):
    def encode(row):
        texts = [row[c] for c in columns]
        return 0 if not any(texts) else 1 + fingerprint("\x1f".join(t or "" for t in texts), buckets)

    return encode, 1 + buckets
