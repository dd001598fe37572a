"""DIN of FuxiCTR's own attention layer, on the rows of make_history_data.py.

    python scripts/peers/run_fuxictr_din.py DATA [--steps N]

Width 16, attention [64] with Dice over [q, k, q - k, q * k] of (item, category), MLP 128-64: the recipe that FuxiCTR
gives for MovieLens. Item and category share the tables of their histories.
"""

import argparse
import json
import tempfile
from pathlib import Path

import common
import numpy as np
import torch
from fuxictr.features import FeatureMap
from fuxictr.pytorch.dataloaders import RankDataLoader
from fuxictr.pytorch.layers import DIN_Attention, FeatureEmbeddingDict, MLP_Block
from fuxictr.pytorch.models import BaseModel
from fuxictr.pytorch.torch_utils import seed_everything
from run_fuxictr import DATASET, settings, timed, train

ATTENTION_UNITS, HIDDEN_UNITS = [64], [128, 64]


class DIN(BaseModel):
    def __init__(self, feature_map, item: str, category: str, *, settings: dict):
        super().__init__(feature_map, **settings)
        width = settings["embedding_dim"]
        self.item, self.category = item, category
        self.embeddings = FeatureEmbeddingDict(feature_map, width)
        self.attention = DIN_Attention(2 * width, ATTENTION_UNITS, hidden_activations="Dice")
        fields = len(feature_map.features) - 2
        self.deep = MLP_Block((fields + 2) * width, HIDDEN_UNITS, "ReLU", output_dim=1)
        self.compile(settings["optimizer"], settings["loss"], settings["learning_rate"])
        self.reset_parameters()
        self.model_to_device()

    def forward(self, inputs):
        features = self.get_inputs(inputs)
        vectors = self.embeddings(features)
        query = torch.cat([vectors[self.item], vectors[self.category]], dim=-1)
        histories = [f"history_{self.item}", f"history_{self.category}"]
        keys = torch.cat([vectors[name] for name in histories], dim=-1)
        pooled = self.attention(query, keys, features[histories[0]] > 0)
        fields = [vector for name, vector in vectors.items() if name not in histories]
        return {"y_pred": self.output_activation(self.deep(torch.cat([*fields, pooled], dim=-1)))}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--steps", type=int, default=30)
    arguments = parser.parse_args()
    seed_everything(common.SEED)
    rows = common.table_rows(arguments.data)
    names = [f"C{i + 1}" for i in range(len(rows))]
    item, category = names[-1], names[-2]
    with tempfile.TemporaryDirectory() as folder:
        features = feature_map(Path(folder), dict(zip(names, rows, strict=True)), [item, category], arguments.data)
        model = DIN(features, item, category, settings=settings(folder))
        clock = timed(model, arguments.steps)
        loading = {"stage": "train", "data_format": "npz", "batch_size": common.BATCH_SIZE}
        train(model, RankDataLoader(features, train_data=str(arguments.data / "ids.npz"), **loading)[0])
    parameters = sum(p.numel() for p in model.parameters())
    common.report(parameters=parameters, table_rows=sum(rows), **clock.figures())


def feature_map(folder: Path, rows: dict[str, int], stepped: list[str], data: Path) -> FeatureMap:
    with np.load(data / "ids.npz") as columns:
        length = columns[f"history_{stepped[0]}"].shape[1]
    single = [{n: {"source": "", "type": "categorical", "padding_idx": 0, "vocab_size": r}} for n, r in rows.items()]
    sequences = [
        {
            f"history_{n}": {
                "source": "",
                "type": "sequence",
                "padding_idx": 0,
                "vocab_size": rows[n],
                "max_len": length,
                "share_embedding": n,
                "feature_encoder": None,
            }
        }
        for n in stepped
    ]
    described = {
        "dataset_id": DATASET,
        "total_features": sum(rows.values()),
        "input_length": len(rows) + 2 * length,
        "labels": ["label"],
        "features": single + sequences,
    }
    file = folder / "feature_map.json"
    file.write_text(json.dumps(described), encoding="utf-8")
    features = FeatureMap(DATASET, str(folder))
    features.load(str(file), {"embedding_dim": common.EMBEDDING_DIM})
    return features


if __name__ == "__main__":
    main()
