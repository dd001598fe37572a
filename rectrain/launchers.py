"""The launchers of a sweep that are plugins of Hydra's: what a config may set of them, and what their jobs come to."""

import contextlib
import functools
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

from rectrain.console import complain
from rectrain.data.threads import num_cores
from rectrain.errors import InputError, StoppedError
from rectrain.run_dir import RunDir
from rectrain.search.space import word

BASIC = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"  # one job after the other, in this process
JOBLIB = "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher"
_SUBMITIT = "hydra_plugins.hydra_submitit_launcher.submitit_launcher"
_RAY = "hydra_plugins.hydra_ray_launcher.ray_launcher.RayLauncher"

_OF_QUEUES = (
    "timeout_min", "cpus_per_task", "gpus_per_node", "tasks_per_node", "mem_gb", "nodes", "name", "stderr_to_stdout",
)  # fmt: skip
_OF_SLURM = (
    *_OF_QUEUES, "partition", "qos", "comment", "constraint", "exclude", "gres", "cpus_per_gpu", "gpus_per_task",
    "mem_per_gpu", "mem_per_cpu", "account", "signal_delay_s", "max_num_timeout", "array_parallelism",
)  # fmt: skip
# What a config may set. The rest of their keys would run commands (setup), import code (ray.init.runtime_env), evaluate
# text (pre_dispatch) or read pickles from elsewhere (ray.init.address, submitit_folder): these stay as they are.
KEYS = {
    BASIC: (),
    JOBLIB: ("n_jobs", "verbose", "timeout"),
    f"{_SUBMITIT}.LocalLauncher": _OF_QUEUES,
    f"{_SUBMITIT}.SlurmLauncher": _OF_SLURM,
    _RAY: ("ray.init.num_cpus", "ray.init.num_gpus", "ray.remote.num_cpus", "ray.remote.num_gpus"),
}
_UNCHANGED = {
    "backend": None, "prefer": "processes", "require": None, "pre_dispatch": "2*n_jobs", "batch_size": "auto",
    "temp_folder": None, "max_nbytes": None, "mmap_mode": "r", "setup": None, "ray.init.address": None,
}  # fmt: skip
PACKAGES = {  # option of hydra/launcher -> what pip installs
    "joblib": "rectrain[joblib]",
    "submitit_local": "hydra-submitit-launcher",
    "submitit_slurm": "hydra-submitit-launcher",
    "ray": "hydra-ray-launcher",
}
_PLAIN = re.compile(r"[\w.,:+-]*")  # text that means nothing to a shell or to a script of a queue


@contextlib.contextmanager
def watched(codes: list[int]) -> Iterator[list[Path]]:
    """Within it launchers are checked before they are made, and the exit codes of jobs in other processes are kept.

    Yields a list that takes the folder of the sweep, where there is one.

    Args:
        codes: takes what the jobs return.
    """
    from hydra.core.plugins import Plugins

    make = Plugins.instantiate_launcher
    folders: list[Path] = []

    def make_checked(self, **given):
        _check(given["config"].hydra)
        folders.append(Path.cwd() / given["config"].hydra.sweep.dir)
        launcher = make(self, **given)
        if target_of(given["config"].hydra.launcher) != BASIC:
            launcher.launch = functools.partial(_launch, launcher.launch, launcher, codes)
        return launcher

    with replaced(Plugins, "instantiate_launcher", make_checked):
        yield folders


@contextlib.contextmanager
def replaced(owner: type, name: str, method: Callable) -> Iterator[None]:
    """Within it a class has another method of that name."""
    before = getattr(owner, name)
    setattr(owner, name, method)
    try:
        yield
    finally:
        setattr(owner, name, before)


def target_of(section) -> str:
    return str(section.get("_target_"))


def _check(config):
    """
    Raises:
        InputError: a key is set that a config may not set, or to text that could be more than a name.
    """
    from omegaconf import OmegaConf

    section = OmegaConf.to_container(config.launcher, resolve=True)
    target = section.pop("_target_")
    if section.get("n_jobs") == 0:
        raise InputError("hydra.launcher.n_jobs=0: expected how many jobs run at once, or -1 for as many as cores.")
    unchanged = {**_UNCHANGED, "submitit_folder": f"{config.sweep.dir}/.submitit/%j"}
    for key, value in _leaves(section):
        if key in KEYS[target]:
            if not isinstance(value, int | float | None) and not _PLAIN.fullmatch(str(value)):
                raise InputError(f"hydra.launcher.{key}={value!r}: expected a number or a plain name.")
        elif key not in unchanged or value != unchanged[key]:
            known = ", ".join(KEYS[target]) or "none"
            raise InputError(f"hydra.launcher.{key}={value}: a config sets no such key of a launcher, only: {known}.")
    if target.startswith(_SUBMITIT) and not str(config.sweep.dir).isprintable():
        raise InputError(f"hydra.sweep.dir={str(config.sweep.dir)!r}: Submitit writes it into a script. Name another.")


def _leaves(tree: dict, prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + str(key), value


def _launch(launch: Callable, launcher, codes: list[int], job_overrides, initial_job_idx: int):
    """Launches jobs in other processes and waits for all of them.

    Args:
        launch: the method of the launcher.
        codes: takes what the jobs return.
    """
    config = launcher.config.hydra.launcher
    environment = _shared_cores(config, len(job_overrides)) if target_of(config) == JOBLIB else {}
    with _with_environment(environment), _relayed() as came:
        try:
            returns = launch(job_overrides, initial_job_idx=initial_job_idx)
        except Exception as error:
            if came:
                raise StoppedError(came[0]) from error
            if not _was_killed(error):
                raise
            returns = _one_by_one(launch, launcher, job_overrides, initial_job_idx)
    codes += [job.return_value for job in returns if isinstance(job.return_value, int)]
    if came:
        raise StoppedError(came[0])
    return returns


def _was_killed(error: Exception) -> bool:
    return type(error).__name__ == "TerminatedWorkerError"  # joblib's, which is not there without it


def _one_by_one(launch: Callable, launcher, job_overrides, first: int) -> list:
    """Goes on with jobs of which one was killed, and with it those beside it; one that is killed alone has failed."""
    complain(
        "a process of the sweep was killed, and with it those beside it: most often the memory was full. The jobs go "
        "on one at a time; hydra.launcher.n_jobs says how many begin at once."
    )
    again = ("resume=true", word("hydra.sweep.dir", str(launcher.config.hydra.sweep.dir), is_group=False))
    return [_alone(launch, launcher, [*words, *again], number) for number, words in enumerate(job_overrides, first)]


def _alone(launch: Callable, launcher, words: list[str], number: int):
    from hydra.core.utils import JobReturn, JobStatus
    from omegaconf import open_dict, read_write

    try:
        return launch([words], initial_job_idx=number)[0]
    except Exception as error:
        if not _was_killed(error):
            raise
    config = launcher.hydra_context.config_loader.load_sweep_config(launcher.config, words)
    with read_write(config), open_dict(config):
        config.hydra.job.num = number
    folder = RunDir(Path(config.hydra.sweep.dir) / config.hydra.sweep.subdir)
    why = "its process was killed, with no other job beside it: most often the memory was full"
    complain(f"{folder.path}: {why}")
    folder.report_failure(why, words)
    return JobReturn(overrides=words, status=JobStatus.COMPLETED, _return_value=1)


def _shared_cores(config, num_jobs: int) -> dict[str, str]:
    """What tells TensorFlow, and data/threads.py, how many threads each of the jobs has that run side by side."""
    from joblib import effective_n_jobs

    share = str(max(num_cores() // min(effective_n_jobs(config.n_jobs), num_jobs), 1))
    return {"TF_NUM_INTRAOP_THREADS": share, "TF_NUM_INTEROP_THREADS": share, "NUMBA_NUM_THREADS": share}


@contextlib.contextmanager
def _with_environment(variables: dict[str, str]) -> Iterator[None]:
    """Processes that begin now inherit these, but for what the user has set."""
    added = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


@contextlib.contextmanager
def _relayed() -> Iterator[list[int]]:
    """SIGTERM and SIGINT go on to the processes of the jobs, which save and end; this one waits. Yields what came."""
    import multiprocessing

    came: list[int] = []

    def relay(number, frame):
        came.append(number)
        for process in multiprocessing.active_children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGTERM)  # Ctrl-C has reached those of the terminal's group already

    before = {number: signal.signal(number, relay) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
