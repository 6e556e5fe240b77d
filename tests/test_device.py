"""Hardware is chosen, overridden and told in one line; seeds cover Python, NumPy and torch."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import tl_helpers as tl
from tl_helpers import device, doctor
from tl_helpers.budget import BUDGETS, pick_budget
from tl_helpers.engine.settings import Settings
from tl_helpers.errors import CourseError


def test_argument_comes_before_variable_and_the_line_says_why(monkeypatch):
    monkeypatch.setenv("TL_DEVICE", "cpu")
    chosen = device.pick_device()
    assert chosen.device.type == "cpu" and "asked for" in chosen.line() and "channels_last" in chosen.line()
    with pytest.raises(CourseError, match="not known"):
        device.pick_device("abacus")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_a_missing_gpu_is_explained(monkeypatch):
    monkeypatch.setenv("TL_DEVICE", "cuda")
    with pytest.raises(CourseError, match="TL_DEVICE=cpu"):
        device.pick_device()


def test_precision_is_checked_and_autocasts():
    with pytest.raises(CourseError, match="bf16"):
        device.pick_device("cpu", precision="int3")
    layer = torch.nn.Linear(4, 4)
    with device.pick_device("cpu", precision="bf16").autocast():
        assert layer(torch.ones(1, 4)).dtype == torch.bfloat16
    with device.pick_device("cpu", precision="fp32").autocast():
        assert layer(torch.ones(1, 4)).dtype == torch.float32


def test_placing_changes_the_layout_and_sending_keeps_dicts():
    hardware = device.pick_device("cpu")
    layer = hardware.place(torch.nn.Conv2d(3, 8, 3))
    assert layer.weight.is_contiguous(memory_format=torch.channels_last)
    assert set(hardware.send({"a": torch.ones(1)})) == {"a"}


def test_bf16_is_measured_once_and_never_under_ci(monkeypatch, tmp_path):
    measured = []
    monkeypatch.setattr(device, "cache_dir", lambda: tmp_path)
    monkeypatch.setattr(device, "_measure_bf16", lambda forward: measured.append(forward) or 2.0)
    monkeypatch.setenv("CI", "1")
    hardware = device.pick_device("cpu")
    assert device.for_extraction(hardware, "a use", None).precision == "fp32" and not measured
    monkeypatch.delenv("CI")
    assert device.for_extraction(hardware, "a use", None).precision == "bf16"
    assert device.for_extraction(hardware, "a use", None).precision == "bf16"
    assert len(measured) == 2 and measured[1] is None  # a product of matrices first, then the pass
    for gain, chosen in ((1.1, "fp32"), (1.2, "bf16")):  # 1.1 is too little to pay
        monkeypatch.setattr(device, "_measure_bf16", lambda forward, gain=gain: gain)
        assert device.for_extraction(hardware, f"a use of {gain}", None).precision == chosen
    assert device.for_extraction(device.pick_device("cpu", deterministic=True), "a use", None).precision == "fp32"
    device.pick_device("cpu")  # and leaves torch as it was


def test_doctor_lists_what_was_measured_with_these_threads(monkeypatch, tmp_path):
    monkeypatch.setattr(device, "cache_dir", lambda: tmp_path)
    monkeypatch.delenv("CI")
    for gain, threads in ((1.9, 98), (1.5, 99)):
        monkeypatch.setattr(device, "_measure_bf16", lambda forward, gain=gain: gain)
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        device.for_extraction(device.pick_device("cpu"), "a use", None)
    assert list(doctor._hardware())[-1].endswith("measured here: a use 1.50")


def test_a_pass_is_not_waited_for_where_bf16_is_emulated(monkeypatch, tmp_path):
    monkeypatch.setattr(device, "cache_dir", lambda: tmp_path)
    monkeypatch.delenv("CI", raising=False)
    clock = [0.0]
    monkeypatch.setattr(device.time, "perf_counter", lambda: clock[0])

    class Matrix:  # a product that takes sixty times as long in bf16
        def __matmul__(self, other):
            clock[0] += 60.0 if torch.is_autocast_enabled("cpu") else 1.0

    monkeypatch.setattr(device.torch, "ones", lambda *shape: Matrix())
    hardware = device.for_extraction(device.pick_device("cpu"), "a use", lambda: pytest.fail("minutes of waiting"))
    assert hardware.precision == "fp32" and list(device.bf16_gains().values()) == [0.02]


def test_the_measurement_says_how_many_times_as_fast_bf16_is(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(device.time, "perf_counter", lambda: clock[0])

    def forward():
        clock[0] += 1.0 if torch.is_autocast_enabled("cpu") else 3.0

    assert device._measure_bf16(forward) == 3.0


def test_one_seed_for_all():
    def draw():
        device.seed_everything(3)
        return random.random(), np.random.rand(), torch.rand(1).item()

    assert draw() == draw()


def test_budgets_have_one_shape_and_a_clear_refusal(monkeypatch):
    monkeypatch.setenv("TL_BUDGET", "ci")
    assert pick_budget() is BUDGETS["ci"] and pick_budget("full").name == "full"
    monkeypatch.delenv("TL_BUDGET")
    assert pick_budget().name == "class"
    with pytest.raises(CourseError, match="ci, class, full"):
        pick_budget("huge")


def test_a_precision_that_was_asked_for_stays(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    asked = device.pick_device("cpu", precision="fp32")
    assert device.for_extraction(asked, "settled", lambda: pytest.fail("measured")).precision == "fp32"


def test_a_verdict_that_cannot_be_kept_or_read_is_no_fault(monkeypatch, tmp_path):
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(device, "cache_dir", lambda: tmp_path)
    monkeypatch.setattr(device, "_measure_bf16", lambda forward: 2.0)
    (tmp_path / "bf16.json").write_text('{"cut')
    assert device.bf16_gains() == {}

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tl_helpers.sources.write_atomically", full)
    assert device.for_extraction(device.pick_device("cpu"), "full", lambda: None).precision == "bf16"


def test_a_model_that_was_lent_is_back_where_it_came_from():
    moves = []

    class Recorder(torch.nn.Linear):
        def to(self, *where, **how):
            moves.append(where or how)
            return self

    hardware, model = device.pick_device("cpu"), Recorder(2, 2)
    with pytest.raises(ZeroDivisionError), hardware.lend(model) as lent:
        assert lent is model and len(moves) == 2
        raise ZeroDivisionError
    assert moves[-1] == (torch.device("cpu"),)


def test_a_gpu_that_cannot_compute_is_left_alone_and_told(monkeypatch):
    monkeypatch.delenv("TL_DEVICE", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(device, "_computes", lambda kind: False)
    chosen = device.pick_device()
    assert chosen.device.type == "cpu" and "does not compute with torch" in chosen.line()


def test_a_full_device_is_known_by_its_class_or_by_its_words():
    assert device.out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert device.out_of_memory(RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"))
    with pytest.raises(RuntimeError) as full:
        torch.empty(10**15)
    assert device.out_of_memory(full.value)
    assert not device.out_of_memory(RuntimeError("shapes do not fit"))


def test_the_fastest_kind_that_is_there_comes_first_each_in_its_precision(monkeypatch):
    monkeypatch.delenv("TL_DEVICE", raising=False)
    monkeypatch.delenv("CI", raising=False)
    there = {"cuda", "mps", "xpu"}
    for kind in sorted(there):
        owner = torch.backends.mps if kind == "mps" else getattr(torch, kind)
        monkeypatch.setattr(owner, "is_available", lambda kind=kind: kind in there)
    monkeypatch.setattr(device, "_computes", lambda kind: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    found = []
    for gone in ("cuda", "mps", "xpu", None):
        chosen = device.pick_device()
        found.append((chosen.device.type, chosen.precision, chosen.channels_last, chosen.pin_memory))
        assert chosen.device.type != "cuda" or device.pick_device(deterministic=True).precision == "fp32"
        there.discard(gone)
    old_card, apple, intel, cpu = found
    assert old_card == ("cuda", "fp16", True, True) and apple == ("mps", "fp32", False, False)
    assert intel == ("xpu", "bf16", True, False) and cpu == ("cpu", "fp32", True, False)


def test_cuda_computes_in_tf32_unless_exactness_is_asked_for(monkeypatch):
    # torch's own switches can't be patched: they answer to no delattr
    switches = (
        SimpleNamespace(matmul=SimpleNamespace(allow_tf32=None)),
        SimpleNamespace(allow_tf32=None, benchmark=None),
    )
    monkeypatch.setattr(torch.backends, "cuda", switches[0])
    monkeypatch.setattr(torch.backends, "cudnn", switches[1])
    for precision, fast in (("bf16", True), ("fp32", False)):
        device.Hardware(torch.device("cuda"), precision).apply()
        assert torch.backends.cuda.matmul.allow_tf32 == torch.backends.cudnn.allow_tf32 == fast
        assert torch.backends.cudnn.benchmark


def test_deterministic_is_switched_on_and_off_again_and_a_callers_own_switch_stays(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    loose, strict = (device.pick_device("cpu", deterministic=on) for on in (False, True))
    try:
        strict.apply()
        assert torch.are_deterministic_algorithms_enabled() and device.os.environ["CUBLAS_WORKSPACE_CONFIG"]
        loose.apply()
        assert not torch.are_deterministic_algorithms_enabled()
        torch.use_deterministic_algorithms(True)
        loose.apply()
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
        device.os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)


def test_fp16_trains_with_a_scaler_that_leaves_out_a_step_whose_gradient_overflows():
    tl.seed_everything(0)
    rows, labels = torch.randn(64, 8), torch.arange(64) % 2
    rows[:, 0] += 2.0 * labels
    batches = DataLoader(TensorDataset(rows, labels), batch_size=16)
    trained = {}
    for precision in ("fp32", "fp16"):
        tl.seed_everything(0)
        model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))
        hardware = device.pick_device("cpu", precision=precision)
        history = tl.fit(model, batches, batches, Settings(20, lr=1e-2), hardware=hardware).history
        trained[precision] = history[-1]["val_loss"]
        assert history[-1]["val_loss"] < 0.7 * history[0]["val_loss"] and history[-1]["val_accuracy"] > 0.9
    assert trained["fp16"] == pytest.approx(trained["fp32"], abs=0.03)
    weight = torch.nn.Parameter(torch.ones(1))
    optimiser, scaler = torch.optim.SGD([weight], lr=1.0), hardware.scaler()
    before = scaler.get_scale()
    scaler.scale(weight * float("inf")).backward()
    scaler.step(optimiser)
    scaler.update()
    assert weight.item() == 1.0 and scaler.get_scale() < before


def test_a_model_that_was_looked_at_keeps_its_layout():
    layer = torch.nn.Conv2d(3, 8, 3)
    with device.pick_device("cpu").lend(layer):
        assert not layer.weight.is_contiguous()
    assert layer.weight.is_contiguous()
    layer.to(memory_format=torch.channels_last)
    for inside in (True, False):
        with device.pick_device("cpu", channels_last=inside).lend(layer):
            pass
        assert layer.weight.is_contiguous(memory_format=torch.channels_last)
    layer.to(memory_format=torch.contiguous_format)
    layer.scale = torch.nn.Parameter(torch.ones(2, 3).t())  # a transposed matrix is no layout
    with device.pick_device("cpu").lend(layer):
        pass
    assert layer.weight.is_contiguous()
