"""The one training loop of the course; `train_model`, the recipes and the command line all end up here."""

import math
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from ..device import Hardware, own_chance, pick_device, seed_everything
from ..errors import CourseError, DivergedError, out_of_memory
from ..models.encoder import Encoder
from ..models.freezing import train_mode
from ..sources import writable
from . import checkpoint as files
from . import resume
from .metrics import TOO_LARGE, check_labels, measure, predict, unpack
from .progress import say, training_bar
from .protocol import begin_pass, in_pieces, refuse_test, rows_of
from .settings import Settings


@dataclass
class FitResult:
    """The record of a training: a row per epoch, the validation metrics of the weights kept, and how it ended."""

    history: list[dict] = field(default_factory=list)
    val: dict[str, float] = field(default_factory=dict)
    best_epoch: int = 0
    ended: str = "all epochs"


def fit(
    model: nn.Module,
    train: Iterable,
    val: Iterable,
    settings: Settings,
    *,
    hardware: Hardware | None = None,
    seed: int = 0,
    groups: list[dict] | None = None,
    checkpoint: Path | str | None = None,
    phase: str = "train",
    start: str | None = None,
    each_epoch: Callable[[dict], None] | None = None,
) -> FitResult:
    """Train `model` in place on `train`, choose weights by `val`, and leave it with the chosen ones.

    The random state outside (Python's, NumPy's, torch's) is left as it was.

    Args:
        train, val: anything with a length that yields (inputs, labels) or (inputs, labels, weights); inputs are a tensor
            or a dict of tensors, labels int64 (b,), weights float32 (b,). `train` may give distributions over the classes
            as labels, float32 (b, classes), as mixup does; the right class is then the one with the largest share.
        groups: parameter groups of an optimiser (discriminative rates: `models.layers.parameter_groups`), each with its
            own peak `lr`; by default every parameter that learns, at `settings.lr`.
        checkpoint: a file in which every finished epoch is kept. If it exists already, training continues from it and
            ends bit-identical to one never stopped (on CUDA: if `deterministic`): chance follows from seed and epoch.
            (Not that of a DataLoader's persistent workers: torch seeds them only when they start.)
            Another training's file is refused where that can be told: batches with a `fingerprint` say what they hold.
        phase: a label for the history's rows, such as "probe" or "fine-tune".
        start: what the training begins from, such as a fingerprint; a checkpoint that began from something else is refused.
        each_epoch: called with each epoch's row when it ends; what it raises ends the training (how a search prunes).

    Raises:
        CourseError: a test set as `train` or `val`, labels without a logit, a loss that is not finite, another training's checkpoint.
    """
    refuse_test(train, val)
    kept, hardware = Path(checkpoint).expanduser() if checkpoint else None, pick_device(hardware)
    with hardware.lend(model):
        run = _Run(model, train, val, settings, hardware, seed, groups, phase, start)
        try:
            if kept:
                run.restore(kept)
            with own_chance(seed), training_bar(phase, settings.epochs * run.steps, run.epoch * run.steps) as bar:
                while run.epoch < settings.epochs and not run.patience_is_over():
                    run.one_epoch(bar)
                    if kept:
                        run.keep(kept)
                    if each_epoch:
                        each_epoch(run.result.history[-1])
        except KeyboardInterrupt:
            run.result.ended = "interrupted"
            again = f" The same call goes on from {checkpoint}." if kept and os.path.lexists(kept) else ""
            say(f"Stopped by you in epoch {run.epoch + 1}; the model knows what {run.epoch} epochs taught it.{again}")
        finally:
            torch.set_num_threads(run.threads)  # a resumed training used the number it had begun with
            model.load_state_dict(run.best)
            model.eval()
            run.optimiser.zero_grad()  # else a loop of the caller's would use the last batch's gradient once more
    model.trained_size = getattr(train, "size", getattr(model, "trained_size", None))  # what `evaluate` goes by
    return run.result


class _Run:
    """One training in progress: the state that changes from epoch to epoch."""

    def __init__(self, model, train, val, settings, hardware, seed, groups, phase, start):
        if isinstance(model, Encoder) or not isinstance(settings, Settings):
            raise CourseError(f"fit takes a model with a head and Settings; found {type(model).__name__}, {settings}.")
        self.model, self.train, self.val, self.settings = model, train, val, settings
        self.hardware, self.seed, self.phase, self.start = hardware, int(seed), phase, start
        self.steps = math.ceil(_batches(train) / settings.accumulate)
        self.result, self.epoch, self.pieces = FitResult(), 0, 1
        if not self.steps or not _batches(val):
            raise CourseError("There is no batch to train or to validate on: an empty set, or drop_last left nothing.")
        groups = groups or [{"params": [p for p in model.parameters() if p.requires_grad], "lr": settings.lr}]
        groups = [{**group, "params": list(group["params"])} for group in groups]  # once read, an iterator is empty
        if not any(group["params"] for group in groups):
            raise CourseError("Every parameter of this model is frozen: unfreeze its head or a stage before training.")
        self.threads = torch.get_num_threads()
        self.best = files.snapshot(model)  # what an interruption before the end of the first epoch goes back to
        self.peaks = [group.get("lr", settings.lr) for group in groups]
        self.groups = [{k: v for k, v in group.items() if k not in ("name", "params")} for group in groups]
        own = [{"params": group["params"], **rest} for group, rest in zip(groups, self.groups, strict=True)]
        fused = hardware.device.type in ("cpu", "cuda")
        self.optimiser = torch.optim.AdamW(own, weight_decay=settings.weight_decay, fused=fused)
        self.learning = [p for group in self.optimiser.param_groups for p in group["params"]]
        self.scaler, self.average, self.judged = hardware.scaler(), None, model  # judged: what is validated and kept
        if settings.ema is not None:
            mean = {"avg_fn": lambda old, new, _: old.lerp(new, 1 - settings.ema) if new.is_floating_point() else new}
            self.average = AveragedModel(model, **mean, use_buffers=True)
            self.judged = self.average.module

    def one_epoch(self, bar: tqdm) -> None:
        """Train over every batch once, validate, and note the row."""
        start = time.perf_counter()
        chance = self.seed * 100_003 + self.epoch
        seed_everything(chance)
        begin_pass(self.train, self.epoch, chance)
        train_mode(self.model)
        batches, total = iter(self.train), torch.zeros(4, dtype=torch.float64)  # weighted loss, right, samples, weights
        shown = {"val accuracy": f"{row['val_accuracy']:.3f}" for row in self.result.history[-1:]}  # noqa: B035
        for step in range(self.steps):
            taken = [unpack(batch) for batch in islice(batches, self.settings.accumulate)]
            if not taken:
                break
            share = self.settings.rate(self.epoch * self.steps + step, self.settings.epochs * self.steps)
            for group, peak in zip(self.optimiser.param_groups, self.peaks, strict=True):
                group["lr"] = peak * share
            seen = self._step(taken, step)
            total += seen.double()
            bar.set_postfix({"loss": f"{float(seen[0]) / max(1e-12, float(seen[3])):.3f}"} | shown, refresh=False)
            bar.update()
        begin_pass(self.val, self.epoch, chance)
        figures = measure(*predict(self.judged, self.val, self.hardware))
        if not math.isfinite(figures["loss"]):
            self._refuse(figures["loss"], "after its last batch, on the validation set")
        row = {"phase": self.phase, "epoch": self.epoch + 1}
        row |= {"train_loss": float(total[0] / total[3]), "train_accuracy": float(total[1] / total[2])}
        row |= {f"val_{name}": value for name, value in figures.items()}
        row |= {"lr": max(g["lr"] for g in self.optimiser.param_groups), "seconds": time.perf_counter() - start}
        self.result.history.append(row)
        self.epoch += 1
        if self.settings.keep == "last" or self._best_row() is row:
            self.best = files.snapshot(self.judged)  # first: Ctrl-C here must not leave figures of other weights
            self.result.val, self.result.best_epoch = figures, self.epoch

    def _step(self, taken: list[tuple], step: int) -> Tensor:
        """One optimiser step on one or several batches; (weighted loss, right answers, samples, weights) of what was seen."""
        while True:
            seen = None
            try:
                seen = self._gradient(taken, step)
                if self.settings.clip is not None:
                    self.scaler.unscale_(self.optimiser)
                    nn.utils.clip_grad_norm_(self.learning, self.settings.clip)
                self.scaler.step(self.optimiser)
                self.scaler.update()
                if self.average is not None:
                    self.average.update_parameters(self.model)
                return seen
            except RuntimeError as error:
                if not out_of_memory(error):
                    raise
                if seen is not None:  # the optimiser's state is as large as the weights, however many pieces there are
                    raise CourseError(TOO_LARGE) from None
            # after the `except`: the exception holds the tensors of this try, and memory is freed only once it is gone
            self._smaller_pieces([rows_of(inputs) for inputs, _, _ in taken])

    def _gradient(self, taken: list[tuple], step: int) -> Tensor:
        """Gradient of the mean loss, weighted by samples, over all batches taken, in as many pieces as memory requires."""
        self.optimiser.zero_grad(set_to_none=True)
        whole = max(1e-12, float(sum(self._weights(labels, weights).sum() for _, labels, weights in taken)))
        seen = torch.zeros(4, device=self.hardware.device)
        for inputs, labels, weights in in_pieces(taken, self.pieces):
            with self.hardware.autocast():
                logits = self.model(self.hardware.send(inputs))
            if not self.result.history:
                check_labels(logits, labels)
            labels, weights = self.hardware.send(labels), self.hardware.send(weights)
            smoothing = self.settings.label_smoothing
            losses = F.cross_entropy(logits.float(), labels, reduction="none", label_smoothing=smoothing)
            loss = (losses * self._weights(labels, weights)).sum()
            if not torch.isfinite(loss):
                self._refuse(loss.item(), f"at step {step + 1}")
            self.scaler.scale(loss / whole).backward()
            right = logits.argmax(1) == (labels.argmax(1) if labels.ndim == 2 else labels)
            counts = weights > 0  # as in `measure`
            plain = (F.cross_entropy(logits.detach().float(), labels, reduction="none") * weights).sum()  # not smoothed
            seen += torch.stack([plain, (right & counts).sum(), counts.sum(), weights.sum()])
        return seen.cpu()

    def _weights(self, labels: Tensor, weights: Tensor) -> Tensor:
        if self.settings.class_weights is None:
            return weights
        known = torch.tensor(self.settings.class_weights, device=labels.device)
        classes = labels.shape[1] if labels.ndim == 2 else int(labels.max()) + 1
        if classes > len(known) or (labels.ndim == 2 and classes < len(known)):
            raise CourseError(
                f"class_weights has {len(known)} entries, but the labels have {classes} classes: one weight per class."
            )
        return weights * (labels.float() @ known if labels.ndim == 2 else known[labels])

    def _refuse(self, loss: float, where: str) -> None:
        rate = max(group["lr"] for group in self.optimiser.param_groups)
        raise DivergedError(
            f"The loss became {loss} in epoch {self.epoch + 1}, {where}, at a learning rate of {rate:.2g}. Try a tenth of "
            f"the rate first; then look for inputs that aren't numbers and labels that are wrong, and try precision='fp32'."
        )

    def _smaller_pieces(self, sizes: list[int]) -> None:
        self.optimiser.zero_grad(set_to_none=True)
        if self.pieces >= max(sizes) or getattr(self.model, "in_one_piece", False):
            raise CourseError(TOO_LARGE)
        self.pieces *= 2
        if self.hardware.device.type != "cpu":
            getattr(torch, self.hardware.device.type).empty_cache()
        say(f"Out of memory: batches now come in {self.pieces} pieces. The effective batch size stays {sum(sizes)}.")

    def _best_row(self) -> dict:
        return max(self.result.history, key=lambda row: (row["val_accuracy"], -row["val_loss"]))

    def patience_is_over(self) -> bool:
        """Early stopping: no better validation for `patience` epochs."""
        patience = self.settings.patience
        if patience is None or not self.result.history or self.epoch - self._best_row()["epoch"] < patience:
            return False
        self.result.ended = f"no better validation for {patience} epochs"
        return True

    def keep(self, file: Path) -> None:
        """Write everything that the next epoch needs."""
        tensors = files.prefixed("model", self.model.state_dict())
        if self.average is not None:
            tensors |= files.prefixed("average", self.average.state_dict())
        if self.settings.keep == "best":
            tensors |= files.prefixed("best", self.best)
        tensors |= files.prefixed("optimiser", files.optimiser_tensors(self.optimiser))
        state = {"epoch": self.epoch, "pieces": self.pieces, "scaler": self.scaler.state_dict()}
        resume.save(file, tensors, {**state, "result": asdict(self.result)}, self.identity, self.hardware)

    def restore(self, file: Path) -> None:
        """Continue where `keep` left off, if it did, with the hardware settings it was kept with."""
        self.identity = files.as_stored(self._identity())  # now: what fails after an epoch costs that epoch
        if not os.path.lexists(file) and writable(file.parent):  # lexists has no error for a folder one may not enter
            return
        tensors, state, self.hardware = resume.load(file, self.identity, self.hardware)
        self.hardware.place(self.model)  # before the optimiser, whose state takes on its parameters' layout
        self.model.load_state_dict(files.under("model", tensors))
        if self.average is not None:
            self.average.load_state_dict(files.under("average", tensors))
        self.best = files.under("best", tensors) or files.snapshot(self.judged)
        files.load_optimiser(self.optimiser, files.under("optimiser", tensors))
        self.scaler = self.hardware.scaler()
        self.scaler.load_state_dict(state["scaler"])
        self.epoch, self.pieces, self.result = state["epoch"], state["pieces"], FitResult(**state["result"])

    def _identity(self) -> dict:
        """What distinguishes this training from any other."""
        return {
            "settings": asdict(self.settings),
            "seed": self.seed,
            "phase": self.phase,
            "weights it began from": self.start,
            "batches": len(self.train),
            "training data": getattr(self.train, "fingerprint", None),
            "validation data": getattr(self.val, "fingerprint", None),
            "model": getattr(self.model, "spec", None),
            "parameters": [list(parameter.shape) for parameter in self.learning],
            "layers": {name: tensor.shape for name, tensor in self.model.state_dict().items()},
            "groups": self.groups,
        }


def _batches(batches) -> int:
    try:
        return len(batches)
    except TypeError as error:
        raise CourseError(
            "Training passes over its batches once per epoch and has to know how many there are: give it a DataLoader over "
            f"a data set with a length, or list(…) of the batches ({error})."
        ) from error
