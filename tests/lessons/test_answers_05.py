"""Notebook 05: the right answers, other ways to write them, and every wrong answer that has a hint of its own."""

import copy

import torch
from torch.nn.functional import normalize
from verdicts import test_right, test_wrong_answers_get_their_own_hint  # noqa: F401


def least(curve, goal):
    return min((labels for labels, reached in curve.items() if reached >= goal), default=None)


def first_in_order(curve, goal):
    for labels in sorted(curve):
        if curve[labels] >= goal:
            return labels


def gives_up_at_once(curve, goal):
    for labels in sorted(curve):
        return labels if curve[labels] >= goal else None


def copied(stages=slice(None), what=lambda module: module.state_dict(), strict=True):
    def answer(source, target, k):
        for old, new in list(zip(source, target, strict=True))[stages][:k]:
            new.load_state_dict(what(old), strict=strict)
        return target

    return answer


def shares_modules(source, target, k):
    for i in range(k):
        target[i] = source[i]
    return target


def copies_parameters_only(source, target, k):
    for old, new in list(zip(source, target, strict=True))[:k]:
        for p, q in zip(old.parameters(), new.parameters(), strict=True):
            q.data.copy_(p.data)
    return target


def copies_from_the_top(source, target, k):
    for i in range(len(source) - k, len(source)):
        target[i].load_state_dict(source[i].state_dict())
    return target


def copies_and_freezes(source, target, k):
    copied()(source, target, k)
    target[:k].requires_grad_(False)
    return target


def copies_deeply(source, target, k):
    for i in range(k):
        target[i] = copy.deepcopy(source[i])
    return target


def partners(unit=lambda z: normalize(z, dim=1), itself=False, of=lambda right: right.float().mean().item()):
    def answer(a, b):
        z = unit(torch.cat([a, b]))
        table = z @ z.T if itself else (z @ z.T).fill_diagonal_(-torch.inf)
        return of(table.argmax(1) == torch.arange(len(z)).roll(len(a)))

    return answer


def second_place(a, b):
    z = normalize(torch.cat([a, b]), dim=1)
    return ((z @ z.T).topk(2).indices[:, 1] == torch.arange(len(z)).roll(len(a))).float().mean()


def diagonal_of_zeros(a, b):
    z = normalize(torch.cat([a, b]), dim=1)
    return ((z @ z.T).fill_diagonal_(0).argmax(1) == torch.arange(len(z)).roll(len(a))).float().mean()


def one_half(a, b):
    return (normalize(a) @ normalize(b).T).argmax(1).eq(torch.arange(len(a))).float().mean()


def half_asks(a, b):
    z = normalize(torch.cat([a, b]), dim=1)
    nearest = (z @ z.T).fill_diagonal_(-torch.inf).argmax(1)
    return (nearest[: len(a)] == torch.arange(len(a)) + len(a)).float().mean()


def in_place(a, b):
    a /= a.norm(dim=1, keepdim=True)
    return partners()(a, b)


RIGHT = [
    ("05.1", least),
    ("05.1", first_in_order),
    ("05.1", lambda curve, goal: next((n for n in sorted(curve) if curve[n] >= goal), None)),
    ("05.2", copied()),
    ("05.2", copies_deeply),
    ("05.3", partners()),
    ("05.3", lambda a, b: partners()(a, b)),
]
WRONG = [
    ("05.1", lambda curve, goal: next(n for n in curve if curve[n] >= goal), "in no particular order"),
    ("05.1", lambda curve, goal: max(curve), "the most labels"),
    ("05.1", lambda curve, goal: min(curve), "compare the accuracy"),
    ("05.1", lambda curve, goal: min(v for v in curve.values() if v >= goal), "an accuracy"),
    ("05.1", lambda curve, goal: min(n for n, v in curve.items() if v > goal), "`>=`"),
    ("05.1", lambda curve, goal: min(n for n, v in curve.items() if v >= goal), "ValueError"),
    ("05.1", lambda curve, goal: least(curve, goal) or 0, "None; yours is 0"),
    ("05.1", gives_up_at_once, "None means that no number of labels reaches 0.85; here 5 labels do"),
    ("05.1", lambda curve, goal: least(curve, goal) if goal < 0.86 else None, "reaches 0.875"),
    ("05.2", lambda source, target, k: source, "return `target`"),
    ("05.2", lambda source, target, k: target, "nothing was copied"),
    ("05.2", shares_modules, "share their tensors"),
    ("05.2", copies_parameters_only, "buffers"),
    ("05.2", copies_from_the_top, "from the top"),
    ("05.2", copies_and_freezes, "frozen"),
    ("05.2", lambda source, target, k: copied()(source, target, 3), "all three"),
    ("05.2", lambda source, target, k: copied()(source, target, 1), "1 were copied"),
    ("05.2", lambda source, target, k: copied()(source, target, max(k, 1) if k != 3 else 2), "with k = 0"),
    ("05.3", partners(itself=True), "itself"),
    ("05.3", partners(unit=lambda z: z), "length 1"),
    ("05.3", partners(of=lambda right: right.sum()), "a count"),
    ("05.3", partners(of=lambda right: 2 * right.float().mean()), "2n views"),
    ("05.3", partners(of=lambda right: 100 * right.float().mean()), "percentage"),
    ("05.3", partners(of=lambda right: 1 - right.float().mean()), "miss"),
    ("05.3", one_half, "own half"),
    ("05.3", half_asks, "b's look, too"),
    ("05.3", in_place, "copies"),
    ("05.3", second_place, "instead of using the second place"),
    ("05.3", diagonal_of_zeros, "`-torch.inf`"),
]
