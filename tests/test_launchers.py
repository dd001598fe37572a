"""Launchers of a sweep: what a config may set of them, and jobs side by side."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from omegaconf import OmegaConf

from rectrain import launchers
from rectrain.data import threads
from rectrain.errors import InputError

SLURM = "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher"
RAY = "hydra_plugins.hydra_ray_launcher.ray_launcher.RayLauncher"


def check(target, settings, folder="outputs/s"):
    launchers._check(OmegaConf.create({"launcher": {"_target_": target, **settings}, "sweep": {"dir": folder}}))


@pytest.mark.parametrize(
    ("target", "settings"),
    [
        (launchers.BASIC, {"path": "x"}),
        (launchers.JOBLIB, {"pre_dispatch": "__import__('os').mkdir('ran')"}),
        (launchers.JOBLIB, {"backend": "threading"}),
        (launchers.JOBLIB, {"initializer": "os.getcwd"}),
        (SLURM, {"setup": ["touch ran"]}),
        (SLURM, {"additional_parameters": {"prolog": "x"}}),
        (SLURM, {"partition": "a\ntouch ran"}),
        (SLURM, {"partition": "$(touch ran)"}),
        (SLURM, {"submitit_folder": "/tmp/elsewhere"}),
        (RAY, {"ray": {"init": {"address": "ray://elsewhere:1"}}}),
        (RAY, {"ray": {"init": {"runtime_env": {"worker_process_setup_hook": "os.getcwd"}}}}),
        (RAY, {"ray": {"remote": {"runtime_env": {"pip": ["x"]}}}}),
    ],
)
def test_keys_that_could_run_code_are_refused(target, settings):
    with pytest.raises(InputError, match=r"hydra\.launcher\."):
        check(target, settings)


def test_a_folder_that_would_be_lines_of_a_script_is_refused():
    with pytest.raises(InputError, match=r"hydra\.sweep\.dir"):
        check(SLURM, {"submitit_folder": "a\nb/.submitit/%j"}, "a\nb")


def test_no_jobs_at_once_are_refused_before_anything_is_written(rectrain, tmp_path):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    for value, expected in [
        ("0", "expected how many jobs run at once"),
        ("two", "Value 'two' of type 'str' could not"),
    ]:
        code, _, err = rectrain("-m", "hydra/launcher=joblib", f"hydra.launcher.n_jobs={value}", "model=fm", "seed=1,2")
        assert code == 2
        assert f"hydra.launcher.n_jobs={value}: {expected}" in err
        assert not list(tmp_path.iterdir())


def test_what_plugins_are_for_can_be_set():
    check(launchers.JOBLIB, {"n_jobs": 2, "backend": None, "pre_dispatch": "2*n_jobs", "timeout": None})
    check(SLURM, {"partition": "gpu-a,gpu-b", "mem_gb": 16, "setup": None, "submitit_folder": "outputs/s/.submitit/%j"})
    check(RAY, {"ray": {"init": {"address": None, "num_cpus": 4}, "remote": {"num_gpus": 0.5}}})


def test_a_launcher_that_is_not_installed_says_what_installs_it(rectrain):
    code, _, err = rectrain("-m", "hydra/launcher=submitit_slurm", "seed=1,2")
    assert code == 2
    assert (
        err == "rectrain: hydra/launcher=submitit_slurm: it is not installed. pip install 'hydra-submitit-launcher'\n"
    )


@pytest.mark.parametrize(("told", "expected"), [("3", 3), ("", None), ("0", None), ("x", None)])
def test_threads_follow_what_tensorflow_is_told(monkeypatch, told, expected):
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", told)
    assert threads.num_threads() == (expected or threads.num_cores())


def test_cores_are_shared_among_the_jobs_that_run_at_once(monkeypatch):
    pytest.importorskip("joblib")
    monkeypatch.setattr(launchers, "num_cores", lambda: 8)
    shares = [
        launchers._shared_cores(OmegaConf.create({"n_jobs": n}), jobs)["TF_NUM_INTRAOP_THREADS"]
        for n, jobs in [(4, 9), (4, 2), (3, 9), (16, 99)]
    ]
    assert shares == ["2", "4", "2", "1"]


SMALL = ("data.sample.rows=3000", "trainer.batch_size=256", "trainer.report_splits=[valid]", "hydra.launcher.n_jobs=2")
COMMAND = (sys.executable, "-c", "from rectrain.cli import main; main()")


def report(folder):
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_jobs_side_by_side_are_the_runs_alone_and_a_failed_one_is_recorded(tmp_path):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    words = ["-m", "hydra/launcher=joblib", *SMALL, "model=fm", "trainer.epochs=1", "hydra.sweep.dir=s", "resume=true"]
    words += ["optimizer.learning_rate=0.01,-1,0.03"]
    first = subprocess.run([*COMMAND, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert first.returncode == 2, first.stderr
    assert "[1] rectrain: " in first.stderr
    assert [report(tmp_path / f"s/{n}")["status"] for n in range(3)] == ["done", "failed", "done"]
    assert len([p for p in (tmp_path / "data/prepared").iterdir() if p.is_dir()]) == 1
    before = (tmp_path / "s/0/report.json").read_bytes()
    again = subprocess.run([*COMMAND, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert again.returncode == 2
    assert (tmp_path / "s/0/report.json").read_bytes() == before
    alone = [*SMALL[:-1], "model=fm", "trainer.epochs=1", "optimizer.learning_rate=0.03", "hydra.run.dir=alone"]
    share = str(max(threads.num_cores() // 2, 1))
    environment = {**os.environ, "TF_NUM_INTRAOP_THREADS": share, "TF_NUM_INTEROP_THREADS": share}
    subprocess.run([*COMMAND, *alone], cwd=tmp_path, env=environment, check=True, capture_output=True)
    for key in ("weights_sha256", "best", "losses", "device"):
        assert report(tmp_path / "alone")[key] == report(tmp_path / "s/2")[key]


@pytest.mark.slow
@pytest.mark.parametrize("kills", [1, 2])
def test_a_killed_job_ends_no_sweep_and_fails_if_it_is_killed_alone_too(tmp_path, kills):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    words = ["-m", "hydra/launcher=joblib", *SMALL, "model=fm,lr,deepfm", "hydra.sweep.dir='a sweep'"]
    words += ["trainer.epochs=20", "trainer.patience=null", "trainer.eval_every_steps=2"]
    left = kills
    with subprocess.Popen(
        [*COMMAND, *words], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as sweep:
        for line in sweep.stdout:
            if line.startswith("[1] step") and left:
                left -= 1
                for worker in children(sweep.pid):
                    os.kill(worker, signal.SIGKILL)
        err = sweep.stderr.read()
        out = (tmp_path / "a sweep/leaderboard.csv").read_text(encoding="utf-8")
    assert left == 0
    assert sweep.wait() == kills - 1, err
    assert "a process of the sweep was killed, and with it those beside it" in err
    assert [report(tmp_path / f"a sweep/{n}")["status"] for n in (0, 2)] == ["done", "done"]
    second = report(tmp_path / "a sweep/1")
    assert second["status"] == ("done" if kills == 1 else "failed")
    if kills == 2:
        assert "its process was killed, with no other job beside it" in second["error"]
        assert "failed: its process was killed" in out


def children(pid) -> list[int]:
    """Processes of jobs, which are below the one that watches over them too."""
    found = subprocess.run(["pgrep", "-f", "-P", str(pid), "loky.backend.popen_loky_posix"], capture_output=True)
    return [int(word) for word in found.stdout.split()]


@pytest.mark.slow
def test_sigterm_saves_the_jobs_side_by_side_and_says_how_to_go_on(tmp_path):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    words = ["-m", "hydra/launcher=joblib", *SMALL, "model=fm,lr", "seed=1,2", "hydra.sweep.dir=s"]
    words += ["trainer.epochs=5000", "trainer.patience=null"]
    with subprocess.Popen([*COMMAND, *words], cwd=tmp_path, stderr=subprocess.PIPE, text=True) as sweep:
        deadline = time.monotonic() + 300
        while len(list(tmp_path.glob("s/*/checkpoints/index.json"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.5)
        sweep.send_signal(signal.SIGTERM)
        _, err = sweep.communicate(timeout=120)
    assert sweep.returncode == 143, err
    assert "Go on with: rectrain -m hydra/launcher=joblib" in err
    assert [report(tmp_path / f"s/{n}")["status"] for n in range(2)] == ["stopped", "stopped"]
