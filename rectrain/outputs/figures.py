"""The charts of a report: loss, validation metrics, ROC, calibration. Each is "" where the run has no points for it."""

from rectrain.outputs import charts, formats
from rectrain.outputs.charts import Series
from rectrain.outputs.formats import SPLITS, metric_name, split_names

RARE = 0.05  # calibration is drawn on logarithmic axes where the median bin's rate lies below it


def loss_chart(losses: list, x: charts.Axis) -> str:
    points = charts.bin_means([(step, loss) for step, loss in losses])
    known = [y for _, y in points if y is not None]
    if not known:
        return ""
    series = Series("train", "train whole", points, dots=len(known) == 1)
    return charts.line_chart("Training loss", x, charts.linear_axis("mean loss", known), [series])


def history_chart(report: dict, task: str, key: str, x: charts.Axis) -> str:
    points = [(p["step"], (p.get("valid") or {}).get(task, {}).get(key)) for p in report["history"]]
    known = [y for _, y in points if y is not None]
    if not known:
        return ""
    notes = [f"step {formats.count(step)}: {formats.metric(y)}" for step, y in points]
    series = Series("valid", "valid", points, dots=len(points) <= 40, notes=notes)
    y = charts.linear_axis(metric_name(key), known)
    return charts.line_chart(f"Validation {metric_name(key)}, {task}", x, y, [series], mark=best_mark(report, points))


def best_mark(report: dict, points: list) -> tuple[float, str] | None:
    """The step whose weights were kept, with this curve's value there."""
    if not report.get("best"):
        return None
    step = report["best"]["step"]
    value = dict(points).get(step)
    return None if value is None else (step, f"best step {formats.count(step)}: {formats.metric(value)}")


def of_task(report: dict, task: str, curve: str) -> dict[str, list]:
    """split -> points of one task's curve, where there are any."""
    curves = report["curves"]
    held = {split: (curves[split].get(task) or {}).get(curve) for split in split_names(report, "curves")}
    return {split: points for split, points in held.items() if points}


def style_of(split: str) -> str:
    return split if split in SPLITS else "test"


def roc_chart(report: dict, task: str) -> str:
    roc = of_task(report, task, "roc")
    if not roc:
        return ""
    series = []
    for split, points in roc.items():
        auc = (((report.get("metrics") or {}).get(split) or {}).get(task) or {}).get("auc") or {}
        name = formats.join([split, "" if auc.get("value") is None else formats.metric(auc["value"])], " ")
        series.append(Series(name, style_of(split), charts.thin(points)))
    x, y = charts.axis_from_zero("false positive rate", 1), charts.axis_from_zero("true positive rate", 1)
    return charts.line_chart(f"ROC, {task}", x, y, series, square=True, diagonal=True)


def calibration_chart(report: dict, task: str) -> str:
    """The last split (test) with its interval bars, the others as plain lines."""
    calibration = of_task(report, task, "calibration")
    if not calibration:
        return ""
    *others, last = calibration
    series = [Series(s, f"{style_of(s)} quiet", [(b["mean_score"], b["rate"]) for b in calibration[s]]) for s in others]
    series.append(bars_series(last, calibration[last]))
    x, y = calibration_axes([b for bins in calibration.values() for b in bins])
    return charts.line_chart(f"Calibration, {task}", x, y, series, square=True, diagonal=True)


def bars_series(split: str, bins: list[dict]) -> Series:
    points = [(b["mean_score"], b["rate"]) for b in bins]
    bars = [(b["mean_score"], b["low"], b["high"]) for b in bins if b.get("low") is not None]
    notes = [
        f"mean score {b['mean_score']:.4g}, observed rate {b['rate']:.4g}, {formats.count(b.get('rows'))} rows"
        for b in bins
    ]
    return Series(f"{split}, 95 % interval", style_of(split), points, bars=bars, dots=True, notes=notes)


def calibration_axes(bins: list[dict]) -> tuple[charts.Axis, charts.Axis]:
    """One range for both axes, so that the diagonal is the perfect model; logarithmic where rates are tiny."""
    rates = sorted(b["rate"] for b in bins)
    values = [value for b in bins for value in (b["mean_score"], b["rate"])]
    positive = [value for value in values if value > 0]
    tiny = rates[len(rates) // 2] < RARE
    x, y = "mean predicted score", "observed rate"
    if tiny and positive:
        return charts.log_axis(x, positive), charts.log_axis(y, positive)
    top = max([*values, *(b["high"] for b in bins if b.get("high") is not None)])
    high = min(1, top) or 1
    return charts.axis_from_zero(x, high), charts.axis_from_zero(y, high)
