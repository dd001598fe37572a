"""Which histories a model reads, and what it says where the data have none of that kind."""

from rectrain.errors import InputError
from rectrain.schema import History, Schema, Step


def short_histories(schema: Schema, model: str) -> list[History]:
    """All short ones.

    Raises:
        InputError: there is none.
    """
    histories = [history for history in schema.histories if history.role == "short"]
    if not histories:
        raise InputError(
            f"model={model} reads what the user did before, but data.history is null and no group of data.features has "
            "the type sequence. Set one of them, or choose a model that reads no history, as model=dcn_v2."
        )
    return histories


def history_of_role(schema: Schema, role: str, model: str) -> History:
    """The one of role "long" or "hits".

    Raises:
        InputError: there is none.
    """
    history = schema.history(role)
    if history is None:
        short_histories(schema, model)
        what = {"long": "long history", "hits": "hits of a history"}[role]
        raise InputError(
            f"model={model} reads the {what}, but data.history.{role}_length is null. Set it to the number of steps to "
            "keep."
        )
    return history


def step_of(history: History, name: str, model: str) -> Step:
    """A step with rows of its own, "gap" or "action".

    Raises:
        InputError: the history has none of that name.
    """
    for step in history.steps:
        if step.name == name and step.feature is None:
            return step
    key = {"gap": "data.history.gaps is false", "action": "data.history.action is null"}[name]
    raise InputError(
        f"model={model} weighs steps by their {name}, but {history.name!r} has none: {key}, or it comes from a group "
        "of type sequence. Set that key, or another model.weighted_by."
    )
