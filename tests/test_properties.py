"""What holds for any input: readers, parsers and messages, on whatever hypothesis thinks of."""

import json
import math
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rectrain.config import DataConfig, FormatConfig, TrainConfig, parse
from rectrain.data.readers import csv
from rectrain.data.targets import parse_times
from rectrain.errors import InputError, printable
from rectrain.schema import Schema
from tests.samples import schema, with_histories

FEW = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
CELLS = st.text(st.characters(codec="utf-8", exclude_characters='\r\n,"\0'), max_size=6)


def message_of(work) -> str | None:
    """What is wrong with its input; None: nothing."""
    try:
        work()
    except InputError as error:
        return str(error)
    return None


@FEW
@given(PLAIN)
@pytest.mark.parametrize("kind", [DataConfig, TrainConfig, Schema])
def test_plain_values_make_a_section_or_one_message(kind, value):
    said = message_of(lambda: parse(kind, value, "key"))
    assert said is None or said.startswith("key")


@FEW
@given(st.data(), PLAIN)
def test_a_schema_with_any_other_value_is_read_or_refused(data, value):
    raw = json.loads(with_histories().to_json())
    part, key = raw, None
    while isinstance(part, dict | list) and part and (key is None or data.draw(st.booleans())):
        inside, key = part, data.draw(st.sampled_from(list(part) if isinstance(part, dict) else range(len(part))))
        part = inside[key]
    inside[key] = value
    said = message_of(lambda: Schema.from_json(json.dumps(raw)).to_json())
    assert said is None or "expected" in said or "no such key" in said


def test_a_schema_is_what_it_was_after_writing_and_reading():
    for made in (schema(), schema(numeric=0, multi_valued=False, crosses=False), with_histories(lists=True)):
        assert Schema.from_json(made.to_json()) == made


@FEW
@given(st.binary(max_size=300))
def test_any_bytes_are_rows_or_one_message(tmp_path, data):
    path = tmp_path / "rows.csv"
    path.write_bytes(b"a,b\n" + data)
    found: list = []
    said = message_of(lambda: found.extend(csv.read(path, {"a": "text", "b": "number"}, FormatConfig(reader="csv"))))
    if said is None:
        assert sum(block.num_rows for block in found) == csv.count_rows(path, FormatConfig(reader="csv"))
    else:
        assert str(path) in said


@FEW
@given(st.lists(st.tuples(CELLS, st.none() | st.floats(allow_nan=False, allow_infinity=False)), min_size=1, max_size=9))
def test_rows_that_were_written_are_read(tmp_path, rows):
    path = tmp_path / "rows.csv"
    lines = [f"{text},{'' if number is None else repr(number)}" for text, number in rows]
    path.write_text("\n".join(["a,b", *lines]), encoding="utf-8")
    blocks = list(csv.read(path, {"a": "text", "b": "number"}, FormatConfig(reader="csv")))
    texts = [value for block in blocks for value in block.columns["a"].to_pylist()]
    numbers = [value for block in blocks for value in block.columns["b"].to_pylist()]
    assert [text or "" for text in texts] == [text for text, _ in rows]
    assert numbers == [number for _, number in rows]


@FEW
@given(st.datetimes(), st.integers(-14 * 60 + 1, 14 * 60 - 1))
def test_times_with_any_offset_are_the_moments_they_say(moment, minutes):
    sign = "-" if minutes < 0 else "+"
    text = f"{moment.replace(microsecond=0).isoformat()}{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
    (found,) = parse_times(pa.array([text]), "%Y-%m-%dT%H:%M:%S%z").to_pylist()
    expected = (moment.replace(microsecond=0) - type(moment)(1970, 1, 1)).total_seconds() - 60 * minutes
    assert math.isclose(found, expected)


@FEW
@given(st.text())
def test_messages_are_one_line_that_shows_all(text):
    shown = printable(text)
    assert shown.isprintable()
    assert len(shown) >= len(text)


def test_a_message_keeps_what_shows():
    assert printable("Zürich – a\tb\x1b[2J") == "Zürich – a\\tb\\x1b[2J"
    assert Path(printable("a/b")) == Path("a/b")
