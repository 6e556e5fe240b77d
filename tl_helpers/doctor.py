"""Can the course run here? One line per check: `OK …`, or `-- …` with what to do. Works with a broken torch, too."""

import importlib.metadata
import os
import platform
import shutil
import sys
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from tl_helpers import sources
from tl_helpers.budget import pick_budget
from tl_helpers.errors import CourseError

ENVIRONMENT_GB, CARRIERS_GB, SPARE_GB = 6.4, 0.45, 1.0  # measured on Linux, CUDA libraries included
PATIENCE = 3  # seconds to wait for an answer before it counts as "no network"


def doctor() -> bool:
    """Print what was found, and whether all is well. No file of yours is changed, and nothing is downloaded."""
    if elsewhere := _elsewhere():
        print(f"-- {elsewhere}")
        return False
    well = True
    for check in (_python, _packages, _torch, _hardware, _budget, _data, _disk, _network):
        try:
            for line in check():
                print(f"OK {line}", flush=True)
        except* (CourseError, OSError) as group:  # one, or several rows at once
            print(*(f"-- {error}" for error in group.exceptions), sep="\n", flush=True)
            well = False
    print("All is well: the course can run." if well else "Follow the lines that begin with --, then run this again.")
    return well


def explain(error: BaseException) -> str | None:
    """What an error raised on importing torch or torchvision means; None for any other error."""
    if "torchvision::nms" in str(error):
        return (
            f"torch {_version('torch')} and torchvision {_version('torchvision')} were not built for each other "
            "(«operator torchvision::nms does not exist»). Install the pair in the lock file: "
            f"{sources.command('pip uninstall -y torch torchvision')}, then {_lock()}"
        )
    if isinstance(error, ImportError):
        return _elsewhere() or (
            f"{error}: the environment is not complete. If it is the course's own (.venv, or conda's), run: {_lock()}"
        )
    return None


def _lock() -> str:
    return sources.command("pip install -r requirements.txt")


def _elsewhere() -> str | None:
    """What to do if this Python lacks the course's packages: the course's own is in `.venv`, or not made yet."""
    own = sources.root() / ".venv" / "bin" / "python"
    if _version("torch") or Path(sys.prefix).resolve() == own.parents[1].resolve():
        return None
    if own.exists():
        ask = sources.command("tl_helpers doctor", own)
        return f"This Python ({sys.executable}) is not the course's. Use the course's own: {ask}"
    return "The course is not set up yet. `make lab` does that; without make, use the four conda commands in README.md."


def _python() -> Iterator[str]:
    if not (3, 11) <= sys.version_info < (3, 14):
        raise CourseError(f"Python {platform.python_version()}: the course needs 3.11, 3.12 or 3.13. Install one.")
    yield f"Python {platform.python_version()} on {platform.system()} {platform.machine()}, {os.cpu_count()} cores"


def _packages() -> Iterator[str]:
    """What pyproject.toml asks for, compared with what is installed."""
    from packaging.requirements import Requirement

    project = tomllib.loads((sources.root() / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = [Requirement(line) for line in project["dependencies"]]
    found = {need.name: _version(need.name) for need in needed}
    wrong = [
        f"{need} (found: {found[need.name] or 'none'})"
        for need in needed
        if not (found[need.name] and need.specifier.contains(found[need.name], prereleases=True))
    ]
    if wrong:
        raise CourseError(f"packages: the course needs {', '.join(wrong)}. Install those in the lock file: {_lock()}")
    yield f"packages: {', '.join(f'{name} {version}' for name, version in found.items())}"


def _torch() -> Iterator[str]:
    try:
        import torch
        import torchvision
    except Exception as error:  # a broken installation raises whatever it likes
        raise CourseError(explain(error) or f"torch can't be imported ({error}). Reinstall it: {_lock()}") from error
    yield f"torch {torch.__version__} and torchvision {torchvision.__version__} go together"


def _hardware() -> Iterator[str]:
    if "torch" not in sys.modules or "torchvision" not in sys.modules:
        return  # the line above says why
    import torch

    from tl_helpers.device import bf16_gains, pick_device

    hardware = pick_device()
    yield hardware.line()
    if hardware.device.type == "cpu":
        now = f"torch {torch.__version__}, {torch.get_num_threads()} threads"
        measured = [f"{use.split(',')[0]} {gain:.2f}" for use, gain in bf16_gains().items() if use.endswith(now)]
        told = ", ".join(measured) or "not yet; a backbone is measured with its first features"
        yield f"bf16 for features, speed relative to fp32 (used from 1.2 on), measured here: {told}"


def _budget() -> Iterator[str]:
    yield f"budget: {pick_budget().name} (set TL_BUDGET to ci, class or full)"


def _data() -> Iterator[str]:
    problems, missing = [], {}
    for name, row in sources.sources().items():
        try:
            sources.path_of(name)
            yield f"{name}: {row.package} {row.version}, {row.licence}"
        except sources.SourceMissingError as error:
            missing[name] = str(error).rpartition(": ")[2]  # the command that fixes it; the longer one fixes all
        except CourseError as error:
            problems.append(error)
    if missing:
        wrong = f"data: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing or of another version"
        problems.append(CourseError(f"{wrong}. Install with: {max(missing.values(), key=len)}"))
    if problems:
        raise ExceptionGroup("data", problems)


def _disk() -> Iterator[str]:
    free = shutil.disk_usage(sources.root()).free / 1e9
    sizes = f"the environment takes {ENVIRONMENT_GB} GB, data and weights {CARRIERS_GB} GB"
    if free < SPARE_GB:
        raise CourseError(
            f"disk: {free:.1f} GB free ({sizes}); features and checkpoints need {SPARE_GB:.0f} GB more. Make room: "
            "data/cache and runs can be deleted."
        )
    yield f"disk: {free:.0f} GB free; {sizes}"


def _network() -> Iterator[str]:
    """Whether the servers that torchvision and timm fetch weights from answer. Nothing in the course needs them."""
    stores: list[tuple[str, Callable[[], str]]] = [("torchvision", _torchvision_store), ("timm", _timm_store)]
    answers = [f"{name} {'yes' if _answers(store) else 'no'}" for name, store in stores]
    yield f"network, weights within reach: {', '.join(answers)} (not needed: two backbones lie in data/packages)"


def _torchvision_store() -> str:
    from torchvision.models import AlexNet_Weights

    return AlexNet_Weights.DEFAULT.url


def _timm_store() -> str:
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise OSError("HF_HUB_OFFLINE is set")
    return constants.ENDPOINT


def _answers(store: Callable[[], str]) -> bool:
    try:
        urllib.request.urlopen(urllib.request.Request(store(), method="HEAD"), timeout=PATIENCE).close()
    except urllib.error.HTTPError:
        return True  # somebody is there
    except Exception:  # no network, a proxy's page, a library that can't be imported: all mean no
        return False
    return True


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
