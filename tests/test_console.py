"""Lines on a terminal are broken between words, and in a pipe not at all."""

import io
import subprocess
import sys

import pytest

from rectrain import console


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")


def test_a_long_line_goes_on_below_its_text():
    line = "data         criteo: 16,000 train + 2,000 valid + 2,000 test rows"
    assert console.fitted(line, Terminal()).splitlines() == [
        "data         criteo: 16,000 train +",
        "             2,000 valid + 2,000 test",
        "             rows",
    ]
    assert console.fitted("NOTE: this is not criteo but the built-in sample", Terminal()).splitlines() == [
        "NOTE: this is not criteo but the",
        "      built-in sample",
    ]
    assert console.fitted("rectrain: " + "word " * 8 + "end", Terminal()).splitlines()[1] == "          word word end"


def test_paths_tables_in_pipes_and_colours_stay_whole():
    path = "report       /a/very-long/path/that-is/wider/than/the/terminal/report.html"
    assert path.split()[1] in console.fitted(path, Terminal()).split()
    assert console.fitted("x " * 60, io.StringIO()) == "x " * 60
    painted = f"\033[1m{'x ' * 30}\033[0m"
    assert console.fitted(painted, Terminal()) == painted
    assert console.fitted("", Terminal()) == ""


def test_short_lines_keep_their_blanks():
    assert console.fitted("  rows   AUC  ", Terminal()) == "  rows   AUC  "


def test_a_reader_that_has_enough_ends_nothing(tmp_path):
    """As `| head -1` does; what was said later is in the log."""
    code = (
        "import time; from pathlib import Path; from rectrain import console\n"
        "console.open_terminal(); console.open_log(Path('log')); console.say('first')\n"
        "time.sleep(0.5)\n"
        "for _ in range(3): console.say('later')\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "first\n"
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 0
    assert (tmp_path / "log").read_text(encoding="utf-8").count("later") == 3
