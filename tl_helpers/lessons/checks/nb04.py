"""Exercises of notebook 04: where a backbone is cut, how it is frozen, what it wants to be fed."""

import copy
from typing import Any

import torch
from torch import nn

from tl_helpers.lessons.checks import NotYet, ask, close, compare, exercise, need, number_from, tensor_from


@exercise("04.1", start="VGG16 halves the picture five times, and its last stage has 512 channels.")
def flat_width(answer: Any) -> str:
    """`answer`: flat_width(size) -> how many numbers VGG16's `.features` give for a size × size picture, flattened."""
    found = number_from(ask(answer, 224))
    mistakes = [
        (512, "those are the channels. Each is a map of 7 × 7 numbers, and flattening keeps them all."),
        (49, "that is one map. There are 512 of them."),
        (512 * 7, "a map has a height and a width: 7 · 7."),
        (512 * 14 * 14, "one halving is missing: there is a pooling layer after the fifth stage, too."),
        (4096, "that is the width after VGG's own first linear layer; cut before it."),
        (256 * 6 * 6, "those are AlexNet's numbers, from the article's listing. Here it is VGG16."),
        (224 * 224 * 3, "that is the picture going in. Look at what comes out of the last pooling layer."),
    ]
    look = "print `models.vgg16(weights=None).features(torch.zeros(1, 3, 224, 224)).shape` to see"
    compare(found, 512 * 7 * 7, mistakes, f"at 224 pixels yours gives {found:.6g}; {look}.")
    small = number_from(ask(answer, 128))
    need(small != 512 * 7 * 7, "25,088 is right at 224 pixels. How large is a map when the picture is 128 wide?")
    need(small == 512 * 4 * 4, f"a picture 128 wide leaves maps of 4 × 4, so 8,192 numbers; yours is {small:.6g}.")
    odd = number_from(ask(answer, 72))
    need(
        odd == 512 * 2 * 2,
        f"72 is halved to 36, 18, 9, 4, 2: pooling drops the odd row. Yours is {odd:.6g}; use `//`.",
    )
    wide = number_from(ask(answer, 120))
    need(wide == 512 * 3 * 3, f"120 is halved to 60, 30, 15, 7, 3: never rounded up. Yours is {wide:.6g}; use `//`.")
    return "25,088 at 224 pixels. Averaged over each map, only 512 are left, at any size: that is global pooling."


@exercise(
    "04.2", start="Two things: `parameter.requires_grad = False` for each, and what does batch norm do in `train()`?"
)
def freeze(answer: Any) -> str:
    """`answer`: freeze(module): nothing in it learns any more, batch norm's running statistics included."""
    torch.manual_seed(4)
    inner = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
    body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), inner, nn.Dropout(0.5))
    body.train()
    before = copy.deepcopy(body.state_dict())
    ask(answer, body, returns_nothing=True)
    learns = [name for name, parameter in body.named_parameters() if parameter.requires_grad]
    if learns:
        raise NotYet(_why_it_learns(body, learns))
    images = torch.randn(8, 3, 12, 12) * 3 + 5
    body(images)
    moved = [name for name, value in body.state_dict().items() if not torch.equal(value, before[name])]
    need(
        not moved,
        "no parameter learns, yet batch norm's running mean still follows the new pictures: it needs `.eval()`.",
    )
    need(
        torch.equal(body(images), body(images)),
        "two passes over the same pictures differ: dropout is still active. Call `.eval()` on the whole module.",
    )
    need(
        torch.allclose(body(images[:4]), body(images)[:4], atol=1e-4),
        "a picture's features depend on the others in its batch: batch norm must use what it remembers, so `.eval()`.",
    )
    return "Nothing moves now. Beware: a later `model.train()` wakes batch norm up; the course's loop handles that."


def _why_it_learns(body: nn.Module, learns: list[str]) -> str:
    if any("requires_grad" in vars(part) for part in body.modules()):
        return (
            "`module.requires_grad = False` only gives a module a new attribute. Use `requires_grad_(False)`, "
            "or loop over `.parameters()`."
        )
    if len(learns) == 8:
        return "all parameters still require gradients: set `requires_grad = False` on each, in the module itself, not in a copy."
    if all(name.startswith("3.") for name in learns):
        return "a module within the module still learns. `.parameters()` reaches all of them."
    if all(name.endswith("bias") for name in learns):
        return "the biases still learn."
    return f"{len(learns)} of 8 parameters still learn, {learns[0]} among them."


@exercise("04.3", start="First to float: `images.float() / 255`. Then mean and standard deviation, one a channel.")
def normalise(answer: Any) -> str:
    """`answer`: normalise(images uint8 (b, 3, h, w), mean, std: three floats each) -> float (b, 3, h, w)."""
    draw = torch.Generator().manual_seed(5)
    images = torch.randint(0, 256, (4, 3, 3, 3), dtype=torch.uint8, generator=draw)  # w = 3 lets wrong broadcasting run
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    found = tensor_from(ask(answer, images.clone(), mean, std), (4, 3, 3, 3))
    x = images.double() / 255
    m, s = (torch.tensor(values, dtype=torch.float64).view(3, 1, 1) for values in (mean, std))
    mistakes = [
        (
            255 * x,
            "that is the picture as it came, as floats. Divide by 255, subtract the mean, divide by the deviation.",
        ),
        (x, "0 to 1 is only the first half. Now `(x - mean) / std`."),
        ((255 * x - m) / s, "mean and deviation are for numbers from 0 to 1: divide by 255 first."),
        (x - m, "the mean is subtracted. Now divide by the standard deviation."),
        (x / s, "the deviation is right, but you never subtracted the mean."),
        (x - m / s, "brackets: `(x - mean) / std`."),
        ((x - m) * s, "you multiply by the standard deviation; divide by it."),
        (
            (x - m.view(3)) / s.view(3),
            "the mean runs along the **width**: it needs the shape (3, 1, 1) to run along the channels.",
        ),
        (
            (x - m.view(3, 1)) / s.view(3, 1),
            "the mean runs along the **height**: it needs the shape (3, 1, 1) to run along the channels.",
        ),
        ((x - 0.5) / 0.5, "0.5 and 0.5 suit EfficientNet-Lite; use the `mean` and `std` that you were given."),
    ]
    compare(found, (x - m) / s, mistakes, "this is not (images / 255 - mean) / std, channel by channel.", 1e-3)
    wide = torch.randint(0, 256, (2, 3, 4, 6), dtype=torch.uint8, generator=draw)
    again = tensor_from(ask(answer, wide, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)), (2, 3, 4, 6))
    need(close(again, wide.double() / 127.5 - 1, 1e-3), "with mean = std = 0.5 black should become -1 and white +1.")
    return "The same picture means something different to each network, so here each backbone normalises it itself."
