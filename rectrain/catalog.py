"""What there is to choose from: the YAML files of a group, and what the first line of each says it is."""

from importlib import resources
from pathlib import Path

OURS = "pkg://rectrain.configs"


def heads(group: str, sources: list[str]) -> dict[str, str]:
    """Name -> first line of each YAML of a group, sorted by name; of two files of one name that of the first source.

    Args:
        sources: where Hydra looks for YAML files, in its order: pkg://PACKAGE or file://FOLDER.
    """
    found: dict[str, str] = {}
    for source in sources:
        for path in _files(source, group):
            found.setdefault(path.name.removesuffix(".yaml"), _head(path))
    return dict(sorted(found.items()))


def _files(source: str, group: str) -> list:
    scheme, _, place = source.partition("://")
    if scheme not in ("pkg", "file"):  # Hydra has others, which hold nothing of ours
        return []
    folder = (resources.files(place) if scheme == "pkg" else Path(place)).joinpath(group)
    return [path for path in folder.iterdir() if path.name.endswith(".yaml")] if folder.is_dir() else []


def _head(path) -> str:
    """The first comment, without its mark; blank where a file starts otherwise."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    comments = (line.lstrip("# ") for line in lines if line.startswith("#") and "@package" not in line)
    return next(comments, "")
