"""Hydra's complaints in the words of our own: which key, what was expected, what to do."""

import re
from importlib.resources import files
from pathlib import Path

import yaml  # comes with OmegaConf

from rectrain.errors import did_you_mean
from rectrain.launchers import PACKAGES


def explain(error: Exception, overrides: list[str]) -> str:
    """One message for an exception of Hydra, OmegaConf or YAML."""
    from hydra.errors import MissingConfigException, OverrideParseException
    from omegaconf.errors import OmegaConfBaseException

    text = str(error)
    reason = error.__cause__ or error.__context__
    if not text and isinstance(reason, Exception):  # Hydra's wrapper around what is wrong
        return explain(reason, overrides)
    if isinstance(error, UnicodeDecodeError):
        return f"a YAML file below --config-dir is not text in UTF-8 ({error.reason} at byte {error.start + 1})."
    if isinstance(error, yaml.YAMLError):
        return f"not YAML: {' '.join(text.split())}. Mend the file."
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _unknown_option(error, overrides)
    if isinstance(error, OverrideParseException):
        return _not_parsed(error)
    ambiguous = re.search(r"Ambiguous value for argument '([^=]+)=(.*)'", text)
    if ambiguous:
        key, value = ambiguous.groups()
        return (
            f"{key}={value}: a comma makes a sweep. For one value with a comma write {key}=\\'{value}\\', for a list "
            f"{key}=[{value}], for a sweep add -m."
        )
    if isinstance(error, OmegaConfBaseException):
        return explain_value(error)
    if text.startswith("Error merging override") and isinstance(reason, OmegaConfBaseException):
        return f"{text.removeprefix('Error merging override ')}: {_plain(str(reason))}"
    return _plain(text.split("\nSee ")[0])


def with_key_added(error: Exception, overrides: list[str]) -> list[str] | None:
    """The overrides in a form that adds the key which Hydra did not find; None where that is not what is wrong.

    The typed sections know more keys than the YAML files set, and what they do not know they refuse by name.
    """
    unknown = re.search(r"Could not override '([\w.]+)'", str(error))
    if unknown is None:
        return None
    changed = [f"++{word}" if word.startswith(f"{unknown[1]}=") else word for word in overrides]
    return changed if changed != overrides else None


def explain_value(error) -> str:
    """One message for a value of the config that OmegaConf cannot resolve."""
    missing = re.search(r"Interpolation key '(.+)' not found", error.msg or "")
    if missing:
        return f"{missing[1]}: no such key; {error.full_key} refers to it."
    said = _plain(str(error))
    return f"{error.full_key}: {said}" if error.full_key else said


def _plain(text: str) -> str:
    """In one line, without OmegaConf's notes on where it stood."""
    lines = [line for line in text.splitlines() if not re.match(r"\s+(full_key|object_type|reference_type)", line)]
    return " ".join(" ".join(lines).split())


def _unknown_option(error, overrides: list[str]) -> str:
    missing = error.missing_cfg_file
    group, _, option = missing.rpartition("/")
    inside = re.match(r"In '(.+/.+)': Could not load", str(error))
    if inside:
        return f"{missing}, one of the defaults of {inside[1]}: there is no {missing}.yaml."
    if group == "hydra/launcher" and option in PACKAGES:
        return f"hydra/launcher={option}: it is not installed. pip install '{PACKAGES[option]}'"
    typed = next((o for o in overrides if o.replace("=", "/").lstrip("+") == missing), f"{group}={option}")
    known = _options_below(group) if "/" in group else error.options or []
    return f"{typed}: there is no configs/{missing}.yaml.{did_you_mean(option, known)}"


def _options_below(folder: str) -> list[str]:
    """Our own in a folder of a group, such as experiment/bars, of which Hydra tells none."""
    return [path.stem for path in (Path(str(files("rectrain.configs"))) / folder).glob("*.yaml")]


def _not_parsed(error) -> str:
    word = error.override or ""
    key, equals, value = word.partition("=")
    if not equals:
        return f"{word!r}: expected key=value. Flags start with --, and a command stands first."
    return (
        f"{word}: the value has characters that the grammar gives a meaning (= , [ ] {{ }} ( ) : quotes, blanks). "
        f"Quote it twice, for the shell and for the grammar: \"{key}='{value}'\""
    )
