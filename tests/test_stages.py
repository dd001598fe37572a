"""A preparation in stages: the bytes of the one of one process, whoever does which part, and when."""

import dataclasses
import gzip
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from rectrain.config import DataConfig, StageConfig
from rectrain.data import shards, stage_shards, statistics, values
from rectrain.data.manifest import Prepared
from rectrain.data.prepare import prepare
from rectrain.data.readers import parquet as parquet_reader
from rectrain.data.stages import run_stage
from rectrain.errors import InputError
from rectrain.sections import prepare_config
from tests.test_prepare import config, digests, quietly, raw_rows, write_csv, write_parquet

ROOT = Path(__file__).parents[1]
SPARK = """\
name: spark
source: files
format: {reader: parquet}
labels: {click: click}
features:
  people: {type: categorical, columns: [user, city, page]}
  heights: {type: numeric, columns: [height], transform: standardize}
"""
STAGES = ("count", "fit", "merge", "encode")
FILE_ROWS = (1, 130, 57, 200, 3)
CASES = {  # parts, changes
    "order": (3, {}),
    "random": (1, {"split.by": "random", "split.seed": 3}),
    "hash": (2, {"split.by": "hash", "split.column": "page"}),
    "time by moments": (2, {"split.by": "time", "split.valid_from": "14102116", "split.test_from": 14102120}),
    "time by fractions": (2, {"split.by": "time"}),
    "last": (3, {"split.by": "last", "split.column": "page"}),
    "some rows": (7, {"split.by": "last", "split.column": "page", "rows": {"column": "visits", "at_least": 1}}),
    "without contradictions": (1, {"drop_inconsistent": [["click", "buy"]]}),
    "two standardized": (2, {"features.plain.transform": "standardize", "features.people.min_count": 3}),
    "a sample": (3, {"features.plain.transform": "quantile", "features.plain.buckets": 9}),
    "parts without shards": (11, {}),
}


@pytest.fixture
def small(monkeypatch):
    """Shards, samples and blocks so small that a few hundred rows have several."""
    monkeypatch.setattr(shards, "ROW_GROUP_ROWS", 16)
    monkeypatch.setattr(shards, "SHARD_ROWS", 48)
    monkeypatch.setattr(stage_shards, "SHARD_ROWS", 48)
    monkeypatch.setattr(statistics, "_CHUNK", 7)
    monkeypatch.setattr(statistics, "_EXACT_VALUES", 30)
    monkeypatch.setattr(values, "_PIECE_BYTES", 11)
    monkeypatch.setattr(parquet_reader, "BLOCK_ROWS", 23)


def rows_of_files(seed: int = 0) -> list[list[dict]]:
    rows = raw_rows(sum(FILE_ROWS), seed)
    for row in rows:
        row["page"] = row["page"] or "p0"
    return [rows[first:last] for first, last in itertools.pairwise(np.cumsum((0, *FILE_ROWS)))]


def write_files(folder: Path, kind: str = "csv") -> Path:
    folder.mkdir()
    for number, rows in enumerate(rows_of_files()):
        path = folder / f"part-{number}.{kind}"
        if kind == "parquet":
            write_parquet(path, rows)
        elif kind == "quoted.csv":
            write_csv(
                path, [row | {"city": 'two\nlines, "quoted"' if i % 3 else row["city"]} for i, row in enumerate(rows)]
            )
        else:
            write_csv(folder / f"part-{number}.csv", rows)
            if kind == "csv.gz":
                text = folder / f"part-{number}.csv"
                path.write_bytes(gzip.compress(text.read_bytes(), mtime=0))
                text.unlink()
    return folder


def in_stages(data: DataConfig, parts: int, stages=STAGES) -> Prepared | None:
    """The parts of a stage in an order of their own."""
    prepared = None
    for stage in stages:
        for part in (1,) if stage == "merge" else reversed(range(1, parts + 1)):
            prepared = run_stage(data, StageConfig(stage, part, parts), say=quietly)
    return prepared


def elsewhere(tmp_path: Path, files: Path, **changes) -> DataConfig:
    return config(tmp_path, files, **changes, prepared_dir=str(tmp_path / "elsewhere"))


def assert_equal(tmp_path: Path, files: Path, parts: int, **changes):
    one = prepare(config(tmp_path, files, **changes), say=quietly)
    several = in_stages(elsewhere(tmp_path, files, **changes), parts)
    assert digests(several.folder) == digests(one.folder)
    assert [path.name for path in (tmp_path / "elsewhere").iterdir() if path.is_dir()] == [one.folder.name]


@pytest.mark.parametrize(("parts", "changes"), CASES.values(), ids=CASES)
def test_stages_give_the_bytes_of_one_process(tmp_path, small, parts, changes):
    assert_equal(tmp_path, write_files(tmp_path / "raw"), parts, **changes)


@pytest.mark.parametrize("kind", ["quoted.csv", "csv.gz", "parquet"])
def test_so_does_any_kind_of_file(tmp_path, small, kind):
    reader = "parquet" if kind == "parquet" else "csv"
    assert_equal(tmp_path, write_files(tmp_path / "raw", kind), 2, **{"format.reader": reader})


def test_so_do_splits_that_are_files(tmp_path, small):
    raw = write_files(tmp_path / "raw")
    files = {"train": [str(raw / f"part-{i}.csv") for i in (3, 0)], "valid": str(raw / "part-1.csv")}
    files["test"] = str(raw / "part-2.csv")
    assert_equal(tmp_path, None, 4, **{"split.by": "files", "split.files": files})


def test_shards_of_real_size_are_cut_at_the_same_rows(tmp_path):
    assert_equal(tmp_path, write_files(tmp_path / "raw"), 2)


def test_a_file_is_read_for_the_shards_that_hold_its_rows_alone(tmp_path, small, monkeypatch):
    data = elsewhere(tmp_path, write_files(tmp_path / "raw"))
    in_stages(data, 2, STAGES[:3])
    read = []
    opened = stage_shards._OpenShards.begin_file
    monkeypatch.setattr(
        stage_shards._OpenShards, "begin_file", lambda self, file, at: (read.append(file.index), opened(self, file, at))
    )
    run_stage(data, StageConfig("encode", 1, 9), say=quietly)
    assert read == [0, 1]


def test_what_is_done_is_not_done_again_and_what_is_missing_is(tmp_path, small):
    data = elsewhere(tmp_path, write_files(tmp_path / "raw"))
    said = []
    run = lambda stage: run_stage(data, StageConfig(stage, 1, 1), say=said.append)  # noqa: E731
    for stage in STAGES[:3]:
        run(stage)
    (work,) = (tmp_path / "elsewhere").glob("*.stages")
    before = {path: path.stat().st_mtime_ns for path in work.rglob("*.*") if path.is_file()}
    (work / "fit" / "00003.npz").unlink()
    said.clear()
    for stage in STAGES[:3]:
        run(stage)
    after = {path: path.stat().st_mtime_ns for path in work.rglob("*.*") if path.is_file()}
    assert [path.name for path in before if before[path] != after[path]] == ["00003.npz"]
    assert said == [
        "count: 5 of 5 files, 5 of them done before",
        "count: 5 of 5 files are done; next: fit",
        "fit: 5 of 5 files, 4 of them done before",
        "fit: 5 of 5 files are done; next: merge",
        "merge: done before; next: encode",
    ]
    assert run("encode").rows("train") > 0
    said.clear()
    assert run("fit").rows("train") > 0
    assert said[0].startswith("already prepared")


def test_stages_in_a_wrong_order_name_what_is_missing(tmp_path):
    data = elsewhere(tmp_path, write_files(tmp_path / "raw"))

    def refused(stage, parts=1) -> str:
        with pytest.raises(InputError) as error:
            run_stage(data, StageConfig(stage, 1, parts), say=quietly)
        return str(error.value)

    assert "prepare.stage=encode: no stage of this data set was run" in refused("encode")
    assert "Begin with prepare.stage=count" in refused("merge")
    run_stage(data, StageConfig("count", 2, 3), say=quietly)
    parts = "missing (prepare.part=1, 3 of prepare.parts=3)"
    assert f"prepare.stage=fit needs prepare.stage=count of all files; 4 of 5 are {parts}" in refused("fit", 3)
    assert str(tmp_path / "raw" / "part-3.csv") in refused("fit")
    in_stages(data, 3, ["count"])
    run_stage(data, StageConfig("fit", 1, 3), say=quietly)
    assert "needs prepare.stage=fit of all files; 3 of 5 are missing" in refused("merge")
    assert "needs prepare.stage=fit of all files" in refused("encode")
    in_stages(data, 3, ["fit"])
    assert "prepare.stage=encode needs the vocabularies of all files. Run prepare.stage=merge first." in refused(
        "encode"
    )


def test_a_raw_file_that_changed_between_stages_is_named(tmp_path):
    raw = write_files(tmp_path / "raw")
    data = elsewhere(tmp_path, raw)
    in_stages(data, 1, STAGES[:2])
    with open(raw / "part-1.csv", "a", encoding="utf-8") as file:
        file.write((raw / "part-4.csv").read_text(encoding="utf-8").splitlines()[-1] + "\n")
    for stage in ("merge", "encode"):
        with pytest.raises(InputError, match=r"raw files \(data.files\) changed since the stages in .*part-1.csv. Put"):
            run_stage(data, StageConfig(stage, 1, 1), say=quietly)
    said = []
    run_stage(data, StageConfig("count", 1, 1), say=said.append)
    assert said[0].startswith("count: begins anew, as raw files (data.files) changed")
    assert in_stages(data, 1, STAGES[1:]).rows("train") > 0


@pytest.mark.parametrize(("stage", "number"), [("count", 0), ("fit", 0), ("encode", 0), ("encode", 4)])
def test_a_raw_file_that_changes_while_it_is_read_is_refused(tmp_path, monkeypatch, stage, number):
    raw = write_files(tmp_path / "raw")
    data = elsewhere(tmp_path, raw, **CASES["time by fractions"][1])
    in_stages(data, 1, STAGES[: STAGES.index(stage)])
    from rectrain.data import recipe, row_counts

    touched = lambda work: lambda self, *args: (os.utime(raw / f"part-{number}.csv", (1, 1)), work(self, *args))[1]  # noqa: E731
    monkeypatch.setattr(recipe.Recipe, "observe", touched(recipe.Recipe.observe))
    monkeypatch.setattr(recipe.Recipe, "packed", touched(recipe.Recipe.packed))
    monkeypatch.setattr(row_counts.Times, "add", touched(row_counts.Times.add))
    with pytest.raises(InputError, match=rf"part-{number}.csv changed while it was read"):
        run_stage(data, StageConfig(stage, 1, 1), say=quietly)


@pytest.mark.parametrize("stage", ["count", "fit"])
def test_a_damaged_result_is_named(tmp_path, stage):
    data = elsewhere(tmp_path, write_files(tmp_path / "raw"))
    in_stages(data, 1, STAGES[:2])
    (work,) = (tmp_path / "elsewhere").glob("*.stages")
    path = work / "count.npz" if stage == "count" else work / "fit" / "00002.npz"
    whole = path.read_bytes()
    shutil.rmtree(work / "fit") if stage == "count" else None
    path.write_bytes(whole[:-30])
    with pytest.raises(InputError, match=rf"{path.name} is damaged .* run prepare.stage={stage} again"):
        in_stages(data, 1, ["fit", "merge"])
    path.unlink()
    assert in_stages(data, 1).rows("train") > 0


def test_an_event_log_is_refused(tmp_path):
    history = {"user": "user", "steps": ["city"]}
    data = elsewhere(tmp_path, write_files(tmp_path / "raw"), history=history)
    with pytest.raises(InputError, match=r"data.history brings together .* Set prepare.stage=null"):
        run_stage(data, StageConfig("count", 1, 1), say=quietly)


def test_a_split_that_needs_no_count_begins_with_the_fit(tmp_path):
    data = elsewhere(tmp_path, write_files(tmp_path / "raw"), **CASES["hash"][1])
    said = []
    run_stage(data, StageConfig("count", 1, 1), say=said.append)
    assert said == ["count: data.split.by=hash needs no count; next: fit"]
    assert in_stages(data, 1, STAGES[1:]).rows("valid") > 0


def test_too_few_rows_are_refused_where_all_are_known(tmp_path):
    late = {"split.by": "time", "split.valid_from": "15010101", "split.test_from": "15010102"}
    data = elsewhere(tmp_path, write_files(tmp_path / "raw"), **late)
    in_stages(data, 1, ["fit"])
    with pytest.raises(InputError, match="puts none of 391 rows into valid"):
        in_stages(data, 1, ["merge"])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["prepare.part=3", "prepare.parts=2", "prepare.stage=fit"], "prepare.part=3: expected 1 to prepare.parts=2"),
        (["prepare.parts=2"], "prepare.parts=2 has no effect without a stage"),
        (["prepare.stage=merge", "prepare.parts=2", "prepare.part=2"], "prepare.stage=merge is one process"),
        (["prepare.stage=shuffle"], "prepare.stage=shuffle: expected one of count, fit, merge, encode"),
    ],
)
def test_parts_that_cannot_be_are_refused(rectrain, overrides, message):
    code, _, err = rectrain("prepare", "data.sample.rows=100", *overrides)
    assert (code, message in err) == (2, True), err


def test_the_command_says_how_far_it_is_and_then_what_it_made(rectrain):
    fixed = ["prepare", "data.sample.rows=600"]
    said = [rectrain(*fixed, f"prepare.stage={stage}")[1] for stage in STAGES]
    assert "1 of 1 files are done; next: fit" in said[0]
    assert "3 of 3 shards are done" in said[3]
    assert "NOTE: this is not criteo" in said[3]
    assert "train 480, valid 60, test 60 rows" in said[3]
    assert "already prepared" in rectrain(*fixed)[1]


PROCESS = """
import sys, time
from pathlib import Path
from rectrain.config import StageConfig
from rectrain.data import stage_files
from rectrain.data.stages import run_stage
from tests.test_stages import elsewhere
folder, stage, stop_at = Path(sys.argv[1]), sys.argv[2], sys.argv[3]

def stopping(name):
    work = getattr(stage_files, name)
    def slowly(path):
        if stop_at in path.name:
            print("stopped", flush=True)
            while not (folder / "go").exists():
                time.sleep(0.01)
        return work(path)
    setattr(stage_files, name, slowly)

stopping("to_disk")
done = run_stage(elsewhere(folder, folder / "raw"), StageConfig(stage, 1, 1), say=lambda text: print(text, flush=True))
print("dataset" if done else "more to do", flush=True)
"""


def start(folder: Path, stage: str, stop_at: str) -> subprocess.Popen:
    """A process that stops where it has written a file of this name, before the file takes its place."""
    command = [sys.executable, "-c", PROCESS, str(folder), stage, stop_at]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT)


def wait_until_stopped(process: subprocess.Popen):
    while (line := process.stdout.readline()) != "stopped\n":
        assert line, "it never stopped"


STOPS = {"count": "00003", "fit": "00002", "merge": "city.parquet", "encode": "valid-00000"}


@pytest.mark.slow
def test_a_stage_that_was_killed_is_run_again(tmp_path):
    raw = write_files(tmp_path / "raw")
    data = elsewhere(tmp_path, raw)
    for stage, stop_at in STOPS.items():
        with start(tmp_path, stage, stop_at) as process:
            wait_until_stopped(process)
            process.send_signal(signal.SIGKILL)
        prepared = in_stages(data, 1, [stage])
    assert digests(prepared.folder) == digests(prepare(config(tmp_path, raw), say=quietly).folder)
    assert [path.name for path in (tmp_path / "elsewhere").iterdir() if path.is_dir()] == [prepared.folder.name]


def test_two_processes_may_do_the_same_part_at_once(tmp_path):
    raw = write_files(tmp_path / "raw")
    data = elsewhere(tmp_path, raw)
    in_stages(data, 1, STAGES[:3])
    with start(tmp_path, "encode", "valid-00000") as slow:
        wait_until_stopped(slow)
        with start(tmp_path, "encode", "never") as quick:  # makes the dataset before the other one goes on
            assert quick.communicate(timeout=60)[0].endswith("dataset\n")
        (tmp_path / "go").touch()
        assert slow.communicate(timeout=60)[0].endswith("dataset\n")
    assert slow.returncode == quick.returncode == 0
    (left,) = (path for path in (tmp_path / "elsewhere").iterdir() if path.is_dir())
    assert digests(left) == digests(prepare(config(tmp_path, raw), say=quietly).folder)


@pytest.mark.slow
def test_the_makefile_of_the_docs_prepares_with_two_processes_at_a_time(tmp_path):
    text = (ROOT / "docs" / "preparation.md").read_text(encoding="utf-8")
    (tmp_path / "prepare.mk").write_text(re.search(r"```make\n(.*?)```", text, re.S)[1], encoding="utf-8")
    program = tmp_path / "rectrain"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "from rectrain.cli import main; main()" "$@"\n')
    program.chmod(0o755)
    write_files(tmp_path / "raw", "parquet")
    data = f"data=spark data.files={tmp_path}/raw data.prepared_dir={tmp_path}"
    conf = tmp_path / "conf" / "data"
    conf.mkdir(parents=True)
    (conf / "spark.yaml").write_text(SPARK, encoding="utf-8")
    make = ["make", "-f", "prepare.mk", "-j2", "PARTS=3", f"RECTRAIN={program}"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    at_once = ["prepare", "--config-dir", "conf", *f"{data}/one".split()]
    subprocess.run([program, *at_once], cwd=tmp_path, env=environment, check=True)
    data = f"DATA=--config-dir conf {data}/several"
    done = subprocess.run([*make, data], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True)
    assert "3 of 3 shards are done" in done.stdout
    assert done.stdout.rstrip().endswith("rows")
    (one,), (several,) = ([p for p in (tmp_path / name).iterdir() if p.is_dir()] for name in ("one", "several"))
    assert digests(several) == digests(one)
    again = subprocess.run([*make, data], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True)
    assert "already prepared" in again.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", ["avazu", "census_income", "ali_ccp", "mmoe_synthetic"])
def test_samples_of_all_layouts_without_histories_are_prepared_alike(tmp_path, name):
    with initialize_config_module("rectrain.configs", version_base="1.3"):
        overrides = [f"data={name}", "data.source=sample", "data.sample.rows=3000"]
        raw = OmegaConf.to_container(compose("prepare", overrides), resolve=True)
    data = [
        dataclasses.replace(prepare_config(raw).data, prepared_dir=str(tmp_path / "data" / folder))
        for folder in ("one", "several")
    ]
    one = prepare(data[0], say=quietly)
    assert digests(in_stages(data[1], 3).folder) == digests(one.folder)
