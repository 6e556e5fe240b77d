"""Solar cells with the lower stages frozen: their maps are computed once, and only the stages above them are trained.

Frozen stages give the same output every time. So each of the eight orientations of a square cell passes through the lower
stages once, for all splits and epochs; training starts from the kept maps and costs a fraction. `recipes_table.py` has the
plan and calls `upper_stages`; to try a setting, on validation alone and on a separate split:

    python tests/benchmarks/upper_stages.py '{"size": 192, "epochs": 12, "lr": 5e-4, "rate_decay": 0.9}'
"""

import json
import sys
import time
from contextlib import nullcontext

import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

import tl_helpers as tl
from tl_helpers.engine.metrics import measure, predict
from tl_helpers.engine.settings import Settings
from tl_helpers.models import freeze, freeze_batch_norm, parameter_groups, unfreeze
from tl_helpers.sources import cache_dir

FROZEN = 3  # blocks of EfficientNet-Lite0 below the maps: stem and stages 1 to 3, maps of an eighth of the side


def lay(cells: Tensor, way: int) -> Tensor:
    """Square pictures (n, c, h, w) in one of eight ways: in quarter turns, mirrored or not; 0 leaves them as they are."""
    turned = torch.rot90(cells, way % 4, (2, 3))
    return turned.flip(3) if way >= 4 else turned


def kept_maps(backbone: nn.Module, cells, size: int) -> Tensor:
    """The maps of every cell in all eight ways, computed once for all splits."""
    path = cache_dir() / f"elpv-maps-{size}-{backbone.fingerprint[:16]}.pt"
    if not path.exists():
        torch.save(lower_maps(backbone, cells, size), path)
    return torch.load(path, weights_only=True)


@torch.no_grad()
def lower_maps(backbone: nn.Module, cells, size: int, ways: int = 8, hardware=None) -> Tensor:
    """The maps above the frozen stages, float16 (ways, n, c, size / 8, size / 8), for `ways` ways to lay each cell.

    In fp32, or in the precision of `hardware`.
    """
    body, found = backbone.body.eval(), []
    for way in range(ways):
        maps = []
        for pictures, _, _ in tl.data.Batches(cells, size=size, batch_size=32):
            x = backbone.normalise(lay(pictures, way)).expand(-1, 3, -1, -1).to(memory_format=torch.channels_last)
            with hardware.autocast() if hardware else nullcontext():
                lower = body.blocks[:FROZEN](body.bn1(body.conv_stem(x)))
            maps.append(lower.half().contiguous())
        found.append(torch.cat(maps))
    return torch.stack(found)


def weighted_accuracy(predictions: Tensor, labels: Tensor, weights: Tensor) -> float:
    """The accuracy that Deitsch et al. (2019) report: a doubtful cell counts a third or two thirds of a certain one."""
    return float(((predictions == labels) * weights).sum() / weights.sum())


class Upper(nn.Module):
    """The part of a classifier above the frozen stages: maps in, logits out."""

    def __init__(self, model: nn.Module):
        super().__init__()
        body = model.backbone.body
        self.blocks, self.conv_head, self.bn2, self.pool = (
            body.blocks[FROZEN:],
            body.conv_head,
            body.bn2,
            body.global_pool,
        )
        self.head = model.head

    def features(self, maps: Tensor) -> Tensor:
        return self.pool(self.bn2(self.conv_head(self.blocks(maps.float()))))

    def forward(self, maps: Tensor) -> Tensor:
        return self.head(self.features(maps))


class Maps:
    """Batches of kept maps; in training, shuffled and each cell laid in a newly drawn way, otherwise all in one way."""

    def __init__(self, maps, cells, rows, role, batch_size=32, way=0, seed=None):
        self.maps, self.rows, self.role, self.size, self.way, self.seed = maps, rows, role, batch_size, way, seed
        self.labels, self.weights, self.epoch = cells.labels, cells.weights, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-len(self.rows) // self.size)

    def __iter__(self):
        rows, ways = self.rows, torch.full((len(self.rows),), self.way)
        if self.seed is not None:
            draw = torch.Generator().manual_seed(self.seed * 100_003 + self.epoch)
            rows = rows[torch.randperm(len(rows), generator=draw)]
            ways = torch.randint(8, (len(rows),), generator=draw)
        for part, way in zip(rows.split(self.size), ways.split(self.size), strict=True):
            yield self.maps[way, part].to(memory_format=torch.channels_last), self.labels[part], self.weights[part]


def upper_stages(
    cells, seed: int, *, size: int, epochs: int, lr: float, rate_decay: float, **how
) -> tuple[dict, callable]:
    """LP-FT of the upper stages: the results on validation, and a function that evaluates another part of the split."""
    hardware = tl.pick_device()
    model = tl.attach_head(tl.load_backbone("efficientnet_lite0"), tl.heads.linear(len(cells.classes)))
    maps = kept_maps(model.backbone, cells, size)
    rows = {part: torch.as_tensor(getattr(cells.split, part)) for part in ("train", "val", "test")}
    train, val = Maps(maps, cells, rows["train"], "train", seed=seed), Maps(maps, cells, rows["val"], "val")
    upper, _ = train_upper(model, train, val, seed, hardware, epochs, lr, rate_decay, **how)

    def look(part: str, ways: int) -> dict:
        """The results on a part of the split, with probabilities averaged over the first `ways` ways to lay each cell."""
        seen = [predict(upper, Maps(maps, cells, rows[part], part, way=way), hardware) for way in range(ways)]
        mean, (_, labels, weights) = torch.stack([logits.softmax(1) for logits, _, _ in seen]).mean(0), seen[0]
        found = {"auc": roc_auc_score(labels, mean[:, 1]), "n": len(labels)}
        found["weighted_accuracy"] = weighted_accuracy(mean.argmax(1), labels, weights)
        return measure(mean.log(), labels) | found

    return {str(ways): look("val", ways) for ways in (1, 8)}, look


def train_upper(model: nn.Module, train: Maps, val: Maps, seed: int, hardware, epochs: int, lr, rate_decay, **how):
    """The upper stages of `model`, trained starting from a probe's head, and the training history."""
    freeze(model)
    upper = Upper(model).eval()
    with torch.no_grad():
        features = torch.cat([upper.features(train.maps[0, rows]) for rows in train.rows.split(64)])
    head = tl.probe((features, train.labels[train.rows]), weights=train.weights[train.rows])
    model.head.load_state_dict(head.state_dict())
    unfreeze(upper)
    if not how.get("batch_norm"):
        freeze_batch_norm(upper)
    settings = Settings(epochs, lr, how.get("weight_decay", 0.01), label_smoothing=0.1, keep="last")
    groups = parameter_groups(model, lr, rate_decay)
    return upper, tl.fit(upper, train, val, settings, hardware=hardware, seed=seed, groups=groups)


if __name__ == "__main__":
    begin, wanted = time.perf_counter(), json.loads(sys.argv[1])
    found, _ = upper_stages(tl.data.load("elpv", split_seed=10, split=wanted.pop("split", "default")), 10, **wanted)
    print(sys.argv[1], json.dumps(found), f"{time.perf_counter() - begin:.0f} s", flush=True)
