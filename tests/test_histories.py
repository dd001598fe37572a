"""Histories, sampled negatives and last rows of an event log, against plain Python loops over the raw rows."""

import csv
import json
import math
from collections import defaultdict

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from omegaconf import OmegaConf

from rectrain.config import DataConfig, parse
from rectrain.data import history_store, negatives
from rectrain.data.batches import Shuffle, batches
from rectrain.data.history_store import HistoryStore
from rectrain.data.history_views import HistoryViews
from rectrain.data.prepare import prepare
from rectrain.data.row_groups import read_rows, row_groups
from rectrain.errors import InputError
from rectrain.schema import Schema
from tests.samples import CONFIGS

NAMES = ["user", "item", "category", "tags", "rating", "time"]
ALL = {"history_valid", "long_valid", "hits_valid"}


def write_log(path, num_rows=400, seed=0, num_users=9, num_items=30):
    """Rows in no order of time, several of a user at one moment; returns them as dicts."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(num_rows):
        item = int(rng.integers(num_items))
        tags = "|".join(f"t{t}" for t in sorted({item % 3, item % 5})) if item % 7 else ""
        rows.append(
            {
                "user": f"u{rng.integers(num_users)}",
                "item": f"i{item}",
                "category": f"c{item % 4}" if item % 11 else "",
                "tags": tags,
                "rating": int(rng.integers(1, 6)),
                "time": 1_000_000 + int(rng.integers(60)) * int(rng.choice([1, 50])),
            }
        )
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, NAMES)
        writer.writeheader()
        writer.writerows(rows)
    return rows


def config(path, **sections):
    base = OmegaConf.to_container(OmegaConf.load(CONFIGS / "data_defaults.yaml").data)
    data = {
        **base,
        "name": "log",
        "files": str(path),
        "prepared_dir": str(path.parent / "prepared"),
        "format": {"reader": "csv"},
        "labels": {"like": {"column": "rating", "at_least": 4}},
        "time": {"column": "time", "format": None},
        "features": {
            "ids": {"type": "categorical", "columns": ["category", "item"]},
            "many": {"type": "multi_valued", "columns": ["tags"]},
        },
        "history": {
            "user": "user",
            "steps": ["item", "category"],
            "action": "rating",
            "where": {"column": "rating", "at_least": 2},
            "by": "tags",
            "max_length": 4,
            "long_length": 1000,
            "hits_length": 3,
        },
    }
    for name, section in sections.items():
        data[name] = {**data[name], **section} if isinstance(section, dict) and data[name] else section
    data["features"] = {name: group for name, group in data["features"].items() if group is not None}
    return parse(DataConfig, data, "data")


@pytest.fixture
def made(tmp_path):
    def make(*, num_rows=400, seed=0, **sections):
        rows = write_log(tmp_path / "log.csv", num_rows=num_rows, seed=seed)
        return rows, prepare(config(tmp_path / "log.csv", **sections), say=lambda _: None)

    return make


def vocabulary(prepared, column):
    """text -> id, from the vocabulary's file."""
    values = pq.read_table(prepared.folder / "vocab" / f"{column}.parquet")["value"].to_pylist()
    return {"": 0, **{value: 2 + i for i, value in enumerate(values)}}


def read_all(prepared, wanted=ALL):
    """All splits' packed rows with their histories, in the order of the files."""
    views = HistoryViews.of(prepared.schema, prepared.folder, wanted)
    for split in ("train", "valid", "test"):
        for group in row_groups(prepared.shards(split)):
            rows = read_rows(prepared.schema, group)
            yield rows, views.read(rows)


def bucket(gap):
    if gap < 0:
        return 1
    return 2 if gap == 0 else 3 + min(math.floor(math.log2(gap)), 31)


def expected_steps(events, row, role, length):
    """The events of a row's history, oldest first, by looking at every event of the log."""
    before = [e for e in events if e["user"] == row["user"] and e["rating"] >= 2 and e["time"] < row["time"]]
    before.sort(key=lambda e: e["time"])  # stable: the order of the files
    if role == "hits":
        own = set(filter(None, row["tags"].split("|")))
        before = [e for e in before if own & set(e["tags"].split("|"))]
    return before[-length:]


@pytest.mark.parametrize("chunk", [4_000_000, 7])
def test_histories_are_what_happened_before_the_row(made, monkeypatch, chunk):
    monkeypatch.setattr(history_store, "_CHUNK_EVENTS", chunk)
    log, prepared = made()
    ids = {name: vocabulary(prepared, name) for name in ("item", "category", "rating")}
    of_step = {"item": "item", "category": "category", "action": "rating"}
    at = 0
    lengths = {"short": 4, "long": 1000, "hits": 3}
    seen = defaultdict(int)
    for rows, read in read_all(prepared):
        for b in range(len(rows["labels"])):
            row = log[at]
            at += 1
            assert rows["labels"][b, 0] == (row["rating"] >= 4)
            for history in prepared.schema.histories:
                expected = expected_steps(log, row, history.role, lengths[history.role])
                seen[history.role, len(expected)] += 1
                valid = read[f"{history.name}_valid"][b]
                assert valid.sum() == len(expected)
                assert valid[: len(expected)].all()
                for step in history.steps:
                    found = read[f"{history.name}_{step.name}"][b] - step.offset
                    if step.name == "gap":
                        wanted = [bucket(row["time"] - e["time"]) for e in expected]
                    else:
                        column = of_step[step.name]
                        wanted = [ids[column].get(str(e[column]), 1) for e in expected]
                    assert found.tolist() == wanted + [0] * (len(found) - len(wanted)), (history.name, step.name)
    assert at == len(log)
    assert all(seen[role, 0] and seen[role, lengths[role]] for role in ("short", "hits"))


def test_an_event_at_the_rows_own_time_or_later_is_never_seen(tmp_path):
    """Planted: whoever likes something has a tell-tale event at that very moment, and others after it."""
    with (tmp_path / "log.csv").open("w") as file:
        file.write(",".join(NAMES) + "\n")
        for i in range(200):
            rating = 5 if i % 3 == 0 else 2
            file.write(f"u{i % 10},i{i % 20},c1,t1,{rating},{i}\n")
            if rating == 5:
                file.write(f"u{i % 10},leak,c1,t1,2,{i}\nu{i % 10},leak,c1,t1,2,{10**6 + i}\n")
    data = config(tmp_path / "log.csv", split={"train": 0.9, "valid": 0.0, "test": 0.1})
    prepared = prepare(data, say=lambda _: None)
    store = HistoryStore.open(prepared.folder / "history")
    leaks = 0
    for rows, read in read_all(prepared, {"long_valid"}):
        for b, (user, position) in enumerate(rows["history"]):
            places = np.arange(store.starts[user], store.starts[user] + position)
            moments = store.events["time"][places] + store.first_moment
            assert (moments < rows["time"][b]).all()
            later = store.events["time"][store.starts[user] + position : store.starts[user + 1]] + store.first_moment
            assert (later >= rows["time"][b]).all()
            leaks += (later == rows["time"][b]).sum()
        gaps = read["long_gap"][read["long_valid"]] - next(
            s.offset for s in prepared.schema.history("long").steps if s.name == "gap"
        )
        assert (gaps >= 3).all()
    assert leaks > 50


def test_lengths_do_not_prepare_again_and_other_keys_do(tmp_path):
    write_log(tmp_path / "log.csv")
    path = tmp_path / "log.csv"
    first = prepare(config(path), say=lambda _: None)
    longer = prepare(config(path, history={"max_length": 9, "long_length": None}), say=lambda _: None)
    assert longer.folder == first.folder
    assert [(h.role, h.max_length) for h in longer.schema.histories] == [("short", 9), ("hits", 3)]
    other = prepare(config(path, history={"gaps": False, "action": None}), say=lambda _: None)
    assert other.folder != first.folder
    assert [s.name for s in other.schema.history("short").steps] == ["item", "category"]
    assert other.schema.num_embedding_rows < first.schema.num_embedding_rows
    assert Schema.from_json(longer.schema.to_json()) == longer.schema


def test_hits_by_one_category(made):
    log, prepared = made(history={"by": "category"})
    at = 0
    items = vocabulary(prepared, "item")
    for rows, read in read_all(prepared, {"hits_valid"}):
        for b in range(len(rows["labels"])):
            row = log[at]
            at += 1
            events = [e for e in expected_steps(log, row, "long", 10**6) if row["category"] == e["category"] != ""]
            found = read["hits_item"][b][read["hits_valid"][b]] - prepared.schema.categorical[1].offset
            assert found.tolist() == [items.get(e["item"], 1) for e in events[-3:]]


@pytest.mark.parametrize("num_reader_rows", [7, 400])
def test_batches_carry_the_histories_of_their_rows(made, num_reader_rows):
    _, prepared = made()
    views = HistoryViews.of(prepared.schema, prepared.folder, ALL)
    shuffle = Shuffle(seed=3, epoch=0, window=100)
    for batch in batches(prepared.schema, prepared.shards("train"), num_reader_rows, shuffle, views=views):
        rows = {name: column.numpy() for name, column in batch.items()}
        for name, column in views.read(rows).items():
            np.testing.assert_array_equal(rows[name], column)


def test_the_store_takes_no_more_than_20_bytes_an_event(made):
    _, prepared = made(num_rows=20_000, history={"by": "category", "where": None})
    files = [p for p in (prepared.folder / "history").iterdir() if not p.name.endswith("starts.npy")]
    assert sum(p.stat().st_size for p in files) / 20_000 <= 20


NEGATIVES = {"columns": ["item", "category", "tags"], "per_positive": 3, "seed": 5}


@pytest.mark.parametrize("power", [0.0, 0.75])
def test_negatives_are_items_the_user_never_has(made, power):
    log, prepared = made(labels={"like": None}, num_rows=120, negatives={**NEGATIVES, "power": power})
    has = defaultdict(set)
    for row in log:
        has[row["user"]].add(row["item"])
    items, categories, tags = (vocabulary(prepared, name) for name in ("item", "category", "tags"))
    offsets = {f.name: f.offset for f in (*prepared.schema.categorical, *prepared.schema.multi_valued)}
    of_item = {row["item"]: row for row in log}
    texts = {i: text for text, i in items.items()}
    rows = [rows for rows, _ in read_all(prepared, {"history_valid"})]
    assert sum(map(len, (r["labels"] for r in rows))) == 4 * len(log) == sum(prepared.manifest["rows"].values())
    assert sum(prepared.manifest["positives"][s]["like"] for s in prepared.manifest["rows"]) == len(log)
    at = unknown = 0
    for part in rows:
        for b in range(len(part["labels"])):
            row, copy = log[at // 4], at % 4
            at += 1
            assert part["labels"][b, 0] == (copy == 0)
            item = part["categorical"][b, 1] - offsets["item"]
            np.testing.assert_array_equal(part["history"][b], part["history"][b - copy])
            if item == 1:
                unknown += 1
                continue
            assert (texts[item] == row["item"]) if copy == 0 else (texts[item] not in has[row["user"]])
            told = of_item[texts[item]]
            assert part["categorical"][b, 0] - offsets["category"] == categories[told["category"]]
            own = part["tags"][b][part["tags_valid"][b]] - offsets["tags"]
            assert sorted(own) == sorted(tags[t] for t in told["tags"].split("|") if t)
    assert unknown < 0.2 * at


def test_negatives_do_not_depend_on_blocks_and_change_with_the_seed(tmp_path, monkeypatch):
    import rectrain.data.readers.rows as raw_rows

    path = tmp_path / "log.csv"
    write_log(path, num_rows=120)

    def columns(folder, seed):
        data = config(
            path, labels={"like": None}, negatives={**NEGATIVES, "seed": seed}, prepared_dir=str(tmp_path / folder)
        )
        return next(rows for rows, _ in read_all(prepare(data, say=lambda _: None), {"history_valid"}))

    whole = columns("a", 5)
    monkeypatch.setattr(raw_rows, "CHUNK_BYTES", 1000)
    monkeypatch.setattr(raw_rows, "LINE_BYTES", 500)
    cut = columns("b", 5)
    for name, column in whole.items():
        np.testing.assert_array_equal(column, cut[name])
    other = columns("c", 6)
    assert (whole["categorical"] != other["categorical"]).any()
    np.testing.assert_array_equal(whole["history"], other["history"])


@pytest.mark.parametrize("weights", [None, np.array([1.0, 2, 0, 4, 8, 1, 1, 1])])
def test_draws_follow_their_chances(tmp_path, weights):
    has = negatives.ItemsOfUsers(tmp_path / "items.tmp", np.array([2, 1]))
    has.add(np.array([0, 1, 0], np.int32), np.array([3, 0, 3], np.int32))
    has.finish()
    drawn = has.draw(np.zeros(20_000, np.int32), np.arange(20_000), 8, 2, 1, weights)
    counts = np.bincount(drawn.ravel(), minlength=8) / drawn.size
    chances = np.ones(8) if weights is None else weights.copy()
    chances[3] = 0
    np.testing.assert_allclose(counts, chances / chances.sum(), atol=0.01)


def test_a_user_who_has_everything_is_named(tmp_path):
    with (tmp_path / "log.csv").open("w") as file:
        file.write(",".join(NAMES) + "\n" + "".join(f"u{i % 2},i{i // 2},c,t,3,{i}\n" for i in range(20)))
    data = config(tmp_path / "log.csv", labels={"like": None}, negatives=NEGATIVES)
    with pytest.raises(InputError, match=r"log\.csv, line 2.*'user'.*data\.negatives"):
        prepare(data, say=lambda _: None)
    assert not list((tmp_path / "prepared").glob("log-*"))


def test_last_rows_of_each_user(made):
    log, prepared = made(split={"by": "last", "column": "user"}, rows={"column": "rating", "at_least": 3})
    by_user = defaultdict(list)
    for i, row in enumerate(log):
        if row["rating"] >= 3:
            by_user[row["user"]].append((row["time"], i))
    ordered = [sorted(rows) for rows in by_user.values()]
    expected = {
        "train": sorted(i for rows in ordered for _, i in (rows[:-2] if len(rows) > 2 else rows)),
        "valid": sorted(rows[-2][1] for rows in ordered if len(rows) > 2),
        "test": sorted(rows[-1][1] for rows in ordered if len(rows) > 2),
    }
    assert prepared.manifest["rows"] == {split: len(rows) for split, rows in expected.items()}
    for split, rows in expected.items():
        times = np.concatenate([read_rows(prepared.schema, g)["time"] for g in row_groups(prepared.shards(split))])
        assert times.tolist() == [log[i]["time"] for i in rows]


def test_ready_made_sequences_share_ids_and_keep_the_newest(tmp_path):
    table = pa.table(
        {
            "click": [0, 1, 0, 1] * 3,
            "item": ["a", "b", "c", "a"] * 3,
            "shop": ["s", "t", "s", None] * 3,
            "seen": [["a", "b", "c"], [], ["d"], ["a", None, "d", "b"]] * 3,
            "seen_at": [["s", "t", "s"], None, ["t"], ["s", "s", "", "t"]] * 3,
        }
    )
    pq.write_table(table, tmp_path / "rows.parquet")
    sequence = {"type": "sequence", "columns": ["seen", "seen_at"], "shares": ["item", "shop"], "max_length": 2}
    data = config(
        tmp_path / "rows.parquet",
        format={"reader": "parquet"},
        labels={"like": "click"},
        time=None,
        history=None,
        features={"ids": {"type": "categorical", "columns": ["item", "shop"]}, "many": None, "clicks": sequence},
        split={"train": 0.5, "valid": 0.25, "test": 0.25},
    )
    prepared = prepare(data, say=lambda _: None)
    items, shops = vocabulary(prepared, "item"), vocabulary(prepared, "shop")
    assert "d" in items  # in the lists alone
    (history,) = prepared.schema.histories
    assert (history.name, history.role, history.from_log) == ("clicks", "short", False)
    rows = read_rows(prepared.schema, row_groups(prepared.shards("train"))[0])
    assert rows["clicks_valid"][:4].tolist() == [[True, True], [False, False], [True, False], [True, True]]
    assert rows["clicks_item"][0].tolist() == [items["b"], items["c"]]
    assert (rows["clicks_item"][3]).tolist() == [items["d"], items["b"]]
    offset = prepared.schema.categorical[1].offset
    assert (rows["clicks_shop"][3] - offset).tolist() == [0, shops["t"]]


def test_sequences_of_unequal_lengths_are_refused_by_row(tmp_path):
    table = {"click": [0, 1] * 4, "item": ["a", "b"] * 4, "seen": [["a"], ["b"]] * 4, "twice": [["a"], ["a", "b"]] * 4}
    pq.write_table(pa.table(table), tmp_path / "rows.parquet")
    sequence = {"type": "sequence", "columns": ["seen", "twice"], "shares": ["item", "item2"]}
    ids = {"type": "categorical", "columns": ["item"]}
    sections = {
        "format": {"reader": "parquet"},
        "labels": {"like": "click"},
        "time": None,
        "history": None,
        "split": {"train": 0.5, "valid": 0.25, "test": 0.25},
    }
    with pytest.raises(InputError, match=r"data\.features\.clicks\.shares.*'item2'"):
        prepare(
            config(tmp_path / "rows.parquet", features={"ids": ids, "many": None, "clicks": sequence}, **sections),
            say=lambda _: None,
        )


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"time": None}, r"data\.history needs data\.time"),
        ({"labels": {"like": None}}, r"data\.labels\.like=null.*data\.negatives"),
        ({"negatives": NEGATIVES}, r"data\.negatives needs a label that is null"),
        ({"labels": {"like": None}, "negatives": NEGATIVES, "history": None}, r"data\.negatives needs data\.history"),
        ({"history": {"steps": ["itm"]}}, r"data\.history\.steps: 'itm'.*Did you mean 'item'"),
        ({"history": {"steps": ["item", "item"]}}, r"data\.history\.steps.*twice"),
        ({"history": {"by": "rating"}}, r"data\.history\.by: 'rating'"),
        ({"history": {"by": None}}, r"data\.history\.by and data\.history\.hits_length"),
        ({"history": {"action": "item"}}, r"data\.history\.action: column 'item' is a feature"),
        ({"history": {"user": "usr"}}, r"data\.history\.user: there is no column 'usr'"),
        ({"history": {"where": {"column": "rating"}}}, r"at_least.*one_of"),
        ({"history": {"where": {"column": "rating", "at_least": 9}}}, r"data\.history\.where holds for no row"),
        ({"labels": {"like": {"column": "item", "one_of": ["i1"]}}}, r"label cannot be a feature"),
        ({"labels": {"like": {"column": "rating", "at_leat": 4}}}, r"data\.labels\.like\.at_leat.*at_least"),
        ({"labels": {"like": None}, "negatives": {**NEGATIVES, "columns": ["itm"]}}, r"negatives\.columns: 'itm'"),
        ({"split": {"by": "last"}}, r"data\.split\.by=last needs data\.split\.column"),
        (
            {
                "features": {"found": {"type": "sequence", "columns": ["tags"], "shares": ["item"]}, "many": None},
                "history": None,
            },
            r"data\.features\.found: a sequence may not be called 'found'",
        ),
    ],
    ids=str,
)
def test_wrong_keys_are_refused_by_name(tmp_path, sections, message):
    write_log(tmp_path / "log.csv", num_rows=60)
    with pytest.raises(InputError, match=message):
        prepare(config(tmp_path / "log.csv", **sections), say=lambda _: None)
    assert not list((tmp_path / "prepared").glob("log-*"))


def test_a_row_without_user_is_named(tmp_path):
    write_log(tmp_path / "log.csv", num_rows=60)
    with (tmp_path / "log.csv").open("a") as file:
        file.write(",i1,c1,t1,3,1000000\n")
    with pytest.raises(InputError, match=r"line 62: .*column .user. is missing.*data\.history\.user"):
        prepare(config(tmp_path / "log.csv"), say=lambda _: None)


def test_times_with_fractions_are_kept(made, tmp_path):
    write_log(tmp_path / "log.csv", num_rows=60)
    text = (tmp_path / "log.csv").read_text().replace(",100", ",0.0100")
    (tmp_path / "log.csv").write_text(text)
    prepared = prepare(config(tmp_path / "log.csv"), say=lambda _: None)
    store = HistoryStore.open(prepared.folder / "history")
    assert store.events["time"].dtype == np.float64
    assert json.loads((prepared.folder / "history/store.json").read_text())["first_moment"] < 1
