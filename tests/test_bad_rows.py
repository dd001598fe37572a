"""Rows that do not parse and are left out: every good row still comes, and every bad one is written down."""

import gzip
import io
import json
import random
from pathlib import Path

import pytest

from rectrain.config import FormatConfig
from rectrain.data.bad_rows import BadRows
from rectrain.data.readers import csv, rows
from rectrain.errors import InputError

NAMES = ["label", "I1", "C1"]
KINDS = {"label": "number", "I1": "number", "C1": "text"}
TSV = FormatConfig(reader="csv", delimiter="\t", quote=None, header=False, columns=NAMES)
QUOTED = FormatConfig(reader="csv", delimiter="\t", header=False, columns=NAMES)

BAD = {  # kind -> row, why
    "too few columns": (b"0\t1", "2 columns; expected 3"),
    "too many columns": (b"0\t1\ta\tb", "4 columns; expected 3"),
    "no number": (b"0\tabc\tx", "column 'I1' holds 'abc'; expected a finite number"),
    "not finite": (b"0\tnan\tx", "column 'I1' holds 'nan'; expected a finite number"),
    "overflow": (b"1e999\t1\tx", "column 'label' holds '1e999'; expected a finite number"),
    "no UTF-8": (b"0\t1\tcaf\xe9", "column 'C1': byte 4 of the cell, 0xe9, is not UTF-8"),
    "no UTF-8 in a number": (b"0\t\xa01\tx", "column 'I1': byte 1 of the cell, 0xa0, is not UTF-8"),
    "too long": (b"0\t1\t" + b"x" * 300, "longer than 128 bytes"),
    "longer than a chunk": (b"0\t1\t" + b"x" * 3000, "longer than 128 bytes"),
}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(rows, "CHUNK_BYTES", 512)
    monkeypatch.setattr(rows, "LINE_BYTES", 128)


class Reading:
    """What comes of a file: rows as tuples, their places, what the quarantine holds."""

    def __init__(self, tmp_path, content, format, *, name="a.tsv", kinds=KINDS, limit=10**6):
        path = tmp_path / name
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        quarantine = tmp_path / "made" / "bad_rows.jsonl"
        quarantine.unlink(missing_ok=True)
        bad = BadRows(limit, quarantine)
        self.rows, self.places = [], []
        for block in csv.read(path, kinds, format, bad_rows=bad):
            assert (block.path, block.first_row) == (path, len(self.rows))
            self.places += [block.place(index) for index in range(block.num_rows)]
            self.rows += zip(*(block.columns[column].to_pylist() for column in kinds), strict=True)
        self.bad = entries(quarantine) if quarantine.exists() else []
        assert bad.count == len(self.bad)
        assert all(entry["file"] == str(path) for entry in self.bad)


def entries(quarantine):
    """Of a quarantine file."""
    return [json.loads(line) for line in quarantine.read_text(encoding="utf-8").rstrip("\n").split("\n")]


def good(number, quoted=False):
    """A row and what it reads as; of two lines where it is quoted."""
    text = f"c\n{number}" if quoted else f"c{number}"
    cell = f'"{text}"' if quoted else text
    return f"{number % 2}\t{number}\t{cell}".encode(), (number % 2, number, text)


def start_of(row):
    return row[:240].decode(errors="replace")[:60]


@pytest.mark.parametrize("name", ["a.tsv", "a.tsv.gz"])
@pytest.mark.parametrize("quoted", [False, True])
@pytest.mark.parametrize("where", ["start", "middle", "end", "alone", "several in a row", "scattered"])
@pytest.mark.parametrize("kind", BAD)
def test_good_rows_come_and_bad_ones_are_written_down(tmp_path, kind, where, quoted, name):
    if quoted and kind == "too long":
        pytest.skip("a chunk that holds quotes is parsed in one block, in which a row may be that long")
    row, why = BAD[kind]
    num_good, places = {
        "start": (90, [0]),
        "middle": (90, [45]),
        "end": (90, [90]),
        "alone": (0, [0]),
        "several in a row": (90, [50] * 70),  # more than a chunk of them
        "scattered": (90, [0, 0, 3, 44, 45, 70, 90]),
    }[where]
    content, line, expected_rows, expected_places, expected_bad = b"\r\n\n", 3, [], [], []
    for number in range(num_good + 1):
        for _ in range(places.count(number)):
            content += row + b"\n"
            expected_bad.append((line, why, row.decode(errors="replace")))
            line += 1
        if number < num_good:
            data, values = good(number, quoted and number % 3 == 0)
            content += data + b"\r\n"
            expected_rows.append(values)
            expected_places.append(f"{tmp_path / name}, line {line}: {start_of(data)!r}")
            line += 1 + data.count(b"\n")
    found = Reading(tmp_path, content, QUOTED if quoted else TSV, name=name)
    assert found.rows == expected_rows
    assert found.places == expected_places
    cut = 512 if kind == "longer than a chunk" else None  # no more of it is kept
    received = [(entry["line"], entry["why"], entry["row"]) for entry in found.bad]
    assert [bad[:2] for bad in received] == [bad[:2] for bad in expected_bad]
    assert all(a[2][:cut] == b[2][:cut] for a, b in zip(received, expected_bad, strict=True))


def test_a_file_without_bad_rows_reads_as_ever(tmp_path):
    content = b"".join(good(number)[0] + b"\n" for number in range(200))
    found = Reading(tmp_path, content, TSV)
    assert found.rows == [good(number)[1] for number in range(200)]
    assert found.bad == []
    with pytest.raises(InputError, match="the file is empty"):
        Reading(tmp_path, b"\n\n", TSV)


def test_cells_of_columns_that_are_not_read_may_hold_anything(tmp_path):
    content = b"0\tx\ta\n1\tcaf\xe9\tb\n0\t1\n"
    found = Reading(tmp_path, content, TSV, kinds={"C1": "text"})
    assert found.rows == [("a",), ("b",)]
    assert [entry["line"] for entry in found.bad] == [3]


def test_with_a_header_and_with_blanks_around_cells(tmp_path):
    format = FormatConfig(reader="csv", delimiter=", ", null_values=["?"])
    content = b"label, I1, C1\n1, 2, a\n1, x, b\n ?, 3, ?\n1, 2\n0, inf, d\n0, 4, e"
    found = Reading(tmp_path, content, format)
    assert found.rows == [(1, 2, "a"), (None, 3, None), (0, 4, "e")]
    assert found.places[2] == f"{tmp_path / 'a.tsv'}, line 7: '0, 4, e'"
    assert [entry["line"] for entry in found.bad] == [3, 5, 6]


@pytest.mark.parametrize("behind", [5, 200])  # within a chunk of the end of the file, and not
def test_of_a_quote_that_is_never_closed_the_line_is_bad(tmp_path, behind):
    rows_behind = [good(number) for number in range(behind)]
    content = b'0\t1\t"a\nb"\n0\t2\t"open\n' + b"".join(data + b"\n" for data, _ in rows_behind)
    found = Reading(tmp_path, content, QUOTED)
    assert found.rows == [(0, 1, "a\nb"), *(values for _, values in rows_behind)]
    why = "a quote that is never closed" if behind == 5 else "a quote open for 512 bytes"
    assert found.bad == [{"file": str(tmp_path / "a.tsv"), "line": 3, "why": why, "row": '0\t2\t"open'}]
    assert found.places[-1].startswith(f"{tmp_path / 'a.tsv'}, line {3 + behind}: ")


@pytest.mark.parametrize("with_bad", [False, True])
def test_a_long_row_in_a_chunk_with_quotes_is_good_as_ever(tmp_path, with_bad):
    long_row = b"0\t1\t" + b"x" * 300
    content = b'0\t1\t"a"\n' + long_row + b"\n" + b'0\t"1"\n' * with_bad
    found = Reading(tmp_path, content, QUOTED)
    assert found.rows == [(0, 1, "a"), (0, 1, "x" * 300)]
    assert len(found.bad) == with_bad
    content = long_row + b"\n" + b'0\t"1"\n' * with_bad  # where the bad row alone has quotes
    assert len(Reading(tmp_path, content, QUOTED).bad) == 1


def test_a_line_longer_than_chunks_may_end_in_any_way(tmp_path):
    for size in range(1019, 1029):  # the line end falls on each side of an end of a chunk
        for end in (b"\n", b"\r\n", b"\r"):
            content = b"0\t1\t" + b"x" * size + end + b"1\t2\tc" + end
            found = Reading(tmp_path, content, TSV)
            assert found.rows == [(1, 2, "c")]
            assert found.places == [f"{tmp_path / 'a.tsv'}, line 2: '1\\t2\\tc'"]
            assert [entry["line"] for entry in found.bad] == [1]


PIECES = [b"a", b"1", b"2.5", b",", b",", b'"', b'""', b"\n", b"\r\n", b"\r", b"\xe9", b"\xc3\xa9", b" ", b"nan"]
WHOLE = [b"1,a,2\n", b'3,"a,\nb",4\r\n']


@pytest.mark.parametrize("quote", ['"', None])
@pytest.mark.parametrize("seed", range(15))
def test_a_row_is_bad_where_it_alone_in_a_file_is_an_error(tmp_path, seed, quote):
    rng = random.Random(seed)
    format = FormatConfig(reader="csv", quote=quote, header=False, columns=["x", "y", "z"])
    kinds = {"x": "number", "y": "text", "z": "number"}
    content = b"1,a,2\n"
    for _ in range(80):
        content += rng.choice(WHOLE) if rng.random() < 0.6 else b"".join(rng.choices(PIECES, k=rng.randrange(8)))
    content += b'\n"\n'
    found = Reading(tmp_path, content, format, kinds=kinds)
    bad, good_rows = [], []
    dialect = rows.Dialect(format)
    for chunk in rows.chunks(tmp_path / "a.tsv", dialect, drop=lambda row, why: bad.append((row.line, row.data))):
        for row in dialect.rows(chunk):
            alone = tmp_path / "row.csv"
            alone.write_bytes(b"\n" + row.data + b"\n")
            try:
                (block,) = csv.read(alone, kinds, format)
                good_rows.append(tuple(block.columns[column][0].as_py() for column in kinds))
            except InputError:
                bad.append((row.line, row.data))
    assert found.rows == good_rows
    expected = [(line, data.decode(errors="replace")) for line, data in bad]
    assert [(entry["line"], entry["row"]) for entry in found.bad] == expected


def test_one_bad_row_above_the_limit_is_an_error(tmp_path):
    content = b"".join(good(number)[0] + b"\n" for number in range(100))
    content += b"0\t1\n" * 3
    assert len(Reading(tmp_path, content, TSV, limit=3).bad) == 3
    with pytest.raises(InputError) as error:
        Reading(tmp_path, content + b"0\tabc\tx\n", TSV, limit=3)
    said = str(error.value)
    assert said.startswith(f"{tmp_path / 'a.tsv'}, line 104: column 'I1' holds 'abc'; expected a finite number. ")
    for part in ("bad row 4; expected at most 3", "data.max_bad_rows", "bad_rows.jsonl", "data.format"):
        assert part in said
    assert "\n" not in said
    with pytest.raises(InputError, match=r"line 101: 2 columns; expected 3\. That is bad row 1; expected at most 0"):
        Reading(tmp_path, content, TSV, limit=0)


def test_the_quarantine_holds_the_first_thousand_of_all_files_and_no_endless_row(tmp_path):
    quarantine = tmp_path / "bad_rows.jsonl"
    bad = BadRows(5_000, quarantine)
    bad.add(tmp_path / "a", 7, "é".encode() * 20_000, "too long")
    bad.add(tmp_path / "b", 8, b'a"\xff\r\nb', "odd")
    for line in range(1_500):
        bad.add(tmp_path / "c", line, b"", "blank")
    assert bad.count == 1_502
    written = entries(quarantine)
    assert len(written) == 1_000
    assert written[0] == {"file": str(tmp_path / "a"), "line": 7, "why": "too long", "row": "é" * 10_000}
    assert written[1] == {"file": str(tmp_path / "b"), "line": 8, "why": "odd", "row": 'a"\ufffd\r\nb'}


def test_a_run_that_goes_on_counts_from_where_it_was(tmp_path):
    quarantine = tmp_path / "bad_rows.jsonl"
    BadRows(10, quarantine).add(tmp_path / "a", 1, b"x", "odd")
    bad = BadRows(10, quarantine, count=999)
    with pytest.raises(InputError, match="bad row 1,000; expected at most 10"):
        bad.add(tmp_path / "b", 1, b"y", "odd")
    bad = BadRows(2_000, quarantine, count=1_000)
    bad.add(tmp_path / "b", 2, b"z", "odd")
    assert bad.count == 1_001
    assert [entry["line"] for entry in entries(quarantine)] == [1, 1]


def test_bad_rows_of_standard_input(tmp_path, monkeypatch):
    content = b"".join(good(number)[0] + b"\n" for number in range(100)) + b"0\t1\n" + good(100)[0]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    bad = BadRows(1, tmp_path / "bad_rows.jsonl")
    blocks = list(csv.read(Path("-"), KINDS, TSV, bad_rows=bad))
    assert sum(block.num_rows for block in blocks) == 101
    assert blocks[-1].place(blocks[-1].num_rows - 1) == "standard input, line 102: '0\\t100\\tc100'"
    (entry,) = entries(tmp_path / "bad_rows.jsonl")
    assert (entry["file"], entry["line"]) == ("standard input", 101)
