"""FuxiCTR's preprocessor on raw rows: vocabularies, ids, numbers scaled to [0, 1], written as Parquet.

python scripts/peers/prepare_fuxictr.py RAW.csv
"""

import sys
import tempfile
import time

import common
from common import CATEGORICAL, LABEL, NUMERIC
from fuxictr.preprocess import FeatureProcessor, build_dataset


def main(raw: str):
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        prepare(raw, folder)
    common.report(seconds=time.perf_counter() - started)


def prepare(raw: str, folder: str):
    numbers = {"dtype": "float", "type": "numeric", "fill_na": 0, "normalizer": "MinMaxScaler"}
    categories = {"dtype": "str", "type": "categorical", "fill_na": ""}
    columns = [{"name": NUMERIC, "active": True, **numbers}, {"name": CATEGORICAL, "active": True, **categories}]
    settings = {"data_root": folder, "dataset_id": "raw", "data_format": "csv", "min_categr_count": 1}
    label = {"name": LABEL, "dtype": "float"}
    processor = FeatureProcessor(feature_cols=columns, label_col=label, **settings)
    build_dataset(processor, train_data=raw, **settings)


if __name__ == "__main__":
    main(sys.argv[1])
