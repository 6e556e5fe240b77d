"""The four small networks do what any backbone does: any size, heads, freezing, checkpoints; wrong sizes are told."""

import copy

import pytest
import torch

import tl_helpers as tl
from tl_helpers.data import DIGITS, Batches, drawn_characters
from tl_helpers.engine.settings import Settings
from tl_helpers.errors import CourseError
from tl_helpers.models.small import BODIES

KINDS = list(BODIES)


@pytest.fixture(scope="module")
def drawn():
    return drawn_characters(200, seed=0, characters=DIGITS, size=8)


def bytes_of(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [0, 1, 2, 3])
def test_freezing_the_first_k_leaves_their_bytes(kind, k, drawn):
    tl.seed_everything(0)
    model = tl.attach_head(tl.load_backbone(kind, weights=None), tl.heads.linear(10))
    stages = model.backbone.stages
    if k >= len(stages):
        pytest.skip("it has no more stages")
    tl.models.unfreeze_from(model, list(stages)[k])
    before = {stage: [bytes_of(m) for m in modules] for stage, modules in stages.items()}
    train = Batches(drawn.train, batch_size=32, size=16, shuffle=True)
    tl.fit(model, train, Batches(drawn.val, size=16), Settings(epochs=1, lr=3e-3), hardware=tl.pick_device("cpu"))
    for place, (stage, modules) in enumerate(stages.items()):
        after = [bytes_of(m) for m in modules]
        same = all(torch.equal(a[n], b[n]) for a, b in zip(before[stage], after, strict=True) for n in a)
        learns = any(True for m in modules for _ in m.parameters())
        assert same == (place < k or not learns), stage


@pytest.mark.parametrize("kind", KINDS)
def test_grey_and_colour_small_and_large(kind):
    backbone = tl.load_backbone(kind, weights=None).eval()
    with torch.no_grad():
        for shape in ((2, 1, 16, 16), (2, 3, 32, 32), (2, 1, 8, 8), (2, 3, 24, 16)):
            images = torch.randint(0, 256, shape, dtype=torch.uint8)
            features = backbone(images)
            assert features.shape == (2, backbone.width) and features.isfinite().all()
            assert backbone.forward_maps(images).shape[:2] == (2, backbone.channels)
        grey = torch.randint(0, 256, (2, 1, 16, 16), dtype=torch.uint8)
        assert torch.allclose(backbone(grey), backbone(grey.expand(-1, 3, -1, -1)), atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "size", "told"), [("small_attention", 18, "multiples of 4"), ("small_cnn", 2, "at least 4")]
)
def test_a_size_that_does_not_fit_is_told(kind, size, told):
    with pytest.raises(CourseError, match=told):
        tl.load_backbone(kind, weights=None)(torch.zeros(1, 1, size, size))


def test_they_come_untrained_and_say_so():
    with pytest.raises(CourseError, match="comes untrained"):
        tl.load_backbone("small_cnn")


def test_transfer_and_checkpoint(drawn, tmp_path):
    model = tl.attach_head(tl.load_backbone("small_gru", weights=None), tl.heads.linear(10))
    result = tl.transfer(model, drawn, "scratch", epochs=1, checkpoint=tmp_path, hardware=tl.pick_device("cpu"))
    from tl_helpers.recipes.saved import load_model

    again, state = load_model(result.checkpoint)
    images = drawn.test.resized(16)
    with torch.inference_mode():
        assert torch.equal(again(images), model.eval()(images)) and state["size"] == 16
    assert copy.deepcopy(model).backbone.fingerprint == again.backbone.fingerprint
