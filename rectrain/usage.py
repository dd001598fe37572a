"""`rectrain COMMAND --help`: the YAML of the command as it stands, its examples and its keys with their comments.

`rectrain --help` is Hydra's, from the template in configs/base.yaml.
"""

import re
from importlib import resources

FLAGS = ("-h", "--help")
_INNER = ("defaults", "hydra")  # sections that are Hydra's


def usage(command: str) -> str:
    """What a command does, how it is called, and what can be set."""
    text = resources.files("rectrain.configs").joinpath(f"{command}.yaml").read_text(encoding="utf-8")
    head, _, body = text.partition("\ndefaults:\n")
    groups = re.findall(r"^  - (?:optional )?(\w+): (\w+)$", body, re.M)
    parts = [re.sub(r"^# ?", "", head, flags=re.M), *_sections(f"defaults:\n{body}")]
    if groups:
        chosen = ", ".join(f"{group}={option}" for group, option in groups)
        parts.append(f"Groups, with what is taken unless another is chosen: {chosen}; rectrain --help explains them")
    return "\n\n".join([*parts, f"rectrain {command} --cfg job prints all keys with their values"])


def _sections(body: str) -> list[str]:
    """Keys with their comments, a text for each paragraph, without what is Hydra's."""
    paragraphs = re.split(r"\n\n+", body.strip())
    own = [text for text in paragraphs if text.partition(":")[0] not in _INNER]
    return ["Keys\n" + "\n\n".join(re.sub(r"^(?=.)", "  ", text, flags=re.M) for text in own)] if own else []
