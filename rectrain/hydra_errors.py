"""Hydra's complaints in the words of our own: which key, what was expected, what to do."""

import re

import yaml  # comes with OmegaConf

from rectrain.errors import did_you_mean


def explain(error: Exception, command: str, overrides: list[str]) -> str:
    """One message for an exception of Hydra, OmegaConf or YAML."""
    from hydra.errors import MissingConfigException, OverrideParseException
    from omegaconf.errors import OmegaConfBaseException

    text = str(error)
    if isinstance(error, UnicodeDecodeError):
        return f"a YAML file below --config-dir is not text in UTF-8 ({error.reason} at byte {error.start + 1})."
    if isinstance(error, yaml.YAMLError):
        return f"not YAML: {' '.join(text.split())}. Mend the file."
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _unknown_option(error, overrides)
    if isinstance(error, OverrideParseException):
        return _not_parsed(error)
    unknown = re.search(r"Could not override '([\w.@/]+)'", text)
    if unknown:
        return _unknown_key(unknown[1], command, overrides)
    ambiguous = re.search(r"Ambiguous value for argument '([^=]+)=(.*)'", text)
    if ambiguous:
        key, value = ambiguous.groups()
        return (
            f"{key}={value}: a comma makes a sweep. For one value with a comma write {key}=\\'{value}\\', for a list "
            f"{key}=[{value}], for a sweep add -m."
        )
    if isinstance(error, OmegaConfBaseException):
        return explain_value(error)
    return _plain(text.split("\nSee ")[0])


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
    typed = next((o for o in overrides if o.replace("=", "/").lstrip("+") == missing), f"{group}={option}")
    return f"{typed}: there is no configs/{missing}.yaml.{did_you_mean(option, error.options or [])}"


def _not_parsed(error) -> str:
    word = error.override or ""
    key, equals, value = word.partition("=")
    if not equals:
        return f"{word!r}: expected key=value. Flags start with --, and a command stands first."
    return (
        f"{word}: the value has characters that the grammar gives a meaning (= , [ ] {{ }} ( ) : quotes, blanks). "
        f"Quote it twice, for the shell and for the grammar: \"{key}='{value}'\""
    )


def _unknown_key(key: str, command: str, overrides: list[str]) -> str:
    """Suggests among the keys beside it, in the config as it is without this override."""
    parent, _, name = key.rpartition(".")
    return f"{key}: no such key.{did_you_mean(name, _keys_of(parent, key, command, overrides))}"


def _keys_of(parent: str, key: str, command: str, overrides: list[str]) -> list[str]:
    from hydra import compose, initialize_config_module
    from hydra.errors import HydraException
    from omegaconf import OmegaConf

    groups = [o for o in overrides if not o.startswith("-") and o.split("=")[0] in ("data", "model", "optimizer")]
    try:
        with initialize_config_module("rectrain.configs", version_base="1.3"):
            config = compose(command, overrides=groups)
        section = OmegaConf.select(config, parent) if parent else config
        return [str(k) for k in section] if OmegaConf.is_dict(section) else []
    except HydraException:
        return []
