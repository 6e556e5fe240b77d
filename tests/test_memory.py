"""Freed memory stays while a network computes, and goes back afterwards. Counted in page faults, not in seconds."""

import subprocess
import sys

import pytest
import torch

import tl_helpers as tl
from tl_helpers import memory
from tl_helpers.engine.metrics import predict
from tl_helpers.engine.settings import Settings

COUNT = """
import resource, psutil, torch
from tl_helpers import memory

def faults(times=20):  # each time eight blocks of 16 MB, as the layers of a step
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        blocks = [torch.empty(2**24, dtype=torch.uint8).fill_(1) for _ in range(8)]
        del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

base = psutil.Process().memory_info().rss
with memory.keep_freed_memory():
    faults()  # the first blocks are new to the process
    with memory.keep_freed_memory():
        faults(1)
    inside = faults()
    held = psutil.Process().memory_info().rss - base
left = psutil.Process().memory_info().rss - base
print(inside, held, left, faults())
"""
ON = memory._glibc() is not None


@pytest.mark.skipif(not ON, reason="glibc is not the allocator, or the environment sets it up")
def test_freed_memory_is_used_again_inside_and_given_back_afterwards():
    told = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True, check=True).stdout
    inside, held, left, after = map(int, told.split())
    assert after > 100, "by itself, glibc gives the blocks back and gets them anew"
    assert inside < after / 10, f"{inside} page faults inside, {after} after"
    assert held < 2.5 * 8 * 2**24, f"{held} bytes held for 128 MB"
    assert left < held / 2, f"{left} of {held} bytes are still here"


class Watching:
    """Batches that note how deep in `keep_freed_memory` each of them is drawn."""

    role = "train"

    def __init__(self):
        self.seen = []

    def __len__(self):
        return 2

    def __iter__(self):
        for _ in range(2):
            self.seen.append(memory._DEPTH)
            yield torch.ones(4, 3), torch.tensor([0, 1, 0, 1])


def test_training_and_predicting_keep_memory_and_end_without():
    train, val = Watching(), Watching()
    model = torch.nn.Linear(3, 2)
    tl.fit(model, train, val, Settings(1, lr=0.1), hardware=tl.pick_device("cpu"))
    assert train.seen == [1, 1] and val.seen == [2, 2] and memory._DEPTH == 0
    predict(model, val, tl.pick_device("cpu"))
    assert val.seen == [2, 2, 1, 1] and memory._DEPTH == 0


def test_an_error_inside_ends_it():
    with pytest.raises(KeyError), memory.keep_freed_memory():
        raise KeyError
    assert memory._DEPTH == 0


def test_who_sets_malloc_up_is_left_alone(monkeypatch):
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1000000")
    assert memory._glibc.__wrapped__() is None
