"""What a user gets who installs a wheel and stands in an empty folder, without this repository."""

import configparser
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = ("rectrain", "configs", "setup.cfg", "pyproject.toml", "README.md")
NO_NETWORK = ("No matching distribution found", "ConnectionError", "Temporary failure in name resolution")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy, since setuptools leaves a folder `build` behind and would use it again."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif (ROOT / name).exists():
            shutil.copy(ROOT / name, folder / name)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", folder / "dist", folder]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode and any(sign in built.stderr for sign in NO_NETWORK):
        pytest.skip("pip cannot fetch setuptools, which builds the wheel: no network")
    assert built.returncode == 0, built.stderr
    (path,) = (folder / "dist").iterdir()
    return path


@pytest.fixture(scope="module")
def bin_folder(wheel, tmp_path_factory) -> Path:
    """Programs of a fresh virtual environment that holds the wheel and sees the dependencies of this one.

    A folder named in a .pth file is searched, but its own .pth files are not read: an editable install there is unseen.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    python = folder / "bin/python"
    command = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run(command, check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return folder / "bin"


@pytest.fixture
def run(bin_folder, tmp_path):
    """Runs a program of the environment in an empty folder: (exit code, stdout, stderr)."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}

    def call(program, *argv):
        command = [bin_folder / program, *argv]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
        return done.returncode, done.stdout, done.stderr

    return call


def test_the_wheel_holds_every_module_and_config(wheel):
    configs = {f"rectrain/{p.relative_to(ROOT)}" for p in (ROOT / "configs").rglob("*.yaml")}
    modules = {str(p.relative_to(ROOT)) for p in (ROOT / "rectrain").rglob("*.py")}
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == configs | modules | {"rectrain/configs/__init__.py"}


def test_code_and_configs_come_from_the_wheel(run, bin_folder):
    code, out, err = run("python", "-c", "import rectrain, rectrain.configs as c; print(rectrain.__file__, c.__file__)")
    assert code == 0, err
    site = next(bin_folder.parent.glob("lib/python*/site-packages"))
    assert out.split() == [f"{site}/rectrain/__init__.py", f"{site}/rectrain/configs/__init__.py"]


def test_help_and_cfg_need_no_repository(run, tmp_path):
    code, out, err = run("rectrain", "--help")
    assert (code, err) == (0, "")
    assert "model: autoint, dcn, dcn_v2" in out
    assert "experiment/" in out
    code, out, err = run("rectrain", "--cfg", "job", "model=fm", "data=avazu")
    assert (code, err) == (0, "")
    assert "name: avazu" in out
    code, out, err = run("rectrain", "model=fn")
    assert code == 2
    assert err == "rectrain: model=fn: there is no configs/model/fn.yaml. Did you mean 'fm'?\n"
    assert not list(tmp_path.iterdir())


def test_a_run_on_the_sample(run, tmp_path):
    code, out, err = run("rectrain", "model=fm", "data.sample.rows=3000", "trainer.epochs=1", "hydra.run.dir=first")
    assert (code, err) == (0, ""), out + err
    report = json.loads((tmp_path / "first/report.json").read_text(encoding="utf-8"))
    assert (report["status"], report["data"]["source"]) == ("done", "sample")
    assert (tmp_path / "first/report.html").is_file()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "first"]


def test_a_data_set_and_a_model_setting_of_ones_own(run, tmp_path):
    """A YAML of the user may start from one of the wheel."""
    for name, text in {
        "data/mine.yaml": "defaults: [criteo, _self_]\nname: mine\nsample: {rows: 3000}\n",
        "model/small.yaml": "defaults: [deepfm, _self_]\nembedding_dim: 2\nhidden_units: [4]\n",
    }.items():
        path = tmp_path / "conf" / name
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")
    code, out, err = run("rectrain", "--config-dir", "conf", "data=mine", "model=small", "trainer.epochs=1")
    assert (code, err) == (0, ""), out + err
    (path,) = tmp_path.glob("outputs/*/*/report.json")
    assert path.parent.name.endswith("_deepfm_mine")
    report = json.loads(path.read_text(encoding="utf-8"))
    assert report["data"]["name"] == "mine"
    assert sum(report["data"]["rows"].values()) == 3000
    assert report["config"]["model"]["embedding_dim"] == 2


@pytest.fixture(scope="module")
def with_tensorflow_alone(tmp_path_factory) -> Path:
    """Python of a fresh virtual environment that holds TensorFlow, what it requires, and no more."""
    folder = tmp_path_factory.mktemp("alone")
    venv.create(folder, with_pip=False)
    python = folder / "bin/python"
    wanted = f"tensorflow=={importlib.metadata.version('tensorflow')}"
    command = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and any(sign in done.stderr for sign in NO_NETWORK):
        pytest.skip("pip cannot fetch TensorFlow: no network")
    assert done.returncode == 0, done.stderr
    return python


ASK = """
import importlib.util, json, sys
import tensorflow as tf
assert importlib.util.find_spec("rectrain") is None and importlib.util.find_spec("pyarrow") is None
served = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
cells = open(sys.argv[2]).readline().rstrip("\\n").split("\\t")
columns = dict(zip([f"I{i}" for i in range(1, 14)] + [f"C{i}" for i in range(1, 27)], cells[1:]))
def tensor(name, cell):
    return tf.constant([float(cell or "nan")], tf.float64) if name[0] == "I" else tf.constant([cell])
print(float(served(**{name: tensor(name, cell) for name, cell in columns.items()})["click"][0]))
"""


def test_an_exported_model_needs_tensorflow_and_no_more(run, with_tensorflow_alone, tmp_path):
    fixed = ["model=deepfm", "data.sample.rows=4000", "trainer.epochs=1", "trainer.report_splits=[]"]
    code, _, err = run("rectrain", *fixed, "hydra.run.dir=run")
    assert code == 0, err
    (raw,) = (tmp_path / "data/sample").glob("*.tsv")
    for words in (["export", "run=run"], ["predict", "run=run", f"input={raw}", "output=scores.csv"]):
        code, _, err = run("rectrain", *words)
        assert code == 0, err
    asked = [with_tensorflow_alone, "-c", ASK, "run/export/saved_model/1", raw]
    answer = subprocess.run(asked, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    predicted = (tmp_path / "scores.csv").read_text(encoding="utf-8").splitlines()[1]
    assert float(answer.stdout) == pytest.approx(float(predicted), abs=1e-6)


def lower_bounds() -> list[str]:
    """The requirements of setup.cfg, each at the lowest version that it allows."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    wanted = setup["options"]["install_requires"].split("\n")
    return [re.sub(r"(>=)([^,]+)(,.*)?", r"==\2", line.strip()) for line in wanted if line.strip()]


def test_the_lower_bounds_of_the_requirements_are_enough(wheel, tmp_path):
    venv.create(tmp_path / "environment", with_pip=False)
    python = tmp_path / "environment/bin/python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet"]
    done = subprocess.run([*pip, *lower_bounds()], capture_output=True, text=True, check=False)
    if done.returncode and any(sign in done.stderr for sign in NO_NETWORK):
        pytest.skip("pip cannot fetch the requirements: no network")
    assert done.returncode == 0, done.stderr
    subprocess.run([*pip, "--no-deps", "--no-index", wheel], check=True)
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    small = ["data.sample.rows=3000", "trainer.epochs=1", "trainer.batch_size=256"]
    for words in (
        ["model=deepfm", "data=criteo", *small, "hydra.run.dir=run"],
        ["model=din", "data=movielens", *small, "hydra.run.dir=din"],
        ["online", "model=lr", "data=criteo", "data.sample.rows=3000", "online.bits=12", "hydra.run.dir=stream"],
        ["evaluate", "run=run", "evaluate.by=[C9]"],
        ["export", "run=run", "export.formats=[saved_model,keras]"],
    ):
        command = [tmp_path / "environment/bin/rectrain", *words]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
        assert ran.returncode == 0, (words, ran.stderr)
