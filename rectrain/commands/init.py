"""rectrain init: looks at a raw file and drafts the YAML of a data set."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from rectrain.catalog import OURS, heads
from rectrain.config import InitConfig
from rectrain.console import say, speaks_unicode, terminal_width, wants_color
from rectrain.data.sources import named_files
from rectrain.draft.draft import Draft, draft
from rectrain.draft.written import as_yaml, grouped
from rectrain.errors import InputError
from rectrain.outputs.formats import counted, percent
from rectrain.outputs.summary import LABEL_WIDTH, Page
from rectrain.run_dir import write_whole
from rectrain.sections import init_config

_OWN = Path("conf/data")
_ENDINGS = re.compile(r"(\.(csv|tsv|txt|data|parquet|gz|dat))+$", re.IGNORECASE)


def run(raw: dict):
    """Drafts a YAML, which is never written over one that is there.

    Raises:
        InputError: there is no such file, it is no table, or the YAML cannot be written.
    """
    config = init_config(raw)
    path = _file(config.data.files)
    output = _output(config, path)
    label = [config.label] if isinstance(config.label, str) else config.label
    found = draft(path, label=label, header=config.header, most_rows=config.rows)
    _write(output, as_yaml(found, output.stem, config.data.files, path))
    say(_summary(found, path, output))


def _file(files: str) -> Path:
    if Path(files).is_dir():
        raise InputError(
            f"data={files}: a folder; expected a file, or a glob of files that are alike: '{files}/*.csv'."
        )
    return named_files(files, "data", [])[0]


def _output(config: InitConfig, path: Path) -> Path:
    output = Path(config.output or _OWN / f"{_name(_ENDINGS.sub('', path.name))}.yaml")
    if output.suffix != ".yaml" or output.parent.name != "data":
        raise InputError(
            f"output={output}: expected DIR/data/NAME.yaml, where --config-dir DIR finds the data set as data=NAME."
        )
    if _name(output.stem) != output.stem:
        raise InputError(
            f"output={output}: expected a name of letters, digits, - and _ that starts with a letter and is none of "
            f"rectrain's own, as in {output.with_stem(_name(output.stem))}."
        )
    if output.exists():
        raise InputError(
            f"{output} is there already, and is not written over. Remove it, or set output=DIR/data/NAME.yaml."
        )
    return output


def _name(text: str) -> str:
    """What a data set is called on the command line: plain, and none of ours, which would be found first."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("_-")[:90] or "data"
    return f"my_{plain}" if plain in heads("data", [OURS]) or not plain[0].isalpha() else plain


def _write(output: Path, text: str):
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_whole(output, text)
    except OSError as error:
        raise InputError(
            f"output={output}: cannot be written ({error.strerror or error}). Name another, DIR/data/NAME.yaml."
        ) from error


def _summary(found: Draft, path: Path, output: Path) -> str:
    """What was found, what to look at, and what to do next."""
    page = Page(terminal_width(), wants_color(), speaks_unicode())
    rows = f"{'all' if found.is_whole else 'the first'} {counted(found.num_rows, 'row')} looked at"
    facts = [("file", f"{path}: {found.layout.described}"), ("rows", rows), *_roles(found)]
    facts += [(name, ", ".join(columns)) for name, columns in grouped(found).items()]
    facts += [("left out", _reasons(found.left_out)), ("CHECK", _reasons(found.notes))]
    lines = [line for label, text in facts if text for line in page.labelled(label, text)]
    return "\n".join([*lines, "", *_next(page, found, output)])


def _roles(found: Draft) -> Iterator[tuple[str, str]]:
    for label, rate in zip(found.labels, found.rates, strict=True):
        told = f"mean {rate:.6g}" if label.is_number else f"{percent(rate)} of the rows are 1"
        yield "label", f"{label.column}: {label.reason}; {told}"
    if found.time is not None:
        yield "time", f"{found.time.config.column}: {found.time.reason}"
    yield "weight", found.weight or ""
    yield "group", f"{found.group}: {found.group_reason}" if found.group else ""
    yield "split", f"by {found.split.settings['by']}: {found.split.reason}"


def _reasons(columns: dict[str, str]) -> str:
    return "\n".join(f"{name}: {why}" for name, why in columns.items())


def _next(page: Page, found: Draft, output: Path) -> list[str]:
    several = " model=shared_bottom" if len(found.labels) > 1 else ""
    command = f"rectrain --config-dir {shlex.quote(str(output.parent.parent))} data={output.stem}{several}"
    return [
        *page.labelled("written", f"{output}: read it, each choice has its reason beside it"),
        f"{'next':<{LABEL_WIDTH}}{command}",
    ]
