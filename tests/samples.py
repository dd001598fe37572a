"""Small schemas, batches and configs that several tests share."""

import dataclasses
from pathlib import Path

import numpy as np
from omegaconf import OmegaConf

from rectrain.config import DataConfig, parse
from rectrain.schema import Categorical, History, MultiValued, Numeric, Schema, Step

CONFIGS = Path(__file__).parents[1] / "configs"


def schema(*, numeric=2, multi_valued=True, crosses=True, labels=("click",)) -> Schema:
    """Three categorical features of unequal sizes, optional numeric, multi-valued and crossed ones."""
    categorical = (Categorical("a", 5, 0, {}), Categorical("b", 3, 5, {}), Categorical("c", 7, 8, {}))
    tags = (MultiValued("tags", 6, 15, 4, {}),) if multi_valued else ()
    rows = 21 if multi_valued else 15
    return Schema(
        name="toy",
        categorical=categorical,
        numeric=tuple(Numeric(f"n{i}", {}) for i in range(numeric)),
        multi_valued=tags,
        crosses=(Categorical("a_x_b", 11, rows, {}),) if crosses else (),
        labels=tuple(labels),
    )


def with_histories(*, gaps=True, action=True, lists=False, roles=("short", "long", "hits"), **kinds) -> Schema:
    """As `schema`, with a short history, a long one and hits; steps are of "c" (the item) and "a" (its category).

    The crosses make room for rows of the gap (4) and of the action (3). With `lists` there is a second short history
    of "c" alone.
    """
    plain = schema(**kinds)
    offset = plain.num_embedding_rows
    c, a = plain.categorical[2], plain.categorical[0]
    steps = [Step("c", "c", c.num_rows, c.offset), Step("a", "a", a.num_rows, a.offset)]
    if gaps:
        steps.append(Step("gap", None, 4, offset))
    if action:
        steps.append(Step("action", None, 3, offset + 4 * gaps))
    lengths = {"history": ("short", 5), "long": ("long", 9), "hits": ("hits", 3)}
    histories = [History(name, role, length, tuple(steps)) for name, (role, length) in lengths.items() if role in roles]
    if lists:
        histories.append(History("seen", "short", 2, tuple(steps[:1]), from_log=False))
    moved = tuple(dataclasses.replace(cross, offset=offset + 4 * gaps + 3 * action) for cross in plain.crosses)
    return dataclasses.replace(plain, crosses=moved, histories=tuple(histories))


def batch(schema: Schema, rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Random rows of the packed batch; multi-valued features and histories are ragged, the first row of each empty."""
    rng = np.random.default_rng(seed)
    packed = {}
    columns = (*schema.categorical, *schema.crosses)
    if columns:
        ids = [f.offset + rng.integers(0, f.num_rows, rows) for f in columns]
        packed["categorical"] = np.stack(ids, axis=1).astype("int32")
    if schema.numeric:
        packed["numeric"] = rng.normal(size=(rows, len(schema.numeric))).astype("float32")
    for f in schema.multi_valued:
        lengths = rng.integers(0, f.max_length + 1, rows) * (np.arange(rows) > 0)
        valid = np.arange(f.max_length) < lengths[:, None]
        packed[f.name] = (f.offset + rng.integers(1, f.num_rows, valid.shape) * valid).astype("int32")
        packed[f"{f.name}_valid"] = valid
    for h in schema.histories:
        lengths = rng.integers(0, h.max_length + 1, rows) * (np.arange(rows) > 0)
        packed |= history(h, lengths, rng)
    return packed


def history(history: History, lengths, rng) -> dict[str, np.ndarray]:
    """Random steps of one history, as many a row as `lengths` says, padded to the longest row and at least to 1."""
    valid = np.arange(max(1, *lengths, 1)) < np.asarray(lengths)[:, None]
    packed = {f"{history.name}_valid": valid}
    for step in history.steps:
        ids = step.offset + rng.integers(1, step.num_rows, valid.shape) * valid
        packed[f"{history.name}_{step.name}"] = ids.astype("int32")
    return packed


def padded(schema: Schema, batch: dict[str, np.ndarray], extra: int) -> dict[str, np.ndarray]:
    """The same rows with `extra` more steps of padding in each history, in which anything may stand."""
    rng = np.random.default_rng(3)
    more = dict(batch)
    for h in schema.histories:
        name = f"{h.name}_valid"
        more[name] = np.pad(batch[name], ((0, 0), (0, extra)))
        for step in h.steps:
            ids = np.pad(batch[f"{h.name}_{step.name}"], ((0, 0), (0, extra)))
            garbage = step.offset + rng.integers(0, step.num_rows, ids.shape)
            more[f"{h.name}_{step.name}"] = np.where(more[name], ids, garbage).astype("int32")
    return more


def data_config(*overrides, **sections) -> DataConfig:
    """configs/data/criteo.yaml over data_defaults.yaml, with `sections` merged into `data` (a feature group whole)."""
    base, criteo = (OmegaConf.load(CONFIGS / name) for name in ("data_defaults.yaml", "data/criteo.yaml"))
    data = OmegaConf.to_container(OmegaConf.merge(base.data, criteo, OmegaConf.from_dotlist(list(overrides))))
    for name, section in sections.items():
        data[name] = {**data[name], **section} if isinstance(section, dict) and data[name] else section
    return parse(DataConfig, data, "data")
