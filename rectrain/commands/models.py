"""rectrain models: what model= can be, one line and the paper each."""

from rectrain.outputs.listing import say_list
from rectrain.sections import list_config


def run(raw: dict):
    """Prints the first line of each YAML of configs/model/ and of folders of the user's own."""
    say_list("model", list_config(raw))
