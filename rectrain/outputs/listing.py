"""The terminal's list of what a group of configs offers."""

import shutil
import sys
import textwrap

from rectrain.catalog import heads
from rectrain.config import ListConfig
from rectrain.console import say, speaks_unicode, wants_color
from rectrain.outputs.summary import GAP, Page

_WIDEST = 140


def say_list(group: str, config: ListConfig):
    """A line an option: its name and what its YAML says first. On a terminal long lines are wrapped, in a pipe not."""
    width = min(shutil.get_terminal_size().columns, _WIDEST) if sys.stdout.isatty() else sys.maxsize
    page = Page(width, wants_color(), speaks_unicode())
    say(listing(page, heads(group, [f"{source.schema}://{source.path}" for source in config.sources])))


def listing(page: Page, options: dict[str, str]) -> str:
    indent = max(map(len, options)) + len(GAP)
    return "\n".join(line for name, head in options.items() for line in _entry(page, name, head, indent))


def _entry(page: Page, name: str, head: str, indent: int) -> list[str]:
    room = max(page.width - indent, 20)
    first, *rest = textwrap.wrap(page.text(head), room, break_on_hyphens=False) or [""]
    return [
        f"{page.paint(name, 'title')}{' ' * (indent - len(name))}{first}".rstrip(),
        *(" " * indent + line for line in rest),
    ]
