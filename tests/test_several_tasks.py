"""Runs that learn several tasks: from the command line to the report."""

import json
import shutil

import numpy as np
import pytest

DATA = """
name: shop
format: {reader: csv}
labels:
  click: click
  conversion: conversion
features:
  values: {type: categorical, columns: [a, b], min_count: 1}
  numbers: {type: numeric, columns: [x]}
"""
SMALL = [
    "model.embedding_dim=4", "model.tower_units=[8]", "trainer.batch_size=128", "trainer.epochs=1",
    "optimizer.learning_rate=0.01",
]  # fmt: skip
MMOE = ["model=mmoe", "model.num_experts=3", "model.expert_units=[8]", *SMALL]


@pytest.fixture
def shop(rectrain, tmp_path):
    """Runs on rows of impressions, clicks and conversions: (exit code, stderr, report or None)."""
    (tmp_path / "conf/data").mkdir(parents=True)

    def call(*overrides, rows=None, data=DATA):
        (tmp_path / "conf/data/shop.yaml").write_text(data, encoding="utf-8")
        lines = [",".join(map(str, row)) for row in (impressions() if rows is None else rows)]
        (tmp_path / "shop.csv").write_text("\n".join(["a,b,x,click,conversion", *lines]) + "\n", encoding="utf-8")
        fixed = ["--config-dir", "conf", "data=shop", "data.files=shop.csv", f"hydra.run.dir={tmp_path}/run"]
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        code, out, err = rectrain(*overrides, *fixed)
        path = tmp_path / "run/report.json"
        return code, out + err, json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    return call


def impressions(num_rows=1500, seed=0):
    """(a, b, x, click, conversion): a conversion has a click before it."""
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 5, num_rows), rng.integers(0, 7, num_rows)
    click = rng.random(num_rows) < 0.2 + 0.1 * a
    conversion = click & (rng.random(num_rows) < 0.1 + 0.1 * b)
    return list(zip(a, b, rng.normal(size=num_rows).round(3), click.astype(int), conversion.astype(int), strict=True))


def test_each_label_is_a_task_and_reports_know_them_by_name(shop, tmp_path):
    code, said, report = shop(*MMOE)
    assert code == 0, said
    test = report["metrics"]["test"]
    assert list(test) == ["click", "conversion"]
    assert [entry["rows"] for entry in test.values()] == [150, 150]
    assert report["best"]["metric"] == "mean auc of click, conversion"
    valid = report["history"][0]["valid"]
    assert report["best"]["value"] == pytest.approx((valid["click"]["auc"] + valid["conversion"]["auc"]) / 2)
    gates = report["history"][0]["gates"]
    assert list(gates) == ["click", "conversion"]
    assert all(sum(gate["load"]) == pytest.approx(1) and len(gate["load"]) == 3 for gate in gates.values())
    page = (tmp_path / "run/report.html").read_text(encoding="utf-8")
    assert "Experts" in page
    assert "conversion on the test split" in page
    positives = [entry["positives"] for entry in test.values()]
    counts = f"test: click 150 rows, {positives[0]} positive; conversion 150 rows, {positives[1]} positive"
    assert f"who counts {counts}" in " ".join(said.split())


def test_experts_and_gates_train_in_bfloat16(shop):
    code, said, _ = shop(*MMOE, "trainer.precision=bfloat16")
    assert code == 0, said


def test_the_funnel_counts_conversions_of_clicks_on_clicked_rows(shop, tmp_path, rectrain):
    code, said, report = shop("model=esmm", "task=funnel", *SMALL)
    assert code == 0, said
    clicks = report["data"]["positives"]["test"]["click"]
    test = report["metrics"]["test"]
    assert {task: entry["rows"] for task, entry in test.items()} == {"ctr": 150, "cvr": clicks, "ctcvr": 150}
    assert test["cvr"]["positives"] == test["ctcvr"]["positives"] == report["data"]["positives"]["test"]["conversion"]
    code, _, err = rectrain("evaluate", f"run={tmp_path}/run")
    assert code == 0, err
    found = json.loads((tmp_path / "run/evaluation-test.json").read_text(encoding="utf-8"))
    assert found["metrics"]["test"] == test


def test_the_baseline_learns_from_clicked_rows_alone(shop):
    code, said, report = shop("model=dcn", "task=clicked_only", "model.hidden_units=[8]", *SMALL[2:])
    assert code == 0, said
    assert list(report["metrics"]["test"]) == ["cvr"]


def test_a_model_of_one_task_asks_which(shop):
    small = ["model=dcn", "model.hidden_units=[8]", *SMALL[2:]]
    code, said, _ = shop(*small)
    assert code == 2
    assert "there are 2: click, conversion. Choose one with task.only=[click]" in said
    code, said, report = shop(*small, "task.only=[conversion]")
    assert code == 0, said
    assert list(report["metrics"]["test"]) == ["conversion"]


def with_conversions_without_a_click(num_rows):
    rows = impressions()
    places = [i for i, row in enumerate(rows) if row[3] == 0][:num_rows]
    return [(*row[:4], 1) if i in places else row for i, row in enumerate(rows)]


def test_a_conversion_without_a_click_is_an_error_that_counts_them(shop):
    code, said, report = shop("model=esmm", "task=funnel", *SMALL, rows=with_conversions_without_a_click(7))
    assert code == 2
    assert report is None
    assert "task 'cvr': in 7 rows conversion is 1 where click is 0 (7 in train)" in said
    assert "task.on_inconsistent=drop" in said


def test_or_these_rows_are_left_out(shop):
    rows = with_conversions_without_a_click(7)
    code, said, report = shop("model=esmm", "task=funnel", "task.on_inconsistent=drop", *SMALL, rows=rows)
    assert code == 0, said
    assert sum(report["data"]["rows"].values()) == len(rows) - 7
    kept = [row for row in rows if row[3] or not row[4]]
    assert sum(counts["conversion"] for counts in report["data"]["positives"].values()) == sum(r[4] for r in kept)


def test_a_task_of_one_class_in_a_split_is_said_and_the_run_goes_on(shop):
    rows = [row if i < 1200 else (*row[:4], 0) for i, row in enumerate(impressions())]
    code, said, report = shop(*MMOE, "trainer.monitor=click.auc", rows=rows)
    assert code == 0, said
    assert "warning: data.labels.conversion: 0 of 150 rows of the split valid are positive" in said
    missing = report["metrics"]["test"]["conversion"]["auc"]
    assert missing["value"] is None
    assert missing["reason"]
    assert report["metrics"]["test"]["click"]["auc"]["value"] is not None


def test_labels_that_are_numbers_are_predicted(shop, tmp_path):
    data = DATA.replace("conversion: conversion", "price: {column: x, number: true}").replace(
        "  numbers: {type: numeric, columns: [x]}\n", ""
    )
    code, said, report = shop("model=shared_bottom", "model.hidden_units=[8]", "task.only=[price]",
                              "trainer.monitor=mse", *SMALL, data=data)  # fmt: skip
    assert code == 0, said
    price = report["metrics"]["test"]["price"]
    assert list(price) == ["rows", "mse", "r2"]
    assert price["mse"]["low"] < price["mse"]["value"] < price["mse"]["high"]
    assert "MSE" in (tmp_path / "run/report.html").read_text(encoding="utf-8")
    code, said, _ = shop("model=shared_bottom", "model.hidden_units=[8]", *SMALL, data=data, rows=impressions(seed=1))
    assert code == 2
    assert "task 'price' has no such metric; it has mse, r2" in said
