"""A built-in sample of impressions, clicks and conversions in Ali-CCP's layout, whose clicked rows are no fair sample.

Users ask, and each of their requests shows a few items. Values of columns have one number e each, random, of mean 0 and
standard deviation 1 over the column (a missing value is one value more). A user's columns and an item's are the same in
all rows. A history holds some of what its user took an interest in; a row whose item has a value of it hits it, and
has the feature that combines the two. With

    u = (e_121 + e_126) / sqrt(2)        i = (e_207 + e_216) / sqrt(2)        hit_h = 1 where history h is hit, else 0

    P_k = sigmoid(  bias_k + sum over columns c of own_kc e_c + product_k u i + sum over histories h of hits_kh hit_h  )

where k = 1 is the click and k = 2 the conversion given a click, which is drawn in clicked rows and is 0 in all others.
The category (206) decides clicks more than all else: some categories are nearly never clicked, and these convert best,
as its two weights have opposite signs. So the conversion rate of clicked rows is far below what it would be if all rows
were clicked, and of some categories they hold next to none; that these are rarely clicked, all impressions tell. Other
columns than those of CLICK, CONVERSION and the two factors tell nothing.

What a sample tells of itself (SampleInfo) has room for the best AUC of a single label, and a report writes it beside
each task: here it stays null. `ali_ccp_truth` gives both probabilities of every row.

Letters: N rows, R requests, U users, I items, V values of one column.
"""

import math
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rectrain.data.behaviour_sample import DrawnLog, LogLayout, to_csv
from rectrain.data.behaviour_truths import sigmoid
from rectrain.data.planted import draw_positions, standardize

NUM_USERS, NUM_ITEMS = 5_000, 3_000
REQUEST_ROWS = (4, 16)  # least and most impressions of a request
KEPT = 0.8  # chance that an interest of the user is in the history of a request
SOH, STX, ETX = "\x01", "\x02", "\x03"
WEIGHTS = np.array(["0.69315", "1.09861", "1.38629"])  # of the features of a history; they mean nothing


@dataclass(frozen=True)
class Column:
    """A field with one value a row. The k-th of the V values has the share 1 / (k + 2), and is missing for the last."""

    field: str
    num_values: int
    first: int  # id of the first value; the others count up
    missing: float = 0.0

    def shares(self) -> np.ndarray:
        weights = 1 / (np.arange(self.num_values) + 2.0)
        return np.append(weights * ((1 - self.missing) / weights.sum()), self.missing)


USER_COLUMNS = (
    Column("121", 98, first=3_438_658),
    Column("122", 14, first=3_438_756, missing=0.02),
    Column("124", 2, first=3_438_769, missing=0.05),
    Column("125", 7, first=3_438_772, missing=0.03),
    Column("126", 3, first=3_438_779, missing=0.4),
    Column("127", 3, first=3_438_782, missing=0.5),
    Column("128", 2, first=3_864_885),
    Column("129", 4, first=3_864_887, missing=0.3),
)
ITEM_COLUMNS = (
    Column("206", 60, first=8_316_799),
    Column("207", 400, first=8_327_000),
    Column("210", 150, first=9_041_000),
    Column("216", 250, first=9_202_000, missing=0.15),
)
POSITION = Column("301", 3, first=9_351_665)
SECOND_INTENTION = 0.3  # share of items that have two features of field 210; the second means nothing


@dataclass(frozen=True)
class History:
    """What of an item's column its users took an interest in before."""

    field: str
    column: Column
    combination: str  # field of the feature that a row has which hits the history
    first: int  # id of the combination's first value
    num_interests: float  # of a user, about


HISTORIES = (
    History("109_14", ITEM_COLUMNS[0], "508", first=9_355_000, num_interests=8),
    History("110_14", ITEM_COLUMNS[1], "509", first=9_360_000, num_interests=10),
    History("127_14", ITEM_COLUMNS[3], "702", first=9_470_000, num_interests=12),
    History("150_14", ITEM_COLUMNS[2], "853", first=9_530_000, num_interests=6),
)
WITHOUT_HISTORY = 0.05  # share of users that have none

USER_FACTOR, ITEM_FACTOR = ("121", "126"), ("207", "216")


@dataclass(frozen=True)
class Label:
    """Weights on the logit scale."""

    bias: float
    own: dict[str, float]  # of e of a column
    product: float
    hits: dict[str, float]  # of hitting a history

    def probabilities(self, numbers: dict[str, np.ndarray], hit: dict[str, np.ndarray]) -> np.ndarray:
        """float64 (N,). numbers: e of each column, float (N,).  hit: of each history, bool (N,)."""
        logits = self.bias + self.product * _factor(numbers, USER_FACTOR) * _factor(numbers, ITEM_FACTOR)
        logits += sum(weight * numbers[column] for column, weight in self.own.items())
        return sigmoid(logits + sum(weight * hit[history] for history, weight in self.hits.items()))


def _factor(numbers: dict[str, np.ndarray], columns: tuple[str, ...]) -> np.ndarray:
    """float (N,)."""
    return np.sum([numbers[column] for column in columns], axis=0) / math.sqrt(len(columns))


CLICK = Label(-2.9, own={"206": 1.8, "301": 0.5, "125": 0.4}, product=0.6, hits={"109_14": 0.8, "110_14": 0.4})
CONVERSION = Label(-1.6, own={"206": -1.0, "210": 0.5, "126": 0.4}, product=0.9, hits={"109_14": 0.4, "127_14": 0.8})


@dataclass(frozen=True)
class World:
    """What does not depend on the number of rows."""

    numbers: dict[str, np.ndarray]  # e of each column's values, float (V + 1,)
    users: dict[str, np.ndarray]  # positions of their values, int (U,)
    interests: dict[str, np.ndarray]  # by history, bool (U, V + 1); never the missing value
    items: dict[str, np.ndarray]  # positions of their values, int (I,)
    second_intentions: np.ndarray  # positions of values of 210, int (I,); missing for most

    @staticmethod
    def draw(rng: np.random.Generator) -> "World":
        numbers = {}
        for column in (*USER_COLUMNS, *ITEM_COLUMNS, POSITION):
            shares = column.shares()
            numbers[column.field] = standardize(rng.standard_normal(len(shares)), shares)
        return World(
            numbers,
            users={c.field: draw_positions(c.shares(), NUM_USERS, rng) for c in USER_COLUMNS},
            interests=_interests(rng),
            items={c.field: draw_positions(c.shares(), NUM_ITEMS, rng) for c in ITEM_COLUMNS},
            second_intentions=_second_intentions(rng),
        )


def _interests(rng: np.random.Generator) -> dict[str, np.ndarray]:
    has_history = rng.random((NUM_USERS, 1)) >= WITHOUT_HISTORY
    found = {}
    for history in HISTORIES:
        chance = np.minimum(history.num_interests * history.column.shares(), 0.5)
        chance[-1] = 0.0
        found[history.field] = has_history & (rng.random((NUM_USERS, len(chance))) < chance)
    return found


def _second_intentions(rng: np.random.Generator) -> np.ndarray:
    column = ITEM_COLUMNS[2]
    drawn = draw_positions(column.shares(), NUM_ITEMS, rng)
    return np.where(rng.random(NUM_ITEMS) < SECOND_INTENTION, drawn, column.num_values)


@dataclass(frozen=True)
class Rows:
    """Impressions in the order of the file, the rows of a request together."""

    world: World
    users: np.ndarray  # int (R,)
    histories: dict[str, np.ndarray]  # bool (R, V + 1)
    requests: np.ndarray  # int (N,), rising
    items: np.ndarray  # int (N,)
    hit: dict[str, np.ndarray]  # by history, bool (N,)
    positions: np.ndarray  # int (N,), of the values of 301
    ctr: np.ndarray  # float64 (N,), P(click)
    cvr: np.ndarray  # float64 (N,), P(conversion given a click)
    clicks: np.ndarray  # bool (N,)
    conversions: np.ndarray  # bool (N,)
    rng: np.random.Generator  # of what else the files hold

    def item_values(self, column: Column) -> np.ndarray:
        """Positions of values of an item's column, int (N,)."""
        return self.world.items[column.field][self.items]


def draw_rows(num_rows: int, rng: np.random.Generator) -> Rows:
    """The world depends on the generator's seed and not on the number of rows."""
    world_rng, rng = rng.spawn(2)
    world = World.draw(world_rng)
    requests = _requests(num_rows, rng)
    users = rng.integers(NUM_USERS, size=requests[-1] + 1)
    histories = {name: _remembered(of_user[users], rng) for name, of_user in world.interests.items()}
    items = draw_positions(_popularity(), num_rows, rng)
    positions = draw_positions(POSITION.shares(), num_rows, rng)
    values = {name: of_user[users[requests]] for name, of_user in world.users.items()}
    values |= {name: of_item[items] for name, of_item in world.items.items()} | {POSITION.field: positions}
    numbers = {name: world.numbers[name][at] for name, at in values.items()}
    hit = {h.field: histories[h.field][requests, values[h.column.field]] for h in HISTORIES}
    ctr, cvr = (label.probabilities(numbers, hit) for label in (CLICK, CONVERSION))
    clicks = rng.random(num_rows) < ctr
    conversions = clicks & (rng.random(num_rows) < cvr)
    return Rows(world, users, histories, requests, items, hit, positions, ctr, cvr, clicks, conversions, rng)


def _requests(num_rows: int, rng: np.random.Generator) -> np.ndarray:
    """The request of each row, int (N,), rising; the last one may have fewer rows than REQUEST_ROWS says."""
    least, most = REQUEST_ROWS
    lengths = rng.integers(least, most + 1, size=1 + num_rows // least)
    return np.repeat(np.arange(lengths.size), lengths)[:num_rows]


def _popularity() -> np.ndarray:
    """Shares of the items, float (I,)."""
    weights = 1 / (np.arange(NUM_ITEMS) + 50.0)
    return weights / weights.sum()


def _remembered(interests: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Which interests are in the history of each request; both bool (R, V + 1)."""
    kept = interests.copy()
    kept[interests] = rng.random(np.count_nonzero(interests)) < KEPT
    return kept


def ali_ccp_truth(seed: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """What the labels of the sample of layout ali_ccp were drawn with.

    Args:
        seed, rows: `data.sample.seed` and `data.sample.rows`.
    Returns:
        P(click) and P(conversion given a click) of every impression, clicked or not, each float64 (N,), in the order of
        the rows of the skeleton; P(click and conversion) is their product.
    """
    drawn = draw_rows(rows, np.random.default_rng(seed))
    return drawn.ctr, drawn.cvr


def draw(layout: str, *, rows: int, seed: int, truth: str | None) -> DrawnLog:
    """The same arguments give the same bytes."""
    return LAYOUTS[layout].draw(rows, np.random.default_rng(seed), truth)


def _draw(num_rows: int, rng: np.random.Generator, truth: str | None) -> DrawnLog:
    rows = draw_rows(num_rows, rng)
    keys = _keys(rows.users.size)
    shuffled = pa.array(rows.rng.permutation(rows.users.size))
    common = {"key": keys, **_counted(_common_features(rows))}
    skeleton = {
        "sample": np.arange(1, num_rows + 1),
        "click": rows.clicks.astype(np.int8),
        "conversion": rows.conversions.astype(np.int8),
        "key": keys.take(pa.array(rows.requests)),
        **_counted(_skeleton_features(rows)),
    }
    common_file = to_csv({name: values.take(shuffled) for name, values in common.items()}, header=False)
    return DrawnLog(to_csv(skeleton, header=False), {"common_features_train.csv": common_file})


def _keys(num_requests: int) -> pa.Array:
    """16 hexadecimal digits, distinct: an odd factor maps 64 bits one to one."""
    return pa.array([f"{(k + 1) * 0x9E3779B97F4A7C15 % 2**64:016x}" for k in range(num_requests)])


def _counted(parts: list[pa.Array]) -> dict[str, pa.Array]:
    """The end of a line, of parts of its feature list, each string (N,), null where a row lacks it."""
    lists = pc.binary_join_element_wise(*parts, SOH, null_handling="skip")
    return {"num_features": pc.add(pc.count_substring(lists, SOH), 1), "features": lists}


def _common_features(rows: Rows) -> list[pa.Array]:
    """Parts of the feature lists of requests, each string (R,)."""
    users = [_features("101", 1, NUM_USERS).take(pa.array(rows.users))]
    users += [_column_features(c, rows.world.users[c.field][rows.users]) for c in USER_COLUMNS]
    return users + [_history_features(history, rows) for history in HISTORIES]


def _skeleton_features(rows: Rows) -> list[pa.Array]:
    """Parts of the feature lists of impressions, each string (N,)."""
    items = [_features("205", 4_000_000, NUM_ITEMS).take(pa.array(rows.items))]
    items += [_column_features(column, rows.item_values(column)) for column in ITEM_COLUMNS]
    second = _column_features(ITEM_COLUMNS[2], rows.world.second_intentions[rows.items])
    return [*items, second, *(_combinations(h, rows) for h in HISTORIES), _column_features(POSITION, rows.positions)]


def _features(field: str, first: int, num_values: int, weight: str = "1.0") -> pa.Array:
    """The feature of each value, string (V + 1,); null, the last, where it is missing."""
    return pa.array([*(f"{field}{STX}{first + k}{ETX}{weight}" for k in range(num_values)), None])


def _column_features(column: Column, values: np.ndarray) -> pa.Array:
    return _features(column.field, column.first, column.num_values).take(pa.array(values))


def _combinations(history: History, rows: Rows) -> pa.Array:
    """The feature of item and history together, string (N,); null where the history is not hit."""
    missing = history.column.num_values
    values = np.where(rows.hit[history.field], rows.item_values(history.column), missing)
    return _features(history.combination, history.first, missing).take(pa.array(values))


def _history_features(history: History, rows: Rows) -> pa.Array:
    """All features of a history, string (R,); null where there are none."""
    request, values = np.nonzero(rows.histories[history.field])
    ids = _features(history.field, history.column.first, history.column.num_values, weight="")
    weights = pa.array(rows.rng.choice(WEIGHTS, values.size))
    features = pc.binary_join_element_wise(ids.take(pa.array(values)), weights, "")
    bounds = np.searchsorted(request, np.arange(rows.users.size + 1))
    joined = pc.binary_join(pa.ListArray.from_arrays(pa.array(bounds, pa.int32()), features), SOH)
    return pc.if_else(pc.equal(joined, ""), None, joined)


LAYOUTS = {"ali_ccp": LogLayout("sample_skeleton_train.csv", _draw, ())}
