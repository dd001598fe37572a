import copy
import csv
import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rectrain import progress
from rectrain.config import DataConfig, parse
from rectrain.data import shards, threads
from rectrain.data.manifest import Prepared
from rectrain.data.prepare import prepare
from rectrain.data.readers import parquet as parquet_reader
from rectrain.errors import InputError
from tests.reference import prepare as reference

BASE = {
    "name": "toy",
    "source": "files",
    "folder": "none",
    "patterns": ["*"],
    "files": None,
    "prepared_dir": None,
    "format": {"reader": "csv"},
    "labels": {"click": "click", "buy": "buy"},
    "rows": None,
    "history": None,
    "negatives": None,
    "max_bad_rows": 0,
    "drop_inconsistent": [],
    "weight": "importance",
    "group": "user",
    "time": {"column": "hour", "format": "%y%m%d%H"},
    "features": {
        "people": {"type": "categorical", "columns": ["user", "city"], "min_count": 2},
        "counts": {"type": "numeric", "columns": ["visits"], "transform": "log_square", "min_count": 2},
        "hashed": {"type": "categorical", "columns": ["page"], "hash_buckets": 13},
        "plain": {"type": "numeric", "columns": ["price"]},
        "logs": {"type": "numeric", "columns": ["gain"], "transform": "log1p"},
        "standard": {"type": "numeric", "columns": ["height"], "transform": "standardize"},
        "ranges": {"type": "numeric", "columns": ["importance"], "transform": "minmax"},
        "buckets": {"type": "numeric", "columns": ["age"], "transform": "quantile", "buckets": 5},
        "tags": {"type": "multi_valued", "columns": ["tags"], "max_length": 3, "min_count": 2},
        "words": {"type": "multi_valued", "columns": ["words"], "separator": ", ", "hash_buckets": 7},
    },
    "crosses": [["user", "city"], ["city", "page", "user"]],
    "cross_buckets": 50,
    "split": {
        "by": "order",
        "train": 0.7,
        "valid": 0.2,
        "test": 0.1,
        "seed": 0,
        "column": None,
        "valid_from": None,
        "test_from": None,
        "files": None,
    },
    "sample": None,
}


def raw_rows(num_rows: int, seed: int = 0) -> list[dict]:
    """Rows of all types with blanks, repeated and rare values and letters beyond ASCII."""
    rng = np.random.default_rng(seed)

    def blank(value, share=0.1):
        return None if rng.random() < share else value

    def row(i):
        return {
            "click": str(rng.integers(2)),
            "buy": "1" if rng.random() < 0.3 else "0",
            "importance": f"{rng.random():.3f}",
            "hour": f"141021{rng.integers(24):02d}",
            "user": blank(f"ü{rng.zipf(1.5)}"),
            "city": blank(rng.choice(["東京", "São Paulo", "x,y", 'a "b"', f"rare{i}", "Z", "z"]), 0.2),
            "page": blank(f"p{rng.integers(40)}"),
            "visits": blank(rng.choice(["-3", "0", "1", "1.5", "2", "3", "8", "21", str(rng.integers(100_000))])),
            "price": blank(f"{rng.normal():.4f}"),
            "gain": blank(str(rng.integers(-5, 300))),
            "height": blank(f"{170 + 10 * rng.normal():.2f}"),
            "age": blank(str(rng.integers(18, 25))),
            "tags": blank("|".join(rng.choice(["a", "b", "", "ç", f"t{i}"], rng.integers(6)))) or None,
            "words": blank(", ".join(rng.choice(["red", "blue", "", "green"], rng.integers(1, 4)))) or None,
        }

    return [row(i) for i in range(num_rows)]


def write_csv(path: Path, rows: list[dict]) -> Path:
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_parquet(path: Path, rows: list[dict], **columns) -> Path:
    """Text columns; `columns` replaces or adds some."""
    table = {name: pa.array([r[name] for r in rows], pa.string()) for name in rows[0]} | columns
    pq.write_table(pa.table(table), path)
    return path


def config(tmp_path: Path, files, **changes) -> DataConfig:
    """BASE with these files; changes: {"split.by": "hash"} and the like."""
    raw = copy.deepcopy(BASE) | {
        "prepared_dir": str(tmp_path / "prepared"),
        "files": files if files is None else str(files),
    }
    for key, value in changes.items():
        section = raw
        *path, last = key.split(".")
        for part in path:
            section = section[part]
        section[last] = value
    return parse(DataConfig, raw, "data")


def quietly(text):
    """Stands for what prints to the user."""


def rows_of(prepared: Prepared, split: str) -> list[dict]:
    return [row for path in prepared.shards(split) for row in unpacked(pq.read_table(path))]


def unpacked(table: pa.Table) -> list[dict]:
    """Rows as plain values; a packed column says in its field's metadata what its bytes are."""
    rows = table.to_pylist()
    for field in table.schema:
        if pa.types.is_fixed_size_binary(field.type):
            dtype = field.metadata[b"dtype"].decode()
            for row in rows:
                row[field.name] = np.frombuffer(row[field.name], dtype).tolist()
    return rows


def digests(folder: Path) -> dict[str, str]:
    files = [p for p in folder.rglob("*") if p.is_file()]
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def assert_same_rows(actual: list[dict], expected: list[dict]):
    assert len(actual) == len(expected)
    for a, e in zip(actual, expected, strict=True):
        assert {k for k, v in e.items() if k != "numeric" or v} == set(a)
        for name in a:
            if name in ("numeric", "weight"):
                np.testing.assert_allclose(a[name], e[name], rtol=1e-6, atol=1e-6)
            else:
                assert a[name] == e[name], name


SPLITS = {
    "order": {},
    "hash": {"split.by": "hash", "split.column": "page"},
    "time by moments": {"split.by": "time", "split.valid_from": "14102116", "split.test_from": 14102120},
    "time by fractions": {"split.by": "time"},
}


@pytest.mark.parametrize("changes", SPLITS.values(), ids=SPLITS)
def test_prepared_rows_equal_those_of_the_plain_twin(tmp_path, changes):
    rows = raw_rows(403)
    for row in rows:
        row["page"] = row["page"] or "p0"
    data = config(tmp_path, write_csv(tmp_path / "raw.csv", rows), **changes)
    prepared = prepare(data, say=quietly)
    split_of = reference.splits(data, rows)
    expected = reference.prepare(data, rows, split_of)
    for split in ("train", "valid", "test"):
        assert prepared.rows(split) == split_of.count(split) > 0
        assert_same_rows(rows_of(prepared, split), expected[split])
        positives = {task: sum(r["labels"][k] for r in expected[split]) for k, task in enumerate(data.labels)}
        assert prepared.manifest["positives"][split] == positives


def test_blanks_give_id_0_and_a_raw_parquet_file_prepares_like_csv(tmp_path):
    rows = raw_rows(300)
    lists = pa.array([None if r["tags"] is None else r["tags"].split("|") for r in rows], pa.list_(pa.string()))
    clicks = pa.array([int(r["click"]) for r in rows])
    raw = write_parquet(tmp_path / "raw.parquet", rows, tags=lists, click=clicks)
    data = config(tmp_path, raw, **{"format.reader": "parquet"})
    expected = reference.prepare(data, rows, reference.splits(data, rows))
    assert_same_rows(rows_of(prepare(data, say=quietly), "train"), expected["train"])
    assert any(row["categorical"][0] == 0 for row in expected["train"])


def test_bytes_do_not_depend_on_the_size_of_blocks(tmp_path, monkeypatch):
    raw = write_parquet(tmp_path / "raw.parquet", raw_rows(600))
    found = []
    for block_rows in (7, 10_000):
        monkeypatch.setattr(parquet_reader, "BLOCK_ROWS", block_rows)
        monkeypatch.setattr(shards, "ROW_GROUP_ROWS", 128)
        monkeypatch.setattr(shards, "SHARD_ROWS", 256)
        changes = {"format.reader": "parquet", "split.by": "random"}
        data = config(tmp_path / str(block_rows), raw, **changes)
        prepared = prepare(data, say=quietly)
        assert [pq.read_metadata(p).num_rows for p in prepared.shards("train")] == [256, prepared.rows("train") - 256]
        found.append(digests(prepared.folder))
    assert found[0] == found[1]


def test_bytes_do_not_depend_on_the_number_of_threads(tmp_path, monkeypatch):
    raw = write_csv(tmp_path / "raw.csv", raw_rows(600))
    found = []
    for num_threads in (1, 3):
        threads._pool.cache_clear()
        monkeypatch.setattr(threads, "num_threads", lambda n=num_threads: n)
        found.append(digests(prepare(config(tmp_path / str(num_threads), raw), say=quietly).folder))
    threads._pool.cache_clear()
    assert found[0] == found[1]


def test_parquet_columns_are_packed(tmp_path):
    prepared = prepare(config(tmp_path, write_csv(tmp_path / "raw.csv", raw_rows(300))), say=quietly)
    schema = pq.read_schema(prepared.shards("train")[0])
    item = lambda kind: pa.field("item", kind, nullable=False)  # noqa: E731
    assert {field.name: field.type for field in schema} == {
        "categorical": pa.binary(7 * 4),
        "numeric": pa.binary(4 * 4),
        "tags": pa.list_(item(pa.int32())),
        "words": pa.list_(item(pa.int32())),
        "labels": pa.binary(2 * 4),
        "weight": pa.float32(),
        "group": pa.int64(),
        "time": pa.float64(),
    }
    kinds = {"categorical": b"int32", "numeric": b"float32", "labels": b"float32"}
    assert {field.name: field.metadata[b"dtype"] for field in schema if field.metadata} == kinds


def test_columns_of_width_0_and_absent_splits_are_left_out(tmp_path):
    raw = write_csv(tmp_path / "raw.csv", raw_rows(200))
    features = {"plain": {"type": "numeric", "columns": ["price"]}}
    changes = {"features": features, "crosses": [], "weight": None, "group": None, "time": None}
    data = config(tmp_path, raw, **changes, **{"split.train": 0.8, "split.valid": 0, "split.test": 0.2})
    prepared = prepare(data, say=quietly)
    assert pq.read_schema(prepared.shards("train")[0]).names == ["numeric", "labels"]
    assert prepared.shards("valid") == []
    assert prepared.manifest["rows"] == {"train": 160, "test": 40}


def test_table_rows_follow_each_other_and_encodings_hold_what_an_export_needs(tmp_path):
    prepared = prepare(config(tmp_path, write_csv(tmp_path / "raw.csv", raw_rows(300))), say=quietly)
    schema = prepared.schema
    assert [f.name for f in schema.categorical] == ["user", "city", "visits", "page", "age"]
    assert [f.name for f in schema.crosses] == ["user_x_city", "city_x_page_x_user"]
    end = 0
    for feature in (*schema.categorical, *schema.multi_valued, *schema.crosses):
        assert feature.offset == end
        end += feature.num_rows
    assert end == schema.num_linear_rows
    encodings = {f.name: f.encoding for f in (*schema.categorical, *schema.numeric, *schema.multi_valued)}
    assert encodings["user"] == {"type": "vocabulary", "column": "user", "file": "vocab/user.parquet", "min_count": 2}
    assert encodings["page"] == {"type": "hash", "column": "page", "buckets": 13}
    assert encodings["visits"]["type"] == "log_square"
    assert encodings["words"] == {"type": "hash", "column": "words", "buckets": 7, "separator": ", "}
    assert set(encodings["height"]) == {"type", "column", "mean", "sd"}
    vocabulary = pq.read_table(prepared.folder / "vocab/user.parquet")
    assert vocabulary.schema.names == ["value", "count"]
    assert vocabulary.num_rows + 2 == schema.categorical[0].num_rows
    assert Prepared.load(prepared.folder).schema == schema


def test_a_second_run_finds_it_done_and_touches_nothing(tmp_path):
    data = config(tmp_path, write_csv(tmp_path / "raw.csv", raw_rows(200)))
    folder = prepare(data, say=quietly).folder
    before = {p: p.stat().st_mtime_ns for p in folder.parent.rglob("*")}
    said = []
    again = prepare(data, say=said.append)
    assert said == [f"already prepared: {folder}"]
    assert {p: p.stat().st_mtime_ns for p in folder.parent.rglob("*")} == before
    assert again.folder == folder


def test_what_changes_the_bytes_changes_the_folder_and_nothing_else_does(tmp_path):
    raw = write_csv(tmp_path / "raw.csv", raw_rows(200))
    folder = prepare(config(tmp_path, raw), say=quietly).folder
    same = [{"split.seed": 1}, {"folder": "other"}, {"source": "auto"}]
    other = [{"features.people.min_count": 1}, {"split.train": 0.6, "split.valid": 0.3}, {"cross_buckets": 51}]
    assert all(prepare(config(tmp_path, raw, **c), say=quietly).folder == folder for c in same)
    folders = {prepare(config(tmp_path, raw, **c), say=quietly).folder for c in other}
    assert len(folders | {folder}) == 4
    raw.touch()
    assert prepare(config(tmp_path, raw), say=quietly).folder not in folders | {folder}


def test_only_training_rows_are_fitted(tmp_path):
    rows = raw_rows(200)
    for i, row in enumerate(rows):
        row.update(
            city="new" if i >= 140 else "old", importance="9" if i >= 140 else str(1 + i % 2), age="30", height="5"
        )
    prepared = prepare(config(tmp_path, write_csv(tmp_path / "raw.csv", rows)), say=quietly)
    schema = prepared.schema
    city = schema.categorical[1]
    assert {row["categorical"][1] for row in rows_of(prepared, "test")} == {city.offset + 1}
    assert pq.read_table(prepared.folder / "vocab/city.parquet").to_pylist() == [{"value": "old", "count": 140}]
    assert schema.numeric[3].encoding == {"type": "minmax", "column": "importance", "min": 1.0, "max": 2.0}
    assert {row["numeric"][3] for row in rows_of(prepared, "test")} == {8.0}
    assert {row["numeric"][2] for row in rows_of(prepared, "test")} == {0.0}  # of one value: 0


BAD_CELLS = {
    "label": ("click", "2", "data.labels.click"),
    "missing label": ("buy", None, "data.labels.buy"),
    "negative weight": ("importance", "-1", "data.weight"),
    "missing weight": ("importance", None, "data.weight"),
    "time": ("hour", "noon", "data.time"),
    "missing time": ("hour", None, "data.time"),
    "float32": ("price", "1e39", "data.features.plain"),
}


@pytest.mark.parametrize(("column", "value", "key"), BAD_CELLS.values(), ids=BAD_CELLS)
def test_a_bad_cell_is_named_with_its_line(tmp_path, column, value, key):
    rows = raw_rows(200)
    rows[163][column] = value
    data = config(tmp_path, write_csv(tmp_path / "raw.csv", rows))
    with pytest.raises(InputError) as error:
        prepare(data, say=quietly)
    assert "raw.csv, line 165" in str(error.value)
    assert repr(column) in str(error.value)
    assert key in str(error.value)
    assert [p.name for p in (tmp_path / "prepared").iterdir() if p.is_dir()] == []


BAD_CONFIGS = {
    "unknown column": (
        {"features.people.columns": ["usr"], "crosses": []},
        r"data.features.people.columns.*'usr'.*mean 'user'",
    ),
    "unknown label": ({"labels": {"click": "clck"}}, r"data.labels.click.*'clck'.*mean 'click'"),
    "label as feature": (
        {"features.people.columns": ["user", "buy"]},
        r"data.features.people.*data.labels.buy",
    ),
    "feature twice": ({"features.hashed.columns": ["city"]}, r"data.features.hashed.columns.*data.features.people"),
    "cross of a number": ({"crosses": [["user", "price"]]}, r"data.crosses: 'price'"),
    "cross of one": ({"crosses": [["user"]]}, r"data.crosses: \[user\]"),
    "quantile without buckets": ({"features.buckets.buckets": None}, r"data.features.buckets.buckets: missing"),
    "dead min_count": ({"features.plain.min_count": 2}, r"data.features.plain.min_count=2 has no effect"),
    "dead min_count of hash": ({"features.hashed.min_count": 2}, r"data.features.hashed.min_count=2 has no effect"),
    "no separator": ({"features.tags.separator": ""}, r"data.features.tags.separator"),
    "list and text": ({"group": "tags"}, r"'tags' holds lists"),
    "no features": ({"features": {}, "crosses": []}, r"data.features"),
    "no labels": ({"labels": {}}, r"data.labels is empty"),
    "min_count too high": ({"features.people.min_count": 1000}, r"'user'.*data.features.people.min_count"),
    "too many rows": ({"features.hashed.hash_buckets": 2**31}, r"hash_buckets"),
    "reader": ({"format.reader": "cvs"}, r"data.format.reader=cvs.*mean 'csv'"),
    "time split without time": ({"split.by": "time", "time": None}, r"data.split.by=time needs data.time"),
    "moment": ({"split.by": "time", "split.valid_from": "x", "split.test_from": "y"}, r"data.split.valid_from=x"),
    "moments": ({"split.by": "time", "split.valid_from": "14102112", "split.test_from": "14102102"}, r"later than"),
    "no train": ({"split.train": 0, "split.valid": 0.5, "split.test": 0.5}, r"data.split.train=0"),
    "no rows": (
        {"split.train": 0.999, "split.valid": 0.0005, "split.test": 0.0005},
        r"none of 200 rows into valid.*split.valid",
    ),
    "key missing": ({"split.by": "hash", "split.column": "user"}, r"raw.csv, line.*data.split.column"),
}


@pytest.mark.parametrize(("changes", "message"), BAD_CONFIGS.values(), ids=BAD_CONFIGS)
def test_a_bad_config_is_named_by_key_and_leaves_nothing(tmp_path, changes, message):
    rows = raw_rows(200)
    with pytest.raises(InputError, match=message):
        prepare(config(tmp_path, write_csv(tmp_path / "raw.csv", rows), **changes), say=quietly)
    assert [p for p in tmp_path.glob("prepared/*") if p.is_dir()] == []


def test_a_column_of_blanks_and_a_split_of_one_class_are_refused(tmp_path):
    rows = raw_rows(200)
    for row in rows:
        row["height"] = row["city"] = None
    raw = write_csv(tmp_path / "blank.csv", rows)
    with pytest.raises(InputError, match=r"'city'.*blank.*data.features.people.columns"):
        prepare(config(tmp_path, raw), say=quietly)
    with pytest.raises(InputError, match=r"data.features.standard.columns.*'height' is blank"):
        prepare(config(tmp_path, raw, **{"features.people.columns": ["user"], "crosses": []}), say=quietly)
    rows = raw_rows(200)
    for row in rows[140:180]:
        row["buy"] = "1"
    raw = write_csv(tmp_path / "class.csv", rows)
    with pytest.raises(InputError, match=r"data.labels.buy: 40 of 40 rows of the split valid.*data.split.valid"):
        prepare(config(tmp_path, raw, labels={"buy": "buy"}), say=quietly)
    said = []
    prepare(config(tmp_path, raw), say=said.append)  # another label has both classes there
    assert any(line.startswith("warning: data.labels.buy: 40 of 40 rows of the split valid") for line in said)


def test_each_split_can_have_its_own_files(tmp_path):
    rows = raw_rows(200)
    parts = {"train": rows[:100], "test": rows[100:]}
    files = {name: str(write_csv(tmp_path / f"{name}.csv", part)) for name, part in parts.items()}
    data = config(tmp_path, None, **{"split.by": "files", "split.files": files})
    prepared = prepare(data, say=quietly)
    expected = reference.prepare(data, rows, ["train"] * 100 + ["test"] * 100)
    assert prepared.manifest["rows"] == {"train": 100, "test": 100}
    assert_same_rows(rows_of(prepared, "test"), expected["test"])


def test_a_damaged_folder_is_refused(tmp_path):
    data = config(tmp_path, write_csv(tmp_path / "raw.csv", raw_rows(200)))
    prepared = prepare(data, say=quietly)
    prepared.shards("valid")[0].unlink()
    with pytest.raises(InputError, match="not a whole prepared dataset"):
        prepare(data, say=quietly)


def test_a_folder_of_the_same_name_with_another_key_is_refused(tmp_path):
    data = config(tmp_path, write_csv(tmp_path / "raw.csv", raw_rows(200)))
    prepared = prepare(data, say=quietly)
    changed = prepared.manifest | {"key": prepared.manifest["key"] | {"weight": "other"}}
    (prepared.folder / "manifest.json").write_text(json.dumps(changed))
    with pytest.raises(InputError, match="another config"):
        prepare(data, say=quietly)


def test_raw_files_that_change_under_way_are_refused(tmp_path, monkeypatch):
    raw = write_csv(tmp_path / "raw.csv", raw_rows(200))
    close = shards.ShardWriter.close
    monkeypatch.setattr(shards.ShardWriter, "close", lambda self: (raw.touch(), close(self)))
    with pytest.raises(InputError, match=r"data.files.*changed"):
        prepare(config(tmp_path, raw), say=quietly)


def test_a_full_disk_and_an_unwritable_place_are_explained(tmp_path, monkeypatch):
    raw = write_csv(tmp_path / "raw.csv", raw_rows(200))
    writer = shards.pq.ParquetWriter
    with monkeypatch.context() as patch:
        patch.setattr(shards.pq, "ParquetWriter", lambda path, *args, **kw: writer("/dev/full", *args, **kw))
        with pytest.raises(InputError, match=r"data.prepared_dir=.*the disk is full"):
            prepare(config(tmp_path, raw), say=quietly)
    assert [p for p in (tmp_path / "prepared").iterdir() if p.is_dir()] == []
    with pytest.raises(InputError, match=r"data.prepared_dir=.*is a file"):
        prepare(config(tmp_path, raw, prepared_dir=str(raw / "below")), say=quietly)

    def refuse(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(InputError, match="read-only"):
        prepare(config(tmp_path, raw, prepared_dir=str(tmp_path / "elsewhere")), say=quietly)


NO_HASHES = {"features": {"people": BASE["features"]["people"]}, "crosses": [], "group": None}

PROCESS = """
import sys, time
from pathlib import Path
from rectrain.data import passes
from rectrain.data.prepare import prepare
from tests.test_prepare import NO_HASHES, config
folder, stop_at = Path(sys.argv[1]), sys.argv[2]
blocks = passes.RawFiles.blocks

def stopping(self, wants, title, files=None):
    for block in blocks(self, wants, title, files):
        yield block
        if title == stop_at:
            print("stopped", flush=True)
            while not (folder / "go").exists():
                time.sleep(0.01)

passes.RawFiles.blocks = stopping
prepare(config(folder, folder / "raw.csv", **NO_HASHES), say=lambda text: print(text, flush=True))
"""


def start(folder: Path, stop_at: str) -> subprocess.Popen:
    root = Path(__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": str(root)}
    command = [sys.executable, "-c", PROCESS, str(folder), stop_at]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=root)


def lines_until(process: subprocess.Popen, text: str) -> list[str]:
    lines = [process.stdout.readline()]
    while text not in lines[-1]:
        assert lines[-1], f"{text!r} never came"
        lines.append(process.stdout.readline())
    return lines


def test_the_second_of_two_processes_waits_and_finds_it_done(tmp_path):
    write_csv(tmp_path / "raw.csv", raw_rows(200))
    with start(tmp_path, "fitting") as first:
        lines_until(first, "stopped")
        with start(tmp_path, "never") as second:
            lines_until(second, "waiting")
            (tmp_path / "go").touch()
            rest, _ = second.communicate(timeout=60)
            assert rest.startswith("already prepared")
        first.communicate(timeout=60)
    assert first.returncode == second.returncode == 0


def test_a_killed_run_leaves_nothing_that_looks_finished(tmp_path):
    write_csv(tmp_path / "raw.csv", raw_rows(200))
    with start(tmp_path, "encoding") as process:
        lines_until(process, "stopped")
        process.send_signal(signal.SIGKILL)
    (left,) = (p for p in (tmp_path / "prepared").iterdir() if p.is_dir())
    assert left.name.startswith(".toy-")
    assert not (left / "manifest.json").exists()
    prepared = prepare(config(tmp_path, tmp_path / "raw.csv", **NO_HASHES), say=quietly)
    assert [p for p in (tmp_path / "prepared").iterdir() if p.is_dir()] == [prepared.folder]
    assert prepared.rows("train") == 140


MEMORY = """
import re, sys
from pathlib import Path
from rectrain.data import passes
from rectrain.data.prepare import prepare
from tests.test_prepare import config
folder = Path(sys.argv[1])
features = {"ids": {"type": "categorical", "columns": ["user", "city"]}, "x": {"type": "numeric", "columns": ["price"]}}
changes = {"labels": {"click": "click"}, "weight": None, "group": None, "time": None, "crosses": []}
data = config(folder, folder / sys.argv[2], features=features, **changes, **{"format.reader": "parquet"})
prepare(data, say=print)
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024)
"""


def peak_mib(folder: Path, num_rows: int) -> int:
    rng = np.random.default_rng(0)
    text = pa.array([f"value number {i}" for i in range(100)])
    columns = {name: text.take(pa.array(rng.integers(0, 100, num_rows))) for name in ("user", "city")}
    table = pa.table(columns | {"price": rng.random(num_rows), "click": rng.integers(0, 2, num_rows)})
    pq.write_table(table, folder / f"{num_rows}.parquet", row_group_size=65_536)
    root = Path(__file__).parents[1]
    command = [sys.executable, "-c", MEMORY, str(folder), f"{num_rows}.parquet"]
    return int(subprocess.check_output(command, text=True, cwd=root).splitlines()[-1])


def test_memory_does_not_grow_with_rows(tmp_path):
    small, large = peak_mib(tmp_path, 500_000), peak_mib(tmp_path, 4_000_000)
    assert large - small < 100  # the raw rows alone are 190 MiB larger; the allocator keeps some of what is freed


def test_progress_says_a_line_now_and_then_where_there_is_no_terminal(monkeypatch):
    said, now = [], [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with progress.Progress("fitting", 1_000, said.append) as bar:
        for seconds in (4, 12, 15, 23):
            now[0] = seconds
            bar.advance(100)
            bar.add_rows(30)
    assert said == ["fitting: 20%, 60 rows, 5 rows/s, 48 s left", "fitting: 40%, 120 rows, 5 rows/s, 34 s left"]
