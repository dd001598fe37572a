"""What README.md and docs/ hold: their texts, code blocks and tables."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")), ROOT / "data/README.md"]
TEXTS = {str(page.relative_to(ROOT)): page.read_text(encoding="utf-8") for page in PAGES}
HISTORY = "docs/LOG.md"  # its commands were those of their day
TRANSLATION = "README.zh-CN.md"  # tests/test_readme.py holds its commands equal to those of README.md


def blocks(text, language):
    """The code blocks of a page, without the indent of a list."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", text, re.M | re.S)
    return [re.sub(rf"^{indent}", "", code, flags=re.M) for indent, code in found]


def write_yaml(text, folder):
    """Each ```yaml block of a page into the file that its comment names."""
    for block in blocks(text, "yaml"):
        path = folder / re.search(r"^# (conf/\S+\.yaml)$", block, re.M)[1]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block, encoding="utf-8")


def section(page, heading):
    """The text below a heading, up to the next of its level."""
    level = heading.split()[0]
    return re.split(rf"^{level} ", TEXTS[page].split(f"\n{heading}\n")[1], maxsplit=1, flags=re.M)[0]


def rows(text):
    """The cells of each row of the tables in a text, without heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    rules = [i for i, row in enumerate(cells) if set("".join(row)) == {"-"}]
    return [row for i, row in enumerate(cells) if i not in rules and i + 1 not in rules]


def quoted(cell):
    """What stands between backticks in a cell."""
    return re.findall(r"`([^`]+)`", cell.replace("\\|", "|"))


def first_names(text):
    return [quoted(row[0])[0] for row in rows(text)]
