"""What the likes of a built-in MovieLens sample depend on: three truths, each about another part of a history.

Items fall into clusters, which are their genres. A user's history are the liked events so far. A candidate item i of
cluster c, shown at time t, is liked with

    P(like) = sigmoid( low + (high - low) * signal(c, history, t) + quality_i )        signal in [0, 1]

where quality_i is a small effect of the item and

    attention   signal = 1 - exp(-sum over liked events k of cluster c of exp(-(t - t_k) / RECENT_S)): how many of them
                there are and how recent they are, among the many of other clusters. Users have several interests and
                turn from one to another, so the average of a history hardly tells.
    order       signal = 1 - exp(-sum over liked events k of cluster c of ORDER_DECAY^(liked events after k)): the place
                in the order counts, not the time since, which tells little of it: some users do in an hour what
                takes others weeks.
    long        signal = min(n, ENOUGH) / ENOUGH, with n liked events of cluster c older than the newest 50. In the
                first part of their time users see what they love; later as much of decoys, each cluster shown
                inversely to its probability, so the newest 50 likes are as full of decoys as of old loves.

Letters: U users, A active users (the first of U), C clusters.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

DAY_S = 86_400
RECENT_S = DAY_S
ORDER_DECAY = 0.5
NEWEST = 50
ENOUGH = 12
NUM_SHOWN = 8  # clusters that a user of `long` is mostly shown, half of them loves and half decoys


@dataclass(frozen=True)
class Sizes:
    """Of a log. spans: shortest and longest time of a user, as fractions of the log's."""

    num_clusters: int
    num_events: tuple[int, int]  # of a user, least and most
    days: int
    spans: tuple[float, float]


@dataclass(frozen=True)
class Recipe(Sizes):
    """A truth and the log that shows it."""

    low: float  # logit where the signal is 0
    high: float  # and 1
    state: Callable  # (lengths, recipe, rng) -> what a truth remembers of its users


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


def some_clusters(num_users: int, num_chosen: int, sizes: Sizes, rng: np.random.Generator) -> np.ndarray:
    """Different clusters for each user, int (U, num_chosen)."""
    return np.argsort(rng.random((num_users, sizes.num_clusters)), axis=1)[:, :num_chosen]


class Interests:
    """Users that turn from one of their interests to another, and now and then to anything."""

    def __init__(self, clusters: np.ndarray, num_clusters: int, *, stay: float, wander: float):
        """clusters: int (U, interests).  stay: chance to go on with the interest.  wander: chance of any cluster."""
        self._clusters, self._num_clusters, self._stay, self._wander = clusters, num_clusters, stay, wander
        self._current = clusters[:, 0].copy()

    def next(self, num_active: int, rng: np.random.Generator) -> np.ndarray:
        """Cluster of the next event of each active user, int (A,)."""
        turns = rng.random(num_active) >= self._stay
        chosen = rng.integers(self._clusters.shape[1], size=num_active)
        self._current[:num_active] = np.where(
            turns, self._clusters[np.arange(num_active), chosen], self._current[:num_active]
        )
        wanders = rng.random(num_active) < self._wander
        return np.where(wanders, rng.integers(self._num_clusters, size=num_active), self._current[:num_active])


def several_interests(num_users: int, recipe: Recipe, rng: np.random.Generator) -> Interests:
    return Interests(some_clusters(num_users, 5, recipe, rng), recipe.num_clusters, stay=0.8, wander=0.3)


class Attention:
    def __init__(self, lengths: np.ndarray, recipe: Recipe, rng: np.random.Generator):
        num_users = len(lengths)
        interests = some_clusters(num_users, 5, recipe, rng)
        self._interests = Interests(interests, recipe.num_clusters, stay=0.8, wander=0.3)
        self._recent = np.zeros(
            (num_users, recipe.num_clusters)
        )  # sum of exp(-(t - t_k) / RECENT_S), at the last event

    def show(self, step: int, num_active: int, rng: np.random.Generator) -> np.ndarray:
        """Clusters of the candidates, int (A,)."""
        return self._interests.next(num_active, rng)

    def signal(self, clusters: np.ndarray, gaps_s: np.ndarray) -> np.ndarray:
        """float (A,).  gaps_s: seconds since the user's event before."""
        num_active = len(clusters)
        self._recent[:num_active] *= np.exp(-gaps_s / RECENT_S)[:, None]
        return 1 - np.exp(-self._recent[np.arange(num_active), clusters])

    def remember(self, clusters: np.ndarray, liked: np.ndarray):
        self._recent[np.flatnonzero(liked), clusters[liked]] += 1


class Order:
    def __init__(self, lengths: np.ndarray, recipe: Recipe, rng: np.random.Generator):
        self._interests = several_interests(len(lengths), recipe, rng)
        self._newest = np.zeros((len(lengths), recipe.num_clusters))  # sum of ORDER_DECAY^(liked events after it)

    def show(self, step: int, num_active: int, rng: np.random.Generator) -> np.ndarray:
        return self._interests.next(num_active, rng)

    def signal(self, clusters: np.ndarray, gaps_s: np.ndarray) -> np.ndarray:
        return 1 - np.exp(-self._newest[np.arange(len(clusters)), clusters])

    def remember(self, clusters: np.ndarray, liked: np.ndarray):
        users = np.flatnonzero(liked)
        self._newest[users] *= ORDER_DECAY
        self._newest[users, clusters[users]] += 1


class Long:
    def __init__(self, lengths: np.ndarray, recipe: Recipe, rng: np.random.Generator):
        num_users = len(lengths)
        self._recipe, self._turn = recipe, lengths * 0.55  # of the event at which decoys come in
        self._shown = some_clusters(num_users, NUM_SHOWN, recipe, rng)  # the first half are loves, the others decoys
        self._likes = np.full((num_users, int(lengths.max())), -1)  # clusters in the order of time
        self._num_likes = np.zeros(num_users, int)
        self._num_old = np.zeros((num_users, recipe.num_clusters), int)  # likes older than the newest ones

    def show(self, step: int, num_active: int, rng: np.random.Generator) -> np.ndarray:
        users = np.arange(num_active)
        shown = self._shown[:num_active]
        odds = 1 / sigmoid(self._logits(users[:, None], shown))
        early = step < self._turn[:num_active]
        odds[early] = np.arange(NUM_SHOWN) < NUM_SHOWN // 2
        cumulative = np.cumsum(odds, axis=1)
        chosen = (cumulative < rng.random(num_active)[:, None] * cumulative[:, -1:]).sum(axis=1)
        wanders = rng.random(num_active) < 0.1
        return np.where(wanders, rng.integers(self._recipe.num_clusters, size=num_active), shown[users, chosen])

    def _logits(self, users, clusters):
        signal = np.minimum(self._num_old[users, clusters], ENOUGH) / ENOUGH
        return self._recipe.low + (self._recipe.high - self._recipe.low) * signal

    def signal(self, clusters: np.ndarray, gaps_s: np.ndarray) -> np.ndarray:
        return np.minimum(self._num_old[np.arange(len(clusters)), clusters], ENOUGH) / ENOUGH

    def remember(self, clusters: np.ndarray, liked: np.ndarray):
        users = np.flatnonzero(liked)
        self._likes[users, self._num_likes[users]] = clusters[users]
        self._num_likes[users] += 1
        leaving = users[self._num_likes[users] > NEWEST]
        self._num_old[leaving, self._likes[leaving, self._num_likes[leaving] - NEWEST - 1]] += 1


TRUTHS = {
    "attention": Recipe(
        num_clusters=40, num_events=(40, 160), days=60, spans=(0.2, 0.5), low=-1.6, high=2.0, state=Attention
    ),
    "order": Recipe(
        num_clusters=40, num_events=(40, 160), days=60, spans=(0.0001, 0.5), low=-1.6, high=2.2, state=Order
    ),
    "long": Recipe(num_clusters=40, num_events=(200, 600), days=400, spans=(0.9, 1.0), low=-1.2, high=1.5, state=Long),
}
