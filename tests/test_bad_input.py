"""Wrong data, and places that cannot be written, as a user of the command line meets them.

Each is one message and exit code 2, without a traceback; files of the user stay as they are, and nothing half-written
is left.
"""

import contextlib
import csv
import errno
import gzip
import json
import resource
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from rectrain.data import shards
from rectrain.data.prepare import prepare
from tests.samples import data_config

TINY = Path(__file__).parents[1] / "data" / "tiny"
CRITEO = TINY / "criteo_tiny.tsv"
LINES = CRITEO.read_bytes().splitlines(keepends=True)
WHOLE = b"".join(LINES)
FAST = ("model=lr", "optimizer=sgd", "trainer.epochs=1")

SHOP = """\
name: shop
folder: shop
format: {reader: csv}
labels: {bought: bought}
group: visitor
time: {column: seen_at, format: "%Y-%m-%dT%H:%M:%S%z"}
weight: importance
features:
  places: {type: categorical, columns: [city]}
  prices: {type: numeric, columns: [price], transform: none}
"""


def cells(line: int, column: int, value: bytes) -> bytes:
    """Criteo's rows with another value in one cell; lines count from 1."""
    row = LINES[line - 1].split(b"\t")
    row[column] = value
    return b"".join([*LINES[: line - 1], b"\t".join(row), *LINES[line:]])


def column(index: int, value: bytes) -> bytes:
    """Criteo's rows with one column of equal values."""
    rows = (line.split(b"\t") for line in LINES)
    return b"".join(b"\t".join([*row[:index], value, *row[index + 1 :]]) for row in rows)


def start_of(line: int) -> str:
    return repr(LINES[line - 1].decode()[:40])[1:-1]


def assert_one_message(code: int, out: str, err: str, *parts: str):
    assert code == 2, out + err
    assert err.startswith("rectrain: ")
    assert err.count("\n") == 1
    assert "Traceback" not in out + err
    for part in parts:
        assert part in err


def files_under(folder: Path) -> dict[str, bytes]:
    """All files but the hidden locks of prepared data."""
    paths = [p for p in folder.rglob("*") if p.is_file() and p.suffix != ".lock"]
    return {str(p.relative_to(folder)): p.read_bytes() for p in paths}


def assert_only(folder: Path, files: dict[str, bytes]):
    """Nothing beside these files, but for a folder `outputs` without runs."""
    assert files_under(folder) == files
    assert not list((folder / "outputs").glob("*"))
    assert not [p for p in folder.glob("data/prepared/*") if p.is_dir()]


BAD_FILES = {
    "empty": (b"", [], ["train.tsv: the file is empty (0 bytes)", "data.files"]),
    "blank lines": (b"\n\r\n\n", [], ["train.tsv: the file is empty (only blank lines)", "data.files"]),
    "a column less": (
        b"".join([*LINES[:11], LINES[11].rpartition(b"\t")[0] + b"\n", *LINES[12:]]),
        [],
        ["train.tsv, line 12: ", start_of(12), "has 39 columns; expected 40", "data.format.columns"],
    ),
    "a column more": (
        b"".join([*LINES[:11], b"x\t" + LINES[11], *LINES[12:]]),
        [],
        ["train.tsv, line 12: 'x\\t", "has 41 columns; expected 40", "data.format.columns"],
    ),
    "another delimiter": (
        WHOLE.replace(b"\t", b","),
        [],
        ["train.tsv, line 1: '1,7,13,", "has 1 columns; expected 40", "data.format.delimiter (now '\\t')"],
    ),
    "label 2": (
        cells(6, 0, b"2"),
        [],
        ["train.tsv, line 6: '2\\t0", "column 'label' is 2.0; expected a label, 0 or 1", "data.labels.click"],
    ),
    "label -1": (cells(6, 0, b"-1"), [], ["train.tsv, line 6: '-1\\t0", "0 or 1", "data.labels.click"]),
    "no label": (cells(6, 0, b""), [], ["train.tsv, line 6: '\\t0", "column 'label' is missing", "data.labels.click"]),
    "label yes": (cells(6, 0, b"yes"), [], ["train.tsv, line 6: ", "'label' holds 'yes'", "0 or 1", "data.labels"]),
    "label as a feature": (
        WHOLE,
        ["data.features.numbers.columns=[I1,label]"],
        ["data.features.numbers.columns: column 'label' is the label of data.labels.click"],
    ),
    "not UTF-8": (
        cells(99, 20, b"Z\xfcrich"),
        [],
        ["train.tsv, line 99: ", start_of(99), "0xfc, is not UTF-8", "iconv -f LATIN1 -t UTF-8", "data.files"],
    ),
    "UTF-16": (WHOLE.decode().encode("utf-16"), [], ["train.tsv: ", "UTF-16", "iconv"]),
    "gzip cut short": (
        gzip.compress(WHOLE, mtime=0)[:-2000],
        [],
        ["train.tsv: the gzip data are cut short or damaged", "gzip -t", "data.files"],
    ),
    "text for a number": (
        cells(7, 3, b"many"),
        [],
        ["train.tsv, line 7: ", "column 'I3' holds 'many'; expected a finite number", "data.format.null_values"],
    ),
    "NaN": (cells(7, 3, b"NaN"), [], ["train.tsv, line 7: ", "column 'I3' holds 'NaN'", "data.format.null_values"]),
    "infinity": (cells(7, 3, b"-inf"), [], ["train.tsv, line 7: ", "column 'I3' holds '-inf'; expected a finite"]),
    "a split without rows": (
        WHOLE,
        ["data.split.train=0.998", "data.split.valid=0.001", "data.split.test=0.001"],
        ["data.split.by=order puts none of 200 rows into valid", "Change data.split.valid"],
    ),
    "one class": (
        column(0, b"0"),
        [],
        ["data.labels.click: all 200 rows are 0; training and scoring need both classes", "data.files"],
    ),
    "a split of one class": (
        b"".join([*LINES[:180], *(b"1" + line[1:] for line in LINES[180:])]),
        [],
        ["data.labels.click: 20 of 20 rows of the split test are positive", "Change data.split.test"],
    ),
    "vocabulary of nothing": (column(20, b""), [], ["column 'C7' has an empty vocabulary: every row", "blank"]),
    "vocabulary below min_count": (
        WHOLE,
        ["data.features.categories.min_count=1000"],
        ["column 'C1' has an empty vocabulary", "occurs 1000 times", "Change data.features.categories.min_count"],
    ),
    "unknown column": (WHOLE, ["data.group=C27"], ["data.group: there is no column 'C27' in", "Did you mean 'C"]),
}


@pytest.mark.parametrize(("content", "overrides", "parts"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_file_is_one_message(rectrain, tmp_path, content, overrides, parts):
    (tmp_path / "train.tsv").write_bytes(content)
    assert_one_message(*rectrain("prepare", "data.files=train.tsv", *overrides), *parts)
    assert_only(tmp_path, {"train.tsv": content})


def test_a_file_that_is_missing(rectrain, tmp_path):
    (tmp_path / "train.tsv").write_bytes(WHOLE)
    assert_one_message(
        *rectrain("data.files=trian.tsv"), f"data.files: 'trian.tsv' names no file ({tmp_path}", "mean 'train.tsv'?"
    )
    assert_only(tmp_path, {"train.tsv": WHOLE})


def test_a_folder_without_files_of_the_data_set(rectrain, tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/notes.md").write_bytes(b"x")
    assert_one_message(*rectrain("data.files=raw"), "data.files: 'raw' names no file", "*.tsv.gz (data.patterns)")
    assert_one_message(*rectrain("data.folder=raw", "data.source=files"), "no files in data.folder=raw", "*.tsv.gz")
    assert_only(tmp_path, {"raw/notes.md": b"x"})


def test_the_same_fault_in_the_second_file_is_named_there(rectrain, tmp_path):
    bad = cells(6, 0, b"2")
    (tmp_path / "a.tsv").write_bytes(WHOLE)
    (tmp_path / "b.tsv.gz").write_bytes(gzip.compress(bad, mtime=0))
    assert_one_message(*rectrain("data.files=[a.tsv,b.tsv.gz]"), "b.tsv.gz, line 6: ", "'label' is 2.0")
    assert_only(tmp_path, {"a.tsv": WHOLE, "b.tsv.gz": gzip.compress(bad, mtime=0)})


@pytest.fixture
def shop(tmp_path):
    """A user's own data set: --config-dir conf data=shop; gives the rows to harm and write."""
    (tmp_path / "conf/data").mkdir(parents=True)
    (tmp_path / "conf/data/shop.yaml").write_text(SHOP, encoding="utf-8")
    (tmp_path / "shop").mkdir()
    with open(TINY / "visits_tiny.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


SHOP_FAULTS = {
    "NaN": ("price", "nan", ["'price' holds 'nan'; expected a finite number"]),
    "infinity": ("price", "inf", ["'price' holds 'inf'; expected a finite number"]),
    "beyond float64": ("price", "1e999", ["'price' holds '1e999'; expected a finite number"]),
    "beyond float32": ("price", "1e300", ["'price' is 1e+300; expected a number that fits float32"]),
    "text": ("price", "12,50 €", ["'price' holds '12,50 €'; expected a finite number", "data.features"]),
    "weight": ("importance", "-0.5", ["'importance' is -0.5; expected a weight, 0 or more", "data.weight"]),
    "time": ("seen_at", "yesterday", ["'seen_at' is 'yesterday'; expected a time like", "data.time"]),
}


@pytest.mark.parametrize(("name", "value", "parts"), SHOP_FAULTS.values(), ids=SHOP_FAULTS)
def test_a_bad_cell_of_a_csv_file_of_ones_own(rectrain, tmp_path, shop, name, value, parts):
    shop[3][name] = value
    with open(tmp_path / "shop/visits.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(shop[0]))
        writer.writeheader()
        writer.writerows(shop)
    before = files_under(tmp_path)
    found = rectrain("prepare", "--config-dir", str(tmp_path / "conf"), "data=shop")
    assert_one_message(*found, "visits.csv, line 5: ", *parts)
    assert_only(tmp_path, before)


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_a_bad_number_of_a_parquet_file(rectrain, tmp_path, shop, value):
    prices = [float(row["price"] or 1) for row in shop]
    prices[3] = value
    table = {name: [row[name] for row in shop] for name in shop[0]} | {"price": prices}
    pq.write_table(pa.table(table), tmp_path / "shop/visits.parquet")
    before = files_under(tmp_path)
    found = rectrain("--config-dir", str(tmp_path / "conf"), "data=shop", "data.format.reader=parquet")
    assert_one_message(*found, "visits.parquet, row 4: ", f"'price' holds {value}; expected a finite number")
    assert_only(tmp_path, before)


@contextlib.contextmanager
def no_file_grows_beyond(num_bytes: int):
    """Python ignores SIGXFSZ, so a write that crosses the line is an error of every writer, C++'s too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("num_bytes", [400, 4000, 9000], ids=["vocabularies", "schema", "rows"])
def test_no_room_while_preparing(rectrain, tmp_path, num_bytes):
    with no_file_grows_beyond(num_bytes):
        found = rectrain(f"data.files={CRITEO}")
    assert_one_message(*found, "data.prepared_dir=data/prepared: cannot write there: a file grew beyond", "Make room")
    assert_only(tmp_path, {})


def test_a_full_disk_while_preparing(rectrain, tmp_path, monkeypatch):
    writer = shards.pq.ParquetWriter
    monkeypatch.setattr(shards.pq, "ParquetWriter", lambda path, *args, **kw: writer("/dev/full", *args, **kw))
    found = rectrain("prepare", f"data.files={CRITEO}")
    assert_one_message(*found, "data.prepared_dir=data/prepared: cannot write there: the disk is full", "Make room")
    assert_only(tmp_path, {})


def test_a_full_disk_at_the_very_last_file(rectrain, tmp_path, monkeypatch):
    write_text = Path.write_text

    def full(path, *args, **kwargs):
        if path.name == "manifest.json":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_text(path, *args, **kwargs)

    monkeypatch.setattr(Path, "write_text", full)
    found = rectrain(f"data.files={CRITEO}")
    assert_one_message(*found, "data.prepared_dir=data/prepared: cannot write there: the disk is full")
    assert_only(tmp_path, {})


def test_no_room_for_the_sample(rectrain, tmp_path):
    with no_file_grows_beyond(100_000):
        found = rectrain()
    assert_one_message(*found, "data.prepared_dir=data/prepared: the built-in sample cannot be written", "with room")
    assert_only(tmp_path, {})


@pytest.mark.parametrize("files", [(f"data.files={CRITEO}",), ()], ids=["files", "sample"])
def test_an_unwritable_place_for_prepared_data(rectrain, tmp_path, files):
    (tmp_path / "taken").write_bytes(b"mine")
    found = rectrain(*files, "data.prepared_dir=taken/prepared")
    assert_one_message(*found, "data.prepared_dir=taken/prepared: ", "et data.prepared_dir to a")
    assert_only(tmp_path, {"taken": b"mine"})


def test_a_file_where_outputs_should_be(rectrain, tmp_path):
    (tmp_path / "outputs").write_bytes(b"mine")
    found = rectrain(f"data.files={CRITEO}")
    assert_one_message(*found, "cannot write outputs", ": a part of the path is a file", "hydra.run.dir=DIR")
    assert files_under(tmp_path) == {"outputs": b"mine"}


def test_an_outputs_folder_without_permission(rectrain, tmp_path, monkeypatch):
    mkdir = Path.mkdir

    def refuse(path, *args, **kwargs):
        if "outputs" in path.parts:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return mkdir(path, *args, **kwargs)

    monkeypatch.setattr(Path, "mkdir", refuse)
    found = rectrain(f"data.files={CRITEO}")
    assert_one_message(*found, "cannot write outputs/", ": writing there is not permitted", "hydra.run.dir=DIR")
    assert_only(tmp_path, {})


def test_folders_of_the_user_stay(rectrain, tmp_path, monkeypatch):
    for name in ("mine", "above/here"):
        (tmp_path / name).mkdir(parents=True)
    assert_one_message(*rectrain("data.files=none.tsv", "hydra.run.dir=mine"))
    monkeypatch.chdir(tmp_path / "above/here")
    assert_one_message(*rectrain("prepare", "data.files=none.tsv"))
    assert (tmp_path / "mine").is_dir()
    assert (tmp_path / "above/here").is_dir()


@pytest.fixture(scope="module")
def prepared_data(tmp_path_factory):
    """The keys of a data set that is prepared already, whether or not the disk is full by then."""
    folder = tmp_path_factory.mktemp("data") / "prepared"
    prepare(data_config(f"files={CRITEO}", f"prepared_dir={folder}"), say=lambda text: None)
    return f"data.files={CRITEO}", f"data.prepared_dir={folder}"


@pytest.fixture
def run(rectrain, prepared_data):
    """Trains into the folder `run`."""
    return lambda *overrides: rectrain(*FAST, *prepared_data, "hydra.run.dir=run", *overrides)


def report_of(folder: Path) -> dict:
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def full_file(path: Path):
    """A file on a disk that is full."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to("/dev/full")


@pytest.mark.parametrize("file", ["schema.json", "config.yaml"])
def test_a_disk_that_is_full_at_the_start_of_a_run(run, tmp_path, file):
    """Files are written aside, under such names."""
    full_file(tmp_path / f"run/.{file}.part")
    assert_one_message(*run(), f"cannot write {tmp_path}/run: the disk is full", "hydra.run.dir=DIR")
    assert files_under(tmp_path) == {}


def test_no_room_for_a_checkpoint(run, tmp_path):
    with no_file_grows_beyond(100_000):
        found = run("model=fm", "model.embedding_dim=64")
    message = f"cannot write the checkpoint of step 1 under {tmp_path}/run/checkpoints: "
    assert_one_message(*found, message, "File too large. Earlier checkpoints are untouched", "hydra.run.dir")
    assert "{{" not in found[2]  # TensorFlow's node names
    assert not list((tmp_path / "run/checkpoints").iterdir())
    report = report_of(tmp_path / "run")
    assert report["status"] == "failed"
    assert message in report["error"]


def test_a_disk_that_is_full_at_the_second_checkpoint(run, tmp_path, monkeypatch):
    write, calls = tf.train.Checkpoint.write, []

    def full(self, path, *args, **kwargs):
        calls.append(path)
        written = write(self, path, *args, **kwargs)
        if len(calls) == 2:
            raise tf.errors.ResourceExhaustedError(None, None, "variables; No space left on device")
        return written

    monkeypatch.setattr(tf.train.Checkpoint, "write", full)
    found = run("trainer.epochs=3")
    assert_one_message(*found, "cannot write the checkpoint of step 2", "No space left on device. Earlier checkpoints")
    assert sorted(p.name for p in (tmp_path / "run/checkpoints").iterdir()) == ["index.json", "step-00000001"]
    assert json.loads((tmp_path / "run/checkpoints/index.json").read_text()) == {"steps": [1], "best": 1}
    assert report_of(tmp_path / "run")["status"] == "failed"


def test_a_disk_that_is_full_at_the_report(run, tmp_path):
    """report.html comes before report.json."""
    full_file(tmp_path / "run/.report.html.part")
    assert_one_message(*run(), f"cannot write {tmp_path}/run: the disk is full", "Make room")
    left = {p.name for p in (tmp_path / "run").iterdir()}
    scores = {f"scores-{split}.parquet" for split in ("valid", "test")}
    written = {"config.yaml", "schema.json", "vocab", "checkpoints", "metrics.jsonl", "tensorboard", "train.log"}
    assert left == written | scores


def test_a_disk_that_is_full_at_the_metrics(run, tmp_path):
    full_file(tmp_path / "run/metrics.jsonl")
    assert_one_message(*run(), f"cannot write {tmp_path}/run: the disk is full", "Make room")
    report = report_of(tmp_path / "run")
    assert (report["status"], report["error"]) == ("failed", "[Errno 28] No space left on device")


def test_an_unwritable_place_for_tensorboard(run, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/tensorboard").write_bytes(b"mine")
    assert_one_message(*run(), f"cannot write TensorBoard's events under {tmp_path}/run/tensorboard: Not a directory.")
    assert report_of(tmp_path / "run")["status"] == "failed"


def test_a_full_disk_under_the_log_alone_does_not_stop_a_run(rectrain, run, tmp_path):
    full_file(tmp_path / "run/train.log")
    code, out, err = run()
    assert (code, err) == (0, ""), out
    assert report_of(tmp_path / "run")["status"] == "done"
    assert rectrain("--cfg", "job")[0] == 0  # closes the log


def test_a_folder_that_holds_a_run_is_refused(run, tmp_path):
    assert run()[0] == 0
    before = files_under(tmp_path / "run")
    assert_one_message(*run(), f"{tmp_path}/run holds a run already (config.yaml)", "hydra.run.dir=DIR")
    assert files_under(tmp_path / "run") == before


def test_a_sweep_goes_on_past_a_full_disk(rectrain, prepared_data, tmp_path):
    full_file(tmp_path / "sweep/0/.schema.json.part")
    code, _, err = rectrain("-m", *FAST, *prepared_data, "seed=1,2", "hydra.sweep.dir=sweep")
    assert code == 2
    assert err.startswith(f"rectrain: cannot write {tmp_path}/sweep/0: the disk is full")
    assert report_of(tmp_path / "sweep/0")["status"] == "failed"
    assert report_of(tmp_path / "sweep/1")["status"] == "done"
