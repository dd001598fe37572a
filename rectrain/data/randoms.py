"""Random numbers that belong to a position, so that they do not depend on how rows are cut into blocks."""

import numpy as np

_WORDS_PER_STEP = 4  # one step of the Philox counter gives four 64-bit words


def random_words(seed: int, start: int, count: int) -> np.ndarray:
    """uint64 (count,): the words at positions start .. start + count - 1 of the stream of `seed`.

    Source: Salmon et al. 2011, "Parallel Random Numbers: As Easy as 1, 2, 3" (Philox).
    """
    steps, skipped = divmod(start, _WORDS_PER_STEP)
    generator = np.random.Philox(key=seed % 2**64).advance(steps)
    return generator.random_raw(skipped + count)[skipped:]


def random_fractions(seed: int, start: int, count: int) -> np.ndarray:
    """float64 (count,), uniform in [0, 1)."""
    return (random_words(seed, start, count) >> np.uint64(11)) * 2.0**-53
