"""Train every layer on few labels, from scratch and from ImageNet (LP-FT): Google's emoji, tested on both artists'.

    python tests/benchmarks/emoji_curve.py [--splits 0 1 2]

Writes data/results/emoji_learning_curve.json after each training run and resumes from it when started again: a row that
is already there is not computed again. Notebook 01 plots the rows; those with all labels are in emoji_recipes.json.
"""

import argparse
import datetime
import json
import time

import tl_helpers as tl
from tl_helpers.sources import root, write_atomically

COMMAND = "python tests/benchmarks/emoji_curve.py"
TABLE = root() / "data" / "results" / "emoji_learning_curve.json"
# As in recipes_table.py, but with batches of 16 throughout (30 pictures would be one step an epoch), and epochs depending on
# the labels per class: 400 and 800 steps from scratch, not tuned (60 epochs of all labels are 2,100 steps).
BATCH, SIZE = 16, 128
AUGMENT = {"scratch": "flip-crop", "lp-ft": "trivial"}
EPOCHS = {"scratch": {5: 200, 20: 100}, "lp-ft": {5: 12, 20: 10}}


def one(recipe: str, per_class: int, split: int) -> dict:
    """Train once, evaluate once on the held-out emoji by both artists, and return the row."""
    google = tl.data.load("emoji-google", split_seed=split)
    twitter = tl.data.load("emoji-twitter", split_seed=split)
    tl.seed_everything(split)
    start = time.perf_counter()
    backbone = tl.load_backbone("efficientnet_lite0", weights=None if recipe == "scratch" else "default")
    result = tl.transfer(
        tl.attach_head(backbone, tl.heads.linear(len(google.classes))),
        google,
        recipe,
        epochs=EPOCHS[recipe][per_class],
        seed=split,
        size=SIZE,
        batch_size=BATCH,
        augment=AUGMENT[recipe],
        images=per_class * len(google.classes),
    )
    row = {"recipe": recipe, "per_class": per_class, "split": split, "val": _rounded(result.val)}
    for name, images in (("test", google.test), ("target", twitter.test)):
        row[name] = _rounded(tl.evaluate(result.model, images).figures)
    where = {"hardware": tl.pick_device().line(), "date": datetime.date.today().isoformat()}
    return row | {"seconds": round(time.perf_counter() - start)} | where


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in figures.items()}


def main() -> None:
    """Compute the rows that are missing, and write the table after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--splits", type=int, nargs="+", default=[0, 1, 2])
    splits = parser.parse_args().splits
    rows = json.loads(TABLE.read_text("utf-8"))["rows"] if TABLE.exists() else []
    known = {(row["recipe"], row["per_class"], row["split"]) for row in rows}
    for split in splits:
        for recipe, epochs in EPOCHS.items():
            for per_class in epochs:
                if (recipe, per_class, split) in known:
                    continue
                rows.append(one(recipe, per_class, split))
                print(rows[-1], flush=True)
                _write(rows)


def _write(rows: list[dict]) -> None:
    epochs = {recipe: {str(n): k for n, k in by_labels.items()} for recipe, by_labels in EPOCHS.items()}
    about = {
        "command": COMMAND,
        "budget": {"image_size": SIZE, "batch_size": BATCH, "augment": AUGMENT, "epochs": epochs},
        "seeds": sorted({row["split"] for row in rows}),
    }
    lines = ",\n".join(f"  {json.dumps(row)}" for row in rows)
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(TABLE, json.dumps(about, indent=1)[:-2] + f',\n "rows": [\n{lines}\n ]\n}}\n')


if __name__ == "__main__":
    main()
