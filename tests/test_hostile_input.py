"""Configs, data sets, checkpoints and exports are data: none runs code, or reads files of other folders."""

import ast
import json
import os
import pickle
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from omegaconf.basecontainer import BaseContainer

from rectrain import plain_files
from rectrain.errors import InputError
from tests.runs import make_run

ROOT = Path(__file__).parents[1]
CRITEO = ROOT / "data" / "tiny" / "criteo_tiny.tsv"
CHROMIUM = shutil.which("chromium")
SMALL = (f"data.files={CRITEO}", "model=fm", "model.embedding_dim=2", "trainer.epochs=1", "trainer.batch_size=64")
TOUCH = "os.mkdir"  # what hostile input calls, with the path `ran`


def refused(found, *parts: str):
    code, out, err = found
    assert code == 2, out + err
    assert err.count("\n") == 1
    for part in parts:
        assert part in err
    assert not Path("ran").exists()


@pytest.fixture
def own(tmp_path):
    """Writes conf/data/own.yaml, a data set of Criteo's layout with further lines; gives the words that choose it."""

    def write(text: str) -> tuple[str, ...]:
        (tmp_path / "conf/data").mkdir(parents=True, exist_ok=True)
        (tmp_path / "conf/data/own.yaml").write_text(text, encoding="utf-8")
        return ("prepare", "--config-dir", "conf", "data=own", f"data.files={CRITEO}")

    return write


TARGETS = {
    "launcher": "hydra: {launcher: {_target_: os.getcwd}}",
    "sweeper": "hydra: {sweeper: {_target_: os.getcwd}}",
    "callback": "hydra: {callbacks: {mine: {_target_: os.mkdir, path: ran}}}",
    "one of Hydra's": "hydra: {callbacks: {c: {_target_: hydra.experimental.callbacks.PickleJobInfoCallback}}}",
    "data": "data: {_target_: os.mkdir, path: ran}",
    "list": "data: {crosses: [{_target_: os.mkdir, path: ran}]}",
    "by another key": "mine: {_target_: os.mkdir, path: ran}\nhydra: {callbacks: {c: '${mine}'}}",
    "by another value": "mine: os.getcwd\nhydra: {launcher: {_target_: '${mine}'}}",
    "environment": "hydra: {job: {env_set: {LD_PRELOAD: ./mine.so}}}",
    "log handler": "hydra: {job_logging: {version: 1, handlers: {h: {class: os.mkdir, path: ran}}}}",
    "log formatter": "hydra: {hydra_logging: {version: 1, formatters: {f: {(): os.mkdir, path: ran}}}}",
    "log value": "hydra: {job_logging: {handlers: {h: {class: logging.StreamHandler, stream: 'ext://os.environ'}}}}",
}  # fmt: skip


@pytest.mark.parametrize("words", [(), ("-m",)], ids=["run", "sweep"])
@pytest.mark.parametrize("text", TARGETS.values(), ids=TARGETS)
def test_a_config_names_no_code(rectrain, own, text, words):
    refused(rectrain(*own(f"# @package _global_\n{text}\n"), *words), "Remove the key")


@pytest.mark.parametrize("key", ["hydra.launcher", "hydra.sweeper", "+hydra.callbacks.mine", "+data.x", "+trainer.x"])
def test_the_command_line_names_no_code_either(rectrain, key):
    refused(rectrain(f"{key}={{_target_: os.getcwd}}"), "_target_=os.getcwd")


@pytest.mark.parametrize("resolver", ["oc.env:SECRET", "oc.decode:'[1]'", "oc.create:{a:1}", "oc.dict.keys:data"])
def test_configs_do_not_read_the_environment(rectrain, own, monkeypatch, resolver):
    monkeypatch.setenv("SECRET", "hunter2")
    found = rectrain(*own(f"name: ${{{resolver}}}"))
    refused(found, "data.name", resolver.partition(":")[0])
    assert "hunter2" not in found[2]
    assert set(BaseContainer._resolvers) <= {"now", "hydra", "python_version", "oc.select"}


def test_an_interpolation_that_does_not_end_is_named(rectrain, own):
    refused(rectrain(*own('name: "own${le"')), "${le")


def test_yaml_makes_no_objects(rectrain, own):
    refused(rectrain(*own("name: !!python/object/apply:os.mkdir [ran]")), "not YAML", "python/object")


def test_aliases_that_stand_for_billions_of_values(rectrain, own):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 20)]
    refused(rectrain(*own("\n".join(lines))), "own.yaml", "aliases")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    make_run(folder, *SMALL)
    return folder / "run"


@pytest.fixture
def run(trained, tmp_path):
    """A copy that may be harmed."""
    shutil.copytree(trained, tmp_path / "run")
    return tmp_path / "run"


def predict(rectrain):
    return rectrain("predict", "run=run", f"input={CRITEO}", "output=scores.csv")


@pytest.mark.parametrize("text", ["!!python/object/apply:os.mkdir [ran]", "a: &a [1]\nb: *a", "[1]", ""])
def test_the_config_of_a_run_is_plain_values(rectrain, run, text):
    (run / "config.yaml").write_text(text, encoding="utf-8")
    refused(predict(rectrain), "config.yaml")


@pytest.mark.parametrize("file", ["../secret.parquet", "/etc/passwd", "vocab/../../secret.parquet", "schema.json"])
def test_a_schema_names_files_of_its_own_folder_alone(rectrain, run, tmp_path, file):
    shutil.copy(next((run / "vocab").glob("*.parquet")), tmp_path / "secret.parquet")
    schema = json.loads((run / "schema.json").read_text(encoding="utf-8"))
    schema["categorical"][0]["encoding"]["file"] = file
    (run / "schema.json").write_text(json.dumps(schema), encoding="utf-8")
    refused(predict(rectrain), "schema.json", "encoding.file", "vocab/C1.parquet")


def test_a_schema_of_another_transform(rectrain, run):
    schema = json.loads((run / "schema.json").read_text(encoding="utf-8"))
    numbers = next(f for f in schema["categorical"] if f["encoding"]["type"] == "log_square")
    numbers["name"] += "x"
    (run / "schema.json").write_text(json.dumps(schema), encoding="utf-8")
    refused(predict(rectrain), "Expected config.yaml, schema.json and vocab/ of one run")


class Hostile:
    def __reduce__(self):
        return os.mkdir, ("ran",)


def test_arrays_hold_no_objects(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    like = np.zeros(1)
    np.save("a.npy", np.array([Hostile()]), allow_pickle=True)
    np.savez("a.npz", a=np.array([Hostile()]), allow_pickle=True)
    Path("b.npy").write_bytes(pickle.dumps(Hostile()))
    for name in ("a.npy", "b.npy"):
        with pytest.raises(ValueError, match="allow_pickle"):
            plain_files.read_array(Path(name), like)
    with pytest.raises(ValueError, match="allow_pickle"):
        plain_files.read_arrays(Path("a.npz"), {"a": like})
    np.savez_compressed("bomb.npz", a=np.zeros(50_000_000))
    with pytest.raises(ValueError, match="compressed"):
        plain_files.read_arrays(Path("bomb.npz"), {"a": like})
    assert not Path("ran").exists()


def test_a_keras_file_brings_no_code(tmp_path, monkeypatch):
    import keras

    from rectrain.export import keras_file

    monkeypatch.chdir(tmp_path)
    x = keras.Input((1,))
    keras.Model(x, keras.layers.Lambda(lambda t: t * 2)(x)).save("lambda.keras")
    with pytest.raises(ValueError, match=r"[Ll]ambda"):
        keras_file.load("lambda.keras")


@pytest.mark.parametrize("name", ["../../mine", "/tmp/mine", "..", ".mine", "a/b", "x" * 300])
def test_a_data_set_names_no_folder_but_its_own(rectrain, own, tmp_path, name):
    words = own(f"name: {name}")
    refused(rectrain(*words), "data.name=", "a part of a file name")
    refused(rectrain(*words[1:], "model=lr"), "data.name=")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["conf"]


def test_a_label_names_no_file_but_its_own(rectrain):
    refused(rectrain("prepare", "++data.labels={../../mine: label}"), "data.labels.../../mine")


def test_a_state_names_its_own_folder_alone(tmp_path):
    from rectrain.online import state

    (tmp_path / "index.json").write_text(json.dumps({"folders": ["../rows-000000000001"]}), encoding="utf-8")
    with pytest.raises(InputError, match="expected a name like rows-"):
        state.newest(tmp_path)


def test_nothing_of_ours_can_run_text_as_code():
    """`compile` and the like are left to the libraries; ast.literal_eval makes plain values alone."""
    forbidden = {"eval", "exec", "compile", "__import__"}
    for path in (ROOT / "rectrain").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            assert name not in forbidden, f"{path}: {name}"
            assert name not in ("yaml.unsafe_load", "yaml.full_load", "os.system", "os.popen"), f"{path}: {name}"
            keywords = {k.arg: ast.unparse(k.value) for k in node.keywords} if isinstance(node, ast.Call) else {}
            assert keywords.get("allow_pickle", "False") == "False", path
            assert keywords.get("safe_mode", "True") == "True", path
            assert keywords.get("shell", "False") == "False", path
            assert name != "yaml.load" or keywords["Loader"] == "_Plain", path
            assert name != "np.load" or "allow_pickle" in keywords, path
            modules = [a.name for a in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            modules += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            assert not {"pickle", "cloudpickle", "dill", "marshal", "shelve"} & set(modules), path


def test_no_command_opens_a_connection(rectrain, run, monkeypatch):
    def refuse(*args):
        raise AssertionError(f"a connection to {args[1:]}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert rectrain("prepare", f"data.files={CRITEO}")[0] == 0
    assert predict(rectrain)[0] == 0
    assert rectrain("evaluate", "run=run", f"input={CRITEO}")[0] == 0
    assert rectrain("export", "run=run")[0] == 0


def test_secrets_of_the_environment_reach_no_file(rectrain, tmp_path, monkeypatch):
    monkeypatch.setenv("API_TOKEN", "hunter2-and-more")
    code, out, err = rectrain(*SMALL, "hydra.run.dir=run")
    assert code == 0
    assert "hunter2" not in out + err
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or b"hunter2" not in path.read_bytes(), path


BARE = "<img src=x onerror=document.title='ran'>"  # names of data sets and labels hold no /
SIGN = "<script>document.title='ran'</script>"


@pytest.fixture
def hostile_report(rectrain, tmp_path):
    """report.html and evaluation-test.html of a run whose names and values are HTML."""
    header = ["label", SIGN, "<img src=x onerror=\"document.title='ran'\">", "&amp;'\""]
    rows = [f"{i % 2},{i % 3}</td>{SIGN},{'</style>' * (i % 2)}x,{i}" for i in range(200)]
    quoted = ",".join('"' + name.replace('"', '""') + '"' for name in header)
    (tmp_path / "rows.csv").write_text("\n".join([quoted, *rows]), encoding="utf-8")
    (tmp_path / "conf/data").mkdir(parents=True)
    data = {
        "name": BARE,
        "format": {"reader": "csv"},
        "labels": {BARE: "label"},
        "features": {"all": {"type": "categorical", "columns": header[1:]}},
        "split": {"by": "random"},
    }
    (tmp_path / "conf/data/own.yaml").write_text(json.dumps(data), encoding="utf-8")
    words = ("--config-dir", "conf", "data=own", "data.files=rows.csv", *SMALL[1:])
    code, _, err = rectrain(*words, "hydra.run.dir=run")
    assert code == 0, err
    code, _, err = rectrain("evaluate", "run=run", f'evaluate.by=["{SIGN}"]', "evaluate.importance=1")
    assert code == 0, err
    return [tmp_path / "run/report.html", tmp_path / "run/evaluation-test.html"]


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_a_browser_runs_nothing_of_a_report(hostile_report):
    for page in hostile_report:
        text = page.read_text(encoding="utf-8")
        assert "&lt;script&gt;" in text
        assert "<script" not in text
        words = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", page.as_uri()]
        dom = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True).stdout
        assert "<title>ran</title>" not in dom
        assert "<script" not in dom
        assert "onerror" not in [name for name in dom.split() if name.startswith("onerror=")]


def test_messages_cannot_steer_a_terminal(rectrain):
    code, _, err = rectrain("model=\x1b[2Jx")
    assert code == 2
    assert "\x1b" not in err
    assert "\\x1b" in err
    assert sys.stderr is not None
