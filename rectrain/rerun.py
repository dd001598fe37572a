"""rectrain rerun=DIR/report.json: the config of a training run as the one that Hydra starts from."""

import json
from importlib import resources
from pathlib import Path

from rectrain.errors import InputError

KEY = "rerun="
CONFIG_NAME = "rerun"


def write_config(report: Path, folder: Path):
    """Writes the config of a report into `folder`, as a YAML file for Hydra.

    Its keys can be overridden; options of groups, as `model=fm`, cannot be chosen again.

    Raises:
        InputError: the file is not the report of a training run.
    """
    import yaml  # comes with OmegaConf

    config = _config(report)
    train = yaml.safe_load(resources.files("rectrain.configs").joinpath("train.yaml").read_text(encoding="utf-8"))
    of_hydra = [entry for entry in train["defaults"] if isinstance(entry, dict) and "hydra" in next(iter(entry))]
    made = {"defaults": ["base", "_self_", *of_hydra], **_literal(config), "resume": False, "hydra": train["hydra"]}
    (folder / f"{CONFIG_NAME}.yaml").write_text(yaml.safe_dump(made, sort_keys=False), encoding="utf-8")


def refuse_groups(words: list[str]):
    """Raises InputError where a word of the command line chooses an option of a group."""
    folder = resources.files("rectrain.configs")
    for word in words:
        if folder.joinpath(word.partition("=")[0].lstrip("+~")).is_dir():
            raise InputError(
                f"{word}: with {KEY}... there are no groups left to choose from. Override single keys, as "
                "trainer.epochs=2, or start from the options as the first run did."
            )


def _config(report: Path) -> dict:
    try:
        config = json.loads(report.read_text(encoding="utf-8"))["config"]
        config["trainer"]  # a run of another command has none
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{KEY}{report}: expected the report.json of a training run, which holds its config ({error!r})."
        ) from error
    return config


def _literal(value):
    """The same value, in which OmegaConf finds nothing to interpolate."""
    if isinstance(value, dict):
        return {key: _literal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_literal(item) for item in value]
    return value.replace("${", "\\${") if isinstance(value, str) else value
