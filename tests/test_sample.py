import hashlib
import itertools
import json
import math
import re
import subprocess
import sys

import numpy as np
import pytest

from rectrain.data import sample
from rectrain.errors import InputError

AVAZU_HEADER = (
    "id,click,hour,C1,banner_pos,site_id,site_domain,site_category,app_id,app_domain,app_category,device_id,"
    "device_ip,device_model,device_type,device_conn_type,C14,C15,C16,C17,C18,C19,C20,C21"
)
LAYOUTS = ["criteo", "avazu"]


def written(layout, folder, rows=3000, seed=5):
    path = folder / f"{layout}.txt"
    info = sample.write(layout, path, rows=rows, seed=seed)
    return path, info


def lines_of(path):
    text = path.read_text(encoding="ascii")
    assert text.endswith("\n")
    return text[:-1].split("\n")


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def pairwise_auc(labels, scores):
    wins = [(p > n) + (p == n) / 2 for p in scores[labels == 1] for n in scores[labels == 0]]
    return sum(wins) / len(wins)


def test_criteo_rows_have_a_label_13_whole_numbers_and_26_tokens_tab_separated(tmp_path):
    lines = lines_of(written("criteo", tmp_path)[0])
    assert len(lines) == 3000
    count, token = re.compile(r"-?\d+|"), re.compile(r"[0-9a-f]{8}|")
    for line in lines:
        label, *values = line.split("\t")
        assert label in ("0", "1")
        assert len(values) == 39
        assert all(count.fullmatch(value) for value in values[:13])
        assert all(token.fullmatch(value) for value in values[13:])


def test_criteo_blanks_zeros_and_negative_counts_are_where_the_real_file_has_them(tmp_path):
    rows = np.array([line.split("\t") for line in lines_of(written("criteo", tmp_path)[0])])
    assert (rows[:, 1] == "").mean() == pytest.approx(0.45, abs=0.03)  # I1
    assert (rows[:, 12] == "").mean() == pytest.approx(0.77, abs=0.03)  # I12
    assert (rows[:, 35] == "").mean() == pytest.approx(0.76, abs=0.03)  # C22
    assert not (rows[:, 14] == "").any()  # C1
    assert {"-1", "0"} <= set(rows[:, 2])  # I2
    assert np.char.find(rows[:, 3:14], "-").max() == -1


def test_criteo_columns_run_from_a_few_values_to_one_in_every_other_row(tmp_path):
    rows = np.array([line.split("\t") for line in lines_of(written("criteo", tmp_path)[0])])
    distinct = {f"C{i}": np.unique(rows[:, 13 + i]).size for i in range(1, 27)}
    assert distinct["C9"] == 4
    assert distinct["C20"] == 5  # with the blank
    assert 1400 < distinct["C16"] < 1700  # half of the rows have a value of their own
    shared = set(rows[:, 14]) & set(rows[:, 18])
    assert not shared, "two columns write different tokens"


def test_avazu_has_the_header_whole_number_and_hexadecimal_columns_and_no_blanks(tmp_path):
    header, *lines = lines_of(written("avazu", tmp_path)[0])
    assert header == AVAZU_HEADER
    assert len(lines) == 3000
    rows = dict(zip(header.split(","), np.array([line.split(",") for line in lines]).T, strict=True))
    for name, values in rows.items():
        hexadecimal = re.match("site|app|device_(id|ip|model)", name)
        pattern = re.compile(r"[0-9a-f]{8}" if hexadecimal else r"-1|\d+")
        assert all(pattern.fullmatch(value) for value in values), name
    assert set(rows["click"]) == {"0", "1"}
    assert np.unique(rows["id"]).size == 3000
    assert (rows["C20"] == "-1").mean() == pytest.approx(0.15, abs=0.03)


def test_avazu_hours_rise_over_ten_days_across_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(sample, "BLOCK_ROWS", 500)
    hours = [line.split(",")[2] for line in lines_of(written("avazu", tmp_path, rows=2400)[0])[1:]]
    assert hours == sorted(hours)
    assert (hours[0], hours[-1]) == ("14102100", "14103023")
    assert len(set(hours)) == 240
    assert {hour[6:] for hour in hours} == {f"{h:02}" for h in range(24)}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_same_arguments_give_the_same_bytes_and_another_seed_others(layout, tmp_path):
    first, again, other = (
        sha256(written(layout, tmp_path / name, seed=seed)[0]) for name, seed in [("a", 5), ("b", 5), ("c", 6)]
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize("layout", LAYOUTS)
def test_info_beside_the_file_holds_the_scores_of_the_true_probabilities(layout, tmp_path):
    path, info = written(layout, tmp_path, rows=1200)
    header = layout == "avazu"
    lines = lines_of(path)[header:]
    labels = np.array([int(line.split(",")[1] if header else line.split("\t")[0]) for line in lines])
    truth = sample.true_probabilities(layout, rows=1200, seed=5)
    logloss = -np.mean([math.log(p if y else 1 - p) for y, p in zip(labels, truth, strict=True)])
    assert info.bayes_auc == pytest.approx(pairwise_auc(labels, truth), abs=1e-12)
    assert info.bayes_logloss == pytest.approx(logloss, abs=1e-12)
    assert info.base_rate == labels.mean()
    assert sample.SampleInfo.read(path) == info
    note = json.loads((tmp_path / f"{layout}.txt.info.json").read_text())
    assert set(note) == {"layout", "rows", "seed", "truth", "bayes_auc", "bayes_logloss", "base_rate"}
    assert (note["layout"], note["rows"], note["seed"]) == (layout, 1200, 5)


def test_rank_auc_counts_ties_half_and_is_none_for_one_class():
    labels = np.array([1, 0, 1, 0, 0, 1], bool)
    scores = np.array([0.3, 0.3, 0.9, 0.1, 0.9, 0.2])
    assert sample.rank_auc(labels, scores) == pairwise_auc(labels, scores) == 5 / 9
    assert sample.rank_auc(np.zeros(3, bool), np.arange(3.0)) is None
    assert sample.rank_auc(np.ones(3, bool), np.arange(3.0)) is None


def test_a_single_row_is_a_sample_without_an_auc(tmp_path):
    path, info = written("criteo", tmp_path, rows=1)
    assert len(lines_of(path)) == 1
    assert info.bayes_auc is None
    assert json.loads((tmp_path / "criteo.txt.info.json").read_text())["bayes_auc"] is None


@pytest.mark.parametrize(("layout", "base_rate"), [("criteo", 0.25), ("avazu", 0.17)])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_base_rate_and_bayes_auc_lie_where_the_layout_says(layout, base_rate, seed):
    truth = sample.true_probabilities(layout, rows=60_000, seed=seed)
    labels = np.random.default_rng(0).random(truth.size) < truth
    assert truth.mean() == pytest.approx(base_rate, abs=0.015)
    assert 0.80 < sample.rank_auc(labels, truth) < 0.83


@pytest.mark.parametrize("layout", LAYOUTS)
def test_probabilities_match_the_formula_row_by_row(layout):
    truth, rng = sample.draw_truth(layout, 7)
    (block,) = sample.draw_blocks(truth, 40, rng)
    for row, probability in enumerate(block.probabilities):
        logit = truth.layout.bias
        e = {name: truth.numbers[name][positions[row]] for name, positions in block.positions.items()}
        for column in truth.layout.columns:
            logit += column.main * e[column.name]
            if column.bend:
                size, share = np.abs(truth.numbers[column.name]), truth.shares[column.name]
                mean = np.average(size, weights=share)
                deviation = math.sqrt(np.average((size - mean) ** 2, weights=share))
                logit += column.bend * (abs(e[column.name]) - mean) / deviation
        for axis in truth.layout.axes:
            pairs = list(itertools.combinations(axis.names, 2))
            logit += sum(axis.scale / math.sqrt(len(pairs)) * e[a] * e[b] for a, b in pairs)
        assert probability == pytest.approx(1 / (1 + math.exp(-logit)), rel=1e-9)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_no_pair_moves_the_average_of_a_single_value(layout):
    truth, _ = sample.draw_truth(layout, 7)
    for axis in truth.layout.axes:
        for a, b in itertools.permutations(axis.names, 2):
            pair_VV = np.outer(truth.numbers[a], truth.numbers[b])
            assert np.abs(pair_VV).max() > 1
            np.testing.assert_allclose(pair_VV @ truth.shares[b], 0, atol=1e-12)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_pairs_average_out_on_drawn_rows_and_have_the_deviation_of_the_layout(layout):
    truth, rng = sample.draw_truth(layout, 7)
    positions = truth.draw(100_000, rng)
    for axis in truth.layout.axes:
        pairs = truth.interaction(axis, positions)
        assert pairs.std() == pytest.approx(axis.scale, rel=0.03)
        for name in axis.names:
            place = positions[name]
            count = np.bincount(place)
            mean = np.bincount(place, pairs) / np.maximum(count, 1)
            spread = np.sqrt(np.bincount(place, pairs**2) / np.maximum(count, 1))
            frequent = count > 100
            assert (np.abs(mean) * np.sqrt(count) < 5 * spread)[frequent].all()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_pairs_hold_more_auc_than_a_regression_band_could_miss(layout):
    truth, rng = sample.draw_truth(layout, 3)
    (block,) = sample.draw_blocks(truth, 60_000, rng)
    alone = sum(truth.effects[name][positions] for name, positions in block.positions.items())
    bayes = sample.rank_auc(block.labels, block.probabilities)
    assert 0.05 < bayes - sample.rank_auc(block.labels, alone) < 0.08


def test_the_truth_does_not_depend_on_the_number_of_rows():
    few = sample.true_probabilities("criteo", rows=5000, seed=1)
    many = sample.true_probabilities("criteo", rows=20_000, seed=1)
    assert few.mean() == pytest.approx(many.mean(), abs=0.01)
    a, b = (sample.draw_truth("criteo", 1)[0] for _ in range(2))
    np.testing.assert_array_equal(a.effects["C1"], b.effects["C1"])


@pytest.mark.parametrize("num_values", [1, 300_000])
def test_hexadecimal_tokens_are_distinct(num_values):
    tokens = sample.hex_tokens(np.arange(num_values), "C3")
    assert np.unique(tokens).size == num_values
    assert set(map(len, tokens[:1000].tolist())) == {8}


def test_a_write_that_fails_leaves_nothing_and_keeps_what_was_there(tmp_path, monkeypatch):
    path, info = written("criteo", tmp_path)
    before = sha256(path)
    monkeypatch.setattr(sample, "BLOCK_ROWS", 500)
    monkeypatch.setattr(sample, "write_block", fail_at_the_third_block(sample.write_block))
    with pytest.raises(KeyboardInterrupt):
        sample.write("criteo", path, rows=2000, seed=9)
    assert sha256(path) == before
    assert sample.SampleInfo.read(path) == info
    assert sorted(p.name for p in tmp_path.iterdir()) == ["criteo.txt", "criteo.txt.info.json"]


def fail_at_the_third_block(write_block):
    calls = itertools.count(1)

    def write(*arguments):
        if next(calls) == 3:
            raise KeyboardInterrupt
        write_block(*arguments)

    return write


def test_the_info_is_there_before_the_file(tmp_path, monkeypatch):
    """So that a file that exists always has its info."""
    replaced = []
    monkeypatch.setattr(sample.os, "replace", lambda source, target: replaced.append(target.name))
    written("avazu", tmp_path, rows=10)
    assert replaced == ["avazu.txt.info.json", "avazu.txt"]


@pytest.mark.parametrize("rows", [0, -3])
def test_no_rows_are_refused(rows, tmp_path):
    with pytest.raises(InputError, match=rf"data\.sample\.rows={rows}: expected at least 1 row"):
        sample.write("criteo", tmp_path / "x", rows=rows, seed=1)
    with pytest.raises(InputError, match=r"data\.sample\.rows"):
        sample.true_probabilities("criteo", rows=rows, seed=1)
    assert not list(tmp_path.iterdir())


def test_a_negative_seed_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"data\.sample\.seed=-1"):
        sample.write("criteo", tmp_path / "x", rows=5, seed=-1)


def test_an_unknown_layout_is_refused_with_a_suggestion(tmp_path):
    with pytest.raises(InputError, match=r"data\.sample\.layout='critéo'.* Did you mean 'criteo'\?"):
        sample.write("critéo", tmp_path / "x", rows=5, seed=1)
    known = "ali_ccp, amazon, avazu, census_income, criteo, mmoe_synthetic, movielens, taobao"
    with pytest.raises(InputError, match=rf"Known: {known}\."):
        sample.write("songs", tmp_path / "x", rows=5, seed=1)


def test_tensorflow_is_not_imported():
    code = "import sys; import rectrain.data.sample; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
