"""Freed memory stays with the process while a network computes on a CPU."""

import contextlib
import ctypes
import functools
import os
import sys
from collections.abc import Iterator

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # the numbers of malloc.h
_DEPTH = 0


@contextlib.contextmanager
def keep_freed_memory() -> Iterator[None]:
    """Inside, glibc keeps blocks of up to 32 MB that tensors free, for the next ones; at the end they go to the system.

    By itself it returns them whenever enough are free, and gets them back page by page, each filled with zeros: in
    every training step (tests/benchmarks/speed.py prints what that costs). Blocks above 32 MB still come and go:
    kept as well, they would leave holes that nothing fits into. Does nothing without glibc, or where the environment
    sets malloc up.
    """
    global _DEPTH
    libc = _glibc()
    _DEPTH += 1  # an evaluation within a training leaves the end to the training
    try:
        if libc and _DEPTH == 1:
            libc.mallopt(_MMAP_THRESHOLD, 32 * 2**20)  # the highest there is, where glibc's own adjustment ends up, too
            libc.mallopt(_TRIM_THRESHOLD, -1)
        yield
    finally:
        _DEPTH -= 1
        if libc and _DEPTH == 0:
            libc.mallopt(_TRIM_THRESHOLD, 64 * 2**20)  # glibc's own: twice the other
            libc.malloc_trim(0)


@functools.cache
def _glibc() -> ctypes.CDLL | None:
    chosen = any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ)
    if chosen or not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "gnu_get_libc_version") and hasattr(libc, "mallopt") else None
