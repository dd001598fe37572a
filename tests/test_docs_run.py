"""Every command of README.md and docs/ runs: the blocks of a page in its order, in one folder, on few rows.

A line that begins with `rectrain` runs in this process. Any other line, or a block without one, is bash's, where
`rectrain` is a script that makes its words small in the same way.
"""

import json
import os
import re
import shlex
import subprocess
import sys

import pytest
import yaml

from rectrain.cluster import free_addresses
from tests.clusters import RECTRAIN, ended, outputs, start
from tests.page_files import GIVEN, program
from tests.pages import HISTORY, ROOT, TEXTS, TRANSLATION, blocks, write_yaml
from tests.small_commands import INSTEAD, SAMPLED, small

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
    "--rounds 7 bench.steps=50": "--rounds 1 --model lr bench.steps=10 bench.vocabulary=5000",
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
OWN_NETWORK = ["sh", "-c", "unshare -rn sh -c 'ip link set lo up'"]

BEFORE = {  # runs that a page takes for granted
    "README.md": [
        "rectrain model=lr data=criteo hydra.run.dir=outputs/good",
        "rectrain model=fm data=criteo hydra.run.dir=outputs/new",
    ],
}


def steps(page):
    """(line of a ```sh block, the ```text that stands below it) in their order.

    A block without a line of `rectrain`, make or pip is a step as a whole, and so is one of Python that names no file.
    """
    found, shown_below = [], r"(?:\n```text\n(.*?)```)?"
    for language, code, shown in re.findall(
        rf"^ *```(sh|python)\n(.*?)^ *```\n{shown_below}", TEXTS[page], re.M | re.S
    ):
        if language == "python":
            found += [] if names_file(code) else [(f"python - <<'EOF'\n{code}EOF", shown)]
            continue
        lines = [line.strip() for line in code.splitlines() if line and not line.startswith("#")]
        if not any(re.match(r"(rectrain|make|pip)\b", line) for line in lines):
            lines = [code.rstrip()]
        found += [*((line, "") for line in lines[:-1]), (lines[-1], shown)]
    return found


def names_file(code):
    return re.match(r"# \S+\.py\n", code)


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
        f"#!{sys.executable}\nimport sys\n\nfrom rectrain.cli import main\nfrom tests.small_commands import small\n\n"
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
            done = subprocess.run(
                ["bash", "-eo", "pipefail", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False
            )
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
    if "unshare" in TEXTS[page] and subprocess.run(OWN_NETWORK, check=False, capture_output=True).returncode:
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
    keys = [*(f"{key}=" for key in INSTEAD), *(f"data={name}" for name in SAMPLED)]
    assert [key for key in keys if not any(key in step for step in every)] == []


def test_no_block_is_of_a_language_that_no_test_reads():
    found = {(page, name) for page in PAGES for name in re.findall(r"^ *```(\w+)$", TEXTS[page], re.M)}
    elsewhere = {
        ("docs/preparation.md", "make"),  # tests/test_stages.py
        ("docs/scaling.md", "bash"),  # below
        ("docs/scaling.md", "yml"),
    }
    assert {(page, name) for page, name in found if name not in ("sh", "python", "yaml", "text")} == elsewhere


def test_every_transcript_is_what_is_said(rectrain):
    transcripts = [block for text in TEXTS.values() for block in blocks(text, "text") if block.startswith("$ ")]
    assert transcripts
    for line, said in re.findall(r"^\$ rectrain (.*)\n((?:[^$].*\n)+)", "".join(transcripts), re.M):
        _, out, err = rectrain(*shlex.split(line))
        assert out + err == said


# Jobs of schedulers, as far as this machine is one node of theirs


def of_page(language):
    (block,) = blocks(TEXTS["docs/scaling.md"], language)
    return block


@pytest.mark.slow
def test_the_job_for_slurm_trains(reader, tmp_path, monkeypatch):
    assert names_file(of_page("python"))[0] == "# cluster.py\n"
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
