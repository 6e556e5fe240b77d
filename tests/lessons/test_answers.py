"""Each exercise: the right answer, other ways to write it, and every wrong answer that has a hint of its own."""

from collections import Counter

import numpy as np
import torch
from torch import nn
from verdicts import test_right, test_wrong_answers_get_their_own_hint  # noqa: F401


def share_in_top(similarity, k):
    own = torch.arange(len(similarity))[:, None]
    return (similarity.topk(k, dim=1).indices == own).any(dim=1).float().mean().item()


def own_in_top(similarity, k, dim=1, largest=True):
    places = similarity.topk(k, dim=dim, largest=largest).indices
    return (places == torch.arange(len(similarity)).unsqueeze(dim)).any(dim).float()


def without_diagonal(similarity, k):
    return share_in_top(similarity.clone().fill_diagonal_(-torch.inf), k)


def standardise(features, artist, rows=lambda x: (x - x.mean(0)) / x.std(0).clamp(min=1e-6)):
    result = torch.empty_like(features)
    for one in (0, 1):
        result[artist == one] = rows(features[artist == one])
    return result


def in_place(features, artist):
    features -= features.mean()
    return features


def paired(error):
    return lambda a, b: ((b - a).mean(), error(a, b))


def score(batch):
    logits, labels = batch
    return (logits.argmax(1) == labels).float().mean().item()


def hits(batches):
    return sum(int((logits.argmax(1) == labels).sum()) for logits, labels in batches)


def total(batches):
    return sum(len(labels) for _, labels in batches)


def shaped(*shape):
    return lambda images, mean, std: (
        (images.float() / 255 - torch.tensor(mean).view(shape)) / torch.tensor(std).view(shape)
    )


def normalise(scale=255, mean=True, std=True, times=False):
    def answer(images, m, s):
        m, s = torch.tensor(m).view(3, 1, 1) * mean, torch.tensor(s).view(3, 1, 1) if std else 1
        return (images.float() / scale - m) * s if times else (images.float() / scale - m) / s

    return answer


def freeze(module):
    module.requires_grad_(False)
    module.eval()


def freeze_children_only(module):
    for child in module:
        for parameter in child.parameters(recurse=False):
            parameter.requires_grad = False
    module.eval()


def freeze_weights_only(module):
    for name, parameter in module.named_parameters():
        parameter.requires_grad = "bias" in name


def freeze_convolutions(module):
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            part.requires_grad_(False)


def freeze_batch_norm_only_in_eval(module):
    module.requires_grad_(False)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eval()


def freeze_without_running_statistics(module):
    module.requires_grad_(False)
    for part in module.modules():
        part.track_running_stats, part.p = False, 0.0


def recalls(confusion):
    return confusion.diag() / confusion.sum(1)


def balanced(confusion):
    return recalls(confusion)[confusion.sum(1) > 0].mean()


def best(key):
    return lambda runs: max(runs, key=lambda run: run[key])["name"]


RIGHT = [
    ("00.1", 7686),
    ("00.1", torch.tensor(7686)),
    ("00.1", 1280 * 6 + 6.0),
    ("00.2", lambda labels: (labels.bincount().max() / len(labels)).item()),
    ("00.2", lambda labels: np.bincount(labels).max() / len(labels)),
    ("00.3", lambda p, n: (p * (1 - p) / n) ** 0.5),
    ("00.3", lambda p, n: np.sqrt(p * (1 - p)) / np.sqrt(n)),
    ("01.1", standardise),
    ("01.1", lambda f, a: standardise(f, a, lambda x: (x - x.mean(0)) / (x.std(0) + 1e-6))),
    ("01.1", lambda f, a: standardise(f, a, lambda x: (x - x.mean(0)) / (x.std(0, correction=0) + 1e-6)).numpy()),
    ("01.2", share_in_top),
    ("01.3", lambda a, b: ((b - a).mean(), (b - a).std() / len(a) ** 0.5)),
    ("01.3", lambda a, b: [float((b - a).mean()), np.std((b - a).numpy(), ddof=1) / np.sqrt(len(a))]),
    ("01.3", lambda a, b: torch.stack([(b - a).mean(), (b - a).std() / len(a) ** 0.5])),
    ("01.3", lambda a, b: ((b - a).requires_grad_().mean(), (b - a).requires_grad_().std() / len(a) ** 0.5)),
    ("01.3", lambda a, b: np.array([(b - a).mean(), (b - a).std() / len(a) ** 0.5])),
    ("04.1", lambda size: 512 * (size // 32) ** 2),
    ("04.2", freeze),
    ("04.3", shaped(3, 1, 1)),
    ("04.3", shaped(1, 3, 1, 1)),
    ("07.1", lambda batches: hits(batches) / total(batches)),
    ("07.2", lambda lr, decay, stages: [lr * decay ** (stages - 1 - k) for k in range(stages)]),
    ("07.2", lambda lr, decay, stages: lr * decay ** torch.arange(stages - 1, -1, -1)),
    ("07.2", lambda lr, decay, stages: (lr * decay ** np.arange(stages))[::-1]),
    ("07.3", balanced),
    ("07.3", lambda c: recalls(c)[~recalls(c).isnan()].mean()),
    ("07.4", best("val")),
]

WRONG = [
    ("00.1", 7680, "a bias"),
    ("00.1", 8960, "belongs to a class"),
    ("00.1", 7681, "its own bias"),
    ("00.1", 1286, "multiplied"),
    ("00.1", 1281, "There are six"),
    ("00.1", 5, "a column per feature"),
    ("00.1", "7686", "one number"),
    ("00.2", lambda labels: labels.bincount().max(), "a count"),
    ("00.2", lambda labels: 100 * labels.bincount().max() / len(labels), "percentage"),
    ("00.2", lambda labels: 1 / 6, "blindly"),
    ("00.2", lambda labels: labels.mode().values, "which class"),
    ("00.2", lambda labels: len(labels) / labels.bincount().max(), "upside down"),
    ("00.2", lambda labels: (labels.bincount() / len(labels)).square().sum(), "as often"),
    ("00.2", lambda labels: labels.bincount().min() / len(labels), "rarest"),
    ("00.2", lambda labels: 0.5, "202 of 844"),
    ("00.2", lambda labels: 202 / 844, "0.75"),
    ("00.2", lambda labels: (labels == labels.max()).float().mean(), "highest number"),
    ("00.2", lambda labels: labels.bincount()[-1] / len(labels), "highest number"),
    ("00.2", lambda labels: Counter(labels).most_common(1)[0][1] / len(labels), "`.tolist()` first"),
    ("00.3", lambda p, n: p * (1 - p) / n, "variance"),
    ("00.3", lambda p, n: (p * (1 - p)) ** 0.5, "one answer"),
    ("00.3", lambda p, n: (p * (1 - p)) ** 0.5 / n, "inside the square root"),
    ("00.3", lambda p, n: 100 * (p * (1 - p) / n) ** 0.5, "in points"),
    ("00.3", lambda p, n: 1.96 * (p * (1 - p) / n) ** 0.5, "95 %"),
    ("00.3", lambda p, n: p / n, "try √"),
    ("00.3", lambda p, n: (0.21 / 207) ** 0.5, "0.05"),
    ("01.1", lambda f, a: (f - f.mean(0)) / f.std(0), "together"),
    ("01.1", lambda f, a: standardise(f, a, lambda x: x - x.mean(0)), "Now divide"),
    ("01.1", lambda f, a: (f - f.mean(1, keepdim=True)) / f.std(1, keepdim=True), "**column**"),
    ("01.1", lambda f, a: torch.cat([standardise(f, a)[a == 0], standardise(f, a)[a == 1]]), "changed places"),
    ("01.1", lambda f, a: f, "mean 0"),
    ("01.1", lambda f, a: standardise(f, a, lambda x: (x - x.mean(0)) / x.std(0)), "divides by zero"),
    ("01.1", lambda f, a: standardise(f, a)[:20], "shape (20, 5)"),
    ("01.1", in_place, "copy"),
    ("01.2", lambda s, k: (s.topk(k).values == torch.arange(len(s))[:, None]).any(1).float().mean(), "`.values`"),
    ("01.2", without_diagonal, "take the diagonal out"),
    ("01.2", lambda s, k: own_in_top(s, k).sum(), "a count"),
    ("01.2", lambda s, k: 100 * own_in_top(s, k).mean(), "percentage"),
    ("01.2", lambda s, k: own_in_top(s, k, dim=0).mean(), "**row** is a question"),
    ("01.2", lambda s, k: own_in_top(s, k).mean() / k, "n · k"),
    ("01.2", lambda s, k: own_in_top(s, 1).mean(), "first answer alone"),
    ("01.2", lambda s, k: own_in_top(s, k, largest=False).mean(), "smallest"),
    ("01.2", lambda s, k: 1 - own_in_top(s, k).mean(), "miss"),
    ("01.2", lambda s, k: own_in_top(s, 5).mean(), "Is k used?"),
    ("01.2", lambda s, k: 0.123, "60 rows"),
    ("01.3", lambda a, b: (b - a).mean(), "two numbers"),
    ("01.3", lambda a, b: b - a, "two numbers"),
    ("01.3", lambda a, b: torch.stack([(b - a).mean(), (b - a).std()]), "divide by √n"),
    ("01.3", lambda a, b: ((a - b).mean(), 0), "sign"),
    ("01.3", lambda a, b: (100 * (b - a).mean(), 0), "in points"),
    ("01.3", lambda a, b: ((b - a).sum(), 0), "sum over"),
    ("01.3", lambda a, b: ((b - a).median(), 0), "median"),
    ("01.3", lambda a, b: (0.5, 0), "mean difference is"),
    ("01.3", paired(lambda a, b: (b - a).std()), "divide by √n"),
    ("01.3", paired(lambda a, b: (b - a).std(correction=0)), "n - 1 is fair"),
    ("01.3", paired(lambda a, b: (b - a).std(correction=0) / 5**0.5), "nearly"),
    ("01.3", paired(lambda a, b: (b - a).var() / 5), "variance"),
    ("01.3", paired(lambda a, b: (b - a).std() / 5), "not by n"),
    ("01.3", paired(lambda a, b: ((a.var() + b.var()) / 5) ** 0.5), "Hard splits"),
    ("01.3", paired(lambda a, b: (a.std() + b.std()) / 5**0.5), "only that of their differences"),
    ("01.3", paired(lambda a, b: 0.5), "standard error is"),
    ("01.3", lambda a, b: ((b - a).abs().mean(), (b - a).std() / len(a) ** 0.5), "keep the sign"),
    ("01.3", paired(lambda a, b: (b - a).std() / 5**0.5), "the 5 hard-coded"),
    ("01.3", lambda a, b: (0.042, (b - a).std() / len(a) ** 0.5), "with three splits the mean"),
    (
        "01.3",
        paired(lambda a, b: 0.02 / 15**0.5 if len(a) < 5 else (b - a).std() / 5**0.5),
        "three splits the standard",
    ),
    ("04.1", lambda size: 512, "channels"),
    ("04.1", lambda size: (size // 32) ** 2, "one map"),
    ("04.1", lambda size: 512 * (size // 32), "7 · 7"),
    ("04.1", lambda size: 512 * (size // 16) ** 2, "halving"),
    ("04.1", lambda size: 4096, "linear layer"),
    ("04.1", lambda size: 256 * 6 * 6, "AlexNet"),
    ("04.1", lambda size: 3 * size**2, "going in"),
    ("04.1", lambda size: 1, "print `models.vgg16(weights=None).features(torch.zeros(1, 3, 224, 224)).shape`"),
    ("04.1", lambda size: 25088, "25,088 is right"),
    ("04.1", lambda size: {224: 25088, 128: 9}[size], "4 × 4"),
    ("04.1", lambda size: 512 * (size / 32) ** 2, "`//`"),
    ("04.1", lambda size: 512 * round(size / 32) ** 2, "never rounded up"),
    ("04.2", lambda module: setattr(module, "requires_grad", False), "gives a module a new attribute"),
    ("04.2", lambda module: module.eval(), "all parameters still require"),
    ("04.2", freeze_children_only, "within the module"),
    ("04.2", freeze_weights_only, "biases"),
    ("04.2", freeze_convolutions, "4 of 8"),
    ("04.2", lambda module: module.requires_grad_(False), "running mean"),
    ("04.2", freeze_batch_norm_only_in_eval, "dropout"),
    ("04.2", freeze_without_running_statistics, "others in its batch"),
    ("04.3", lambda images, mean, std: images.float(), "as it came"),
    ("04.3", lambda images, mean, std: images / 255, "first half"),
    ("04.3", normalise(scale=1), "divide by 255 first"),
    ("04.3", normalise(std=False), "Now divide by the standard"),
    ("04.3", normalise(mean=False), "never subtracted"),
    ("04.3", lambda i, m, s: i / 255 - torch.tensor(m).view(3, 1, 1) / torch.tensor(s).view(3, 1, 1), "brackets"),
    ("04.3", normalise(times=True), "you multiply"),
    ("04.3", shaped(3), "**width**"),
    ("04.3", shaped(3, 1), "**height**"),
    ("04.3", lambda images, mean, std: images / 127.5 - 1, "EfficientNet-Lite"),
    ("04.3", lambda images, mean, std: images * 0.0, "channel by channel"),
    ("04.3", lambda i, m, s: shaped(3, 1, 1)(i, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)), "black"),
    ("07.1", lambda batches: sum(map(score, batches)) / len(batches), "averaged"),
    ("07.1", lambda batches: sum(map(score, batches)), "sum of the batches"),
    ("07.1", hits, "a count"),
    ("07.1", lambda batches: hits(batches) / len(batches), "number of batches"),
    ("07.1", lambda batches: hits(batches) / (len(batches) * len(batches[0][1])), "every batch were full"),
    ("07.1", lambda batches: 100 * hits(batches) / total(batches), "percentage"),
    ("07.1", lambda batches: score(batches[-1]), "last batch alone"),
    ("07.1", lambda batches: score(batches[0]), "first batch alone"),
    ("07.1", lambda batches: 1 - hits(batches) / total(batches), "wrong answers"),
    ("07.1", lambda batches: 0.111, "of 19"),
    ("07.2", lambda lr, decay, stages: [lr * decay**k for k in range(stages)], "wrong way round"),
    ("07.2", lambda lr, decay, stages: [lr * decay ** (stages - k) for k in range(stages)], "undiminished"),
    ("07.2", lambda lr, decay, stages: [lr * decay ** -(k + 1) for k in range(stages)], "wrong sign"),
    ("07.2", lambda lr, decay, stages: [lr] * stages, "all are equal"),
    ("07.2", lambda lr, decay, stages: [lr * decay * (stages - 1 - k) for k in range(stages)], "not by a step"),
    ("07.2", lambda lr, decay, stages: [lr * (k + 1) / stages for k in range(stages)], "not by a step"),
    ("07.2", lambda lr, decay, stages: [lr], "four stages"),
    ("07.2", lambda lr, decay, stages: ["a", "b", "c", "d"], "numbers were expected"),
    ("07.2", lambda lr, decay, stages: [1, 2, 3, 4], "yours is 1, 2, 3, 4"),
    ("07.2", lambda lr, decay, stages: [0.00125, 0.0025, 0.005, 0.01], "shape (4,)"),
    ("07.2", lambda lr, decay, stages: [lr * 0.5 ** (stages - 1 - k) for k in range(stages)], "all used"),
    ("07.3", lambda c: c.diag().sum() / c.sum(), "plain accuracy"),
    ("07.3", lambda c: (c.diag() / c.sum(0)).mean(), "precision"),
    ("07.3", lambda c: recalls(c).sum(), "Take the mean"),
    ("07.3", lambda c: 100 * recalls(c).mean(), "percentage"),
    ("07.3", lambda c: recalls(c).min(), "worst class"),
    ("07.3", lambda c: c.diag().float().mean(), "those are counts"),
    ("07.3", lambda c: (2 * c.diag() / (c.sum(0) + c.sum(1))).mean(), "F1"),
    ("07.3", lambda c: 0.123, "0.9, 0.6 and 0.6"),
    ("07.3", lambda c: recalls(c).mean(), "nan"),
    ("07.3", lambda c: recalls(c).nan_to_num().mean(), "don't count it as 0"),
    ("07.3", lambda c: 0.7, "make 0.65"),
    ("07.3", lambda c: recalls(c)[recalls(c) > 0].mean(), "recall 0 and counts"),
    ("07.3", lambda c: recalls(c)[c.sum(0) > 0].mean(), "recall 0 and counts"),
    ("07.3", lambda c: balanced(c) if len(c) > 2 else 0.6, "one never"),
    ("07.4", best("test"), "chose by the test score"),
    ("07.4", best("epoch"), "trained longest"),
    ("07.4", lambda runs: runs[0]["name"], "first in the list"),
    ("07.4", lambda runs: max(runs, key=lambda run: run["val"]), "the whole run"),
    ("07.4", lambda runs: 0.87, "a name is expected"),
    ("07.4", lambda runs: "vgg", "no run called 'vgg'"),
    ("07.4", lambda runs: "lp-ft", "the name hard-coded"),
]
