"""Augmentation: uint8 to uint8 at the size asked for, on grey and colour."""

import pytest
import torch

from tl_helpers.cli.train import AUGMENT
from tl_helpers.data import AUGMENTATIONS, augmentation, fit_square, views
from tl_helpers.data.transforms import SINGLE
from tl_helpers.errors import CourseError


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_uint8_in_uint8_out(name, channels):
    image = torch.randint(0, 256, (channels, 40, 56), dtype=torch.uint8)
    for strength in (0.0, 0.3, 0.5, 1.0):
        out = augmentation(name, 32, strength)(image)
        assert out.shape == (channels, 32, 32) and out.dtype == torch.uint8


def test_none_is_what_batches_do_without():
    image = torch.randint(0, 256, (3, 72, 72), dtype=torch.uint8)
    assert torch.equal(augmentation("none", 48)(image), fit_square(image, 48))


def test_cells_are_turned_into_every_corner():
    corner = torch.zeros(1, 64, 64, dtype=torch.uint8)
    corner[:, :32, :32] = 200
    torch.manual_seed(0)
    transform = augmentation("cells", 64)
    places = {int(transform(corner)[0].float().reshape(2, 32, 2, 32).mean((1, 3)).argmax()) for _ in range(40)}
    assert places == {0, 1, 2, 3}


def test_an_unknown_name_is_answered_with_those_there_are():
    with pytest.raises(CourseError, match=r"no augmentation 'mixup'.*flip-crop"):
        augmentation("mixup", 32)
    with pytest.raises(CourseError, match=r"strength 1\.5"):
        augmentation("turn", 32, 1.5)
    with pytest.raises(CourseError, match=r"no views 'turn'.*square"):
        views("turn", 32)


@pytest.mark.parametrize("name", SINGLE)
def test_a_single_change_grows_with_its_strength(name):
    ramp = torch.arange(64, dtype=torch.uint8).expand(3, 64, 64).clone()
    ramp[:, 20:40, 10:30] = 200

    def change(strength):
        torch.manual_seed(0)
        transform = augmentation(name, 64, strength)
        return sum((transform(ramp).float() - ramp).abs().mean() for _ in range(30))

    assert change(0.1) < change(1.0)


def test_what_a_turn_uncovers_is_background():
    grey = torch.full((1, 64, 64), 100, dtype=torch.uint8)
    for background in (0, 255):
        torch.manual_seed(0)
        turn = augmentation("turn", 64, 1.0, background)
        assert background in {int(turn(grey)[0, 0, 0]) for _ in range(5)}


def test_what_a_shift_uncovers_is_black_as_documented():
    white = torch.full((1, 32, 32), 255, dtype=torch.uint8)
    assert "black, whatever `background` says" in augmentation.__doc__
    assert min(int(augmentation("shift", 32, background=255)(white).min()) for _ in range(5)) == 0


def test_views_are_each_another_way_to_lay_the_picture():
    image = torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8)
    for name, number in {"none": 1, "flip": 2, "square": 8}.items():
        seen = [view(image) for view in views(name, 32)]
        assert torch.equal(seen[0], image) and len({tuple(one.flatten().tolist()) for one in seen}) == number
        if name == "flip":
            assert torch.equal(seen[1], image.flip(-1))


@pytest.mark.parametrize(
    ("name", "mirrors"), [("shift", False), ("flip-crop", True), ("colour", True), ("trivial", True)]
)
def test_letters_and_digits_are_never_mirrored_by_what_suits_them(name, mirrors):
    left = torch.zeros(1, 16, 16, dtype=torch.uint8)
    left[..., :8] = 200
    torch.manual_seed(0)
    seen = [augmentation(name, 16)(left).float() for _ in range(40)]
    assert any(picture[..., :8].mean() < picture[..., 8:].mean() for picture in seen) == mirrors
    assert AUGMENT["digits"] == ("shift", "none") and AUGMENT["elpv"][0] == "none"
