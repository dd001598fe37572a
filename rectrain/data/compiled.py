"""numba for kernels over rows: compiled once a machine, run without the GIL."""

import numba


def compiled(signature=None):
    """numba.njit, with the machine code kept on disk where there is a place for it.

    Without a signature a kernel is compiled at the first call with each combination of types.
    """
    arguments = () if signature is None else (signature,)

    def decorate(function):
        try:
            return numba.njit(*arguments, nogil=True, cache=True)(function)
        except RuntimeError:  # neither the package's folder nor the user's can be written
            return numba.njit(*arguments, nogil=True)(function)

    return decorate
