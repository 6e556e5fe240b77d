"""Exercises of notebook 00: what a head costs, what guessing earns, how far to trust a share."""

from typing import Any

import torch

from tl_helpers.lessons.checks import ask, close, compare, exercise, need, number_from


@exercise("00.1", start="Count the weights first: how many numbers lead from 1,280 features to one class?")
def head_parameters(answer: Any) -> str:
    """`answer`: the number of trainable parameters of a linear head from 1,280 features to 6 classes."""
    found = number_from(answer)
    mistakes = [
        (1280 * 6, "that counts all the weights. Each class also has one number of its own: a bias."),
        (1280 * 6 + 1280, "a bias belongs to a class, not to a feature: there are six of them."),
        (1280 * 6 + 1, "each of the six classes has its own bias."),
        (1280 + 6, "every feature is connected to every class, so these two numbers are multiplied, not added."),
        (1281, "that is the head for one class. There are six."),
    ]
    compare(found, 7686, mistakes, "think of a table: a row per class, a column per feature, and one bias per row.")
    return "1,280 · 6 weights and 6 biases. EfficientNet-Lite0's body has 3.4 million parameters: you train one in 440."


@exercise("00.2", start="`labels.bincount()` counts each class. Which count does the lazy guesser get right?")
def chance(answer: Any) -> str:
    """`answer`: chance(labels) -> share of right answers for someone who always says the most frequent class."""
    labels = torch.tensor([0] * 142 + [1] * 135 + [2] * 126 + [3] * 166 + [4] * 73 + [5] * 202)
    found = number_from(ask(answer, labels))
    right = 202 / 844
    mistakes = [
        (202, "this is a count. Divide by the number of labels."),
        (100 * right, "this is a percentage; the exercise asks for a share, between 0 and 1."),
        (1 / 6, "that is guessing blindly among six. If you know that class 5 is the largest, you do better."),
        (5, "that says which class is the most frequent. What share of the labels belongs to it?"),
        (844 / 202, "upside down: a share is the part divided by the whole."),
        (
            float((labels.bincount() / 844).square().sum()),
            "that guesses each class as often as it occurs. Always giving the most frequent one is better.",
        ),
        (73 / 844, "that is the rarest class. Always answer the most frequent one."),
        (
            1 / 844,
            "no two labels counted as equal. (A `Counter` of tensors counts each alone: call `.tolist()` first.)",
        ),
    ]
    compare(found, right, mistakes, f"for labels with 202 of 844 in the largest class yours gives {found:.4g}.")
    again = number_from(ask(answer, torch.tensor([0, 0, 0, 1])))
    last = "for the labels 0, 0, 0, 1 yours is 0.25: that is the class with the highest number, not the most frequent."
    need(not close(again, 0.25), last)
    need(abs(again - 0.75) < 1e-6, f"for the labels 0, 0, 0, 1 the answer is 0.75; yours is {again:.4g}.")
    return "0.239 for the emoji: whatever a network achieves there, the first 24 in 100 come free."


@exercise("00.3", start="A share p of n right answers has the variance p · (1 - p) / n.")
def standard_error(answer: Any) -> str:
    """`answer`: standard_error(share, n) -> how far the share is off by luck alone, in the unit of the share."""
    found = number_from(ask(answer, 0.7, 207))
    right = (0.7 * 0.3 / 207) ** 0.5
    mistakes = [
        (0.7 * 0.3 / 207, "that is the variance. Take its square root."),
        ((0.7 * 0.3) ** 0.5, "that is the spread of one answer. The mean of n answers is steadier: divide by √n."),
        ((0.7 * 0.3) ** 0.5 / 207, "divide by n inside the square root, not outside."),
        (100 * right, "right, but in points. Stay with shares between 0 and 1."),
        (2 * right, "that is two standard errors. The exercise asks for one."),
        (1.96 * right, "that is half the width of a 95 % interval. The exercise asks for one standard error."),
    ]
    compare(found, right, mistakes, f"for a share of 0.7 of 207 yours gives {found:.4g}; try √(p (1 - p) / n).")
    again = number_from(ask(answer, 0.5, 100))
    need(abs(again - 0.05) < 1e-4, f"for half of 100 the answer is 0.05; yours is {again:.4g}.")
    return "0.032 for 0.7 of 207 emoji: two networks three points apart may well be equally good."
