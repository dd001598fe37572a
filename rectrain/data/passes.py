"""One pass over the raw files: blocks in the order of files and rows, each with the index of its first row."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rectrain import registry
from rectrain.config import FormatConfig
from rectrain.data.blocks import Block
from rectrain.data.columns import Want, check_header, kinds
from rectrain.data.threads import ahead
from rectrain.progress import Progress


@dataclass(frozen=True)
class RawFiles:
    """The raw files of a dataset: split -> paths, or "all" -> paths where a split is not a matter of files."""

    files: dict[str, list[Path]]
    format: FormatConfig
    say: Callable[[str], object]

    def check(self, wants: list[Want]):
        """Raises InputError where a file lacks a column."""
        column_names = self._reader("column_names")
        for path in self._paths():
            check_header(wants, column_names(path, self.format), path)

    def companions(self) -> list[Path]:
        """Files beside the raw ones that the reader joins to their rows."""
        if "companions" not in registry.functions("data/readers", self.format.reader):
            return []
        return sorted({path for raw in self._paths() for path in self._reader("companions")(raw)})

    def count_rows(self) -> int:
        self.say(f"counting rows of {self._paths()[0]}{' and other files' if len(self._paths()) > 1 else ''}")
        count_rows = self._reader("count_rows")
        return sum(count_rows(path, self.format) for path in self._paths())

    def blocks(self, wants: list[Want], title: str) -> Iterator[tuple[str, int, Block]]:
        """(key of `files`, index of the block's first row over all files, block)."""
        read, columns = self._reader("read"), kinds(wants)
        num_rows = 0
        with Progress(title, sum(path.stat().st_size for path in self._paths()), self.say) as progress:
            for split, paths in self.files.items():
                for path in paths:
                    for block in ahead(read(path, columns, self.format, advance=progress.advance)):
                        yield split, num_rows, block
                        num_rows += block.num_rows
                        progress.add_rows(block.num_rows)

    def _paths(self):
        return [path for paths in self.files.values() for path in paths]

    def _reader(self, function):
        return registry.load("data/readers", self.format.reader, function)
