"""Deep & Cross Network, version 2: matrix crosses beside an MLP (parallel) or below it (stacked).

Source: Wang et al. 2021, "DCN V2: Improved Deep & Cross Network and Practical Lessons for Web-scale Learning to Rank
Systems", arXiv:2008.13535.
"""

import keras

from rectrain.errors import InputError, did_you_mean
from rectrain.features.embedding import flat_features
from rectrain.features.inputs import packed_inputs
from rectrain.layers.cross import MatrixCrossNetwork
from rectrain.layers.mlp import MLP, Logit
from rectrain.models.outputs import single_task
from rectrain.schema import Schema
from rectrain.tasks import Task

STRUCTURES = ("parallel", "stacked")


def build(
    schema: Schema,
    tasks: list[Task],
    *,
    embedding_dim: int,
    embedding_stddev: float,
    numeric_vectors: bool,
    num_crosses: int,
    cross_rank: int | None,
    structure: str,
    hidden_units: list[int],
    dropout: float,
    batch_norm: bool,
) -> keras.Model:
    if structure not in STRUCTURES:
        raise InputError(f"model.structure={structure!r} is unknown.{did_you_mean(structure, STRUCTURES)}")
    task = single_task(tasks)
    batch = packed_inputs(schema)
    features = flat_features(
        schema, batch, width=embedding_dim, stddev=embedding_stddev, numeric_vectors=numeric_vectors
    )
    top = MatrixCrossNetwork(num_crosses, rank=cross_rank)(features)
    if hidden_units:
        mlp = MLP(hidden_units, dropout=dropout, batch_norm=batch_norm)
        top = mlp(top) if structure == "stacked" else [top, mlp(features)]
    return keras.Model(batch, {task: Logit()(top)}, name="dcn_v2")
