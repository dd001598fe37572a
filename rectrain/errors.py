"""The one exception that means: the user's config, data or files are wrong."""

import difflib


class InputError(ValueError):
    """What came, what was expected, what to do, and the config key to do it with.

    The command line prints the message without a traceback and exits with 2.
    """


def did_you_mean(received: str, known) -> str:
    """ " Did you mean 'x'?" for a near miss, else a list of what there is."""
    known = sorted(map(str, known))
    near = difflib.get_close_matches(received, known, n=1, cutoff=0.5)
    if near:
        return f" Did you mean {near[0]!r}?"
    return f" Known: {', '.join(known)}." if known else ""


class GateError(Exception):
    """A comparison's gate failed; the command line exits with 3."""
