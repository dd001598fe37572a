"""A module imports only from its own room or rooms before it; TensorFlow waits for the commands."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "rectrain"
ROOMS = [
    {
        "errors",
        "config",
        "schema",
        "registry",
        "sections",
        "run_dir",
        "console",
        "progress",
        "tasks",
        "memory",
        "signals",
        "same_config",
        "plain_files",
        "catalog",
        "cluster",
    },
    {"data", "layers", "optimizers"},
    {"features"},
    {"models"},
    {"evaluation"},
    {"training"},
    {"search"},
    {"outputs"},
    {"online"},
    {"export"},
    {"draft"},
    {"commands"},
    {"cli", "completion", "usage", "hydra_errors", "hydra_guard", "hydra_search", "launchers", "rerun", "__main__"},
]
FILES = sorted(ROOT.rglob("*.py"))


def level(room):
    return next(i for i, rooms in enumerate(ROOMS) if room in rooms)


def imported_rooms(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
        yield from (n.split(".")[1] for n in names if n.startswith("rectrain."))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_only_from_rooms_before_its_own(path):
    room = path.relative_to(ROOT).parts[0].removesuffix(".py")
    if room == "__init__":
        return
    for imported in imported_rooms(path):
        same_level = level(imported) == level(room) and level(room) in (0, len(ROOMS) - 1)
        assert level(imported) < level(room) or imported == room or same_level, f"{path.name} imports {imported}"


def test_what_answers_before_a_run_does_not_load_tensorflow():
    code = (
        "import sys, rectrain.cli, rectrain.sections, rectrain.hydra_errors, rectrain.commands.train\n"
        "import rectrain.commands.prepare, rectrain.data.prepare, rectrain.data.sample, rectrain.evaluation.metrics\n"
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
