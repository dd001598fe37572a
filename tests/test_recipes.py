"""The recipes of published benchmarks: what their heads say is so, and each trains on files of the published layout."""

import importlib
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from rectrain.schema import Categorical, Numeric, Schema
from rectrain.sections import train_config
from rectrain.tasks import from_schema
from tests import miniatures
from tests.test_export import TOLERANCE, differences

ROOT = Path(__file__).parents[1]
MODELS = ["lr", "fm", "wide_deep", "deepfm", "dcn", "dcn_v2", "autoint", "autoint_plus"]
# numbers, categories, and the rows of their vocabularies as published: parameters of LR less numbers and bias
PUBLISHED = {
    "criteo_x1": (13, 26, 2_086_317 - 13 - 1),
    "criteo_x4": (0, 39, 910_709 - 1),
    "avazu_x1": (0, 22, 1_298_600 - 1),
    "movielens_latest_x1": (0, 3, 90_240 - 1),
    "frappe_x1": (0, 10, 5_390 - 1),
}
# test AUC as BARS' leaderboards round it, in the order of MODELS
AUC = {
    "criteo_x1": [0.7886, 0.8022, 0.8139, 0.8137, 0.8138, 0.8142, 0.8126, 0.8139],
    "criteo_x4": [0.7934, 0.8086, 0.8142, 0.8143, 0.8144, 0.8145, 0.8119, 0.8132],
    "avazu_x1": [0.7516, 0.7613, 0.7649, 0.7648, 0.7652, 0.7656, 0.7624, 0.7645],
    "movielens_latest_x1": [0.9342, 0.9434, 0.9688, 0.9685, 0.9687, 0.9691, 0.9663, 0.9692],
    "frappe_x1": [0.9356, 0.9671, 0.9841, 0.9842, 0.9839, 0.9845, 0.9831, 0.9848],
}
RECIPES = [(model, data) for data in PUBLISHED for model in MODELS]
each_recipe = pytest.mark.parametrize(("model", "data"), RECIPES, ids=["_".join(recipe) for recipe in RECIPES])


def composed(name):
    with initialize_config_module("rectrain.configs", version_base="1.3"):
        return train_config(OmegaConf.to_container(compose("train", [f"experiment=bars/{name}"]), resolve=True))


def head(name):
    text = (ROOT / f"configs/experiment/bars/{name}.yaml").read_text(encoding="utf-8")
    lines = text.split("defaults:")[0].splitlines()[1:]
    return re.sub(r"\s+", " ", " ".join(line.removeprefix("#") for line in lines))


def number(text):
    return int(text.replace(",", "").replace(" ", ""))


def parameters(config, *, rows):
    """Trainable weights of a model whose categories have so many rows: built with few, as all tables have a width."""
    num_numbers, num_categories, _ = PUBLISHED[config.data.name]
    few = tuple(Categorical(f"c{i}", 2, 2 * i, {}) for i in range(num_categories))
    numbers = tuple(Numeric(f"n{i}", {}) for i in range(num_numbers))
    schema = Schema(config.data.name, few, numbers, (), (), ("click",))
    build = importlib.import_module(f"rectrain.models.{config.model.name}").build
    weights = build(schema, from_schema(schema), **config.model.settings).trainable_weights
    sizes = [(rows, *w.shape[1:]) if w.path.endswith("/table") else w.shape for w in weights]
    return sum(math.prod(size) for size in sizes)


def test_there_is_a_recipe_of_each_model_on_each_data_set_and_no_other():
    found = {path.stem for path in (ROOT / "configs/experiment/bars").glob("*.yaml")}
    assert found == {"_".join(recipe) for recipe in RECIPES}


@each_recipe
def test_what_the_head_of_a_recipe_says_is_so(model, data):
    name = f"{model}_{data}"
    config, said = composed(name), head(name)
    assert f"scripts/download.sh {data} && scripts/reproduce.sh {name}" in said
    assert "Not run by us on the real files." in said
    assert (config.data.name, config.model.name) == (data, model.removesuffix("_plus"))
    auc, published = re.search(r"Published: test AUC (0\.\d{6}), log loss 0\.\d{6}; ([\d,]+) parameters", said).groups()
    assert config.expect.value == float(auc)
    assert round(float(auc), 4) == AUC[data][MODELS.index(model)]
    here, reasons = re.search(r"Here: ([\d,]+) parameters(.*?)\. Not run", said).groups()
    differences = [number(found) for found in re.findall(r"([+-] [\d,]+) \(", reasons)]
    assert number(published) + sum(differences) == number(here)
    _, num_categories, rows = PUBLISHED[data]
    assert parameters(config, rows=rows + num_categories) == number(here)  # ours keep a row for missing values


@pytest.mark.parametrize(
    ("model", "beside", "expected"),
    [
        ("lr", 0, 2_086_317),
        ("fm", 0, 22_949_477),
        ("deepfm", 1_200 - 1, 23_429_477),  # biases in front of batch norm, and none in the linear part
        ("wide_deep", 1_200 - 1, 23_429_477),
        ("dcn", 0, 21_343_491),
        ("dcn_v2", 0, 22_018_021),
        ("autoint", -1, 23_364_453),
        ("autoint_plus", 1_200 - 1, 23_844_454),
    ],
)
def test_published_vocabularies_give_published_counts_on_criteo_x1(model, beside, expected):
    rows = PUBLISHED["criteo_x1"][2]
    assert parameters(composed(f"{model}_criteo_x1"), rows=rows) + beside == expected


def test_the_page_tells_the_published_figures_and_rows():
    page = (ROOT / "docs/recipes.md").read_text(encoding="utf-8")
    for model in MODELS:
        (cells,) = re.findall(rf"^\| `{model}` \|(.*)\|$", page, re.M)
        for data, cell in zip(PUBLISHED, cells.split("|"), strict=True):
            auc, log_loss = re.search(r"test AUC (\S+), log loss ([\d.]+);", head(f"{model}_{data}")).groups()
            assert cell.strip() == f"{float(auc):.4f} / {float(log_loss):.4f}".replace("0.", ".")
    for data, (_, _, rows) in PUBLISHED.items():
        assert re.search(rf"^\| `{data}` \|.*\| {rows:,} \|$", page, re.M)


# Training on files of the published layouts

SHORT = ("trainer.max_steps=1", "trainer.batch_size=256", "expect=null")


def trained(rectrain, tmp_path, name, *overrides):
    code, _, err = rectrain(f"experiment=bars/{name}", *SHORT, "hydra.run.dir=run", *overrides)
    assert code == 0, err
    return json.loads((tmp_path / "run/report.json").read_text(encoding="utf-8"))


def one_step(rectrain, tmp_path, model, data):
    miniatures.write(data, tmp_path / "data" / data)
    report = trained(rectrain, tmp_path, f"{model}_{data}")
    assert report["steps"] == 1
    assert report["data"]["rows"] == miniatures.ROWS
    return report


def prepared(rectrain, tmp_path, data, *overrides):
    """Schema and manifest."""
    code, _, err = rectrain("prepare", f"data={data}", *overrides)
    assert code == 0, err
    (folder,) = (tmp_path / "data/prepared").glob(f"{data}-*")
    return Schema.read(folder / "schema.json"), json.loads((folder / "manifest.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("data", PUBLISHED)
def test_each_data_set_is_prepared_from_files_of_the_published_layout(rectrain, tmp_path, data):
    miniatures.write(data, tmp_path / "data" / data)
    schema, manifest = prepared(rectrain, tmp_path, data)
    assert (len(schema.numeric), len(schema.categorical)) == PUBLISHED[data][:2]
    assert manifest["rows"] == miniatures.ROWS


FAST = ("dcn", "criteo_x1")


def test_a_recipe_trains_on_files_of_the_published_layout(rectrain, tmp_path):
    one_step(rectrain, tmp_path, *FAST)


@pytest.mark.slow
@pytest.mark.parametrize(("model", "data"), [recipe for recipe in RECIPES if recipe != FAST])
def test_each_other_recipe_trains_on_files_of_the_published_layout(rectrain, tmp_path, model, data):
    one_step(rectrain, tmp_path, model, data)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "data"), [("autoint_plus", "criteo_x1"), ("dcn_v2", "criteo_x1"), ("wide_deep", "criteo_x4")]
)
def test_a_trained_recipe_scores_rows_as_its_exports_do(rectrain, tmp_path, model, data):
    """The parts that only recipes turn on: layer norm and linear terms of autoint, numbers as fields."""
    miniatures.write(data, tmp_path / "data" / data)
    trained(rectrain, tmp_path, f"{model}_{data}", "model.embedding_stddev=0.5", "optimizer.l2_embedding=0")
    found = differences(rectrain, tmp_path, tmp_path / "run", tmp_path / f"data/{data}/test.csv")
    assert max(found.values()) <= TOLERANCE
    code, _, err = rectrain("export", f"run={tmp_path / 'run'}", "output=more", "export.formats=[keras,onnx]")
    assert code == 0, err


def libfm(columns, label):
    splits = ",".join(f"{split}:raw/{split}.libfm" for split in miniatures.ROWS)
    return (
        f"data.split.files={{{splits}}}",
        "data.format.reader=libfm",
        f"data.format.columns=[{','.join(columns)}]",
        f"data.labels.{label}={{column:label,at_least:1}}",
    )


@pytest.mark.parametrize(
    ("data", "columns", "label"),
    [("frappe_x1", miniatures.FRAPPE, "used"), ("movielens_latest_x1", miniatures.MOVIELENS, "tagged")],
)
def test_a_data_set_is_read_from_libfm_files_too(rectrain, tmp_path, data, columns, label):
    miniatures.write_libfm(columns, tmp_path / "raw")
    schema, manifest = prepared(rectrain, tmp_path, data, *libfm(columns, label))
    assert manifest["rows"] == miniatures.ROWS
    assert manifest["positives"]["train"] == {label: miniatures.ROWS["train"] // 2}  # of labels -1 and 1
    lines = (tmp_path / "raw/train.libfm").read_text(encoding="utf-8").splitlines()
    ids = [set(field) for field in zip(*(line.split()[1:] for line in lines), strict=True)]
    assert [feature.num_rows for feature in schema.categorical] == [2 + len(found) for found in ids]


def test_files_that_are_not_there_are_named(rectrain):
    code, _, err = rectrain("experiment=bars/lr_frappe_x1", "data.folder=elsewhere")
    assert code == 2
    assert "data.split.files.train: 'elsewhere/train.csv' names no file" in err


# scripts/reproduce.sh


@pytest.fixture
def verdict(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "scripts")
    return importlib.import_module("verdict")


def report_of(seed, auc, **changed):
    metrics = {"test": {"click": {"auc": {"value": auc}, "logloss": {"value": 1 - auc}}}}
    config = {"expect": {"metric": "auc", "value": 0.8, "tolerance": 0.001}}
    parts = {"status": "done", "seed": seed, "config": config, "metrics": metrics, "parameters": {"total": 12_345}}
    return {**parts, **changed}


@pytest.mark.parametrize(
    ("aucs", "code", "told"),
    [
        ([0.7985, 0.8005], 0, "reproduced (-0.0005; within 0.001 is the same)"),
        ([0.8], 0, "reproduced (+0.0000; within 0.001 is the same)"),
        ([0.797, 0.8], 3, "NOT reproduced: worse (-0.0015; within 0.001 is the same)"),
        ([0.8, 0.803], 3, "NOT reproduced: better (+0.0015; within 0.001 is the same)"),
    ],
)
def test_the_verdict_is_that_of_the_mean(verdict, aucs, code, told):
    lines, received = verdict.verdict([report_of(seed, auc) for seed, auc in enumerate(aucs)])
    assert received == code
    assert lines[-1] == f"published    0.8000  {told}"
    assert lines[1] == f"        0  {aucs[0]:8.4f}  {1 - aucs[0]:8.4f}       12,345"
    assert ("standard deviation" in lines[-2]) == (len(aucs) > 1)


@pytest.mark.parametrize(
    ("reports", "code", "told"),
    [
        ([], 2, "no run is done there"),
        ([report_of(1, 0.8, status="failed")], 2, "no run is done there"),
        ([report_of(1, 0.8, config={"expect": None})], 2, "expect=null"),
        ([report_of(1, 0.8), report_of(2, 0.1, status="failed")], 0, ""),
    ],
)
def test_runs_that_are_not_done_have_no_part_in_it(verdict, tmp_path, capsys, reports, code, told):
    for number_, report in enumerate(reports):
        (tmp_path / str(number_)).mkdir()
        (tmp_path / str(number_) / "report.json").write_text(json.dumps(report), encoding="utf-8")
    assert verdict.main(str(tmp_path)) == code
    assert told in capsys.readouterr().err


def reproduce(tmp_path, *words, **environment):
    """In a folder of miniatures, with a `rectrain` on the path."""
    (tmp_path / "bin").mkdir(exist_ok=True)
    script = tmp_path / "bin/rectrain"
    script.write_text(f"#!{sys.executable}\nfrom rectrain.cli import main\n\nmain()\n", encoding="utf-8")
    script.chmod(0o755)
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "PYTHON": sys.executable, "PYTHONPATH": str(ROOT), **environment}
    command = ["bash", ROOT / "scripts/reproduce.sh", *words]
    return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=600)


def test_reproduce_says_how_it_is_used(tmp_path):
    done = reproduce(tmp_path)
    assert done.returncode == 2
    assert "scripts/reproduce.sh RECIPE [key=value ...]" in done.stderr


@pytest.mark.slow
def test_reproduce_trains_the_seeds_and_prints_the_verdict(tmp_path):
    miniatures.write("frappe_x1", tmp_path / "data/frappe_x1")
    short = ["lr_frappe_x1", "trainer.epochs=1"]
    done = reproduce(tmp_path, *short, SEEDS="1,2")
    assert done.returncode == 3, done.stderr  # random labels: an AUC of about a half
    lines = done.stdout.splitlines()[-5:]
    assert [line.split()[0] for line in lines] == ["seed", "1", "2", "mean", "published"]
    assert "NOT reproduced: worse" in lines[-1]
    assert reproduce(tmp_path, *short, SEEDS="1,2", OUT="other", **{}).returncode == 3
    done = reproduce(tmp_path, "lr_frape_x1")
    assert done.returncode == 2
    assert "Did you mean" in done.stderr
