"""The most memory that a run has used."""

import os

import numpy as np
import pytest

from rectrain.memory import forget_peak, peak_rss_bytes


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="the kernel does not let us")
def test_the_peak_of_a_job_is_not_that_of_the_jobs_before():
    block = np.ones(300 * 2**17)  # 300 MiB
    before = peak_rss_bytes()
    del block
    assert peak_rss_bytes() >= before
    forget_peak()
    assert peak_rss_bytes() < before - 250 * 2**20
