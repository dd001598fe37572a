"""One part of one stage of a preparation: which files are its own, what is done already, and what must be first."""

import contextlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rectrain.config import StageConfig
from rectrain.data import manifest, row_counts
from rectrain.data.blocks import Block
from rectrain.data.columns import Want
from rectrain.data.passes import RawFile
from rectrain.data.recipe import Recipe
from rectrain.data.stage_files import SUFFIX, StageFiles
from rectrain.errors import InputError
from rectrain.plain_files import read_json

_SHOWN = 5  # names in a message


@dataclass(frozen=True)
class Job:
    recipe: Recipe
    config: StageConfig
    files: StageFiles

    @property
    def stage(self) -> str:
        return str(self.config.stage)

    def say(self, text: str):
        part = f" part {self.config.part} of {self.config.parts}" if self.config.parts > 1 else ""
        self.recipe.raw.say(f"{self.stage}{part}: {text}")

    def begin(self):
        """Makes the folder of the stages in the first of them.

        Raises:
            InputError: in another one it is not there, or is that of other raw files.
        """
        if self.files.key.exists():
            return
        first = "count" if row_counts.are_needed(self.recipe.data) else "fit"
        changed = self._changed()
        if self.stage not in ("count", first):
            raise InputError(f"prepare.stage={self.stage}: {changed or self._not_begun(first)}")
        if changed is not None:
            self.say(f"begins anew, as {changed}")
        self.files.path.mkdir(exist_ok=True)
        self.files.put_key(json.dumps(self.recipe.key, indent=1, ensure_ascii=False))

    def _not_begun(self, first: str) -> str:
        return (
            f"no stage of this data set was run in data.prepared_dir={self.recipe.folder.parent}. Begin with "
            f"prepare.stage={first}. All stages need the same settings of data, and on every machine that folder and "
            "the same paths of raw files."
        )

    def _changed(self) -> str | None:
        """Which raw files are not those of stages that were run with the same settings before."""
        folders = self.recipe.folder.parent.glob(f"*{SUFFIX}/{self.files.key.name}")
        for path in sorted(folders, key=lambda path: path.stat().st_mtime, reverse=True):
            with contextlib.suppress(OSError, ValueError, TypeError, LookupError):
                before = read_json(path)
                if {**before, "sources": None} == {**self.recipe.key, "sources": None}:
                    names = _different(before["sources"], self.recipe.key["sources"])
                    return (
                        f"raw files (data.files) changed since the stages in {path.parent}: {_listed(names)}. Put them "
                        "back as they were, or run all stages again and remove that folder."
                    )
        return None

    @cached_property
    def _part_of_file(self) -> list[int]:
        """Neighbours are in one part, from 1; all parts have about as many bytes."""
        sizes = [source["size"] for source in self.recipe.key["sources"][: len(self.recipe.raw.all)]]
        middles = [2 * end - size for end, size in zip(itertools.accumulate(sizes), sizes, strict=True)]
        return [1 + middle * self.config.parts // (2 * sum(sizes)) for middle in middles]

    @cached_property
    def own(self) -> list[RawFile]:
        """The files of this part; none where there are fewer files than parts."""
        return [file for file in self.recipe.raw.all if self._part_of_file[file.index] == self.config.part]

    def undone(self) -> list[RawFile]:
        """The files of this part that the stage has still to do."""
        found = self.files.missing(self.stage, self.own)
        self.say_share(len(self.own), len(self.recipe.raw.all), "files", len(found))
        return found

    def say_share(self, own: int, total: int, what: str, undone: int):
        """How much of the work is this part's, and how much of that is left."""
        before = f", {own - undone} of them done before" if undone < own else ""
        self.say(f"{own} of {total} {what}{before}" if own else f"has none of {total} {what}")

    def by_file(self, wants: list[Want], title: str, files: list[RawFile]) -> Iterator[tuple[RawFile, Iterator[Block]]]:
        """Each file with its blocks.

        Raises:
            InputError: a file lacks a column, or was written to meanwhile.
        """
        self.recipe.raw.check(wants, files)
        for file, found in itertools.groupby(self.recipe.raw.blocks(wants, title, files), key=lambda found: found[0]):
            yield file, (block for _, _, block in found)
            self.check_unchanged(file)

    def check_unchanged(self, file: RawFile):
        if manifest.source_files({file.split: [file.path]}) != [self.recipe.key["sources"][file.index]]:
            raise InputError(f"{file.path} changed while it was read. Run all stages again when it is whole.")

    def keep(self, file: RawFile, arrays: dict[str, np.ndarray]):
        """What the stage has found in a file."""
        self.check_unchanged(file)
        self.files.put_file(self.stage, file, arrays)

    def check_done(self, stage: str):
        """Raises InputError where a file has not been through an earlier stage, and names the parts to run."""
        missing = self.files.missing(stage, self.recipe.raw.all)
        if missing:
            parts = sorted({self._part_of_file[file.index] for file in missing})
            number = self.config.parts
            those = f" (prepare.part={_listed(map(str, parts))} of prepare.parts={number})" if number > 1 else ""
            raise InputError(
                f"prepare.stage={self.stage} needs prepare.stage={stage} of all files; {len(missing)} of "
                f"{len(self.recipe.raw.all)} are missing{those}: {_listed(str(file.path) for file in missing)}. Run it "
                "first."
            )

    def say_next(self, stage: str):
        """How many files are done, and what comes when all are."""
        num_files, num_left = len(self.recipe.raw.all), len(self.files.missing(self.stage, self.recipe.raw.all))
        self.say(f"{num_files - num_left} of {num_files} files are done" + ("" if num_left else f"; next: {stage}"))


def _different(before: list[dict], now: list[dict]) -> list[str]:
    was, are = ({source["path"]: source for source in sources} for sources in (before, now))
    return [path for path in sorted(was | are) if was.get(path) != are.get(path)] or ["their order"]


def _listed(names) -> str:
    names = list(names)
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
