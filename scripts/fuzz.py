"""Feeds commands mutated input, in this process, and sees that each ends well.

A case ends well in success, or in exit code 2 with one message that names the place; in time, without much memory,
without a changed input, and without anything half-written. What did not is kept below --keep with its input.

python scripts/fuzz.py --cases 50000 --seed 1
python scripts/fuzz.py --cases 1 --only rows:1234 --seed 1     # once more
"""

import argparse
import collections
import contextlib
import faulthandler
import fnmatch
import io
import json
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

os.environ["HYDRA_FULL_ERROR"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from fuzzing.targets import TARGETS, Case

from rectrain.cli import _explain
from rectrain.errors import printable
from rectrain.run_dir import RunDir

LIMIT_S = 30  # of a case
MEMORY_BYTES = 512 << 20  # by which a case may raise the highest memory of the process
TEMPORARY = ("*.part", "*/.*")


class TookTooLongError(BaseException):
    """Nothing may catch it."""


@dataclass(frozen=True)
class Outcome:
    """kind: "success", "refused" or what is wrong."""

    kind: str
    text: str = ""

    @property
    def is_good(self) -> bool:
        return self.kind in ("success", "refused")


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--cases", type=int, default=1000)
    words.add_argument("--seed", type=int, default=1)
    words.add_argument("--targets", default=",".join(TARGETS))
    words.add_argument("--only", help="TARGET:NUMBER, one case")
    words.add_argument("--keep", type=Path, default=Path("build/fuzz"))
    found = words.parse_args()
    faulthandler.enable()
    counts, failures = run(found.cases, found.seed, found.targets.split(","), keep=found.keep, only=found.only)
    print(json.dumps({"seed": found.seed, "failures": failures, **counts}, indent=1))
    sys.exit(bool(failures))


def run(cases: int, seed: int, targets: list[str], *, keep: Path | None = None, only: str | None = None):
    """({"counts": {target: {outcome: cases}}, "seconds": ...}, failures)."""
    started, failures = time.monotonic(), []
    counts: dict = {}
    here = os.getcwd()
    keep = None if keep is None else keep.resolve()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        for target, numbers in _plan(cases, targets, only).items():
            begun, counted = time.monotonic(), collections.Counter()
            base = Path(scratch) / target
            base.mkdir()
            with _quiet():
                maker = TARGETS[target][0](base)
                _check_base(maker, seed, Path(scratch) / "case")
            for number in numbers:
                outcome = _one(maker, seed, target, number, Path(scratch) / "case", keep)
                counted[outcome.kind] += 1
                if not outcome.is_good:
                    failures.append(f"{target}:{number} {outcome.kind}: {_short(outcome.text)}")
                    print(failures[-1], file=sys.stderr, flush=True)
            counts[target] = {**counted, "seconds": round(time.monotonic() - begun)}
            print(target, counts[target], file=sys.stderr, flush=True)
            os.chdir(here)
    seconds = round(time.monotonic() - started)
    return {
        "cases": sum(sum(v for k, v in c.items() if k != "seconds") for c in counts.values()),
        "seconds": seconds,
        "counts": counts,
    }, failures


def _plan(cases: int, targets: list[str], only: str | None) -> dict[str, range]:
    if only is not None:
        target, number = only.split(":")
        return {target: range(int(number), int(number) + 1)}
    total = sum(TARGETS[target][1] for target in targets)
    return {target: range(max(1, round(cases * TARGETS[target][1] / total))) for target in targets}


def _check_base(maker, seed: int, folder: Path):
    """That input which is not mutated is read: else nothing is tested behind the first check."""
    for number in range(20):
        folder.mkdir()
        case = maker.make(random.Random(f"{seed}:{number}"), folder, mutated=False)
        found = case.run()
        assert not case.exits or found[0] == 0, found
        os.chdir(folder.parent)
        shutil.rmtree(folder)


def _one(maker, seed: int, target: str, number: int, folder: Path, keep: Path | None) -> Outcome:
    folder.mkdir()
    memory = _peak()
    try:
        case = maker.make(random.Random(f"{seed}:{target}:{number}"), folder)
        before = _files(folder)
        with _quiet(), _limited(LIMIT_S):
            outcome = _outcome(case, folder)
        outcome = _judged(outcome, case, before, _files(folder))
        if _peak() > memory + MEMORY_BYTES:
            outcome = Outcome("memory", f"{(_peak() - memory) >> 20} MB; {outcome.text}")
        if not outcome.is_good and keep is not None:
            _keep(before, keep / f"{target}-{seed}-{number}", outcome)
        return outcome
    finally:
        os.chdir(folder.parent)
        shutil.rmtree(folder)


def _outcome(case: Case, folder: Path) -> Outcome:
    """How it ended, in the eyes of the command line."""
    try:
        found = case.run()
    except TookTooLongError:
        return Outcome("hang", traceback.format_exc())
    except BaseException as error:
        code, text = _explain(error, RunDir(folder)) if isinstance(error, Exception) else (1, traceback.format_exc())
    else:
        if not case.exits:
            return Outcome("success")
        code, text = found
        if code == 0:
            return Outcome("success")
        text = text.removeprefix("rectrain: ").removesuffix("\n")
    text = printable(text) if code == 2 else text  # as cli.py does
    if code != 2 or "Traceback" in text:
        return Outcome("exit 1", text)
    if "\n" in text or not text.strip():
        return Outcome("not one message", text)
    return Outcome("refused" if any(name in text for name in case.names) else "no place", text)


def _short(text: str) -> str:
    """Of a traceback its last place in the project and its last line."""
    lines = text.strip().splitlines()
    places = re.findall(r'rectrain/(\S+\.py)", line (\d+)', text)
    return f"{':'.join(places[-1]) if places else ''} {lines[-1][:300] if lines else ''}"


def _judged(outcome: Outcome, case: Case, before: dict[str, bytes], after: dict[str, bytes]) -> Outcome:
    changed = [name for name in {*before, *after} if before.get(name) != after.get(name)]
    allowed = case.writes if outcome.kind == "success" else case.tells
    foreign = [name for name in changed if _is_one_of(name, TEMPORARY) or not _is_one_of(name, allowed)]
    return Outcome("changed", f"{foreign[:5]}; {outcome.text}") if outcome.is_good and foreign else outcome


def _is_one_of(name: str, globs: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatch(name, glob) for glob in globs)


def _files(folder: Path) -> dict[str, bytes]:
    """All files but locks."""
    paths = [p for p in folder.rglob("*") if p.is_file() and p.suffix != ".lock"]
    return {str(p.relative_to(folder)): p.read_bytes() for p in paths}


def _keep(files: dict[str, bytes], folder: Path, outcome: Outcome):
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "outcome.txt").write_text(f"{outcome.kind}\n{outcome.text}\n", encoding="utf-8", errors="replace")


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@contextlib.contextmanager
def _quiet():
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


@contextlib.contextmanager
def _limited(seconds: int):
    """Ends what takes longer; what C code holds up for twice as long ends the process with a stack trace."""

    def stop(*_):
        raise TookTooLongError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    faulthandler.dump_traceback_later(2 * seconds, exit=True, file=sys.__stderr__)
    try:
        yield
    finally:
        signal.alarm(0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, before)


if __name__ == "__main__":
    main()
