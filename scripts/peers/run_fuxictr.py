"""FuxiCTR on PyTorch: its layers, its `fit` with Adam and clipping, its NPZ loader (faster here than its Parquet one).

    python scripts/peers/run_fuxictr.py DATA [--model dcn_v2 | deepfm] [--width 624 | 429] [--steps N]

DCN-V2 is 624 wide as FuxiCTR has it, with a vector for each number; 429 takes the numbers as they are.
"""

import json
import tempfile
from pathlib import Path

import common
from common import CATEGORICAL, EMBEDDING_DIM, LABEL, NUMERIC
from fuxictr.features import FeatureMap
from fuxictr.pytorch.dataloaders import RankDataLoader
from fuxictr.pytorch.torch_utils import seed_everything
from fuxictr_models import DCNv2, DeepFM

MODELS = {"dcn_v2": DCNv2, "deepfm": DeepFM}
DATASET = "synthetic"


class EnoughStepsError(Exception):
    """Ends `fit` before the evaluation at the end of its epoch."""


def main():
    arguments = common.arguments(widths=[common.WIDE, common.NARROW])
    seed_everything(common.SEED)
    rows = common.table_rows(arguments.data)
    with tempfile.TemporaryDirectory() as folder:
        features = feature_map(Path(folder), rows, numeric_dim=1 if arguments.width == common.NARROW else EMBEDDING_DIM)
        model = MODELS[arguments.model](features, settings=settings(folder))
        clock = timed(model, arguments.steps)
        train(model, RankDataLoader(features, **loading(arguments.data))[0])
    parameters = sum(p.numel() for p in model.parameters())
    common.report(parameters=parameters, table_rows=sum(rows), **clock.figures())


def feature_map(folder: Path, rows: list[int], *, numeric_dim: int) -> FeatureMap:
    numbers = [{name: {"source": "", "type": "numeric", "embedding_dim": numeric_dim}} for name in NUMERIC]
    categories = [
        {name: {"source": "", "type": "categorical", "padding_idx": 0, "vocab_size": n}}
        for name, n in zip(CATEGORICAL, rows, strict=True)
    ]
    described = {
        "dataset_id": DATASET,
        "total_features": sum(rows) + len(NUMERIC),
        "input_length": len(NUMERIC) + len(CATEGORICAL),
        "labels": [LABEL],
        "features": numbers + categories,
    }
    file = folder / "feature_map.json"
    file.write_text(json.dumps(described), encoding="utf-8")
    features = FeatureMap(DATASET, str(folder))
    features.load(str(file), {"embedding_dim": EMBEDDING_DIM})
    return features


def settings(folder: str) -> dict:
    """Of model and optimizer; no regularizer."""
    return {
        "model_root": folder,
        "embedding_dim": EMBEDDING_DIM,
        "hidden_units": common.HIDDEN_UNITS,
        "num_crosses": common.NUM_CROSSES,
        "optimizer": "adam",
        "loss": "binary_crossentropy",
        "learning_rate": common.LEARNING_RATE,
        "metrics": ["AUC"],
        "verbose": 0,
    }


def loading(data: Path) -> dict:
    file = str(data / "ids.npz")
    return {"stage": "train", "data_format": "npz", "train_data": file, "batch_size": common.BATCH_SIZE}


def timed(model, num_steps: int) -> common.StepClock:
    """Makes the model tick after each step, and end after `num_steps`."""
    clock, train_step = common.StepClock(), model.train_step

    def train_step_and_tick(batch):
        loss = train_step(batch)
        clock.tick()
        if len(clock.ticks) == num_steps:
            raise EnoughStepsError
        return loss

    model.train_step = train_step_and_tick
    return clock


def train(model, batches):
    try:
        model.fit(batches, epochs=1)
    except EnoughStepsError:
        return
    raise ValueError(f"the data ends after {len(batches)} steps; ask for fewer with --steps")


if __name__ == "__main__":
    main()
