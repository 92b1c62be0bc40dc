"""Memory that one batch has freed is kept for the next, not handed back to the system."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's mallopt."""

LARGEST = 2**31 - 1
"""mallopt takes a C int."""


def keep_freed_memory() -> None:
    """Tell this process's allocator to reuse large blocks, as programs with batches of one size need.

    By default glibc asks the system for every block above 32 MiB, gets it page by page, each cleared
    first, and returns it when it is freed; for simple steps on large feature maps that takes longer than
    the step. Other systems' allocators are left as they are.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(M_MMAP_THRESHOLD, LARGEST)
            mallopt(M_TRIM_THRESHOLD, LARGEST)
