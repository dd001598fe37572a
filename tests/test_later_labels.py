"""Labels of what a row's user does with its item later, against a loop over all events of the log."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

import rectrain.data.readers.rows as raw_rows
from rectrain.config import DataConfig, parse
from rectrain.data.history_store import HistoryStore
from rectrain.data.manifest import Prepared
from rectrain.data.prepare import prepare
from rectrain.data.row_groups import read_rows, row_groups
from rectrain.errors import InputError
from tests.samples import CONFIGS

NAMES = ["user", "item", "kind", "price", "time"]
BUYS = {"conversion": {"column": "kind", "one_of": ["buy"], "later": True}}
NEGATIVES = {"columns": ["item"], "per_positive": 2}


def write_log(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([NAMES, *rows])
    return path


def random_log(path, num_rows=500, blank_items=True):
    """In no order of time, which few rows have for themselves; a user has some of the items, some rows have none."""
    rng = np.random.default_rng(3)
    users, times = rng.integers(9, size=num_rows), rng.integers(40, size=num_rows)
    items = (4 * users + rng.integers(20, size=num_rows)) % 36
    kinds = rng.choice(["view", "view", "view", "buy", "fav"], num_rows)
    names = ["" if blank_items and item == 7 else f"i{item}" for item in items]
    columns = [f"u{u}" for u in users], names, kinds, rng.integers(1, 100, num_rows), 1_000 + times
    rows = list(zip(*(list(column) for column in columns), strict=True))
    write_log(path, rows)
    return [dict(zip(NAMES, row, strict=True)) for row in rows]


def config(path, **sections):
    base = OmegaConf.to_container(OmegaConf.load(CONFIGS / "data_defaults.yaml").data)
    data = {
        **base,
        "name": "log",
        "files": str(path),
        "prepared_dir": str(path.parent / "prepared"),
        "format": {"reader": "csv"},
        "labels": {"view": {"column": "kind", "one_of": ["view"]}, **BUYS},
        "time": {"column": "time", "format": None},
        "features": {"ids": {"type": "categorical", "columns": ["item"]}},
        "history": {"user": "user", "steps": ["item"], "action": "kind"},
    }
    return parse(DataConfig, {**data, **sections}, "data")


def labels_of(prepared: Prepared, name: str) -> np.ndarray:
    """Of all splits, in their order."""
    parts = [
        read_rows(prepared.schema, group)["labels"]
        for split in ("train", "valid", "test")
        for group in row_groups(prepared.shards(split))
    ]
    return np.concatenate(parts)[:, prepared.schema.labels.index(name)]


def has_later(log, row, is_event) -> bool:
    """The definition, word by word."""
    return row["item"] != "" and any(
        event["user"] == row["user"] and event["item"] == row["item"] and event["time"] >= row["time"]
        for event in log
        if is_event(event)
    )


@pytest.mark.parametrize("chunk_bytes", [16 << 20, 300])
@pytest.mark.parametrize(
    ("condition", "is_event"),
    [
        ({"column": "kind", "one_of": ["buy"]}, lambda e: e["kind"] == "buy"),
        ({"column": "price", "at_least": 70}, lambda e: e["price"] >= 70),
    ],
    ids=["one_of", "at_least"],
)
def test_labels_are_those_of_a_loop_over_all_events(tmp_path, monkeypatch, chunk_bytes, condition, is_event):
    monkeypatch.setattr(raw_rows, "CHUNK_BYTES", chunk_bytes)
    monkeypatch.setattr(raw_rows, "LINE_BYTES", min(chunk_bytes, 8 << 20))
    log = random_log(tmp_path / "log.csv")
    labels = {"view": {"column": "kind", "one_of": ["view"]}, "conversion": {**condition, "later": True}}
    prepared = prepare(config(tmp_path / "log.csv", labels=labels), say=lambda _: None)
    expected = [has_later(log, row, is_event) for row in log]
    assert labels_of(prepared, "conversion").tolist() == expected
    assert 100 < sum(expected) < 400
    positives = sum(split["conversion"] for split in prepared.manifest["positives"].values())
    assert positives == sum(expected)


def test_rows_are_views_and_their_negatives_are_never_bought(tmp_path):
    log = random_log(tmp_path / "log.csv", blank_items=False)
    views = [row for row in log if row["kind"] == "view"]
    prepared = prepare(
        config(
            tmp_path / "log.csv",
            labels={"click": None, **BUYS},
            rows={"column": "kind", "one_of": ["view"]},
            negatives=NEGATIVES,
        ),
        say=lambda _: None,
    )
    clicks, conversions = labels_of(prepared, "click"), labels_of(prepared, "conversion")
    assert clicks.tolist() == [1, 0, 0] * len(views)
    expected = [has_later(log, row, lambda event: event["kind"] == "buy") for row in views]
    assert conversions[::3].tolist() == expected
    assert not conversions[clicks == 0].any()
    assert 0 < sum(expected) < len(views)


HAND_WORKED = [  # user, item, kind, price, time, and whether the user buys the item then or later
    ("a", "x", "view", 1, 10, True),
    ("a", "x", "buy", 1, 20, True),  # the buy itself
    ("a", "x", "view", 1, 20, True),  # at its moment
    ("a", "x", "view", 1, 25, True),  # between two buys
    ("a", "x", "buy", 1, 30, True),
    ("a", "x", "view", 1, 31, False),  # after all of them
    ("b", "x", "view", 1, 10, False),  # another user's buys
    ("a", "y", "view", 1, 10, False),  # another item's
    ("c", "z", "buy", 1, 5, True),
    ("c", "z", "view", 1, 6, False),  # a buy before alone
    ("c", "", "view", 1, 1, False),  # no item
    ("c", "", "buy", 1, 9, False),
]


@pytest.mark.parametrize("order", [1, -1], ids=["forwards", "backwards"])
@pytest.mark.parametrize("time_format", [None, "%Y"])
def test_a_hand_worked_log(tmp_path, order, time_format):
    rows = HAND_WORKED[::order]
    since = 2000 if time_format else 0
    path = write_log(tmp_path / "log.csv", [(*row[:4], since + row[4]) for row in rows])
    prepared = prepare(config(path, time={"column": "time", "format": time_format}), say=lambda _: None)
    assert labels_of(prepared, "conversion").tolist() == [row[5] for row in rows]


@pytest.mark.parametrize("split", ["order", "last"])
def test_rows_can_be_left_out_by_a_later_label(tmp_path, split):
    """Here those that no view, but a buy follows."""
    log = random_log(tmp_path / "log.csv")
    base = config(tmp_path / "log.csv")
    section = {**vars(base.split), "by": split, "column": "user" if split == "last" else None}
    data = config(tmp_path / "log.csv", split=section, drop_inconsistent=[["view", "conversion"]])
    prepared = prepare(data, say=lambda _: None)
    bought = [has_later(log, row, lambda event: event["kind"] == "buy") for row in log]
    kept = [later for row, later in zip(log, bought, strict=True) if row["kind"] == "view" or not later]
    found = labels_of(prepared, "conversion")
    assert len(found) == len(kept) < len(log)
    assert found.sum() == sum(kept)


def test_later_makes_another_prepared_data_set(tmp_path):
    random_log(tmp_path / "log.csv")
    at_once = {"column": "kind", "one_of": ["buy"]}
    folders = [
        prepare(config(tmp_path / "log.csv", labels={"conversion": label}), say=lambda _: None).folder
        for label in (BUYS["conversion"], at_once)
    ]
    assert folders[0] != folders[1]


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"history": None}, r"data\.labels\.conversion\.later=true .* data\.history\.user"),
        ({"history": {"user": "user", "steps": []}}, r"data\.labels\.conversion\.later=true .* data\.history\.steps"),
        ({"time": None}, r"data\.labels\.conversion\.later=true .* data\.time\.column"),
        ({"labels": {"conversion": {"column": "kind", "later": True}}}, r"needs at_least .* or number: true"),
        (
            {"labels": {"conversion": {"column": "price", "number": True, "later": True}}},
            r"column 'price' has later: true.*number: true",
        ),
        (
            {"labels": {"conversion": {"column": "kind", "one_of": ["bye"], "later": True}}},
            r"data\.labels\.conversion: all 500 rows are 0",
        ),
        ({"history": {"user": "usr", "steps": ["item"]}}, r"data\.history\.user: there is no column 'usr'"),
    ],
    ids=str,
)
def test_what_a_later_label_needs_is_named(tmp_path, sections, message):
    random_log(tmp_path / "log.csv")
    with pytest.raises(InputError, match=message):
        prepare(config(tmp_path / "log.csv", **sections), say=lambda _: None)


def test_an_event_without_a_time_is_named(tmp_path):
    path = write_log(tmp_path / "log.csv", [row[:5] for row in HAND_WORKED] + [("a", "x", "buy", 1, "")])
    with pytest.raises(InputError, match=r"log\.csv, line 14: .*column 'time' is missing.*data\.time"):
        prepare(config(path), say=lambda _: None)


@pytest.fixture
def funnel(rectrain, tmp_path):
    """The funnel of the built-in taobao sample: its raw rows and the prepared data."""
    code, _, err = rectrain("prepare", "data=taobao_funnel", "data.sample.rows=20000")
    assert code == 0, err
    (path,) = Path("data/sample").glob("taobao-*/UserBehavior.csv")
    with path.open() as file:
        log = [(user, item, kind, int(time)) for user, item, _, kind, time in csv.reader(file)]
    (folder,) = (p for p in Path("data/prepared").iterdir() if p.is_dir())
    return log, Prepared.load(tmp_path / folder)


def test_the_funnel_of_taobao_is_that_of_its_log(funnel):
    log, prepared = funnel
    last_buy: dict = {}
    for user, item, kind, time in log:
        if kind == "buy":
            last_buy[user, item] = max(time, last_buy.get((user, item), 0))
    expected = [last_buy.get((user, item), -1) >= time for user, item, kind, time in log if kind == "pv"]
    clicks, conversions = labels_of(prepared, "click"), labels_of(prepared, "conversion")
    assert clicks.tolist() == [1, 0, 0, 0, 0] * len(expected)
    assert conversions[::5].tolist() == expected
    assert not conversions[clicks == 0].any()
    assert 0.01 < np.mean(expected) < 0.1
    assert sum(split["conversion"] for split in prepared.manifest["positives"].values()) == sum(expected)


def test_the_history_of_a_view_does_not_hold_the_buy_that_its_label_tells_of(funnel):
    _, prepared = funnel
    store = HistoryStore.open(prepared.folder / "history")
    offset = prepared.schema.categorical[0].offset
    assert prepared.schema.categorical[0].name == "item"
    buy = 2 + sorted(["pv", "cart", "fav", "buy"], key=Counter(kind for _, _, kind, _ in funnel[0]).get)[::-1].index(
        "buy"
    )
    seen = 0
    for split in ("train", "valid", "test"):
        for group in row_groups(prepared.shards(split)):
            rows = read_rows(prepared.schema, group)
            for b in np.flatnonzero(rows["labels"][:, 1] == 1):
                user, position = rows["history"][b]
                events = store.events[store.starts[user] : store.starts[user + 1]]
                same = (events["ids"]["item"] == rows["categorical"][b, 0] - offset) & (events["ids"]["action"] == buy)
                is_later = events["time"] + store.first_moment >= rows["time"][b]
                assert (same & is_later)[position:].any()
                assert not is_later[:position].any()
                seen += 1
    assert seen > 100
