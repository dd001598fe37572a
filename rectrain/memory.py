"""The C library's allocator, told what a training step needs of it; the most memory that a run has used."""

import contextlib
import ctypes
import resource
from pathlib import Path

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # of glibc's malloc.h
_MIB = 2**20


def keep_freed_memory():
    """Lets glibc keep the memory of a step for the next one.

    As it comes, it hands blocks of some MiB back to the kernel when they are freed and takes them again at the next
    step, with a page fault for each 4 KiB: 1,600 faults and 5 % of a step of DCN-V2 at batch 4096. Tables are larger
    than the threshold, so they are still given back. Without glibc nothing happens.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, 32 * _MIB)
        mallopt(_TRIM_THRESHOLD, 512 * _MIB)
        mallopt(_TOP_PAD, 16 * _MIB)


def forget_peak():
    """From now on `peak_rss_bytes` tells of what comes, so that a job of a sweep does not stand for those before it.

    What they have left behind in the process still counts. Where the kernel does not let us, so does their peak.
    """
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_rss_bytes() -> int:
    """The most memory that this process has used."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB
