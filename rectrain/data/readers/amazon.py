"""Reads Amazon's reviews as a log of events, with what the file beside it says about products.

Two layouts, told by the log's first byte: lists of items by user (amazon_lists.py) and reviews in JSON lines
(amazon_reviews.py). Both have the same columns:

    user, item              text
    rating                  number; missing in lists
    time                    number: unix seconds; of lists the place in the user's line, from 0
    category, subcategory   the department of the product, and the last category of its path
    brand                   text
    attributes              the brand and all categories, text joined by "|", blank where there is none

What no file tells is "unknown". `data.format` names the reader and nothing else.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from rectrain.config import FormatConfig
from rectrain.data.blocks import Block
from rectrain.data.readers import amazon_lists, amazon_reviews
from rectrain.data.readers.amazon_items import ITEM_COLUMNS, LISTS
from rectrain.data.readers.checks import check_columns, no_rows
from rectrain.data.readers.side_tables import SideTable, first_line, joined, nothing_known

COLUMNS = ["user", "item", "rating", "time", *ITEM_COLUMNS]


def read(
    path: Path, columns: dict[str, str], format: FormatConfig, *, advance: Callable[[int], object] | None = None
) -> Iterator[Block]:
    """The events of one log in blocks.

    Args:
        columns: name -> "text", "number" or "list"; a list comes as text joined by "|".
        advance: called with the number of raw (compressed) bytes consumed since its last call.
    Raises:
        InputError: names the file, the line at fault and what to do.
    """
    layout = _layout(path)
    check_columns(path, COLUMNS, columns)
    tables = [] if columns.keys().isdisjoint(ITEM_COLUMNS) else [_items(path, layout)]
    first_row = 0
    for events in layout.events(path, advance):
        num_rows, place = len(events["user"]), _place(path, layout, first_row)
        yield Block(joined(events, tables, columns, place), num_rows, path, first_row, layout.describe_row)
        first_row += num_rows
    if first_row == 0:
        raise no_rows(path, "only blank lines")


def column_names(path: Path, format: FormatConfig) -> list[str]:
    _layout(path)
    return COLUMNS


def count_rows(path: Path, format: FormatConfig) -> int:
    """As many as `read` yields."""
    return sum(len(events["user"]) for events in _layout(path).events(path, None))


def companions(path: Path) -> list[Path]:
    """The file about products, where there is one beside the log."""
    items = _layout(path).find_items(path)
    return [] if items is None else [items]


def _layout(path: Path):
    line = first_line(path)
    if not line:
        raise no_rows(path, "only blank lines")
    return amazon_reviews if line.lstrip().startswith(b"{") else amazon_lists


def _items(path: Path, layout) -> SideTable:
    items = layout.find_items(path)
    return nothing_known("item", ITEM_COLUMNS, LISTS) if items is None else layout.read_items(items)


def _place(path: Path, layout, first_row: int) -> Callable[[int], str]:
    return lambda index: layout.describe_row(path, first_row + index)
