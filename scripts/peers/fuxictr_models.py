"""DCN-V2 and DeepFM of FuxiCTR's own layers: its wheel holds the layers and the training loop, not the models."""

import torch
from fuxictr.pytorch.layers import CrossNetV2, FactorizationMachine, FeatureEmbedding, MLP_Block
from fuxictr.pytorch.models import BaseModel


class Ranker(BaseModel):
    """What both models share: embeddings, training settings, and a probability made of the logit."""

    def __init__(self, feature_map, *, settings: dict):
        super().__init__(feature_map, **settings)
        self.embedding_layer = FeatureEmbedding(feature_map, settings["embedding_dim"])
        self.assemble(feature_map, settings)
        self.compile(settings["optimizer"], settings["loss"], settings["learning_rate"])
        self.reset_parameters()
        self.model_to_device()

    def forward(self, inputs):
        features = self.get_inputs(inputs)
        vectors_BFD = self.embedding_layer(features, flatten_emb=False)
        return {"y_pred": self.output_activation(self.logit(features, vectors_BFD))}


class DCNv2(Ranker):
    def assemble(self, feature_map, settings: dict):
        width, units = feature_map.sum_emb_out_dim(), settings["hidden_units"]
        self.cross = CrossNetV2(width, settings["num_crosses"])
        self.deep = MLP_Block(width, units, "relu")
        self.head = torch.nn.Linear(width + units[-1], 1)

    def forward(self, inputs):
        x = self.embedding_layer(self.get_inputs(inputs), flatten_emb=True)
        return {"y_pred": self.output_activation(self.head(torch.cat([self.cross(x), self.deep(x)], dim=-1)))}


class DeepFM(Ranker):
    def assemble(self, feature_map, settings: dict):
        self.fm = FactorizationMachine(feature_map)
        self.deep = MLP_Block(feature_map.sum_emb_out_dim(), settings["hidden_units"], "relu", output_dim=1)

    def logit(self, features, vectors_BFD):
        return self.fm(features, vectors_BFD) + self.deep(vectors_BFD.flatten(start_dim=1))
