"""rectrain init: what it finds in files of many layouts, what it leaves out and why, and that the first run works."""

import gzip
import os
import shlex
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from rectrain.data.readers.parquet import BLOCK_ROWS
from rectrain.draft import leaks, sample, times
from rectrain.draft.columns import Column, nulls
from rectrain.draft.draft import draft
from rectrain.draft.layout import look
from rectrain.draft.sample import read
from rectrain.draft.splits import choose

TINY = Path(__file__).parents[1] / "data/tiny"
REAL = os.environ.get("RECTRAIN_REAL_DATA")
START = datetime(2024, 5, 1, tzinfo=UTC)


def lines(path, rows, delimiter=",", header=None):
    table = [delimiter.join(header)] if header else []
    path.write_text("\n".join([*table, *(delimiter.join(map(str, row)) for row in rows)]) + "\n", encoding="utf-8")
    return path


def shop(path, num_rows=600):
    """Dates, quotes, a list, a constant, an id of the row, a column written after the click, numbers with NA."""
    rng = np.random.default_rng(5)
    rows = []
    for i in range(num_rows):
        clicked = int(rng.random() < 0.3)
        when = (START + timedelta(minutes=7 * i)).strftime("%Y-%m-%d %H:%M:%S")
        left = (START + timedelta(minutes=7 * i + 3)).strftime("%Y-%m-%d %H:%M:%S") if clicked else ""
        price = "NA" if i % 10 == 3 else f"{rng.lognormal(2, 2):.2f}"
        tags = "|".join(rng.choice(["new", "sale", "red", "blue"], rng.integers(1, 4), replace=False))
        city = rng.choice(['"Washington, DC"', '"Paris, ""TX"""', "Rome"])
        rows.append(
            [f"r{i:05d}x", when, f"u{rng.integers(40)}", city, tags, price, "web", left, rng.integers(18, 90), clicked]
        )
    header = ["request", "seen_at", "user", "city", "tags", "price", "source", "left_at", "age", "clicked"]
    return lines(path, rows, header=header)


def counters(path, num_rows=600):
    """As Criteo: no header, tabs, blanks, counts with long tails, hashed categories; gzipped."""
    rng = np.random.default_rng(6)
    rows = (
        [
            int(rng.random() < 0.25),
            int(rng.lognormal(2, 2)),
            "" if i % 3 else int(rng.lognormal(1, 1)),
            f"{rng.integers(9):08x}",
        ]
        for i in range(num_rows)
    )
    text = "".join("\t".join(map(str, row)) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()))
    return path


def table(path, num_rows=600):
    """Parquet: a label of true and false, timestamps, lists of text, lists of numbers, a structure."""
    rng = np.random.default_rng(7)
    columns = {
        "bought": pa.array(rng.random(num_rows) < 0.4),
        "at": pa.array([START + timedelta(seconds=50 * i) for i in range(num_rows)], pa.timestamp("us", "UTC")),
        "sku": pa.array(rng.integers(1000, 1050, num_rows)),
        "genres": pa.array([[f"g{v}" for v in rng.integers(0, 9, rng.integers(0, 4))] for _ in range(num_rows)]),
        "vector": pa.array(rng.normal(size=(num_rows, 3)).tolist()),
        "extra": pa.array([{"a": 1}] * num_rows),
        "size": pa.array(rng.normal(size=num_rows)),
    }
    pq.write_table(pa.table(columns), path)
    return path


def funnel(path, num_rows=800):
    """Two labels; semicolons; unix milliseconds."""
    rng = np.random.default_rng(8)
    clicks = rng.random(num_rows) < 0.5
    rows = (
        [
            1_714_521_600_000 + 40_000 * i,
            rng.integers(30),
            rng.integers(20),
            int(clicks[i]),
            int(clicks[i] and rng.random() < 0.4),
        ]
        for i in range(num_rows)
    )
    return lines(path, rows, ";", ["ts", "user_id", "item_id", "click", "conversion"])


LAYOUTS = {"shop.csv": shop, "counters.tsv.gz": counters, "table.parquet": table, "funnel.csv": funnel}


def init(rectrain, path, *words):
    code, out, err = rectrain("init", f"data={path}", *words)
    assert code == 0, err
    command = shlex.split(next(line for line in out.splitlines() if line.startswith("next"))[4:])
    assert command[:2] == ["rectrain", "--config-dir"]
    text = (Path(command[2]) / f"data/{command[3].removeprefix('data=')}.yaml").read_text(encoding="utf-8")
    return command[1:], yaml.safe_load(text), text, out


def test_a_csv_with_dates_quotes_and_what_must_not_be_learned(rectrain, tmp_path):
    _, config, text, out = init(rectrain, shop(tmp_path / "shop.csv"))
    assert config["labels"] == {"clicked": "clicked"}
    assert config["time"] == {"column": "seen_at", "format": "%Y-%m-%d %H:%M:%S"}
    assert config["split"] == {"by": "time"}
    assert config["group"] == "user"
    assert config["format"] == {"reader": "csv", "null_values": ["", "NA"]}
    features = config["features"]
    assert features["categories"] == {"type": "categorical", "min_count": 1, "columns": ["user", "city"]}
    assert features["long_tails"] == {"type": "numeric", "transform": "log1p", "columns": ["price"]}
    assert features["numbers"]["columns"] == ["age"]
    assert features["lists"] == {
        "type": "multi_valued",
        "separator": "|",
        "max_length": 3,
        "min_count": 1,
        "columns": ["tags"],
    }
    reasons = dict(line[4:].split(": ", 1) for line in text.split("# Left out:\n")[1].splitlines())
    assert set(reasons) == {"request", "source", "left_at"}
    assert reasons["request"].startswith("600 values in 600 rows: names the row")
    assert reasons["source"] == "the same in every row: 'web'"
    assert reasons["left_at"].startswith("gives the label away: it is filled in where the label is 1")
    assert "left_at: gives the label away" in " ".join(out.split())


def test_text_without_a_header_gets_names_and_long_tails_a_logarithm(rectrain, tmp_path):
    _, config, *_ = init(rectrain, counters(tmp_path / "counters.tsv.gz"))
    assert config["name"] == "counters"
    assert config["format"] == {
        "reader": "csv",
        "delimiter": "\t",
        "header": False,
        "columns": ["c1", "c2", "c3", "c4"],
    }
    assert config["labels"] == {"c1": "c1"}
    assert config["features"]["long_tails"]["columns"] == ["c2"]
    assert config["split"]["by"] == "random"


def test_parquet_columns_are_taken_by_their_types(rectrain, tmp_path):
    _, config, text, _ = init(rectrain, table(tmp_path / "table.parquet"))
    assert config["format"] == {"reader": "parquet"}
    assert config["labels"] == {"bought": {"column": "bought", "one_of": ["true"]}}
    assert config["time"] == {"column": "at", "format": None}
    groups = {name: group["columns"] for name, group in config["features"].items()}
    assert groups == {"categories": ["sku"], "lists": ["genres"], "numbers": ["size"]}
    assert config["features"]["lists"] == {
        "type": "multi_valued",
        "max_length": 3,
        "min_count": 1,
        "columns": ["genres"],
    }
    assert "#   vector: vectors of numbers" in text
    assert "#   extra: of type struct<a: int64>" in text


def test_several_labels_become_several_tasks(rectrain, tmp_path):
    command, config, text, _ = init(rectrain, funnel(tmp_path / "funnel.csv"))
    assert config["labels"] == {"click": "click", "conversion": "conversion"}
    assert config["format"]["delimiter"] == ";"
    assert config["time"] == {"column": "ts", "format": None}
    assert "unix milliseconds, 2024-05-01 00:00:00" in text
    assert command[-1] == "model=shared_bottom"


def test_ratings_and_actions_become_labels(rectrain):
    _, ratings, *_ = init(rectrain, TINY / "movielens_100k/u.data")
    assert ratings["labels"] == {"like": {"column": "c3", "at_least": 4}}
    _, actions, *_ = init(rectrain, TINY / "taobao/UserBehavior.csv")
    assert actions["labels"] == {"buy": {"column": "c4", "one_of": ["buy"]}}
    assert actions["time"] == {"column": "c5", "format": None}


def test_a_named_label_may_be_a_number(rectrain, tmp_path):
    _, config, *_ = init(rectrain, shop(tmp_path / "shop.csv"), "label=age")
    assert config["labels"] == {"age": {"column": "age", "number": True}}
    assert "clicked" in config["features"]["categories"]["columns"]


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_draft_prepares(rectrain, tmp_path, name):
    command, *_ = init(rectrain, LAYOUTS[name](tmp_path / name))
    code, _, err = rectrain("prepare", *[word for word in command if not word.startswith("model=")])
    assert code == 0, err


def test_the_first_run_is_the_one_that_init_prints(rectrain, tmp_path):
    command, *_ = init(rectrain, shop(tmp_path / "shop.csv"))
    code, _, err = rectrain(*command)
    assert code == 0, err
    assert len(list(tmp_path.glob("outputs/*/*/report.json"))) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYOUTS)
def test_the_first_run_works_on_every_layout(rectrain, tmp_path, name):
    command, *_ = init(rectrain, LAYOUTS[name](tmp_path / name))
    code, _, err = rectrain(*command)
    assert code == 0, err


def test_the_history_that_a_draft_offers_works_once_its_marks_are_taken_away(rectrain, tmp_path):
    command, config, text, _ = init(rectrain, funnel(tmp_path / "funnel.csv"))
    assert "history" not in config
    head, block = text.split("# history:\n")
    own = head + "history:\n" + block.replace("#   ", "  ")
    Path("conf/data/funnel.yaml").write_text(own, encoding="utf-8")
    assert yaml.safe_load(own)["history"] == {
        "user": "user_id",
        "steps": ["item_id"],
        "where": {"column": "click", "at_least": 1},
    }
    code, _, err = rectrain("prepare", *command[:-1])
    assert code == 0, err


REFUSED = {
    "latin-1": (lambda path: path.write_bytes("click,city\n1,Zürich\n0,Genève\n".encode("latin-1")), "is not UTF-8"),
    "empty": (lambda path: path.write_bytes(b""), "the file is empty (0 bytes)"),
    "blank": (lambda path: path.write_bytes(b"\n\n"), "the file is empty"),
    "one column": (lambda path: path.write_text("click\n1\n0\n1\n"), "cuts its first rows into as many cells each"),
    "a sentence a line": (lambda path: path.write_text("a b c\nd e\n"), "cuts its first rows into as many cells each"),
    "no label": (lambda path: lines(path, [[f"v{i}", i * 1.5] for i in range(50)], header=["a", "b"]), "label=NAME"),
    "no feature": (
        lambda path: lines(path, [[i % 2, "x"] for i in range(50)], header=["click", "b"]),
        "no column is left",
    ),
    "header alone": (lambda path: path.write_text("click,b\n"), "the file is empty"),
    "libfm": (lambda path: path.write_text("1 0:1 7:1\n-1 1:1 7:1\n"), "as libFM and libsvm have them"),
    "zip": (lambda path: path.write_bytes(b"PK\x03\x04rest"), "a zip archive"),
    "torn parquet": (lambda path: path.write_bytes(b"PAR1\x15rest"), "parquet"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_a_file_that_is_no_table_is_one_message_and_leaves_nothing(rectrain, tmp_path, fault):
    write, message = REFUSED[fault]
    write(tmp_path / "raw.csv")
    code, out, err = rectrain("init", "data=raw.csv")
    assert code == 2, out
    assert message in err
    assert "Traceback" not in err
    assert [path.name for path in tmp_path.iterdir()] == ["raw.csv"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "data=null: expected a raw file"),
        (("data=nowhere.csv",), "'nowhere.csv' names no file"),
        (("data=.",), "data=.: a folder"),
        (("data=shop.csv", "label=klicked"), "Did you mean 'clicked'?"),
        (("data=shop.csv", "label=request"), "the column holds 600 different values"),
        (("data=shop.csv", "label=source"), "the column holds 1 different values"),
        (("data=shop.csv", "output=conf/shop.yaml"), "expected DIR/data/NAME.yaml"),
        (("data=shop.csv", "output=conf/data/criteo.yaml"), "as in conf/data/my_criteo.yaml"),
        (("data=shop.csv", "output=/dev/null/data/shop.yaml"), "cannot be written"),
        (("data=shop.csv", "rows=0"), "rows=0: expected int in"),
        (("data=shop.csv", "lable=x"), "lable: no such key. Did you mean 'label'?"),
    ],
)
def test_a_wrong_command_names_the_key(rectrain, tmp_path, words, message):
    shop(tmp_path / "shop.csv")
    code, _, err = rectrain("init", *words)
    assert code == 2
    assert message in err
    assert not (tmp_path / "conf").exists()


def test_a_yaml_that_is_there_is_never_written_over(rectrain, tmp_path):
    init(rectrain, shop(tmp_path / "shop.csv"))
    Path("conf/data/shop.yaml").write_text("mine\n")
    code, _, err = rectrain("init", "data=shop.csv")
    assert code == 2
    assert "conf/data/shop.yaml is there already" in err
    assert Path("conf/data/shop.yaml").read_text() == "mine\n"


def test_a_name_of_ours_would_be_found_first_so_the_draft_gets_another(rectrain, tmp_path):
    command, config, *_ = init(rectrain, shop(tmp_path / "criteo.csv"))
    assert command[2] == "data=my_criteo"
    assert config["name"] == "my_criteo"


def test_only_first_rows_are_looked_at(rectrain, tmp_path):
    _, _, text, out = init(rectrain, shop(tmp_path / "shop.csv"), "rows=200")
    assert "the first 200 rows looked at" in out
    assert text.startswith("# Drafted by rectrain init from the first 200 rows of")
    layout = look(tmp_path / "shop.csv", None)
    assert read(tmp_path / "shop.csv", layout, {"age": "text"}, 600).is_whole
    assert not read(tmp_path / "shop.csv", layout, {"age": "text"}, 599).is_whole


def test_memory_ends_the_look_before_the_rows_do(tmp_path, monkeypatch):
    path = tmp_path / "long.parquet"
    pq.write_table(pa.table({"click": np.arange(70_000) % 2, "x": np.arange(70_000) % 7}), path)
    layout, kinds = look(path, None), {"click": "text", "x": "text"}
    assert read(path, layout, kinds, 100_000).num_rows == 70_000
    monkeypatch.setattr(sample, "_MOST_BYTES", 1000)
    held = read(path, layout, kinds, 100_000)
    assert held.num_rows == BLOCK_ROWS
    assert not held.is_whole


def test_init_models_and_datasets_do_without_tensorflow(tmp_path):
    shop(tmp_path / "shop.csv", 100)
    code = (
        "import sys; from rectrain.cli import _main\n"
        "codes = [_main(words) for words in (['init', 'data=shop.csv'], ['models'], ['datasets'])]\n"
        "sys.exit(10 * ('tensorflow' in sys.modules or 'keras' in sys.modules) + sum(codes))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_page_shows_what_init_says(rectrain, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/tiny").symlink_to(TINY)
    *_, out = init(rectrain, "data/tiny/visits_tiny.csv")
    page = (TINY.parents[1] / "docs/own_dataset.md").read_text(encoding="utf-8")
    assert f"```text\n{out}```" in page


# The parts


@pytest.mark.parametrize(
    ("text", "delimiter", "header"),
    [
        ("a,b\n1,2\n", ",", True),
        ("1,2\n3,4\n", ",", False),
        ("yes,red\nno,red\nyes,blue\n", ",", False),  # values come again
        ("a;b\n1,5;2\n2,5;3\n", ";", True),  # decimal commas
        ("click|text\n1|a, b\n0|c, d\n", "|", True),
        ('a,b\n"x, y",1\n"z",2\n', ",", True),
        ("1, x, 2\n3, y, 4\n", ", ", False),
        ("1 a\n2 b\n", " ", False),
        ("day,n\n2024-05-01 10:00,1\n2024-05-01 11:00,2\n", ",", True),  # blanks cut as evenly
        ('a\tb\n5" disk\t1\n3" disk\t2\n', "\t", True),
    ],
)
def test_layouts_of_text(tmp_path, text, delimiter, header):
    path = tmp_path / "raw.csv"
    path.write_text(text)
    layout = look(path, None)
    assert (layout.format.delimiter, layout.format.header) == (delimiter, header)


def test_header_can_be_said(tmp_path):
    path = tmp_path / "raw.csv"
    path.write_text("yes,red\nno,red\nyes,blue\n")
    assert look(path, True).format.header
    assert look(path, False).format.columns == ["c1", "c2"]


@pytest.mark.parametrize(
    ("name", "values", "time_format"),
    [
        ("x", ["2024-05-01", "2024-06-30"], "%Y-%m-%d"),
        ("x", ["31.12.2023", "01.02.2024"], "%d.%m.%Y"),
        ("x", ["12/31/2023", "01/02/2024"], "%m/%d/%Y"),
        ("x", ["31/12/2023", "01/02/2024"], "%d/%m/%Y"),
        ("x", ["2017-11-07 9:30", "2017-11-07 13:40"], "%Y-%m-%d %H:%M"),
        ("hour", ["14102100", "14102101"], "%y%m%d%H"),
        ("day", ["20240131", "20240201"], "%Y%m%d"),
        ("x", ["881250949", "891717742"], None),
        ("ts", ["1714521600000", "1714521640000"], None),
    ],
)
def test_times_are_known_by_how_they_are_written(name, values, time_format):
    found = times.read(Column(name, pa.array(values)))
    assert found is not None
    assert found.config.format == time_format


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("x", ["20240131", "20240201"]),  # a number, unless it is called a day
        ("x", ["700000000", "1900000000"]),  # 38 years: rather ids
        ("day", ["1", "2"]),
        ("x", ["2024-05-01", "soon"]),
        ("x", ["2024-02-30", "2024-02-28"]),
        ("x", [None, None]),
    ],
)
def test_what_is_no_time(name, values):
    assert times.read(Column(name, pa.array(values, pa.string()))) is None


def test_leaks_are_found_by_the_column_alone():
    rng = np.random.default_rng(0)
    labels = (rng.random(2000) < 0.1).astype(float)
    other_name = Column("paid", pa.array(np.where(labels == 1, "yes", "no")))
    after = Column("after", pa.array([f"t{i}" if label else None for i, label in enumerate(labels)]))
    amount = Column("amount", pa.array([f"{label * (5 + i % 7):.1f}" for i, label in enumerate(labels)]))
    counted = Column("row", pa.array([str(i) for i in np.argsort(np.argsort(-labels + rng.random(2000) / 10))]))
    innocent = Column("city", pa.array(rng.choice(["a", "b", "c"], 2000)))
    by_heart = Column("id", pa.array([f"v{i}" for i in range(2000)]))
    assert [leaks.find(c, labels)[0] for c in (other_name, after, amount, counted)] == [True] * 4
    assert "filled in where the label is 1" in leaks.find(after, labels)[1]
    assert [leaks.find(c, labels) for c in (innocent, by_heart)] == [(False, "")] * 2
    noisy = Column(
        "hint", pa.array(np.where(rng.random(2000) < 0.03, "no", other_name.texts.to_numpy(zero_copy_only=False)))
    )
    gives_away, said = leaks.find(noisy, labels)
    assert not gives_away
    assert "is it known before the event?" in said


def test_leaks_are_not_looked_for_where_rows_are_too_few():
    assert leaks.alone_auc(Column("x", pa.array(["a", "b"] * 4)), np.array([1.0, 0.0] * 4)) is None


def test_a_split_has_both_classes_in_each_part():
    labels = np.zeros(100)
    labels[:10] = 1  # the oldest rows alone
    split = choose(np.arange(100.0), [labels])
    assert split.settings["by"] == "random"
    assert "by time a split would lack rows" in split.reason
    assert choose(np.arange(100.0), [np.arange(100) % 2]).settings == {"by": "time"}
    hopeless = choose(None, [np.eye(1, 100)[0]])
    assert not hopeless.works
    few = np.zeros(12)
    few[[1, 5, 9]] = 1
    chosen = choose(None, [few])
    assert chosen.works
    assert chosen.settings["train"] == 0.6


def test_texts_of_missing_values():
    number, text = pa.array(["1", "NA", "2"]), pa.array(["NA", "FR", "?"])
    assert nulls({"a": text}) == ["?"]  # NA may be Namibia
    assert nulls({"a": text, "b": number}) == ["NA", "?"]


def test_lists_are_told_from_sentences(tmp_path):
    rng = np.random.default_rng(1)
    rows = [
        [
            i % 2,
            f'"{rng.choice(["Rome, Italy", "Oslo, Norway"])}"',
            f'"{rng.choice(["a,b", "b,c", "c", "a,c", "a,b,c"])}"',
            f'"[1, {i % 3}]"',
            f"{i % 5} {i % 7}",
        ]
        for i in range(60)
    ]
    found = draft(
        lines(tmp_path / "raw.csv", rows, header=["click", "place", "tags", "json", "ids"]),
        label=None,
        header=None,
        most_rows=100,
    )
    assert found.features["place"].settings["type"] == "categorical"
    assert found.features["tags"].settings["separator"] == ","
    assert found.features["ids"].settings["separator"] == " "
    assert "lists in brackets" in found.left_out["json"]


@pytest.mark.slow
@pytest.mark.skipif(REAL is None, reason="RECTRAIN_REAL_DATA is not set")
@pytest.mark.parametrize(
    ("file", "label", "left_out", "split"),
    [
        ("criteo/train_110k.tsv.gz", "c1", set(), "random"),
        ("movielens_100k/u.data.gz", "like", set(), "time"),
        ("taobao/UserBehavior_2h_110300.csv.gz", "buy", set(), "time"),
        ("census_income/census-income_rows0-69999.gz", "c42", set(), "random"),
        ("talkingdata/train_sample.csv.gz", "is_attributed", {"attributed_time"}, "time"),
    ],
)
def test_real_files(rectrain, file, label, left_out, split):
    command, config, text, _ = init(rectrain, Path(REAL) / file)
    assert list(config["labels"]) == [label]
    assert config["split"]["by"] == split
    named = {line[4:].split(":")[0] for line in text.split("# Left out:")[-1].splitlines() if line.startswith("#   ")}
    assert left_out <= named
    code, _, err = rectrain(*command, "trainer.epochs=1")
    assert code == 0, err
