"""README.md: its figures are those of docs/benchmarks.md, and README.zh-CN.md says the same in Chinese."""

import re
import struct

import pytest

from tests.pages import ROOT, TEXTS, TRANSLATION, blocks, quoted, rows, section

ENGLISH, CHINESE = TEXTS["README.md"], TEXTS[TRANSLATION]
SOURCES = {  # letter of the README -> where the AUC stands: section, or section and heading of the column
    "a": ("## The seven models on real Criteo rows, paired with FuxiCTR", None, 2),
    "b": ("## Five ways to read a history, on real rows", "**MovieLens-1M", 2),
    "c": ("## Two tasks on Census-Income, paired with FuxiCTR", "Trained on rows 0-49,999", 2),
}


def measured(letter):
    """{model: AUC with its spread} of docs/benchmarks.md."""
    heading, start, column = SOURCES[letter]
    text = section("docs/benchmarks.md", heading)
    text = text[text.index(start) :] if start else text
    return {row[0]: row[column].partition(" [")[0] for row in rows(text)}


def test_each_auc_is_the_one_that_was_measured():
    seen = set()
    for name, _, _, auc, _ in rows(section("README.md", "## Models")):
        if auc == "none yet":
            continue
        value, letter = re.fullmatch(r"(.+) \((\w)\)", auc).groups()
        assert measured(letter)[quoted(name)[0]] == value, name
        seen.add(letter)
    assert seen == set(SOURCES)


def test_every_row_about_other_projects_is_explained():
    marks = rows(section("README.md", "## Beside other projects"))
    assert len(marks) == len(rows(TEXTS["docs/peers.md"]))
    assert {cell for _, *cells in marks for cell in cells if not cell.isdigit()} == {"●", "◐", "–", "?", ""}
    assert {len(row) for row in marks} == {8}


def without_comments(block):
    return [re.sub(r"(^|\s+)# .*", "", line) for line in block.splitlines()]


def test_the_chinese_page_has_the_same_blocks():
    for language in ("sh", "text"):
        found = [list(map(without_comments, blocks(text, language))) for text in (ENGLISH, CHINESE)]
        assert found[0], language
        assert found[0] == found[1]


def facts(cell):
    """What no translation changes: code, targets of links, numbers and marks."""
    return quoted(cell), re.findall(r"\]\(([^)]+)\)", cell), re.findall(r"[\d.]+|[±●◐–?]", cell), not cell


def shape(text):
    return [len(re.match("#+", line)[0]) for line in text.splitlines() if re.match("#+ ", line)]


def test_the_chinese_page_has_the_same_tables_pictures_and_sections():
    pairs = list(zip(rows(ENGLISH), rows(CHINESE), strict=True))
    assert len(pairs) > 40
    for english, chinese in pairs:
        assert list(map(facts, english)) == list(map(facts, chinese)), english
    pictures = [re.findall(r"!\[.+\]\((.+)\)", text) for text in (ENGLISH, CHINESE)]
    assert pictures[0] == pictures[1] == ["docs/images/report.png"]
    plain = [re.sub(r"^```.*?^```", "", text, flags=re.M | re.S) for text in (ENGLISH, CHINESE)]
    assert shape(plain[0]) == shape(plain[1])


@pytest.mark.parametrize("text", [ENGLISH, CHINESE], ids=["english", "chinese"])
def test_the_two_commands_come_first(text):
    assert blocks(text, "sh")[0].split("\n")[:2] == ["make run", "make test"]


def test_the_picture_is_one_and_small():
    data = (ROOT / "docs/images/report.png").read_bytes()
    width, height = struct.unpack(">II", data[16:24])
    assert data.startswith(b"\x89PNG")
    assert len(data) < 300_000
    assert width >= 1000 <= height
