"""rectrain online: each row once, in order, scored before it is learned from, whatever stops the run in between."""

import json
import math
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from io import BytesIO, TextIOWrapper

import numpy as np
import pyarrow as pa
import pytest

from rectrain.data import sample
from rectrain.data.blocks import Block
from rectrain.online import state as states
from rectrain.online.quarantine import Quarantine
from rectrain.outputs.online_report import table_line
from rectrain.training.checksums import seal

ROWS = 4_000
DEFAULTS = {"model": "lr", "optimizer": "ftrl", "data": "criteo", "online.bits": "14"}
BAD_SHAPE, BAD_LABEL = "0\t1\n", "7" + "\t" * 39 + "\n"

# A file in many small pieces, learned from slowly, so that a kill comes in the middle.
DRIVER = """
import os, sys, time
from rectrain.data.readers import rows
rows.CHUNK_BYTES, rows.LINE_BYTES = 1 << 15, 1 << 14
from rectrain.online.loop import Loop
learn = Loop._learn
def slowly(self, *args):
    time.sleep(float(os.environ["PAUSE_S"]))
    learn(self, *args)
Loop._learn = slowly
from rectrain.cli import main
main()
"""

CLICKS = """
name: clicks
folder: raw
format: {reader: csv}
labels: {click: click}
weight: importance
features:
  places: {type: categorical, columns: [site, ad]}
  numbers: {type: numeric, columns: [price], transform: none}
"""


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    """Rows in Criteo's layout, as lines of text."""
    path = tmp_path_factory.mktemp("sample") / "criteo.tsv"
    sample.write("criteo", path, rows=ROWS, seed=5, truth=None)
    return path.read_text(encoding="ascii").splitlines(keepends=True)


def words(folder, *overrides):
    """The command line, with DEFAULTS for what is not given."""
    given = {word.partition("=")[0] for word in overrides}
    fixed = [f"{key}={value}" for key, value in DEFAULTS.items() if key not in given]
    return ["online", *fixed, f"hydra.run.dir={folder}", *overrides]


@pytest.fixture
def online(rectrain, tmp_path):
    """Runs in-process: the report of a run that must succeed."""

    def call(name, *overrides):
        code, _, err = rectrain(*words(tmp_path / name, *overrides))
        assert code == 0, err
        return report_of(tmp_path / name)

    return call


@pytest.fixture
def refusal(rectrain, tmp_path):
    """What a run says that must end with exit code 2."""

    def call(name, *overrides):
        code, _, err = rectrain(*words(tmp_path / name, *overrides))
        assert code == 2, err
        assert "Traceback" not in err
        return err

    return call


@pytest.fixture
def start(tmp_path):
    """Starts it as a process of its own, that learns slowly."""
    driver = tmp_path / "driver.py"
    driver.write_text(DRIVER, encoding="utf-8")
    started = []

    def call(name, *overrides, pause_s=0.01, stdin=subprocess.DEVNULL):
        process = subprocess.Popen(
            [sys.executable, driver, *words(tmp_path / name, *overrides)],
            cwd=tmp_path,
            env={**os.environ, "PAUSE_S": str(pause_s)},
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield call
    for process in started:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def report_of(folder):
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def entries(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def told(folder):
    """metrics.jsonl without what depends on the clock."""
    return [
        {key: value for key, value in entry.items() if key != "seconds"} for entry in entries(folder / "metrics.jsonl")
    ]


def written(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(lines), encoding="utf-8")
    return path


def learned(report):
    return report["weights_sha256"], report["metrics"]["progressive"]


def saved_rows(folder):
    """How many rows the newest state was learned from; 0 where there is none."""
    try:
        return int(json.loads((folder / "checkpoints/index.json").read_text())["folders"][0].split("-")[1])
    except FileNotFoundError:
        return 0


def wait_until(holds, process=None, limit_s=60):
    end = time.monotonic() + limit_s
    while not holds():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.002)


# What it tells


def test_report_table_and_lines(rectrain, tmp_path, lines):
    written(tmp_path / "day.tsv", lines[:3_500])
    code, out, err = rectrain(*words(tmp_path / "run", "data.files=day.tsv"))
    assert code == 0, err
    report = report_of(tmp_path / "run")
    assert (report["status"], report["error"], report["data"]["bad_rows"]) == ("done", None, 0)
    click = report["metrics"]["progressive"]["click"]
    assert (click["rows"], click["positives"]) == (3_500, sum(line[0] == "1" for line in lines[:3_500]))
    assert 0.55 < click["auc"]["value"] < 0.75
    assert click["logloss"]["low"] < click["logloss"]["value"] < click["logloss"]["high"]
    assert click["ne"]["value"] > 0
    assert report["throughput"]["train_rows_per_s"] > 0
    assert re.fullmatch("[0-9a-f]{64}", report["weights_sha256"])
    found = entries(tmp_path / "run/metrics.jsonl")
    assert [entry["rows"] for entry in found] == [1_000, 2_000, 3_500]
    assert [entry["window"]["click"]["rows"] for entry in found] == [1_000, 1_000, 1_500]
    assert found[-1]["overall"]["click"]["logloss"] == click["logloss"]["value"]
    assert [line.split()[0] for line in out.splitlines() if re.match(r" +\d", line)] == ["1,000", "2,000", "3,500"]
    page = (tmp_path / "run/report.html").read_text(encoding="utf-8")
    assert all(
        title in page
        for title in (
            "click before each row was learned from",
            "Progressive validation",
            "AUC, click",
            "Weights that are not 0",
        )
    )
    assert page.count("<figure>") >= 3


def test_lines_of_a_fixed_window(online, tmp_path, lines):
    written(tmp_path / "day.tsv", lines[:1_000])
    online("run", "data.files=day.tsv", "online.window=300")
    assert [entry["rows"] for entry in told(tmp_path / "run")] == [300, 600, 900, 1_000]


def clicks(tmp_path, rows, name="clicks.csv"):
    """Writes rows and the YAML of their data set."""
    written(tmp_path / "conf/data/clicks.yaml", [CLICKS])
    written(tmp_path / name, ["click,importance,site,ad,price\n", *rows])
    return ["--config-dir", "conf", "data=clicks", f"data.files={name}"]


def test_rows_come_in_order_and_each_is_scored_before_it_is_learned_from(online, tmp_path):
    rng = random.Random(3)
    drawn = [(rng.random() < 0.4, rng.choice("abc"), rng.choice("xyz"), rng.randrange(3)) for _ in range(60)]
    rows = [f"{int(label)},{1 + (ad == 'x')},{site},{ad},{price}\n" for label, site, ad, price in drawn]
    options = ["optimizer=sgd", "optimizer.learning_rate=0.3", "online.window=1", "online.bits=20"]
    online("run", *clicks(tmp_path, rows), *options)
    weights = dict.fromkeys(["bias", "price", *(f"site {s}" for s in "abc"), *(f"ad {a}" for a in "xyz")], 0.0)
    losses = []
    for label, site, ad, price in drawn:
        values = {"bias": 1, "price": price, f"site {site}": 1, f"ad {ad}": 1}
        p = 1 / (1 + math.exp(-sum(weights[key] * value for key, value in values.items())))
        losses.append(-math.log(p if label else 1 - p))
        for key, value in values.items():
            weights[key] -= 0.3 * (p - label) * value * (1 + (ad == "x"))
    received = [entry["window"]["click"]["logloss"] for entry in told(tmp_path / "run")]
    assert received[0] == pytest.approx(math.log(2), rel=1e-12)
    np.testing.assert_allclose(received, losses, rtol=1e-4)


# Any model


def test_a_model_in_windows(online, refusal, tmp_path, lines):
    written(tmp_path / "day.tsv", lines[:1_500])
    options = ["model=dcn", "optimizer=lazy_adam", "online.batch_size=256", "data.files=day.tsv"]
    report = online("run", *options)
    assert report["metrics"]["progressive"]["click"]["rows"] == report["online"]["rows"] == 1_500
    assert [entry["rows"] for entry in told(tmp_path / "run")] == [1_024, 1_500]
    index = next((tmp_path / "run/checkpoints").glob("rows-*/variables.index"))
    index.write_bytes(index.read_bytes()[:50])
    assert "no state is whole" in refusal("run", "resume=true", *options)


def test_a_model_with_a_batch_of_one_learns_row_by_row(online, tmp_path, lines, monkeypatch):
    from rectrain.online.deep import ModelLearner

    written(tmp_path / "day.tsv", lines[:20])
    sizes, learn = [], ModelLearner.learn
    monkeypatch.setattr(ModelLearner, "learn", lambda s, rows: sizes.append(len(rows["labels"])) or learn(s, rows))
    online("run", "optimizer=adagrad", "data.files=day.tsv")
    assert sizes == [1] * 20


def test_the_head_of_a_run_says_what_learns_on_which_device(rectrain, tmp_path, lines):
    written(tmp_path / "day.tsv", lines[:20])
    for optimizer, device in [("ftrl", "CPU, 1 core, float64 arithmetic on float32 weights"), ("adagrad", "CPU, ")]:
        code, out, err = rectrain(*words(tmp_path / optimizer, f"optimizer={optimizer}", "data.files=day.tsv"))
        assert code == 0, err
        (line,) = [line for line in out.splitlines() if line.startswith("device ")]
        assert line.split(None, 1)[1].startswith(device)
        assert "float32" in line


@pytest.mark.slow
def test_several_tasks(online, refusal):
    options = ["data=ali_ccp", "data.sample.rows=2000"]
    report = online("run", "model=esmm", "task=funnel", "optimizer=lazy_adam", "online.batch_size=256", *options)
    rows = {name: metrics["rows"] for name, metrics in report["metrics"]["progressive"].items()}
    assert rows["ctr"] == rows["ctcvr"] == 2_000
    assert rows["cvr"] == report["metrics"]["progressive"]["ctr"]["positives"]
    assert "model=lr has one task" in refusal("lr", *options)
    online("one", "task.only=[click]", *options)


def test_prepared_data(online, refusal):
    options = ["online.source=prepared", "data.sample.rows=2000"]
    raw = online("raw", *options[1:])
    prepared = online("prepared", *options)
    assert learned(prepared)[1]["click"]["rows"] == 2_000
    assert learned(prepared)[1]["click"]["positives"] == learned(raw)[1]["click"]["positives"]
    assert [w["rows"] for w in prepared["online"]["windows"]] == [w["rows"] for w in raw["online"]["windows"]]
    assert abs(learned(prepared)[1]["click"]["auc"]["value"] - learned(raw)[1]["click"]["auc"]["value"]) < 0.05
    assert "data.split.by=hash" in refusal("hash", *options, "data.split.by=hash", "data.split.column=C1")


@pytest.mark.slow
def test_histories_are_for_prepared_data(online, refusal):
    options = ["data=movielens", "data.sample.rows=1500"]
    assert "data.history" in refusal("raw", *options)
    options += ["online.source=prepared", "data.split.by=order", "online.batch_size=256"]
    assert online("din", "model=din", "optimizer=lazy_adam", *options)["online"]["rows"] == 1_500


# Kills


def kill_again_and_again(start, tmp_path, options, *, at, total, pause_s=0.01):
    """Kills the run each time a state of so many rows is there; then it may end."""
    rng = random.Random(11)
    for rows in at:
        process = start("killed", "resume=true", "online.save_every_s=0", *options, pause_s=pause_s)
        wait_until(lambda rows=rows: saved_rows(tmp_path / "killed") >= rows, process)
        time.sleep(rng.random() * 0.05)
        process.kill()
        process.wait()
        assert saved_rows(tmp_path / "killed") < total
    process = start("killed", "resume=true", "online.save_every_s=0", *options, pause_s=0)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "resumed      after" in out


def with_bad_rows(lines):
    found = list(lines)
    for at, bad in ((3_900, BAD_SHAPE), (2_500, BAD_LABEL), (2_400, BAD_SHAPE), (900, BAD_LABEL), (100, BAD_SHAPE)):
        found.insert(at, bad)
    return [*found, BAD_SHAPE]


def test_killed_at_random_it_ends_as_if_it_never_was(start, online, tmp_path, lines):
    written(tmp_path / "days/1.tsv", with_bad_rows(lines)[:2_600])
    written(tmp_path / "days/2.tsv", with_bad_rows(lines)[2_600:])
    options = ["data.files=days", "data.max_bad_rows=10", "online.window=500"]
    whole = online("whole", *options)
    kill_again_and_again(start, tmp_path, options, at=[1, 1_200, 2_700], total=ROWS)
    killed = report_of(tmp_path / "killed")
    assert learned(killed) == learned(whole)
    assert told(tmp_path / "killed") == told(tmp_path / "whole")
    assert killed["data"]["bad_rows"] == whole["data"]["bad_rows"] == 6
    assert in_order(quarantine(tmp_path / "killed")) == in_order(quarantine(tmp_path / "whole"))


@pytest.mark.slow
def test_a_model_in_windows_killed_at_random_ends_as_if_it_never_was(start, online, tmp_path, lines):
    written(tmp_path / "days/1.tsv", with_bad_rows(lines)[:2_600])
    written(tmp_path / "days/2.tsv", with_bad_rows(lines)[2_600:])
    options = ["model=dcn", "optimizer=lazy_adam", "online.batch_size=150", "model.dropout=0.2", "online.window=500"]
    options += ["data.files=days", "data.max_bad_rows=10"]
    whole = online("whole", *options)
    kill_again_and_again(start, tmp_path, options, at=[1, 1_200, 2_700], total=ROWS, pause_s=0.05)
    killed = report_of(tmp_path / "killed")
    assert learned(killed) == learned(whole)
    assert told(tmp_path / "killed") == told(tmp_path / "whole")
    assert killed["data"]["bad_rows"] == whole["data"]["bad_rows"] == 6
    assert in_order(quarantine(tmp_path / "killed")) == in_order(quarantine(tmp_path / "whole"))


def test_a_save_that_is_cut_short_leaves_the_one_before(tmp_path, monkeypatch):
    state = states.OnlineState({"seed": 1}, rows=5)
    states.save(tmp_path, state, lambda folder: (folder / "weights").write_text("first"))

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(states, "write_whole", killed)
        for _ in range(2):  # of as many rows as before, which is what the end of a run saves
            with pytest.raises(KeyboardInterrupt):
                states.save(tmp_path, state, lambda folder: (folder / "weights").write_text("cut"))
    found, place = states.load(tmp_path, {"seed": 1})
    assert (found, (place / "weights").read_text()) == (state, "first")
    states.save(tmp_path, state, lambda folder: (folder / "weights").write_text("second"))
    assert (states.load(tmp_path, {"seed": 1})[1] / "weights").read_text() == "second"
    assert len(list(tmp_path.iterdir())) == 3  # with the index and the one before


# Day by day


def test_day_by_day_is_as_all_at_once(online, tmp_path, lines):
    for day, part in (("1", lines[:1_700]), ("2", lines[1_700:])):
        written(tmp_path / f"{day}.tsv", part)
    whole = online("whole", "data.files=[1.tsv,2.tsv]")
    online("days", "data.files=1.tsv")
    (tmp_path / "days/report.json").unlink()
    days = online("days", "data.files=2.tsv", "resume=true")
    assert learned(days) == learned(whole)
    assert days["online"]["rows"] == ROWS
    again = online("days", f"data.files=[1.tsv,{tmp_path / '2.tsv'}]", "resume=true")
    assert learned(again) == learned(whole)
    assert again["throughput"]["train_rows_per_s"] in (0, None)


def test_a_file_that_has_grown_is_learned_from_where_it_ended(online, refusal, tmp_path, lines):
    whole = online("whole", f"data.files={written(tmp_path / 'whole.tsv', lines[:2_000])}")
    for end in (700, 2_000):
        written(tmp_path / "log.tsv", lines[:end])
        grown = online("grown", "data.files=log.tsv", "resume=true")
    assert learned(grown) == learned(whole)
    written(tmp_path / "log.tsv", lines[:300])  # another file by the same name
    said = refusal("grown", "data.files=log.tsv", "resume=true")
    assert "log.tsv has 300 rows, but 2,000 were learned from already" in said


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ("model=fm", "model.name=fm"),
        ("optimizer=sgd", "optimizer.name=sgd"),
        ("optimizer.alpha=0.3", "optimizer.alpha=0.3"),
        ("online.bits=15", "online.bits=15"),
        ("data.features.numbers.transform=log1p", "data.features.numbers.min_count=null"),
    ],
)
def test_a_state_of_another_config_is_refused(online, refusal, tmp_path, lines, change, key):
    written(tmp_path / "1.tsv", lines[:100])
    before = learned(online("run", "data.files=1.tsv"))
    changes = [change] + ["~data.features.numbers.min_count"] * ("log1p" in change)
    assert key in refusal("run", "data.files=1.tsv", "resume=true", *changes)
    assert learned(online("run", "data.files=1.tsv", "resume=true")) == before


def test_to_go_on_needs_a_folder(rectrain, online, refusal, tmp_path, lines):
    written(tmp_path / "1.tsv", lines[:100])
    code, _, err = rectrain("online", "model=lr", "data=criteo", "data.files=1.tsv", "online.bits=14", "resume=true")
    assert code == 2
    assert "hydra.run.dir" in err
    code, _, err = rectrain("online", "model=lr", "data=criteo", "data.files=1.tsv", "online.bits=14")
    assert code == 0, err
    (dated,) = (tmp_path / "outputs").glob("*/*")  # the folder of a run that did not name one
    assert online(dated, "data.files=1.tsv", "resume=true")["online"]["rows"] == 100
    assert "holds a run already" in refusal(dated, "data.files=1.tsv")
    assert online(dated, "data.files=1.tsv", "resume=true")["online"]["rows"] == 100


FILES = ["state.json", "state.npy", "progressive-click.npz", "counters.npy", "checksums.json"]


@pytest.mark.parametrize("damage", [*FILES, "index.json"])
def test_a_damaged_state_is_told(online, refusal, tmp_path, lines, damage):
    written(tmp_path / "1.tsv", lines[:100])
    online("run", "data.files=1.tsv")
    (path,) = (tmp_path / "run/checkpoints").rglob(damage)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", None):
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        elif damage == "index.json":
            continue  # as if nothing was saved
        said = refusal("run", "data.files=1.tsv", "resume=true")
        assert ("is damaged" if damage == "index.json" else "no state is whole") in said
        path.write_bytes(whole)


@pytest.mark.parametrize("damage", FILES)
def test_where_the_newest_state_is_damaged_the_one_before_goes_on(rectrain, online, tmp_path, lines, damage):
    written(tmp_path / "1.tsv", lines[:2_000])
    whole = online("whole", "data.files=1.tsv")
    online("run", "data.files=1.tsv", "online.save_every_s=0", "online.window=500")
    folder = tmp_path / "run/checkpoints"
    newest, before = json.loads((folder / "index.json").read_text())["folders"]
    assert sorted(p.name for p in folder.iterdir()) == sorted(["index.json", newest, before])
    path = folder / newest / damage
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    code, out, err = rectrain(*words(tmp_path / "run", "data.files=1.tsv", "online.window=500", "resume=true"))
    assert code == 0, err
    assert f"{newest} is damaged" in out.replace("\n", " ")
    assert newest not in json.loads((folder / "index.json").read_text())["folders"][1:]
    assert report_of(tmp_path / "run")["weights_sha256"] == whole["weights_sha256"]


# Signals


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_ends(start, online, tmp_path, lines, number, code):
    written(tmp_path / "1.tsv", lines)
    process = start("run", "data.files=1.tsv")
    wait_until(lambda: (tmp_path / "run/metrics.jsonl").exists() and told(tmp_path / "run"), process)
    process.send_signal(number)
    err = process.communicate(timeout=60)[1]
    assert process.returncode == code, err
    report = report_of(tmp_path / "run")
    assert report["status"] == "stopped"
    assert 1_000 <= report["online"]["rows"] == saved_rows(tmp_path / "run") < ROWS
    resumed = online("run", "data.files=1.tsv", "resume=true")
    assert learned(resumed) == learned(online("whole", "data.files=1.tsv"))


def test_a_signal_is_heard_while_the_stream_waits(start, tmp_path, lines):
    written(tmp_path / "days/1.tsv", lines[:100])
    waiting = []
    for name, number, code in (("term", signal.SIGTERM, 143), ("int", signal.SIGINT, 130)):
        process = start(f"watch-{name}", "data.files=days", "online.watch_s=100", "online.save_every_s=0")
        waiting.append((process, f"watch-{name}", number, code, 100))
        process = start(f"input-{name}", "data.files=-", "online.save_every_s=0", stdin=subprocess.PIPE)
        process.stdin.write("".join(lines[:70]) + lines[70][:20])
        process.stdin.flush()
        waiting.append((process, f"input-{name}", number, code, 70))
    for process, name, *_ in waiting:
        wait_until(lambda name=name: saved_rows(tmp_path / name), process)
    for process, name, number, code, rows in waiting:
        process.send_signal(number)
        assert process.wait(timeout=30) == code, process.communicate()  # with standard input still open
        report = report_of(tmp_path / name)
        assert (report["status"], report["online"]["rows"], saved_rows(tmp_path / name)) == ("stopped", rows, rows)


# Sources


def test_standard_input_is_as_a_file(start, online, rectrain, tmp_path, lines, monkeypatch):
    written(tmp_path / "1.tsv", [*lines[:50], BAD_SHAPE, *lines[50:1_500]])
    written(tmp_path / "2.tsv", [*lines[1_500:1_510], BAD_LABEL, BAD_SHAPE, *lines[1_510:2_500]])
    whole = online("whole", "data.files=[1.tsv,2.tsv]", "data.max_bad_rows=5")
    with open(tmp_path / "1.tsv") as file:
        process = start("input", "data.files=-", "data.max_bad_rows=5", pause_s=0, stdin=file)
        assert process.wait(timeout=60) == 0, process.communicate()
    assert learned(report_of(tmp_path / "input")) == learned(online("first", "data.files=1.tsv", "data.max_bad_rows=5"))
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO((tmp_path / "2.tsv").read_bytes())))
    code, out, err = rectrain(
        *words(tmp_path / "input", "data.files=-", "data.max_bad_rows=5", "resume=true"),
    )
    assert code == 0, err
    assert "1,500 rows of standard input were consumed before" in out
    report = report_of(tmp_path / "input")
    assert learned(report) == learned(whole)
    assert report["data"]["bad_rows"] == whole["data"]["bad_rows"] == 3
    told_before = [(entry["line"], entry["why"]) for entry in quarantine(tmp_path / "whole")]
    assert [(entry["line"], entry["why"]) for entry in quarantine(tmp_path / "input")] == told_before


def test_a_watched_folder(online, tmp_path, lines):
    parts = {"1": lines[:1_000], "2": lines[1_000:1_500], "3": lines[1_500:2_000], "4": lines[2_000:2_500]}
    for name, part in parts.items():
        written(tmp_path / f"aside/{name}.tsv", part)
    whole = online("whole", "data.files=aside")
    (tmp_path / "days").mkdir()

    def move(*names):
        for name in names:
            (tmp_path / f"aside/{name}.tsv").rename(tmp_path / f"days/{name}.tsv")

    move("1")

    def later():
        wait_until(lambda: (tmp_path / "run/metrics.jsonl").exists())
        time.sleep(0.3)
        (tmp_path / "days/empty.tsv").touch()  # a file that is being written
        time.sleep(0.3)
        written(tmp_path / "days/.hidden.tsv", ["x"])
        move("3", "2")
        (tmp_path / "days/empty.tsv").unlink()
        time.sleep(0.5)
        move("4")

    thread = threading.Thread(target=later)
    thread.start()
    started = time.monotonic()
    watched = online("run", "data.files=days", "online.watch_s=1")
    thread.join()
    assert time.monotonic() - started > 2
    assert learned(watched) == learned(whole)


# Bad rows


def quarantine(folder):
    return entries(folder / "bad_rows.jsonl")


def in_order(bad):
    """Of one chunk, rows that do not parse are written first."""
    return sorted(bad, key=lambda entry: (entry["file"], entry["line"]))


def test_bad_rows_are_skipped_counted_and_told(online, refusal, tmp_path, lines):
    good = online("good", f"data.files={written(tmp_path / 'good.tsv', lines)}")
    written(tmp_path / "bad.tsv", with_bad_rows(lines))
    bad = online("bad", "data.files=bad.tsv", "data.max_bad_rows=6")
    assert learned(bad) == learned(good)
    assert bad["data"]["bad_rows"] == 6
    assert "6 rows did not parse" in (tmp_path / "bad/report.html").read_text(encoding="utf-8")
    found = in_order(quarantine(tmp_path / "bad"))
    assert {entry["file"] for entry in found} == {"bad.tsv"}
    assert [entry["line"] for entry in found] == [101, 902, 2_403, 2_504, 3_905, 4_006]
    assert [entry["why"] for entry in found if "2 columns" not in entry["why"]] == [
        "column 'label' is 7.0; expected a label, 0 or 1. Mend the file, or set data.labels.click to {column: label, "
        "at_least: 1}, which is 1 from 1 on."
    ] * 2
    said = refusal("more", "data.files=bad.tsv", "data.max_bad_rows=5")
    assert all(part in said for part in ("bad row 6; expected at most 5", "data.max_bad_rows", "bad_rows.jsonl"))
    assert report_of(tmp_path / "more")["status"] == "failed"
    assert online("more", "data.files=bad.tsv", "data.max_bad_rows=6", "resume=true")["data"]["bad_rows"] == 6
    assert quarantine(tmp_path / "more") == quarantine(tmp_path / "bad")
    said = refusal("none", "data.files=bad.tsv")
    assert "bad.tsv, line 101" in said
    assert "has 2 columns; expected 40" in said


def test_a_bad_label_or_weight_is_a_bad_row(online, refusal, tmp_path):
    rows = ["1,1,a,x,1\n", "2,1,a,x,1\n", "0,-1,a,x,1\n", "0,1,a,x,1\n", "0,1,b,x,ten\n", ",1,b,x,1\n"]
    options = [*clicks(tmp_path, rows), "data.max_bad_rows=4"]
    report = online("run", *options)
    assert (report["online"]["rows"], report["data"]["bad_rows"]) == (2, 4)
    whys = {entry["line"]: entry["why"] for entry in quarantine(tmp_path / "run")}
    assert sorted(whys) == [3, 4, 6, 7]
    assert "data.labels.click" in whys[3]
    assert "data.weight" in whys[4]
    assert "expected at most 3 (data.max_bad_rows)" in refusal("less", *options[:-1], "data.max_bad_rows=3")


@pytest.mark.parametrize("command", ["train", "prepare"])
def test_only_online_skips_rows(rectrain, command):
    code, _, err = rectrain(command, "data=criteo", "data.max_bad_rows=1")
    assert code == 2
    assert "data.max_bad_rows=1" in err


# Drift


def test_a_learner_that_goes_on_recovers_from_drift_and_a_frozen_one_does_not(online, tmp_path):
    sample.write("criteo", tmp_path / "drift.tsv", rows=40_000, seed=5, truth="drift")
    both = (tmp_path / "drift.tsv").read_text(encoding="ascii").splitlines(keepends=True)
    for name, half in (("1.tsv", both[:20_000]), ("2.tsv", both[20_000:])):
        written(tmp_path / name, half)
    options = ["optimizer=sgd", "online.window=2000", "online.bits=16"]
    online("run", *options, "optimizer.learning_rate=0.02", "data.files=1.tsv")
    shutil.copytree(tmp_path / "run", tmp_path / "frozen")
    (path,) = (tmp_path / "frozen/checkpoints").rglob("state.json")
    state = json.loads(path.read_text(encoding="utf-8"))
    state["fixed"]["optimizer"]["learning_rate"] = 1e-30
    path.write_text(json.dumps(state), encoding="utf-8")
    (path.parent / "checksums.json").unlink()
    seal(path.parent)
    aucs = {}
    for name, rate in (("run", "0.02"), ("frozen", "1e-30")):
        online(name, *options, f"optimizer.learning_rate={rate}", "data.files=2.tsv", "resume=true")
        aucs[name] = [entry["window"]["click"]["auc"] for entry in told(tmp_path / name)]
    assert len(aucs["run"]) == 20
    assert aucs["run"][:10] == aucs["frozen"][:10]
    assert aucs["run"][9] > 0.65
    assert aucs["run"][10] < 0.5
    assert aucs["run"][-1] > 0.6
    assert max(aucs["frozen"][10:]) < 0.4


# What is refused


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        (["online.min_count=2", "online.batch_size=64"], "online.min_count=2"),
        (["optimizer.l2_embedding=0.1"], "optimizer.l2_embedding=0.1"),
        (["optimizer.clip_norm=1"], "optimizer.clip_norm=1"),
        (
            ["data.features.numbers.transform=standardize", "~data.features.numbers.min_count"],
            "data.features.numbers.transform=standardize",
        ),
        (["online.watch_s=1", "online.source=prepared"], "online.watch_s"),
        (["data.max_bad_rows=1", "online.source=prepared"], "data.max_bad_rows=1"),
        (["optimizer.alpha=0"], "optimizer.alpha=0"),
        (["optimizer.lambda_group=1"], "optimizer.lambda_group=0"),
        (["optimizer=sgd", "optimizer.rates=falling"], "optimizer.rates=falling"),
        (["optimizer.regularize=frequency"], "optimizer.regularize=frequency"),
        (["online.source=prepared", "data.split.by=random"], "data.split.by=random"),
        (["online.bits=3"], "online.bits=3"),
    ],
)
def test_what_has_no_meaning_is_refused(refusal, tmp_path, lines, overrides, key):
    assert key in refusal("run", f"data.files={written(tmp_path / '1.tsv', lines[:10])}", *overrides)


@pytest.mark.parametrize(
    ("data", "overrides", "key"),
    [("ali_ccp", [], "task.only=[click]"), ("mmoe_synthetic", ["model=shared_bottom"], "task.only")],
)
def test_tasks_that_cannot_be_learned_are_refused(rectrain, data, overrides, key):
    code, _, err = rectrain("online", f"data={data}", "data.sample.rows=2000", "hydra.run.dir=run", *overrides)
    assert code == 2
    assert key in err


def test_a_state_of_other_prepared_data_is_refused(refusal, online, tmp_path, lines):
    """Its vocabularies number the values otherwise."""
    days = [written(tmp_path / f"{day}.tsv", part) for day, part in enumerate((lines[:600], lines[600:]))]
    online("run", f"data.files={days[0]}", "online.source=prepared")
    err = refusal("run", f"data.files={days[1]}", "online.source=prepared", "resume=true")
    assert "prepared data=criteo-" in err


def test_the_table_keeps_to_ascii_where_the_terminal_does():
    window = {"click": {"logloss": None, "auc": None, "base_rate": None}}
    entry = {"rows": 1, "seconds": 1.0, "nonzero_weights": 0, "window": window, "overall": window}
    assert table_line(entry, "click", several=True, unicode=False).isascii()
    assert not table_line(entry, "click", several=True, unicode=True).isascii()


def test_values_are_let_in_from_their_nth_occurrence_on(online, tmp_path):
    rows = ["1,1,a,x,0\n", "1,1,b,x,0\n", "0,1,c,x,0\n", "1,1,a,x,0\n"]
    options = [*clicks(tmp_path, rows), "online.window=1", "online.bits=20"]
    online("run", *options, "online.min_count=2")
    assert [entry["nonzero_weights"] for entry in told(tmp_path / "run")] == [0, 1, 1, 2]


def test_bad_rows_that_are_read_again_are_counted_once(tmp_path):
    path = tmp_path / "bad_rows.jsonl"

    def read(bad, last):
        """A file's bad rows up to a line: odd ones do not parse, the label of even ones is wrong."""
        for line in range(1, last + 1):
            if line % 2:
                bad.add(tmp_path / "a", line, b"row", "odd")
            else:
                block = Block(
                    {"label": pa.array([7.0])}, 1, tmp_path / "a", line - 1, lambda file, row: f"{file}, line {row + 1}"
                )
                bad.add_parsed(block, f"{tmp_path / 'a'}, line {line}: even")

    bad = Quarantine(10, path, {})
    read(bad, 4)
    marks = json.loads(json.dumps(bad.marks()))
    read(bad, 7)  # ahead of what is saved
    again = Quarantine(10, path, marks)
    read(again, 6)
    assert again.count == 6
    assert [(entry["line"], entry["why"]) for entry in entries(path)] == [
        (line, "odd" if line % 2 else "even") for line in range(1, 7)
    ]
