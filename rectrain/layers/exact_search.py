"""The attentions that a candidate may pay to the steps a search has found, by name."""

import keras

from rectrain.errors import InputError, did_you_mean
from rectrain.layers.din import ActivationUnit
from rectrain.layers.history_attention import TargetAttention

NAMES = ("din", "multi_head")


def exact_search_unit(
    kind: str,
    *,
    attention: dict,
    num_heads: int,
    head_width: int,
) -> keras.layers.Layer:
    """The exact search unit of SIM: multi_head as in the paper, or DIN's attention.

    Source: Pi et al. 2020, arXiv:2006.05639, section 3.2.
    Args:
        attention: settings of DIN's attention.  num_heads, head_width: of the paper's.
    Raises:
        InputError: there is no such attention, or one of its settings does not fit.
    """
    if kind not in NAMES:
        raise InputError(f"model.exact_search={kind!r} is unknown.{did_you_mean(kind, NAMES)}")
    if kind == "multi_head":
        return TargetAttention(num_heads=num_heads, head_width=head_width, name="exact_search")
    return ActivationUnit(**attention, name="exact_search")
