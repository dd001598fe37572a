"""A run made outside of a test function, for fixtures of a whole module."""

import os
import sys
from pathlib import Path

from rectrain.cli import _main


def make_run(folder: Path, *overrides: str):
    """Trains into folder/run, with data below folder."""
    before, sys.argv = os.getcwd(), ["rectrain"]
    os.environ["HYDRA_FULL_ERROR"] = "1"
    os.chdir(folder)
    try:
        code = _main([*overrides, "hydra.run.dir=run"])
    finally:
        os.chdir(before)
    assert code == 0
