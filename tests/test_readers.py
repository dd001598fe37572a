"""Readers against Python's own csv module and hand-written tables; every fault names file, line and key."""

import csv as python_csv
import gzip
import io
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rectrain import registry
from rectrain.config import FormatConfig
from rectrain.data.readers import csv, parquet, rows
from rectrain.errors import InputError

CSV = FormatConfig(reader="csv")
TSV = FormatConfig(reader="csv", delimiter="\t", quote=None, header=False, columns=["label", "I1", "C1"])
PARQUET = FormatConfig(reader="parquet")


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(rows, "CHUNK_BYTES", 512)
    monkeypatch.setattr(rows, "LINE_BYTES", 128)
    monkeypatch.setattr(parquet, "BLOCK_ROWS", 7)


def write(path: Path, content: str | bytes) -> Path:
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def read_all(path, columns, format, reader=csv, **kwargs):
    """Column -> list over all blocks; checks that the blocks follow one another."""
    values, num_rows = {name: [] for name in columns}, 0
    for block in reader.read(path, columns, format, **kwargs):
        assert (block.path, block.first_row) == (path, num_rows)
        assert all(len(column) == block.num_rows > 0 for column in block.columns.values())
        num_rows += block.num_rows
        for name in columns:
            values[name] += block.columns[name].to_pylist()
    assert reader.count_rows(path, format) == num_rows
    return values


def message(path, columns, format, reader=csv):
    with pytest.raises(InputError) as error:
        list(reader.read(path, columns, format))
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)
    return str(error.value)


def test_registry_finds_the_readers_and_no_helper():
    assert registry.names("data/readers", "read") == ["ali_ccp", "amazon", "csv", "libfm", "movielens", "parquet"]


def test_tsv_without_header(tmp_path):
    path = write(tmp_path / "train.tsv", "1\t5\t68fd1e64\n0\t\t\n0\t-2\t a \n")
    values = read_all(path, {"C1": "text", "label": "number", "I1": "number"}, TSV)
    assert values == {"C1": ["68fd1e64", None, " a "], "label": [1, 0, 0], "I1": [5, None, -2]}
    assert csv.column_names(path, TSV) == ["label", "I1", "C1"]


def test_csv_with_header(tmp_path):
    path = write(tmp_path / "train.csv", 'id,click,"site, name"\n1e3,1,"a, ""b"""\n7,0,-1\n')
    format = FormatConfig(reader="csv", null_values=["-1"])
    assert csv.column_names(path, format) == ["id", "click", "site, name"]
    values = read_all(path, {"id": "text", "click": "number", "site, name": "text"}, format)
    assert values == {"id": ["1e3", "7"], "click": [1, 0], "site, name": ['a, "b"', None]}


def test_parquet_with_string_columns(tmp_path, small_blocks):
    path, n = tmp_path / "train.parquet", 20
    table = {
        "click": pa.array(np.arange(n) % 2, pa.int8()),
        "site": pa.array([None if i % 5 == 0 else f"s{i}" for i in range(n)]),
        "item": pa.array(np.arange(n) + 2**60),
        "holed": pa.array([None, 3.0, 2.5, -1e12] * 5),
        "price": pa.array(["", " 1.5 ", None, "1e3"] * 5),
        "kind": pa.array(["x", "y"] * 10).dictionary_encode(),
        "tags": pa.array([["a", "b"], [], None, ["c"]] * 5),
        "ids": pa.array([[1, None], [2], [], None] * 5, pa.large_list(pa.int32())),
    }
    pq.write_table(pa.table(table), path, row_group_size=9)
    kinds = {"click": "number", "site": "text", "item": "text", "holed": "text", "price": "number", "kind": "text"}
    values = read_all(path, kinds | {"tags": "list", "ids": "list"}, PARQUET, parquet)
    assert values == {
        "click": [0, 1] * 10,
        "site": table["site"].to_pylist(),
        "item": [str(i + 2**60) for i in range(n)],
        "holed": [None, "3", "2.5", "-1000000000000"] * 5,
        "price": [None, 1.5, None, 1000] * 5,
        "kind": ["x", "y"] * 10,
        "tags": [["a", "b"], [], None, ["c"]] * 5,
        "ids": [["1", None], ["2"], [], None] * 5,
    }
    assert parquet.column_names(path, PARQUET) == list(table)


def test_types_of_the_arrays_do_not_depend_on_the_values(tmp_path):
    wanted = {"text": pa.string(), "number": pa.float64()}
    path = write(tmp_path / "blank.csv", "text,number\n,\n")
    (block,) = csv.read(path, {k: k for k in wanted}, CSV)
    assert {k: v.type for k, v in block.columns.items()} == wanted
    pq.write_table(pa.table({"text": pa.nulls(2), "number": pa.nulls(2), "list": [["a"], []]}), tmp_path / "a.parquet")
    (block,) = parquet.read(tmp_path / "a.parquet", {k: k for k in (*wanted, "list")}, PARQUET)
    assert {k: v.type for k, v in block.columns.items()} == wanted | {"list": pa.list_(pa.string())}


ALPHABET = ["a", "é", "0", " ", '"', ",", "\n", "\r\n", "\r", "\ufeff", "", "漢", "'", "\t"]


def random_table(rng, quote, num_columns):
    letters = ALPHABET if quote else [x for x in ALPHABET if x not in (",", "\n", "\r\n", "\r")]
    lengths = [[rng.choice([0, 0, 1, 3, 9]) for _ in range(num_columns)] for _ in range(rng.randrange(1, 60))]
    table = [["".join(rng.choices(letters, k=length)) for length in row] for row in lengths]
    table[0][0] = table[0][0].lstrip("\ufeff")  # at the start of a file it is no content
    return table


def random_text(rng, table, quote):
    """Rows as any writer may put them: quotes where they must be or by whim, blank lines, any line end."""
    out = []
    for row in table:
        cells = []
        for x in row:
            must = quote and (any(c in x for c in ",\r\n") or x.startswith('"'))
            if quote and (must or rng.random() < 0.2):
                x = '"' + x.replace('"', '""') + '"'
            cells.append(x)
        out.append(",".join(cells) + rng.choice(["\n", "\r\n", "\r", "\n\n", "\r\n\r\n"]))
    text = "".join(out)
    return text.rstrip("\r\n") if rng.random() < 0.3 else text


@pytest.mark.parametrize("quote", ['"', None])
@pytest.mark.parametrize("seed", range(40))
def test_csv_equals_pythons_reader_on_random_text(tmp_path, small_blocks, seed, quote):
    rng = random.Random(seed)
    table = random_table(rng, quote, rng.randrange(2, 5))
    text = random_text(rng, table, quote)
    path = write(tmp_path / rng.choice(["a.csv", "a.csv.gz"]), rng.choice(["", "\ufeff"]) + text)
    names = [f"c{i}" for i in range(len(table[0]))]
    format = FormatConfig(reader="csv", quote=quote, header=False, columns=names)
    lines, expected = python_rows(text, quote)
    if not expected:
        pytest.skip("blank lines only")
    consumed = []
    values = read_all(path, dict.fromkeys(names, "text"), format, advance=consumed.append)
    assert [list(row) for row in zip(*values.values(), strict=True)] == expected
    assert sum(consumed) == path.stat().st_size
    for row in {0, len(expected) // 2, len(expected) - 1}:
        assert csv.describe_row(path, row, format=format).startswith(f"{path}, line {lines[row]}: ")


def python_rows(text, quote):
    """Of Python's csv module: first line and cells of each row that is not blank."""
    quoting = python_csv.QUOTE_MINIMAL if quote else python_csv.QUOTE_NONE
    reader = python_csv.reader(io.StringIO(text, newline=""), quotechar=quote, quoting=quoting)
    lines, table, line = [], [], 1
    for row in reader:
        if row:
            lines.append(line)
            table.append([cell or None for cell in row])
        line = reader.line_num + 1
    return lines, table


def test_numbers_equal_pythons_float(tmp_path):
    spelt = [
        "0",
        "-0.0",
        " 7",
        "7\t",
        ".5",
        "5.",
        "1e-3",
        "1E5",
        "-12345678901234567890",
        "3.141592653589793",
        "",
        "  ",
    ]
    path = write(tmp_path / "a.tsv", "".join(f"0\t{x}\tc\n" for x in spelt if not x.endswith("\t")))
    expected = [float(x) if x.strip() else None for x in spelt if not x.endswith("\t")]
    assert read_all(path, {"I1": "number"}, TSV)["I1"] == expected


def test_null_values_hold_for_text_and_numbers_quoted_or_not_and_blank_always_does(tmp_path):
    format = FormatConfig(reader="csv", null_values=["?", "NaN"])
    path = write(tmp_path / "a.csv", 'x,y\n?,?\n"NaN","?"\n ? ,\n"",""\n1,?1\n')
    values = read_all(path, {"x": "number", "y": "text"}, format)
    assert values == {"x": [None, None, None, None, 1], "y": [None, None, None, None, "?1"]}


def test_a_delimiter_with_blanks_strips_every_cell_and_turns_quoting_off(tmp_path):
    format = FormatConfig(reader="csv", delimiter=", ", null_values=["?"])
    path = write(tmp_path / "adult.csv", 'age, job, pay\n38, Private, 6\n ,?,  7 \n39,\t"a b", ?\n')
    assert csv.column_names(path, format) == ["age", "job", "pay"]
    values = read_all(path, {"age": "text", "job": "text", "pay": "number"}, format)
    assert values == {"age": ["38", None, "39"], "job": ["Private", None, '"a b"'], "pay": [6, 7, None]}


def test_a_list_column_of_text_comes_as_text(tmp_path):
    path = write(tmp_path / "a.csv", "tags\na|b\n\nc\n")
    assert read_all(path, {"tags": "list"}, CSV) == {"tags": ["a|b", "c"]}


def test_gzip_in_several_members_and_without_the_ending(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(gzip.compress(b"x,y\n1,") + gzip.compress(b"2\n3,4"))
    consumed = []
    assert read_all(path, {"y": "text"}, CSV, advance=consumed.append) == {"y": ["2", "4"]}
    assert sum(consumed) == path.stat().st_size


def test_lines_are_counted_over_header_blank_lines_crlf_and_quoted_line_ends(tmp_path, small_blocks):
    text = '\n"x",y\r\n\r\n1,"a\r\nb\nc"\r\n\r\n2,d\r\n'  # rows start at lines 4 and 8
    path = write(tmp_path / "a.csv", text)
    assert csv.describe_row(path, 0, format=CSV) == f"{path}, line 4: '1,\"a\\r\\nb\\nc\"'"
    assert csv.describe_row(path, 1, format=CSV) == f"{path}, line 8: '2,d'"
    (block,) = csv.read(path, {"x": "text"}, CSV)
    assert block.place(1) == f"{path}, line 8: '2,d'"


def test_places_in_parquet_count_rows_from_1(tmp_path, small_blocks):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"x": np.arange(10)}), path)
    consumed = []
    blocks = list(parquet.read(path, {"x": "text"}, PARQUET, advance=consumed.append))
    assert (len(blocks), blocks[1].place(2)) == (2, f"{path}, row 10")
    assert sum(consumed) == path.stat().st_size


class Pipe(io.RawIOBase):
    """Standard input that gives a few bytes at a time and cannot seek."""

    def __init__(self, data, size):
        self._data, self._size = data, size

    def readable(self):
        return True

    def readinto(self, buffer):
        piece = self._data[: min(self._size, len(buffer))]
        self._data = self._data[len(piece) :]
        buffer[: len(piece)] = piece
        return len(piece)


@pytest.fixture
def standard_input(monkeypatch):
    def give(content, size=1000):
        data = content.encode() if isinstance(content, str) else content
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(Pipe(data, size))))

    return give


STDIN = Path("-")


def in_two_members(data):
    return gzip.compress(data[:1000]) + gzip.compress(data[1000:])


@pytest.mark.parametrize("compress", [bytes, gzip.compress, in_two_members])
@pytest.mark.parametrize("size", [1, 3, 100_000])
def test_standard_input_reads_as_a_file_does(standard_input, small_blocks, compress, size):
    data = compress(b"\xef\xbb\xbf" + b"".join(f"{i % 2}\t{i}\tc{i}\n".encode() for i in range(300)))
    standard_input(data, size)
    consumed, rows_read = [], []
    for block in csv.read(STDIN, KINDS, TSV, advance=consumed.append):
        assert (block.path, block.first_row) == (STDIN, len(rows_read))
        rows_read += zip(*(block.columns[name].to_pylist() for name in KINDS), strict=True)
        last = len(rows_read)
        assert (
            block.place(block.num_rows - 1)
            == f"standard input, line {last}: '{(last - 1) % 2}\\t{last - 1}\\tc{last - 1}'"
        )
    assert rows_read == [(i % 2, i, f"c{i}") for i in range(300)]
    assert sum(consumed) == len(data)
    assert not sys.stdin.buffer.closed
    assert csv.column_names(STDIN, TSV) == ["label", "I1", "C1"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "standard input: the file is empty (0 bytes)"),
        (b"\n\n", "standard input: the file is empty (only blank lines)"),
        (b"1\t5\ta\n1\tx\tb\n", "standard input, line 2: '1\\tx\\tb': column 'I1' holds 'x'"),
        (b"1\t5\ta\n1\t5\n", "standard input, line 2: '1\\t5' has 2 columns"),
        (b"1\t5\t\xe9", "standard input, line 1: "),
        (b"PAR1\x15\x04", "standard input: expected delimited text, plain or gzipped; this is a parquet file"),
        (gzip.compress(b"1\t5\ta\n" * 999, mtime=0)[:-9], "standard input: the gzip data are cut short or damaged"),
    ],
)
def test_faults_of_standard_input_name_it(standard_input, content, said):
    standard_input(content)
    with pytest.raises(InputError) as error:
        list(csv.read(STDIN, KINDS, TSV))
    assert str(error.value).startswith(said)


def test_columns_that_standard_input_lacks_are_named(standard_input):
    standard_input("1\t5\ta\n")
    with pytest.raises(InputError, match=r"^standard input: no column 'C2'"):
        list(csv.read(STDIN, {"C2": "text"}, TSV))


def test_standard_input_that_is_closed_or_cannot_be_read(standard_input, monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(InputError, match=r"standard input is closed.*data\.files"):
        list(csv.read(STDIN, KINDS, TSV))

    def fail(*_):
        raise OSError(5, "Input/output error")

    standard_input(GOOD)
    monkeypatch.setattr(Pipe, "readinto", fail)
    with pytest.raises(InputError, match=r"standard input: cannot be read \(Input/output error\)"):
        list(csv.read(STDIN, KINDS, TSV))


def test_standard_input_of_a_process(tmp_path):
    code = (
        "from pathlib import Path\nfrom rectrain.config import FormatConfig\nfrom rectrain.data.readers import csv\n"
        "format = FormatConfig(reader='csv', header=False, columns=['x'])\n"
        "print(sum(block.num_rows for block in csv.read(Path('-'), {'x': 'text'}, format)))"
    )
    data = gzip.compress(b"a\n" * 100_000)
    done = subprocess.run([sys.executable, "-c", code], input=data, check=True, capture_output=True)
    assert done.stdout.strip() == b"100000"


# Faults: after 41 good rows, in the second block of 512 bytes.
GOOD = "1\t5\t68fd1e64\n"
KINDS = {"label": "number", "I1": "number", "C1": "text"}
FAULTS = {
    "too few columns": ("0\t1\n", ["'0\\t1' has 2 columns", "expected 3", "data.format.columns"]),
    "too many columns": ("0\t1\ta\tb\n", ["'0\\t1\\ta\\tb' has 4 columns", "data.format.delimiter (now '\\t')"]),
    "text in numbers": ("0\tabc\tx\n", ["'0\\tabc\\tx'", "'I1' holds 'abc'", "finite number", "data.features"]),
    "nan": ("0\tnan\tx\n", ["'I1' holds 'nan'", "finite", "data.format.null_values"]),
    "inf": ("-Inf\t1\tx\n", ["'label' holds '-Inf'", "finite"]),
    "overflow": ("1\t1e999\tx\n", ["'I1' holds '1e999'", "finite"]),
    "latin-1": (b"0\t1\tcaf\xe9\n", ["byte 8 of the row, 0xe9, is not UTF-8", "iconv", "data.files"]),
    "latin-1 in numbers": (b"0\t\xa01\tx\n", ["byte 3 of the row, 0xa0, is not UTF-8"]),
    "long line": ("0\t1\t" + "x" * 300 + "\n", ["'0\\t1\\txxx", "longer than 128 bytes", "data.format.quote"]),
    "endless line": ("0\t1\t" + "x" * 9999, ["'0\\t1\\txxx", "longer than 128 bytes"]),
}


@pytest.mark.parametrize("name", ["a.tsv", "a.tsv.gz"])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("behind", ["", GOOD * 30])
def test_a_fault_deep_in_the_file_is_named_with_its_line(tmp_path, small_blocks, fault, name, behind):
    bad, expected = FAULTS[fault]
    bad = bad if isinstance(bad, bytes) else bad.encode()
    path = write(tmp_path / name, (GOOD * 20 + "\n\r\n" + GOOD * 21).encode() + bad + behind.encode())
    said = message(path, KINDS, TSV)
    assert said.startswith(f"{path}, line 44: ")
    for part in expected:
        assert part in said


@pytest.mark.parametrize("fault", FAULTS)
def test_rows_in_front_of_a_fault_are_still_read(tmp_path, small_blocks, fault):
    bad = FAULTS[fault][0]
    bad = bad if isinstance(bad, bytes) else bad.encode()
    reader = csv.read(write(tmp_path / "a.tsv", GOOD.encode() * 41 + bad), KINDS, TSV)
    assert 512 // len(GOOD) <= rows_before_a_fault(reader) <= 41


def rows_before_a_fault(reader) -> int:
    num_rows = 0
    try:
        for block in reader:
            num_rows += block.num_rows
    except InputError:
        return num_rows
    raise AssertionError("no fault")


def test_lines_of_faults_count_quoted_line_ends_and_the_header(tmp_path, small_blocks):
    good = '"a\nb",1\r\n'
    path = write(tmp_path / "a.csv", "x,y\r\n" + good * 50 + '"c\nd",e\n' + good * 50)
    said = message(path, {"x": "text", "y": "number"}, CSV)
    assert said.startswith(f"{path}, line 102: '\"c\\nd\",e': column 'y' holds 'e'")
    path = write(tmp_path / "b.csv", "x,y\n" + good * 50 + '"c,\nd"\n' + good * 50)
    assert f"{path}, line 102: '\"c,\\nd\"' has 1 columns; expected 2, as many as the header names" in message(
        path, {"x": "text"}, CSV
    )


def test_a_quote_that_is_never_closed(tmp_path, small_blocks):
    path = write(tmp_path / "a.csv", 'x,y\n1,2\n3,"4\n5,6\n')
    said = message(path, {"x": "text"}, CSV)
    assert said.startswith(f"{path}, line 3: '3,\"4\\n5,6\\n")
    assert "data.format.quote=null" in said
    path = write(tmp_path / "b.csv", 'x,y\n1,2\n3,"4\n' + "5,6\n" * 999)
    assert f"{path}, line 3: " in message(path, {"x": "text"}, CSV)


@pytest.mark.parametrize(
    ("content", "received"),
    [("", "0 bytes"), ("x,y", "only a header"), ("x,y\n\n\r\n", "only a header"), ("\n\n", "only blank lines")],
)
def test_an_empty_file(tmp_path, content, received):
    path = write(tmp_path / "a.csv", content)
    said = message(path, {"x": "text"}, CSV)
    assert f"empty ({received})" in said
    assert "data.files" in said
    with pytest.raises(InputError, match="empty"):
        csv.count_rows(path, CSV)


def test_an_empty_gzip_and_an_empty_parquet(tmp_path):
    path = write(tmp_path / "a.tsv.gz", "")
    assert "empty (only blank lines)" in message(path, KINDS, TSV)
    pq.write_table(pa.table({"x": pa.array([], pa.string())}), tmp_path / "a.parquet")
    assert "empty (0 rows)" in message(tmp_path / "a.parquet", {"x": "text"}, PARQUET, parquet)
    path = write(tmp_path / "b.parquet", "")
    assert "empty (0 bytes)" in message(path, {"x": "text"}, PARQUET, parquet)


@pytest.mark.parametrize("damage", ["cut short", "bit flipped", "garbage behind"])
def test_a_damaged_gzip(tmp_path, damage):
    path = write(tmp_path / "a.tsv.gz", "".join(f"0\t{i}\tx{i * 7919 % 1000}\n" for i in range(5000)))
    data = bytearray(path.read_bytes())
    if damage == "cut short":
        del data[-100:]
    elif damage == "bit flipped":
        data[len(data) // 2] ^= 16
    else:
        data += b"garbage"
    path.write_bytes(data)
    said = message(path, KINDS, TSV)
    assert "cut short or damaged" in said
    assert "data.files" in said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04rest", "a zip archive"),
        (b"PAR1\x15\x04", "data.format.reader=parquet"),
        ("0\t1\tx\n".encode("utf-16"), "UTF-16"),
    ],
)
def test_what_is_no_text_is_told_by_its_first_bytes(tmp_path, content, said):
    assert said in message(write(tmp_path / "a.tsv", content), KINDS, TSV)


def test_named_gz_without_gzip_data(tmp_path):
    (tmp_path / "a.tsv.gz").write_text(GOOD)
    assert "does not hold gzip data" in message(tmp_path / "a.tsv.gz", KINDS, TSV)


@pytest.mark.parametrize(("reader", "format"), [(csv, CSV), (parquet, PARQUET)])
def test_a_path_that_cannot_be_read(tmp_path, monkeypatch, reader, format):
    assert "directory" in message(tmp_path, {"x": "text"}, format, reader).lower()
    assert "No such file" in message(tmp_path / "no.csv", {"x": "text"}, format, reader)
    os.mkfifo(tmp_path / "pipe")
    assert "neither a file nor a folder" in message(tmp_path / "pipe", {"x": "text"}, format, reader)

    def refuse(path, *args, **kwargs):
        raise PermissionError(13, "Permission denied", str(path))

    path = write(tmp_path / "a.csv", "x\n1\n")
    monkeypatch.setattr("builtins.open", refuse)
    said = message(path, {"x": "text"}, format, reader)
    assert "Permission denied" in said
    assert "data.files" in said


def test_missing_and_repeated_columns(tmp_path):
    path = write(tmp_path / "a.csv", "click,site_id,app\n1,a,b\n")
    said = message(path, {"click": "number", "sited_id": "text"}, CSV)
    assert "no column 'sited_id'. Did you mean 'site_id'?" in said
    assert "data.features" in said
    pq.write_table(pa.table({"click": [1]}), tmp_path / "a.parquet")
    assert "Did you mean 'click'?" in message(tmp_path / "a.parquet", {"clock": "text"}, PARQUET, parquet)
    path = write(tmp_path / "b.csv", "x,y,x\n1,2,3\n")
    assert "'x' named twice" in message(path, {"y": "text"}, CSV)
    with pytest.raises(InputError, match="named twice"):
        csv.column_names(path, CSV)


def test_a_header_that_is_not_utf8(tmp_path):
    path = write(tmp_path / "a.csv", b"\nx,caf\xe9\n1,2\n")
    assert f"{path}, line 2: " in message(path, {"x": "text"}, CSV)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"delimiter": "::"}, r"data\.format\.delimiter='::'"),
        ({"delimiter": ""}, r"data\.format\.delimiter=''"),
        ({"delimiter": "\n"}, r"data\.format\.delimiter"),
        ({"quote": ""}, r"data\.format\.quote=''.*null"),
        ({"quote": ","}, r"data\.format\.quote=','"),
        ({"columns": ["x"]}, r"data\.format\.header=false"),
        ({"header": False}, r"needs data\.format\.columns"),
    ],
)
def test_formats_that_cannot_be(tmp_path, settings, said):
    path = write(tmp_path / "a.csv", "x\n1\n")
    with pytest.raises(InputError, match=said):
        next(csv.read(path, {"x": "text"}, FormatConfig(reader="csv", **settings)))


@pytest.mark.parametrize(
    ("column", "kind", "said"),
    [
        (
            pa.array([1.0] * 9 + [float("nan")]),
            "number",
            "row 10: column 'x' holds nan; expected a finite number, null",
        ),
        (pa.array([1.0] * 9 + [float("inf")]), "text", "row 10: column 'x' holds inf; expected text in UTF-8 or a fin"),
        (pa.array(["1"] * 8 + ["abc", "z"]), "number", "row 9: column 'x' holds 'abc'; expected a finite number"),
        (pa.array([b"a"] * 8 + [b"\xe9", b"z"]), "text", "row 9: column 'x' holds b'\\xe9'; expected text in UTF-8"),
        (pa.array([[1]] * 10), "text", "column 'x' is of type list<"),
        (pa.array([{"a": 1}] * 10), "list", "column 'x' is of type struct<"),
        (pa.array([{"a": 1}] * 10), "number", "column 'x' is of type struct<"),
    ],
)
def test_bad_cells_and_types_in_parquet(tmp_path, small_blocks, column, kind, said):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"x": column}), path)
    whole = message(path, {"x": kind}, PARQUET, parquet)
    assert said in whole
    assert "data.features" in whole


def test_times_in_parquet_are_unix_seconds_as_numbers(tmp_path):
    path = tmp_path / "a.parquet"
    times = pa.array([1_400_000_000_500, None], pa.timestamp("ms"))
    pq.write_table(pa.table({"t": times, "d": pa.array([1, 2], pa.date32())}), path)
    (block,) = parquet.read(path, {"t": "number", "d": "number"}, PARQUET)
    assert block.columns["t"].to_pylist() == [1_400_000_000.5, None]
    assert block.columns["d"].to_pylist() == [86_400.0, 172_800.0]


def test_what_is_no_whole_parquet_file(tmp_path):
    path = write(tmp_path / "a.parquet", "x,y\n1,2\n" * 9)
    assert "data.format.reader=csv" in message(path, {"x": "text"}, PARQUET, parquet)
    values = np.random.default_rng(0).normal(size=5000)
    pq.write_table(pa.table({"x": values}), path, use_dictionary=False, compression="gzip")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert "expects a whole parquet file" in message(path, {"x": "text"}, PARQUET, parquet)
    path.write_bytes(data[:1000] + bytes(2000) + data[3000:])
    assert "damaged" in message(path, {"x": "text"}, PARQUET, parquet)
