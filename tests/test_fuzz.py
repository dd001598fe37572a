"""Mutated input of every kind ends in success, or in exit code 2 with one message that names the place."""

import random
from pathlib import Path

import pytest

from rectrain.errors import InputError

ROOT = Path(__file__).parents[1]


@pytest.fixture
def fuzz(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "scripts")
    import fuzz

    return fuzz


@pytest.mark.parametrize("target", ["rows", "parquet", "config", "prepared", "clusters"])
def test_a_few_cases(fuzz, target):
    found, failures = fuzz.run(13, 1, [target])
    assert not failures
    assert found["cases"] == 13


@pytest.mark.slow
def test_2000_cases_of_all_targets(fuzz):
    found, failures = fuzz.run(2000, 2, list(fuzz.TARGETS))
    assert not failures
    assert found["cases"] >= 2000


def test_a_case_is_the_same_again(fuzz, tmp_path):
    from fuzzing import mutate

    def mutated(seed: int) -> bytes:
        return mutate.mutated_bytes(bytes(range(256)), random.Random(f"{seed}:rows:7"))

    assert mutated(1) == mutated(1) != mutated(2)


class Bad:
    """A target whose command does what none should."""

    def __init__(self, does):
        self._does = does

    def make(self, rng, folder, *, mutated=True):
        from fuzzing.targets import Case

        (folder / "input").write_text("as it was", encoding="utf-8")
        return Case(lambda: self._does(folder), ("input",), ("output",))


def raising(error):
    def does(folder):
        raise error

    return does


def leaving(name, error=None):
    def does(folder):
        (folder / name).write_text("x", encoding="utf-8")
        if error is not None:
            raise error

    return does


def hanging(folder):
    while True:
        pass


def taking_memory(folder):
    bytearray(700 << 20)[:: 1 << 12] = b"x" * (700 << 8)


WAYS = {
    "success": (leaving("output"), "success"),
    "refused": (raising(InputError("input: wrong")), "refused"),
    "traceback": (raising(KeyError("a")), "exit 1"),
    "exit": (raising(SystemExit(3)), "exit 1"),
    "no place": (raising(InputError("something is wrong")), "no place"),
    "half-written": (leaving("output", InputError("input: wrong")), "changed"),
    "changed input": (leaving("input"), "changed"),
    "temporary": (leaving("output.part"), "changed"),
    "hang": (hanging, "hang"),
    "memory": (taking_memory, "memory"),
}


@pytest.mark.parametrize(("does", "kind"), WAYS.values(), ids=WAYS)
def test_what_goes_wrong_is_seen(fuzz, tmp_path, monkeypatch, does, kind):
    if kind == "hang":  # the others are to be seen for what they are on a slow machine too
        monkeypatch.setattr(fuzz, "LIMIT_S", 1)
    outcome = fuzz._one(Bad(does), 1, "bad", 0, tmp_path / "case", tmp_path / "kept")
    assert outcome.kind == kind
    assert (tmp_path / "kept/bad-1-0/input").exists() == (not outcome.is_good)
