"""rectrain models and datasets: one line each, from the files themselves."""

import re

import pytest

from rectrain import registry
from rectrain.catalog import OURS, heads
from rectrain.outputs.listing import listing
from rectrain.outputs.summary import Page


def test_every_model_is_listed_with_its_paper(rectrain):
    code, out, err = rectrain("models")
    assert code == 0, err
    lines = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert list(lines) == registry.names("models")
    for head in lines.values():
        assert re.fullmatch(r'[^:]+: [A-Z].+ (19|20)\d\d.*[."]', head), head  # what it is: who, when


def test_every_data_set_is_listed_with_where_it_is_from(rectrain):
    code, out, err = rectrain("datasets")
    assert code == 0, err
    lines = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert list(lines) == sorted(heads("data", [OURS]))
    for head in lines.values():
        assert re.search(r"\b(19|20)\d\d\b", head), head
        assert head.endswith((".", "?")), head


@pytest.mark.parametrize(("command", "group"), [("models", "model"), ("datasets", "data")])
def test_ones_own_files_are_listed_too(rectrain, tmp_path, command, group):
    (tmp_path / f"conf/{group}").mkdir(parents=True)
    (tmp_path / f"conf/{group}/mine.yaml").write_text("# @package _global_\n# Mine: me 2026.\nname: x\n")
    (tmp_path / f"conf/{group}/bare.yaml").write_text("name: x\n")
    (tmp_path / f"{group}").mkdir()
    (tmp_path / f"{group}/elsewhere.yaml").write_text("# Not asked for.\n")
    code, out, err = rectrain(command, "--config-dir", "conf")
    assert code == 0, err
    assert re.search(r"^mine +Mine: me 2026\.$", out, re.M)
    assert re.search(r"^bare$", out, re.M)
    assert "elsewhere" not in out


def test_ours_is_found_first(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/criteo.yaml").write_text("# Theirs.\n")
    assert heads("data", [OURS, f"file://{tmp_path}"])["criteo"].startswith("Criteo")


def test_a_long_line_goes_on_beside_its_name():
    shown = listing(Page(40, color=False, unicode=True), {"a": "one two three four five six seven eight", "long": "x"})
    assert shown.splitlines() == ["a     one two three four five six seven", "      eight", "long  x"]
