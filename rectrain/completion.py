"""Tab completion of bash and zsh: what the word at the cursor may become.

The flags are Hydra's (`--shell-completion install=bash`), whose own script and query know no command words.
"""

import contextlib
import itertools
import os
import shlex
from pathlib import Path
from typing import Any

from rectrain.errors import InputError

FLAGS = ("-sc", "--shell-completion")
_HYDRA_FLAGS = ("--cfg", "--config-dir", "--help", "--hydra-help", "--info", "--multirun", "--shell-completion")
_RUN_KEYS = ("run", "runs", "baseline")
_OUTPUTS = ("*/*/config.yaml", "*/*/*/config.yaml")  # in outputs/, as hydra.run.dir and hydra.sweep.dir have it

_BASH = """_rectrain()
{
    local IFS=$'\\n'
    COMPREPLY=($(COMP_LINE="$COMP_LINE" COMP_POINT="$COMP_POINT" COMP_WORDBREAKS="$COMP_WORDBREAKS" \\
        "$1" --shell-completion query=bash 2> /dev/null))
}
complete -o nospace -o default -F _rectrain rectrain
"""
_ZSH = """_rectrain()
{
    local line="${(j: :)words[1,CURRENT]}" found
    found=("${(@f)$(COMP_LINE="$line" COMP_POINT=${#line} "$words[1]" --shell-completion query=zsh 2> /dev/null)}")
    found=(${found:#})
    if (( ${#found} )); then
        compadd -Q -S '' -- $found
    else
        compset -P '*='
        _files
    fi
}
(( $+functions[compdef] )) || { autoload -U compinit && compinit -i }
compdef _rectrain rectrain
"""
_ANSWERS = {
    "install=bash": _BASH,
    "install=zsh": _ZSH,
    "uninstall=bash": "complete -r rectrain\n",
    "uninstall=zsh": "compdef -d rectrain\n",
}


def main(argv: list[str], commands: tuple[str, ...]) -> int:
    """Prints a script for the shell, or what it asks for: one candidate a line."""
    asked = next((word for word in argv if word not in FLAGS), "")
    if asked in _ANSWERS:
        print(_ANSWERS[asked], end="")
    elif asked in ("query=bash", "query=zsh"):
        for word in _answer(_line(), commands):
            print(_relative(word))
    else:
        raise InputError(f"--shell-completion {asked}: expected one of {', '.join(_ANSWERS)}.")
    return 0


def _line() -> str:
    """The command line up to the cursor."""
    line = os.environ.get("COMP_LINE", "")
    return line[: int(os.environ.get("COMP_POINT", len(line)))]


def _relative(word: str) -> str:
    """What bash puts in: it takes the word at the cursor to start behind the last of its breaks, such as =."""
    typed = _line().rpartition(" ")[2]
    starts = [typed.rfind(mark) + 1 for mark in os.environ.get("COMP_WORDBREAKS", "")]
    return word[max(starts, default=0) :]


def _answer(line: str, commands: tuple[str, ...]) -> list[str]:
    """Candidates for the last word of a line, whole words."""
    *words, word = line.split(" ")
    words = [w for w in words[1:] if w]
    if "--" in words:  # rectrain cluster -- a run
        words = words[words.index("--") + 1 :]
    if word.startswith("-"):
        return [f"{flag} " for flag in _HYDRA_FLAGS if flag.startswith(word)]
    found = [f"{command} " for command in commands if not words and command.startswith(word)]
    command = words.pop(0) if words and words[0] in commands else "train"
    return sorted({*found, *_Config(command, words).complete(word)})


class _Config:
    """What the YAML files offer to a command.

    Args:
        words: of the command line, before the one at the cursor.
    """

    def __init__(self, command: str, words: list[str]):
        from hydra._internal.config_loader_impl import ConfigLoaderImpl
        from hydra._internal.utils import create_config_search_path

        self._command = command
        self._overrides, own = _without_flags(words)
        path = create_config_search_path("pkg://rectrain.configs")
        for folder in own:
            path.append("command-line", f"file://{os.path.abspath(folder)}")
        self._loader = ConfigLoaderImpl(path)

    def complete(self, word: str) -> list[str]:
        key, equals, value = word.partition("=")
        if self._command == "init" and key == "data":  # a file, which the shell completes itself
            return []
        if equals and key in _RUN_KEYS:
            return _runs(word)
        if equals:
            options = [f"{key}={option}" for option in self._options(key)] or ([] if value else self._value(word))
            return [option for option in options if option.startswith(word)]
        return [name for name in [*self._groups(), *self._keys(word)] if name.startswith(word)]

    def _options(self, group: str) -> list[str]:
        """Names of the YAML files of a group, those of groups within it too: tiny/dcn of experiment."""
        from hydra.core.object_type import ObjectType

        found = self._loader.get_group_options(group, ObjectType.CONFIG)
        for inner in self._loader.get_group_options(group, ObjectType.GROUP):
            found += [f"{inner}/{option}" for option in self._options(f"{group}/{inner}") if inner != "shared"]
        return found

    def _groups(self) -> list[str]:
        return [f"{group}=" for group in self._composed().hydra.runtime.choices if not group.startswith("hydra/")]

    def _keys(self, word: str) -> list[str]:
        from hydra.plugins.completion_plugin import CompletionPlugin

        return CompletionPlugin._get_matches(self._composed(), word)

    def _value(self, word: str) -> list[str]:
        """The value that a key has now."""
        with contextlib.suppress(Exception):  # there is no such key
            return self._keys(word)
        return []

    def _composed(self) -> Any:
        """The config; where the words so far do not make one, that of the command alone."""
        from hydra.types import RunMode

        for overrides in (self._overrides, []):
            with contextlib.suppress(Exception):
                return self._loader.load_configuration(self._command, overrides, RunMode.RUN)
        raise AssertionError(f"{self._command} does not compose")


def _without_flags(words: list[str]) -> tuple[list[str], list[str]]:
    """(overrides, folders of --config-dir) among the words."""
    folders = [after for flag, after in itertools.pairwise(words) if flag in ("--config-dir", "-cd")]
    return [word for word in words if "=" in word and not word.startswith("-")], folders


def _runs(word: str) -> list[str]:
    """Runs below outputs/ while nothing of a path is typed; then the shell completes files itself."""
    start = max(word.rfind(mark) for mark in "=[,") + 1
    if word[start:]:
        return []
    found = {path.parent for pattern in _OUTPUTS for path in Path("outputs").glob(pattern)}
    return [f"{word}{shlex.quote(str(path))}" for path in sorted(found)]
