"""What a run says: on the terminal, and with times in the log of its run directory."""

import contextlib
import importlib
import logging
import os
import re
import shutil
import sys
import tempfile
import textwrap
from pathlib import Path

from tqdm import tqdm

_logger = logging.getLogger("rectrain")


class _Terminal(logging.Handler):
    """Lines on stdout, above a progress bar where there is one."""

    def __init__(self, label: str):
        super().__init__()
        self.label = label

    def emit(self, record):
        try:
            tqdm.write(fitted(self.label + record.getMessage(), sys.stdout), file=sys.stdout)
            sys.stdout.flush()
        except BrokenPipeError:  # `| head` has read enough: what runs goes on, and its log has the rest
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def open_terminal(label: str = ""):
    """What is said goes to stdout from now on, each line behind `label`: "[3] " for a job beside others."""
    _logger.setLevel(logging.INFO)
    _logger.propagate = False
    for handler in list(_logger.handlers):
        _logger.removeHandler(handler)
        handler.close()
    _logger.addHandler(_Terminal(label))


def be_quiet():
    """Nothing is said on the terminal from now on, where another process says the same; complaints are."""
    for handler in list(_logger.handlers):
        if isinstance(handler, _Terminal):
            _logger.removeHandler(handler)


class _Log(logging.FileHandler):
    """Loses lines that a full disk does not take: what a run cannot do without is written elsewhere, and complains."""

    def handleError(self, record):  # noqa: N802
        pass

    def close(self):
        with contextlib.suppress(OSError):
            super().close()


def open_log(path: Path):
    """Writes what is said from now on into `path` as well, until `open_terminal` is called again."""
    handler = _Log(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    _logger.addHandler(handler)


def say(text: str):
    for line in text.splitlines() or [""]:
        _logger.info("%s", line)


def complain(text: str):
    """An error message on stderr, and in the log."""
    label = next((handler.label for handler in _logger.handlers if isinstance(handler, _Terminal)), "")
    message = f"{label}rectrain: {text}"
    tqdm.write("\n".join(fitted(line, sys.stderr) for line in message.split("\n")), file=sys.stderr)
    for handler in _logger.handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handle(_logger.makeRecord(_logger.name, logging.ERROR, "", 0, "%s", (text,), None))


def fitted(line: str, file) -> str:
    """A line that is wider than the terminal, broken between words below its first text; as it is in a pipe.

    What is behind a label (two blanks or more) stays behind it; paths are never broken.
    """
    if not file.isatty() or "\033" in line:
        return line
    indent = re.match(r"\s*(?:\S+\s{2,}|NOTE: |rectrain: )?", line)
    assert indent is not None
    width = shutil.get_terminal_size().columns
    hanging = " " * min(indent.end(), width // 2)
    broken = textwrap.wrap(
        line, width, subsequent_indent=hanging, drop_whitespace=True, break_long_words=False, break_on_hyphens=False
    )
    return line if len(line) <= width else "\n".join(broken)


def import_tensorflow():
    """Imports TensorFlow without the lines that its C++ parts print on stderr while they start.

    It prints them before its own log level applies. What a failing import printed is shown after all.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            importlib.import_module("tensorflow")
            logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it takes the jobs of a sweep for retracing
        except BaseException:
            aside.seek(0)
            os.write(kept, aside.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def terminal_width() -> int:
    return min(shutil.get_terminal_size((80, 24)).columns, 100)


def speaks_unicode() -> bool:
    """Whether stdout can show more than ASCII."""
    try:
        "–·…".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def wants_color() -> bool:
    """Colours only on a terminal, and not where NO_COLOR is set."""
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ
