"""Tables as Spark writes them: folders called column=value, marks of the engine, parts without rows."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rectrain.config import FormatConfig
from rectrain.data import reading
from rectrain.data.prepare import prepare
from rectrain.data.sources import named_files
from rectrain.errors import InputError
from tests.test_prepare import config, quietly, raw_rows, unpacked, write_csv, write_parquet
from tests.test_stages import assert_equal

PARQUET = FormatConfig(reader="parquet")
CITIES = {
    "Z": "city=Z",
    "a/b c=d%": "city=a%2Fb%20c%3Dd%25",
    None: "city=__HIVE_DEFAULT_PARTITION__",
    "東京": "city=東京",
}


def spark_table(folder: Path, rows: list[dict], days=("2024-01-01", "2024-01-02")) -> Path:
    """Rows by day and city, two parts each, without these two columns, with what an engine leaves beside them."""
    for number, day in enumerate(days):
        for place, (city, name) in enumerate(CITIES.items()):
            inner = folder / f"date={day}" / name
            inner.mkdir(parents=True)
            own = [{**row, "city": city} for row in rows[number :: len(days)][place :: len(CITIES)]]
            for part, some in enumerate((own[: len(own) // 3], own[len(own) // 3 :])):
                write_parquet(inner / f"part-{part:05d}.snappy.parquet", without(some, "city"))
            write_parquet(inner / f".part-{part:05d}.snappy.parquet.crc", without(own, "city"))
            pq.write_table(pa.table({"click": pa.array([], pa.string())}), inner / "part-00002.snappy.parquet")
            (inner / "part-00003.snappy.parquet").touch()
    (folder / "_SUCCESS").touch()
    for name in ("_metadata", "_common_metadata", "_old.parquet", ".hidden.parquet"):
        (folder / name).write_bytes(b"PAR1")
    for name in ("_temporary", ".staging", "_delta_log", "backup"):
        (folder / name).mkdir()
        write_parquet(folder / name / "part-00000.parquet", rows)
    return folder


def without(rows: list[dict], column: str) -> list[dict]:
    return [{name: value for name, value in row.items() if name != column} for row in rows]


def in_order(rows: list[dict], num_days: int) -> list[dict]:
    """As the sorted folders have them."""
    cities = sorted(CITIES, key=CITIES.get)
    return [
        {**row, "city": city}
        for day in range(num_days)
        for city in cities
        for row in rows[day::num_days][list(CITIES).index(city) :: len(CITIES)]
    ]


def test_a_table_of_spark_prepares_like_one_file_with_its_columns(tmp_path):
    rows = raw_rows(320)
    table = spark_table(tmp_path / "visits", rows)
    plain = write_csv(tmp_path / "plain.csv", in_order(rows, 2))
    changes = {"patterns": ["*.parquet"], "features.standard.transform": "none"}
    found = prepare(config(tmp_path, table, **{"format.reader": "parquet"}, **changes), say=quietly)
    expected = prepare(config(tmp_path, plain, **changes), say=quietly)
    assert found.rows("train") == 224
    for split in ("train", "valid", "test"):
        one, other = (unpacked(pq.read_table(prepared.shards(split)[0])) for prepared in (found, expected))
        assert one == other
    assert found.schema.categorical == expected.schema.categorical


def test_stages_read_it_too(tmp_path):
    table = spark_table(tmp_path / "visits", raw_rows(320))
    assert_equal(tmp_path, table, 3, **{"format.reader": "parquet"})


def test_hidden_and_empty_files_and_those_of_the_engine_are_left_out(tmp_path):
    table = spark_table(tmp_path / "visits", raw_rows(32), days=("2024-01-01",))
    found = named_files(str(table), "data.files", ["*.parquet"])
    names = sorted(CITIES.values())
    assert [path.relative_to(table).as_posix() for path in found] == [
        f"date=2024-01-01/{name}/part-{part:05d}.snappy.parquet" for name in names for part in (0, 1)
    ]


@pytest.mark.parametrize(
    "glob",
    ["visits/date=2024-*", "visits/*/*", "visits/*/*/part-*.parquet", "visits/**/*.parquet", "visits/*", "visits"],
)
def test_globs_of_partitions_find_the_same_files(tmp_path, monkeypatch, glob):
    monkeypatch.chdir(tmp_path)
    table = spark_table(Path("visits"), raw_rows(48))
    for name in ("_temporary", ".staging", "_delta_log", "backup"):
        shutil.rmtree(table / name)
    for path in table.glob("*.parquet"):
        path.unlink()
    for name in ("_SUCCESS", "_metadata", "_common_metadata"):
        (table / name).unlink()
    files = named_files(glob, "data.files", ["*.parquet"])
    assert len(files) == len(set(files)) == 16
    assert files == sorted(files)


def test_a_file_without_rows_that_is_named_itself_is_an_error(tmp_path):
    table = spark_table(tmp_path / "visits", raw_rows(32))
    empty = next(table.rglob("part-00002.snappy.parquet"))
    with pytest.raises(InputError, match=r"part-00002.snappy.parquet: the file is empty \(0 rows\)"):
        prepare(config(tmp_path, empty, **{"format.reader": "parquet"}), say=quietly)


def test_a_folder_of_empty_files_alone_is_an_error(tmp_path):
    (tmp_path / "none.parquet").touch()
    with pytest.raises(InputError, match="the file is empty"):
        named_files(str(tmp_path), "data.files", ["*.parquet"])


def write_part(tmp_path: Path, folders: str, **columns) -> Path:
    path = tmp_path / folders / "part-00000.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"click": [0, 1, 1], **columns}), path)
    return path


def read(path: Path, **kinds) -> dict:
    (block,) = reading.read(path, kinds, PARQUET)
    assert block.num_rows == 3
    return {name: column.to_pylist() for name, column in block.columns.items()}


def test_values_of_folders_are_what_the_config_takes_them_for(tmp_path):
    path = write_part(tmp_path, "x/month=01/price=2.50/tags=a%7Cb/none=__HIVE_DEFAULT_PARTITION__/blank=/a%20b=c")
    assert read(path, click="number", month="text")["month"] == ["01"] * 3
    found = read(path, price="number", month="number", tags="list", none="text", blank="number", **{"a b": "text"})
    expected = {"price": 2.5, "month": 1.0, "tags": "a|b", "none": None, "blank": None, "a b": "c"}
    assert {name: column[0] for name, column in found.items() if name in expected} == expected
    assert read(path, none="number", click="text")["none"] == [None] * 3


def test_a_column_of_the_file_and_the_innermost_folder_come_first(tmp_path):
    path = write_part(tmp_path, "day=1/city=a/day=2", city=["x", "y", "z"])
    assert read(path, day="text", city="text", click="number") == {
        "click": [0, 1, 1],
        "city": ["x", "y", "z"],
        "day": ["2", "2", "2"],
    }
    assert reading.column_names(path, PARQUET)[:2] == ["click", "city"]


def test_a_value_that_is_no_number_names_file_and_column(tmp_path):
    path = write_part(tmp_path, "day=monday")
    with pytest.raises(InputError, match=r"part-00000.parquet: column 'day' holds 'monday', from the name of a folder"):
        read(path, day="number")


def test_a_part_that_lacks_the_folder_is_named(tmp_path):
    rows = raw_rows(60)
    table = spark_table(tmp_path / "visits", rows, days=("2024-01-01",))
    write_parquet(table / "part-00000.parquet", without(rows, "city"))
    with pytest.raises(InputError, match=r"there is no column 'city' in .*visits/part-00000.parquet"):
        prepare(config(tmp_path, table, **{"format.reader": "parquet", "patterns": ["*.parquet"]}), say=quietly)


def test_partitions_of_text_are_read_alike(tmp_path):
    rows = raw_rows(200)
    for i, city in enumerate("ab"):
        (tmp_path / "raw" / f"city={city}").mkdir(parents=True)
        write_csv(tmp_path / "raw" / f"city={city}" / "part.csv", without(rows[i::2], "city"))
    prepared = prepare(config(tmp_path, tmp_path / "raw"), say=quietly)
    entry = next(f for f in prepared.schema.categorical if f.name == "city")
    assert pq.read_table(prepared.folder / entry.encoding["file"])["value"].to_pylist() == ["a", "b"]


def test_time_of_a_folder_splits(tmp_path):
    rows = without(raw_rows(120), "hour")
    for day in (1, 2, 3):
        (tmp_path / "raw" / f"hour=2024-01-0{day}").mkdir(parents=True)
        write_parquet(tmp_path / "raw" / f"hour=2024-01-0{day}" / "part.parquet", rows[day - 1 :: 3])
    changes = {"split.valid_from": "2024-01-02", "split.test_from": "2024-01-03", "time.format": "%Y-%m-%d"}
    data = config(tmp_path, tmp_path / "raw", **{"format.reader": "parquet", "split.by": "time"}, **changes)
    prepared = prepare(dataclasses.replace(data), say=quietly)
    assert [prepared.rows(split) for split in ("train", "valid", "test")] == [40, 40, 40]
    np.testing.assert_array_equal(pq.read_table(prepared.shards("valid")[0])["time"], np.full(40, 1704153600.0))
