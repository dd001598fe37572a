"""Tab completion: what is offered for a line, and that real shells put it in."""

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rectrain import registry
from rectrain.cli import COMMANDS

ROOT = Path(__file__).parents[1]


@pytest.fixture
def complete(rectrain, monkeypatch):
    """Candidates for a line whose end is the cursor; as a shell without breaks within words has them."""

    def ask(line, breaks=""):
        monkeypatch.setenv("COMP_LINE", line)
        monkeypatch.setenv("COMP_POINT", str(len(line)))
        monkeypatch.setenv("COMP_WORDBREAKS", breaks)
        code, out, err = rectrain("--shell-completion", "query=bash")
        assert code == 0, err
        return out.splitlines()

    return ask


def test_models_with_and_without_a_command_word(complete):
    expected = [f"model={name}" for name in registry.names("models")]
    for line in (
        "rectrain model=",
        "rectrain train model=",
        "rectrain online seed=1 model=",
        "rectrain cluster -- seed=1 model=",
        "/opt/bin/rectrain model=",
    ):
        assert complete(line) == expected
    assert complete("rectrain model=dcn_") == ["model=dcn_v2"]


def test_command_words(complete):
    assert complete("rectrain ev") == ["evaluate "]
    assert {f"{command} " for command in COMMANDS} < set(complete("rectrain "))
    assert not [word for word in complete("rectrain prepare ") if word.endswith(" ")]  # one is enough


def test_keys_are_those_of_the_command(complete):
    assert complete("rectrain trainer.sch") == ["trainer.schedule."]
    assert complete("rectrain trainer.schedule.war") == ["trainer.schedule.warmup_steps="]
    assert "split=" in complete("rectrain evaluate ")
    assert "model=" not in complete("rectrain evaluate ")
    assert complete("rectrain model=fm model.emb") == ["model.embedding_dim=", "model.embedding_stddev="]
    assert complete("rectrain trainer.epochs=") == ["trainer.epochs=10"]
    assert complete("rectrain nonsense=") == []
    assert complete("rectrain model=nonsense trainer.pat") == ["trainer.patience="]


def test_experiments_within_folders(complete):
    assert complete("rectrain experiment=tiny/dcn") == ["experiment=tiny/dcn", "experiment=tiny/dcn_v2"]
    assert not [word for word in complete("rectrain experiment=") if "=shared/" in word]


def test_files_of_ones_own(complete, tmp_path):
    (tmp_path / "conf/data").mkdir(parents=True)
    (tmp_path / "conf/data/mine.yaml").write_text("name: mine\n")
    assert complete("rectrain prepare --config-dir conf data=mi") == ["data=mine"]
    assert complete("rectrain prepare data=mi") == []


def test_runs(complete, tmp_path):
    for name in ("2026-01-02/10-00-00_dcn_criteo", "2026-01-03/11-00-00_sweep/1"):
        (tmp_path / "outputs" / name).mkdir(parents=True)
        (tmp_path / "outputs" / name / "config.yaml").touch()
    (tmp_path / "outputs/2026-01-02/11-00-00_empty").mkdir()
    runs = ["outputs/2026-01-02/10-00-00_dcn_criteo", "outputs/2026-01-03/11-00-00_sweep/1"]
    assert complete("rectrain evaluate run=") == [f"run={run}" for run in runs]
    assert complete("rectrain compare runs=[a,") == [f"runs=[a,{run}" for run in runs]
    assert complete("rectrain evaluate run=outputs/2026") == []  # the shell completes files
    assert complete("rectrain init data=") == []


def test_only_what_stands_behind_a_break_is_put_in(complete):
    assert complete("rectrain model=dcn_", breaks=" \t\n\"'><=;|&(:") == ["dcn_v2"]
    assert complete("rectrain ev", breaks=" \t\n\"'><=;|&(:") == ["evaluate "]


def test_flags(complete):
    assert complete("rectrain --con") == ["--config-dir "]


def test_a_question_that_no_shell_asks(rectrain):
    code, _, err = rectrain("--shell-completion", "install=fish")
    assert code == 2
    assert "expected one of install=bash, install=zsh" in err


def test_it_answers_without_tensorflow():
    code = (
        "import os, sys; os.environ['COMP_LINE'] = 'rectrain evaluate '\n"
        "from rectrain.cli import _main\n"
        "code = _main(['--shell-completion', 'query=bash'])\n"
        "sys.exit(code + any(name in sys.modules for name in ('tensorflow', 'keras', 'numpy', 'pyarrow')))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


class Terminal:
    """A shell that a person types into."""

    def __init__(self, argv, folder):
        bin_folder = folder / "bin"
        bin_folder.mkdir()
        (bin_folder / "rectrain").write_text(f"#!{sys.executable}\nfrom rectrain.cli import main\nmain()\n")
        (bin_folder / "rectrain").chmod(0o755)
        path = f"{bin_folder}{os.pathsep}{os.environ['PATH']}"
        environment = {
            **os.environ,
            "PATH": path,
            "PYTHONPATH": str(ROOT),
            "PS1": "$ ",
            "TERM": "dumb",
            "HOME": str(folder),
        }
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execvpe(argv[0], argv, environment)
        self.seen = ""

    def type(self, text):
        os.write(self.fd, text.encode())

    def wait_for(self, text, seconds=60):
        end = time.monotonic() + seconds
        while text not in self.seen:
            assert time.monotonic() < end, self.seen
            if select.select([self.fd], [], [], 0.1)[0]:
                self.seen += os.read(self.fd, 4096).decode(errors="replace")

    def close(self):
        os.close(self.fd)
        os.waitpid(self.pid, 0)


@pytest.mark.parametrize(("shell", "flags"), [("bash", ["--norc", "--noprofile", "-i"]), ("zsh", ["-f", "-i"])])
def test_a_real_shell(shell, flags, tmp_path):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    (tmp_path / "clicks_of_today.csv").touch()
    terminal = Terminal([shell, *flags], tmp_path)
    try:
        terminal.type(f'eval "$(rectrain --shell-completion install={shell})" && echo rea""dy\n')
        terminal.wait_for("ready")
        terminal.type("rectrain evalu\t")
        terminal.wait_for("rectrain evaluate ")
        terminal.type("\x15rectrain model=wide\t")
        terminal.wait_for("rectrain model=wide_deep")
        terminal.type("\x15rectrain prepare data=cens\t")
        terminal.wait_for("data=census_income")
        terminal.type("\x15rectrain init data=clicks\t")
        terminal.wait_for("data=clicks_of_today.csv")
    finally:
        terminal.close()
