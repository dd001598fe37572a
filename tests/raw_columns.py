"""What a caller of an exported model sends: raw columns of files, and the histories of a log, found the plain way."""

import numpy as np
import pyarrow as pa

from rectrain import registry
from rectrain.config import DataConfig
from rectrain.data.conditions import holds


def requests(signature: dict, data: DataConfig, path, rows: list[int]) -> dict[str, np.ndarray]:
    """The inputs of a signature, {name: TensorSpec}, for some rows of a raw file."""
    lists = {name for name in signature if name.startswith("history_")} if data.history is not None else set()
    kinds = {name: _kind(signature[name]) for name in signature if name not in lists}
    table = _table(path, data, kinds)
    columns = {name: _cells(table[name], kind)[rows] for name, kind in kinds.items()}
    return columns | (_histories(sorted(lists), signature, data, path, rows) if lists else {})


def _kind(spec) -> str:
    if spec.shape.rank == 2:
        return "list"
    return "number" if spec.dtype.name == "float64" else "text"


def _table(path, data, kinds) -> dict[str, pa.Array]:
    blocks = list(registry.load("data/readers", data.format.reader, "read")(path, kinds, data.format))
    return {name: pa.concat_arrays([block.columns[name] for block in blocks]) for name in kinds}


def _cells(array: pa.Array, kind: str) -> np.ndarray:
    if kind == "number":
        return array.to_numpy(zero_copy_only=False)
    if kind == "text":
        return np.array(array.fill_null("").to_pylist(), object)
    if pa.types.is_string(array.type):
        return np.array([[cell or ""] for cell in array.to_pylist()], object)
    values = [[value or "" for value in cell or []] for cell in array.to_pylist()]
    return _padded(values, "")


def _padded(values: list[list], blank) -> np.ndarray:
    padded = np.full((len(values), max(map(len, values), default=0)), blank, object if blank == "" else float)
    for row, of_row in enumerate(values):
        padded[row, : len(of_row)] = of_row
    return padded


def _histories(lists, signature, data, path, rows) -> dict[str, np.ndarray]:
    """Events before each row's moment, oldest first."""
    config, time = data.history, data.time.column
    wanted = {name: name.removeprefix("history_") for name in lists}
    kinds = dict.fromkeys((*wanted.values(), config.user), "text") | {time: "number"}
    if config.where is not None:
        kinds.setdefault(config.where.column, "text")
    read = registry.load("data/readers", data.format.reader, "read")
    events: dict[str, list] = {}
    everything = []
    for block in read(path, kinds, data.format):
        is_event = holds(block, config.where, "data.history.where")
        cells = {name: column.to_pylist() for name, column in block.columns.items()}
        for i in range(block.num_rows):
            row = {name: column[i] for name, column in cells.items()}
            everything.append((row[config.user], row[time]))
            if is_event[i]:
                events.setdefault(row[config.user], []).append(row)
    for of_user in events.values():
        of_user.sort(key=lambda event: event[time])
    found: dict[str, list] = {name: [] for name in lists}
    for row in rows:
        user, moment = everything[row]
        before = [event for event in events.get(user, []) if event[time] < moment]
        for name, column in wanted.items():
            blank = np.nan if column == time else ""
            found[name].append([blank if event[column] is None else event[column] for event in before])
    return {name: _padded(values, np.nan if wanted[name] == time else "") for name, values in found.items()}
