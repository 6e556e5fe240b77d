"""A training that was killed and goes on ends bit for bit like one that was never stopped."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset

import tl_helpers as tl
from tl_helpers.data import Batches, augmentation
from tl_helpers.device import pick_device
from tl_helpers.engine import checkpoint
from tl_helpers.engine.fit import fit
from tl_helpers.engine.settings import Settings
from tl_helpers.errors import CourseError

SCRIPT = Path(__file__).with_name("training_to_kill.py")


def run(folder, *flags):
    return subprocess.Popen([sys.executable, str(SCRIPT), str(folder), *flags], env={**os.environ, "CI": "1"})


@pytest.mark.parametrize(
    ("layout", "then"),
    [((), ("--contiguous",)), (("--contiguous", "--ema"), ("--ema",))],
    ids=["channels_last", "contiguous and averaged"],
)
def test_killed_and_resumed_is_bit_identical_with_never_stopped(tmp_path, layout, then):
    """Resumed by a call that asks for the other layout: the checkpoint's own is what counts."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert run(whole, *layout).wait() == 0
    process = run(killed, "--slow", *layout)
    deadline = time.monotonic() + 120
    while not (killed / "training.safetensors").exists():
        assert process.poll() is None and time.monotonic() < deadline, "the first epoch was never kept"
        time.sleep(0.02)
    time.sleep(0.5)  # into the middle of the second epoch, of three seconds or more
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (killed / "end.safetensors").exists()
    _, state = checkpoint.load(killed / "training.safetensors")
    assert state["epoch"] < 4
    assert run(killed, *then).wait() == 0
    (one, first), (other, second) = (
        checkpoint.load(whole / "end.safetensors"),
        checkpoint.load(killed / "end.safetensors"),
    )
    assert first == second == {"epochs": [1, 2, 3, 4]}
    assert one.keys() == other.keys()
    different = [name for name in one if not torch.equal(one[name], other[name])]
    assert not different


def loader(n=12, classes=3):
    data = torch.utils.data.TensorDataset(
        torch.randn(n, 4, generator=torch.Generator().manual_seed(0)), torch.arange(n) % classes
    )
    return torch.utils.data.DataLoader(data, batch_size=5, shuffle=True)


def train(path, seed=0, epochs=2, model=None, **settings):
    torch.manual_seed(0)
    model = model or nn.Linear(4, 3)
    return fit(
        model, loader(), loader(), Settings(epochs, **settings), hardware=pick_device("cpu"), seed=seed, checkpoint=path
    )


@pytest.mark.parametrize(
    ("change", "named"), [({"epochs": 3}, "settings"), ({"seed": 1}, "seed"), ({"lr": 0.5}, "settings")]
)
def test_another_trainings_file_is_refused(tmp_path, change, named):
    train(tmp_path / "t.safetensors")
    with pytest.raises(CourseError, match=f"another training.*{named}"):
        train(tmp_path / "t.safetensors", **change)


def test_a_finished_training_is_not_repeated(tmp_path):
    first = train(tmp_path / "t.safetensors")
    changed = (tmp_path / "t.safetensors").stat().st_mtime_ns
    assert train(tmp_path / "t.safetensors").history == first.history
    assert (tmp_path / "t.safetensors").stat().st_mtime_ns == changed


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "t.safetensors"
    train(path)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(CourseError, match=r"t\.safetensors.*Delete it to train again"):
        train(path)


def test_what_would_keep_an_epoch_from_being_kept_is_told_before_it(tmp_path):
    steps, looks = [], []

    class Model(nn.Linear):
        def forward(self, x):
            steps.append(len(x))
            return super().forward(x)

    class Batches(list):
        @property
        def fingerprint(self):
            looks.append(1)
            return 1 / len(steps) if self.broken else "rows"

    (tmp_path / "file").touch()
    with pytest.raises(CourseError, match="can't be made or written to"):
        train(tmp_path / "file" / "t.safetensors", model=Model(4, 3))
    batches, path = Batches(loader()), tmp_path / "t.safetensors"
    batches.broken = True
    with pytest.raises(ZeroDivisionError):
        fit(Model(4, 3), batches, loader(), Settings(1), checkpoint=path)
    assert not steps
    batches.broken = False
    looks.clear()
    fit(Model(4, 3), batches, loader(), Settings(3), checkpoint=path)
    assert steps and len(looks) == 1  # a fingerprint takes a while: once, not each epoch


def test_optimiser_state_comes_back_in_the_layout_of_its_parameter(tmp_path):
    layer = nn.Conv2d(3, 8, 3).to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(layer.parameters(), fused=True)
    layer(torch.randn(2, 3, 8, 8)).sum().backward()
    optimiser.step()
    checkpoint.save(tmp_path / "o", checkpoint.optimiser_tensors(optimiser), {})
    again = torch.optim.AdamW(layer.parameters(), fused=True)
    checkpoint.load_optimiser(again, checkpoint.load(tmp_path / "o")[0])
    for parameter in layer.parameters():
        for key, value in optimiser.state[parameter].items():
            assert torch.equal(value, again.state[parameter][key])
            assert value.stride() == again.state[parameter][key].stride()


def test_an_interruption_keeps_what_was_learnt_and_goes_on(tmp_path, capsys):
    class Interrupted(nn.Linear):
        calls = 0

        def forward(self, x):
            Interrupted.calls += 1
            if Interrupted.calls == 5:  # in the second epoch: three batches and one validation... a batch later
                raise KeyboardInterrupt
            return super().forward(x)

    torch.manual_seed(0)
    model = Interrupted(4, 3)
    path = tmp_path / "t.safetensors"
    Interrupted.calls = -3  # an epoch has three training and three validation batches
    result = train(path, model=model, epochs=3)
    assert result.ended == "interrupted" and len(result.history) == 1
    assert "goes on from" in capsys.readouterr().out
    assert torch.equal(model.weight, checkpoint.load(path)[0]["best/weight"])
    Interrupted.calls = 10
    resumed, plain = train(path, model=Interrupted(4, 3), epochs=3), train(None, epochs=3)
    drop = lambda rows: [{k: v for k, v in row.items() if k != "seconds"} for row in rows]  # noqa: E731
    assert drop(resumed.history) == drop(plain.history)


def test_an_interruption_in_the_first_epoch_gives_the_starting_weights_back(tmp_path, capsys):
    class Interrupted(nn.Linear):
        def forward(self, x):
            if self.training and len(x) == 2:  # the ragged last batch
                raise KeyboardInterrupt
            return super().forward(x)

    torch.manual_seed(0)
    model = Interrupted(4, 3)
    before = model.weight.detach().clone()
    result = train(tmp_path / "t.safetensors", model=model)
    assert torch.equal(model.weight, before) and result.val == {}
    assert "goes on" not in capsys.readouterr().out


def test_other_data_of_the_same_length_is_another_training(tmp_path):
    digits = tl.data.load("digits")
    model = lambda: nn.Sequential(Scaled(), nn.Linear(64, 10))  # noqa: E731

    def run_on(part, **changes):
        batches = Batches(part, **{"size": 8, "batch_size": 50, "shuffle": True, **changes})
        val = Batches(digits.val, size=8)
        return fit(
            model(), batches, val, Settings(1), hardware=pick_device("cpu"), checkpoint=tmp_path / "t.safetensors"
        )

    first, other = digits.train.subset(range(100)), digits.train.subset(range(100, 200))
    run_on(first)
    run_on(first)
    for part, changes in ((other, {}), (first, {"augment": augmentation("shift", 8)}), (first, {"seed": 3})):
        with pytest.raises(CourseError, match=r"differs in training data.*changed since.*--out runs/second"):
            run_on(part, **changes)


class Scaled(nn.Module):
    """Pictures as rows of numbers in 0..1."""

    def forward(self, x):
        return x.flatten(1).float() / 255


def test_a_finished_model_is_no_training_to_go_on_with(tmp_path):
    model = nn.Linear(2, 2)
    checkpoint.save(tmp_path / "model.safetensors", model.state_dict(), {"spec": {}})
    batches = [(torch.zeros(4, 2), torch.arange(4) % 2)]
    with pytest.raises(CourseError, match="written by another training"):
        fit(model, batches, batches, Settings(1), checkpoint=tmp_path / "model.safetensors")


def test_other_hardware_is_refused_and_the_threads_are_those_of_before(tmp_path):
    path = tmp_path / "training.safetensors"
    train(path)
    tensors, state = checkpoint.load(path)
    for key in ("torch", "device"):
        checkpoint.save(path, tensors, {**state, "hardware": {**state["hardware"], key: "other"}})
        with pytest.raises(CourseError, match="end with other numbers"):
            train(path)
    path.unlink()

    def stop(_):
        raise KeyboardInterrupt

    mine, seen = torch.get_num_threads(), []
    go_on = {"hardware": pick_device("cpu"), "checkpoint": path}
    assert fit(nn.Linear(4, 3), loader(), loader(), Settings(2), each_epoch=stop, **go_on).ended == "interrupted"
    tensors, state = checkpoint.load(path)
    checkpoint.save(path, tensors, {**state, "hardware": {**state["hardware"], "threads": mine + 1}})
    try:
        note = lambda _: seen.append(torch.get_num_threads())  # noqa: E731
        fit(nn.Linear(4, 3), loader(), loader(), Settings(2), each_epoch=note, **go_on)
        assert seen == [mine + 1] and torch.get_num_threads() == mine  # lent to this training alone
    finally:
        torch.set_num_threads(mine)


@pytest.mark.parametrize("own", ["loader", "batch sampler"])
def test_a_loader_with_a_generator_of_its_own_and_groups_with_options_resume_exactly(tmp_path, own):
    rows, labels = torch.randn(24, 4, generator=torch.Generator().manual_seed(0)), torch.arange(24) % 3

    def run(stop: int | None, file: Path, decay: float = 0.2) -> torch.Tensor:
        torch.manual_seed(0)
        model = torch.nn.Linear(4, 3)
        data, draw = TensorDataset(rows, labels), torch.Generator().manual_seed(5)
        how = {"batch_size": 6, "shuffle": True, "generator": draw}
        if own == "batch sampler":
            how = {"batch_sampler": BatchSampler(RandomSampler(data, generator=draw), 6, drop_last=False)}
        train = DataLoader(data, **how)
        groups = [{"params": [model.weight], "lr": 0.1, "weight_decay": decay}, {"params": [model.bias], "lr": 0.1}]

        def halt(row):
            if row["epoch"] == stop:
                raise ZeroDivisionError

        with contextlib.suppress(ZeroDivisionError):
            tl.fit(model, train, train, Settings(4, keep="last"), groups=groups, checkpoint=file, each_epoch=halt)
        return model.weight.detach()

    whole = run(None, tmp_path / "whole")
    assert not torch.equal(run(2, tmp_path / "cut"), whole)
    with pytest.raises(CourseError, match="differs in groups"):
        run(None, tmp_path / "cut", decay=0.9)
    assert torch.equal(run(None, tmp_path / "cut"), whole)


def test_numpys_numbers_are_the_same_training_and_layers_of_another_name_are_not(tmp_path):
    def run(model, rate):
        groups = [{"params": [*model.parameters()], "lr": rate}]
        where = {"hardware": pick_device("cpu"), "checkpoint": tmp_path / "t.safetensors"}
        return fit(model, loader(), loader(), Settings(1), groups=groups, **where).history

    assert run(nn.Linear(4, 3), np.float64(0.01)) == run(nn.Linear(4, 3), 0.01)
    with pytest.raises(CourseError, match="differs in layers"):
        run(nn.Sequential(nn.Linear(4, 3)), 0.01)


def test_a_file_that_can_not_be_looked_at_is_told(tmp_path):
    path = tmp_path / ("x" * 300)
    for look in (checkpoint.load, train):
        with pytest.raises(CourseError, match="File name too long"):
            look(path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read_is_told(tmp_path):
    train(path := tmp_path / "t.safetensors")
    path.chmod(0)
    with pytest.raises(CourseError, match="Permission denied"):
        train(path)


def test_validation_that_draws_is_the_same_pass_after_an_interruption(tmp_path):
    emoji = tl.data.load("emoji-google")
    few = [part.few(1) for part in (emoji.train, emoji.val)]

    def losses(stop: int | None, file: Path) -> list[float]:
        torch.manual_seed(0)
        model = tl.attach_head(tl.load_backbone("small_cnn", weights=None), tl.heads.linear(6))
        train, val = (Batches(part, size=16, augment=augmentation("crop", 16)) for part in few)

        def halt(row):
            if row["epoch"] == stop:
                raise ZeroDivisionError

        with contextlib.suppress(ZeroDivisionError):
            return [
                row["val_loss"] for row in fit(model, train, val, Settings(3), checkpoint=file, each_epoch=halt).history
            ]

    losses(1, tmp_path / "cut")
    assert losses(None, tmp_path / "cut") == losses(None, tmp_path / "whole")
