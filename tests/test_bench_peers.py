"""scripts/bench_peers.py: who runs when, what a run's command is, and what the tables make of the results."""

import importlib
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "scripts")
    return importlib.import_module("bench_peers")


@pytest.fixture
def ratios(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "scripts")
    return importlib.import_module("peers.ratios")


@pytest.fixture
def results(ratios):
    """Three rounds of ours, two of the peer: its second one failed."""
    ours, peer = ratios.Run("dcn_v2", "1M", "ours float32"), ratios.Run("dcn_v2", "1M", "keras 429")
    results = ratios.Results()
    for round_, ms in enumerate([10.0, 20.0, 40.0]):
        results.add(round_, ours, {"ms": ms, "rows_per_s": 1e5, "parameters": 16_000_700, "table_rows": 1_000_000})
    results.add(0, peer, {"ms": 30.0})
    results.add(2, peer, {"ms": 60.0})
    return results


def test_each_round_holds_each_run_once_and_every_other_one_goes_backwards(ratios):
    runs = ratios.runs_of(ratios.RATIOS, only=[])
    assert len(runs) == len(set(runs))
    turns = list(ratios.in_turns(runs, 3))
    assert turns == [(0, r) for r in runs] + [(1, r) for r in reversed(runs)] + [(2, r) for r in runs]


def test_only_picks_runs_by_parts_of_their_names(ratios):
    picked = ratios.runs_of(ratios.RATIOS, only=["deepfm 1M", "prepare"])
    assert {run.work for run in picked} == {"deepfm", "prepare"}
    assert ratios.runs_of(ratios.RATIOS, only=["lightgbm"]) == []


def test_a_ratio_is_the_median_of_the_rounds_in_which_both_sides_ran(ratios, results):
    first, second = ratios.speedups("dcn_v2", "1M", "keras 429", float32=2.0)
    assert results.ratios(first) == [3.0, 1.5]
    assert results.ratios(second) == []
    assert ratios.ratio_table(results, [first, second]).splitlines()[2:] == [
        "| dcn_v2 1M keras 429 | 45.0 | dcn_v2 1M ours float32 | 20.0 | 2.25 [1.50, 3.00] | ≥ 2 met |"
    ]


@pytest.mark.parametrize(
    ("aim", "bound", "reached", "said"),
    [
        ("≥", 2.0, 2.0, "≥ 2 met"),
        ("≥", 2.0, 1.99, "≥ 2 missed"),
        ("≤", 1.15, 1.15, "≤ 1.15 met"),
        ("≤", 1.15, 1.2, "≤ 1.15 missed"),
        ("≥", None, 9.0, "–"),
    ],
)
def test_a_target_is_a_least_or_a_most(ratios, aim, bound, reached, said):
    run = ratios.Run("deepfm", "1M", "keras 429")
    assert ratios.Ratio(run, run, aim, bound).target(reached) == said


def test_the_second_table_counts_parameters_outside_the_tables(ratios, results):
    ours, peer = ratios.run_table(results).splitlines()[2:]
    assert ours == "| dcn_v2 1M ours float32 | 3 | 20.0 | 100,000 | – | 16,000,700 | 700 |"
    assert peer == "| dcn_v2 1M keras 429 | 2 | 45.0 | – | – | – | – |"


def test_the_json_has_one_row_a_run_and_round(results):
    rows = json.loads(json.dumps(results.rows()))
    assert [(row["side"], row["round"], row["ms"]) for row in rows[2:]] == [
        ("ours float32", 2, 40.0),
        ("keras 429", 0, 30.0),
        ("keras 429", 2, 60.0),
    ]


def test_the_last_result_line_counts(bench):
    printed = 'warning\nRESULT {"step_ms": 1.0}\n\nRESULT {"step_ms": 2.5, "parameters": 7}\nbye\n'
    assert bench.reported(printed) == {"step_ms": 2.5, "parameters": 7}


def test_every_run_has_a_program_and_every_peer_a_script_that_exists(bench, ratios, tmp_path):
    for run in ratios.runs_of(ratios.RATIOS, only=[]):
        program, *words = bench.command(run, tmp_path, tmp_path, None)
        assert program.name == ("rectrain" if "ours" in run.side else "python")
        assert program.name == "rectrain" or words[0].is_file()
    words = bench.command(ratios.Run("deepfm", "16M", "fuxictr 624"), tmp_path, tmp_path, 12)[2:]
    assert words == [tmp_path / "data/x16", "--model", "deepfm", "--width", "624", "--steps", "12"]


@pytest.mark.parametrize("side", ["ours float32", "ours bfloat16"])
def test_our_side_is_measured_by_rectrain_bench(bench, ratios, rectrain, tmp_path, side):
    run = ratios.Run("dcn_v2", "1M", side)
    small = ["bench.vocabulary=5000", "bench.batch_size=32", "model.hidden_units=[8]"]
    _, *words = bench.command(run, tmp_path, tmp_path, 3)
    code, _, err = rectrain(*words, *small)
    assert code == 0, err
    found = bench.benched(tmp_path, run)
    assert found["step_ms"] > 0
    assert found["table_rows"] == 1_000_000


def test_our_side_prepares_raw_rows_of_the_peers(bench, ratios, rectrain, tmp_path):
    _, *words = bench.command(ratios.Run("prepare", "1M", "ours"), tmp_path, tmp_path / "prepared", None)
    rows = (ROOT / "data/tiny/criteo_tiny.tsv").read_bytes()
    (tmp_path / "data/raw").mkdir(parents=True)
    (tmp_path / "data/raw/train.tsv").write_bytes(20 * rows)
    code, out, err = rectrain(*words)
    assert code == 0, err
    assert "train 3,920, valid 40, test 40 rows" in out


def test_a_missing_environment_is_one_message(bench, ratios, tmp_path):
    with pytest.raises(SystemExit, match=r"there is no .*venvs/keras/bin/python\. Run scripts/peers/install\.sh"):
        bench.require_environments(tmp_path, [ratios.Run("deepfm", "1M", "keras 624")])
