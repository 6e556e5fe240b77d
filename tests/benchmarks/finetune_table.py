"""Ablate fine-tuning on emoji: LP-FT and single changes to it; trained on Google's, tested on new ones by both artists.

    python tests/benchmarks/finetune_table.py [--splits 0 1 2]

Every run is a row of data/results/finetune.json, written when it ends; a row that is already there is not computed again.
All variants of a split come before the next split, so that rows can always be compared within a split. Nothing was tuned
for this table: rate, decay and augmentation are those of `recipes_table.py`, whose runs use more pixels and epochs. The
adapters have their own rate, four times as high, since they start at zero; gradual unfreezing opens two stages an epoch,
from the top, under the same one-cycle schedule.
"""

import argparse
import datetime
import gc
import json
import time

import torch

import tl_helpers as tl
from tl_helpers.engine.settings import Settings
from tl_helpers.models import freeze, freeze_batch_norm, parameter_groups, unfreeze, unfreeze_from
from tl_helpers.models.adapters import add_lora
from tl_helpers.recipes.sets import batches_for
from tl_helpers.sources import root, write_atomically

COMMAND = "python tests/benchmarks/finetune_table.py"
TABLE = root() / "data" / "results" / "finetune.json"
COMMON = {"size": 96, "epochs": 6, "lr": 7e-4, "rate_decay": 0.85, "augment": "trivial"}
VARIANTS = {
    "lp-ft": {},
    "fine-tune": {"recipe": "fine-tune"},
    "batch norm learns": {"batch_norm": True},
    "no augmentation": {"augment": "none"},
    "one rate": {"rate_decay": 1.0},
    "ema": {"ema": 0.9},
    "rate found": {"lr": "auto"},
    "adapters": {"lora": 8, "lr": 2.8e-3},
    "gradual": {"gradual": True},
    "probe": {"recipe": "probe"},
}


class Opening:
    """Batches that unfreeze two more stages of a model, from the top, as each epoch starts; batch norm stays frozen."""

    def __init__(self, batches, model):
        self.batches, self.model, self.role = batches, model, getattr(batches, "role", None)
        self.stages = list(reversed(model.backbone.stages))

    def set_epoch(self, epoch: int) -> None:
        self.batches.set_epoch(epoch)
        unfreeze_from(self.model, self.stages[min(2 * epoch + 1, len(self.stages) - 1)])
        freeze_batch_norm(self.model.backbone)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self):
        return iter(self.batches)


def train(model, data, seed: int, how: dict) -> dict:
    """Train in place and return the validation results. `transfer` does what it can; the rest is done here."""
    own = {"batch_norm", "lora", "gradual"} & set(how)
    if not own:
        return tl.transfer(model, data, seed=seed, **how).val
    tl.transfer(model, data, "probe", epochs=1, size=how["size"], seed=seed)
    hardware = tl.pick_device()
    common = {"size": how["size"], "hardware": hardware}
    if "lora" in how:
        add_lora(model, how["lora"], targets=("conv_pw", "conv_pwl"))
    else:
        unfreeze(model)
    if "batch_norm" not in how:
        freeze_batch_norm(model.backbone)
    batches = batches_for(model, data.train, augment=how["augment"], batch_size=32, shuffle=True, seed=seed, **common)
    looks = batches_for(model, data.val, batch_size=64, **common)
    groups = parameter_groups(model, how["lr"], how["rate_decay"])  # while everything is still unfrozen
    if "gradual" in how:
        freeze(model.backbone)
        batches = Opening(batches, model)
    settings = Settings(how["epochs"], how["lr"], label_smoothing=0.1, keep="last")
    return tl.fit(model, batches, looks, settings, hardware=hardware, seed=seed, groups=groups).val


def one(variant: str, split: int) -> dict:
    """One run: the results on validation and on the held-out emoji by both artists."""
    google, twitter = (tl.data.load(name, split_seed=split) for name in ("emoji-google", "emoji-twitter"))
    tl.seed_everything(split)
    model = tl.attach_head(tl.load_backbone("efficientnet_lite0"), tl.heads.linear(len(google.classes)))
    start = time.perf_counter()
    val = train(model, google, split, {**COMMON, **VARIANTS[variant]})
    row = {"recipe": variant, "split": split, "seed": split, "seconds": round(time.perf_counter() - start)}
    row |= {"threads": torch.get_num_threads(), "val": _rounded(val)}
    for part, images in (("test", google.test), ("target", twitter.test)):
        row[part] = _rounded(tl.evaluate(model, images).figures)
    return row


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in figures.items()}


def main() -> None:
    """Compute the rows that are missing, and write the table after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--splits", type=int, nargs="+", default=[0, 1, 2])
    rows = json.loads(TABLE.read_text("utf-8"))["rows"] if TABLE.exists() else []
    for split in parser.parse_args().splits:
        for variant in VARIANTS:
            if any((row["recipe"], row["split"]) == (variant, split) for row in rows):
                continue
            where = {"hardware": tl.pick_device().line(), "date": datetime.date.today().isoformat()}
            rows.append(one(variant, split) | where)
            print(json.dumps(rows[-1]), flush=True)
            _write(rows)
            gc.collect()


def _write(rows: list[dict]) -> None:
    about = {
        "command": COMMAND,
        "budget": "as in settings",
        "backbone": "efficientnet_lite0",
        "settings": {"all": COMMON, **VARIANTS},
    }
    lines = ",\n".join(f"  {json.dumps(row)}" for row in rows)
    write_atomically(TABLE, json.dumps(about, indent=1)[:-2] + f',\n "rows": [\n{lines}\n ]\n}}\n')


if __name__ == "__main__":
    main()
