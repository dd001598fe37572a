"""Ali-CCP: a skeleton joined to its common features in bounded memory, and a sample whose clicks select."""

import gzip
import itertools
import json
import math
import os
import re
import shutil

import numpy as np
import pyarrow as pa
import pytest

from rectrain.config import FormatConfig
from rectrain.data import funnel_sample, sample
from rectrain.data.readers import ali_ccp, ali_ccp_common, rows
from rectrain.errors import InputError

FORMAT = FormatConfig(reader="ali_ccp")
HISTORIES = ("109_14", "110_14", "127_14", "150_14")
KINDS = dict.fromkeys(ali_ccp.COLUMNS, "text") | dict.fromkeys(ali_ccp.LABELS, "number")
KINDS |= dict.fromkeys([*HISTORIES, "210"], "list")


def listed(*features: str) -> str:
    """A feature list of "field id" or "field id value"."""
    parts = [feature.split(" ") for feature in features]
    return "\x01".join(f"{field}\x02{name}\x03{value[0] if value else '1.0'}" for field, name, *value in parts)


ANNA = listed("101 u1", "121 p7", "109_14 c1 0.69315", "110_14 s9 2.5", "109_14 c3 1.09861", "129 g1")
BERT = listed("101 u2", "999 x")
SKELETON = [
    "1,0,0,aa,3," + listed("205 i1", "210 n1", "301 z1", "210 n2"),
    "2,1,0,bb,1," + listed("205 i2", "508 k2", "853 m1", "853 m2"),
    "3,1,1,aa,0,",
]
COMMON = [f"bb,2,{BERT}", f"aa,6,{ANNA}", "cc,0,"]


@pytest.fixture
def files(tmp_path):
    """Writes a skeleton and its common features, lines of each; the skeleton's path."""

    def write(skeleton=SKELETON, common=COMMON, split="train"):
        path = tmp_path / f"sample_skeleton_{split}.csv"
        path.write_bytes("".join(f"{line}\n" for line in skeleton).encode("latin-1"))
        if common is not None:
            content = "".join(f"{line}\n" for line in common).encode("latin-1")
            (tmp_path / f"common_features_{split}.csv").write_bytes(content)
        return path

    return write


def read_all(path, kinds=KINDS, **kwargs):
    """Column -> list over all blocks, which follow one another."""
    values, num_rows = {name: [] for name in kinds}, 0
    types = {"number": pa.float64(), "text": pa.string(), "list": pa.list_(pa.string())}
    for block in ali_ccp.read(path, kinds, FORMAT, **kwargs):
        assert (block.path, block.first_row) == (path, num_rows)
        assert list(block.columns) == list(kinds)
        num_rows += block.num_rows
        for name, kind in kinds.items():
            assert block.columns[name].type == types["text" if kind == "list" and name in ali_ccp.LABELS else kind]
            assert len(block.columns[name]) == block.num_rows > 0
            values[name] += block.columns[name].to_pylist()
    assert ali_ccp.count_rows(path, FORMAT) == num_rows
    return values


def message(path, kinds=KINDS):
    with pytest.raises(InputError) as error:
        read_all(path, kinds)
    assert "\n" not in str(error.value)
    return str(error.value)


def plain(skeleton, common, kinds=KINDS):
    """`read_all` by a loop over lines."""

    def features(text):
        return [tuple(part.replace("\x03", "\x02").split("\x02")) for part in text.split("\x01") if part]

    known = {line.split(",")[0]: features(line.split(",")[2]) for line in common}
    values = {name: [] for name in kinds}
    for line in skeleton:
        _, click, conversion, key, _, text = line.split(",")
        found = features(text)
        for name, kind in kinds.items():
            if name in ali_ccp.LABELS:
                values[name].append(float(click if name == "click" else conversion))
                continue
            ids = [i for field, i, _ in (known[key] if name in ali_ccp.COMMON_FIELDS else found) if field == name]
            values[name].append(ids if kind == "list" else next(iter(ids), None))
    return values


def random_files(num_rows, num_keys, seed=0):
    """Lines of a skeleton and its common features: fields absent, one or several, in any order."""
    rng = np.random.default_rng(seed)

    def features(fields):
        chosen = rng.choice([*fields, "77", "109_1", "109_144444"], size=rng.integers(0, 12))
        return listed(*(f"{field} {field[:2]}{'é' * (k % 2)}{k} {k / 7}" for k, field in enumerate(chosen.tolist())))

    keys = [f"{k * 7919:x}" for k in range(num_keys)]
    common = [f"{keys[k]},0,{features(ali_ccp.COMMON_FIELDS)}" for k in rng.permutation(num_keys)]
    drawn = np.where(rng.random(num_rows) < 0.6, np.sort(rng.integers(0, num_keys, num_rows)), 0)
    labels = rng.integers(0, 2, (num_rows, 2))
    skeleton = [
        f"{i},{labels[i, 0]},{labels[i, 1]},{keys[drawn[i]]},0,{features(ali_ccp.SKELETON_FIELDS)}"
        for i in range(num_rows)
    ]
    return skeleton, common


def write_utf8(path, lines, end="\n"):
    path.write_text("".join(f"{line}{end}" for line in lines), encoding="utf-8", newline="")


# What is read


def test_fields_absent_single_and_several_by_hand(files):
    values = read_all(files())
    assert values.pop("click") == [0, 1, 1]
    assert values.pop("conversion") == [0, 0, 1]
    expected = {
        "101": ["u1", "u2", "u1"],
        "121": ["p7", None, "p7"],
        "129": ["g1", None, "g1"],
        "109_14": [["c1", "c3"], [], ["c1", "c3"]],
        "110_14": [["s9"], [], ["s9"]],
        "205": ["i1", "i2", None],
        "210": [["n1", "n2"], [], []],
        "301": ["z1", None, None],
        "508": [None, "k2", None],
        "853": [None, "m1", None],
    }
    for name, found in values.items():
        assert found == expected.get(name, [[] if KINDS[name] == "list" else None] * 3), name
    assert ali_ccp.column_names(files(), FORMAT) == list(KINDS)


def test_columns_come_as_the_kind_that_is_asked_for(files):
    path = files(["1,0,1,aa,2," + listed("205 12", "206 7", "206 8")], [f"aa,1,{listed('101 5', '109_14 30')}"])
    kinds = {"206": "list", "109_14": "text", "205": "number", "101": "number", "click": "text", "207": "number"}
    assert read_all(path, kinds) == {
        "206": [["7", "8"]],
        "109_14": ["30"],
        "205": [12],
        "101": [5],
        "click": ["0"],
        "207": [None],
    }
    assert message(files(), {"205": "number"}).startswith(f"{path}, line 1: '1,0,0,aa,3,205")
    assert "column '205' holds 'i1'; expected a finite number" in message(files(), {"205": "number"})


@pytest.mark.parametrize("block_rows", [1, 7, 8192])
@pytest.mark.parametrize("chunk_bytes", [300, 1 << 24])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_join_in_blocks_is_that_of_a_plain_loop(tmp_path, monkeypatch, block_rows, chunk_bytes, end):
    skeleton, common = random_files(num_rows=60, num_keys=17)
    monkeypatch.setattr(ali_ccp, "BLOCK_ROWS", block_rows)
    monkeypatch.setattr(rows, "CHUNK_BYTES", chunk_bytes)
    path = tmp_path / "sample_skeleton_a.csv"
    write_utf8(path, skeleton, end)
    write_utf8(tmp_path / "common_features_a.csv", common, end)
    assert read_all(path) == plain(skeleton, common)
    flipped = {name: "text" if kind == "list" else "list" for name, kind in KINDS.items()}
    flipped |= dict.fromkeys(ali_ccp.LABELS, "number")
    assert read_all(path, flipped) == plain(skeleton, common, flipped)


def test_a_skeleton_may_be_gzipped_and_counts_its_bytes(files):
    plain_path, consumed = files(), []
    path = plain_path.with_name("sample_skeleton_train.csv.gz")
    path.write_bytes(gzip.compress(plain_path.read_bytes()))
    assert read_all(path, advance=consumed.append) == read_all(plain_path)
    assert sum(consumed) == path.stat().st_size
    assert ali_ccp.companions(path) == ali_ccp.companions(plain_path)


def test_each_skeleton_has_the_common_features_of_its_name(files):
    train, test = files(), files(common=[f"aa,1,{listed('101 u3')}", f"bb,2,{BERT}"], split="test")
    assert [path.name for path in ali_ccp.companions(test)] == ["common_features_test.csv"]
    assert read_all(test, {"101": "text"}) == {"101": ["u3", "u2", "u3"]}
    assert read_all(train, {"101": "text"}) == {"101": ["u1", "u2", "u1"]}


def test_blocks_know_their_rows(files, monkeypatch):
    monkeypatch.setattr(ali_ccp, "BLOCK_ROWS", 2)
    path = files([*SKELETON, "", *SKELETON])
    places = [block.place(0) for block in ali_ccp.read(path, {"click": "number"}, FORMAT)]
    assert [place.split(": ")[0] for place in places] == [f"{path}, line {n}" for n in (1, 3, 6)]


# Memory


def test_an_index_takes_sixteen_bytes_a_key_and_the_cache_holds_no_more_lines_than_it_may(tmp_path, monkeypatch):
    monkeypatch.setattr(ali_ccp_common, "CACHE_LINES", 5)
    path = tmp_path / "common_features_train.csv"
    write_utf8(path, [f"key{k},1,{listed(f'101 u{k}')}" for k in range(300)])
    with ali_ccp_common.opened(path) as common:
        assert common.index.hashes.nbytes + common.index.offsets.nbytes == 16 * 300
        for k in (*range(300), *range(0, 300, 7)):
            assert common.find(f"key{k}") == listed(f"101 u{k}")
            assert common.find.cache_info().currsize <= 5
        assert common.find("key300") is None


def test_a_line_is_read_once_for_the_rows_that_stand_together(tmp_path, monkeypatch):
    num_read = itertools.count()
    line = ali_ccp_common._line
    monkeypatch.setattr(ali_ccp_common, "_line", lambda *arguments: (next(num_read), line(*arguments))[1])
    monkeypatch.setattr(ali_ccp, "BLOCK_ROWS", 7)
    path = tmp_path / "sample_skeleton_train.csv"
    write_utf8(path, [f"{i},0,0,k{i // 10},1,{listed('205 i')}" for i in range(200)])
    write_utf8(tmp_path / "common_features_train.csv", [f"k{k},1,{listed(f'101 u{k}')}" for k in range(20)])
    assert read_all(path, {"101": "text"})["101"] == [f"u{i // 10}" for i in range(200)]
    assert next(num_read) == 20


def test_common_features_are_not_read_where_no_column_asks_for_them(files):
    assert read_all(files(common=None), {"205": "text", "click": "number"})["205"] == ["i1", "i2", None]


def test_an_index_is_kept_for_the_next_pass_until_the_file_changes(files):
    path = files()
    read_all(path)
    before = ali_ccp_common._index.cache_info()
    read_all(path)
    assert ali_ccp_common._index.cache_info().misses == before.misses
    files(common=[COMMON[1], COMMON[0]])
    common = path.with_name("common_features_train.csv")
    os.utime(common, ns=(0, common.stat().st_mtime_ns + 1))
    assert read_all(path)["101"] == ["u1", "u2", "u1"]
    assert ali_ccp_common._index.cache_info().misses == before.misses + 1


def test_keys_of_one_hash_are_told_apart(files, monkeypatch):
    monkeypatch.setattr(ali_ccp_common, "_hash", lambda key: len(key))
    assert read_all(files())["101"] == ["u1", "u2", "u1"]
    assert "common feature index 'zz' has no line" in message(files(["1,0,0,zz,0,"]))
    assert "line 3: 'bb,0,': common feature index 'bb' a second time" in message(files(common=[*COMMON[:2], "bb,0,"]))


# Faults

GOOD = f"aa,6,{ANNA}"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["1,0,0,aa,0,", "2,0,0,aa"], "line 2: '2,0,0,aa' has 4 columns; expected 6"),
        (["1,0,yes,aa,0,"], "line 1: '1,0,yes,aa,0,': column 'conversion' holds 'yes'"),
        (["1,0,0,aa,0,", "2,0,0,zz,0,"], "line 2: '2,0,0,zz,0,': common feature index 'zz' has no line in "),
        (["1,0,0,,0,"], "line 1: '1,0,0,,0,': common feature index '' has no line in "),
        (["1,0,0,aa,0,", "", "2,0,0,aa,1,205"], "line 3: '2,0,0,aa,1,205': feature '205'; expected field \\x02 id"),
        (["1,0,0,aa,2," + listed("205 i") + "\x01"], "line 1: '1,0,0,aa,2,205\\x02i\\x031.0\\x01': feature ''"),
        (["1,0,0,aa,1,205\x02\x031.0"], "feature '205\\x02\\x031.0'"),
        (["1,0,0,aa,1,\x02i\x031.0"], "feature '\\x02i\\x031.0'"),
        (["1,0,0,aa,1,205\x03i\x021.0"], "feature '205\\x03i\\x021.0'"),
        (["1,0,0,aa,1,205\x02i\x031.0\x031.0\x01206"], "feature '205\\x02i\\x031.0\\x031.0'"),
        (["1,0,0,aa,1," + listed("205 i") + "\x01206\x02\x01207\x03x\x03"], "feature '206\\x02'"),
        (["1,0,0,aa,1,205\x02\xe9\x031.0"], "line 1: '1,0,0,aa,1,205\\x02\ufffd\\x031.0': byte 16 of the row, 0xe9"),
    ],
)
def test_a_bad_row_of_a_skeleton_is_told_with_its_line(files, lines, said):
    path = files(lines, [GOOD])
    told = message(path)
    assert told.startswith(f"{path}, line ")
    assert said in told


@pytest.mark.parametrize(
    ("common", "said"),
    [
        (
            [f"bb,2,{BERT}", GOOD, "cc,0,", f"aa,2,{BERT}"],
            "line 4: 'aa,2,101\\x02u2\\x031.0\\x01999\\x02x\\x031.0': common",
        ),
        (["bb,0,", "", "aa,1"], "line 3: 'aa,1' has 2 cells; expected 3"),
        (["aa,1,101\x02u1\x031,0"], "line 1: 'aa,1,101\\x02u1\\x031,0' has 4 cells; expected 3"),
        (["bb,0,", "aa,2," + listed("101 u") + "\x01121\x02p"], "feature '121\\x02p'; expected field \\x02 id"),
        (["bb,0,", "101\x02u1\x031.0", GOOD], "line 2: '101\\x02u1\\x031.0': no key"),
        ([",0,", GOOD], "line 1: ',0,': no key"),
        (["bb,0,", "aa,1,101\x02\xe9\x031.0"], "line 2: 'aa,1,101\\x02\ufffd\\x031.0' is not UTF-8"),
        ([], "the file is empty (0 bytes)"),
    ],
)
def test_a_bad_row_of_the_common_features_is_told_with_its_line(files, common, said):
    path = files(["1,0,0,aa,0,"], common)
    told = message(path)
    assert told.startswith(str(path.with_name("common_features_train.csv")))
    assert said in told


def test_a_line_without_end_is_refused_in_bounded_memory(files, monkeypatch):
    monkeypatch.setattr(rows, "LINE_BYTES", 4096)
    path = files(["1,0,0,aa,0,"], [GOOD, f"bb,1,{'x' * 9000}"])
    assert f"{path.with_name('common_features_train.csv')}, line 2: 'bb,1,xx" in message(path)
    assert "longer than 4,096 bytes" in message(path)


def test_common_features_that_are_missing_or_gzipped_are_named_with_the_folder(files, tmp_path):
    path = files(common=None)
    said = f"{path}: there is no common_features_train.csv beside it ({tmp_path})."
    assert message(path).startswith(said)
    with pytest.raises(InputError, match=re.escape(said)):
        ali_ccp.companions(path)
    zipped = tmp_path / "common_features_train.csv.gz"
    zipped.write_bytes(gzip.compress(GOOD.encode()))
    assert message(path).startswith(f"{zipped}: gzipped. Expected common_features_train.csv")


def test_a_name_that_leads_to_no_common_features_is_refused(files, tmp_path):
    path = files().rename(tmp_path / "train.csv")
    assert message(path).startswith(f"{path}: expected a skeleton of Ali-CCP, sample_skeleton_train.csv")
    assert "no column '109_41'. Did you mean '109_14'?" in message(files(), {"109_41": "text"})


# The sample


def written(folder, rows=3000, seed=5):
    path = folder / sample.place("ali_ccp", rows=rows, seed=seed)
    return path, sample.write("ali_ccp", path, rows=rows, seed=seed)


@pytest.fixture(scope="module")
def drawn():
    return funnel_sample.draw_rows(60_000, np.random.default_rng(2018))


def test_the_same_arguments_give_the_same_bytes_and_another_seed_others(tmp_path):
    contents = []
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        path, _ = written(tmp_path / name, seed=seed)
        contents.append((path.read_bytes(), path.with_name("common_features_train.csv").read_bytes()))
    assert contents[0] == contents[1]
    assert contents[0][0] != contents[2][0]
    assert contents[0][1] != contents[2][1]


@pytest.mark.parametrize("num_rows", [1, 2, 777])
def test_a_sample_has_as_many_rows_as_were_asked_for(tmp_path, num_rows):
    path, info = written(tmp_path, rows=num_rows)
    assert len(read_all(path)["click"]) == info.rows == num_rows
    assert (info.bayes_auc, info.bayes_logloss, info.base_rate) == (None, None, None)  # there are two labels
    assert path.parent.name == f"ali_ccp-{num_rows}-5"


def test_lines_are_those_of_the_raw_files(tmp_path):
    path, _ = written(tmp_path)
    skeleton = [line.split(",") for line in path.read_text(encoding="ascii").splitlines()]
    common = [line.split(",") for line in path.with_name("common_features_train.csv").read_text("ascii").splitlines()]
    assert [int(cells[0]) for cells in skeleton] == list(range(1, 3001))
    assert {cells[3] for cells in skeleton} == {cells[0] for cells in common}
    runs = [key for key, _ in itertools.groupby(cells[3] for cells in skeleton)]
    assert len(runs) == len(common) == len(set(runs)), "rows of a key stand together, and each key has one line"
    assert [cells[0] for cells in common] != runs
    for cells, fields in ((skeleton, ali_ccp.SKELETON_FIELDS), (common, ali_ccp.COMMON_FIELDS)):
        features = [line[-1].split("\x01") for line in cells]
        assert [int(line[-2]) for line in cells] == [len(found) for found in features]
        assert {feature.split("\x02")[0] for found in features for feature in found} == set(fields)
    assert plain([",".join(cells) for cells in skeleton], [",".join(cells) for cells in common]) == read_all(path)


def test_a_sample_holds_fields_that_are_absent_and_fields_with_several_values(tmp_path):
    values = read_all(written(tmp_path)[0])
    assert 0.05 < values["216"].count(None) / 3000 < 0.25
    assert 0.3 < values["126"].count(None) / 3000 < 0.5
    assert 0.15 < np.mean([len(ids) > 1 for ids in values["210"]]) < 0.45
    assert 0.02 < values["109_14"].count([]) / 3000 < 0.15
    assert None not in values["101"] + values["205"] + values["301"]


@pytest.mark.parametrize("seed", range(4))
def test_rates_are_those_that_are_learned_from_and_conversions_are_clicked(seed):
    rows = funnel_sample.draw_rows(60_000, np.random.default_rng(seed))
    assert 0.1 < rows.clicks.mean() < 0.2
    assert 0.1 < rows.conversions[rows.clicks].mean() < 0.22
    assert not (rows.conversions & ~rows.clicks).any()
    assert rows.clicks.mean() == pytest.approx(rows.ctr.mean(), abs=0.005)
    assert rows.conversions[rows.clicks].mean() == pytest.approx(rows.cvr[rows.clicks].mean(), abs=0.015)


@pytest.mark.parametrize("seed", [0, 2018])
def test_clicked_rows_are_not_like_all_rows(seed):
    rows = funnel_sample.draw_rows(60_000, np.random.default_rng(seed))
    assert rows.cvr[rows.clicks].mean() < 0.8 * rows.cvr.mean()
    category = rows.item_values(funnel_sample.ITEM_COLUMNS[0])
    ctr, cvr = (np.bincount(category, p) / np.bincount(category) for p in (rows.ctr, rows.cvr))
    rare = ctr < 0.03
    assert 0.1 < rare[category].mean() < 0.5
    assert rare[category][rows.clicks].mean() < 0.06
    assert cvr[rare].mean() > 1.5 * rows.cvr.mean()


def test_the_true_probabilities_follow_the_formula_from_what_the_files_say(tmp_path):
    path, _ = written(tmp_path, rows=400)
    values = read_all(path)
    world = funnel_sample.World.draw(np.random.default_rng(5).spawn(2)[0])
    firsts = {c.field: c.first for c in (*funnel_sample.USER_COLUMNS, *funnel_sample.ITEM_COLUMNS)} | {"301": 9_351_665}

    def e(field, row):
        value = values[field][row]
        value = value[0] if isinstance(value, list) else value
        return world.numbers[field][-1 if value is None else int(value) - firsts[field]]

    def probability(label, row):
        user, item = ((e(a, row) + e(b, row)) / math.sqrt(2) for a, b in (("121", "126"), ("207", "216")))
        logit = label.bias + label.product * user * item
        logit += sum(weight * e(field, row) for field, weight in label.own.items())
        for history, weight in label.hits.items():
            field = {"109_14": "206", "110_14": "207", "127_14": "216"}[history]
            logit += weight * (values[field][row] in values[history][row])
        return 1 / (1 + math.exp(-logit))

    ctr, cvr = funnel_sample.ali_ccp_truth(seed=5, rows=400)
    labels = (funnel_sample.CLICK, funnel_sample.CONVERSION)
    expected = np.array([[probability(label, row) for label in labels] for row in range(400)])
    np.testing.assert_allclose(np.stack([ctr, cvr], axis=1), expected, rtol=1e-9)


def test_combinations_are_there_where_a_history_holds_the_items_value(tmp_path):
    values = read_all(written(tmp_path)[0])
    for history in funnel_sample.HISTORIES:
        items = [v[0] if isinstance(v, list) and v else v or None for v in values[history.column.field]]
        held = [item in ids for item, ids in zip(items, values[history.field], strict=True)]
        assert held == [feature is not None for feature in values[history.combination]]
        assert 0.05 < np.mean(held) < 0.3


def test_labels_of_the_file_are_those_of_the_truth_in_the_order_of_its_rows(tmp_path, drawn):
    values = read_all(written(tmp_path, rows=60_000, seed=2018)[0], {"click": "number", "conversion": "number"})
    ctr, cvr = funnel_sample.ali_ccp_truth(2018, 60_000)
    clicks, conversions = (np.array(values[name], bool) for name in ali_ccp.LABELS)
    np.testing.assert_array_equal(clicks, drawn.clicks)
    np.testing.assert_array_equal(conversions, drawn.conversions)
    assert sample.rank_auc(clicks, ctr) == pytest.approx(0.87, abs=0.03)
    assert sample.rank_auc(conversions[clicks], cvr[clicks]) == pytest.approx(0.83, abs=0.03)


def test_the_world_does_not_depend_on_the_number_of_rows(drawn):
    few = funnel_sample.draw_rows(10, np.random.default_rng(2018)).world
    for name, numbers in few.numbers.items():
        np.testing.assert_array_equal(numbers, drawn.world.numbers[name])
    for name, values in few.items.items():
        np.testing.assert_array_equal(values, drawn.world.items[name])


# The config


def prepared(folder):
    """Manifest and schema of the one prepared data set."""
    (manifest,) = folder.glob("data/prepared/*/manifest.json")
    return (json.loads(path.read_text("utf-8")) for path in (manifest, manifest.with_name("schema.json")))


def test_the_sample_is_prepared_from_the_config_alone(rectrain, tmp_path):
    code, out, err = rectrain("prepare", "data=ali_ccp", "data.sample.rows=6000")
    assert code == 0, out + err
    manifest, schema = prepared(tmp_path)
    assert manifest["rows"] == {"train": 4800, "valid": 600, "test": 600}
    (skeleton,) = tmp_path.glob("data/sample/*/sample_skeleton_train.csv")
    values = read_all(skeleton)
    bounds = {"train": slice(4800), "valid": slice(4800, 5400), "test": slice(5400, 6000)}
    for split, part in bounds.items():
        assert manifest["positives"][split] == {name: sum(values[name][part]) for name in ali_ccp.LABELS}
    assert schema["labels"] == ali_ccp.LABELS
    assert {f["name"] for f in schema["multi_valued"]} == set(HISTORIES)
    assert {f["name"] for f in schema["categorical"]} == set(KINDS) - set(HISTORIES) - set(ali_ccp.LABELS)


def test_a_folder_of_ones_own_is_read_without_further_keys_and_by_files(rectrain, tmp_path):
    folder = tmp_path / "data/ali_ccp"
    folder.mkdir(parents=True)
    for split, seed in (("train", 1), ("test", 2)):
        path, _ = written(tmp_path / split, rows=3000, seed=seed)
        for name in ("sample_skeleton", "common_features"):
            shutil.copy(path.with_name(f"{name}_train.csv"), folder / f"{name}_{split}.csv")
    code, out, err = rectrain("prepare", "data=ali_ccp", "data.source=files")
    assert code == 0, out + err
    manifest, _ = prepared(tmp_path)
    assert sum(manifest["rows"].values()) == 3000
    shutil.rmtree(tmp_path / "data/prepared")
    named = ",".join(f"{split}:data/ali_ccp/sample_skeleton_{split}.csv" for split in ("train", "test"))
    code, out, err = rectrain("prepare", "data=ali_ccp", "data.split.by=files", f"data.split.files={{{named}}}")
    assert code == 0, out + err
    manifest, _ = prepared(tmp_path)
    assert {split: n for split, n in manifest["rows"].items() if n} == {"train": 3000, "test": 3000}


def test_common_features_that_are_missing_are_told_before_anything_is_written(rectrain, tmp_path):
    (tmp_path / "data/ali_ccp").mkdir(parents=True)
    (tmp_path / "data/ali_ccp/sample_skeleton_train.csv").write_text("1,0,0,aa,0,\n")
    code, _, err = rectrain("prepare", "data=ali_ccp")
    assert code == 2
    assert "data/ali_ccp/sample_skeleton_train.csv: there is no common_features_train.csv beside it" in err
    assert not (tmp_path / "data/prepared").exists()
