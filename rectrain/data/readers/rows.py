"""Cuts a text file, gzipped or not, into chunks of whole rows that know their line numbers.

Lines end at LF, CRLF or a lone CR, as in Arrow's parser. A row is a line, or several where a quoted cell holds line
ends; blank lines are no rows. A quote has a meaning only at the start of a cell, and is written twice inside one.
"""

import gzip
import itertools
import re
import select
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from io import BufferedIOBase, BufferedReader, RawIOBase, UnsupportedOperation
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rectrain.config import FormatConfig
from rectrain.data.readers.checks import check_file, no_rows, unreadable
from rectrain.errors import InputError

STANDARD_INPUT = Path("-")  # can be read only once

CHUNK_BYTES = 16 << 20  # read at a time, after decompression
LINE_BYTES = CHUNK_BYTES // 2  # longest row; Arrow parses blocks of this size in parallel

BOM = b"\xef\xbb\xbf"
_GZIP = b"\x1f\x8b"
_CONTENT = re.compile(rb"[^\r\n]")  # anything but blank lines
_LINE_END = re.compile(rb"\r\n|\n|\r(?=[^\n])")  # no CR that is the last byte: half a line end?
_GATHER_S = 1.0
_HEAD_BYTES = 8  # that tell what a file is
_NO_TEXT = {  # first bytes -> what the file is, what to do
    b"PK\x03\x04": "a zip archive; unpack it first",
    b"PAR1\x15": "a parquet file; set data.format.reader=parquet",
    b"\xfd7zXZ\x00": "compressed with xz; unpack it, or compress it with gzip",
    b"\x28\xb5\x2f\xfd": "compressed with zstd; unpack it, or compress it with gzip",
    b"\xff\xfe": "text in UTF-16; convert it: iconv -f UTF-16 -t UTF-8",
    b"\xfe\xff": "text in UTF-16; convert it: iconv -f UTF-16 -t UTF-8",
}


class Row(NamedTuple):
    line: int  # number of its first line, from 1
    data: bytes  # without its line end
    end: int  # offset in the chunk behind its line end


class Chunk(NamedTuple):
    data: bytes  # whole rows with their line ends
    line: int  # number of the first line


class Dialect:
    """How cells and rows are told apart: `data.format`, checked.

    A delimiter of one character and blanks, such as ", ", is read as the character alone. Cells then lose the blanks at
    their ends, and quotes are ordinary characters: behind a blank none would start its cell.
    """

    def __init__(self, format: FormatConfig):
        _check(format)
        self.delimiter = format.delimiter[0]
        self.strip = len(format.delimiter) > 1
        self.quote = None if self.strip else format.quote
        d, q = re.escape(self.delimiter).encode(), re.escape(self.quote or "").encode()
        quoted = rb"%b(?:[^%b]++|%b%b)*+%b" % (q, q, q, q, q)
        inside = rb"(?<=[^%b\r\n])%b" % (d, q)  # a quote that does not start its cell
        row = rb"(?:[^\r\n%b]++|%b|%b)*+" % (q, inside, quoted) if q else rb"[^\r\n]*+"
        self._row = re.compile(rb"(%b)(?:\r\n?|\n)" % row)
        self._rows = re.compile(rb"(?:%b(?:\r\n?|\n))*+" % row)
        self._quoted_cell = re.compile(rb"(?:^|(?<=%b))%b" % (d, quoted) if q else rb"(?!)")

    def has_quotes(self, data: bytes) -> bool:
        return self.quote is not None and self.quote.encode() in data

    def end_of_rows(self, data: bytes) -> int:
        """Offset behind the last whole row, 0 where there is none."""
        stop = len(data) - data.endswith(b"\r")  # half a line end?
        if self.has_quotes(data):
            whole = self._rows.match(data, 0, stop)
            return whole.end() if whole else 0
        return max(data.rfind(b"\n", 0, stop), data.rfind(b"\r", 0, stop)) + 1

    def rows(self, chunk: Chunk) -> Iterator[Row]:
        """One after another; slow: for headers and rows at fault."""
        line, quotes = chunk.line, self.has_quotes(chunk.data)
        for match in self._row.finditer(chunk.data):
            if match[1]:
                yield Row(line, match[1], match.end())
            line += count_lines(match[0]) if quotes else 1

    def num_cells(self, row: bytes) -> int:
        outside_quotes = self._quoted_cell.sub(b"", row) if self.has_quotes(row) else row
        return outside_quotes.count(self.delimiter.encode()) + 1


def _check(format: FormatConfig):
    delimiter, quote = format.delimiter, format.quote
    if not _is_separator(delimiter[:1]) or delimiter[1:].strip(" \t"):
        raise InputError(
            f"data.format.delimiter={delimiter!r}: expected one ASCII character, or one and then blanks, as in ', '."
        )
    if quote is not None and (len(quote) != 1 or not _is_separator(quote) or quote == delimiter[0]):
        raise InputError(
            f"data.format.quote={quote!r}: expected one ASCII character other than the delimiter, or null: no quoting."
        )
    if format.header and format.columns is not None:
        raise InputError(
            "data.format.columns names the columns of files without a header, but data.format.header=true; "
            "set data.format.header=false, or data.format.columns=null."
        )
    if not format.header and not format.columns:
        raise InputError("data.format.header=false needs data.format.columns, the names of all columns in order.")


def _is_separator(character: str) -> bool:
    return character.isascii() and character not in ("", "\r", "\n", "\0")


def count_lines(data: bytes) -> int:
    if b"\r" not in data:  # as nearly everywhere; looking for CRLF takes ten times as long
        return int(np.count_nonzero(np.frombuffer(data, np.uint8) == ord("\n")))
    return data.count(b"\n") + data.count(b"\r") - data.count(b"\r\n")


def shown(path: Path) -> Path:
    """A path as messages name it."""
    return Path("standard input") if path == STANDARD_INPUT else path


def place(path: Path, row: Row) -> str:
    """Where a row stands and how it starts, as a person finds it."""
    start = row.data[:240].decode("utf-8", "replace")[:60]
    return f"{shown(path)}, line {row.line}: {start!r}"


def is_too_long(row: Row) -> bool:
    return len(row.data) + 2 > LINE_BYTES  # 2: CRLF


def longer() -> str:
    return f"longer than {LINE_BYTES:,} bytes"


def too_long(path: Path, row: Row) -> InputError:
    return InputError(
        f"{place(path, row)}... is {longer()}. Expected rows that end at a line end; "
        "is data.format.quote right (null: quotes are ordinary characters), and is this a text file?"
    )


def chunks(
    path: Path,
    dialect: Dialect,
    advance: Callable[[int], object] | None = None,
    drop: Callable[[Row, str], object] | None = None,
) -> Iterator[Chunk]:
    """The file in chunks of whole rows, in bounded memory.

    Args:
        advance: called with the number of raw (compressed) bytes consumed since its last call.
        drop: takes a row without end and what is wrong with it, in place of an error; where a quote is never closed the
            row is the line that opens it, and reading goes on behind that.
    Raises:
        InputError: a file that cannot be read or decompressed, a row without end.
    """
    pieces = itertools.chain(_pieces(path, advance or (lambda n: None)), [b""])  # b"": the file has ended
    rest, line = b"", 1
    for piece in pieces:
        whole, rest = _cut(dialect, rest, piece)
        if _CONTENT.search(whole):
            yield Chunk(whole, line)
        line += count_lines(whole)
        while len(rest) > (CHUNK_BYTES if piece else 0):
            if drop is None:
                row = Row(line, rest, len(rest))
                raise too_long(path, row) if piece else _never_closed(path, row, dialect)
            opens_quote = _LINE_END.search(rest) is not None
            first_line, rest = _first_line(rest, pieces)
            never_closed = "a quote that is never closed" if not piece else f"a quote open for {CHUNK_BYTES:,} bytes"
            drop(Row(line, first_line, len(first_line)), never_closed if opens_quote else longer())
            line += 1
            whole, rest = _cut(dialect, b"", rest)
            if _CONTENT.search(whole):
                yield Chunk(whole, line)
            line += count_lines(whole)


def _never_closed(path: Path, row: Row, dialect: Dialect) -> InputError:
    return InputError(
        f"{place(path, row)} opens a quote that is never closed. Expected a closing "
        f"{dialect.quote}; mend the line, or set data.format.quote=null if quotes are ordinary characters."
    )


def _first_line(data: bytes, pieces: Iterator[bytes]) -> tuple[bytes, bytes]:
    """(the first line, what comes behind its end); of a line that goes on in later pieces the start alone."""
    end = _LINE_END.search(data)
    line = data[: end.start()] if end else data
    while end is None:
        data = data[-1:] + next(pieces)  # the last piece is a line end; a CR may be half of one
        end = _LINE_END.search(data)
    return line, data[end.end() :]


def _cut(dialect: Dialect, rest: bytes, piece: bytes) -> tuple[bytes, bytes]:
    """(whole rows, what comes behind them) of rest + piece."""
    if dialect.has_quotes(piece) or dialect.has_quotes(rest) or rest.endswith(b"\r"):
        data = rest + piece
        end = dialect.end_of_rows(data)
        return data[:end], data[end:]
    end = dialect.end_of_rows(piece)  # the large piece is copied once
    return (b"".join([rest, memoryview(piece)[:end]]), piece[end:]) if end else (b"", rest + piece)


def _pieces(path: Path, advance) -> Iterator[bytes]:
    """The text CHUNK_BYTES at a time, without byte order mark; then a line end, which the last line may lack."""
    with _open(path) as raw:
        stream = _decompress(path, raw)
        piece = _read(path, stream, raw, advance).removeprefix(BOM)
        while piece:
            yield piece
            piece = _read(path, stream, raw, advance)
    yield b"\n"


def _open(path: Path) -> RawIOBase:
    if path == STANDARD_INPUT:
        return _StandardInput()
    check_file(path)
    return open(path, "rb", buffering=0)


class _StandardInput(RawIOBase):
    """Knows its first bytes and how many were read, which a pipe cannot be asked.

    While it `gathers`, it says None (nothing there) a second after the first bytes since the last None, so that what a
    slow pipe has given is not held back until a chunk is full.
    """

    gathers = False

    def __init__(self):
        name = shown(STANDARD_INPUT)
        if sys.stdin is None:
            raise InputError(f"{name} is closed. Expected text, as in < FILE; or name files with data.files.")
        # Below its buffer, whose lock a thread that waits here would still hold when Python ends, which then aborts.
        self._source = getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)
        try:
            self.head = self._unread = self._first_bytes()
        except OSError as error:
            raise unreadable(name, error) from error
        if not self.head:
            raise no_rows(name, "0 bytes")
        self._num_read = 0
        self._since: float | None = time.monotonic()

    def _first_bytes(self) -> bytes:
        data = more = self._source.read(_HEAD_BYTES)
        while more and len(data) < _HEAD_BYTES:
            more = self._source.read(_HEAD_BYTES - len(data))
            data += more
        return data

    def readable(self):
        return True

    def readinto(self, buffer):
        if self.gathers and not self._unread and not self._more_in_time():
            self._since = None
            return None
        data = self._unread[: len(buffer)] or self._source.read(len(buffer))
        self._unread = self._unread[len(data) :]
        self._since = time.monotonic() if self._since is None else self._since
        self._num_read += len(data)
        buffer[: len(data)] = data
        return len(data)

    def _more_in_time(self) -> bool:
        if self._since is None:
            return True
        left = self._since + _GATHER_S - time.monotonic()
        try:
            return left > 0 and bool(select.select([self._source.fileno()], [], [], left)[0])
        except UnsupportedOperation:  # text in memory
            return True

    def tell(self):
        return self._num_read


def _head(raw: RawIOBase) -> bytes:
    """The first bytes, which remain to be read."""
    if isinstance(raw, _StandardInput):
        return raw.head
    head = raw.read(_HEAD_BYTES)
    raw.seek(0)
    return head


def _decompress(path: Path, raw: RawIOBase) -> BufferedIOBase:
    head = _head(raw)
    for start, what in _NO_TEXT.items():
        if head.startswith(start):
            raise InputError(f"{shown(path)}: expected delimited text, plain or gzipped; this is {what}.")
    if head.startswith(_GZIP):
        return gzip.GzipFile(fileobj=raw)
    if path.suffix == ".gz":
        raise InputError(f"{path}: named .gz but does not hold gzip data. Fetch it again, or rename it if it is text.")
    if isinstance(raw, _StandardInput):
        raw.gathers = True
    return BufferedReader(raw)


def _read(path: Path, stream: BufferedIOBase, raw: RawIOBase, advance) -> bytes:
    before = raw.tell()
    try:
        data = stream.read(CHUNK_BYTES)
        while data is None:  # standard input, which waits from now on
            data = stream.read(CHUNK_BYTES)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(
            f"{shown(path)}: the gzip data are cut short or damaged, at or before byte {raw.tell():,} ({error}). "
            "Expected a whole file (gzip -t tells); fetch it again, or leave it out with data.files."
        ) from error
    except OSError as error:
        raise unreadable(shown(path), error) from error
    advance(raw.tell() - before)
    return data
