"""rectrain datasets: what data= can be, one line each."""

from rectrain.outputs.listing import say_list
from rectrain.sections import list_config


def run(raw: dict):
    """Prints the first line of each YAML of configs/data/ and of folders of the user's own."""
    say_list("data", list_config(raw))
