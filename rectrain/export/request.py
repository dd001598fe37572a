"""A request that the exported model answers, for those who call it next."""

from rectrain.export.raw_batch import RawBatch


def example_request(raw: RawBatch, names: dict[str, str]) -> dict:
    """For POST /v1/models/<name>:predict of TensorFlow Serving: two rows, in columns.

    The first has a value in each column, the second has none: blank text, empty history. A missing number is NaN, which
    the server's JSON knows as NaN without quotes; here it is 0.

    Args:
        names: column -> input.
    """
    return {
        "signature_name": "serving_default",
        "inputs": {
            names[name]: _column(raw.columns.examples[name], spec) for name, spec in raw.columns.signature.items()
        },
    }


def _column(value, spec):
    blank = "" if spec.dtype.name == "string" else 0.0
    rows = [value, blank]
    return [[row] for row in rows] if spec.shape.rank == 2 else rows
