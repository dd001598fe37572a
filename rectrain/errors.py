"""What ends a command other than a fault of ours, and the words of its messages."""

import difflib
import errno
import re
import signal


class InputError(ValueError):
    """What came, what was expected, what to do, and the config key to do it with.

    The command line prints the message without a traceback and exits with 2.
    """


class StoppedError(KeyboardInterrupt):
    """SIGTERM or SIGINT ended a run, and with it a sweep; what it had saved stays.

    Args:
        number: of the signal.  so_far: what it had come to, for the message.
    """

    def __init__(self, number: int, so_far: str = ""):
        super().__init__(f"stopped by {signal.Signals(number).name}{so_far}")
        self.number, self.exit_code = number, 128 + number


class GateError(Exception):
    """A comparison's gate failed; the command line exits with 3."""


# Why a file cannot be written, where that is for the user to mend.
CANNOT_WRITE = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "a file grew beyond what is allowed",
    errno.EACCES: "writing there is not permitted",
    errno.EPERM: "writing there is not permitted",
    errno.EROFS: "it is mounted read-only",
    errno.ENOTDIR: "a part of the path is a file",
    errno.EEXIST: "it is a file",
}


def did_you_mean(received: str, known) -> str:
    """The end of a message: "Did you mean 'x'?" for a near miss, else a list of what there is."""
    known = sorted(map(str, known))
    near = difflib.get_close_matches(received, known, n=1, cutoff=0.5)
    if near:
        return f" Did you mean {near[0]!r}?"
    return f" Known: {', '.join(known)}." if known else ""


def printable(text: str) -> str:
    """Text of any origin in one line, which cannot steer a terminal: signs that do not show become escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def first_line(error: Exception) -> str:
    """What an exception says, without TensorFlow's names of nodes and operations; ends with a point."""
    text = re.sub(r"\{\{.*?\}\} | \[Op:.*?\].*", "", str(error).splitlines()[0])
    return text.rstrip(".") + "."
