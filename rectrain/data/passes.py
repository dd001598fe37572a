"""One pass over the raw files: blocks in the order of files and rows, each with the index of its first row."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from rectrain import registry
from rectrain.config import FormatConfig
from rectrain.data import reading
from rectrain.data.blocks import Block
from rectrain.data.columns import Want, check_header, kinds
from rectrain.data.threads import ahead
from rectrain.progress import Progress


@dataclass(frozen=True)
class RawFile:
    """index: its place among all files.  split: the split it was named for, or "all"."""

    index: int
    split: str
    path: Path


@dataclass(frozen=True)
class RawFiles:
    """The raw files of a dataset: split -> paths, or "all" -> paths where a split is not a matter of files."""

    files: dict[str, list[Path]]
    format: FormatConfig
    say: Callable[[str], object]

    @cached_property
    def all(self) -> list[RawFile]:
        pairs = [(split, path) for split, paths in self.files.items() for path in paths]
        return [RawFile(index, split, path) for index, (split, path) in enumerate(pairs)]

    def check(self, wants: list[Want], files: Sequence[RawFile] | None = None):
        """Raises InputError where one of `files` (None: all) lacks a column."""
        for file in self.all if files is None else files:
            check_header(wants, reading.column_names(file.path, self.format), file.path)

    def companions(self) -> list[Path]:
        """Files beside the raw ones that the reader joins to their rows."""
        if "companions" not in registry.functions("data/readers", self.format.reader):
            return []
        companions = registry.load("data/readers", self.format.reader, "companions")
        return sorted({path for raw in self.all for path in companions(raw.path)})

    def count_rows(self, file: RawFile) -> int:
        return registry.load("data/readers", self.format.reader, "count_rows")(file.path, self.format)

    def blocks(
        self, wants: list[Want], title: str, files: Sequence[RawFile] | None = None
    ) -> Iterator[tuple[RawFile, int, Block]]:
        """(file, index of the block's first row over all that are read, block).

        Args:
            files: which are read; None: all.
        """
        files, columns = self.all if files is None else files, kinds(wants)
        num_rows = 0
        with Progress(title, sum(file.path.stat().st_size for file in files), self.say) as progress:
            for file in files:
                for block in ahead(reading.read(file.path, columns, self.format, advance=progress.advance)):
                    yield file, num_rows, block
                    num_rows += block.num_rows
                    progress.add_rows(block.num_rows)
