"""What lies where in a run directory."""

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunDir:
    path: Path

    @property
    def config(self) -> Path:
        """The config as it was composed, for people and for running it again."""
        return self.path / "config.yaml"

    @property
    def schema(self) -> Path:
        return self.path / "schema.json"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def metrics(self) -> Path:
        """One JSON line an evaluation."""
        return self.path / "metrics.jsonl"

    @property
    def log(self) -> Path:
        return self.path / "train.log"

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

    @property
    def report(self) -> Path:
        return self.path / "report.json"

    def report_failure(self, error: str):
        """A report of a job of a sweep that came to nothing, unless it wrote one itself."""
        if not self.report.exists():
            write_whole(self.report, json.dumps({"status": "failed", "error": error}, indent=1))

    def discard_if_empty(self):
        """Removes the folder, and the dated one above it, where nothing was written: bad input leaves no trace."""
        with contextlib.suppress(OSError):  # rmdir refuses a folder that holds anything
            self.path.rmdir()
            self.path.parent.rmdir()


def write_whole(path: Path, text: str):
    """Writes `path` under a temporary name and renames it: it is whole or as it was."""
    aside = path.with_name(f".{path.name}.part")
    try:
        aside.write_text(text, encoding="utf-8")
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
