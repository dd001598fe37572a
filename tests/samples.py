"""Small schemas, batches and configs that several tests share."""

from pathlib import Path

import numpy as np
from omegaconf import OmegaConf

from rectrain.config import DataConfig, parse
from rectrain.schema import Categorical, MultiValued, Numeric, Schema

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


def batch(schema: Schema, rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Random rows of the packed batch; multi-valued features are ragged, the first row of each is empty."""
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
    return packed


def data_config(*overrides, **sections) -> DataConfig:
    """configs/data/criteo.yaml over data_defaults.yaml, with `sections` merged into `data` (a feature group whole)."""
    base, criteo = (OmegaConf.load(CONFIGS / name) for name in ("data_defaults.yaml", "data/criteo.yaml"))
    data = OmegaConf.to_container(OmegaConf.merge(base.data, criteo, OmegaConf.from_dotlist(list(overrides))))
    for name, section in sections.items():
        data[name] = {**data[name], **section} if isinstance(section, dict) and data[name] else section
    return parse(DataConfig, data, "data")
