"""Which files are read, in which order, and what is said where there are none."""

import dataclasses
import os
from pathlib import Path

import pytest

from rectrain.config import DataConfig, FormatConfig, SampleConfig, SplitConfig
from rectrain.data import sample
from rectrain.data.sources import find_files
from rectrain.errors import InputError

SPLIT = SplitConfig(
    by="order", train=0.8, valid=0.1, test=0.1, seed=0, column=None, valid_from=None, test_from=None, files=None
)
SAMPLE = SampleConfig(layout="criteo", rows=50, seed=3)
DATA = DataConfig(
    max_bad_rows=0,
    rows=None,
    history=None,
    negatives=None,
    drop_inconsistent=[],
    name="clicks",
    source="auto",
    folder="data/clicks",
    patterns=["*.csv", "*.tsv", "*.txt", "*.csv.gz", "*.tsv.gz", "*.txt.gz", "*.parquet"],
    files=None,
    prepared_dir="data/prepared",
    format=FormatConfig(reader="csv"),
    labels={"click": "click"},
    weight=None,
    group=None,
    time=None,
    features={},
    crosses=[],
    cross_buckets=10,
    split=SPLIT,
    sample=SAMPLE,
)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def config(*, split_files=None, **changes) -> DataConfig:
    if split_files is not None:
        changes["split"] = dataclasses.replace(SPLIT, by="files", files=split_files)
    return dataclasses.replace(DATA, **changes)


def touch(*names, content="x\n1\n"):
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(content)


def found(**changes):
    sources = find_files(config(**changes))
    assert (sources.kind, sources.sample) == ("files", None)
    return {split: [str(path) for path in paths] for split, paths in sources.files.items()}


def message(**changes):
    with pytest.raises(InputError) as error:
        find_files(config(**changes))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_named_files_keep_their_order_globs_and_folders_are_sorted(here):
    touch("b.csv", "p/part-2.txt.gz", "p/part-10.TSV", "p/.hidden.csv", "p/_SUCCESS", "p/notes.md", "p/q/deep.csv")
    Path("p/folder.parquet").mkdir()
    assert found(files="b.csv") == {"all": ["b.csv"]}
    assert found(files=["p", "b.csv"]) == {"all": ["p/part-10.TSV", "p/part-2.txt.gz", "b.csv"]}
    assert found(files="p/part-*") == {"all": ["p/part-10.TSV", "p/part-2.txt.gz"]}
    assert found(files="**/*.csv") == {"all": ["b.csv", "p/q/deep.csv"]}
    assert found(files=str(here / "b.csv")) == {"all": [str(here / "b.csv")]}


def test_a_path_that_looks_like_a_glob_is_a_path_where_it_exists():
    touch("day[1].csv", "day1.csv")
    assert found(files="day[1].csv") == {"all": ["day[1].csv"]}


def test_home_is_expanded(here, monkeypatch):
    monkeypatch.setenv("HOME", str(here / "home"))
    touch("home/a.csv")
    for changes in ({"files": "~/a.csv"}, {"files": "~/*.csv"}, {"folder": "~"}):
        assert found(**changes) == {"all": [str(here / "home/a.csv")]}


@pytest.mark.parametrize("source", ["auto", "files"])
def test_everything_in_the_folder_where_nothing_is_named(source):
    touch("data/clicks/b.csv.gz", "data/clicks/a.parquet", "data/clicks/README.md")
    assert found(source=source) == {"all": ["data/clicks/a.parquet", "data/clicks/b.csv.gz"]}


def test_a_named_file_that_is_missing(here):
    touch("p/train.csv", "p/valid.csv", "p/x.md")
    said = message(files=["p/train.csv", "p/trian.csv"])
    assert said.startswith(f"data.files: 'p/trian.csv' names no file ({here}/p/trian.csv).")
    assert "Did you mean 'train.csv'" in said
    assert f"{here}/p holds 3 files: train.csv, valid.csv, x.md" in message(files="p/zzz-*.gz")
    assert f"The folder {here}/no cannot be read (No such file or directory)" in message(files="no/train.csv")
    assert f"The folder {here}/no cannot be read" in message(files="no/*/train.csv")


@pytest.mark.parametrize("files", ["empty", ["empty/"]])
def test_a_named_folder_without_files(here, files):
    touch("empty/readme.md")
    said = message(files=files)
    assert f"names no file ({here}/empty)" in said
    assert "The folder holds no *.csv or " in said


@pytest.mark.parametrize("files", ["", " ", [], ["a.csv", ""]])
def test_names_of_nothing(files):
    touch("a.csv")
    assert message(files=files).startswith(f"data.files={files if isinstance(files, list) else [files]}: ")


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"files": "p/a.csv"}, "data.files"),
        ({"files": "p/*"}, "data.files"),
        ({"files": "p"}, "data.files"),
        ({"folder": "p"}, "data.folder"),
        ({"split_files": {"train": "p"}}, "data.split.files.train"),
    ],
)
def test_an_empty_file_is_refused_however_it_is_found(changes, key):
    touch("p/a.csv", content="")
    touch("p/b.csv")
    said = message(**changes)
    assert said.startswith("p/a.csv: the file is empty (0 bytes)")
    assert said.endswith(f"leave it out with {key}.")


def test_the_same_file_twice():
    touch("p/a.csv", "p/b.csv")
    os.symlink("a.csv", "p/link")
    assert "p/a.csv is named twice, by data.files (p/*.csv) and by data.files (p/a.csv)" in message(
        files=["p/*.csv", "p/a.csv"]
    )
    assert "p/link is named twice" in message(files=["p/a.csv", "p/link"])
    assert "is named twice" in message(files=["p/a.csv", "p/a.csv"])


def test_a_file_that_may_not_be_read(monkeypatch):
    touch("p/a.csv")

    def refuse(path, *args, **kwargs):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("builtins.open", refuse)
    assert message(files="p/a.csv").startswith("p/a.csv: cannot be read (Permission denied)")


@pytest.mark.parametrize("changes", [{"files": "p"}, {"folder": "p"}, {"files": "p/a.csv"}, {"files": "p/*.csv"}])
def test_a_folder_that_may_not_be_read(here, monkeypatch, changes):
    touch("p/b.csv")

    def refuse(path="."):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "listdir", refuse)
    monkeypatch.setattr(os, "scandir", refuse)  # which glob passes over in silence
    said = message(**changes)
    assert said.startswith(next(f"data.{key}" for key in changes))
    assert str(here / "p") in said
    assert "cannot be read" in said
    assert "Permission denied" in said


def test_a_folder_that_is_a_file(here):
    touch("a.csv")
    said = message(folder="a.csv")
    assert said.startswith(f"data.folder=a.csv: the folder cannot be read: {here}/a.csv (Not a directory)")
    assert "data.files" in said


@pytest.mark.parametrize("changes", [{}, {"source": "sample"}])
def test_the_sample_stands_in_and_is_written_once(changes):
    if changes:
        touch("data/clicks/a.csv")  # source=sample reads no files
    first = find_files(config(**changes))
    path = Path("data/sample/criteo-50-3.tsv")
    assert (first.kind, first.files) == ("sample", {"all": [path]})
    assert first.sample == sample.SampleInfo.read(path)
    assert len(path.read_text().splitlines()) == first.sample.rows == 50
    before = path.stat().st_mtime_ns
    assert find_files(config(**changes)) == first
    assert path.stat().st_mtime_ns == before
    assert find_files(config(sample=dataclasses.replace(SAMPLE, layout="avazu"), **changes)).files == {
        "all": [Path("data/sample/avazu-50-3.csv")]
    }


@pytest.mark.parametrize("harm", ["no file", "no info", "info cut short", "info of another version"])
def test_a_sample_that_is_not_whole_is_written_again(harm):
    path = find_files(config()).files["all"][0]
    content, info = path.read_bytes(), sample.SampleInfo.path(path)
    if harm == "no file":
        path.unlink()
    elif harm == "no info":
        info.unlink()
    else:
        info.write_text('{"lay' if harm == "info cut short" else '{"layout": "criteo", "colour": "red"}')
    assert find_files(config()).sample == sample.SampleInfo.read(path)
    assert path.read_bytes() == content


def test_a_sample_that_cannot_be_written():
    touch("data")
    said = message(prepared_dir="data/prepared", folder="elsewhere")
    assert said.startswith("data.prepared_dir=data/prepared: the built-in sample cannot be written to ")


def test_no_files_where_files_are_asked_for(here):
    said = message(source="files")
    assert f"clicks: no files in data.folder=data/clicks ({here}/data/clicks)" in said
    for part in ("*.parquet", "data/README.md", "data.files", "data.source=auto"):
        assert part in said
    assert not Path("data/sample").exists()
    said = message(sample=None)
    assert "data.files" in said
    assert "auto" not in said


def test_the_sample_refuses_files_and_data_sets_without_one():
    touch("a.csv")
    assert "data.source=sample reads no files, but data.files names some: a.csv" in message(
        source="sample", files="a.csv"
    )
    assert "but data.split.files names some" in message(source="sample", split_files={"train": "a.csv"})
    assert "data.source=sample: the data set clicks has no built-in sample" in message(source="sample", sample=None)
    assert "data.sample.layout" in message(sample=dataclasses.replace(SAMPLE, layout="crito"))


def test_files_of_each_split():
    touch("test.csv", "train/a.csv", "train/b.csv", "v.csv")
    assert found(split_files={"test": ["test.csv"], "train": "train"}) == {
        "train": ["train/a.csv", "train/b.csv"],
        "test": ["test.csv"],
    }
    assert list(found(split_files={"valid": "v.csv", "train": "train", "test": "test.csv"})) == [
        "train",
        "valid",
        "test",
    ]


def test_faults_of_files_of_each_split():
    touch("a.csv", "b.csv")
    assert "data.split.files.train: 'x.csv' names no file" in message(split_files={"train": "x.csv"})
    assert "needs data.split.files.train" in message(split_files={"test": "a.csv"})
    assert "data.split.files.trian: no such split. Did you mean 'train'?" in message(split_files={"trian": "a.csv"})
    assert "but data.files names files too: b.csv" in message(split_files={"train": "a.csv"}, files="b.csv")
    assert "a.csv is named twice, by data.split.files.train (a.csv) and by data.split.files.test (*.csv)" in message(
        split_files={"train": "a.csv", "test": "*.csv"}
    )


HEADERLESS = FormatConfig(reader="csv", header=False, columns=["x"])


@pytest.mark.parametrize("files", ["-", ["-"]])
def test_standard_input_where_it_may_be_read(files):
    touch("-")  # no file is meant
    sources = find_files(config(files=files, format=HEADERLESS), standard_input=True)
    assert (sources.kind, sources.files, sources.sample) == ("files", {"all": [Path("-")]}, None)
    with pytest.raises(InputError, match=r"data\.format\.header=true, but standard input .* read only once.*columns"):
        find_files(config(files=files), standard_input=True)
    with pytest.raises(InputError, match=r"data\.format\.reader=parquet.* Set data\.format\.reader=csv"):
        find_files(config(files=files, format=FormatConfig(reader="parquet")), standard_input=True)


def test_standard_input_is_refused_where_files_are_read_twice_or_beside_others():
    touch("a.csv", "-")
    said = message(files="-", format=HEADERLESS)
    assert said.startswith("data.files=['-']: standard input can be read only once; `rectrain online` reads it")
    assert "data.split.files.train=['-']: standard input" in message(split_files={"train": "-"})
    with pytest.raises(InputError, match=r"data\.files=- stands alone"):
        find_files(config(files=["a.csv", "-"], format=HEADERLESS), standard_input=True)
    with pytest.raises(InputError, match=r"data\.files=- stands alone"):
        find_files(config(split_files={"train": "-"}, format=HEADERLESS), standard_input=True)


def test_a_file_called_dash_goes_by_its_whole_path(here):
    touch("-")
    for files in ("./-", "?", str(here / "-")):
        assert found(files=files) == {"all": [str(here / "-")]}
    assert found(folder=".", patterns=["*"]) == {"all": [str(here / "-")]}
