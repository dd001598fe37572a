"""Input of odd sizes and shapes: it is read, or refused with one message, in bounded memory."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rectrain.config import FormatConfig, TimeConfig
from rectrain.data.readers import parquet, side_tables
from rectrain.data.targets import parse_times
from rectrain.data.vocab import file_name
from rectrain.errors import InputError

MEMORY_MB = 700  # peak of a command, Python and its libraries included
CRITEO = Path(__file__).parents[1] / "data" / "tiny" / "criteo_tiny.tsv"


@pytest.fixture
def own(tmp_path):
    """Writes conf/data/own.yaml and gives the words that prepare it of a file."""

    def write(features: dict, file: str, *overrides: str, reader="csv", label="label") -> tuple[str, ...]:
        data = {
            "name": "own",
            "format": {"reader": reader},
            "labels": {"y": label},
            "features": features,
            "split": {"by": "random"},
        }
        (tmp_path / "conf/data").mkdir(parents=True, exist_ok=True)
        (tmp_path / "conf/data/own.yaml").write_text(json.dumps(data), encoding="utf-8")
        return ("prepare", "--config-dir", "conf", "data=own", f"data.files={file}", *overrides)

    return write


@pytest.fixture
def measured(tmp_path):
    """Runs the command line in a process of its own: (exit code, stderr); its memory stays below MEMORY_MB."""
    code = (
        "import atexit, re, sys\n"
        "peak = lambda: int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]) // 1024\n"
        "atexit.register(lambda: print(f'peak {peak()}', file=sys.stderr))\n"
        "from rectrain.cli import main\nmain()"
    )

    def call(*words, limit_mb=MEMORY_MB):
        done = subprocess.run(
            [sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=300, cwd=tmp_path, check=False
        )
        err, _, peak = done.stderr.rpartition("peak ")
        assert int(peak) < limit_mb
        return done.returncode, err

    return call


def one_message(found, *parts: str):
    code, *_, err = found
    assert code == 2, err
    assert err.count("\n") == 1
    for part in parts:
        assert part in err


def category(*columns: str, **settings) -> dict:
    return {"all": {"type": "categorical", "columns": list(columns), **settings}}


def write_rows(path: Path, header: str, *rows: str):
    path.write_text("\n".join([header, *rows]), encoding="utf-8")


@pytest.mark.slow
def test_5000_columns(measured, own, tmp_path):
    names = [f"c{i}" for i in range(5000)]
    rows = (",".join([str(r % 2), *(str(i * r % 7) for i in range(5000))]) for r in range(60))
    write_rows(tmp_path / "wide.csv", ",".join(["label", *names]), *rows)
    features = category(*names[:2500]) | {"numbers": {"type": "numeric", "columns": names[2500:]}}
    assert measured(*own(features, "wide.csv"))[0] == 0
    one_message(measured(*own(features, "wide.csv", "data.group=c5000")), "no column 'c5000'")


@pytest.mark.slow
@pytest.mark.parametrize("reader", ["csv", "parquet"])
def test_a_million_values_in_a_cell(measured, own, tmp_path, reader):
    values = [[str(i % 1000) for i in range(1_000_000)] if row == 20 else ["a"] for row in range(40)]
    labels = [row % 2 for row in range(40)]
    if reader == "csv":
        cells = (f"{label},{'|'.join(cell)}" for label, cell in zip(labels, values, strict=True))
        write_rows(tmp_path / "rows.csv", "label,v", *cells)
    else:
        pq.write_table(pa.table({"label": labels, "v": values}), tmp_path / "rows.parquet")
    features = {"all": {"type": "multi_valued", "columns": ["v"], "max_length": 3}}
    assert measured(*own(features, f"rows.{reader}", reader=reader))[0] == 0
    schema = json.loads(next(tmp_path.glob("data/prepared/*/schema.json")).read_text(encoding="utf-8"))
    assert schema["multi_valued"][0]["num_rows"] <= 2 + 4  # 0, 1 and 2 of the million values, and a


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sparse.csv", "zeros.csv.gz", "quoted.csv.gz"])
def test_a_line_of_a_gigabyte(measured, own, tmp_path, name):
    if name == "sparse.csv":
        with open(tmp_path / name, "wb") as file:
            file.write(b"label,v\n")
            file.truncate(1 << 30)
    else:
        with gzip.open(tmp_path / name, "wb", 1) as file:
            file.write(b'label,v\n0,"' if name == "quoted.csv.gz" else b"label,v\n")
            for _ in range(1024):
                file.write(bytes(1 << 20))
    one_message(measured(*own(category("v"), name)), f"{name}, line 2: ", "longer than 8,388,608 bytes")


@pytest.mark.slow
def test_a_parquet_file_of_a_few_bytes_and_many_rows(measured, own, tmp_path):
    first = pa.array([0, 1] * 100 + [1] * 999_800, pa.int8())
    same = pa.DictionaryArray.from_arrays(pa.array([0] * 1_000_000, pa.int32()), ["x" * 200])
    table = pa.table({"label": first, "v": same})
    with pq.ParquetWriter(tmp_path / "rows.parquet", table.schema, compression="zstd") as writer:
        for _ in range(10):
            writer.write_table(table)
    assert (tmp_path / "rows.parquet").stat().st_size < 1 << 20  # 2 GB of text
    assert measured(*own(category("v"), "rows.parquet", reader="parquet"))[0] == 0


def test_a_table_beside_the_rows_that_unpacks_beyond_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(side_tables, "MOST_BYTES", 1000)
    with gzip.open(tmp_path / "table.json.gz", "wb") as file:
        file.write(b" " * 1001)
    with pytest.raises(InputError, match=r"table\.json\.gz: more than 1,000 bytes once unpacked"):
        side_tables.whole_text(tmp_path / "table.json.gz")


def test_ids_of_any_size_are_text(rectrain, own, tmp_path):
    ids = [str(2**31), str(2**63), str(10**40), "-1", "007"]
    write_rows(tmp_path / "rows.csv", "label,v", *(f"{i % 2},{ids[i % 5]}" for i in range(100)))
    assert rectrain(*own(category("v"), "rows.csv"))[0] == 0
    vocabulary = pq.read_table(next(tmp_path.glob("data/prepared/*/vocab/v.parquet")))
    assert sorted(vocabulary["value"].to_pylist()) == sorted(ids)
    one_message(
        rectrain(*own(category("v", hash_buckets=2**31), "rows.csv")),
        "data.features.all.hash_buckets=2147483648: expected int in [1, 2147483647]",
    )
    two = {"one": {"type": "categorical", "columns": ["v"], "hash_buckets": 2**31 - 1}}
    one_message(rectrain(*own(two, "rows.csv", "data.crosses=[[v,v]]")), "data.")


LABELS = {
    "-1 and 1": (("-1", "1"), "{column: label, at_least: 1}"),
    "true and false": (("false", "true"), '{column: label, one_of: ["true"]}'),
    "yes and no": (("no", "yes"), '{column: label, one_of: ["yes"]}'),
    "1 and 2": (("1", "2"), "{column: label, at_least: 2}"),
}


@pytest.mark.parametrize(("words", "condition"), LABELS.values(), ids=LABELS)
def test_labels_in_other_words_say_what_to_set(rectrain, own, tmp_path, words, condition):
    write_rows(tmp_path / "rows.csv", "label,v", *(f"{words[i % 2]},{i % 3}" for i in range(100)))
    code, _, err = rectrain(*own(category("v"), "rows.csv"))
    one_message((code, err), "rows.csv, line ", "'label'", "0 or 1", "{column: label, ")
    for_numbers, for_words = (
        "data.labels.y to {column: label, at_least: 1}",
        "data.labels.<name>={column: label, one_of: ",
    )
    assert for_numbers in err or for_words in err
    assert rectrain(*own(category("v"), "rows.csv", f"data.labels.y={condition}"))[0] == 0
    manifest = json.loads(next(tmp_path.glob("data/prepared/*/manifest.json")).read_text(encoding="utf-8"))
    assert sum(split["y"] for split in manifest["positives"].values()) == 50


def test_labels_of_parquet_may_be_true_and_false(rectrain, own, tmp_path):
    table = pa.table({"label": [i % 2 == 0 for i in range(100)], "v": [str(i % 3) for i in range(100)]})
    pq.write_table(table, tmp_path / "rows.parquet")
    assert rectrain(*own(category("v"), "rows.parquet", reader="parquet"))[0] == 0


ZONES = {
    "1970-01-01T02:00:00+02:00": 0,
    "1970-01-01T00:00:00Z": 0,
    "1970-01-01T05:30:00+0530": 0,
    "1969-12-31T19:00:00-05:00": 0,
    "1970-03-01T00:00:00+14:00": 59 * 86400 - 14 * 3600,
    "1970-01-01T00:00:00": None,
    "1970-01-01T00:00:00+99:99": None,
    "1970-02-29T00:00:00+00:00": None,
    "1970-02-30T23:00:00-02:00": None,
    "1972-02-29T00:00:00+00:00": 789 * 86400,
    "1970-04-31T00:00:00+00:00": None,
    "1970-01-32T00:00:00+00:00": None,
}


def test_times_with_offsets_are_moments_and_days_that_do_not_exist_are_none():
    found = parse_times(pa.array(ZONES), "%Y-%m-%dT%H:%M:%S%z").to_pylist()
    assert dict(zip(ZONES, found, strict=True)) == ZONES
    assert parse_times(pa.array(["31.04.2020", "30.04.2020"]), "%d.%m.%Y")[0].as_py() is None


def test_names_of_time_zones_are_refused():
    with pytest.raises(InputError, match=r"data\.time\.format=.*%Z.*%z"):
        TimeConfig("seen_at", "%Y-%m-%d %H:%M:%S %Z")


def test_columns_with_names_longer_than_those_of_files(rectrain, own, tmp_path):
    names = ["名" * 100, "名" * 99 + "字", "n" * 300]
    write_rows(tmp_path / "rows.csv", ",".join(["label", *names]), *(f"{i % 2},{i % 3},a,b" for i in range(100)))
    assert rectrain(*own(category(*names), "rows.csv"))[0] == 0
    files = {path.stem for path in tmp_path.glob("data/prepared/*/vocab/*.parquet")}
    assert files == set(map(file_name, names))
    assert len(files) == 3


def test_numbers_too_large_for_their_mean(rectrain, own, tmp_path):
    write_rows(tmp_path / "rows.csv", "label,v", *(f"{i % 2},{'1e308' if i % 3 else '-1e308'}" for i in range(100)))
    features = {"all": {"type": "numeric", "columns": ["v"], "transform": "standardize"}}
    one_message(rectrain(*own(features, "rows.csv")), "data.features.all", "'v'", "too large", "transform=log1p")
    assert not list(tmp_path.glob("data/prepared/own-*"))


def test_lists_below_a_null_are_no_values(rectrain, own, tmp_path):
    missing = pa.array([i % 5 == 0 for i in range(100)])
    cells = pa.FixedSizeListArray.from_arrays(pa.array(["a", "b"] * 100), 2, mask=missing)
    pq.write_table(pa.table({"label": [i % 2 for i in range(100)], "v": cells}), tmp_path / "rows.parquet")
    features = {"all": {"type": "multi_valued", "columns": ["v"]}}
    assert rectrain(*own(features, "rows.parquet", reader="parquet"))[0] == 0


def test_text_of_parquet_that_is_not_utf8(rectrain, own, tmp_path):
    bad = pa.Array.from_buffers(pa.string(), 1, pa.array([b"caf\xe9"], pa.binary()).buffers())
    column = pa.concat_arrays([pa.array(["a"] * 50), bad, pa.array(["b"] * 49)])
    pq.write_table(pa.table({"label": [i % 2 for i in range(100)], "v": column}), tmp_path / "rows.parquet")
    one_message(
        rectrain(*own(category("v"), "rows.parquet", reader="parquet")), "row 51: ", "caf\\xe9", "text in UTF-8"
    )


def test_counts_beyond_int64_are_refused_before_data_are_read(rectrain):
    one_message(
        rectrain("prepare", f"data.files={CRITEO}", f"data.features.categories.min_count={10**40}"), "min_count"
    )


@pytest.mark.parametrize(
    "words",
    [
        ["data.labels"],
        ["--no-such-flag"],
        ["hydra.verbose={a: 1}"],
        ["hydra.verbose=[1]"],
        ["--cfg", "nonsense"],
        ["+experiment=null"],
    ],
)
def test_words_that_hydra_does_not_know_are_one_message(rectrain, words):
    one_message(rectrain("prepare", *words))


@pytest.mark.parametrize("as_list", [False, True], ids=["text", "list"])
def test_long_texts_of_a_dictionary_make_small_blocks(tmp_path, monkeypatch, as_list):
    monkeypatch.setattr(parquet, "BLOCK_BYTES", 1000)
    texts = [["x" * 300, "y" * 200][i % 2] for i in range(40)]
    column = [[text, "z"] for text in texts] if as_list else texts
    pq.write_table(pa.table({"v": column, "other": [["q"]] * 40}), tmp_path / "rows.parquet", row_group_size=30)
    kind = "list" if as_list else "text"
    blocks = list(parquet.read(tmp_path / "rows.parquet", {"v": kind}, FormatConfig(reader="parquet")))
    assert [value for block in blocks for value in block.columns["v"].to_pylist()] == column
    assert max(block.num_rows for block in blocks) == (1 if as_list else 3)


@pytest.mark.slow
def test_a_parquet_file_whose_text_would_take_2_gigabytes(measured, own, tmp_path):
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 2_000, pa.int32()), ["x" * (1 << 20)])
    table = pa.table({"label": pa.array([i % 2 for i in range(2_000)], pa.int8()), "v": texts})
    pq.write_table(table, tmp_path / "rows.parquet", compression="zstd", store_schema=False)
    assert (tmp_path / "rows.parquet").stat().st_size < 10_000
    assert measured(*own(category("v"), "rows.parquet", reader="parquet"), limit_mb=1_200)[0] == 0
