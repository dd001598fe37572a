"""A draft as the YAML of a data set, with the reason of each choice beside it."""

import json
import re
from pathlib import Path

from rectrain.config import FormatConfig
from rectrain.draft.draft import Draft
from rectrain.draft.features import Use
from rectrain.draft.labels import Label
from rectrain.errors import printable
from rectrain.outputs.formats import percent

_COMMENT_COLUMN = 27
_LONGEST_COMMENT = 100
_GROUPS = {  # (type, transform or whether it is hashed) -> name of the group of features, what its columns share
    ("categorical", "min_count"): ("categories", "each value gets a vector of its own"),
    ("categorical", "hash_buckets"): ("hashed", "so many values that they share rows of a table"),
    ("numeric", "standardize"): ("numbers", "(x - mean) / standard deviation"),
    ("numeric", "log1p"): ("long_tails", "sign(x) ln(1 + |x|): a few values are far larger than most"),
    ("multi_valued", "max_length"): ("lists", "several values in a cell"),
}
_SETTINGS = {
    "min_count": "rarer values in the training rows count as unknown",
    "max_length": "values kept of a cell",
}
_YAML_WORDS = ("true", "false", "null", "yes", "no", "on", "off", "y", "n", "inf", "nan")


def as_yaml(draft: Draft, name: str, files: str, looked_at: Path) -> str:
    """The text of configs/data/<name>.yaml. files: as the user named them; looked_at: one of them."""
    looked = f"all {draft.num_rows:,} rows" if draft.is_whole else f"the first {draft.num_rows:,} rows"
    head = [
        f"# Drafted by rectrain init from {looked} of {printable(str(looked_at))}.",
        "# Each choice is a guess with its reason beside it: change what you know better. docs/own_dataset.md goes on.",
        f"name: {_value(name)}",
        f"files: {_value(files)}",
    ]
    parts = [head, _format(draft), _labels(draft), _columns(draft), _features(draft), _split(draft), _left_out(draft)]
    return "\n".join(line for part in [*parts, _history(draft)] for line in part) + "\n"


def grouped(draft: Draft) -> dict[str, dict[str, Use]]:
    """Name of a group of features -> its columns: those that have their settings in common."""
    groups: dict[str, dict[str, Use]] = {}
    by_settings: dict[str, str] = {}
    for column, use in draft.features.items():
        key = json.dumps({k: v for k, v in use.settings.items() if k not in ("hash_buckets", "max_length")})
        key += "".join(k for k in ("hash_buckets",) if k in use.settings)
        if key not in by_settings:
            base = _group_of(use)[0]
            same = sum(name.rstrip("_0123456789") == base for name in groups)
            by_settings[key] = f"{base}_{same + 1}" if same else base
        groups.setdefault(by_settings[key], {})[column] = use
    return groups


def _group_of(use: Use) -> tuple[str, str]:
    return next(
        named
        for (kind, mark), named in _GROUPS.items()
        if use.settings["type"] == kind and (mark in use.settings or use.settings.get("transform") == mark)
    )


def _format(draft: Draft) -> list[str]:
    format, plain = draft.layout.format, FormatConfig(reader="csv")
    lines = ["format:", _line("  reader", format.reader, draft.layout.described)]
    if format.delimiter != plain.delimiter:
        lines.append(_line("  delimiter", format.delimiter))
    if format.quote != plain.quote:
        lines.append(_line("  quote", format.quote, "quotes are ordinary characters"))
    if not format.header:
        lines += [
            _line("  header", False, draft.layout.header_reason),
            _line("  columns", format.columns, "" if len(format.columns or ()) > 10 else "give them names"),
        ]
    if draft.null_values:
        lines.append(_line("  null_values", ["", *draft.null_values], "texts of a missing value"))
    return lines


def _labels(draft: Draft) -> list[str]:
    return ["labels:", *(_label(label, rate) for label, rate in zip(draft.labels, draft.rates, strict=True))]


def _label(label: Label, rate: float) -> str:
    told = f"mean {rate:.6g}" if label.is_number else f"{percent(rate)} of these rows are 1"
    return _line(f"  {_value(label.task)}", label.says, f"{label.reason}; {told}")


def _columns(draft: Draft) -> list[str]:
    """Weight, group and time."""
    lines = []
    if draft.weight is not None:
        lines.append(_line("weight", draft.weight, "its name says so: weight of a row in the training loss"))
    if draft.group is not None:
        lines.append(_line("group", draft.group, draft.group_reason))
    if draft.time is not None:
        time = draft.time
        lines += ["time:", _line("  column", time.config.column), _line("  format", time.config.format, time.reason)]
    return lines


def _features(draft: Draft) -> list[str]:
    lines = ["features:"]
    for name, columns in grouped(draft).items():
        first = next(iter(columns.values()))
        lines += [f"  {name}:", _line("    type", first.settings["type"], _group_of(first)[1])]
        for key in [key for key in first.settings if key != "type"]:
            largest = max(use.settings[key] for use in columns.values())
            lines.append(_line(f"    {key}", largest, _SETTINGS.get(key, "")))
        lines.append("    columns:")
        lines += [_item(column, _reason(draft, column, use)) for column, use in columns.items()]
    return lines


def _reason(draft: Draft, column: str, use: Use) -> str:
    note = draft.notes.get(column)
    return f"CHECK: {note}" if note else use.reason


def _split(draft: Draft) -> list[str]:
    settings = list(draft.split.settings.items())
    lines = ["split:", _line(f"  {settings[0][0]}", settings[0][1], draft.split.reason)]
    return lines + [_line(f"  {key}", value) for key, value in settings[1:]]


def _left_out(draft: Draft) -> list[str]:
    if not draft.left_out:
        return []
    return ["# Left out:", *(f"#   {_value(name)}: {_comment(why)}" for name, why in draft.left_out.items())]


def _history(draft: Draft) -> list[str]:
    if draft.user is None or draft.item is None or draft.time is None or draft.labels[0].is_number:
        return []
    says = draft.labels[0].says
    where = {"column": says, "at_least": 1} if isinstance(says, str) else says
    return [
        "# What the row's user did before, for model=din and others that read it; take the marks away to use it:",
        "# history:",
        f"#   user: {_value(draft.user)}",
        f"#   steps: {_value([draft.item])}",
        f"#   where: {_value(where)}  # these rows enter histories; null: all",
    ]


def _line(key: str, value, why: str = "") -> str:
    line = f"{key}: {_value(value)}"
    return f"{line:<{_COMMENT_COLUMN}} # {_comment(why)}" if why else line


def _item(column: str, why: str) -> str:
    return f"{f'      - {_value(column)}':<{_COMMENT_COLUMN}} # {_comment(why)}"


def _comment(text: str) -> str:
    line = printable(text)
    return line if len(line) <= _LONGEST_COMMENT else f"{line[: _LONGEST_COMMENT - 3]}..."


def _value(value) -> str:
    """YAML on one line; names stand without quotes where they can."""
    if isinstance(value, str):
        is_plain = re.fullmatch(r"[A-Za-z_/][\w/.-]*", value) is not None and value.lower() not in _YAML_WORDS
        return value if is_plain else json.dumps(value, ensure_ascii=False).replace("${", "\\\\${")
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_value(k)}: {_value(v)}' for k, v in value.items())}}}"
    return json.dumps(value)
