"""No dead knob: whatever a YAML sets is read, and whatever is read can be set and is told of.

`config.parse` refuses a key that is no field of a section, so what is left is to follow the fields: mypy tells who
reads them, as it knows the class behind `x.name`.
"""

import ast
import dataclasses
import functools
import os
import re
import shutil
import types
import typing
from pathlib import Path

import pytest
import yaml
from mypy import api

from rectrain import config, sections
from tests.pages import ROOT, TEXTS

CONFIGS = ROOT / "configs"
GROUPS = {
    "data": config.DataConfig,
    "task": config.TasksConfig,
    "model": config.ModelConfig,
    "optimizer": config.OptimizerConfig,
    "strategy": config.StrategyConfig,
    "tracker": config.TrackerConfig,
    "sweep": config.SearchConfig,
}
READ_OTHERWISE = {  # field -> who reads it without naming its class
    "OptimizerConfig.l2_embedding": "optimizers/groups.py",  # as keys of a dict
    "OptimizerConfig.l2_dense": "optimizers/groups.py",
    "OptimizerConfig.clip_norm": "optimizers/groups.py",
    "TasksConfig.on_inconsistent": "sections.py",  # turns it into data.drop_inconsistent
    "ConfigSource.provider": "config.py",  # one of three keys of Hydra's, which comes along
    "NumericConfig.type": "config.py",  # _parse_by_type
}


def builders(room):
    """{name: `build` of that file}."""
    trees = {path.stem: ast.parse(path.read_text("utf-8")) for path in (ROOT / "rectrain" / room).glob("*.py")}
    functions = {name: [n for n in tree.body if isinstance(n, ast.FunctionDef)] for name, tree in trees.items()}
    return {name: f for name, found in functions.items() for f in found if f.name == "build"}


def settings(build):
    return [argument.arg for argument in build.args.kwonlyargs]


SETTINGS = {
    config.ModelConfig: {key for build in builders("models").values() for key in settings(build)},
    config.OptimizerConfig: {key for build in builders("optimizers").values() for key in settings(build)},
}


def hint(kind, field):
    return typing.get_type_hints(kind)[field]


def members(kind):
    """The sections that a value of that type may be, in lists, dicts and unions too."""
    if dataclasses.is_dataclass(kind):
        return [kind]
    return [found for inner in typing.get_args(kind) for found in members(inner)]


def is_dict(kind):
    inner = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    return any(typing.get_origin(part) is dict for part in inner)


def fields_set(kinds, value, where):
    """Class.field of each key in a section that is one of `kinds`; a key that none of them has is an error."""
    for key, inner in value.items():
        owners = [kind for kind in kinds if key in {f.name for f in dataclasses.fields(kind)}]
        of_builder = any(key in SETTINGS.get(kind, ()) for kind in kinds)
        if key in ("wide", "deep") and config.OptimizerConfig in kinds:
            yield from fields_set(kinds, inner, f"{where}.{key}")
        else:
            assert owners or of_builder, f"{where}.{key}: nobody reads it"
        for owner in owners:
            yield f"{owner.__name__}.{key}"
            below = inner.values() if is_dict(hint(owner, key)) and isinstance(inner, dict) else [inner]
            for section in below:
                if isinstance(section, dict) and members(hint(owner, key)):
                    yield from fields_set(members(hint(owner, key)), section, f"{where}.{key}")


def root(path, text):
    """What a YAML is a part of: a group, or the config of its command."""
    group = path.relative_to(CONFIGS).parts[0]
    if group in GROUPS and "@package _global_" not in text:
        return GROUPS[group]
    command = "list" if path.stem in ("models", "datasets") else path.stem
    reads = getattr(sections, f"{command}_config", sections.train_config)
    return typing.get_type_hints(reads)["return"]


@functools.cache
def fields_of(path):
    """Class.field of each key of a YAML."""
    found = set()
    text = path.read_text(encoding="utf-8")
    value = {key: inner for key, inner in (yaml.safe_load(text) or {}).items() if key not in ("defaults", "hydra")}
    if "sweep" in value:  # which the sweeper reads, and no job has
        found |= {*fields_set([config.SearchConfig], value.pop("sweep"), f"{path.name}.sweep")}
    return found | {*fields_set([root(path, text)], value, path.name)}


# Keys below hydra: are Hydra's, which refuses those that it does not know.
FILES = [path for path in sorted(CONFIGS.rglob("*.yaml")) if path.parent != CONFIGS / "hydra/sweeper"]
SECTIONS = [kind for kind in vars(config).values() if dataclasses.is_dataclass(kind) and kind is not config.Range]


def test_every_key_of_every_yaml_is_one_that_a_section_has():
    assert len(FILES) > 100
    for path in FILES:
        assert fields_of(path) or path.stem == "base", path


def test_every_field_of_a_section_stands_in_a_yaml_or_in_a_table_of_the_design():
    seen = {field for path in FILES for field in fields_of(path)}
    told = {name.split(".")[-1] for name in re.findall(r"^\| `([\w.<>]+)` \|", TEXTS["docs/design.md"], re.M)}
    of_others = {
        "settings",
        *(field.name for field in dataclasses.fields(config.ConfigSource)),
    }  # of builders, of Hydra
    for kind in SECTIONS:
        for field in dataclasses.fields(kind):
            is_leaf = not members(hint(kind, field.name))
            known = field.name in told | of_others or f"{kind.__name__}.{field.name}" in seen
            assert known or not is_leaf, f"{kind.__name__}.{field.name}: no YAML has it, and no table of docs/design.md"


@pytest.mark.parametrize(("group", "room"), [("model", "models"), ("optimizer", "optimizers")])
def test_every_setting_of_a_builder_is_used_in_it_and_stands_in_its_yaml(group, room):
    for name, build in builders(room).items():
        used = {node.id for statement in build.body for node in ast.walk(statement) if isinstance(node, ast.Name)}
        assert set(settings(build)) <= used, name
        in_yaml = yaml.safe_load((CONFIGS / group / f"{name}.yaml").read_text(encoding="utf-8"))
        assert set(in_yaml) - {"name"} == set(settings(build)), name


class WithOtherNames(ast.NodeTransformer):
    """Renames the fields that are no sections, so that mypy complains wherever one is read."""

    def __init__(self):
        self.renamed: set[str] = set()

    def visit_ClassDef(self, node):
        kind = getattr(config, node.name)
        for field in node.body:
            if kind in SECTIONS and isinstance(field, ast.AnnAssign) and not members(hint(kind, field.target.id)):
                self.renamed.add(f"{node.name}.{field.target.id}")
                field.target.id += "_"
        return node


def declared(kind, field):
    """Class.field, of the class that has it first."""
    owners = [owner for owner in getattr(config, kind).__mro__ if field in vars(owner).get("__annotations__", ())]
    return f"{owners[-1].__name__}.{field}" if owners else None


@pytest.mark.slow
def test_every_field_is_read_outside_of_the_config(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "rectrain", tmp_path / "rectrain", ignore=shutil.ignore_patterns("configs", "__pycache__"))
    rename = WithOtherNames()
    changed = rename.visit(ast.parse((ROOT / "rectrain/config.py").read_text(encoding="utf-8")))
    (tmp_path / "rectrain/config.py").write_text(ast.unparse(changed), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    ours_alone = ["--config-file=", "--follow-imports=skip", "--ignore-missing-imports", "--check-untyped-defs"]
    files = [str(path) for path in Path("rectrain").rglob("*.py")]
    out, _, _ = api.run([*ours_alone, f"--cache-dir={os.devnull}", *files])
    complaint = r'^rectrain/(\S+?):\d+: error: (?:Item )?"(\w+)".* has no attribute "(\w+)"'
    found = [match for match in re.findall(complaint, out, re.M) if hasattr(config, match[1])]
    read = {declared(kind, field) for path, kind, field in found if path not in ("config.py", "sections.py")}
    assert rename.renamed - read == set(READ_OTHERWISE), "a field that nobody reads, or a line too many above"
    for field, path in READ_OTHERWISE.items():
        assert re.search(rf"\b{field.split('.')[1]}\b", (ROOT / "rectrain" / path).read_text(encoding="utf-8")), field
