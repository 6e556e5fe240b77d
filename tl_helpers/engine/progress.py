"""One progress bar per training; silent under CI, where a bar would differ from run to run."""

import os

from tqdm.auto import tqdm


def say(message: str) -> None:
    """Print a message without breaking a progress bar."""
    tqdm.write(message)


def training_bar(phase: str, total: int, done: int) -> tqdm:
    """A bar over all steps of all epochs; `done` of them were made before an interruption."""
    return tqdm(total=total, initial=done, desc=phase, unit="step", leave=False, disable=bool(os.environ.get("CI")))
