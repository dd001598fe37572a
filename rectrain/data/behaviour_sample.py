"""Built-in samples of event logs, in the raw layouts of MovieLens (ratings.csv and movies.csv), Amazon and Taobao.

Users are drawn with a number of events each and a stretch of time; then all of them take one step after another
together. In MovieLens' layout the probability of each like is known: behaviour_truths.py gives the formula. Amazon's
and Taobao's hold what users chose, by interests of their own; there negatives are sampled, so there is no best score.

Items stand in clusters of ITEMS_PER_CLUSTER, Zipf-like within a cluster. Names mean nothing.

Letters: N events, U users.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from rectrain.data.behaviour_truths import DAY_S, TRUTHS, Interests, Recipe, Sizes, sigmoid, some_clusters

ITEMS_PER_CLUSTER = 50
QUALITY = 0.4  # standard deviation of an item's own effect, on the logit scale
START = 1_500_000_000  # unix seconds
LIKES, OTHERS = (4.0, 4.5, 5.0), (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5)  # ratings
FOLLOW_UPS = {"cart": 0.06, "fav": 0.03, "buy": 0.02}  # chance of each after a page view of an interest


@dataclass(frozen=True)
class DrawnLog:
    """The files of a sample, and what is known about the rows of its log.

    labels: bool (N,).  probabilities: float64 (N,), of a 1. Both null where negatives are to be sampled.
    """

    log: bytes
    side_files: dict[str, bytes]
    labels: np.ndarray | None = None
    probabilities: np.ndarray | None = None


@dataclass(frozen=True)
class Catalogue:
    """Items of all clusters: item k is of cluster k // ITEMS_PER_CLUSTER, the popular ones first."""

    num_clusters: int
    ids: np.ndarray  # int, what files call the item
    quality: np.ndarray

    @staticmethod
    def draw(num_clusters: int, rng: np.random.Generator) -> "Catalogue":
        num_items = num_clusters * ITEMS_PER_CLUSTER
        return Catalogue(num_clusters, 1 + rng.permutation(num_items), rng.normal(0, QUALITY, num_items))

    def choose(self, clusters: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """An item of each of the clusters, int (N,)."""
        weights = 1 / (np.arange(ITEMS_PER_CLUSTER) + 2.0)
        ranks = np.searchsorted(np.cumsum(weights) / weights.sum(), rng.random(len(clusters)), side="right")
        return clusters * ITEMS_PER_CLUSTER + np.minimum(ranks, ITEMS_PER_CLUSTER - 1)


@dataclass(frozen=True)
class Calendar:
    """How many events each user has and when: users with more events first, the events of each one after another."""

    lengths: np.ndarray  # int (U,), falling
    times: np.ndarray  # int (N,), unix seconds, rising for each user

    @staticmethod
    def draw(num_rows: int, sizes: Sizes, rng: np.random.Generator) -> "Calendar":
        lengths = _lengths(num_rows, sizes.num_events, rng)
        shortest, longest = np.log(sizes.spans)
        span = np.exp(rng.uniform(shortest, longest, len(lengths))) * sizes.days * DAY_S
        start = rng.random(len(lengths)) * (sizes.days * DAY_S - span)
        user = np.repeat(np.arange(len(lengths)), lengths)
        gaps = np.exp(rng.normal(0, 1.2, num_rows))
        elapsed = np.cumsum(gaps)
        before = np.concatenate([[0.0], elapsed])[np.cumsum(lengths) - lengths]
        total = np.bincount(user, gaps)
        seconds = start[user] + (elapsed - before[user]) / total[user] * span[user]
        step = np.arange(num_rows) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return Calendar(lengths, START + seconds.astype(np.int64) + step)  # one second more a step: never at once

    @property
    def starts(self) -> np.ndarray:
        """Index of each user's first event."""
        return np.cumsum(self.lengths) - self.lengths

    @property
    def users(self) -> np.ndarray:
        """User of each event, int (N,)."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    def active(self, step: int) -> int:
        """How many users, the first ones, have a step of that index."""
        return int(np.count_nonzero(self.lengths > step))


def _lengths(num_rows: int, bounds: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Numbers of events that add up to num_rows, falling; the last user may have fewer than the bounds say."""
    drawn = rng.integers(bounds[0], bounds[1] + 1, size=1 + num_rows // bounds[0])
    ends = np.cumsum(drawn)
    num_users = int(np.searchsorted(ends, num_rows)) + 1
    lengths = drawn[:num_users].copy()
    lengths[-1] -= ends[num_users - 1] - num_rows
    return np.sort(lengths)[::-1]


def draw(layout: str, *, rows: int, seed: int, truth: str | None) -> DrawnLog:
    """The same arguments give the same bytes."""
    rng = np.random.default_rng(seed)
    return LAYOUTS[layout].draw(rows, rng, truth)


def _draw_movielens(num_rows: int, rng: np.random.Generator, truth: str | None) -> DrawnLog:
    assert truth is not None
    recipe = TRUTHS[truth]
    catalogue, calendar = Catalogue.draw(recipe.num_clusters, rng), Calendar.draw(num_rows, recipe, rng)
    items, labels, probabilities = _likes(recipe, catalogue, calendar, rng)
    ratings = np.where(labels, rng.choice(LIKES, num_rows), rng.choice(OTHERS, num_rows))
    order = np.argsort(calendar.times, kind="stable")
    names = 1 + rng.permutation(len(calendar.lengths))
    table = {
        "userId": names[calendar.users][order],
        "movieId": catalogue.ids[items][order],
        "rating": ratings[order],
        "timestamp": calendar.times[order],
    }
    return DrawnLog(to_csv(table, header=True), {"movies.csv": _movies(catalogue)}, labels[order], probabilities[order])


def _likes(recipe: Recipe, catalogue: Catalogue, calendar: Calendar, rng: np.random.Generator):
    """Items int (N,), whether they are liked bool (N,), and the probabilities of it float64 (N,)."""
    state = recipe.state(calendar.lengths, recipe, rng)
    items, labels, probabilities = (np.empty(len(calendar.times), kind) for kind in (np.int64, bool, np.float64))
    gaps = np.diff(calendar.times, prepend=calendar.times[0])
    for step in range(int(calendar.lengths[0])):
        num_active = calendar.active(step)
        rows = calendar.starts[:num_active] + step
        clusters = state.show(step, num_active, rng)
        items[rows] = catalogue.choose(clusters, rng)
        signal = state.signal(clusters, np.maximum(gaps[rows], 0))  # before a user's first event there is no history
        logits = recipe.low + (recipe.high - recipe.low) * signal + catalogue.quality[items[rows]]
        probabilities[rows] = sigmoid(logits)
        labels[rows] = rng.random(num_active) < probabilities[rows]
        state.remember(clusters, labels[rows])
    return items, labels, probabilities


def genre_name(cluster: int) -> str:
    return f"Genre {cluster:02}"


def _movies(catalogue: Catalogue) -> bytes:
    """movies.csv; a comma in each title, and every third movie has a second genre that means nothing."""
    lines = ["movieId,title,genres"]
    for k in np.argsort(catalogue.ids).tolist():
        genres = [genre_name(k // ITEMS_PER_CLUSTER)] + ["Other"] * (k % 3 == 0)
        lines.append(f'{catalogue.ids[k]},"Movie {catalogue.ids[k]}, The ({1950 + k % 60})",{"|".join(genres)}')
    return ("\n".join(lines) + "\n").encode()


REVIEWS = Sizes(num_clusters=30, num_events=(5, 25), days=700, spans=(0.2, 0.9))  # of Amazon's sample
VIEWS = Sizes(num_clusters=60, num_events=(20, 120), days=9, spans=(0.5, 1.0))  # of Taobao's


def _chosen_items(sizes: Sizes, catalogue: Catalogue, calendar: Calendar, rng: np.random.Generator) -> np.ndarray:
    """What each user takes by interest, int (N,)."""
    num_users = len(calendar.lengths)
    clusters = some_clusters(num_users, 3, sizes, rng)
    interests = Interests(clusters, sizes.num_clusters, stay=0.6, wander=0.15)
    items = np.empty(len(calendar.times), np.int64)
    for step in range(int(calendar.lengths[0])):
        num_active = calendar.active(step)
        items[calendar.starts[:num_active] + step] = catalogue.choose(interests.next(num_active, rng), rng)
    return items


def _draw_amazon(num_rows: int, rng: np.random.Generator, truth: str | None) -> DrawnLog:
    catalogue, calendar = Catalogue.draw(REVIEWS.num_clusters, rng), Calendar.draw(num_rows, REVIEWS, rng)
    names = catalogue.ids[_chosen_items(REVIEWS, catalogue, calendar, rng)].astype(str)
    starts = [*calendar.starts.tolist(), num_rows]
    users = rng.permutation(len(calendar.lengths))
    lines = [f"{i + 1} {' '.join(names[starts[user] : starts[user + 1]])}\n" for i, user in enumerate(users.tolist())]
    attributes = json.dumps(_attributes(catalogue)).encode()
    return DrawnLog("".join(lines).encode(), {"Sample_item2attributes.json": attributes})


def _attributes(catalogue: Catalogue) -> dict[str, list[int]]:
    """Brand (of every second item), department and category: five categories make a department."""
    table = {}
    for k in np.argsort(catalogue.ids).tolist():
        cluster = k // ITEMS_PER_CLUSTER
        brand = [1_000 + cluster * 7 + k % 7] if k % 2 else []
        table[str(catalogue.ids[k])] = [*brand, 1 + cluster // 5, 100 + cluster]
    return table


def _draw_taobao(num_rows: int, rng: np.random.Generator, truth: str | None) -> DrawnLog:
    """Page views, some of them followed a moment later by more; the first num_rows of all in the order of time."""
    catalogue, calendar = Catalogue.draw(VIEWS.num_clusters, rng), Calendar.draw(num_rows, VIEWS, rng)
    items, users = _chosen_items(VIEWS, catalogue, calendar, rng), calendar.users
    events = [(users, items, np.full(num_rows, "pv"), calendar.times)]
    for behaviour, chance in FOLLOW_UPS.items():
        followed = np.flatnonzero(rng.random(num_rows) < chance)
        later = calendar.times[followed] + rng.integers(1, 60, followed.size)
        events.append((users[followed], items[followed], np.full(followed.size, behaviour), later))
    user, item, behaviours, times = (np.concatenate(column) for column in zip(*events, strict=True))
    order = np.argsort(times, kind="stable")[:num_rows]
    table = {
        "user": 1 + user[order],
        "item": catalogue.ids[item[order]],
        "category": 1_000 + item[order] // ITEMS_PER_CLUSTER,
        "behaviour": behaviours[order],
        "time": times[order],
    }
    return DrawnLog(to_csv(table, header=False), {})


def to_csv(columns: dict[str, np.ndarray], *, header: bool) -> bytes:
    sink = pa.BufferOutputStream()
    if header:
        sink.write((",".join(columns) + "\n").encode())
    options = pa_csv.WriteOptions(include_header=False, quoting_style="none")
    pa_csv.write_csv(pa.table({name: pa.array(values) for name, values in columns.items()}), sink, options)
    return sink.getvalue().to_pybytes()


@dataclass(frozen=True)
class LogLayout:
    file: str  # name of the log
    draw: Callable[[int, np.random.Generator, str | None], DrawnLog]
    truths: tuple[str, ...]  # () where the labels depend on sampled negatives


LAYOUTS = {
    "movielens": LogLayout("ratings.csv", _draw_movielens, tuple(TRUTHS)),
    "amazon": LogLayout("Sample.txt", _draw_amazon, ()),
    "taobao": LogLayout("UserBehavior.csv", _draw_taobao, ()),
}
