"""The choice of hardware, precision, memory layout and number of workers; and the one seed."""

import contextlib
import itertools
import os
import platform
import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import numpy as np
import torch

from tl_helpers.errors import CourseError, out_of_memory
from tl_helpers.memory import keep_freed_memory
from tl_helpers.sources import cache_dir, entries, keep_entries

_KINDS = ("cuda", "mps", "xpu", "cpu")
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Hardware:
    """What training or feature extraction runs on.

    precision: "fp32", "bf16" or "fp16" (autocast; fp16 trains with a gradient scaler).
    workers: DataLoader processes; 0 in a notebook, where more can hang (pytorch#51344).
    """

    device: torch.device
    precision: str = "fp32"
    channels_last: bool = True
    workers: int = 0
    deterministic: bool = False
    why: str = ""
    settled: bool = False  # the precision was asked for: no measurement changes it

    @property
    def pin_memory(self) -> bool:
        """Pinned host memory makes copies to a CUDA device asynchronous; elsewhere it gains nothing."""
        return self.device.type == "cuda"

    def autocast(self) -> AbstractContextManager:
        """The context in which forward passes run; does nothing in fp32."""
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=_DTYPES[self.precision])

    def scaler(self) -> torch.amp.GradScaler:
        """Scales the loss in fp16, where small gradients would become zero; in other precisions it changes nothing."""
        return torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")

    def place(self, model: torch.nn.Module) -> torch.nn.Module:
        """Move the model to the device and the chosen layout, in place, and `apply` the settings; returns the model."""
        self.apply()
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        return model.to(self.device).to(memory_format=layout)

    @contextlib.contextmanager
    def lend(self, model: torch.nn.Module) -> Iterator[torch.nn.Module]:
        """`place` for a while: afterwards the model is back on its own device, in its layout, with the caller's tensors."""
        home = next(itertools.chain(model.parameters(), model.buffers()), torch.empty(0)).device  # without any: the CPU
        last = any(p.ndim == 4 and not p.is_contiguous() for p in model.parameters())
        try:
            with keep_freed_memory() if self.device.type == "cpu" else nullcontext():  # elsewhere torch does so itself
                yield self.place(model)
        finally:
            model.to(home, memory_format=torch.channels_last if last else torch.contiguous_format)

    def apply(self) -> None:
        """Set torch's own switches: TF32 and cudnn's search on CUDA, deterministic algorithms if requested.

        An operation that has no deterministic form in torch then warns and runs anyway.
        """
        exact = self.deterministic or self.precision == "fp32"
        if self.device.type == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = not exact
            torch.backends.cudnn.benchmark = not self.deterministic
        if self.deterministic:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.use_deterministic_algorithms(True, warn_only=True)
        elif torch.is_deterministic_algorithms_warn_only_enabled():  # ours; a caller's strict setting stays
            torch.use_deterministic_algorithms(False)

    def send(self, batch):
        """A tensor, or a dict of tensors, on the device; the copy does not block if memory is pinned."""
        if isinstance(batch, dict):
            return {key: self.send(value) for key, value in batch.items()}
        return batch.to(self.device, non_blocking=self.pin_memory)

    def line(self) -> str:
        """One line for a reader: what was chosen and why."""
        layout = "channels_last" if self.channels_last else "contiguous"
        where = f"{torch.get_num_threads()} threads"
        if self.device.type == "cuda":
            where = torch.cuda.get_device_name(self.device)
        return f"hardware: {self.device} ({where}), {self.precision}, {layout}, {self.workers} workers ({self.why})"


def pick_device(
    device: str | torch.device | None = None,
    *,
    precision: str | None = None,
    channels_last: bool | None = None,
    workers: int = 0,
    deterministic: bool = False,
) -> Hardware:
    """The best hardware available, or what was asked for (the argument first, then the variable `TL_DEVICE`).

    Images train in fp32 on a CPU, in bf16 on CUDA (fp16 on older cards) and xpu, in fp32 on mps; `deterministic` and CI
    mean fp32. An explicit `precision` is kept. The layout is channels_last, contiguous on mps (pytorch#175189).
    Raises CourseError if the device is not available.
    """
    if isinstance(device, Hardware):
        return device
    asked = device if device is not None else os.environ.get("TL_DEVICE")
    chosen = torch.device(_checked(str(asked))) if asked else torch.device(_best())
    why = "asked for" if asked else "the fastest here" if chosen.type != "cpu" else _why_no_gpu()
    channels_last = chosen.type != "mps" if channels_last is None else channels_last
    exact, settled = deterministic or bool(os.environ.get("CI")), precision is not None
    if precision is None:
        precision = "fp32" if exact else _default_precision(chosen)
    elif precision not in _DTYPES:
        raise CourseError(f"precision={precision!r} is not known; try one of {', '.join(_DTYPES)}.")
    return Hardware(chosen, precision, channels_last, workers, deterministic, why, settled)


def for_extraction(hardware: Hardware, use: str, forward: Callable[[], object]) -> Hardware:
    """The same hardware with bf16 for features, if a measurement on this machine shows that it pays.

    On a CPU, bf16 pays only with avx512_bf16 or AMX (pytorch#86270), and not for every layer. So the pass itself is
    measured, once per use, machine, torch version and thread count, and the verdict is kept; if even a product of two
    matrices takes four times as long, bf16 is emulated and the pass is not measured. The same command gives the same
    numbers. Under CI and `deterministic`: fp32.

    Args:
        use: what is measured, such as a backbone's name and the images' size.
        forward: one pass over a typical batch.
    """
    if hardware.device.type != "cpu" or hardware.deterministic or hardware.settled or os.environ.get("CI"):
        return hardware
    chip = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    machine = f"{use}, {chip}, torch {torch.__version__}, {torch.get_num_threads()} threads"
    known = bf16_gains()
    if machine not in known:
        square = torch.ones(512, 512)
        gain = _measure_bf16(lambda: square @ square)  # an emulated pass can take minutes, this only a moment
        gain = round(_measure_bf16(forward) if gain > 0.25 else gain, 2)
        known = {machine: gain} | bf16_gains()  # another process may have measured meanwhile
        keep_entries(cache_dir() / "bf16.json", known)
    return replace(hardware, precision="bf16") if known[machine] >= 1.2 else hardware


def bf16_gains() -> dict[str, float]:
    """The measurements so far: how many times faster bf16 is than fp32, by use; kept in `data/cache`."""
    return entries(cache_dir() / "bf16.json")


def _measure_bf16(forward: Callable[[], object]) -> float:
    best = {"fp32": float("inf"), "bf16": float("inf")}
    with torch.inference_mode():
        for _ in range(5):
            for precision in best:  # in turn, so that a busy moment hits both
                with Hardware(torch.device("cpu"), precision).autocast():
                    start = time.perf_counter()
                    forward()
                    best[precision] = min(best[precision], time.perf_counter() - start)
    return best["fp32"] / best["bf16"]


def seed_everything(seed: int) -> None:
    """Use one seed for Python, NumPy and torch (every device). DataLoader workers derive theirs from torch's."""
    seed = int(seed)  # NumPy's integers are too narrow for what follows, and Python's generator refuses them
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


@contextlib.contextmanager
def own_chance(seed: int) -> Iterator[None]:
    """Inside, chance follows from `seed`; afterwards Python's, NumPy's and torch's generators are as they were."""
    python, numpy_state = random.getstate(), np.random.get_state()
    there = torch.accelerator.current_accelerator()
    devices = range(torch.accelerator.device_count())  # named, or torch warns where there are several
    with torch.random.fork_rng(devices, device_type=there.type if there else "cuda"):
        try:
            seed_everything(seed)
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy_state)


def _is_there(kind: str) -> bool:
    there = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available, "xpu": torch.xpu.is_available}
    return kind == "cpu" or there[kind]()


def _computes(kind: str) -> bool:
    """Whether a sum comes out right: torch's builds drop support for cards that are too old, but still see them."""
    try:
        return float(torch.ones(1, device=kind) + 1) == 2
    except RuntimeError as error:
        return out_of_memory(error)  # another process has filled it


def _best() -> str:
    return next(kind for kind in _KINDS if _is_there(kind) and (kind == "cpu" or _computes(kind)))


def _why_no_gpu() -> str:
    if any(map(_is_there, _KINDS[:-1])):
        return f"the GPU here does not compute with torch {torch.__version__}"
    built = torch.version.cuda or torch.version.hip or platform.system() == "Darwin"
    return "no GPU found" if built else "this torch is built without CUDA"


def _checked(name: str) -> str:
    kind = name.split(":")[0]
    number = name.removeprefix(kind).removeprefix(":")
    if kind not in _KINDS or (name != kind and not number.isdigit()):
        raise CourseError(f"The device {name[:40]!r} is not known; try one of {', '.join(_KINDS)}.")
    if not _is_there(kind):
        raise CourseError(f"The device {name!r} was asked for, but torch sees none. Try TL_DEVICE=cpu, or `doctor`.")
    if kind == "cuda" and number and int(number) >= torch.cuda.device_count():
        raise CourseError(f"There is no {name}: torch sees {torch.cuda.device_count()} CUDA devices, counted from 0.")
    return name


def _default_precision(device: torch.device) -> str:
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return "bf16" if device.type == "xpu" else "fp32"
