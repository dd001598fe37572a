"""The reader of libFM's text against a plain loop over its lines; every fault names file, line and what to do."""

import random

import pytest

from rectrain.config import FormatConfig
from rectrain.data.readers import libfm, rows
from rectrain.errors import InputError
from tests.test_readers import message, read_all, write

FORMAT = FormatConfig(reader="libfm", columns=["label", "user", "item", "price"])
KINDS = {"price": "number", "label": "number", "user": "text", "item": "text"}


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(rows, "CHUNK_BYTES", 512)
    monkeypatch.setattr(rows, "LINE_BYTES", 128)


def by_hand(text):
    """Columns as the reader's docstring says, one cell after the other."""
    columns = {"label": [], "user": [], "item": [], "price": []}
    for line in text.splitlines():
        label, *fields = line.split("#")[0].split() or [None]
        if label is None:
            continue
        (user, has_user), (item, has_item), (_, price) = (field.split(":") for field in fields)
        columns["label"].append(float(label))
        columns["user"].append(user if float(has_user) else None)
        columns["item"].append(item if float(has_item) else None)
        columns["price"].append(float(price))
    return columns


def random_rows(count, seed):
    rng = random.Random(seed)
    for _ in range(count):
        there = "01" if rng.random() < 0.3 else "1"
        yield (
            f"{rng.choice(['-1', '1', '0', '+1'])} {rng.randrange(957)}:{rng.choice(there)} "
            f"{957 + rng.randrange(4082)}:{rng.choice(['1', '1.0'])} 5039:{rng.choice(['0', '-2.5', '1e-3', '17'])}"
        )


def untidy(lines, seed):
    """The same rows among blank lines and comments, with blanks wherever they may stand, and other line ends."""
    rng = random.Random(seed)
    for line in lines:
        if rng.random() < 0.2:
            yield rng.choice(["", "   ", "# a comment: 1:2 3", "\t#"])
        line = line.replace(" ", rng.choice([" ", "  ", "\t", " \t "]))
        yield rng.choice(["", " "]) + line + rng.choice(["", " ", " # 7:1"])


@pytest.mark.parametrize("name", ["frappe.libfm", "frappe.libfm.gz"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("tidy", [True, False])
def test_columns_are_those_of_a_loop_over_lines(tmp_path, small_blocks, name, end, tidy):
    lines = list(random_rows(200, seed=1))
    text = end.join(lines if tidy else untidy(lines, seed=2))
    values = read_all(write(tmp_path / name, text), KINDS, FORMAT, libfm)
    assert values == by_hand(text)
    assert len(values["user"]) == 200
    assert None in values["user"]
    assert libfm.column_names(tmp_path / name, FORMAT) == ["label", "user", "item", "price"]


def test_what_is_read_as_a_list_or_label_as_text(tmp_path):
    path = write(tmp_path / "a.libfm", "-1 3:1 8:0 9:1\n")
    assert read_all(path, {"label": "text", "user": "list", "item": "list"}, FORMAT, libfm) == {
        "label": ["-1"],
        "user": ["3"],
        "item": [None],
    }


def test_mutated_text_is_read_as_by_the_loop_or_refused(tmp_path):
    rng, read, refused = random.Random(7), 0, 0
    for _ in range(400):
        text = list("\n".join(random_rows(4, seed=rng.random())) + "\n")
        for _ in range(rng.randrange(1, 4)):
            text[rng.randrange(len(text))] = rng.choice(
                ["", "\n", "\r", " ", "\t", ":", "#", "0", "1", "-", ".", "x", "é"]
            )
        path = write(tmp_path / "a.libfm", "".join(text))
        try:
            expected = by_hand("".join(text))
        except ValueError:
            expected = None
        try:
            found = read_all(path, KINDS, FORMAT, libfm)
        except InputError:
            refused += 1
            continue
        assert found == expected, "".join(text)
        read += 1
    assert min(read, refused) > 50


GOOD = "1 3:1 958:1 5039:0.5\n"
FAULTS = {
    "a field left out": ("1 3:1 958:1\n", ["has 2 fields; expected 3", "index:0"]),
    "a field too many": ("1 3:1 958:1 5039:1 7:1\n", ["has 4 fields; expected 3"]),
    "label alone": ("1\n", ["has 0 fields; expected 3"]),
    "no label": ("3:1 958:1 5039:1\n", ["'3:1' is out of place"]),
    "no colon": ("1 3 958:1 5039:1\n", ["'3' is out of place", "label index:value"]),
    "colons that add up": ("1 3 9:5:8 5039:1\n", ["'3' is out of place"]),
    "no value": ("1 3: 958:1 5039:1\n", ["'3:' is out of place"]),
    "no index": ("1 :1 958:1 5039:1\n", ["':1' is out of place"]),
    "comma separated": ("1,3:1,958:1,5039:1\n", ["'1,3:1,958:1,5039:1' is out of place", "data.format.reader=csv"]),
    "a category with a weight": ("1 3:0.5 958:1 5039:1\n", ["column 'user' holds '0.5'", "or 0 where it is missing"]),
    "no number": ("1 3:1 958:1 5039:cheap\n", ["column 'price' holds 'cheap'"]),
    "not finite": ("1 3:1 958:1 5039:nan\n", ["column 'price' holds 'nan'"]),
    "a label in words": ("yes 3:1 958:1 5039:1\n", ["column 'label' holds 'yes'"]),
    "not UTF-8": (b"1 \xff:1 958:1 5039:1\n", ["column 'user' holds"]),
    "too long": (f"1 3:1 958:1 5039:{'1' * 130}\n", ["is longer than 128 bytes"]),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("behind", ["", GOOD * 30])
def test_a_fault_is_named_with_its_line(tmp_path, small_blocks, fault, behind):
    bad, expected = FAULTS[fault]
    bad = bad if isinstance(bad, bytes) else bad.encode()
    data = (GOOD * 20 + "\n# comment\r\n" + GOOD * 21).encode() + bad + behind.encode()
    said = message(write(tmp_path / "a.libfm", data), KINDS, FORMAT, libfm)
    assert said.startswith(f"{tmp_path / 'a.libfm'}, line 44: ")
    for part in expected:
        assert part in said


@pytest.mark.parametrize(("text", "why"), [("", "0 bytes"), ("\n\n", "only blank lines"), ("# none\n", "comments")])
def test_a_file_without_rows_is_refused(tmp_path, text, why):
    path = write(tmp_path / "a.libfm", text)
    assert why in message(path, KINDS, FORMAT, libfm)
    with pytest.raises(InputError, match="empty"):
        libfm.count_rows(path, FORMAT)


def test_a_row_of_a_block_knows_its_place(tmp_path, small_blocks):
    path = write(tmp_path / "a.libfm", "# head\n" + GOOD * 60 + "\n" + "0 4:1 959:1 5039:7\n")
    *_, block = libfm.read(path, KINDS, FORMAT)
    assert block.place(block.num_rows - 1) == f"{path}, line 63: '0 4:1 959:1 5039:7'"


def test_names_are_needed_each_once(tmp_path):
    path = write(tmp_path / "a.libfm", GOOD)
    with pytest.raises(InputError, match=r"needs data\.format\.columns"):
        libfm.column_names(path, FormatConfig(reader="libfm"))
    with pytest.raises(InputError, match="named twice"):
        libfm.column_names(path, FormatConfig(reader="libfm", columns=["label", "user", "user"]))
    assert "no column 'prise'" in message(path, {"prise": "number"}, FORMAT, libfm)
