"""The typed sections: what fits is converted, what does not is refused by its key."""

from dataclasses import dataclass
from typing import Annotated, Literal

import pytest

from rectrain.config import CategoricalConfig, DataConfig, NumericConfig, Range, describe, parse
from rectrain.errors import InputError
from tests.samples import data_config


@dataclass(frozen=True)
class Toy:
    count: Annotated[int, Range(1)]
    rate: Annotated[float, Range(0, 1, open_high=True)]
    mode: Literal["a", "b"]
    units: list[int]
    name: str | None
    files: str | list[str] | None
    on: bool


GOOD = {"count": 3, "rate": 0, "mode": "a", "units": [4, 5], "name": None, "files": ["x"], "on": True}


def test_parse_converts_what_fits():
    toy = parse(Toy, GOOD | {"count": 16e6}, "toy")
    assert toy == Toy(16_000_000, 0.0, "a", [4, 5], None, ["x"], True)
    assert isinstance(toy.rate, float)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": 0}, r"toy\.count=0: expected int in \[1, inf\)"),
        ({"count": "many"}, r"toy\.count='many': expected an integer"),
        ({"count": 2.5}, r"toy\.count=2\.5: expected an integer"),
        ({"count": True}, r"toy\.count=True: expected an integer"),
        ({"count": None}, r"toy\.count=null: expected an integer"),
        ({"rate": 1}, r"toy\.rate=1\.0: expected float in \[0, 1\)"),
        ({"rate": float("nan")}, r"toy\.rate=nan: expected a number"),
        ({"mode": "c"}, r"toy\.mode=c: expected one of a, b"),
        ({"units": [1, "x"]}, r"toy\.units\[1\]='x': expected an integer"),
        ({"units": 7}, r"toy\.units=7: expected a list of an integer"),
        ({"name": 3}, r"toy\.name=3: expected text"),
        ({"files": 3}, r"toy\.files=3: expected text or a list of text or null"),
        ({"on": "yes"}, r"toy\.on='yes': expected true or false"),
        ({"cuont": 3}, r"toy\.cuont: no such key\. Did you mean 'count'\?"),
    ],
)
def test_parse_names_the_key_and_what_was_expected(change, message):
    with pytest.raises(InputError, match=message):
        parse(Toy, GOOD | change, "toy")


def test_parse_names_a_missing_key():
    with pytest.raises(InputError, match=r"toy\.rate: missing; expected a number in \[0, 1\)"):
        parse(Toy, {k: v for k, v in GOOD.items() if k != "rate"}, "toy")


def test_feature_groups_take_the_keys_of_their_type_only():
    features = data_config().features
    assert isinstance(features["categories"], CategoricalConfig)
    assert isinstance(features["numbers"], NumericConfig)
    wrong = {"columns": ["I1"], "type": "numeric", "hash_buckets": 5}
    with pytest.raises(InputError, match=r"data\.features\.numbers\.hash_buckets: no such key"):
        data_config(features={"numbers": wrong})
    with pytest.raises(InputError, match=r"data\.features\.numbers\.type=numbr: expected one of categorical, numeric"):
        data_config(features={"numbers": {"columns": ["I1"], "type": "numbr"}})


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ({"train": 0.9}, r"train \+ valid \+ test must be 1; received 0\.9 \+ 0\.1 \+ 0\.1"),
        ({"by": "hash"}, r"data\.split\.by=hash needs data\.split\.column"),
        ({"by": "files"}, r"data\.split\.by=files needs data\.split\.files\.train"),
        ({"by": "time", "valid_from": "5"}, r"valid_from and data\.split\.test_from go together"),
    ],
)
def test_split_sections_that_cannot_work_are_refused(split, message):
    with pytest.raises(InputError, match=message):
        data_config(split=split)


def test_describe_covers_every_annotation_of_the_data_section():
    assert describe(DataConfig) == "a section of keys"
    assert describe(Annotated[int, Range(1)] | None) == "an integer in [1, inf) or null"
