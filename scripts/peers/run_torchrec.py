"""TorchRec in one process: one fused table, row-wise Adagrad in its backward pass, Adam for the dense weights.

python scripts/peers/run_torchrec.py DATA [--model dcn_v2 | deepfm] [--steps N]
"""

import itertools

import common
import numpy as np
import torch
from common import CATEGORICAL, EMBEDDING_DIM
from torch import nn
from torchrec.modules.crossnet import CrossNet
from torchrec.modules.embedding_configs import EmbeddingBagConfig
from torchrec.modules.fused_embedding_modules import FusedEmbeddingBagCollection
from torchrec.optim import RowWiseAdagrad
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor


class Ranker(nn.Module):
    """DCN-V2 or DeepFM; numbers come as they are."""

    def __init__(self, name: str, rows: list[int]):
        super().__init__()
        self.tables = fused_tables(rows)
        widths = [common.NARROW, *common.HIDDEN_UNITS]
        layers = [(nn.Linear(below, above), nn.ReLU()) for below, above in itertools.pairwise(widths)]
        self.mlp = nn.Sequential(*itertools.chain.from_iterable(layers))
        self.cross = CrossNet(common.NARROW, common.NUM_CROSSES) if name == "dcn_v2" else None
        self.head = nn.Linear(widths[-1] + (common.NARROW if self.cross else 0), 1)

    def forward(self, numbers, ids):
        vectors = self.tables(ids).values()
        x = torch.cat([vectors, numbers], dim=1)
        hidden = self.mlp(x)
        if self.cross is None:
            return self.head(hidden).squeeze(1) + pairs(vectors.view(-1, len(CATEGORICAL), EMBEDDING_DIM))
        return self.head(torch.cat([self.cross(x), hidden], dim=1)).squeeze(1)


def fused_tables(rows: list[int]) -> FusedEmbeddingBagCollection:
    tables = [
        EmbeddingBagConfig(name=f"t_{c}", embedding_dim=EMBEDDING_DIM, num_embeddings=n, feature_names=[c])
        for c, n in zip(CATEGORICAL, rows, strict=True)
    ]
    settings = {"optimizer_type": RowWiseAdagrad, "optimizer_kwargs": {"lr": 1e-2}}
    return FusedEmbeddingBagCollection(tables=tables, device=torch.device("cpu"), **settings)


def pairs(vectors_BFD):
    """Sum of the inner products of all pairs of vectors, (B,)."""
    return 0.5 * (vectors_BFD.sum(1).square() - vectors_BFD.square().sum(1)).sum(1)


def main():
    arguments = common.arguments(widths=[common.NARROW])
    torch.manual_seed(common.SEED)
    rows = common.table_rows(arguments.data)
    model = Ranker(arguments.model, rows)
    dense = [p for name, p in model.named_parameters() if not name.startswith("tables.")]
    clock = train(model, torch.optim.Adam(dense, lr=common.LEARNING_RATE), arguments)
    parameters = sum(rows) * EMBEDDING_DIM + sum(p.numel() for p in dense)
    common.report(parameters=parameters, table_rows=sum(rows), **clock.figures())


def train(model: Ranker, optimizer, arguments) -> common.StepClock:
    numbers, ids, labels = common.load(arguments.data, arguments.steps * common.BATCH_SIZE)
    shuffled = np.random.default_rng(common.SEED).permutation(len(labels))
    loss_of, clock = nn.BCEWithLogitsLoss(), common.StepClock()
    for rows in np.split(shuffled, arguments.steps):
        optimizer.zero_grad()
        logits = model(torch.from_numpy(numbers[rows]), jagged(ids[rows]))
        loss = loss_of(logits, torch.from_numpy(labels[rows]))
        loss.backward()
        optimizer.step()
        clock.tick()
    return clock


def jagged(ids) -> KeyedJaggedTensor:
    """One id a row and feature."""
    values = torch.from_numpy(ids.T.astype(np.int64).reshape(-1))
    return KeyedJaggedTensor(keys=CATEGORICAL, values=values, lengths=torch.ones_like(values))


if __name__ == "__main__":
    main()
