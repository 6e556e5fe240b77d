"""Fusion on made-up features whose answers are known, and on the real backbone."""

import pytest
import torch

import tl_helpers as tl
from tl_helpers.errors import CourseError
from tl_helpers.recipes import fusion


def domain(n: int, shift: float, seed: int, turn: bool = False):
    """Rows of three classes; the target is shifted, and where `turn` is set two of its classes have changed places."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 3
    shown = torch.tensor([1, 0, 2])[labels] if turn else labels
    rows = torch.randn(n, 8, generator=draw) + 3 * torch.nn.functional.one_hot(shown, 8) + shift
    return rows, labels


def right(head, rows, labels) -> float:
    return float((head(rows).argmax(1) == labels).float().mean())


SOURCE, FEW, LOOK = domain(300, 0.0, 0), domain(12, 0.5, 1), domain(300, 0.5, 2)


@pytest.mark.parametrize("fuse", [fusion.pooled, fusion.source_then_target, fusion.concatenated])
def test_both_domains_are_better_than_twelve_rows_alone(fuse):
    head = fuse(SOURCE, FEW)
    assert isinstance(head, torch.nn.Linear) and head.weight.shape == (3, 8)
    assert right(head, *LOOK) > right(tl.probe(FEW), *LOOK)


def test_the_spring_holds_or_lets_go():
    turned, look = domain(60, 0.0, 3, turn=True), domain(300, 0.0, 4, turn=True)
    source = tl.probe(SOURCE)
    held = fusion.source_then_target(SOURCE, turned, strength=0.0)
    torch.testing.assert_close(held(look[0]), source(look[0]), atol=1e-4, rtol=1e-4)
    free = fusion.source_then_target(SOURCE, turned, strength=10.0)
    assert right(free, *look) > 0.8 > 0.5 > right(source, *look)


def test_concatenated_is_a_probe_on_three_copies():
    zero = torch.zeros(12, 8)
    wide = torch.cat([torch.cat([SOURCE[0], SOURCE[0], torch.zeros(300, 8)], 1), torch.cat([FEW[0], zero, FEW[0]], 1)])
    reference = tl.probe((wide, torch.cat([SOURCE[1], FEW[1]])))
    expected = reference(torch.cat([LOOK[0], torch.zeros(300, 8), LOOK[0]], 1))
    torch.testing.assert_close(fusion.concatenated(SOURCE, FEW)(LOOK[0]), expected, atol=1e-4, rtol=1e-4)


def test_features_of_two_widths_are_told():
    with pytest.raises(CourseError, match="the same width; found 8 and 5"):
        fusion.pooled(SOURCE, (FEW[0][:, :5], FEW[1]))


def test_batch_norm_adapts_to_the_train_part_alone():
    emoji, backbone = tl.data.load("emoji-twitter"), tl.load_backbone("efficientnet_lite0")
    before, some = backbone.fingerprint, emoji.train.few(4)
    adapted = fusion.adapt_batch_norm(backbone, some, size=32)
    assert backbone.fingerprint == before != adapted.fingerprint and not adapted.training
    changed = {
        name for name, p in adapted.named_parameters() if not torch.equal(p, dict(backbone.named_parameters())[name])
    }
    assert not changed  # statistics are no parameters
    assert {m.momentum for m in adapted.modules() if hasattr(m, "momentum")} == {0.1}  # and counts on as before
    # one batch: the first norm's mean is that of the very maps it normalises
    stem = backbone.body.conv_stem(backbone.normalise(some.resized(32)))
    torch.testing.assert_close(adapted.body.bn1.running_mean, stem.mean((0, 2, 3)).detach(), atol=1e-4, rtol=1e-3)
    for part in (emoji.test, emoji):
        with pytest.raises(CourseError, match="train part"):
            fusion.adapt_batch_norm(backbone, part, size=32)
    with pytest.raises(CourseError, match="0 batch norms"):
        fusion.adapt_batch_norm(tl.load_backbone("vgg16_edges", weights=None), some, size=32)


def test_all_stages_are_joined_and_kept_under_a_key_of_their_own():
    backbone = tl.load_backbone("vgg16_edges", weights=None)
    every, some = fusion.AllStages(backbone), tl.data.load("emoji-google").train.few(1)
    with pytest.raises(CourseError, match="convolutional"):
        fusion.AllStages(tl.load_backbone("small_attention", weights=None))(torch.zeros(1, 1, 16, 16))
    rows = tl.features(every, some, size=32)
    assert rows.shape == (6, 2 * (64 + 128 + 256 + 512 + 512)) and every.fingerprint != backbone.fingerprint
    stages = backbone.forward_stages(some.resized(32))
    torch.testing.assert_close(rows[:, :64], stages["block1"].mean((2, 3)).detach(), atol=1e-3, rtol=1e-3)
