"""JSON and YAML files as plain values: data alone, whoever wrote them."""

import json
from pathlib import Path

import yaml  # comes with OmegaConf


class _Plain(yaml.SafeLoader):
    """No aliases: a few lines of them stand for more values than any memory holds."""

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError(f"an alias, *{self.peek_event().anchor}; expected plain values")
        return super().compose_node(parent, index)


def read_json(path: Path):
    """Raises OSError, or ValueError where the file does not hold JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("brackets within brackets, deeper than any file of ours") from None


def read_yaml(path: Path):
    """Raises OSError, or ValueError where the file does not hold YAML."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Plain)  # noqa: S506: a SafeLoader
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"not YAML: {' '.join(str(error).split())}") from error
