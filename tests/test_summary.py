"""The table at the end of a run: exact text, narrow terminals, odd reports."""

import re
from pathlib import Path

import pytest

from rectrain.outputs.summary import summary
from tests.test_report import failed, run

FOLDER = Path("outputs/2026-02-03/12-34-56_dcn_criteo")


def test_summary_word_for_word():
    assert summary(run(), FOLDER, width=80, color=False) == (
        """\
dcn on criteo  done in 75.8 s

split  task   AUC                      logloss                  NE      PCOC
train  click  0.7801 [0.7701, 0.7901]  0.4402 [0.4302, 0.4502]  0.8605  1.0204
valid  click  0.7901 [0.7801, 0.8001]  0.4502 [0.4402, 0.4602]  0.8705  1.0304
test   click  0.8001 [0.7901, 0.8101]  0.4602 [0.4502, 0.4702]  0.8805  1.0404

best         validation click.auc 0.7610 at step 100; all steps done
parameters   54,321 (embedding 50,000, dense 4,321)
speed        training 12,346 rows/s, evaluation 100,000 rows/s
peak memory  300 MiB
time         prepare 1.5 s, train 70.0 s, evaluate 4.2 s
checkpoints  outputs/2026-02-03/12-34-56_dcn_criteo/checkpoints
report       outputs/2026-02-03/12-34-56_dcn_criteo/report.html
"""
    )


def test_failed_run_says_why():
    made = failed() | {"error": "the loss is nan.\n" + "Lower optimizer.learning_rate. " * 4}
    lines = summary(made, FOLDER, width=80, color=False).splitlines()
    assert lines[0] == "dcn on criteo  failed after 75.8 s"
    assert lines[1] == "error        the loss is nan."
    assert lines[2].startswith("             Lower optimizer.learning_rate.")
    assert lines[-1] == f"report       {FOLDER}/report.html"
    assert not any(line.startswith("split") for line in lines)


CASES = {
    "one task": run(),
    "long tasks": run(tasks=("click", "a_conversion_within_thirty_days_of_the_click")),
    "rare": run() | {"metrics": {"test": {"click": {"auc": {"value": 0.7, "low": 0.6, "high": 0.8}}}}},
    "failed": failed(),
    "long error": failed() | {"error": "word " * 60},
    "long name": run() | {"model": "m" * 90},
}


@pytest.mark.parametrize("width", [48, 60, 80, 120])
@pytest.mark.parametrize("made", CASES.values(), ids=CASES.keys())
def test_summary_fits_the_terminal(made, width):
    lines = summary(made, Path("outputs"), width=width, color=False).splitlines()
    assert max(map(len, lines)) <= width


def test_a_wide_terminal_shows_every_metric_and_why_one_is_missing():
    shown = summary(run(), FOLDER, width=120, color=False)
    assert "PCOC    GAUC  PR-AUC\n" in shown
    assert shown.count("– GAUC: the dataset has no group column\n") == 1


def test_a_narrow_terminal_drops_intervals_before_metrics():
    header, row = summary(run(), FOLDER, width=60, color=False).splitlines()[2:4]
    assert header.split() == ["split", "task", "AUC", "logloss", "NE", "PCOC"]
    assert row.split() == ["train", "click", "0.7801", "0.4402", "0.8605", "1.0204"]


def test_colour_only_adds_escapes():
    colored = summary(run(), FOLDER, width=80, color=True)
    bare = summary(run(), FOLDER, width=80, color=False)
    assert "\033[32mdone in 75.8 s\033[0m" in colored
    assert re.sub(r"\033\[\d+m", "", colored) == bare
    assert "\033" not in bare


def test_without_unicode_everything_is_ascii_and_still_aligned():
    made = run(tasks=("klick–é",))
    made["data"]["source"] = "sample"
    made["data"]["sample"] = {"bayes_auc": 0.8123}
    shown = summary(made, FOLDER, width=120, color=False, unicode=False)
    assert shown.isascii()
    assert "klick-\\xe9  0.7801" in shown
    assert "sample       built-in, not the real data; Bayes AUC 0.8123\n" in shown
    table = shown.split("\n\n")[1].splitlines()[:4]
    assert len({line.index("0.") for line in table[1:]}) == 1


def test_control_characters_never_reach_the_terminal():
    made = failed() | {"error": "bad line: \x1b[2J\x07", "model": "a\x1bb"}
    assert "\x1b" not in summary(made, FOLDER, width=80, color=False)


def test_a_run_that_failed_before_training_shows_no_checkpoints():
    bare = {"status": "failed", "error": "no rows", "model": "lr", "data": None}
    expected = f"lr on –  failed\nerror        no rows\n\nreport       {FOLDER}/report.html\n"
    assert summary(bare, FOLDER, width=80, color=False) == expected
