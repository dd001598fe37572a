"""Bad rows of a stream that may be read again after a stop: none is counted twice."""

import re
from pathlib import Path

from rectrain.data.bad_rows import BadRows
from rectrain.data.blocks import Block
from rectrain.data.readers.rows import STANDARD_INPUT, shown

_PLACE = re.compile(r", (?:line|row) (\d+)")


class Quarantine(BadRows):
    def __init__(self, limit: int, path: Path, marks: dict):
        """marks: what `marks` gave when the run that goes on was saved, {} for a new one."""
        super().__init__(limit, path, marks.get("count", 0))
        self._path = path
        self._lines: dict[str, int] = dict(marks.get("lines", {}))  # last one of each file that did not parse
        self._rows: dict[str, int] = dict(marks.get("rows", {}))  # last one of each file that parsed and was wrong
        for last in (self._lines, self._rows):
            last.pop(_key(STANDARD_INPUT), None)  # it does not come again
        if path.exists():
            with path.open("r+b") as file:
                file.truncate(min(marks.get("bytes", 0), path.stat().st_size))

    def add(self, path: Path, line: int, row: bytes, why: str):
        if line > self._lines.get(_key(path), 0):
            self._lines[_key(path)] = line
            super().add(path, line, row, why)

    def add_parsed(self, block: Block, message: str):
        """A block of one row, whose cells could be told apart, but not used."""
        if block.first_row <= self._rows.get(_key(block.path), -1):
            return
        self._rows[_key(block.path)] = block.first_row
        place, name = block.place(0), shown(block.path)
        found = _PLACE.match(place.removeprefix(str(name)))
        line = block.first_row + 1 if found is None else int(found[1])
        cells = {column: values[0].as_py() for column, values in block.columns.items()}
        super().add(name, line, repr(cells).encode(), message.removeprefix(f"{place}: "))

    def marks(self) -> dict:
        num_bytes = self._path.stat().st_size if self._path.exists() else 0
        return {"count": self.count, "bytes": num_bytes, "lines": dict(self._lines), "rows": dict(self._rows)}


def _key(path: Path) -> str:
    """The same however a file is named."""
    name = shown(path)
    return str(name if name == shown(STANDARD_INPUT) else name.resolve())
