"""The table of products that both layouts of Amazon's reviews end in."""

from collections.abc import Iterable
from pathlib import Path

from rectrain.data.readers.rows import Row
from rectrain.data.readers.side_tables import SideTable, side_table

ITEM_COLUMNS = ["category", "subcategory", "brand", "attributes"]
LISTS = ("attributes",)


def product(item: str, brand: str | None, categories: list[str]) -> list[str | None]:
    """An entry of the table; categories from the department on, without repetitions."""
    attributes = [name.replace("|", "/") for name in ([brand] if brand else []) + categories]
    first, last = (categories[0], categories[-1]) if categories else (None, None)
    return [item, first, last, brand, "|".join(attributes)]


def product_table(path: Path, entries: Iterable[tuple[Row, list]]) -> SideTable:
    return side_table("item", ITEM_COLUMNS, entries, path, LISTS)
