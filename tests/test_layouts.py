"""A new data set is one YAML: csv with a header, parquet with string columns, and the layouts of Avazu and Criteo."""

import csv
import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

TINY = Path(__file__).parents[1] / "data" / "tiny"
DEEP = ("model=deepfm", "model.embedding_dim=4", "model.hidden_units=[8]", "trainer.epochs=1", "trainer.batch_size=32")
WIDE = ("model=wide_deep", *DEEP[1:])

VISITS = """\
name: visits
folder: raw
format:
  reader: {reader}
labels:
  bought: bought
weight: importance
group: visitor
time:
  column: seen_at
  format: "%Y-%m-%dT%H:%M:%S%z"
features:
  places: {{type: categorical, columns: [city]}}
  visitors: {{type: categorical, columns: [visitor], hash_buckets: 50}}
  prices: {{type: numeric, columns: [price], transform: quantile, buckets: 5}}
  weights: {{type: numeric, columns: [importance], transform: minmax}}
  topics: {{type: multi_valued, columns: [topics], max_length: 2}}
crosses: [[city, visitor]]
cross_buckets: 100
split:
  by: time
  valid_from: "2024-05-04T00:00:00+00:00"
  test_from: "2024-05-05T00:00:00+00:00"
"""


@pytest.fixture(scope="module")
def visits() -> list[dict]:
    with open(TINY / "visits_tiny.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def train(rectrain, tmp_path):
    """Trains into runs/<name>, with the user's YAMLs in conf; the report."""

    def call(name, *overrides):
        code, out, err = rectrain("--config-dir", str(tmp_path / "conf"), *overrides, f"hydra.run.dir=runs/{name}")
        assert (code, err) == (0, ""), out + err
        return json.loads((tmp_path / f"runs/{name}/report.json").read_text(encoding="utf-8"))

    (tmp_path / "conf/data").mkdir(parents=True)
    (tmp_path / "raw").mkdir()
    return call


def write_yaml(folder: Path, name: str, text: str):
    (folder / f"conf/data/{name}.yaml").write_text(text, encoding="utf-8")


def write_visits(folder: Path, rows: list[dict]):
    """The same rows as csv and as parquet, and a YAML for each."""
    (folder / "raw/visits.csv").write_bytes((TINY / "visits_tiny.csv").read_bytes())
    table = pa.table({name: pa.array([row[name] for row in rows], pa.string()) for name in rows[0]})
    pq.write_table(table, folder / "raw/visits.parquet", row_group_size=70)
    for reader in ("csv", "parquet"):
        write_yaml(folder, f"visits_{reader}", VISITS.format(reader=reader) + f'patterns: ["*.{reader}"]\n')


def features_of(report: dict) -> dict[str, tuple]:
    """name -> kind, encoding, rows of its table."""
    return {f["name"]: (f["kind"], f["encoding"], f["num_rows"]) for f in report["data"]["features"]}


def test_a_csv_file_with_header(train, tmp_path, visits):
    write_visits(tmp_path, visits)
    report = train("run", "data=visits_csv", *DEEP)
    days = [row["seen_at"][:10] for row in visits]
    split_of = ["train" if day < "2024-05-04" else "valid" if day < "2024-05-05" else "test" for day in days]
    assert report["data"]["rows"] == Counter(split_of)
    positives = Counter(s for s, row in zip(split_of, visits, strict=True) if row["bought"] == "1")
    assert {s: p["bought"] for s, p in report["data"]["positives"].items()} == positives
    in_train = [row for s, row in zip(split_of, visits, strict=True) if s == "train"]
    topics = {topic for row in in_train for topic in row["topics"].split("|")[:2] if topic}
    assert features_of(report) == {
        "city": ("categorical", "vocabulary", 2 + len({row["city"] for row in in_train})),
        "visitor": ("categorical", "hash", 1 + 50),
        "price": ("categorical", "quantile", 1 + 5),
        "importance": ("numeric", "minmax", None),
        "topics": ("multi_valued", "vocabulary", 2 + len(topics)),
        "city_x_visitor": ("crosses", "cross", 1 + 100),
    }
    for split in ("valid", "test"):
        metrics = report["metrics"][split]["bought"]
        assert metrics["rows"] == split_of.count(split)
        assert 0 <= metrics["gauc"]["low"] <= metrics["gauc"]["value"] <= metrics["gauc"]["high"] <= 1
    assert report["data"]["source"] == "files"
    folder = Path(report["data"]["manifest"]).parent
    assert {"weight", "group", "time"} <= set(pq.read_schema(folder / "test-00000.parquet").names)


def test_parquet_with_string_columns_trains_the_very_same_model(train, tmp_path, visits):
    write_visits(tmp_path, visits)
    standard = "data.features.prices={transform:standardize,buckets:null}"
    from_csv, from_parquet = (train(r, f"data=visits_{r}", *WIDE, standard) for r in ("csv", "parquet"))
    assert from_csv["weights_sha256"] == from_parquet["weights_sha256"]
    assert from_csv["metrics"] == from_parquet["metrics"]
    features = features_of(from_parquet)
    assert features["price"] == ("numeric", "standardize", None)
    rows = {name: num_rows or 0 for name, (_, _, num_rows) in features.items()}
    embedded = sum(rows.values()) - rows["city_x_visitor"]
    assert from_parquet["parameters"]["embedding"] == sum(rows.values()) + 4 * embedded
    unweighted = train("unweighted", "data=visits_csv", *WIDE, standard, "data.weight=null")
    assert unweighted["weights_sha256"] != from_csv["weights_sha256"]


def test_the_layout_of_avazu_under_another_name(train, tmp_path):
    yaml = (TINY.parents[1] / "configs/data/avazu.yaml").read_text(encoding="utf-8")
    write_yaml(tmp_path, "ads", yaml.replace("name: avazu", "name: ads") + "group: site_id\n")
    (tmp_path / "raw/train_tiny.csv").write_bytes((TINY / "avazu_tiny.csv").read_bytes())
    report = train("run", "data=ads", "data.folder=raw", *WIDE, "data.crosses=[[site_id,device_type]]")
    with open(TINY / "avazu_tiny.csv", encoding="utf-8", newline="") as file:
        hours = [row["hour"] for row in csv.DictReader(file)]
    train_rows, test_rows = sum(h < "14102900" for h in hours), sum(h >= "14103000" for h in hours)
    assert report["data"]["name"] == "ads"
    assert report["data"]["source"] == "files"
    assert report["data"]["rows"] == {"train": train_rows, "valid": 200 - train_rows - test_rows, "test": test_rows}
    kinds = Counter(f[:2] for f in features_of(report).values())
    assert kinds == {("categorical", "vocabulary"): 21, ("crosses", "cross"): 1}
    assert report["metrics"]["valid"]["click"]["gauc"]["value"] is not None


def test_the_layout_of_criteo_with_other_transforms(train):
    logs = "data.features.numbers={transform:log1p,min_count:null}"
    report = train("run", "data=criteo", f"data.files={TINY / 'criteo_tiny.tsv'}", logs, *DEEP)
    assert report["data"]["rows"] == {"train": 160, "valid": 20, "test": 20}
    kinds = Counter(f[:2] for f in features_of(report).values())
    assert kinds == {("numeric", "log1p"): 13, ("categorical", "vocabulary"): 26}
    gauc = report["metrics"]["test"]["click"]["gauc"]
    assert gauc["value"] is None
    assert "group" in gauc["reason"]


BAD_YAMLS = {
    "unknown key": (
        VISITS.format(reader="csv").replace("weight:", "wieght:"),
        "data.wieght: no such key. Did you mean",
    ),
    "missing key": ("name: visits", "data.format: missing; expected a section of keys."),
    "missing name": ("folder: raw", "data.name: no such key; hydra.run.dir refers to it."),
    "wrong type": (
        VISITS.format(reader="csv").replace("[city]", "city"),
        "data.features.places.columns='city': expected",
    ),
    "reference": ("name: visits\nfolder: ${data.fodler}", "data.fodler: no such key; data.folder refers to it."),
    "default": ("defaults: [criteoo, _self_]", "data/criteoo, one of the defaults of data/visits: there is no"),
    "not YAML": ("name: visits\nfolder: [raw", "not YAML: while parsing a flow sequence in"),
    "key twice": ("name: visits\nname: visits", "not YAML: while constructing a mapping in"),
    "a list": ("- name", "In 'data/visits': ConfigTypeError"),
    "not UTF-8": ("name: Zürich", "a YAML file below --config-dir is not text in UTF-8"),
}


@pytest.mark.parametrize(("text", "message"), BAD_YAMLS.values(), ids=BAD_YAMLS)
def test_a_wrong_yaml_of_ones_own_is_one_message(rectrain, tmp_path, text, message):
    (tmp_path / "conf/data").mkdir(parents=True)
    (tmp_path / "conf/data/visits.yaml").write_text(text, encoding="latin-1")
    code, out, err = rectrain("--config-dir", str(tmp_path / "conf"), "data=visits")
    assert (code, out) == (2, "")
    assert err.startswith(f"rectrain: {message}")
    assert err.count("\n") == 1
    if "not YAML" in message:
        assert f"{tmp_path}/conf/data/visits.yaml" in err


def test_a_yaml_of_ones_own_is_suggested(rectrain, tmp_path):
    (tmp_path / "conf/data").mkdir(parents=True)
    write_yaml(tmp_path, "visits", VISITS.format(reader="csv"))
    code, _, err = rectrain("--config-dir", str(tmp_path / "conf"), "data=vists")
    assert code == 2
    assert "Did you mean 'visits'?" in err
