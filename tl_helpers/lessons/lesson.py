"""The first cell of every notebook."""

from tl_helpers.budget import Budget, pick_budget
from tl_helpers.device import pick_device, seed_everything
from tl_helpers.errors import CourseError

TITLES = {
    "00": "Start here",
    "01": "Transfer in five minutes",
    "02": "Prepare the data",
    "03": "Augment",
    "04": "Backbones",
    "05": "Pretrain",
    "06": "Heads and probes",
    "07": "Fine-tuning on images",
    "08": "Fuse and search",
    "09": "Text baselines",
    "10": "Fine-tuning on text",
    "11": "Reading comprehension",
    "12": "Cluster features",
    "13": "A tour of what else there is",
    "14": "Privacy and encrypted features",
    "15": "Your own data",
}


def lesson(number: str, *, seed: int = 0) -> Budget:
    """Open notebook `number` ("07"): seed Python, NumPy and torch, print three lines and return the budget.

    The lines are the title, one that starts with `hardware: ` and one that starts with `budget: `; the last two differ
    between machines and are sanitised when stored outputs are compared.

    Raises CourseError if no notebook has that number.
    """
    if number not in TITLES:
        raise CourseError(f"There is no notebook {number!r}; there are {', '.join(TITLES)}. Write it as a text: '07'.")
    seed_everything(seed)
    budget = pick_budget()
    print(f"Notebook {number} · {TITLES[number]}")
    print(pick_device().line())
    fields = [(key, value) for key, value in vars(budget).items() if key != "name"]
    shown = [f"{key.replace('_', ' ')} {str(value).replace('None', 'all')}" for key, value in fields]
    print("budget: " + " · ".join([budget.name, *shown]))  # such as `budget: class · epochs 6 · image size 128 · …`
    return budget
