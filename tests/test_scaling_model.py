"""The model of a step in docs/scaling.md: near what was measured, and its table is what the script prints."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests import pages

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scripts/scaling_model.py"


@pytest.fixture
def model(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import scaling_model

    return scaling_model


def test_the_page_shows_what_the_script_prints():
    printed = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, check=True).stdout
    assert printed.strip() in (ROOT / "docs/scaling.md").read_text(encoding="utf-8")


def number(cell):
    return float(cell.replace(",", ""))


def test_it_is_near_to_what_was_measured(model):
    measured = pages.rows(pages.section("docs/benchmarks.md", "## The model of a step"))
    assert len(measured) == 7
    for workers, batch, distinct, ms, by_model, kilobytes, bytes_by_model in measured:
        share = number(batch) / number(workers)
        constants = model.Constants(distinct=number(distinct) / share, network=5e9)  # of a loopback interface
        cost = model.multi_worker(constants, number(batch), int(workers))
        assert 1e3 * cost.seconds == pytest.approx(number(by_model), rel=0.002)
        assert 1e3 * cost.seconds == pytest.approx(number(ms), rel=0.06)
        if kilobytes:
            assert 2 * cost.sent / 1e3 == pytest.approx(number(bytes_by_model), rel=0.001)
            assert 2 * cost.sent / 1e3 == pytest.approx(number(kilobytes), rel=0.03)


def test_servers_send_what_was_measured(model):
    """The rows of docs/benchmarks.md: 2,040 and 15,900 distinct rows of width 16, and a small dense part."""
    for batch, distinct, kilobytes, cpu_ms in [(512, 2_040, 347, 7.1), (4_096, 15_900, 2_281, 27.0)]:
        constants = model.Constants(distinct=distinct / batch, width=16, dense=6_200)
        cost = model.parameter_server(constants, batch, 2, 2)
        assert 2 * cost.sent / 1e3 == pytest.approx(kilobytes, rel=0.12)
        of_servers = constants.serve + constants.served * constants.distinct * batch
        assert 1e3 * of_servers == pytest.approx(cpu_ms, rel=0.03)


def test_servers_hold_the_tables_and_keep_up(model):
    constants = model.Constants()
    few, many = (model.servers_for(constants, 1024, workers) for workers in (1, 64))
    assert few == -(-model.tables(constants) // constants.memory)
    assert many > few
    alone, all_of_them = (model.parameter_server(constants, 1024, w, many) for w in (1, 64))
    assert all_of_them.rows_per_s == pytest.approx(64 * alone.rows_per_s)
