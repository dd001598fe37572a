"""What lies where in a run directory."""

import contextlib
import itertools
import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rectrain.errors import InputError

_DATED = re.compile(r"/\d{4}-\d\d-\d\d/\d\d-\d\d-\d\d_[^/]+(/\d+)?$")  # as hydra.run.dir and sweep.dir in configs/
_CLAIM = ".claimed"


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
    def vocabularies(self) -> Path:
        """Those of the prepared data, so that new raw rows can be scored where these are not."""
        return self.path / "vocab"

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

    def scores(self, split: str) -> Path:
        """What the best weights say of each row of a split that was reported."""
        return self.path / f"scores-{split}.parquet"

    @property
    def is_dated(self) -> bool:
        """Whether it is called as Hydra calls folders that the user did not name."""
        return _DATED.search(self.path.as_posix()) is not None

    def check_may_begin(self, section: str, *, resume: bool):
        """
        Args:
            section: of the config, which runs of this command alone have.
        Raises:
            InputError: a run has begun here before; with `resume`, one of another command.
        """
        if not self.config.exists():
            return
        if not resume:
            raise InputError(
                f"{self.path} holds a run already ({self.config.name}). Name another folder with hydra.run.dir=DIR "
                "(hydra.sweep.dir=DIR for a sweep), go on with it by resume=true, or remove this one."
            )
        if f"\n{section}:" not in f"\n{self.config.read_text(encoding='utf-8')}":
            raise InputError(
                f"resume=true: {self.path} holds a run of another command (its {self.config.name} has no section "
                f"{section}). Name another folder with hydra.run.dir=DIR."
            )

    def check_is_run(self):
        """Raises InputError where no run has begun."""
        if not self.config.is_file():
            what = "it has no config.yaml" if self.path.is_dir() else "there is no such folder"
            raise InputError(
                f"run={self.path}: {what}; expected the folder of a run, such as outputs/DATE/TIME_dcn_criteo."
            )

    def begin(self, config_yaml: str, schema_json: str, prepared: Path | None):
        """Makes the folder a run's; where that fails it is left as it was.

        Args:
            prepared: folder of the prepared data; None: the run reads raw files, whose values it hashes.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            if prepared is not None and (prepared / self.vocabularies.name).is_dir():
                _link_files(prepared / self.vocabularies.name, self.vocabularies)
            write_whole(self.schema, schema_json)
            write_whole(self.config, config_yaml)
        except OSError:
            self.schema.unlink(missing_ok=True)
            shutil.rmtree(self.vocabularies, ignore_errors=True)
            raise

    def report_failure(self, error: str, overrides: list[str]):
        """A report of a job of a sweep that came to nothing, unless it wrote one itself or the disk is full."""
        if not self.report.exists():
            report = {"status": "failed", "error": error, "overrides": overrides}
            with contextlib.suppress(OSError):
                write_whole(self.report, json.dumps(report, indent=1))

    def check_is_training(self):
        """Raises InputError where no run of `rectrain train` has begun."""
        self.check_is_run()
        if "\nonline:" in f"\n{self.config.read_text(encoding='utf-8', errors='replace')}":
            raise InputError(
                f"run={self.path} is a run of rectrain online, which has no checkpoints of a training. `rectrain "
                "export` makes a model of it that scores raw columns."
            )

    def claimed(self) -> "RunDir":
        """This folder, which was named by the clock; or one beside it, where another run took it in the same second.

        `discard_if_empty` ends the claim.
        """
        for number in itertools.count(1):
            path = self.path if number == 1 else self.path.with_name(f"{self.path.name}-{number}")
            path.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                (path / _CLAIM).touch(exist_ok=False)
                if not RunDir(path).config.exists():
                    return RunDir(path)
                (path / _CLAIM).unlink()
        raise AssertionError

    def discard_if_empty(self):
        """Removes the dated folders that Hydra made where nothing was written: bad input leaves no trace.

        A folder that the user named may have been there before, empty as it is; it stays.
        """
        if not self.is_dated:
            return
        (self.path / _CLAIM).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # rmdir refuses a folder that holds anything
            for folder in (self.path, *self.path.parents[:2]):  # outputs/<date>/<time>_...
                folder.rmdir()


def runs_in(folder: Path, key: str = "runs") -> list[Path]:
    """The folder of a run itself, or all runs below it, in the order of their numbers.

    Args:
        key: of the config, for the message.
    Raises:
        InputError: there is none.
    """
    found = {
        path.parent for name in (RunDir(folder).report.name, RunDir(folder).config.name) for path in folder.rglob(name)
    }
    if folder in found:
        return [folder]
    if not found:
        raise InputError(f"{key}: {folder} is no folder of a run or a sweep: no {RunDir(folder).report.name} in it.")
    return sorted(found, key=lambda path: [(len(part), part) for part in path.relative_to(folder).parts])


def _link_files(source: Path, target: Path):
    """The files of a folder once more: the same bytes on disk where one file system holds both, else a copy."""
    target.mkdir(exist_ok=True)
    for path in source.iterdir():
        there = target / path.name
        there.unlink(missing_ok=True)
        try:
            there.hardlink_to(path)
        except OSError:  # another file system, or one without links
            shutil.copyfile(path, there)


def write_whole(path: Path, text: str):
    """Writes `path` under a temporary name and renames it: it is whole or as it was."""
    fill_whole(path, lambda aside: aside.write_text(text, encoding="utf-8"))


def fill_whole(path: Path, write: Callable[[Path], object]):
    """The same for a file that `write` fills."""
    aside = path.with_name(f".{path.name}.part")
    try:
        write(aside)
        to_disk(aside)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def to_disk(path: Path):
    """Waits until what was written to a file, or the names in a folder, would outlive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
