"""The sample whose truth changes half-way: what stays, what changes, and what a model that stops learning loses."""

import json
from pathlib import Path

import numpy as np
import pytest

from rectrain.data import sample
from rectrain.errors import InputError

SEEDS = [1, 2, 3, 2014]


def lines_of(folder: Path, truth: str | None, rows: int) -> tuple[np.ndarray, sample.SampleInfo]:
    """The cells of the file, the label first."""
    path = folder / sample.place("criteo", rows=rows, seed=5, truth=truth)
    info = sample.write("criteo", path, rows=rows, seed=5, truth=truth)
    return np.array([line.split("\t") for line in path.read_text(encoding="ascii").splitlines()]), info


def drawn(seed: int, num_rows: int = 60_000):
    """The truth, and of all rows: positions of the values, probabilities and labels."""
    truth, rng = sample.draw_truth("criteo", seed, "drift")
    blocks = list(sample.draw_blocks(truth, num_rows, rng))
    positions = {name: np.concatenate([b.positions[name] for b in blocks]) for name in blocks[0].positions}
    return (
        truth,
        positions,
        *(np.concatenate([getattr(b, name) for b in blocks]) for name in ("probabilities", "labels")),
    )


@pytest.mark.parametrize("rows", [2400, 2401])
def test_features_are_those_of_the_plain_sample_and_so_are_the_labels_up_to_the_middle(tmp_path, monkeypatch, rows):
    monkeypatch.setattr(sample, "BLOCK_ROWS", 500)  # the middle lies within a block
    (plain, _), (drift, _) = (lines_of(tmp_path, truth, rows) for truth in (None, "drift"))
    np.testing.assert_array_equal(drift[:, 1:], plain[:, 1:])
    np.testing.assert_array_equal(drift[:1200, 0], plain[:1200, 0])
    assert np.mean(drift[1200:, 0] != plain[1200:, 0]) > 0.2


def test_probabilities_are_the_plain_ones_up_to_the_middle_and_not_from_there_on():
    plain, drift = (sample.true_probabilities("criteo", rows=1001, seed=3, truth=truth) for truth in (None, "drift"))
    np.testing.assert_array_equal(drift[:500], plain[:500])
    assert np.all(drift[500:] != plain[500:])


def test_the_halves_disagree_about_the_same_values_by_twice_their_own_effects():
    """The logit is bias + own + pairs in one half, bias - own + pairs in the other."""
    truth, positions, probabilities, _ = drawn(seed=7, num_rows=400)
    logits = np.log(probabilities / (1 - probabilities))
    own = sum(truth.effects[name][place] for name, place in positions.items())
    pairs = sum(truth.interaction(axis, positions) for axis in truth.layout.axes)
    np.testing.assert_allclose(logits[:200], (truth.layout.bias + own + pairs)[:200], rtol=1e-9)
    np.testing.assert_allclose(logits[200:], (truth.layout.bias - own + pairs)[200:], rtol=1e-9)
    late, early = (truth.probabilities(positions, np.full(400, negated)) for negated in (True, False))
    assert np.mean(np.abs(late - early)) > 0.2


@pytest.mark.parametrize("seed", SEEDS)
def test_base_rate_and_bayes_auc_of_the_halves_are_about_the_same(seed):
    _, _, probabilities, labels = drawn(seed)
    early, late = slice(30_000), slice(30_000, None)
    rates = [labels[half].mean() for half in (early, late)]
    aucs = [sample.rank_auc(labels[half], probabilities[half]) for half in (early, late)]
    assert abs(rates[0] - rates[1]) < 0.02
    assert min(aucs) > 0.8
    assert abs(aucs[0] - aucs[1]) < 0.02


@pytest.mark.parametrize("seed", SEEDS)
def test_what_was_best_before_the_middle_is_worse_than_chance_after_it(seed):
    truth, positions, _, labels = drawn(seed)
    frozen = truth.probabilities(positions, np.zeros(60_000, bool))
    assert sample.rank_auc(labels[:30_000], frozen[:30_000]) > 0.8
    assert sample.rank_auc(labels[30_000:], frozen[30_000:]) < 0.46
    alone = sum(truth.effects[name][place] for name, place in positions.items())  # all that one weight a value can hold
    assert sample.rank_auc(labels[30_000:], alone[30_000:]) < 0.3


def test_the_truth_stands_in_the_name_and_the_info_of_the_file(tmp_path):
    lines, info = lines_of(tmp_path, "drift", rows=600)
    path = tmp_path / "criteo-drift-600-5.tsv"
    assert sample.SampleInfo.read(path) == info
    assert (info.layout, info.rows, info.truth) == ("criteo", 600, "drift")
    truth = sample.true_probabilities("criteo", rows=600, seed=5, truth="drift")
    assert info.bayes_auc == sample.rank_auc(lines[:, 0] == "1", truth)
    assert sample.place("criteo", rows=600, seed=5) == Path("criteo-600-5.tsv")


def test_the_manifest_holds_the_truth(rectrain, tmp_path):
    code, _, err = rectrain("prepare", "data=criteo", "data.sample.rows=2000", "data.sample.truth=drift")
    assert code == 0, err
    (manifest,) = (tmp_path / "data/prepared").glob("*/manifest.json")
    assert json.loads(manifest.read_text(encoding="utf-8"))["sample"]["truth"] == "drift"


@pytest.mark.parametrize(
    ("layout", "truth", "said"),
    [
        (
            "criteo",
            "drfit",
            r"'drfit': the layout criteo has no choice of truths but drift\. Set .*truth=null or drift\.",
        ),
        ("avazu", "drift", r"'drift': the layout avazu has no choice of truths\. Set data\.sample\.truth=null\."),
    ],
)
def test_another_truth_or_layout_is_refused(tmp_path, layout, truth, said):
    with pytest.raises(InputError, match=rf"data\.sample\.truth={said}"):
        sample.write(layout, tmp_path / "x", rows=5, seed=1, truth=truth)
    assert not list(tmp_path.iterdir())
