"""Readers of event logs: every layout gives the same columns as its files say by hand; faults name file and line."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pytest

from rectrain.config import FormatConfig
from rectrain.data.readers import amazon, movielens, rows
from rectrain.errors import InputError

FORMAT = FormatConfig(reader="any")
NUMBERS = ("rating", "time")
SIDE_FILES = {
    "u.genre": "unknown|0\nAction|1\nChildren's|2\nDrama|3\n\n",
    "u.item": "7|Amélie (2001)|01-Jan-2001||http://x|0|0|1|1\n8|unknown||||1|0|0|0\n".encode("latin-1"),
    "u.user": "1|24|M|technician|85711\n2|17|F|other|94043\n3|7|M|none|0\n",
    "movies.dat": "7::Amélie, le film (2001)::Children's|Drama\n8::Odd::\n".encode("latin-1"),
    "users.dat": "1::M::18::10::85711\n2::F::1::16::94043\n3::M::1::0::0\n",
    "movies.csv": 'movieId,title,genres\n7,"Amélie, ""le film"" (2001)",Children\'s|Drama\n8,Odd,(no genres listed)\n',
}
LOGS = {
    "u.data": "1\t7\t4\t100\n2\t8\t3\t90\n4\t9\t1\t95\n",
    "ratings.dat": "1::7::4::100\n2::8::3::90\n4::9::1::95\n",
    "ratings.csv": "userId,movieId,rating,timestamp\n1,7,4.0,100\n2,8,3.0,90\n4,9,1.0,95\n",
    "interactions.tsv": "user_id\tpos\tmovie_id\tsplit\n1\t100\t7\ttrain\n2\t90\t8\ttrain\n4\t95\t9\ttest\n",
}


def write(path: Path, content: str | bytes) -> Path:
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.fixture
def archive(tmp_path):
    """Writes the log of one layout, its content or another, beside the files of all layouts."""
    for name, content in SIDE_FILES.items():
        write(tmp_path / name, content)
    return lambda name, content=None: write(tmp_path / name, content or LOGS[name.removesuffix(".gz")])


def read_all(reader, path, columns=None, **kwargs):
    """Column -> list over all blocks, which follow one another."""
    kinds = columns or {name: "number" if name in NUMBERS else "text" for name in reader.COLUMNS}
    values, num_rows = {name: [] for name in kinds}, 0
    for block in reader.read(path, kinds, FORMAT, **kwargs):
        assert (block.path, block.first_row) == (path, num_rows)
        num_rows += block.num_rows
        for name, kind in kinds.items():
            assert block.columns[name].type == (pa.float64() if kind == "number" else pa.string())
            assert len(block.columns[name]) == block.num_rows > 0
            values[name] += block.columns[name].to_pylist()
    assert reader.count_rows(path, FORMAT) == num_rows
    return values


def message(reader, path, columns=None):
    with pytest.raises(InputError) as error:
        read_all(reader, path, columns)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("name", LOGS)
def test_every_layout_of_movielens_has_the_same_columns(archive, name, ending):
    path, consumed = archive(name + ending), []
    values = read_all(movielens, path, advance=consumed.append)
    assert movielens.column_names(path, FORMAT) == list(values)
    assert sum(consumed) == path.stat().st_size
    assert values["user"] == ["1", "2", "4"]
    assert values["item"] == ["7", "8", "9"]
    assert values["rating"] == ([None] * 3 if name.startswith("inter") else [4, 3, 1])
    assert values["time"] == [100, 90, 95]
    assert values["genres"] == ["Children's|Drama", None, None]
    assert values["genre"] == ["Children's", "unknown", "unknown"]
    assert values["year"] == ["2001", "unknown", "unknown"]


@pytest.mark.parametrize(("name", "occupations"), [("u.data", ["technician", "other"]), ("ratings.dat", ["10", "16"])])
def test_users_have_the_bands_of_ml_1m_whatever_the_layout(archive, name, occupations):
    values = read_all(movielens, archive(name))
    assert values["gender"] == ["M", "F", "unknown"]
    assert values["age"] == ["18", "1", "unknown"]
    assert values["occupation"] == [*occupations, "unknown"]


def test_users_are_unknown_where_the_archive_has_none(archive, tmp_path):
    assert set(read_all(movielens, archive("ratings.csv"))["gender"]) == {"unknown"}
    (tmp_path / "users.dat").unlink()
    assert set(read_all(movielens, archive("ratings.dat"))["age"]) == {"unknown"}


def test_columns_come_as_the_kind_that_is_asked_for(archive):
    kinds = {"year": "number", "rating": "text", "genres": "list", "user": "number"}
    values = read_all(movielens, archive("ratings.csv", LOGS["ratings.csv"].replace("3.0", "3.5")), kinds)
    assert values == {
        "year": [2001, None, None],
        "rating": ["4.0", "3.5", "1.0"],
        "genres": ["Children's|Drama", None, None],
        "user": [1, 2, 4],
    }


def test_companions_are_the_files_that_are_read_with_a_log(archive):
    found = {name: [file.name for file in movielens.companions(archive(name))] for name in LOGS}
    assert found == {
        "u.data": ["u.item", "u.genre", "u.user"],
        "ratings.dat": ["movies.dat", "users.dat"],
        "ratings.csv": ["movies.csv"],
        "interactions.tsv": ["movies.dat", "users.dat"],
    }


def test_side_files_may_be_gzipped(archive, tmp_path):
    path = archive("ratings.csv")
    write(tmp_path / "movies.csv.gz", SIDE_FILES["movies.csv"])
    (tmp_path / "movies.csv").unlink()
    assert read_all(movielens, path)["genre"] == ["Children's", "unknown", "unknown"]
    assert [file.name for file in movielens.companions(path)] == ["movies.csv.gz"]


@pytest.mark.parametrize(
    ("log", "missing"),
    [
        ("u.data", "u.item"),
        ("u.data", "u.genre"),
        ("u.data", "u.user"),
        ("ratings.dat", "movies.dat"),
        ("ratings.csv", "movies.csv"),
    ],
)
def test_a_side_file_that_is_missing_is_named_with_its_folder(archive, tmp_path, log, missing):
    path = archive(log)
    (tmp_path / missing).unlink()
    said = message(movielens, path)
    assert f": there is no {missing} beside it ({tmp_path})." in said
    with pytest.raises(InputError, match=f"no {missing} beside it"):
        movielens.companions(path)


def test_side_files_are_not_read_where_no_column_asks_for_them(archive, tmp_path):
    path = archive("u.data")
    for name in SIDE_FILES:
        (tmp_path / name).unlink()
    assert read_all(movielens, path, {"item": "text"}) == {"item": ["7", "8", "9"]}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("ratings.dat", "1::7::4::100\n\n2::8::3\n", "line 3: '2::8::3' has 5 columns; expected 7"),
        ("ratings.csv", LOGS["ratings.csv"] + "1,2,four,3\n", "line 5: '1,2,four,3': column 'rating' holds 'four'"),
        ("u.data", b"1\t7\t4\t100\n1\t\xe9\t4\t100\n", "line 2: '1\\t\ufffd\\t4\\t100': byte 3 of the row, 0xe9"),
    ],
)
def test_a_bad_row_of_a_log_is_told_with_its_line_and_the_layout(archive, name, content, said):
    path = archive(name, content)
    told = message(movielens, path)
    assert told.startswith(f"{path}, {said}")
    assert f"took the file for {name}" in told


@pytest.mark.parametrize(
    ("log", "name", "content", "said"),
    [
        ("u.data", "u.item", "7|Amélie (2001)|x||y|0|1\n", "has 7 cells; expected 9"),
        ("u.data", "u.item", "7|Amélie (2001)|x||y|0|1|2|0\n", "expected each to be 0 or 1"),
        ("u.data", "u.user", "1|old|M|none|0\n", "age 'old'; expected a whole number"),
        ("ratings.dat", "movies.dat", "7::A::\n8::B::\n7::A::\n", "item '7' a second time"),
        ("ratings.dat", "users.dat", "1::M::18::10\n", "has 4 cells; expected 5, id::gender::age::occupation::zip"),
        ("ratings.csv", "movies.csv", "movieId,name,genres\n7,A,B\n", "no column 'title'"),
    ],
)
def test_a_bad_row_of_a_side_file_is_told_with_its_line(archive, tmp_path, log, name, content, said):
    path = archive(log)
    write(tmp_path / name, content)
    told = message(movielens, path)
    assert told.startswith(str(tmp_path / name))
    assert said in told


def test_what_is_no_log_of_movielens_is_refused_with_its_first_line(archive):
    path = archive("u.data", "movie,stars\n1,2\n")
    told = message(movielens, path)
    assert told.startswith(f"{path}, line 1: 'movie,stars' is not the first line of a log of MovieLens.")
    assert "data.files" in told
    assert "empty (only blank lines)" in message(movielens, archive("ratings.dat", "\n\n"))
    assert "no column 'genra'. Did you mean 'genre'?" in message(movielens, archive("u.data"), {"genra": "text"})


def test_blocks_of_a_log_know_their_lines(archive, monkeypatch):
    monkeypatch.setattr(rows, "CHUNK_BYTES", 64)
    monkeypatch.setattr(rows, "LINE_BYTES", 64)
    path = archive("ratings.dat", "".join(f"{i}::7::4::{i}\n" for i in range(50)))
    places = [block.place(0) for block in movielens.read(path, {"genre": "text"}, FORMAT)]
    assert len(places) > 5
    assert places[0] == f"{path}, line 1: '0::7::4::0'"
    assert read_all(movielens, path)["genre"] == ["Children's"] * 50


# Amazon
ATTRIBUTES = {"7": [10, 1, 2, 3], "8": [1, 2], "9": [11, 1], "5": []}  # 10 and 11 are brands, 1 a department
REVIEWS = [
    {"reviewerID": "A1", "asin": "B7", "overall": 5.0, "unixReviewTime": 1400, "helpful": [0, 1]},
    {"reviewerID": "A1", "asin": "B8", "overall": 2, "reviewText": 'a "quoted" text, {with} signs é'},
    {"reviewerID": "A2", "asin": "B9", "overall": None, "unixReviewTime": 1300},
]
META = [
    {"asin": "B7", "brand": "Acme|Co", "categories": [["Beauty", "Hair Care", "Shampoos"], ["Beauty", "Bath"]]},
    {"asin": "B8", "categories": [["Beauty"]], "title": "it's"},
]


@pytest.fixture
def lists(tmp_path):
    write(tmp_path / "Beauty_item2attributes.json.gz", json.dumps(ATTRIBUTES))
    return write(tmp_path / "Beauty.txt.gz", "1 7 8 9\r\n\n2  8 5 \n3 6")


def json_lines(entries, dumps=json.dumps) -> str:
    return "".join(f"{dumps(entry)}\n" for entry in entries)


def test_each_item_of_a_list_is_an_event_at_its_place_in_the_line(lists):
    values = read_all(amazon, lists)
    assert values == {
        "user": ["1", "1", "1", "2", "2", "3"],
        "item": ["7", "8", "9", "8", "5", "6"],
        "rating": [None] * 6,
        "time": [0, 1, 2, 0, 1, 0],
        "category": ["1", "1", "1", "1", "unknown", "unknown"],
        "subcategory": ["3", "2", "1", "2", "unknown", "unknown"],
        "brand": ["10", "unknown", "11", "unknown", "unknown", "unknown"],
        "attributes": ["10|1|2|3", "1|2", "11|1", "1|2", None, None],
    }
    assert amazon.column_names(lists, FORMAT) == list(values)
    assert [path.name for path in amazon.companions(lists)] == ["Beauty_item2attributes.json.gz"]


def test_places_of_list_events_name_line_and_item(lists, monkeypatch):
    monkeypatch.setattr(rows, "CHUNK_BYTES", 8)
    (first, *others) = amazon.read(lists, {"item": "text"}, FORMAT)
    assert first.place(1) == f"{lists}, line 1: '1 7 8 9', item 2"
    assert others[-1].place(0) == f"{lists}, line 4: '3 6', item 1"
    assert read_all(amazon, lists)["time"] == [0, 1, 2, 0, 1, 0]


def test_attributes_need_not_be_there(lists):
    lists.with_name("Beauty_item2attributes.json.gz").unlink()
    values = read_all(amazon, lists)
    assert set(values["category"]) == set(values["brand"]) == {"unknown"}
    assert set(values["attributes"]) == {None}
    assert amazon.companions(lists) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("1 2\n\n5\n", "line 3: '5': expected a user and then at least one item"),
        ("1 2\n1 3\n", "line 2: '1 3': the user of the line before"),
        (b"1 2\n2 \xe9\n", "line 2: '2 \ufffd' is not UTF-8"),
    ],
)
def test_a_bad_list_is_told_with_its_line(tmp_path, content, said):
    path = write(tmp_path / "a.txt", content)
    assert message(amazon, path).startswith(f"{path}, {said}")


def test_the_user_of_the_line_before_is_known_across_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "CHUNK_BYTES", 4)
    path = write(tmp_path / "a.txt", "1 2\n2 3\n2 4\n")
    assert message(amazon, path).startswith(f"{path}, line 3: ")


@pytest.mark.parametrize(("content", "said"), [("{", "not JSON"), ("[]", "not a table"), ('{"1": 2}', "not a table")])
def test_bad_attributes_are_refused(lists, content, said):
    path = write(lists.with_name("Beauty_item2attributes.json.gz"), content)
    assert message(amazon, lists).startswith(f"{path}: ")
    assert said in message(amazon, lists)


@pytest.mark.parametrize("dumps", [json.dumps, repr])
@pytest.mark.parametrize("name", ["reviews_Beauty_5.json.gz", "Beauty_5.json", "reviews_Beauty.json"])
def test_reviews_are_joined_with_products_in_json_or_python(tmp_path, name, dumps):
    path = write(tmp_path / name, json_lines(REVIEWS))
    write(tmp_path / "meta_Beauty.json", json_lines(META, dumps))
    assert read_all(amazon, path) == {
        "user": ["A1", "A1", "A2"],
        "item": ["B7", "B8", "B9"],
        "rating": [5, 2, None],
        "time": [1400, None, 1300],
        "category": ["Hair Care", "Beauty", "unknown"],
        "subcategory": ["Bath", "Beauty", "unknown"],
        "brand": ["Acme|Co", "unknown", "unknown"],
        "attributes": ["Acme/Co|Hair Care|Shampoos|Bath", "Beauty", None],
    }
    assert [file.name for file in amazon.companions(path)] == ["meta_Beauty.json"]


def test_the_release_of_2018_has_one_path_of_categories(tmp_path):
    path = write(tmp_path / "Beauty_5.json", json_lines(REVIEWS))
    write(tmp_path / "meta_Beauty.json.gz", json_lines([{"asin": "B7", "category": ["Beauty", "Hair"], "brand": ""}]))
    values = read_all(amazon, path)
    assert (values["category"][0], values["brand"][0], values["attributes"][0]) == ("Hair", "unknown", "Hair")


BAD_REVIEWS = {
    "no JSON": ('{"reviewerID": "A1"', "not JSON"),
    "no object": ("[1, 2]", "JSON, but no object"),
    "no user": ('{"asin": "B7", "overall": 1}', "no reviewerID"),
    "null item": ('{"reviewerID": "A1", "asin": null}', "asin is None"),
    "number as user": ('{"reviewerID": 7, "asin": "B7"}', "reviewerID is 7"),
    "text as rating": ('{"reviewerID": "A1", "asin": "B7", "overall": "five"}', "overall is 'five'"),
    "long line": ('{"reviewerID": "A1", "asin": "B7", "reviewText": "' + "x" * 9000 + '"}', "longer than 4,096 bytes"),
}


@pytest.mark.parametrize("fault", BAD_REVIEWS)
def test_a_bad_review_is_told_with_its_line(tmp_path, monkeypatch, fault):
    monkeypatch.setattr(rows, "CHUNK_BYTES", 8192)
    monkeypatch.setattr(rows, "LINE_BYTES", 4096)
    line, said = BAD_REVIEWS[fault]
    path = write(tmp_path / "reviews.json", json_lines(REVIEWS * 40) + "\n" + line + "\n" + json_lines(REVIEWS))
    told = message(amazon, path)
    assert told.startswith(f"{path}, line 122: ")
    assert said in told


def test_a_review_that_is_not_utf8_is_told_with_its_line(tmp_path):
    path = write(tmp_path / "r.json", json_lines(REVIEWS).encode() + b'{"reviewerID": "\xe9", "asin": "B7"}\n')
    assert message(amazon, path).startswith(f"{path}, line 4: ")


def test_a_bad_product_is_told_with_its_line(tmp_path):
    path = write(tmp_path / "reviews_Toys_5.json", json_lines(REVIEWS))
    meta = write(tmp_path / "meta_Toys.json", json_lines(META) + "{'title': 'no asin'}\n")
    assert message(amazon, path).startswith(f"{meta}, line 3: ")


def test_an_empty_log_is_refused(tmp_path):
    path = write(tmp_path / "a.txt", "\n \n")
    assert "line 2" in message(amazon, path)
    assert "empty" in message(amazon, write(tmp_path / "b.txt", "\n\n"))


TINY = Path(__file__).parents[1] / "data" / "tiny"


@pytest.mark.parametrize(
    ("reader", "log"),
    [(movielens, "movielens_100k/u.data"), (movielens, "movielens_latest/ratings.csv"), (amazon, "amazon/Sample.txt")],
)
def test_the_files_of_tiny_have_200_events_of_known_items(reader, log):
    values = read_all(reader, TINY / log)
    of_item = values["year" if reader is movielens else "subcategory"]
    assert len(of_item) == 200
    assert "unknown" not in of_item
    assert len(reader.companions(TINY / log)) == {"u.data": 3, "ratings.csv": 1, "Sample.txt": 1}[Path(log).name]
