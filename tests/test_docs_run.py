"""Every command of README.md and docs/ runs: the blocks of a page in its order, in one folder, on few rows.

A line that begins with `rectrain` runs in this process. Any other line, or a block without one, is bash's, where
`rectrain` is a script that makes its words small in the same way.
"""

import gzip
import json
import os
import random
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from itertools import islice
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet
import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser

from rectrain.cluster import free_addresses
from rectrain.data import sample
from tests import miniatures
from tests.clusters import RECTRAIN, ended, outputs, start
from tests.pages import HISTORY, ROOT, TEXTS, TRANSLATION, blocks, write_yaml

OWN_MODEL = "docs/own_model.md"  # tests/test_own_model.py runs it, in a copy of the package
PAGES = [page for page, text in TEXTS.items() if "```sh" in text and page not in (HISTORY, TRANSLATION, OWN_MODEL)]
FAST = "docs/quick_start.md"

NOT_RUN = {  # line of a page: why
    "make install": "fills .venv from a package index; tests/test_install.py installs a wheel",
    "make check": "the tests themselves",
    "make run": "is `rectrain model=dcn data=criteo` behind `make install`",
    "make test": "the tests themselves",
    "source .venv/bin/activate": "of `make install`",
    "pip install -e '.[cuda]'": "fetches gigabytes",
    "pip install --no-deps -e .": "changes the environment of the tests",
    "pip install 'keras>=3.15,<4' 'hydra-core>=1.3.2,<1.4' 'omegaconf>=2.3,<2.4' 'pyarrow>=24' 'tqdm>=4.66' "
    "'numpy>=2.1' 'numba>=0.61'": "the same; tests/test_docs.py holds it equal to setup.cfg",
    "rectrain model=dcn data=criteo strategy=mirrored strategy.devices=[gpu:0,gpu:1]": "needs two GPUs",
}
SMALLER = {  # what a page says: what is run instead
    "bench_mirrored.py bench.steps=50": "bench_mirrored.py --rounds 1 --model lr bench.steps=10 bench.vocabulary=5000",
    "--vocabularies 100000 1000000 10000000": "--vocabularies 1000 --steps 2",
    "bench_parameter_server.py'": "bench_parameter_server.py --rows 1000'",
    "strategy=mirrored trainer.batch_size": "strategy=mirrored strategy.cpu_replicas=2 trainer.batch_size",
    "SEEDS=1,2,3,4,5": "SEEDS=1,2",
    "prepare.parts=16": "prepare.parts=2",
    "stage count 16": "stage count 2",
    "stage fit 16": "stage fit 2",
    "stage encode 16": "stage encode 2",
}
GATES = "experiment=|reproduce|fail_if_worse=true"  # on few rows a gate may shut: exit code 3
IN_OWN_PROCESS = "strategy.cpu_replicas="  # devices that TensorFlow makes once in a process


# Commands made small

ROWS = 2000
SAMPLED = {"criteo", "criteo_log", "movielens", "census_income", "ali_ccp"}  # data of the pages with a built-in sample
FEW = {
    "train": ["trainer.epochs=1"],
    "bench": ["bench.vocabulary=5000", "bench.steps=10", "bench.batch_size=256"],
}
INSTEAD = {
    "online.watch_s": 1,
    "sweep.trials": 3,
    "trainer.eval_every_steps": 3,
    "trainer.schedule.warmup_steps": 3,
}


def small(words):
    """The words behind `rectrain`, with few rows, steps and runs of a sweep; a later word counts."""
    if "--" in words:  # rectrain cluster -- a run
        place = words.index("--") + 1
        return [*words[:place], *small(words[place:])]
    command = words[0] if words and words[0].isalpha() else "train"
    if command not in ("train", "prepare", "online", "bench") or {"--cfg", "--shell-completion"} & {*words}:
        return words
    named = {word.partition("=")[0]: word.partition("=")[2] for word in words}
    more = [f"{key}={value}" for key, value in INSTEAD.items() if key in named]
    if "sweep" in named:
        more += [] if "sweep.trials" in named else ["sweep.trials=2"]
    elif command == "train" and "trainer.batch_size" not in named:
        more.append("trainer.batch_size=256")
    from_files = named.get("experiment", "").startswith("bars/")
    if command != "bench" and named.get("data", "criteo") in SAMPLED and not from_files:
        more.append(f"data.sample.rows={ROWS}")
    given = short_sweep(words) if "-m" in words else words
    return [*given, *FEW.get(command, []), *more]


def short_sweep(words):
    """Two values of the first key that is swept and of the seed, one of the others."""
    given, most = [], 2
    for word in words:
        parsed = OverridesParser.create().parse_override(word) if "=" in word else None
        if parsed and parsed.is_sweep_override():
            values = islice(parsed.sweep_string_iterator(), 2 if parsed.key_or_group == "seed" else most)
            word, most = f"{parsed.key_or_group}={','.join(values)}", 1
        given.append(word)
    return given


# What a reader has in the folder


def criteo(path, *, rows=400, seed=1):
    """A file of raw rows in Criteo's layout, gzipped where its name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = path.with_name(path.name.removesuffix(".gz"))
    with tempfile.TemporaryDirectory() as folder:
        sample.write("criteo", Path(folder) / "rows.tsv", rows=rows, seed=seed)
        text = (Path(folder) / "rows.tsv").read_bytes()
    path.write_bytes(text if plain == path else gzip.compress(text))


def days(folder, ending):
    for day in (1, 2):
        criteo(folder / f"raw/day{day}.tsv{ending}", seed=day)


def csv(path, line, *, rows=300, header=None):
    """Lines that a function makes of a random generator."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = random.Random(path.name)
    path.write_text("".join(f"{text}\n" for text in [*([header] if header else []), *(line(rng) for _ in range(rows))]))


def page_view(rng):
    return f"{rng.randrange(2)}\tp{rng.randrange(9)}\t{rng.choice(['1', '2', 'NULL'])}\t{rng.random():.3f}"


def rent(rng):
    return f"{rng.choice([-1, 1])} {rng.randrange(20)}:1 {20 + rng.randrange(20)}:1 40:{rng.randrange(30)}"


def shop_event(rng):
    item = rng.randrange(20)
    action = rng.choice(["view", "buy", "cart"])
    return f"u{rng.randrange(20)},i{item},c{item % 4},{action},{1511658000 + rng.randrange(10**6)}"


def visits(folder, path):
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    read = pyarrow.csv.ConvertOptions(column_types={"seen_at": pyarrow.string()})
    table = pyarrow.csv.read_csv(ROOT / "data/tiny/visits_tiny.csv", convert_options=read)
    pyarrow.parquet.write_table(table, folder / path)


def downloads(folder):
    """An archive as Frappe's, and the list that names it for scripts/download.sh."""
    miniatures.write("frappe_x1", folder / "published")
    archive = shutil.make_archive(folder / "frappe_x1", "zip", folder / "published")
    (folder / "downloads.txt").write_text(f"frappe_x1 url file://{archive}\n", encoding="utf-8")


def libfm(folder):
    miniatures.write_libfm(miniatures.MOVIELENS, folder)
    for split, name in {"train": "train", "valid": "validation", "test": "test"}.items():
        (folder / f"{split}.libfm").rename(folder / f"ml-tag.{name}.libfm")


SBATCH = """#!/bin/bash
# Stands for SLURM's: runs the jobs of an array one after the other, then prints the number of the array.
set -e
for word; do case $word in --array=1-*) tasks=${word#--array=1-} ;; esac; done
for task in $(seq "$tasks"); do SLURM_ARRAY_TASK_ID=$task bash -c "${@: -1}" >&2; done
echo 7
"""


def program(folder, name, text):
    path = folder / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


def readme(folder):
    days(folder, ".gz")
    criteo(folder / "new/1.tsv")
    shutil.copy(ROOT / "data/tiny/visits_tiny.csv", folder / "visits.csv")
    miniatures.write("criteo_x1", folder / "data/criteo_x1")


def online(folder):
    days(folder, ".gz")
    days(folder, "")


def own_dataset(folder):
    shutil.copytree(ROOT / "data/tiny", folder / "data/tiny")
    csv(folder / "raw/pages/views.tsv", page_view)
    csv(folder / "raw/rented/rented.libfm", rent)
    visits(folder, "raw/visits.parquet")


def preparation(folder):
    write_yaml(TEXTS["docs/own_dataset.md"], folder)
    visits(folder, "visits/date=2024-01-01/country=CH/part-00000.snappy.parquet")
    program(folder, "sbatch", SBATCH)


def recipes(folder):
    (folder / "scripts").symlink_to(ROOT / "scripts")
    downloads(folder)
    libfm(folder)


GIVEN = {
    "README.md": readme,
    "docs/benchmarks.md": lambda folder: (folder / "scripts").symlink_to(ROOT / "scripts"),
    "docs/online.md": online,
    "docs/own_dataset.md": own_dataset,
    "docs/preparation.md": preparation,
    "docs/quick_start.md": lambda folder: days(folder, ".gz"),
    "docs/recipes.md": recipes,
    "docs/sequences.md": lambda folder: csv(folder / "log.csv", shop_event, header="user,item,category,action,time"),
    "docs/serving.md": lambda folder: [criteo(folder / "new/1.tsv"), criteo(folder / "labelled/1.tsv")],
    "docs/sweeps.md": lambda folder: criteo(folder / "train_110k.tsv.gz"),
}
BEFORE = {  # runs that a page takes for granted
    "README.md": [
        "rectrain model=lr data=criteo hydra.run.dir=outputs/good",
        "rectrain model=fm data=criteo hydra.run.dir=outputs/new",
    ],
}


# The tests


def steps(page):
    """(line of a ```sh block, the ```text that stands below it) in their order, without comments.

    A block without a line of `rectrain`, make or pip is a step as a whole.
    """
    found = []
    for code, shown in re.findall(r"^ *```sh\n(.*?)^ *```\n(?:\n```text\n(.*?)```)?", TEXTS[page], re.M | re.S):
        lines = [line.strip() for line in code.splitlines() if line and not line.startswith("#")]
        if not any(re.match(r"(rectrain|make|pip)\b", line) for line in lines):
            lines = [code.rstrip()]
        found += [*((line, "") for line in lines[:-1]), (lines[-1], shown)]
    return found


def without_comment(line):
    return re.sub(r" +# .*", "", line)


def again_for_other_parts(line):
    """A line of a stage whose comment says so is meant for each part."""
    parts = re.search(r"#.*parts 2 to (\d)", line)
    return [line.replace("prepare.part=1", f"prepare.part={i + 1}") for i in range(int(parts[1]))] if parts else [line]


@pytest.fixture
def reader(rectrain, tmp_path, monkeypatch):
    """Does what a line of a page says, in a folder of its own, and fails where that fails; gives what it prints."""
    program(
        tmp_path,
        "rectrain",
        f"#!{sys.executable}\nimport sys\n\nfrom rectrain.cli import main\nfrom tests.test_docs_run import small\n\n"
        "sys.argv[1:] = small(sys.argv[1:])\nmain()\n",
    )
    for name in ("python", "python3"):
        program(tmp_path, name, f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("COLUMNS", "100")  # what is shown on a page was said on such a terminal
    monkeypatch.setenv("RECTRAIN_DOWNLOADS", str(tmp_path / "downloads.txt"))

    def does(line):
        for said, instead in SMALLER.items():
            line = line.replace(said, instead)
        line = re.sub(r"outputs/\d{4}-\d\d-\d\d/\d\d-\d\d-\d\d(_\w+)", lambda m: newest(tmp_path, m[1]), line)
        if line.startswith("TF_CONFIG="):
            return in_cluster(line, tmp_path)
        if line.startswith("rectrain") and IN_OWN_PROCESS not in line:
            code, out, err = rectrain(*small(shlex.split(line, comments=True)[1:]))
        else:
            done = subprocess.run(["bash", "-ec", line], cwd=tmp_path, capture_output=True, text=True, check=False)
            code, out, err = done.returncode, done.stdout, done.stderr
        assert code == 0 or (code == 3 and re.search(GATES, line)), f"{line}\n{out}{err}"
        return out

    return does


def newest(folder, name):
    """The run with that model and data that was made last."""
    return str(max(folder.glob(f"outputs/*/*{name}"), key=lambda path: path.stat().st_mtime).relative_to(folder))


def in_cluster(line, folder):
    """Starts what a line with a TF_CONFIG says as each member of that cluster, on this machine."""
    config, words = re.fullmatch(r"TF_CONFIG='(.*?)' rectrain (.*)", line).groups()
    cluster = {job: free_addresses(len(of_job)) for job, of_job in json.loads(config)["cluster"].items()}
    words = (*RECTRAIN, *small(shlex.split(words)))
    members = [start(cluster, job, i, *words, cwd=folder) for job in cluster for i in range(len(cluster[job]))]
    with ended(members):
        told = outputs(members)
    assert [code for code, _ in told] == [0] * len(members), told
    return told[0][1]


@pytest.mark.parametrize(
    "page", [page if page == FAST else pytest.param(page, marks=pytest.mark.slow) for page in PAGES]
)
def test_every_command_of_a_page_runs(page, reader, tmp_path):
    if "unshare" in TEXTS[page] and subprocess.run(["unshare", "-rn", "true"], check=False).returncode:
        pytest.skip("this system gives no network of its own")
    write_yaml(TEXTS[page], tmp_path)
    GIVEN.get(page, lambda _: None)(tmp_path)
    for line in BEFORE.get(page, []):
        reader(line)
    for step, shown in steps(page):
        if without_comment(step) in NOT_RUN:
            continue
        for line in again_for_other_parts(step):
            out = reader(line)
        if page != "README.md":  # which shows the metrics of a whole run
            assert set(shown.splitlines()) <= set(out.splitlines()), f"{step}\n{out}"


def test_what_is_not_run_or_run_smaller_stands_on_a_page():
    every = [without_comment(step) for page in PAGES for step, _ in steps(page)]
    assert set(NOT_RUN) <= set(every)
    assert [said for said in SMALLER if not any(said in step for step in every)] == []
    assert {*GIVEN, *BEFORE} <= set(PAGES)


def test_every_transcript_is_what_is_said(rectrain):
    transcripts = [block for text in TEXTS.values() for block in blocks(text, "text") if block.startswith("$ ")]
    assert transcripts
    for line, said in re.findall(r"^\$ rectrain (.*)\n((?:[^$].*\n)+)", "".join(transcripts), re.M):
        _, out, err = rectrain(*shlex.split(line))
        assert out + err == said


# Jobs of schedulers, as far as this machine is one node of theirs


def of_page(language, number=0):
    return blocks(TEXTS["docs/scaling.md"], language)[number]


@pytest.mark.slow
def test_the_job_for_slurm_trains(reader, tmp_path, monkeypatch):
    (tmp_path / "cluster.py").write_text(of_page("python").replace("2222", free_port()), encoding="utf-8")
    program(tmp_path, "srun", '#!/bin/sh\nexec "$@"\n')
    told = {"PROCID": 0, "STEP_NUM_TASKS": 1, "STEP_NODELIST": "localhost", "STEP_TASKS_PER_NODE": 1, "NTASKS": 1}
    for name, value in told.items():
        monkeypatch.setenv(f"SLURM_{name}", str(value))
    reader(of_page("bash").replace("/shared", str(tmp_path)))
    assert (tmp_path / "runs/first/report.html").exists()


@pytest.mark.slow
def test_the_pod_for_kubernetes_trains(reader, tmp_path, monkeypatch):
    (container,) = yaml.safe_load(of_page("yml"))["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["bash", "-c"]
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "0")
    (script,) = container["args"]
    for said, here in {"0 1 2 3": "0", "train-%s.train:2222": f"localhost:{free_port()}", "/shared": tmp_path}.items():
        assert said in script
        script = script.replace(said, str(here))
    reader(script)
    assert (tmp_path / "runs/first/report.html").exists()


def free_port():
    return free_addresses(1)[0].rpartition(":")[2]
