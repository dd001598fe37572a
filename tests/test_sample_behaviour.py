"""Samples of event logs: the files say what their truth says, the scores are those of a recount by hand."""

import csv
import io
import json
import math
from collections import Counter, defaultdict

import numpy as np
import pytest

from rectrain.config import FormatConfig
from rectrain.data import behaviour_sample, behaviour_truths, sample
from rectrain.data.readers import amazon, movielens
from rectrain.errors import InputError

TRUTHS = list(behaviour_truths.TRUTHS)
ALL = [*(("movielens", truth) for truth in TRUTHS), ("amazon", None), ("taobao", None)]
RECIPES = behaviour_truths.TRUTHS


def written(folder, layout, truth, rows=6000, seed=5):
    path = folder / sample.place(layout, rows=rows, seed=seed, truth=truth)
    return path, sample.write(layout, path, rows=rows, seed=seed, truth=truth)


def files_of(path):
    return {file.name: file.read_bytes() for file in path.parent.iterdir()}


def events_of(log: bytes, catalogue: bytes) -> list[dict]:
    """Rows of ratings.csv in order, with the cluster of each movie."""
    movies = csv.DictReader(io.StringIO(catalogue.decode()))
    genre = {movie["movieId"]: movie["genres"].split("|")[0] for movie in movies}
    return [row | {"cluster": genre[row["movieId"]]} for row in csv.DictReader(io.StringIO(log.decode()))]


def signals(truth: str, events: list[dict]) -> list[float]:
    """The signal of each event by the docstring's formula, from the likes of its user before it."""
    likes, found = defaultdict(list), []
    for event in events:
        history, cluster, now = likes[event["userId"]], event["cluster"], int(event["timestamp"])
        if truth == "attention":
            related = sum(math.exp(-(now - time) / 86_400) for c, time in history if c == cluster)
            found.append(1 - math.exp(-related))
        elif truth == "order":
            related = sum(0.5**after for after, (c, _) in enumerate(reversed(history)) if c == cluster)
            found.append(1 - math.exp(-related))
        else:
            found.append(min(sum(c == cluster for c, _ in history[:-50]), 12) / 12)
        if float(event["rating"]) >= 4:
            history.append((cluster, now))
    return found


@pytest.fixture(scope="module")
def drawn():
    return {truth: behaviour_sample.draw("movielens", rows=30_000, seed=3, truth=truth) for truth in TRUTHS}


@pytest.mark.parametrize(("layout", "truth"), ALL)
def test_same_arguments_give_the_same_bytes_and_another_seed_others(tmp_path, layout, truth):
    first, again = (files_of(written(tmp_path / name, layout, truth)[0]) for name in "ab")
    other_path = written(tmp_path, layout, truth, seed=6)[0]
    assert first == again
    assert first[other_path.name] != other_path.read_bytes()


@pytest.mark.parametrize(("layout", "truth"), ALL)
@pytest.mark.parametrize("rows", [1, 2, 777])
def test_a_sample_has_as_many_rows_as_were_asked_for(tmp_path, layout, truth, rows):
    path, info = written(tmp_path, layout, truth, rows=rows)
    reader = {"movielens": movielens, "amazon": amazon}.get(layout)
    lines = path.read_text().splitlines()
    assert (reader.count_rows(path, FormatConfig(reader=layout)) if reader else len(lines)) == rows
    assert (info.rows, info.truth) == (rows, truth)


@pytest.mark.parametrize("truth", TRUTHS)
def test_probabilities_follow_the_formula_from_likes_before(drawn, truth):
    log, recipe = drawn[truth], RECIPES[truth]
    events = events_of(log.log, log.side_files["movies.csv"])
    logits = np.log(log.probabilities / (1 - log.probabilities))
    quality = logits - recipe.low - (recipe.high - recipe.low) * np.array(signals(truth, events))
    by_item = defaultdict(list)
    for event, value in zip(events, quality, strict=True):
        by_item[event["movieId"]].append(value)
    assert max(np.ptp(values) for values in by_item.values()) < 1e-9, "one number an item is left"
    assert np.std([values[0] for values in by_item.values()]) == pytest.approx(0.4, abs=0.03)


@pytest.mark.parametrize("truth", TRUTHS)
def test_ratings_of_four_and_more_are_the_likes_and_come_at_their_probabilities(drawn, truth):
    log = drawn[truth]
    events = events_of(log.log, log.side_files["movies.csv"])
    np.testing.assert_array_equal([float(event["rating"]) >= 4 for event in events], log.labels)
    assert log.labels.mean() == pytest.approx(log.probabilities.mean(), abs=0.01)
    assert 0.25 < log.labels.mean() < 0.45
    for low, high in [(0.1, 0.3), (0.3, 0.5), (0.5, 0.9)]:
        inside = (log.probabilities >= low) & (log.probabilities < high)
        assert log.labels[inside].mean() == pytest.approx(log.probabilities[inside].mean(), abs=0.03)


@pytest.mark.parametrize("truth", TRUTHS)
def test_events_are_in_order_of_time_and_no_user_has_two_at_once(drawn, truth):
    events = events_of(drawn[truth].log, drawn[truth].side_files["movies.csv"])
    times = [int(event["timestamp"]) for event in events]
    assert times == sorted(times)
    assert max(Counter((event["userId"], event["timestamp"]) for event in events).values()) == 1
    least, most = RECIPES[truth].num_events
    lengths = sorted(Counter(event["userId"] for event in events).values())
    assert lengths[1] >= least
    assert lengths[-1] <= most


def test_attention_is_not_to_be_had_from_the_share_of_related_likes(drawn):
    log = drawn["attention"]
    share, likes = [], defaultdict(list)
    for event in events_of(log.log, log.side_files["movies.csv"]):
        newest = likes[event["userId"]][-50:]
        share.append(newest.count(event["cluster"]) / max(len(newest), 1))
        if float(event["rating"]) >= 4:
            likes[event["userId"]].append(event["cluster"])
    bayes = sample.rank_auc(log.labels, log.probabilities)
    assert bayes - sample.rank_auc(log.labels, np.array(share)) > 0.03
    assert bayes > 0.78


def test_order_is_not_to_be_had_from_the_time_since_the_newest_related_like(drawn):
    log = drawn["order"]
    since, newest = [], {}
    for event in events_of(log.log, log.side_files["movies.csv"]):
        key, now = (event["userId"], event["cluster"]), int(event["timestamp"])
        since.append(-(now - newest.get(key, 0)))
        if float(event["rating"]) >= 4:
            newest[key] = now
    bayes = sample.rank_auc(log.labels, log.probabilities)
    assert bayes - sample.rank_auc(log.labels, np.array(since)) > 0.03
    assert bayes > 0.75


def test_the_newest_fifty_likes_tell_nothing_of_a_long_history_and_the_older_ones_much(drawn):
    log = drawn["long"]
    events, likes = events_of(log.log, log.side_files["movies.csv"]), defaultdict(list)
    recent, older, late = [], [], np.arange(len(events)) >= 0.9 * len(events)
    for event in events:
        history, cluster = likes[event["userId"]], event["cluster"]
        recent.append(history[-50:].count(cluster))
        older.append(history[:-50].count(cluster))
        if float(event["rating"]) >= 4:
            history.append(cluster)
    recent, older = (np.array(counts, float)[late] for counts in (recent, older))
    labels = log.labels[late]
    assert sample.rank_auc(labels, older) - sample.rank_auc(labels, recent) > 0.1
    assert sample.rank_auc(labels, log.probabilities[late]) > 0.7


@pytest.mark.parametrize("truth", TRUTHS)
def test_info_holds_the_scores_of_the_true_probabilities(tmp_path, truth):
    path, info = written(tmp_path, "movielens", truth, rows=3000)
    probabilities = sample.true_probabilities("movielens", rows=3000, seed=5, truth=truth)
    labels = np.array([float(line.split(",")[2]) >= 4 for line in path.read_text().splitlines()[1:]])
    logloss = -np.mean([math.log(p if y else 1 - p) for y, p in zip(labels, probabilities, strict=True)])
    assert info.bayes_auc == sample.rank_auc(labels, probabilities)
    assert info.bayes_logloss == pytest.approx(logloss, abs=1e-12)
    assert info.base_rate == labels.mean()
    assert sample.SampleInfo.read(path) == info
    assert path.parent.name == f"movielens-{truth}-3000-5"


@pytest.mark.parametrize("layout", ["amazon", "taobao"])
def test_a_log_that_needs_negatives_has_no_best_score(tmp_path, layout):
    path, info = written(tmp_path, layout, None)
    assert (info.bayes_auc, info.bayes_logloss, info.base_rate) == (None, None, None)
    assert sample.true_probabilities(layout, rows=50, seed=5) is None
    assert path.parent.name == f"{layout}-6000-5"


def test_amazon_has_lists_with_brands_departments_and_categories(tmp_path):
    path, _ = written(tmp_path, "amazon", None)
    kinds = dict.fromkeys(["user", "item", "category", "subcategory", "brand"], "text")
    blocks = list(amazon.read(path, kinds, FormatConfig(reader="amazon")))
    values = {name: [v for block in blocks for v in block.columns[name].to_pylist()] for name in kinds}
    assert set(values["category"]) == {str(i) for i in range(1, 7)}
    assert set(values["subcategory"]) == {str(100 + i) for i in range(30)}
    assert 0.3 < values["brand"].count("unknown") / 6000 < 0.7
    assert interest(values["user"], values["subcategory"]) > 0.5


def test_taobao_has_four_behaviours_in_order_of_time(tmp_path):
    rows = [line.split(",") for line in written(tmp_path, "taobao", None)[0].read_text().splitlines()]
    users, items, categories, behaviours, times = zip(*rows, strict=True)
    assert Counter(behaviours).keys() == {"pv", "cart", "fav", "buy"}
    assert behaviours.count("pv") > 5000
    assert list(times) == sorted(times)
    assert len(set(zip(items, categories, strict=True))) == len(set(items)), "one category an item"
    assert interest(users, categories) > 0.5


def interest(users, categories) -> float:
    """Share of events in the three categories that their user has most."""
    by_user = defaultdict(Counter)
    for user, category in zip(users, categories, strict=True):
        by_user[user][category] += 1
    return sum(n for counts in by_user.values() for _, n in counts.most_common(3)) / len(users)


@pytest.mark.parametrize(
    ("layout", "truth", "said"),
    [
        ("movielens", None, r"data\.sample\.truth=null: expected attention, order, long"),
        ("movielens", "atention", r"data\.sample\.truth='atention': expected attention"),
        ("taobao", "long", r"data\.sample\.truth='long': the layout taobao has no choice"),
        ("criteo", "long", r"data\.sample\.truth='long': the layout criteo has no choice"),
    ],
)
def test_a_truth_that_the_layout_does_not_have_is_refused(tmp_path, layout, truth, said):
    with pytest.raises(InputError, match=said):
        sample.place(layout, rows=5, seed=1, truth=truth)
    with pytest.raises(InputError, match=said):
        sample.write(layout, tmp_path / "x", rows=5, seed=1, truth=truth)
    assert not list(tmp_path.iterdir())


def test_the_files_beside_the_log_are_there_before_it(tmp_path, monkeypatch):
    replaced = []
    monkeypatch.setattr(sample.os, "replace", lambda source, target: replaced.append(target.name))
    written(tmp_path, "movielens", "long", rows=10)
    written(tmp_path, "amazon", None, rows=10)
    assert replaced == [
        *("movies.csv", "ratings.csv.info.json", "ratings.csv"),
        *("Sample_item2attributes.json", "Sample.txt.info.json", "Sample.txt"),
    ]


def test_a_sample_of_one_file_has_no_folder_of_its_own():
    assert str(sample.place("criteo", rows=5, seed=1)) == "criteo-5-1.tsv"
    assert str(sample.place("avazu", rows=5, seed=1)) == "avazu-5-1.csv"


def test_attributes_name_every_item(tmp_path):
    path, _ = written(tmp_path, "amazon", None)
    table = json.loads(path.with_name("Sample_item2attributes.json").read_text())
    items = {item for line in path.read_text().splitlines() for item in line.split()[1:]}
    assert items <= table.keys()
