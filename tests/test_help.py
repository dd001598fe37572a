"""What --help says is complete, and its examples are commands that work."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from rectrain.cli import COMMANDS
from tests.test_docs import check_composes

CONFIGS = Path(__file__).parents[1] / "configs"


def examples(text):
    block = re.search(r"^Examples\n((?:  .*\n)+)", text, re.M)
    return [shlex.split(line)[1:] for line in block[1].splitlines()]


def groups():
    return {path.name for path in CONFIGS.iterdir() if path.is_dir() and path.name not in ("__pycache__", "hydra")}


def test_the_first_help_names_every_command_and_explains_every_group(rectrain):
    code, out, _ = rectrain("--help")
    assert code == 0
    commands = re.findall(r"^  (\w+) +\S", out.split("Commands\n")[1].split("\n\n")[0], re.M)
    assert set(commands) == set(COMMANDS)
    explained = re.findall(r"^  (\w+) +\S", out.split("Groups: ")[1].split("\n\n")[0], re.M)
    assert set(explained) == groups()
    assert len(examples(out)) == 5


@pytest.mark.parametrize("command", [command for command in COMMANDS if command != "train"])
def test_the_help_of_a_command_has_its_keys_and_examples(rectrain, command):
    code, out, err = rectrain(command, "--help")
    assert code == 0, err
    assert out.startswith(f"rectrain {command}")
    keys = yaml.safe_load((CONFIGS / f"{command}.yaml").read_text(encoding="utf-8"))
    for key in set(keys) - {"defaults", "hydra"}:
        assert re.search(rf"^  {key}:", out, re.M), key
    assert "defaults:" not in out
    assert "hydra:\n" not in out
    assert examples(out)


@pytest.mark.parametrize(
    "words",
    [
        words
        for path in CONFIGS.glob("*.yaml")
        if "# Examples" in (text := path.read_text())
        for words in examples(re.sub("^# ?", "", text, flags=re.M))
    ],
    ids=" ".join,
)
def test_every_example_composes(words, tmp_path):
    (tmp_path / "conf/data").mkdir(parents=True)
    (tmp_path / "conf/data/visits.yaml").write_text("defaults: [criteo, _self_]\nname: visits\n")
    check_composes(words, tmp_path / "conf")


def test_help_of_a_command_does_not_run_it(rectrain, tmp_path):
    code, out, _ = rectrain("evaluate", "run=nowhere", "-h")
    assert code == 0
    assert "Keys" in out
    assert not list(tmp_path.iterdir())
