"""What a model saw in the histories of some rows, as tables of the HTML report."""

from rectrain.outputs import formats
from rectrain.outputs.charts import text
from rectrain.outputs.html import definitions, table

_SHOWN_STEPS = 20  # of each history, those that count most


def explanations_section(report: dict) -> str:
    explained = report.get("explanations") or []
    if not explained:
        return ""
    rows = "".join(explained_row(row) for row in explained)
    return (
        '<section><h2>What the model saw in histories</h2><p class="muted">Some of the rows. The '
        "attention multiplies the vector of a step with its weight: a number of either sign and any size, or a share "
        f"of 1 where the model has softmax or multi_head.</p>{rows}</section>\n"
    )


def explained_row(row: dict) -> str:
    scores = {f"{task}: score": formats.metric(score) for task, score in row["scores"].items()}
    labels = {f"{task}: label": str(label) for task, label in row["labels"].items()}
    told = definitions({**scores, **labels, **row["fields"]})
    tables = "".join(history_table(name, steps) for name, steps in row["histories"].items())
    title = formats.join([f"row {row['row']:,}", *(f"{t} {formats.metric(s)}" for t, s in row["scores"].items())], ", ")
    return f'<details open=""><summary>{text(title)}</summary>{told}{tables}</details>'


def history_table(name: str, steps: list[dict]) -> str:
    """The steps that count most, with a bar for each weight."""
    title = name.removeprefix("attention_").replace("_", " ")
    if not steps:
        return f"<p><strong>{text(title)}</strong>: empty</p>"
    shown = sorted(steps, key=lambda step: -abs(step["weight"]))[:_SHOWN_STEPS]
    largest = abs(shown[0]["weight"]) or 1.0
    kinds = [kind for kind in steps[0] if kind != "weight"]
    rows = [[*(text(step[kind]) for kind in kinds), *weight_cells(step["weight"], largest)] for step in shown]
    left_out = len(steps) - len(shown)
    note = f" (and {formats.counted(left_out, 'step')} that count less)" if left_out else ""
    head = [*kinds, "weight", ""]
    return f"<p><strong>{text(title)}</strong>{note}</p>{table(head, 'l' * len(kinds) + 'rl', rows)}"


def weight_cells(weight: float, largest: float) -> list[str]:
    share = 100 * abs(weight) / largest
    sign = " against" if weight < 0 else ""
    bar = f'<span class="room"><span class="share{sign}" style="width: {share:.1f}%"></span></span>'
    return [f"{weight:.4f}", bar]
