"""What is fuzzed: each target makes valid input once, and then mutated copies with the command that reads them."""

import contextlib
import csv
import gzip
import io
import json
import os
import random
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from fuzzing.mutate import TEXTS, mutated_bytes, mutated_rows, mutated_table, mutated_tree, word
from rectrain import cli, cluster, sections
from rectrain.console import open_terminal
from rectrain.data.manifest import MANIFEST, SCHEMA
from rectrain.run_dir import RunDir

TINY = Path(__file__).resolve().parents[2] / "data" / "tiny"
NUM_ROWS = 40
VISITS = {
    "name": "visits",
    "source": "files",
    "patterns": ["*"],
    "format": {"reader": "csv"},
    "labels": {"bought": "bought"},
    "weight": "importance",
    "group": "visitor",
    "time": {"column": "seen_at", "format": "%Y-%m-%dT%H:%M:%S%z"},
    "features": {
        "places": {"type": "categorical", "columns": ["city"]},
        "people": {"type": "categorical", "columns": ["visitor"], "hash_buckets": 50},
        "prices": {"type": "numeric", "columns": ["price"], "transform": "standardize"},
        "marks": {"type": "numeric", "columns": ["mark"], "transform": "quantile", "buckets": 4},
        "topics": {"type": "multi_valued", "columns": ["topics"], "max_length": 3},
    },
    "crosses": [["city", "visitor"]],
    "cross_buckets": 100,
    "sample": None,
}
SPLITS = [{"by": "order"}, {"by": "random"}, {"by": "hash", "column": "visitor"}, {"by": "time"}]
_REPORT = ("run/report.json", "run/report.html", "run/train.log")
HISTORY = {"user": "visitor", "steps": ["city"], "max_length": 3}


@dataclass(frozen=True)
class Case:
    """One command on mutated input.

    run: raises what went wrong.  exits: it gives an exit code instead, and what it said.
    names: one of them stands in each message.  writes: globs of what success may write or change.
    tells: the same of a refusal: where a run that had begun says that it failed.
    """

    run: Callable[[], object]
    names: tuple[str, ...]
    writes: tuple[str, ...] = ()
    tells: tuple[str, ...] = ()
    exits: bool = False


def config_of(command: str, *overrides: str) -> dict:
    with initialize_config_module("rectrain.configs", version_base="1.3"):
        return OmegaConf.to_container(compose(command, list(overrides)), resolve=True)


def visits_config(command: str, *overrides: str, **data) -> dict:
    raw = config_of(command, *overrides)
    split = {**raw["data"]["split"], "by": "order", "valid_from": None, "test_from": None}
    return {**raw, "data": {**raw["data"], **VISITS, "split": split, **data}}


def visits() -> list[list[str]]:
    with open(TINY / "visits_tiny.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))[: NUM_ROWS + 1]
    marks = ["mark", *(str(i % 7) if i % 5 else "" for i in range(NUM_ROWS))]
    return [[*row, mark] for row, mark in zip(rows, marks, strict=True)]


def as_csv(rows: list[list[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8")


def as_table(rows: list[list[str]]) -> pa.Table:
    columns = dict(zip(rows[0], zip(*rows[1:], strict=True), strict=True))
    numbers = {"bought": pa.int8(), "importance": pa.float32(), "price": pa.float64(), "mark": pa.float64()}
    made = {name: [v or None for v in values] for name, values in columns.items()}
    lists = {"topics": [v.split("|") if v else None for v in made["topics"]]}
    typed = {n: pa.array([None if v is None else float(v) for v in made[n]]).cast(t) for n, t in numbers.items()}
    return pa.table({**made, **typed, **lists})


def run_command(command: str, raw: dict, run_dir: Path):
    """What cli.py runs once Hydra has composed a config."""
    open_terminal()
    try:
        text = yaml.safe_dump(raw, sort_keys=False) if command in ("train", "online") else ""
        cli._run_command(command, raw, RunDir(run_dir), text, "rectrain")
    finally:
        open_terminal()  # closes the log


class Rows:
    """Raw rows of a csv file, plain or gzipped: prepare, or read as a trained model reads new ones."""

    def __init__(self, folder: Path):
        self._rows = visits()
        self._config = visits_config("prepare")

    def make(self, rng: random.Random, folder: Path, *, mutated: bool = True) -> Case:
        data = as_csv(mutated_rows(self._rows, rng) if mutated and rng.random() < 0.6 else self._rows)
        if mutated and rng.random() < 0.5:
            data = mutated_bytes(data, rng)
        path = folder / rng.choice(("rows.csv", "rows.csv", "rows.csv.gz"))
        if path.suffix == ".gz":
            data = gzip.compress(data, 1, mtime=0)
            data = mutated_bytes(data, rng) if mutated and rng.random() < 0.5 else data
        path.write_bytes(data)
        return prepare_case(self._config, path, rng)


def prepare_case(config: dict, path: Path, rng: random.Random) -> Case:
    split = {**config["data"]["split"], **rng.choice(SPLITS)}
    history = HISTORY if rng.random() < 0.1 else None
    places = {"files": str(path), "prepared_dir": str(path.parent / "prepared")}
    raw = {**config, "data": {**config["data"], "split": split, "history": history, **places}}
    return Case(lambda: run_command("prepare", raw, path.parent), (path.name, "data."), ("prepared/*",))


class Parquet:
    """A parquet file of other types, values and names, or with other bytes."""

    def __init__(self, folder: Path):
        self._table = as_table(visits())
        self._config = visits_config("prepare", format={"reader": "parquet"})

    def make(self, rng: random.Random, folder: Path, *, mutated: bool = True) -> Case:
        path = folder / "rows.parquet"
        table = mutated_table(self._table, rng) if mutated and rng.random() < 0.7 else self._table
        options = {"compression": rng.choice(("none", "snappy", "gzip", "zstd")), "use_dictionary": rng.random() < 0.5}
        try:
            pq.write_table(table, path, row_group_size=rng.choice((7, 1000)), **options)
        except (pa.ArrowException, TypeError):  # a type that parquet does not have
            pq.write_table(self._table, path, **options)
        if mutated and rng.random() < 0.5:
            path.write_bytes(mutated_bytes(path.read_bytes(), rng))
        return prepare_case(self._config, path, rng)


class Logs:
    """Files of the readers that know one layout: movielens, amazon and ali_ccp."""

    def __init__(self, folder: Path):
        self._layouts = []
        for name, where in (("movielens", "movielens_latest"), ("movielens", "movielens_100k"), ("amazon", "amazon")):
            self._add(name, folder / where, TINY / where)
        from rectrain.data import sample

        (folder / "ali_ccp").mkdir()
        place = folder / "ali_ccp" / sample.place("ali_ccp", rows=300, seed=1, truth=None)
        place.parent.mkdir(exist_ok=True, parents=True)
        sample.write("ali_ccp", place, rows=300, seed=1, truth=None)
        for extra in place.parent.rglob("*.json"):
            extra.unlink()
        self._add("ali_ccp", folder / "ali_ccp_cut", place.parent)

    def _add(self, name: str, folder: Path, source: Path):
        """The first rows of each file: what matters is the layout."""
        shutil.copytree(source, folder)
        self._layouts.append((config_of("prepare", f"data={name}"), folder))

    def make(self, rng: random.Random, folder: Path, *, mutated: bool = True) -> Case:
        raw, source = rng.choice(self._layouts)
        shutil.copytree(source, folder / "raw")
        files = sorted(p for p in (folder / "raw").rglob("*") if p.is_file())
        if mutated:
            path = rng.choice(files)
            path.write_bytes(mutated_text(path.read_bytes(), rng))
        data = {
            **raw["data"],
            "files": str(folder / "raw"),
            "prepared_dir": str(folder / "prepared"),
            "source": "files",
        }
        names = (*(p.name for p in files), "data.")
        return Case(lambda: run_command("prepare", {**raw, "data": data}, folder), names, ("prepared/*",))


def mutated_text(data: bytes, rng: random.Random) -> bytes:
    """A line of a text changed: bytes, or a part between its separators; or any bytes of the file."""
    lines = data.splitlines(keepends=True)
    if len(lines) < 2 or rng.random() < 0.3:
        return mutated_bytes(data, rng)
    at = rng.randrange(len(lines))
    separator = rng.choice((b",", b"::", b"\t", b'"', b":", b"\x01", b"\x02"))
    parts = lines[at].split(separator)
    parts[rng.randrange(len(parts))] = rng.choice(TEXTS).encode("utf-8")
    return b"".join([*lines[:at], separator.join(parts), *lines[at + 1 :]])


class Config:
    """Composed configs of all commands with other values: refused by name, or the small data set is prepared."""

    def __init__(self, folder: Path):
        self._path = folder / "rows.csv"
        self._path.write_bytes(as_csv(visits()))
        run = ("run=somewhere", "input=rows.csv", "output=scores.csv")
        self._configs = {
            "prepare": visits_config("prepare", files=str(self._path), prepared_dir="prepared"),
            "train": visits_config("train", files=str(self._path)),
            "online": visits_config("online", "model=lr", "optimizer=ftrl", files=str(self._path)),
            "predict": config_of("predict", *run),
            "evaluate": config_of("evaluate", run[0]),
            "export": config_of("export", run[0]),
            "compare": config_of("compare", "runs=[somewhere]"),
            "bench": config_of("bench"),
        }

    def make(self, rng: random.Random, folder: Path, *, mutated: bool = True) -> Case:
        command = rng.choice([*self._configs, "prepare", "prepare", "prepare", "train"])
        raw = mutated_tree(self._configs[command], rng) if mutated else self._configs[command]
        os.chdir(folder)

        def run():
            if not isinstance(raw, dict):
                return
            checked = getattr(sections, f"{command}_config")(raw)
            if command == "prepare" and _stays_here(raw):
                run_command(command, raw, folder)
            elif command == "train":
                _check_train(checked)

        return Case(run, (".", "=", ":"), ("*",))


def _stays_here(raw: dict) -> bool:
    """Whether what it reads and writes is the small file and the folder of the case."""
    data = raw["data"]
    own = data["prepared_dir"] == "prepared" and isinstance(data["files"], str) and data["files"].endswith("rows.csv")
    return own and data.get("sample") is None


def _check_train(config):
    from rectrain.data.plan import Features
    from rectrain.data.split import check

    Features(config.data)
    check(config.data)


class Overrides:
    """Words of a command line and YAML files of one's own, through Hydra."""

    def __init__(self, folder: Path):
        self._rows = as_csv(visits())
        split = {"by": "random"}
        data = {k: v for k, v in VISITS.items() if k != "sample"} | {"folder": "raw", "split": split}
        self._data = data

    def make(self, rng: random.Random, folder: Path, *, mutated: bool = True) -> Case:
        for name in ("raw", "conf/data"):
            (folder / name).mkdir(parents=True)
        (folder / "raw/rows.csv").write_bytes(self._rows)
        in_words = rng.random() < 0.5
        tree = mutated_tree(self._data, rng) if mutated and not in_words and rng.random() < 0.5 else self._data
        text = yaml.safe_dump(tree).encode("utf-8", "surrogatepass")
        if mutated and not in_words and tree is self._data:
            text = mutated_bytes(text, rng)
        (folder / "conf/data/own.yaml").write_bytes(text)
        words = ["prepare", "--config-dir", "conf", "data=own"]
        if mutated and in_words:
            words += [_override(rng) for _ in range(rng.choice((1, 1, 2)))]
        os.chdir(folder)
        return Case(lambda: _main(words), ("",), ("*",), exits=True)


def _override(rng: random.Random) -> str:
    """A word that may be an override; none that names another place to write to."""
    key = rng.choice(["data.split.train", "data.features.places.min_count", "data.labels", "data.format.delimiter",
                      "data.time.format", "data.crosses", "+data.x", "~data.group", "++data.weight", "seed", "data",
                      "data.format.null_values", "hydra.job.name", "hydra.verbose", "data@x", "+a@b.c"])  # fmt: skip
    value = rng.choice(
        [*(t for t in TEXTS if len(t) < 100 and "/" not in t), word(rng), "${now:%Y}", "${hydra:job.name}"]
    )
    return rng.choice((f"{key}={value}", f"{key}=[{value}]", f"{key}={{a: {value}}}", key, f"{key}='{value}'"))


def _main(words: list[str]) -> tuple[int, str]:
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        sys.argv = ["rectrain"]
        try:
            code = cli._main(words)
        except SystemExit as stop:
            code = int(stop.code or 0)
    return code, said.getvalue()


class PreparedData:
    """A prepared data set whose schema, manifest or vocabularies are damaged."""

    def __init__(self, folder: Path):
        self._path = folder / "rows.csv"
        self._path.write_bytes(as_csv(visits()))
        self._folder = folder / "prepared"
        self._config = visits_config("prepare", files=str(self._path), prepared_dir=str(self._folder))
        run_command("prepare", self._config, folder)

    def make(self, rng: random.Random, folder: Path, *, mutated: bool = True) -> Case:
        shutil.copytree(self._folder, folder / "prepared")
        (place,) = (p for p in (folder / "prepared").iterdir() if p.is_dir())
        if mutated:
            path = place / rng.choice((SCHEMA, MANIFEST, MANIFEST, "vocab/city.parquet", "train-00000.parquet"))
            mutate_file(path, rng)
        raw = {**self._config, "data": {**self._config["data"], "prepared_dir": str(folder / "prepared")}}
        return Case(lambda: run_command("prepare", raw, folder), (place.name, "data."))


def mutate_file(path: Path, rng: random.Random, *, large: bool = True):
    """Other bytes, or of JSON and YAML other values."""
    data = path.read_bytes()
    if path.suffix in (".json", ".yaml") and rng.random() < 0.7:
        tree = mutated_tree(yaml.safe_load(data) if path.suffix == ".yaml" else json.loads(data), rng, large=large)
        text = json.dumps(tree) if path.suffix == ".json" else yaml.safe_dump(tree)
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
    elif path.suffix == ".parquet" and rng.random() < 0.5:
        with contextlib.suppress(pa.ArrowException):
            pq.write_table(mutated_table(pq.read_table(path), rng), path)
    elif rng.random() < 0.05:
        path.unlink()
    else:
        path.write_bytes(mutated_bytes(data, rng))


class Online:
    """What `rectrain online` saved, damaged, and then gone on with."""

    def __init__(self, folder: Path):
        self._path = folder / "rows.csv"
        self._path.write_bytes(as_csv(visits()))
        self._folder = folder / "run"
        words = (
            "model=lr",
            "optimizer=ftrl",
            "online.bits=8",
            "online.min_count=2",
            "online.filter_bits=8",
            "resume=true",
        )
        logged = {"type": "numeric", "columns": ["price", "mark"], "transform": "log1p"}
        features = {k: v for k, v in VISITS["features"].items() if k != "marks"} | {"prices": logged}
        self._config = visits_config("online", *words, files=str(self._path), features=features)
        run_command("online", self._config, self._folder)

    def make(self, rng: random.Random, folder: Path, *, mutated: bool = True) -> Case:
        shutil.copytree(self._folder, folder / "run")
        if mutated:
            path = rng.choice(sorted(p for p in (folder / "run/checkpoints").rglob("*") if p.is_file()))
            mutate_file(path, rng)
        names = ("run/checkpoints", "hydra.run.dir", "data.files", "rows.csv")
        return Case(lambda: run_command("online", self._config, folder / "run"), names, ("run/*",), _REPORT)


class TrainedRun:
    """A trained run with a damaged file, read by predict, evaluate and export."""

    def __init__(self, folder: Path):
        self._folder, self._path = folder, folder / "rows.csv"
        self._path.write_bytes(as_csv(visits()))
        small = ("model=fm", "model.embedding_dim=2", "trainer.epochs=1", "trainer.batch_size=16")
        raw = visits_config("train", *small, files=str(self._path), prepared_dir=str(folder / "prepared"))
        run_command("train", raw, folder / "run")
        names = ("run", "prepared")
        self._manifest = next((folder / "prepared").glob(f"*/{MANIFEST}")).relative_to(folder)
        for name in ("tensorboard", "report.html"):
            shutil.rmtree(folder / "run" / name, ignore_errors=True)
        assert all((folder / name).is_dir() for name in names)
        self._commands = {
            "predict": config_of("predict", "run=run", "input=rows.csv", "output=scores.csv"),
            "evaluate": config_of("evaluate", "run=run", "evaluate.by=[city]"),
            "export": config_of("export", "run=run", "export.formats=[]", "export.embeddings=[city]"),
        }

    def make(self, rng: random.Random, folder: Path, *, mutated: bool = True) -> Case:
        for name in ("run", "prepared"):
            shutil.copytree(self._folder / name, folder / name)
        shutil.copy(self._path, folder)
        report = json.loads((folder / "run/report.json").read_text(encoding="utf-8"))
        report["data"]["manifest"] = str(folder / self._manifest)
        (folder / "run/report.json").write_text(json.dumps(report), encoding="utf-8")
        command = rng.choice(sorted(self._commands))
        if mutated:
            files = [
                p for p in (folder / "run").rglob("*") if p.is_file() and p.suffix not in (".html", ".log", ".jsonl")
            ]
            if command == "evaluate":
                files += [p for p in (folder / "prepared").rglob("*") if p.is_file() and p.suffix != ".lock"]
            mutate_file(rng.choice(sorted(files)), rng, large=False)
        os.chdir(folder)
        writes = ("scores.csv", "run/evaluation-*", "run/export/*", "prepared/*")
        return Case(lambda: run_command(command, self._commands[command], folder), ("run", "prepared", "data."), writes)


class Clusters:
    """The variable that names a cluster."""

    def __init__(self, folder: Path):
        hosts = {"chief": ["h0:2222"], "worker": ["h1:2222", "[::1]:2222"], "ps": ["h3.x-y:1"]}
        self._told = {"cluster": hosts, "task": {"type": "worker", "index": 1}}

    def make(self, rng: random.Random, folder: Path, *, mutated: bool = True) -> Case:
        text = json.dumps(mutated_tree(self._told, rng, large=False) if mutated else self._told)
        if mutated and rng.random() < 0.3:
            text = mutated_bytes(text.encode("utf-8"), rng).decode("utf-8", "replace").replace("\0", " ")
        strategy = rng.choice(("multi_worker", "parameter_server")) if mutated else "parameter_server"
        return Case(lambda: self._read(text, strategy), (cluster.VARIABLE,))

    @staticmethod
    def _read(text: str, strategy: str):
        os.environ[cluster.VARIABLE] = text
        try:
            cluster.is_told()
            str(cluster.from_environment(strategy))
        finally:
            del os.environ[cluster.VARIABLE]


TARGETS = {
    "rows": (Rows, 24),
    "parquet": (Parquet, 18),
    "logs": (Logs, 3),
    "config": (Config, 30),
    "prepared": (PreparedData, 16),
    "online": (Online, 6),
    "overrides": (Overrides, 2),
    "run": (TrainedRun, 1),
    "clusters": (Clusters, 4),
}  # name -> (what makes cases, its share of them)
