"""Notebook 15: the right answers, other ways to write them, and every wrong answer that has a hint of its own."""

import math

import numpy as np
import torch
from verdicts import test_right, test_wrong_answers_get_their_own_hint  # noqa: F401


def groups_by(key):
    def answer(names):
        things = [key(name) for name in names]
        return [things.index(thing) for thing in things]

    return answer


def needed(p, width):
    return math.ceil(4 * p * (1 - p) / width**2 - 1e-9)


def line(of_labels=np.log, of_errors=np.log, back=np.exp, of_goal=None):
    def answer(labels, errors, goal):
        slope, height = np.polyfit(of_labels(labels), of_errors(errors), 1)
        return float(back(((of_goal or of_errors)(goal) - height) / slope))

    return answer


def swapped(labels, errors, goal):
    slope, height = np.polyfit(np.log(labels), np.log(errors), 1)
    return math.exp(height) * goal**slope


def fitted_backwards(labels, errors, goal):
    return math.exp(np.polyval(np.polyfit(np.log(errors), np.log(labels), 1), math.log(goal)))


def limit_from(own, share, **how):
    return float(np.quantile(own.numpy(), share, **how))


RIGHT = [
    ("15.1", groups_by(lambda name: name.rpartition("_")[0])),
    ("15.1", lambda names: torch.tensor(groups_by(lambda name: name.rsplit("_", 1)[0])(names))),
    ("15.2", needed),
    ("15.2", lambda p, width: float(needed(p, width))),
    ("15.3", line()),
    ("15.3", line(np.log2, np.log2, np.exp2)),
    ("15.4", lambda own, new, share: new < own.quantile(share)),
    ("15.4", lambda own, new, share: new < limit_from(own, share)),
    ("15.4", lambda own, new, share: new < limit_from(own, share, method="lower")),
    ("15.4", lambda own, new, share: new <= limit_from(own, share, method="lower")),
    ("15.4", lambda own, new, share: new < limit_from(own, share, method="higher")),
    ("15.4", lambda own, new, share: new <= own.kthvalue(round(share * len(own))).values),
    ("15.4", lambda own, new, share: new < own.sort().values[int(share * len(own))]),
]
WRONG = [
    ("15.1", groups_by(lambda name: name.split("_")[0]), "**first**"),
    ("15.1", groups_by(lambda name: name.split("_")[1]), "two things"),
    ("15.1", groups_by(lambda name: name.rpartition("_")[2]), "**after**"),
    ("15.1", groups_by(lambda name: name), "a group of its own"),
    ("15.1", groups_by(lambda name: "_".join(name.split("_")[:2])), "**last**"),
    ("15.1", groups_by(lambda name: 0), "all pictures are one group"),
    ("15.1", lambda names: [0, 1, 1, 1, 2, 2, 3, 4], "have different numbers"),
    ("15.1", lambda names: [name.rpartition("_")[0] for name in names], "whole numbers"),
    ("15.1", lambda names: sorted(set(groups_by(lambda name: name.rpartition("_")[0])(names))), "for **each** name"),
    ("15.1", lambda names: {name: 0 for name in names}, "a dict"),
    ("15.2", lambda p, width: p * (1 - p) / width**2, "**one** standard error"),
    ("15.2", lambda p, width: math.ceil(p * (1 - p) / width**2), "**one** standard error"),
    ("15.2", lambda p, width: math.ceil(1.96**2 * p * (1 - p) / width**2), "two, not 1.96"),
    ("15.2", lambda p, width: 1.96**2 * p * (1 - p) / width**2, "two, not 1.96"),
    ("15.2", lambda p, width: math.ceil(16 * p * (1 - p) / width**2), "**one** side"),
    ("15.2", lambda p, width: math.ceil(2 * (p * (1 - p)) ** 0.5 / width), "a square is missing"),
    ("15.2", lambda p, width: math.ceil(4 * p / width**2), "1 − p"),
    ("15.2", lambda p, width: math.ceil(4 * p * (1 - p) / width), "squared in the denominator"),
    ("15.2", lambda p, width: 4 * p * (1 - p) / width**2, "rounded **up**"),
    ("15.2", lambda p, width: math.floor(4 * p * (1 - p) / width**2 + 1e-9), "one picture fewer"),
    ("15.2", lambda p, width: int(4 * p * (1 - p) / width**2) + 1, "just enough"),
    ("15.2", lambda p, width: 7, "it takes"),
    ("15.3", line(back=float), "**logarithm**"),
    ("15.3", line(np.array, np.array, float), "below zero"),
    ("15.3", line(of_errors=np.array), "the errors need"),
    ("15.3", line(of_labels=np.array, back=float), "the labels need"),
    ("15.3", swapped, "swapped"),
    ("15.3", line(of_goal=lambda goal: np.log(1 - goal)), "not an accuracy"),
    ("15.3", fitted_backwards, "the labels to the errors"),
    ("15.3", lambda labels, errors, goal: 1.0, "you have 1"),
    ("15.4", lambda own, new, share: new >= own.quantile(share), "**keep**"),
    ("15.4", lambda own, new, share: new < own.quantile(1 - share), "nearly all"),
    ("15.4", lambda own, new, share: new < new.quantile(share), "**own**"),
    ("15.4", lambda own, new, share: new < share, "not a cosine"),
    ("15.4", lambda own, new, share: new < own.min() + share * (own.max() - own.min()), "the **range**"),
    ("15.4", lambda own, new, share: new < own.min(), "below **all**"),
    ("15.4", lambda own, new, share: own.quantile(share) - new, "True or False"),
    ("15.4", lambda own, new, share: new < 0.5, "something else"),
    ("15.4", lambda own, new, share: new < own.mean() - 2 * own.std(), "lies between"),
]
