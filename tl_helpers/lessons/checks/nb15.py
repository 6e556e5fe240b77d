"""Exercises of notebook 15: groups from file names, test set size, extrapolating a power law, refusing strangers."""

import math
from typing import Any

import numpy as np
import torch

from tl_helpers.lessons.checks import a_kind, ask, close, compare, exercise, need, number_from, tensor_from


@exercise("15.1", start="`name.rpartition('_')[0]` is what stands before the last `_`.")
def groups_from(answer: Any) -> str:
    """`answer`: f(names) -> a number for each name, the same for names that agree up to their last underscore."""
    names = ["robin_3_001.png", "robin_3_002.png", "robin_4_001.png", "owl_3_001.png", "robin_3_010.png", "owl_3_9.png"]
    names += ["barn_owl_3_001.png", "barn_owl_4_001.png"]
    found = ask(answer, list(names))
    found = found.tolist() if hasattr(found, "tolist") else found
    need(isinstance(found, (list, tuple)), f"a number for each name was expected; this is {a_kind(found)}.")
    need(len(found) == len(names), f"{len(names)} names went in, {len(found)} numbers came out. One for **each** name.")
    named = any(isinstance(x, (str, bytes, list, tuple)) for x in found)
    need(not named, "these are the things' names. `make_split` takes whole numbers.")

    def same(numbers: list) -> list[list[bool]]:
        return [[a == b for b in numbers] for a in numbers]

    mistakes = [
        ([0, 0, 0, 1, 0, 1, 2, 2], "you cut at the **first** `_`: then all robins are one bird."),
        ([0, 0, 1, 0, 0, 0, 2, 2], "`robin_3` and `owl_3` are two things: what comes before the number counts, too."),
        ([0, 1, 0, 0, 2, 3, 0, 0], "you took what comes **after** the last `_`: that is the picture, not the bird."),
        ([0, 1, 2, 3, 4, 5, 6, 7], "every picture is a group of its own here, so nothing is kept together."),
        ([0, 0, 1, 2, 0, 2, 3, 3], "cut at the **last** `_`: the name of a thing may contain more of them."),
        ([0] * 8, "all pictures are one group here, which could not be split at all."),
    ]
    for wrong, hint in mistakes:
        need(same(found) != same(wrong), hint)
    need(
        same(found) == same([0, 0, 1, 2, 0, 2, 3, 4]),
        "some pictures that belong together have different numbers, or the reverse.",
    )
    return "A well-kept file name is worth more than any cosine."


@exercise("15.2", start="Half the width is two standard errors: `2 * (p * (1 - p) / n) ** 0.5`. Solve it for `n`.")
def pictures_needed(answer: Any) -> str:
    """`answer`: f(accuracy, half_width) -> the smallest whole n with 2 sqrt(p (1 - p) / n) <= half_width."""
    for p, width in ((0.8, 0.03), (0.5, 0.1), (0.97, 0.013), (0.5, 0.25)):
        found = number_from(ask(answer, p, width))
        exact = 4 * p * (1 - p) / width**2
        right = math.ceil(exact - 1e-9)
        mistakes = [
            (exact / 4, "that is for **one** standard error. The interval takes two."),
            (math.ceil(exact / 4), "that is for **one** standard error. The interval takes two."),
            (1.96**2 * exact / 4, "that is for 1.96 standard errors. Here the interval takes two, not 1.96."),
            (
                math.ceil(1.96**2 * exact / 4),
                "that is for 1.96 standard errors. Here the interval takes two, not 1.96.",
            ),
            (math.ceil(16 * p * (1 - p) / width**2), "`half_width` is already the width on **one** side."),
            (
                math.ceil(2 * (p * (1 - p)) ** 0.5 / width),
                "a square is missing: the width falls with the **root** of n.",
            ),
            (math.ceil(4 * p / width**2), "the spread of a coin is p · (1 − p); `1 − p` is missing."),
            (math.ceil(4 * p * (1 - p) / width), "the half width is squared in the denominator."),
        ]
        if close(exact, right, 1e-12):
            mistakes.append(
                (right + 1, f"{right} pictures are just enough: `math.ceil` leaves a whole number as it is.")
            )
        if right != exact:
            mistakes.append((exact, "return a whole number, rounded **up**: `math.ceil`."))
            mistakes.append((math.floor(exact), "round **up**: with one picture fewer the interval is too wide."))
        compare(found, right, mistakes, f"for {p} ± {width} it takes {right}; you have {found:g}.", tolerance=1e-9)
    return "Half the width costs four times as many pictures."


@exercise("15.3", start="`np.polyfit(np.log(labels), np.log(errors), 1)` gives slope and height of the line.")
def labels_for(answer: Any) -> str:
    """`answer`: f(labels, errors, goal) -> number of labels at which the fitted power law reaches `goal`."""
    labels, errors, goal = [30, 60, 120, 240], [0.6, 0.52, 0.43, 0.37], 0.25
    found = number_from(ask(answer, list(labels), list(errors), goal))
    slope, height = np.polyfit(np.log(labels), np.log(errors), 1)
    right = math.exp((math.log(goal) - height) / slope)
    straight, at = np.polyfit(labels, errors, 1)
    half, base = np.polyfit(np.log(labels), errors, 1)
    up, foot = np.polyfit(labels, np.log(errors), 1)
    back, far = np.polyfit(np.log(errors), np.log(labels), 1)
    mistakes = [
        (math.log(right), "that is the **logarithm** of the answer."),
        (
            (goal - at) / straight,
            "that is a straight line without logarithms: it would soon reach an error below zero.",
        ),
        (math.exp((goal - base) / half), "the errors need their logarithm, too."),
        ((math.log(goal) - foot) / up, "the labels need their logarithm, too."),
        (math.exp(height) * goal**slope, "labels and errors are swapped: this is the error at `goal` labels."),
        (math.exp((math.log(1 - goal) - height) / slope), "`goal` is already an error, not an accuracy."),
        (
            math.exp(back * math.log(goal) + far),
            "you fitted the labels to the errors. Fit the errors to the labels, `np.polyfit(np.log(labels), …)`, then solve.",
        ),
    ]
    otherwise = f"the line reaches {goal} at about {right:.0f} labels; you have {found:g}."
    compare(found, right, mistakes, otherwise, tolerance=1e-3)
    return f"From 240 labels to {right:.0f}: that far out, the line is a hope."


@exercise("15.4", start="`own.quantile(share)` is the limit below which `share` of your own pictures lie.")
def refuse(answer: Any) -> str:
    """`answer`: f(own (n,), new (m,), share) -> booleans (m,), True where the cosine lies below own's quantile."""
    draw = torch.Generator().manual_seed(15)
    own = 0.6 + 0.4 * torch.rand(200, generator=draw) ** 0.3  # most are near 1, as your own pictures' cosines are
    cosines = torch.linspace(0.3, 1.0, 141)
    for share in (0.05, 0.2):
        k, limit = round(share * len(own)), own.quantile(share)
        low, high = own.sort().values[k - 1 : k + 1]
        new = cosines[(cosines < low) | (cosines > high)]  # the limit may lie anywhere between these two of your own
        found = tensor_from(ask(answer, own.clone(), new.clone(), share), tuple(new.shape))
        need(set(found.unique().tolist()) <= {0.0, 1.0}, "True or False for each: compare the cosines with the limit.")
        mistakes = [
            ((new >= limit).double(), "these are the ones to **keep**: a stranger has a **small** cosine."),
            (
                (new < own.quantile(1 - share)).double(),
                "this refuses nearly all: `share` is what lies **below** the limit.",
            ),
            (
                (new < new.quantile(share)).double(),
                "the limit comes from your **own** pictures, not from the new ones.",
            ),
            ((new < share).double(), "`share` is a share of pictures, not a cosine. Its quantile is the limit."),
            (
                (new < own.min() + share * (own.max() - own.min())).double(),
                "that is a share of the **range** from your smallest to largest cosine; take a share of the pictures.",
            ),
            ((new < own.min()).double(), "this refuses only what lies below **all** of your own."),
        ]
        if not close(found, (new < limit).double()):
            compare(
                found,
                (new < limit).double(),
                mistakes,
                f"the limit at {share} lies between {low:.3f} and {high:.3f}; something else was used.",
            )
    return "The price is fixed: that share of your own is sent back, too. What it buys depends on the strangers."
