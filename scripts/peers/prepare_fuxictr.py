"""FuxiCTR's preprocessor on raw rows: vocabularies, ids, numbers scaled to [0, 1], written as Parquet.

python scripts/peers/prepare_fuxictr.py RAW.csv
"""

import sys
import tempfile

from common import CATEGORICAL, LABEL, NUMERIC
from fuxictr.preprocess import FeatureProcessor, build_dataset


def prepare(raw: str, folder: str):
    numbers = {"dtype": "float", "type": "numeric", "fill_na": 0, "normalizer": "MinMaxScaler"}
    categories = {"dtype": "str", "type": "categorical", "fill_na": ""}
    columns = [{"name": NUMERIC, "active": True, **numbers}, {"name": CATEGORICAL, "active": True, **categories}]
    settings = {"data_root": folder, "dataset_id": "raw", "data_format": "csv", "min_categr_count": 1}
    label = {"name": LABEL, "dtype": "float"}
    processor = FeatureProcessor(feature_cols=columns, label_col=label, **settings)
    build_dataset(processor, train_data=raw, **settings)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as target:
        prepare(sys.argv[1], target)
