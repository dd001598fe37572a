"""Rows that do not parse, where some of them may be left out."""

import json
from pathlib import Path

from rectrain.errors import InputError

_MAX_WRITTEN = 1_000  # rows
_MAX_CHARACTERS = 10_000  # of a row that is written


class BadRows:
    """Rows that do not parse: counted, the first of them written to a quarantine file, until there are too many."""

    def __init__(self, limit: int, quarantine: Path, count: int = 0):
        """count: how many there were before, of a run that goes on."""
        self.count = count
        self._limit, self._quarantine = limit, quarantine

    def add(self, path: Path, line: int, row: bytes, why: str):
        """Counts a row and writes it down as one line of JSON.

        Args:
            line: number of its first line, from 1.  why: in a few words, as "41 columns; expected 40".
        Raises:
            InputError: these are too many.
        """
        if self.count < _MAX_WRITTEN:
            text = row[: 4 * _MAX_CHARACTERS].decode(errors="replace")[:_MAX_CHARACTERS]
            entry = {"file": str(path), "line": line, "why": why, "row": text}
            self._quarantine.parent.mkdir(parents=True, exist_ok=True)
            with open(self._quarantine, "a", encoding="utf-8") as file:
                file.write(json.dumps(entry, ensure_ascii=False) + "\n")
        self.count += 1
        if self.count > self._limit:
            raise InputError(
                f"{path}, line {line}: {why}. That is bad row {self.count:,}; expected at most {self._limit:,} "
                f"(data.max_bad_rows). {self._quarantine} shows them: mend the file or data.format, or raise "
                "data.max_bad_rows."
            )
