"""What every single-task model says about its one output."""

from rectrain.errors import InputError
from rectrain.schema import Schema


def single_label(schema: Schema) -> str:
    """The schema's only label.

    Raises:
        InputError: the dataset has several labels, so the user must choose.
    """
    if len(schema.labels) != 1:
        raise InputError(
            f"this model predicts one label; dataset {schema.name!r} has {len(schema.labels)}: "
            f"{', '.join(schema.labels)}. Keep one of them under data.labels."
        )
    return schema.labels[0]
