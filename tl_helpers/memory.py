"""Freed memory stays with the process while a network computes on a CPU."""

import contextlib
import ctypes
import functools
import sys
from collections.abc import Iterator

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4  # the numbers of malloc.h
_DEPTH = 0


@contextlib.contextmanager
def keep_freed_memory() -> Iterator[None]:
    """Inside, glibc keeps the memory that tensors free, for the next ones; at the end all of it goes back to the system.

    A training step takes and frees hundreds of megabytes. By itself glibc returns the large blocks at once, and the
    system hands them out anew page by page, each filled with zeros: up to a third of a step on two cores
    (tests/benchmarks/speed.py and text_speed.py print the ratio). Does nothing where glibc is not the allocator.
    """
    global _DEPTH
    libc = _glibc()
    _DEPTH += 1  # an evaluation within a training leaves the end to the training
    try:
        if libc and _DEPTH == 1:
            libc.mallopt(_MMAP_MAX, 0)
            libc.mallopt(_TRIM_THRESHOLD, -1)
        yield
    finally:
        _DEPTH -= 1
        if libc and _DEPTH == 0:
            libc.mallopt(_MMAP_MAX, 65_536)  # malloc's default; the thresholds are the highest that it sets itself
            libc.mallopt(_MMAP_THRESHOLD, 32 * 2**20)
            libc.mallopt(_TRIM_THRESHOLD, 64 * 2**20)
            libc.malloc_trim(0)


@functools.cache
def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "gnu_get_libc_version") else None
