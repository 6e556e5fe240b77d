"""One progress bar per training; silent under CI, where a bar would differ from run to run."""

import os

from tqdm.auto import tqdm


def say(message: str) -> None:
    """Print a message without breaking a progress bar."""
    tqdm.write(message)


class Progress:
    """A bar over all steps of all epochs that shows the loss and the last validation accuracy."""

    def __init__(self, phase: str, total: int, done: int = 0):
        quiet = bool(os.environ.get("CI"))
        self._bar = tqdm(total=total, initial=done, desc=phase, unit="step", leave=False, disable=quiet)
        self._shown: dict[str, str] = {}

    def step(self, loss: float) -> None:
        """One optimiser step is done."""
        self._shown["loss"] = f"{loss:.3f}"
        self._bar.set_postfix(self._shown, refresh=False)
        self._bar.update()

    def epoch(self, row: dict) -> None:
        """One epoch is done and validated."""
        self._shown["val accuracy"] = f"{row['val_accuracy']:.3f}"
        self._bar.set_postfix(self._shown)

    def close(self) -> None:
        """Remove the bar."""
        self._bar.close()
