"""rectrain prepare: raw files to prepared parquet."""

from rectrain.config import DataConfig
from rectrain.console import say
from rectrain.data.manifest import Prepared
from rectrain.data.prepare import prepare
from rectrain.data.stages import run_stage
from rectrain.sections import prepare_config


def run(raw: dict):
    """Prepares the dataset of a composed config.

    Raises:
        InputError: the config or the raw files are wrong.
    """
    config = prepare_config(raw)
    if config.prepare.stage is None:
        _say_rows(prepare_and_say(config.data))
    elif (prepared := run_stage(config.data, config.prepare, say=say)) is not None:
        say_sample(config.data, prepared.manifest["sample"])
        _say_rows(prepared)


def _say_rows(prepared: Prepared):
    rows = ", ".join(f"{split} {n:,}" for split, n in prepared.manifest["rows"].items())
    say(f"{prepared.folder}: {rows} rows")


def prepare_and_say(data: DataConfig) -> Prepared:
    """Prepares a dataset; says so where it is the built-in sample and not the user's files."""
    prepared = prepare(data, say=say)
    say_sample(data, prepared.manifest["sample"])
    return prepared


def say_sample(data: DataConfig, sample: dict | None):
    """Says that what is read is the built-in sample, where it is."""
    if sample is not None:
        known = sample["bayes_auc"]
        truth = "" if known is None else f" with a planted truth of AUC {known:.4f}"
        say(
            f"NOTE: this is not {data.name} but the built-in sample in its layout, {sample['rows']:,} rows{truth}.\n"
            f"      For your own files: put them into {data.folder}/, or name them with data.files=..."
        )
