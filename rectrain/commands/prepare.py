"""rectrain prepare: raw files to prepared parquet."""

from rectrain.console import say
from rectrain.data.prepare import prepare
from rectrain.sections import prepare_config


def run(raw: dict):
    """Prepares the dataset of a composed config.

    Raises:
        InputError: the config or the raw files are wrong.
    """
    prepared = prepare(prepare_config(raw).data, say=say)
    rows = ", ".join(f"{split} {n:,}" for split, n in prepared.manifest["rows"].items())
    say(f"{prepared.folder}: {rows} rows")
