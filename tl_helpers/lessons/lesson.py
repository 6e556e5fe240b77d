"""The first cell of every notebook, and the tables that were measured beforehand."""

import json

from tl_helpers.budget import Budget, pick_budget
from tl_helpers.device import pick_device, seed_everything
from tl_helpers.errors import CourseError
from tl_helpers.sources import root

TITLES = (  # noqa: SIM905 (one for each line would fill a screen)
    "Start here; Transfer in five minutes; Prepare the data; Augment; Backbones; Pretrain; Heads and probes; "
    "Fine-tuning on images; Fuse and search; Text baselines; Fine-tuning on text; Reading comprehension; "
    "Cluster features; A tour of what else there is; Privacy and encrypted features; Your own data"
).split("; ")
NUMBERS = [f"{i:02}" for i in range(len(TITLES))]


def lesson(number: str, *, seed: int = 0) -> Budget:
    """Open notebook `number` ("07"): seed Python, NumPy and torch, print three lines and return the budget.

    The lines are the title, one that starts with `hardware: ` and one that starts with `budget: `; the last two differ
    between machines and are sanitised when stored outputs are compared.

    Raises CourseError if no notebook has that number.
    """
    if number not in NUMBERS:
        raise CourseError(f"There is no notebook {number!r}; there are {', '.join(NUMBERS)}. Write it as a text: '07'.")
    seed_everything(seed)
    budget = pick_budget()
    print(f"Notebook {number} · {TITLES[int(number)]}")
    print(pick_device().line())
    fields = [(key, value) for key, value in vars(budget).items() if key != "name"]
    shown = [f"{key.replace('_', ' ')} {str(value).replace('None', 'all')}" for key, value in fields]
    print("budget: " + " · ".join([budget.name, *shown]))  # such as `budget: class · epochs 6 · image size 128 · …`
    return budget


def measured(name: str, part: str | None = None) -> dict:
    """The table data/results/`name`.json (its `part`, where a file has several), after a line on how it was measured.

    A table has `rows`, a dict for each run, and the `command` that makes it; when, on what hardware and in which budget
    is said once for all rows or in each. Raises CourseError if there is no such table, or no rows in it.
    """
    known = {path.stem: path for path in (root() / "data" / "results").glob("*.json")}
    if name not in known:
        raise CourseError(f"There is no table {name!r}; there are {', '.join(sorted(known))}.")
    table = json.loads(known[name].read_text("utf-8"))
    parts = [key for key, value in table.items() if isinstance(value, dict) and "rows" in value]
    table = table.get(part, table)
    if "rows" not in table:
        raise CourseError(f"{name!r} has no rows of its own; parts of it that have: {', '.join(parts) or 'none'}.")
    said = {key: {row[key] for row in (table, *table["rows"]) if key in row} for key in ("date", "hardware")}
    days, machines = sorted(said["date"]), sorted(line[10:].partition(" (no GPU")[0] for line in said["hardware"])
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    budget = " ".join(table["budget"].split()) if isinstance(table["budget"], str) else "written in the file"
    print(f"measured by {table['command']}, {when}; {' and '.join(machines)}; budget: {budget}")
    return table
