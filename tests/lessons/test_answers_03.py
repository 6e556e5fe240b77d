"""Notebook 03: the right answers, other ways to write them, and every wrong answer that has a hint of its own."""

import torch
from torch.nn import functional as F
from verdicts import test_right, test_wrong_answers_get_their_own_hint  # noqa: F401


def labels(how):
    return lambda a, b, s, k: how(F.one_hot(a, k).float(), F.one_hot(b, k).float(), s[:, None])


def overwritten(a, b, share, classes):
    rows, each = torch.zeros(len(a), classes), torch.arange(len(a))
    rows[each, a] = share
    rows[each, b] = 1 - share
    return rows


def row_by_row(a, b, share, classes):
    return [s * F.one_hot(i, classes) + (1 - s) * F.one_hot(j, classes) for i, j, s in zip(a, b, share, strict=True)]


def unclipped(h, w, t, left, b, r):
    if t >= h or left >= w:  # right and below are thought of; above and left are not
        return 1.0
    return 1 - (min(b, h) - max(t, 0)) * (min(r, w) - max(left, 0)) / (h * w)


def share(how):
    return lambda h, w, t, left, b, r: how(h, w, t, left, b, r)


def cut(h, w, t, left, b, r):
    return 1 - max(0, min(b, h) - max(t, 0)) * max(0, min(r, w) - max(left, 0)) / (h * w)


def mirror(how):
    return lambda batch, chosen: torch.where(chosen.view(-1, 1, 1, 1), how(batch), batch)


def in_place(batch, chosen):
    batch[chosen] = batch[chosen].flip(-1)
    return batch


def copied(batch, chosen):
    batch = batch.clone()
    batch[chosen] = batch[chosen].flip(-1)
    return batch


RIGHT = [
    ("03.1", labels(lambda a, b, s: s * a + (1 - s) * b)),
    ("03.1", labels(lambda a, b, s: torch.lerp(b, a, s))),
    ("03.1", row_by_row),
    ("03.2", cut),
    ("03.3", mirror(lambda batch: batch.flip(-1))),
    ("03.3", copied),
    ("03.4", lambda z: z.softmax(-1).mean(0)),
    ("03.4", lambda z: z.log_softmax(dim=2).exp().sum(dim=0) / len(z)),
]
WRONG = [
    ("03.1", labels(lambda a, b, s: (1 - s) * a + s * b), "changed places"),
    ("03.1", labels(lambda a, b, s: s * a), "partner's part"),
    ("03.1", labels(lambda a, b, s: (a + b) / 2), "half and half"),
    ("03.1", labels(lambda a, b, s: a + b), "sums to 2"),
    ("03.1", labels(lambda a, b, s: s.mean() * a + (1 - s.mean()) * b), "share of its own"),
    ("03.1", lambda a, b, s, k: s[:, None] * F.one_hot(a) + (1 - s[:, None]) * F.one_hot(b), "`classes` to `F.one_hot`"),
    ("03.1", overwritten, "must be added"),
    ("03.1", labels(lambda a, b, s: s.T * a + (1 - s.T) * b), "along the classes"),
    ("03.1", labels(lambda a, b, s: a), "0.9, 0.1, 0, 0"),
    ("03.2", share(lambda *box: 1 - cut(*box)), "the box's share"),
    ("03.2", share(lambda h, w, *box: h * w * cut(h, w, *box)), "number of pixels"),
    ("03.2", share(lambda h, w, t, left, b, r: 1 - (b - t) * (r - left) / (h * w)), "Cut the box"),
    ("03.2", share(lambda h, w, t, left, b, r: 1 - (min(b, h) - max(t, 0)) * (min(r, w) - max(left, 0)) / h / w), "below"),
    ("03.2", unclipped, "above the picture"),
    ("03.2", lambda h, w, t, left, b, r: 1.0 if b <= 0 else unclipped(h, w, t, left, b, r), "left of the picture"),
    ("03.2", share(lambda *box: 0.5), "0.800 of the pixels stay"),
    ("03.3", in_place, "changes the batch"),
    ("03.3", lambda batch, chosen: batch.flip(-1), "all are mirrored"),
    ("03.3", lambda batch, chosen: batch, "none is mirrored"),
    ("03.3", lambda batch, chosen: mirror(lambda b: b.flip(-1))(batch, ~chosen), "not chosen"),
    ("03.3", mirror(lambda batch: batch.flip(-2)), "on their heads"),
    ("03.3", mirror(lambda batch: batch.flip(0)), "changed places"),
    ("03.3", mirror(lambda batch: batch.flip(1)), "colours"),
    ("03.3", lambda batch, chosen: batch // 2, "left to right"),
    ("03.4", lambda z: z.mean(0).softmax(-1), "outvotes"),
    ("03.4", lambda z: z.mean(0), "still logits"),
    ("03.4", lambda z: z.softmax(-1).sum(0), "sums to 4"),
    ("03.4", lambda z: z.softmax(0).mean(0), "over the views"),
    ("03.4", lambda z: z.softmax(1).mean(0), "over the pictures"),
    ("03.4", lambda z: z[0].softmax(-1), "first view"),
    ("03.4", lambda z: z.softmax(-1).max(0).values, "surest"),
    ("03.4", lambda z: z.softmax(-1).sum(0) / 4, "single view"),
    ("03.4", lambda z: torch.zeros(6, 5), "mean of its views"),
]  # fmt: skip
