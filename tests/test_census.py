"""Census-Income's sample: the raw layout, two labels that share factors, and what the preparation makes of it."""

import json
import math
import re

import numpy as np
import pytest

from rectrain.data import census_sample, sample

SIDE = {"marital_status": 7, "instance_weight": 24, "income": 41}  # columns that are no features, by their place
NUMERIC = (0, 2, 3, 5, 16, 17, 18, 30, 36, 38, 39, 40)


def written(folder, rows=3000, seed=5):
    path = folder / sample.place("census_income", rows=rows, seed=seed)
    return path, sample.write("census_income", path, rows=rows, seed=seed)


def rows_of(path):
    return np.array([line.split(", ") for line in path.read_text(encoding="ascii").splitlines()])


@pytest.fixture(scope="module")
def drawn():
    return census_sample.draw_rows(60_000, np.random.default_rng(1994))


def test_same_arguments_give_the_same_bytes_and_another_seed_others(tmp_path):
    first, again = (written(tmp_path / name)[0].read_bytes() for name in "ab")
    assert first == again
    assert first != written(tmp_path, seed=6)[0].read_bytes()


def test_rows_have_the_fields_and_texts_of_the_raw_file(tmp_path):
    rows = rows_of(written(tmp_path)[0])
    assert rows.shape == (3000, 42)
    assert set(rows[:, SIDE["income"]]) == {"- 50000.", "50000+."}
    assert set(rows[:, SIDE["marital_status"]]) > {"Never married", "Married-civilian spouse present", "Widowed"}
    assert all(re.fullmatch(r"\d+\.\d\d", weight) for weight in rows[:, SIDE["instance_weight"]])
    for place in NUMERIC:
        assert np.char.isdigit(rows[:, place]).all(), place
    assert (rows[:, 25] == "?").mean() == pytest.approx(0.5, abs=0.04)  # migration_metropolitan
    assert {"Bachelors degree(BA AB BS)", "Handlers equip cleaners etc "} <= set(rows.ravel())


@pytest.mark.parametrize("num_rows", [1, 2, 777])
def test_a_sample_has_as_many_rows_as_were_asked_for(tmp_path, num_rows):
    path, info = written(tmp_path, rows=num_rows)
    assert len(path.read_text().splitlines()) == info.rows == num_rows
    assert (info.bayes_auc, info.bayes_logloss, info.base_rate) == (None, None, None)  # there are two labels


def test_columns_stand_in_the_order_of_the_config(rectrain, tmp_path):
    """A value of the sample lies in the column of its name."""
    code, out, _ = rectrain("--cfg", "job", "data=census_income")
    assert code == 0
    names = re.search(r"columns:\n((?:\s+- \w+\n)+)", out)[1].split("\n")
    names = [name.strip().removeprefix("- ") for name in names if name]
    features = [name for name in names if name not in SIDE]
    assert [names.index(name) for name in SIDE] == list(SIDE.values())
    assert features == [column.name for column in census_sample.COLUMNS]


def test_labels_follow_the_formula_on_hand_worked_numbers():
    factors = [name for columns in census_sample.FACTORS.values() for name in columns]
    numbers = {name: np.array([0.0, 1.0]) for name in factors}  # each factor: 0, then 4 / sqrt(4) = 2
    label = census_sample.Label("bought", base_rate=0.2, standing=0.5, work=-0.25, product=0.75, own={"sex": 2.0})
    variance = 0.5**2 + 0.25**2 + 0.75**2 + 2**2
    bias = math.log(0.2 / 0.8) * math.sqrt(1 + math.pi * variance / 8)
    found = label.logits({**numbers, "sex": np.array([1.0, -0.5]), "race": np.array([9.0, 9.0])})
    np.testing.assert_allclose(found, [bias + 2, bias + 0.5 * 2 - 0.25 * 2 + 0.75 * 4 - 1], rtol=1e-12)


@pytest.mark.parametrize("num_rows", [3, 500])
def test_probabilities_follow_the_formula_with_numbers_that_do_not_depend_on_the_rows(num_rows):
    numbers = census_sample.draw_numbers(np.random.default_rng(7).spawn(2)[0])
    rows = census_sample.draw_rows(num_rows, np.random.default_rng(7))
    for row in range(3):
        of_row = {name: numbers[name][positions[row]] for name, positions in rows.positions.items()}
        standing, work = (sum(of_row[c] for c in columns) / 2 for columns in census_sample.FACTORS.values())
        for k, label in enumerate(census_sample.LABELS):
            variance = label.standing**2 + label.work**2 + label.product**2 + sum(w**2 for w in label.own.values())
            logit = math.log(label.base_rate / (1 - label.base_rate)) * math.sqrt(1 + math.pi * variance / 8)
            logit += label.standing * standing + label.work * work + label.product * standing * work
            logit += sum(weight * of_row[column] for column, weight in label.own.items())
            assert rows.probabilities[row, k] == pytest.approx(1 / (1 + math.exp(-logit)), rel=1e-9)


def test_base_rates_and_the_best_aucs_lie_where_the_truth_says(drawn):
    assert drawn.labels.mean(axis=0) == pytest.approx([0.12, 0.43], abs=0.03)
    income, never_married = (
        sample.rank_auc(labels, p) for labels, p in zip(drawn.labels.T, drawn.probabilities.T, strict=True)
    )
    assert income == pytest.approx(0.88, abs=0.01)
    assert never_married == pytest.approx(0.85, abs=0.01)


def test_the_labels_exclude_each_other_more_than_chance_would(drawn):
    assert np.corrcoef(drawn.labels.T)[0, 1] < -0.1
    assert drawn.labels.all(axis=1).mean() < 0.7 * drawn.labels.mean(axis=0).prod()


@pytest.mark.parametrize(
    ("name", "tells_of"),
    [("age", (0, 1)), ("weeks_worked", (0, 1)), ("sex", (0,)), ("household_summary", (1,)), ("country_of_father", ())],
)
def test_columns_tell_of_the_labels_that_the_truth_names(drawn, name, tells_of):
    """Rates by value, counted on one half of the rows, rank the other half."""
    for label in (0, 1):
        labels, values = drawn.labels[:, label], drawn.positions[name]
        half = len(labels) // 2
        counts = np.bincount(values[:half], minlength=values.max() + 1)
        ones = np.bincount(values[:half], labels[:half], minlength=values.max() + 1)
        rates = (ones + 20 * labels.mean()) / (counts + 20)
        auc = sample.rank_auc(labels[half:], rates[values[half:]])
        assert (auc > 0.53) == (label in tells_of), (label, auc)


def test_prepare_makes_two_labels_and_39_categories_without_the_labels_columns(rectrain, tmp_path):
    code, out, err = rectrain("prepare", "data=census_income", "data.sample.rows=4000")
    assert code == 0, err
    assert "with a planted truth of AUC" not in out + err
    (folder,) = (p for p in (tmp_path / "data/prepared").iterdir() if p.is_dir())
    schema = json.loads((folder / "schema.json").read_text(encoding="utf-8"))
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert schema["labels"] == ["income", "never_married"]
    names = [feature["name"] for feature in schema["categorical"]]
    assert len(names) == 39
    assert not {*SIDE, "never_married"} & set(names)
    assert not schema["numeric"]
    assert not schema["multi_valued"]
    assert not schema["crosses"]
    (raw,) = (tmp_path / "data/sample").rglob("census-income.data")
    test_rows = rows_of(raw)[3600:]
    assert manifest["rows"]["test"] == 400
    assert manifest["positives"]["test"] == {
        "income": int((test_rows[:, SIDE["income"]] == "50000+.").sum()),
        "never_married": int((test_rows[:, SIDE["marital_status"]] == "Never married").sum()),
    }
