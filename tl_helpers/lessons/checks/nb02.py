"""Exercises of notebook 02: compositing, a grey filter, class weights, a threshold, what leaks into a test set."""

from typing import Any

import torch

from tl_helpers.lessons.checks import ask, close, compare, exercise, need, number_from, tensor_from


@exercise("02.1", start="Split the picture first: `colour, alpha = rgba[:3].float(), rgba[3:].float() / 255`.")
def composite(answer: Any) -> str:
    """`answer`: composite(rgba uint8 (4, h, w), background of three numbers 0..255) -> (3, h, w), 0..255."""
    rgba = torch.randint(0, 256, (4, 6, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
    rgba[3, :3], rgba[3, 3] = 0, 255
    background = (200, 100, 40)
    before = rgba.clone()
    found = ask(answer, rgba, background)
    need(torch.equal(rgba, before), "your function changes the picture it is given. Work on a copy.")
    found = tensor_from(found, (3, 6, 5))
    need(found.isfinite().all(), "there is a nan in it. Is something divided by an alpha of 0?")
    colour, alpha, below = rgba[:3].double(), rgba[3:].double() / 255, torch.tensor(background).double().view(3, 1, 1)
    right = colour * alpha + below * (1 - alpha)
    mistakes = [
        (colour, "that is `convert('RGB')`: alpha is dropped, and the colours hidden under it show up."),
        (below * alpha + colour * (1 - alpha), "the wrong way round: where alpha is 255, the **drawing** shows."),
        (colour * alpha, "that is the drawing on black. Add the background where the drawing lets it through."),
        (colour * alpha + below, "the background shows only where the drawing lets it through: times (1 - alpha)."),
        (torch.where(alpha > 0, colour, below), "half-transparent edges are a **mixture**: weight both by alpha."),
        (torch.where(alpha > 0.5, colour, below), "half-transparent edges are a **mixture**: weight both by alpha."),
        (colour * alpha + 255 * (1 - alpha), "that is white, whatever background you are given."),
        (right / 255, "nearly: this is in 0…1, and should be in 0…255."),
    ]
    for wrong, hint in mistakes:
        need((found - wrong).abs().max() > (0.01 if wrong.max() < 2 else 1.01), hint)
    need(
        (found - right).abs().max() <= 1.01,  # rounding up, down or to the nearest
        "each value should be colour · alpha + background · (1 - alpha), with alpha in 0…1. uint8 overflows: use `.float()`.",
    )
    return "Where alpha is 0, none of the file's own colour is left, and that is the point."


@exercise("02.2", start="A grey picture has the same value g in all three channels. Write out w₁g + w₂g + w₃g.")
def grey_filters(answer: Any) -> str:
    """`answer`: grey_filters(weight (out, 3, h, w)) -> (out, 1, h, w), answering grey as `weight` does grey three times."""
    weight = torch.randn(8, 3, 3, 3, generator=torch.Generator().manual_seed(4))
    found = tensor_from(ask(answer, weight.clone()), (8, 1, 3, 3))
    right = weight.sum(1, keepdim=True)
    luma = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    mistakes = [
        (
            right / 3,
            "that is the mean: every answer is a third of what the next layers expect. The channels are **added** up.",
        ),
        (weight[:, :1], "that is the red channel alone. All three look at the same grey value."),
        (
            (weight * luma).sum(1, keepdim=True),
            "those weights turn colours into grey. The picture is already grey; here you combine filters, not colours.",
        ),
        (weight.abs().sum(1, keepdim=True), "keep the signs: red minus green sees nothing in grey, and that is right."),
        (weight.norm(dim=1, keepdim=True), "keep the signs: red minus green sees nothing in grey, and that is right."),
        (weight.amax(1, keepdim=True), "the channels of a filter are added, not compared."),
    ]
    compare(found, right, mistakes, "on a grey picture your filter should answer as the colour filter does.")
    return "One channel, a third of the work, the same answers. It is exact if the three channels are normalised alike."


@exercise("02.3", start="`labels.bincount()` is a good start: the rarer a class, the more each of its items counts.")
def class_weights(answer: Any) -> str:
    """`answer`: class_weights(labels (n,)) -> (classes,), inverse to the counts; the samples' mean weight is 1."""
    labels = torch.tensor([0] * 60 + [1] * 30 + [2] * 10)
    found = tensor_from(ask(answer, labels.clone()), (3,))
    counts = labels.bincount().double()
    right = 100 / (3 * counts)
    mistakes = [
        (counts / 100, "those are the classes' shares: the most frequent class would count most. Invert them."),
        (counts, "those are the counts: the most frequent class would count most. Invert them."),
        (
            1 / counts,
            "the ratios are right. But the whole loss shrinks by n / k, and the step with it: multiply by n / k.",
        ),
        (100 / counts, "the ratios are right, but a sample's mean weight is 3, the number of classes. Divide by it."),
        (counts.sum() / (3 * counts.flip(0)), "the classes have changed places."),
        (
            (100 / (3 * counts)).sqrt(),
            "the square root is a milder choice that some make; the exercise asks for the full weight.",
        ),
        (
            right / right.sum(),
            "the ratios are right. The weights don't have to sum to 1; the **samples'** mean weight should be 1.",
        ),
        (right / right.mean(), "the ratios are right. The mean over the **samples** must be 1, not over the classes."),
        (1 - counts / 100, "1 minus the share is not enough: a class half as frequent should count twice as much."),
        (torch.ones(3), "all are equal, so nothing is balanced."),
    ]
    compare(found, right, mistakes, "60, 30 and 10 samples should give 0.556, 1.111 and 3.333.")
    other = tensor_from(ask(answer, torch.tensor([0, 1, 1, 1])), (2,))
    compare(
        other,
        [2.0, 2 / 3],
        [],
        "with 1 and 3 samples the weights are 2 and 0.667. Does everything come from `labels`?",
    )
    return "Each class now has the same say, and the loss keeps its size."


@exercise("02.4", start="Try every probability that occurs as a threshold, and keep the one with the best score.")
def best_threshold(answer: Any) -> str:
    """`answer`: best_threshold(p (n,), labels (n,)) -> a threshold that maximises balanced accuracy of `p >= threshold`."""
    draw = torch.Generator().manual_seed(5)
    labels = (torch.arange(200) % 10 == 0).long()
    p = (0.15 + 0.15 * labels + 0.1 * torch.randn(200, generator=draw)).clamp(0.01, 0.99)
    found = number_from(ask(answer, p.clone(), labels.clone()))

    def scores(threshold: Any) -> tuple[Any, Any, Any]:
        """Balanced accuracy, F1 and accuracy at each threshold."""
        said = p >= torch.as_tensor(threshold, dtype=p.dtype).reshape(-1, 1)
        rare, hits = labels == 1, (said & (labels == 1)).sum(1).double()
        quiet = (~said & ~rare).sum(1)
        f1 = 2 * hits / (said.sum(1) + rare.sum())
        return hits / rare.sum() / 2 + quiet / (~rare).sum() / 2, f1, (hits + quiet) / len(p)

    balanced, best = float(scores(found)[0]), [float(p[every.argmax()]) for every in scores(p)]
    top = float(scores(best[0])[0])
    if balanced > top - 0.005:
        halved = 2 * number_from(ask(answer, p / 2, labels.clone()))
        need(
            float(scores(halved)[0]) > top - 0.03,
            "with all probabilities halved, it should be about half. Is `p` used?",
        )
    if balanced > top - 1e-6:
        return "Choose it on validation, use it unchanged on test: a threshold is a setting like any other."
    mistakes = [
        (0.5, "0.5 is where the two classes are equally probable; it takes no score into account."),
        (top, "that is the best score; return the **threshold** that earns it."),
        (best[1], "that is the best threshold for F1. Other scores choose other thresholds."),
        (best[2], "that is the best threshold for plain accuracy, which hardly looks at the rare class."),
        (float(p.median()), "that is the median: half would be called rare, but only a tenth are."),
        (float(p.mean()), "that is the mean of the probabilities; it ignores the labels."),
        (
            float(p.topk(int(labels.sum())).values[-1]),
            "that matches the classes' shares, which isn't what scores best.",
        ),
    ]
    for wrong, hint in mistakes:
        need(not close(found, wrong, 1e-6), hint)
    need(0 <= found <= 1, f"a threshold for probabilities lies between 0 and 1; yours is {found:.4g}.")
    need(
        balanced > top - 0.005,
        f"a threshold of {found:.3f} has a balanced accuracy of {balanced:.3f} here; {top:.3f} is possible.",
    )
    return f"Close: {balanced:.3f}; {top:.3f} is possible. (Did you score p > t instead of p >= t, or was your grid too coarse?)"


@exercise(
    "02.5",
    start="`set(train_groups.tolist())` is what training has seen. Now ask each **test item** whether its group is there.",
)
def leaking_share(answer: Any) -> str:
    """`answer`: leaking_share(train_groups (n,), test_groups (m,)) -> share of test items whose group is also in train."""
    train, test = torch.tensor([0, 0, 0, 1, 2, 3, 3, 9, 9, 9, 9]), torch.tensor([3, 3, 3, 4, 5, 1, 6, 6])
    found = number_from(ask(answer, train.clone(), test.clone()))
    mistakes = [
        (4, "this is a count. Divide by the number of test items."),
        (50, "this is a percentage; a share lies between 0 and 1."),
        (2 / 5, "you counted **groups**. A group of three in the test set leaks three times: count items."),
        (2 / 8, "you divided groups by items. Count items in both places."),
        (3 / 11, "you counted the training items. It is the test set's score that is at stake: count **its** items."),
        (4 / 11, "divide by the number of **test** items."),
        (4 / 19, "divide by the number of test items, not of all."),
        (
            0,
            "nothing leaks? Groups 1 and 3 are on both sides. (A set of tensors finds no match: call `.tolist()` first.)",
        ),
        (2, "that is how many groups are on both sides. What share of the test items is in them?"),
    ]
    if not close(found, 0.5):
        compare(found, 0.5, mistakes, f"4 of the 8 test items have their group in training; yours is {found:.4g}.")
    other = number_from(ask(answer, torch.tensor([1, 2]), torch.tensor([3])))
    need(other == 0, f"where no group is on both sides the share is 0; yours is {other:.4g}.")
    return "It is the first number to ask for when you see someone's split. For ours it is 0."
