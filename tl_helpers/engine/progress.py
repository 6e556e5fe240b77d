"""One progress bar per training; silent under CI, where a bar would differ from run to run."""

import contextlib
import os
from collections.abc import Iterator

from tqdm.auto import tqdm


def say(message: str) -> None:
    """Print a message without breaking a progress bar."""
    tqdm.write(message)


@contextlib.contextmanager
def training_bar(phase: str, total: int, done: int) -> Iterator[tqdm]:
    """A bar over all steps of all epochs; `done` of them were made before an interruption."""
    silent = bool(os.environ.get("CI"))
    with tqdm(total=total, initial=done, desc=phase, unit="step", leave=False, disable=silent) as bar:
        try:
            yield bar
        finally:
            bar.total = bar.n  # else a notebook leaves it standing, in red, when a training was pruned or stopped early
