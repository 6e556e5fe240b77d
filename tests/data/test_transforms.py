"""Augmentation: uint8 to uint8 at the size asked for, on grey and colour."""

import pytest
import torch

from tl_helpers.data import AUGMENTATIONS, augmentation, fit_square
from tl_helpers.errors import CourseError


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_uint8_in_uint8_out(name, channels):
    image = torch.randint(0, 256, (channels, 40, 56), dtype=torch.uint8)
    for _ in range(4):
        out = augmentation(name, 32)(image)
        assert out.shape == (channels, 32, 32) and out.dtype == torch.uint8


def test_none_is_what_batches_do_without():
    image = torch.randint(0, 256, (3, 72, 72), dtype=torch.uint8)
    assert torch.equal(augmentation("none", 48)(image), fit_square(image, 48))


def test_cells_turn_and_keep_their_brightness():
    corner = torch.zeros(1, 64, 64, dtype=torch.uint8)
    corner[:, :32, :32] = 200
    transform = augmentation("cells", 64)
    places = {int(transform(corner)[0].float().reshape(2, 32, 2, 32).mean((1, 3)).argmax()) for _ in range(40)}
    assert places == {0, 1, 2, 3}


def test_an_unknown_name_is_answered_with_those_there_are():
    with pytest.raises(CourseError, match=r"no augmentation 'mixup'.*flip-crop"):
        augmentation("mixup", 32)
