"""report.json and report.html: strict, whole, escaped, and readable for any run, failed ones too."""

import copy
import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import numpy as np
import pytest

from rectrain.outputs import charts, figures, formats, html, report
from rectrain.training.monitor import HIGHER_IS_BETTER

METRICS = ("auc", "logloss", "gauc", "pr_auc", "pcoc", "ne")


def entry(value, half=0.01):
    return {"value": value, "low": value - half, "high": value + half}


def run(tasks=("click",), splits=("train", "valid", "test")) -> dict:
    """A whole report; numbers differ by split and task, so that a mix-up shows."""
    metrics, curves, positives, rows = {}, {}, {}, {}
    for i, split in enumerate(splits):
        rows[split] = 1000 * (i + 1)
        positives[split] = {task: 120 + 10 * i + j for j, task in enumerate(tasks)}
        metrics[split] = {task: {"rows": rows[split]} | metric_block(i, j) for j, task in enumerate(tasks)}
        curves[split] = {task: curve_block(i) for task in tasks}
    return {
        "status": "done",
        "error": None,
        "config": {"seed": 7, "model": {"name": "dcn", "settings": {"hidden_units": [40, 30], "note": "on"}}},
        "seed": 7,
        "command": "rectrain model=dcn",
        "started": "2026-02-03T12:34:56+00:00",
        "seconds": {"prepare": 1.5, "train": 70.0, "evaluate": 4.25, "total": 75.75},
        "versions": {"python": "3.11.4", "rectrain": "0.1.0"},
        "git": None,
        "device": "2 CPU cores",
        "model": "dcn",
        "data": {
            "name": "criteo",
            "source": "files",
            "rows": rows,
            "positives": positives,
            "manifest": "data/prepared/criteo-1/manifest.json",
            "sample": None,
            "features": [
                {"name": "I1", "kind": "numeric", "num_rows": None, "encoding": "log1p"},
                {"name": "C1", "kind": "categorical", "num_rows": 1234, "encoding": {"min_count": 10}},
            ],
        },
        "metrics": metrics,
        "history": [history_point(step, tasks) for step in (50, 100, 150)],
        "losses": [[step, 0.7 - step / 1000] for step in range(10, 151, 10)],
        "best": {"step": 100, "metric": "click.auc", "value": 0.761},
        "stopped_because": "all steps done",
        "curves": curves,
        "parameters": {"total": 54321, "embedding": 50000, "dense": 4321},
        "throughput": {"train_rows_per_s": 12345.6, "eval_rows_per_s": 99999.9},
        "memory": {"peak_rss_bytes": 300 * 2**20},
        "steps": 150,
        "weights_sha256": "0f" * 32,
    }


def metric_block(split: int, task: int) -> dict:
    values = {"auc": 0.7801, "logloss": 0.4402, "pr_auc": 0.5503, "pcoc": 1.0204, "ne": 0.8605}
    block = {key: entry(value + 0.01 * split + 0.001 * task) for key, value in values.items()}
    return block | {"gauc": {"value": None, "low": None, "high": None, "reason": "the dataset has no group column"}}


def curve_block(split: int) -> dict:
    fpr = np.linspace(0, 1, 30)
    bins = [
        {"mean_score": s, "rate": s * 0.9 + 0.01 * split, "low": s * 0.7, "high": s * 1.2, "rows": 100}
        for s in (0.1, 0.2, 0.4)
    ]
    return {"roc": np.stack([fpr, fpr**0.4], axis=1).tolist(), "calibration": bins}


def history_point(step: int, tasks) -> dict:
    return {
        "step": step,
        "epoch": step / 100,
        "seconds": step / 2,
        "learning_rate": {"all": 0.001},
        "train_loss": 0.5,
        "valid": {task: {"auc": 0.75 + step / 10000 + 0.001, "logloss": 0.45} for task in tasks},
    }


def failed() -> dict:
    broken = run()
    return broken | {
        "status": "failed",
        "error": "the loss is nan at step 3 <rows 10-20>",
        "metrics": {},
        "history": [],
        "losses": [],
        "curves": {},
        "best": None,
        "parameters": None,
        "throughput": {},
        "memory": None,
        "steps": 3,
        "stopped_because": "",
    }


def page_of(made: dict) -> ET.Element:
    """The page, parsed as strict XML."""
    return ET.fromstring(html.render_html(made).removeprefix("<!DOCTYPE html>"))


def words(node: ET.Element) -> str:
    return " ".join("".join(node.itertext()).split())


def titled(page: ET.Element, title: str) -> ET.Element:
    return next(f for f in page.iter("figure") if f.find("figcaption").text == title)


# report.json


def test_json_is_strict_and_numpy_values_come_back_as_plain_ones():
    made = {
        "nan": float("nan"),
        "infinite": [np.inf, -np.inf, 1.5],
        "array": np.array([[1.0, np.nan], [2.0, 3.0]]),
        "scalars": (np.float32(0.5), np.int64(3), np.bool_(True), np.float64(np.nan)),
        "text": "µ <&>",
        "nothing": None,
    }
    text = report.to_json(made)
    read = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert read == {
        "nan": None,
        "infinite": [None, None, 1.5],
        "array": [[1.0, None], [2.0, 3.0]],
        "scalars": [0.5, 3, True, None],
        "text": "µ <&>",
        "nothing": None,
    }
    assert report.to_json(read) == text


def test_a_path_that_is_not_utf8_survives():
    name = b"caf\xe9.tsv".decode("utf-8", "surrogateescape")
    text = report.to_json({"files": name})
    text.encode("utf-8")
    assert json.loads(text) == {"files": name}


def test_html_can_be_made_again_from_json_alone(tmp_path):
    made = run()
    made["metrics"]["test"]["click"]["ne"]["high"] = float("inf")
    report.write_report(tmp_path, made)
    read = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert html.render_html(read) == (tmp_path / "report.html").read_text("utf-8")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["report.html", "report.json"]


def test_a_report_that_cannot_be_written_leaves_the_former_files(tmp_path, monkeypatch):
    report.write_report(tmp_path, run())
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def no_space(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(tmp_path), "replace", no_space)
    with pytest.raises(OSError, match="No space"):
        report.write_report(tmp_path, failed())
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_a_value_json_cannot_hold_writes_nothing(tmp_path):
    with pytest.raises(TypeError):
        report.write_report(tmp_path, run() | {"seed": object()})
    assert list(tmp_path.iterdir()) == []


# report.html


class References(HTMLParser):
    """Collects what a page would load or run."""

    def __init__(self):
        super().__init__()
        self.tags, self.links = set(), []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.links += [v for k, v in attrs if k in ("src", "href", "srcset", "action") or k.startswith("on")]


CASES = {
    "done": run(),
    "two tasks": run(tasks=("click", "buy")),
    "no test split": run(splits=("train", "valid")),
    "failed": failed(),
    "stopped": run() | {"status": "stopped", "stopped_because": "SIGTERM", "curves": {}},
    "bare": {"status": "failed", "error": None, "model": "lr", "data": {"name": "x"}},
}


@pytest.mark.parametrize("made", CASES.values(), ids=CASES.keys())
def test_page_is_well_formed_and_refers_to_nothing_outside(made):
    page = page_of(made)
    references = References()
    source = html.render_html(made)
    references.feed(source)
    assert references.links == []
    assert not references.tags & {"script", "link", "img", "iframe", "object"}
    assert not re.search(r"https?://|url\(|@import", source)
    assert "nan" not in re.findall(r'="([^"]*)"', source)
    pictures = [svg for svg in page.iter("svg") if svg.get("role") == "img"]
    assert all(svg[0].tag == "title" and svg[0].text for svg in pictures)


def test_page_shows_the_numbers_of_each_split():
    page = page_of(run())
    assert page.find("head/title").text == "dcn on criteo"
    assert words(next(page.iter("dl"))) == "AUC0.8001[0.7901, 0.8101]95 % interval"
    table = next(page.iter("table"))
    by_name = {words(row[0]): [words(cell) for cell in row[1:]] for row in table.iter("tr")}
    assert by_name["click"] == ["train", "valid", "test"]
    assert by_name["AUC"] == ["0.7801[0.7701, 0.7901]", "0.7901[0.7801, 0.8001]", "0.8001[0.7901, 0.8101]"]
    assert by_name["GAUC"] == ["–the dataset has no group column"] * 3
    assert by_name["rows"] == ["1,000", "2,000", "3,000"]
    assert "120" in words(page)
    assert "12.0 %" in words(page)
    assert "2 features: 1 numeric, 1 categorical; 1,234 table rows" in words(page)


def test_remarks_say_in_words_what_ne_and_pcoc_mean():
    made = run()
    made["metrics"]["test"]["click"] |= {"ne": entry(1.05), "pcoc": entry(0.8)}
    cards = [words(dl) for dl in page_of(made).iter("dl")]
    assert any("5.0 % above the base rate's logloss" in card for card in cards)
    assert any("predicts 20.0 % too few positives" in card for card in cards)


def test_a_metric_without_value_gives_its_reason_on_its_card():
    made = run()
    made["metrics"]["test"]["click"]["auc"] = {"value": None, "low": None, "high": None, "reason": "one class only"}
    assert words(next(page_of(made).iter("dl"))) == "AUC–one class only"


def test_sample_is_named_in_title_and_banner():
    made = run()
    made["data"] |= {"source": "sample", "sample": {"bayes_auc": 0.8123, "bayes_logloss": 0.4321}}
    page = page_of(made)
    assert page.find("head/title").text == "dcn on criteo (built-in sample)"
    assert words(next(page.iter("h1"))) == "dcn on criteo (built-in sample)"
    assert "(Bayes): AUC 0.8123, logloss 0.4321." in words(page)


def test_failed_run_shows_its_error_first():
    page = page_of(failed())
    banner = next(page.iter("pre"))
    assert banner.text == "the loss is nan at step 3 <rows 10-20>"
    assert list(page.iter("figure")) == []
    assert words(page).index("The run failed. It had done 3 steps.") < words(page).index("Data")


def test_text_from_data_and_config_is_escaped():
    evil = "<script>alert(1)</script>"
    made = run(tasks=(evil + '" onload="x',))
    made["config"] = {evil: {"a": [evil, "\x1b[31m", "\udce9"]}}
    made["data"]["features"][0]["name"] = evil
    made["data"]["name"] = made["model"] = made["stopped_because"] = made["command"] = evil
    made["versions"] = {evil: evil}
    references = References()
    source = html.render_html(made)
    references.feed(source)
    assert "script" not in references.tags
    assert references.links == []
    assert "\x1b" not in source
    assert evil in words(page_of(made))
    source.encode("utf-8")


def test_curves_mark_the_best_step_and_leave_out_missing_points():
    made = run()
    made["history"][0]["valid"]["click"]["auc"] = None
    figure = titled(page_of(made), "Validation AUC, click")
    assert "best step 100: 0.7610" in words(figure)
    assert len(list(figure.iter("circle"))) == 2
    assert [p.get("d").count("L") for p in figure.iter("path")] == [1]
    made["best"] = None
    assert "best step" not in words(titled(page_of(made), "Validation AUC, click"))


def test_roc_has_a_line_a_split_and_its_auc():
    figure = titled(page_of(run()), "ROC, click")
    assert [li[0].tail for li in figure.iter("li")] == ["train 0.7801", "valid 0.7901", "test 0.8001"]
    assert len(list(figure.iter("path"))) == 3


def test_a_split_of_one_class_has_no_roc_but_a_calibration():
    made = run()
    made["curves"]["test"]["click"]["roc"] = []
    page = page_of(made)
    assert len(list(titled(page, "ROC, click").iter("path"))) == 2
    assert len(list(titled(page, "Calibration, click").iter("circle"))) == 3


def test_calibration_is_logarithmic_for_tiny_rates_and_linear_else():
    def bins(*rates):
        return [{"mean_score": r * 1.1, "rate": r, "low": r / 2, "high": r * 2, "rows": 9} for r in rates]

    x, y = figures.calibration_axes(bins(0.0, 0.001, 0.002))
    assert x.log
    assert (x.low, x.high) == (y.low, y.high)
    x, y = figures.calibration_axes(bins(0.1, 0.2, 0.3))
    assert not x.log
    assert (x.low, x.high, y.high) == (0, 0.6, 0.6)
    x, _ = figures.calibration_axes([{"mean_score": 0.0, "rate": 0.0, "low": 0.0, "high": 0.0, "rows": 1}])
    assert not x.log


def test_config_reads_as_yaml():
    config = {
        "a": {"b": 1, "c": None, "d": {}},
        "e": [1, "x y"],
        "f": "on",
        "g": "plain/path.tsv",
        "h": "1e3",
        "i": True,
    }
    assert formats.as_yaml(config) == (
        'a:\n  b: 1\n  c: null\n  d: {}\ne: [1, "x y"]\nf: "on"\ng: plain/path.tsv\nh: "1e3"\ni: true'
    )


def test_learning_rates_of_groups_are_named():
    assert html.learning_rate(0.001) == "0.001"
    assert html.learning_rate({"all": 0.001}) == "0.001"
    assert html.learning_rate({"wide": 0.1, "deep": 0.00025}) == "wide 0.1, deep 0.00025"
    assert html.learning_rate(None) == "–"


def test_rendering_leaves_the_report_alone():
    made = run(tasks=("click", "buy"))
    before = copy.deepcopy(made)
    html.render_html(made)
    assert made == before


# Charts


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0.7713, 0.7852, [0.772, 0.774, 0.776, 0.778, 0.78, 0.782, 0.784]),
        (0, 1200, [0, 200, 400, 600, 800, 1000, 1200]),
        (-3, 3, [-3, -2, -1, 0, 1, 2, 3]),
    ],
)
def test_ticks_are_round_and_inside(low, high, expected):
    assert charts.nice_ticks(low, high, 5) == pytest.approx(expected)


def test_log_ticks_thin_out_over_many_decades():
    assert charts.log_ticks(0.0015, 0.06) == [0.002, 0.005, 0.01, 0.02, 0.05]
    assert charts.log_ticks(0.00005, 0.9) == [0.0001, 0.001, 0.01, 0.1]


@pytest.mark.parametrize(
    ("ticks", "expected"),
    [
        ([0, 500, 1000], ["0", "500", "1,000"]),
        ([0, 20000, 40000], ["0", "20k", "40k"]),
        ([0, 2_500_000], ["0", "2.5M"]),
        ([0.775, 0.78], ["0.775", "0.780"]),
        ([1e-5, 0.001, 0.1], ["1e-05", "0.001", "0.1"]),
        ([], []),
    ],
)
def test_tick_labels(ticks, expected):
    assert charts.tick_labels(ticks) == expected


def test_axes_place_values_by_hand_worked_shares():
    linear = charts.Axis("", 10, 20, [])
    assert [linear.share(v) for v in (10, 12.5, 20, 99)] == [0, 0.25, 1, 1]
    log = charts.Axis("", 0.001, 10, [], log=True)
    assert [log.share(v) for v in (0, 0.001, 0.01, 10)] == pytest.approx([0, 0, 0.25, 1])


@pytest.mark.parametrize("values", [[0.5], [0.0], [3.0, 3.0], [1e-9, 2e-9], [-2.0, 5.0]])
def test_an_axis_has_room_around_any_values(values):
    axis = charts.linear_axis("", values)
    assert axis.low < min(values) <= max(values) < axis.high
    assert len(charts.tick_labels(axis.ticks)) == len(axis.ticks) >= 2


def test_long_lines_are_shortened_by_means_and_keep_their_gaps():
    points = [(i, float(i % 2)) for i in range(1000)]
    short = charts.bin_means(points, limit=100)
    assert len(short) == 100
    assert all(y == 0.5 for _, y in short)
    assert short[-1][0] == 999
    assert charts.bin_means([(1, 2.0), (2, None)]) == [(1, 2.0), (2, None)]
    assert charts.bin_means([]) == []
    thinned = charts.thin(points, limit=7)
    assert len(thinned) == 7
    assert (thinned[0], thinned[-1]) == (points[0], points[-1])


def test_a_gap_breaks_the_line_and_the_y_axis_points_up():
    plot = charts.Plot(charts.Axis("", 0, 4, []), charts.Axis("", 0, 1, []), square=False)
    path = plot.line(charts.Series("s", "train", [(0, 0.0), (1, 1.0), (2, None), (3, 0.5), (4, 0.5)]))
    commands = re.findall(r"([ML])([\d.]+),([\d.]+)", path)
    assert [c for c, _, _ in commands] == ["M", "L", "M", "L"]
    heights = [float(y) for _, _, y in commands]
    assert heights[0] == charts.TOP + plot.height
    assert heights[1] == charts.TOP
    assert heights[2] == charts.TOP + plot.height / 2


# Numbers


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (formats.metric(0.78125), "0.7812"),
        (formats.metric(0.011361), "0.01136"),
        (formats.metric(None), "–"),
        (formats.interval({"value": 0.0113, "low": 0.01, "high": 0.0125}), "[0.01000, 0.01250]"),
        (formats.interval({"value": 0.5, "low": None, "high": None}), ""),
        (formats.percent(0.2561), "25.6 %"),
        (formats.percent(0.00172), "0.172 %"),
        (formats.percent(0.0), "0 %"),
        (formats.duration(0.04), "0.0 s"),
        (formats.duration(99.97), "1 min 40 s"),
        (formats.duration(7384), "2 h 03 min"),
        (formats.size(812 * 2**20), "812 MiB"),
        (formats.size(3 * 2**30), "3.0 GiB"),
        (formats.counted(1, "step"), "1 step"),
        (formats.counted(2000, "step"), "2,000 steps"),
        (formats.printable("a\x1b[1m\n\tb\udce9"), "a\ufffd[1m\n\tb?"),
    ],
)
def test_numbers_as_people_read_them(made, expected):
    assert made == expected


def test_every_metric_has_a_name_a_column_and_a_meaning():
    assert set(html.TABLE_METRICS) == set(formats.METRIC_NAMES) == set(HIGHER_IS_BETTER)
    assert set(html.MEANINGS) == set(formats.METRIC_NAMES.values())
