"""`train --search N`: choose settings on validation before training; the test set is looked at once, at the end."""

import argparse
from pathlib import Path
from typing import Any

SPACE = {"lr": (1e-4, 3e-4, 1e-3, 3e-3), "weight_decay": (0.01, 0.1)}
SEARCHED = (*SPACE, "augment")


def choose(arguments: argparse.Namespace, given: dict, suitable, model, data, folder: Path, **fixed: Any) -> None:
    """Search with `arguments.search` trials, print a line for each, and put the best settings into `arguments`.

    Settings that the reader has `given` by name (--lr, --augment, --weight-decay) are not searched; of augmentations, those
    that are `suitable`. Hyperband prunes: one-cycle rates are high at first, and notebook 08 shows what ASHA loses by that.
    """
    from tl_helpers.recipes.search import Search, search

    space = {name: list(values) for name, values in (SPACE | {"augment": suitable}).items() if name not in given}

    def tell(found: Search) -> None:
        trial = found.trials[-1]
        if trial.seconds is not None:
            settings = "  ".join(f"{name.replace('_', ' ')} {value}" for name, value in trial.settings.items())
            end = "diverged in" if trial.diverged else "pruned after" if trial.pruned else "to the end,"
            line = f"trial {len(found.trials):2}  {settings:55}  val {trial.curve[-1]:.3f}  {end} {trial.at[-1]} epochs"
            print(line, flush=True)

    options = {"trials": arguments.search, "recipe": arguments.recipe, "seed": arguments.seed, "folder": folder}
    found = search(model, data, space, pruner="hyperband", watch=tell, **options, **given, **fixed)
    vars(arguments).update(found.best.settings)
    whole = len(found.trials) * fixed["epochs"]
    print(f"{found.spent} of {whole} epochs trained. Best on validation, which flatters them: {found.best.settings}\n")
