"""Bad rows of a stream that may be read again after a stop: none is counted twice."""

from pathlib import Path

from rectrain.data.bad_rows import BadRows


class Quarantine(BadRows):
    def __init__(self, limit: int, path: Path, marks: dict):
        """marks: what `marks` gave when the run that goes on was saved, {} for a new one."""
        super().__init__(limit, path, marks.get("count", 0))
        self._path = path
        self._lines: dict[str, int] = dict(marks.get("lines", {}))  # last one of each file
        if path.exists():
            with path.open("r+b") as file:
                file.truncate(marks.get("bytes", 0))

    def add(self, path: Path, line: int, row: bytes, why: str):
        if line > self._lines.get(str(path), 0):
            self._lines[str(path)] = line
            super().add(path, line, row, why)

    def add_parsed(self, path: Path, row: int, cells: dict, why: str):
        """A row whose cells could be told apart, but not used."""
        super().add(path, row, repr(cells).encode(), why)

    def marks(self) -> dict:
        num_bytes = self._path.stat().st_size if self._path.exists() else 0
        return {"count": self.count, "bytes": num_bytes, "lines": dict(self._lines)}
