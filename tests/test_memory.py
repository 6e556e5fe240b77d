"""Freed memory stays while a network computes, and goes back afterwards. Counted in page faults, not in seconds."""

import ctypes
import resource
import subprocess
import sys

import pytest

COUNT = """
import resource, psutil, torch
from tl_helpers import memory

def faults(work):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        work()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def take(megabytes=64):
    torch.empty(megabytes * 2**20, dtype=torch.uint8).fill_(1)

take()
outside = faults(take)
with memory.keep_freed_memory():
    faults(take)  # the first blocks are new to the process
    with memory.keep_freed_memory():
        take()
    inside = faults(take)
    held = psutil.Process().memory_info().rss
given_back = held - psutil.Process().memory_info().rss
print(outside, inside, given_back, faults(take))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc is told to keep memory")
def test_freed_memory_is_used_again_inside_and_given_back_afterwards():
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        pytest.skip("this Linux has another libc")
    told = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True, check=True).stdout
    outside, inside, given_back, after = map(int, told.split())
    pages = 10 * 64 * 2**20 // resource.getpagesize()
    huge = 10 * 64 // 2  # where the system uses pages of 2 MB without being asked
    assert outside > 0.9 * min(pages, huge), "by itself every block is faulted in anew"
    assert inside < outside / 20, f"{inside} page faults inside, {outside} outside"
    assert given_back > 60 * 2**20, f"only {given_back} bytes went back"
    assert after > 0.9 * outside, "afterwards malloc behaves as before"
