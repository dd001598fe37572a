"""Configs are data: what would run code, or read the environment, is refused before Hydra acts on it."""

import functools
from collections.abc import Callable, Iterator

import yaml  # comes with OmegaConf

from rectrain.config import check_is_name, check_no_password
from rectrain.errors import InputError
from rectrain.launchers import KEYS

# All code that a config may name, each at its key.
_TARGETS = {
    "hydra.launcher._target_": tuple(KEYS),
    "hydra.sweeper._target_": (
        "hydra._internal.core_plugins.basic_sweeper.BasicSweeper",
        "rectrain.hydra_search.Search",
    ),
}
_RESOLVERS = ("oc.create", "oc.decode", "oc.deprecated", "oc.dict.keys", "oc.dict.values", "oc.env")
_HANDLERS = ("logging.StreamHandler", "logging.FileHandler", "logging.NullHandler")
_MOST_NODES = 1_000_000  # of one YAML file, each alias counted as all that it stands for


def install():
    """From now on configs are checked as they are composed, before anything of them is made or called."""
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from omegaconf import OmegaConf, _utils

    for name in _RESOLVERS:
        OmegaConf.clear_resolver(name)
    if not hasattr(ConfigLoaderImpl.load_configuration, "__wrapped__"):  # by an earlier call in this process
        ConfigLoaderImpl.load_configuration = _checked(ConfigLoaderImpl.load_configuration)
        _utils.get_yaml_loader = _bounded(_utils.get_yaml_loader)


def _checked(compose: Callable) -> Callable:
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    @functools.wraps(compose)
    def checked(*args, **kwargs):
        try:
            config = compose(*args, **kwargs)
        except (HydraException, OmegaConfBaseException, yaml.YAMLError, UnicodeDecodeError, OSError):
            raise  # cli.py explains them
        except Exception as error:  # Hydra's own, for words and files that it did not expect
            raise InputError(f"the command line or a YAML file does not make a config: {error}") from error
        _check(OmegaConf.to_container(config, resolve=False))
        return config

    return checked


def _bounded(get_loader: Callable) -> Callable:
    """Loaders that refuse aliases of aliases of aliases: a few lines that stand for more values than memory holds."""

    def get():
        class Bounded(get_loader()):
            num_nodes = 0

            def compose_node(self, parent, index):
                self.sizes: dict[str, int] = getattr(self, "sizes", {})
                event, before = self.peek_event(), self.num_nodes
                is_alias = isinstance(event, yaml.AliasEvent)
                self.num_nodes += self.sizes.get(event.anchor, 0) if is_alias else 1
                if self.num_nodes > _MOST_NODES:
                    what = f"aliases that stand for more than {_MOST_NODES:,} values"
                    raise yaml.composer.ComposerError(None, None, what, event.start_mark)
                node = super().compose_node(parent, index)
                if event.anchor is not None and not is_alias:
                    self.sizes[event.anchor] = self.num_nodes - before
                return node

        return Bounded

    return get


def check_words(words: list[str]):
    """Raises InputError where Hydra's own parser would print how it is used and exit."""
    from hydra._internal.utils import get_args_parser

    parser = get_args_parser()

    def refuse(message: str):
        raise InputError(f"{message}. Expected key=value, and flags as rectrain --hydra-help lists them.")

    parser.error = refuse  # type: ignore[method-assign]
    parser.parse_args(words)


def _check(config: dict):
    _check_verbose(config["hydra"].get("verbose"))
    for section in ("data", "model"):  # parts of the name of the run directory
        named = config.get(section)
        if isinstance(named, dict) and "name" in named:
            check_is_name(named["name"], f"{section}.name")
    if isinstance(config.get("tracker"), dict):
        check_no_password(config["tracker"].get("uri"))
    for path, key, value in _items(config, ""):
        if key == "_target_" and value not in _TARGETS.get(path, ()):
            raise _refused(path, value, "a config names no code to run, but for some launchers and sweepers")
        if path.startswith("hydra.job.env_set."):
            raise _refused(path, value, "a config sets no variables of the environment; set them in the shell")
        if path.startswith(("hydra.hydra_logging.", "hydra.job_logging.")) and _calls(key, value):
            raise _refused(path, value, f"a handler is one of {', '.join(_HANDLERS)}")


def _check_verbose(verbose):
    """Hydra takes what it expects here for granted."""
    if not all(isinstance(name, bool | str) for name in (verbose if isinstance(verbose, list) else [verbose])):
        raise InputError(f"hydra.verbose={verbose}: expected true, false, the name of a logger or a list of names.")


def _calls(key: str, value) -> bool:
    """Whether Python's logging would import or call what an entry of its config names."""
    named = str(value)
    if named in ("ext://sys.stdout", "ext://sys.stderr"):
        return False
    return key == "()" or named.startswith(("ext://", "cfg://")) or (key == "class" and named not in _HANDLERS)


def _refused(path: str, value, why: str) -> InputError:
    return InputError(f"{path}={value}: {why}. Remove the key.")


def _items(tree, path: str) -> Iterator[tuple[str, str, object]]:
    """(path, key, value) of each entry of sections within sections and lists."""
    entries = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in entries:
        here = f"{path}.{key}" if path else str(key)
        yield here, str(key), value
        yield from _items(value, here)
