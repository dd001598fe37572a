"""argv and Hydra, nowhere else: the command word, the composed config, messages and exit codes.

TensorFlow is not imported here, so that help, completion and config errors answer at once.
"""

import atexit
import gc
import importlib
import os
import re
import shlex
import sys
import tempfile
import traceback
from pathlib import Path

# A command's word has letters only; other files of the folder are what commands share.
_FILES = sorted(path.stem for path in (Path(__file__).parent / "commands").glob("*.py") if path.stem.isalpha())
COMMANDS = ("train", *(name for name in _FILES if name != "train"))  # rectrain/commands/<name>.py
_RUNS = ("train", "online")  # commands that write a run directory
_PLAIN = re.compile(r"[\w./-]+")  # what Hydra takes without quotes


def main():
    """`rectrain [command] key=value ... [Hydra flags]`; exits with 0, 1, 2, 3, 130 or 143."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises instead of printing and exiting with 1
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # What is imported stays: walking through it again and again, and once more at the end, takes a quarter of a second.
    gc.set_threshold(100_000, 50, 1000)
    atexit.register(gc.freeze)
    sys.exit(_main(sys.argv[1:]))


def _main(argv: list[str]) -> int:
    import yaml  # comes with OmegaConf
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from rectrain import completion, usage
    from rectrain.console import complain, open_terminal, say
    from rectrain.errors import InputError, printable
    from rectrain.hydra_guard import check_words, install

    open_terminal()
    try:
        if any(flag in argv for flag in completion.FLAGS):
            return completion.main(argv, COMMANDS)
        command, overrides = _split(argv)
        if command == "init":  # where data= chooses no YAML, but names the file that one is made for
            overrides = [re.sub(r"^data=", "data.files=", word) for word in overrides]
        overrides, _ = _cut(command, overrides)
        if command != "train" and any(flag in overrides for flag in usage.FLAGS):
            say(usage.usage(command))
            return 0
        install()
        check_words(_in_one_piece(overrides))
        return _run(command, overrides, shlex.join(["rectrain", *argv]))
    except KeyboardInterrupt as stop:
        complain("\n".join([str(stop) or "interrupted", *getattr(stop, "__notes__", [])]))
        return getattr(stop, "exit_code", 130)
    except InputError as error:
        complain(printable(str(error)))
    except (HydraException, OmegaConfBaseException, yaml.YAMLError, UnicodeDecodeError) as error:
        from rectrain.hydra_errors import explain

        complain(printable(explain(error, overrides)))
    except OSError as error:  # Hydra makes the run directory
        complain(printable(_cannot_write(error, "the run directory")))
    return 2


def _cannot_write(error: OSError, folder: Path | str) -> str:
    from rectrain.errors import CANNOT_WRITE

    why = CANNOT_WRITE.get(error.errno or 0, str(error.strerror))
    return f"cannot write {error.filename or folder}: {why}. Make room, or choose another place with hydra.run.dir=DIR."


def _split(argv: list[str]) -> tuple[str, list[str]]:
    """The command word, where the first word is one, and the rest."""
    from rectrain.errors import InputError, did_you_mean

    if not argv or not argv[0].isalpha():
        return "train", argv
    if argv[0] not in COMMANDS:
        raise InputError(f"{argv[0]!r}: expected a command or key=value.{did_you_mean(argv[0], COMMANDS)}")
    return argv[0], argv[1:]


def _cut(command: str, words: list[str]) -> tuple[list[str], list[str]]:
    """What stands before and behind --, the run that a cluster is started for."""
    from rectrain.errors import InputError

    if "--" not in words:
        return words, []
    if command != "cluster":
        raise InputError(
            "--: only rectrain cluster takes a run behind it, as in rectrain cluster workers=2 -- model=dcn."
        )
    place = words.index("--")
    return words[:place], words[place + 1 :]


def _run(command: str, overrides: list[str], typed: str) -> int:
    """Starts from the config of the command, or with rerun=... from that of a report."""
    from rectrain import rerun
    from rectrain.errors import InputError

    reports = [word for word in overrides if word.startswith(rerun.KEY)]
    if not reports:
        return _run_hydra(command, command, overrides, typed)
    if command != "train":
        raise InputError(f"{reports[0]}: runs a training again; received the command {command}.")
    with tempfile.TemporaryDirectory() as folder:
        rerun.write_config(Path(reports[-1].removeprefix(rerun.KEY)), Path(folder))
        others = [word for word in overrides if word not in reports]
        rerun.refuse_groups(others)
        return _run_hydra(command, rerun.CONFIG_NAME, [*others, "--config-dir", folder], typed)


def _run_hydra(command: str, config_name: str, overrides: list[str], typed: str) -> int:
    """Lets Hydra compose one config, or those of a sweep, and run each; the first code that is not 0."""
    import hydra
    from hydra.errors import ConfigCompositionException

    from rectrain import hydra_search, launchers
    from rectrain.errors import StoppedError
    from rectrain.hydra_errors import with_key_added

    codes: list[int] = []
    sys.argv = [sys.argv[0], *_in_one_piece(overrides)]
    run = hydra.main(version_base="1.3", config_path="pkg://rectrain.configs", config_name=config_name)
    try:
        with launchers.watched(codes) as folders, hydra_search.known():
            run(_Job(command, typed, codes))()
    except StoppedError as stop:
        if folders and not hasattr(stop, "__notes__"):  # jobs in other processes, which say only how far they came
            stop.add_note(f"Go on with: {_to_go_on(typed, 'hydra.sweep.dir', folders[-1])}")
        raise
    except ConfigCompositionException as error:
        added = with_key_added(error, overrides)
        if added is None:
            raise
        return _run_hydra(command, config_name, added, typed)
    if command == "train" and folders:
        from rectrain.commands import compare

        compare.end_sweep(folders[-1])
    return next((code for code in codes if code), 0)


def _in_one_piece(words: list[str]) -> list[str]:
    """The overrides before the flags of Hydra's and their values, as argparse wants them."""
    return sorted(words, key=lambda word: word.startswith("-") or not ("=" in word or word.startswith("~")))


class _Job:
    """What Hydra calls with each config; of a sweep whose launcher has processes of its own, in one of those.

    Args:
        codes: takes the exit codes of jobs in this process. The others return theirs.
    """

    stopped: int | None = None  # exit code of a signal that has come to a process of jobs

    def __init__(self, command: str, typed: str, codes: list[int]):
        self.command, self.typed, self.codes, self.elsewhere = command, typed, codes, False

    def __getstate__(self):
        return {**self.__dict__, "codes": [], "elsewhere": True}

    def __setstate__(self, state: dict):
        """In a process of its own, which becomes what main() made of the first, before Hydra composes anything."""
        from rectrain.hydra_guard import install

        self.__dict__.update(state)
        install()

    def __call__(self, config) -> int:
        from rectrain import console

        if self.elsewhere:
            return _Job.stopped or self._run_elsewhere(config)
        if self.codes:
            console.say("")  # between the end of a job and the next
        self.codes.append(_run_job(self.command, config, self.typed))
        return self.codes[-1]

    def _run_elsewhere(self, config) -> int:
        """A signal ends this job, and those that this process would run after it."""
        from hydra.core.hydra_config import HydraConfig

        from rectrain import console, progress

        console.open_terminal(f"[{Path(HydraConfig.get().runtime.output_dir).name}] ")
        progress.show_no_bars()
        try:
            return _run_job(self.command, config, self.typed)
        except KeyboardInterrupt as stop:
            console.complain(str(stop) or "interrupted")
            _Job.stopped = getattr(stop, "exit_code", 130)
            return _Job.stopped


def _run_job(command: str, config, typed: str) -> int:
    """One job; what goes wrong becomes a message and an exit code, so that a sweep goes on."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode
    from omegaconf import OmegaConf

    from rectrain.console import complain
    from rectrain.errors import StoppedError, printable
    from rectrain.run_dir import RunDir

    run_dir = RunDir(Path(HydraConfig.get().runtime.output_dir))
    gc.collect()  # the model of the job before hangs in cycles
    try:
        raw = OmegaConf.to_container(config, resolve=True)
        _check_mode(config)
        if command in _RUNS:
            run_dir = _own_folder(run_dir, resume=config.get("resume") is True)
        _run_command(command, raw, run_dir, OmegaConf.to_yaml(config, resolve=True), typed)
        return 0
    except StoppedError as stop:
        key = _folder_key()
        folder = run_dir.path if key == "hydra.run.dir" else run_dir.path.parent
        stop.add_note(f"Go on with: {_to_go_on(typed, key, folder)}")
        raise
    except Exception as error:
        code, text = _explain(error, run_dir)
        complain(printable(text) if code == 2 else text)
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            run_dir.report_failure(text, list(HydraConfig.get().overrides.task))
        return code
    finally:
        run_dir.discard_if_empty()


def _check_mode(config):
    """Raises InputError where a config wants to be run as one of many jobs, or alone, and is not."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from rectrain.cluster import JOBS
    from rectrain.errors import InputError

    if config.get("sweep") is not None:
        raise InputError("sweep=NAME runs many jobs: add -m, as in rectrain -m sweep=NAME.")
    strategy = (config.get("strategy") or {}).get("name")
    if strategy in JOBS and HydraConfig.get().mode == RunMode.MULTIRUN:
        raise InputError(
            f"strategy={strategy}: a process joins a cluster once, and the jobs of a sweep are of one process. Start "
            "each run by itself, without -m."
        )


def _own_folder(run_dir, *, resume: bool):
    """The folder of a run; one that is named by the clock belongs to nobody else.

    Raises:
        InputError: to go on, the user must say with what.
    """
    from hydra.core.hydra_config import HydraConfig

    from rectrain.errors import InputError

    key = _folder_key()
    named = any(word.lstrip("+").startswith(f"{key}=") for word in HydraConfig.get().overrides.hydra)
    if named or not run_dir.is_dated:
        return run_dir
    if resume:
        raise InputError(f"resume=true needs the folder of what goes on: set {key}=DIR.")
    return run_dir if key == "hydra.sweep.dir" else run_dir.claimed()


def _to_go_on(typed: str, key: str, folder: Path) -> str:
    """The command line that goes on with the run, or the sweep, of a folder."""
    words = [word for word in shlex.split(typed) if not word.lstrip("+").startswith("resume=")]
    if not any(word.lstrip("+").startswith(f"{key}=") for word in words):
        words.append(f"{key}={folder}" if _PLAIN.fullmatch(str(folder)) else f"{key}='{folder}'")
    return shlex.join([*words, "resume=true"])


def _folder_key() -> str:
    """Which key names the folder of this run, or of the sweep that it belongs to."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    return "hydra.sweep.dir" if HydraConfig.get().mode == RunMode.MULTIRUN else "hydra.run.dir"


def _explain(error: Exception, run_dir) -> tuple[int, str]:
    """Exit code and message; a traceback where the fault is ours."""
    from omegaconf.errors import OmegaConfBaseException

    from rectrain.errors import CANNOT_WRITE, GateError, InputError
    from rectrain.hydra_errors import explain_value

    if isinstance(error, InputError):
        return 2, str(error)
    if isinstance(error, OmegaConfBaseException):
        return 2, explain_value(error)
    if isinstance(error, OSError) and error.errno in CANNOT_WRITE:
        return 2, _cannot_write(error, run_dir.path)
    if isinstance(error, GateError):
        return 3, str(error)
    return 1, traceback.format_exc()


def _run_command(command: str, raw, run_dir, config_yaml: str, typed: str):
    module = importlib.import_module(f"rectrain.commands.{command}")
    if command == "train":
        module.run(raw, run_dir, config_yaml, typed, _swept(typed))
    elif command in _RUNS:
        module.run(raw, run_dir, config_yaml, typed)
    elif command == "cluster":
        module.run(raw, _cut(command, shlex.split(typed))[1])
    else:
        module.run(raw)


def _swept(typed: str) -> dict:
    """{key: value} of the words that the sweep, and not the command line, has given to this job."""
    import yaml
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    if HydraConfig.get().mode != RunMode.MULTIRUN:
        return {}
    given = {word.lstrip("+") for word in shlex.split(typed)}
    words = [word.lstrip("+") for word in HydraConfig.get().overrides.task]
    pairs = [word.partition("=") for word in words if word not in given]
    return {key: yaml.safe_load(value) for key, _, value in pairs}
