"""Notebook 14: the right answers, other ways to write them, and every wrong answer that has a hint of its own."""

import torch
from verdicts import test_right, test_wrong_answers_get_their_own_hint  # noqa: F401


def unfix(value, bits, n):
    return (value - n if value > n // 2 else value) / 2**bits


def unfix_if_below(otherwise):
    """Right from zero upwards, `otherwise` below."""

    def answer(value, bits, n):
        return otherwise(value, bits, n) if value > n // 2 else value / 2**bits

    return answer


def auc(tie=0.5):
    def answer(members, others):
        return ((members[:, None] < others).double() + tie * (members[:, None] == others)).mean().item()

    return answer


def advantage(members, others):
    at = members.mean()
    return (members <= at).double().mean() - (others <= at).double().mean()


def clipped(length=lambda g: g.flatten(1).norm(dim=1)[:, None, None], least=1e-12, longest=1.0, end=torch.sum):
    def answer(gradients, most):
        factor = most / length(gradients).clamp(min=least)
        return end(gradients * factor.clamp(max=longest), dim=0)

    return answer


def divided(gradients, most):
    return sum(g / max(1.0, g.norm().item() / most) for g in gradients)


RIGHT = [
    ("14.1", lambda a, b, n: a * pow(b, -1, n * n) % (n * n)),
    ("14.1", lambda a, b, n: a * pow(b, n - 1, n * n) % n**2),
    ("14.2", unfix),
    ("14.2", lambda v, bits, n: ((v + n // 2) % n - n // 2) / 2**bits),
    ("14.3", auc()),
    ("14.3", lambda m, o: torch.tensor([[(a < b) + 0.5 * (a == b) for b in o] for a in m]).mean()),
    ("14.4", clipped()),
    ("14.4", divided),
]
WRONG = [
    ("14.1", lambda a, b, n: a / b, "does not return one"),
    ("14.1", lambda a, b, n: {200: 145}.get(1, 145), "nobody has the key"),
    ("14.1", lambda a, b, n: (a - b) % (n * n), "subtracted the ciphertexts"),
    ("14.1", lambda a, b, n: a - b, "subtracted the ciphertexts"),
    ("14.1", lambda a, b, n: a * pow(b, -1, n) % n, "modulo **n²**"),
    ("14.1", lambda a, b, n: a * pow(b, -1, n) % (n * n), "modulo **n²**"),
    ("14.1", lambda a, b, n: a * pow(b, -1, n), "modulo **n²**"),
    ("14.1", lambda a, b, n: a // b, "drops the remainder"),
    ("14.1", lambda a, b, n: a // b % (n * n), "drops the remainder"),
    ("14.1", lambda a, b, n: a * b % (n * n), "that is the sum"),
    ("14.1", lambda a, b, n: b * pow(a, -1, n * n) % (n * n), "b − a"),
    ("14.1", lambda a, b, n: a, "you made one of 200"),
    ("14.1", lambda a, b, n: a * pow(b, -1, n * n), "grows with every step"),
    ("14.2", lambda v, bits, n: v, "still in units"),
    ("14.2", lambda v, bits, n: v / bits, "divided by `bits`"),
    ("14.2", lambda v, bits, n: v / (2 * bits), "`2 * bits` is 32"),
    ("14.2", lambda v, bits, n: v >> bits, "after the point"),
    ("14.2", lambda v, bits, n: v / 4**bits, "divided twice"),
    ("14.2", lambda v, bits, n: v * 2**bits, "Divide"),
    ("14.2", lambda v, bits, n: 7, "is 3.25"),
    ("14.2", lambda v, bits, n: v / 2**bits, "upper half is below zero"),
    ("14.2", unfix_if_below(lambda v, bits, n: -v / 2**bits), "huge number below zero"),
    ("14.2", unfix_if_below(lambda v, bits, n: (n - v) / 2**bits), "as +1.5"),
    ("14.2", unfix_if_below(lambda v, bits, n: v - n), "the unit got lost"),
    ("14.2", unfix_if_below(lambda v, bits, n: 0), "came out as 0"),
    ("14.2", unfix_if_below(lambda v, bits, n: (float(v) - n) / 2**bits), "53 bits"),
    ("14.2", unfix_if_below(lambda v, bits, n: v / 2**bits - n / 2**bits), "53 bits"),
    ("14.2", unfix_if_below(lambda v, bits, n: -2.5), "came out as -2.5"),
    ("14.2", lambda v, bits, n: unfix(v, 16, n), "Did you write 16"),
    ("14.3", lambda m, o: 1 - auc()(m, o), "other way round"),
    ("14.3", auc(0), "tosses a coin"),
    ("14.3", auc(1), "one half, not one"),
    ("14.3", lambda m, o: auc()(m, o) * len(m) * len(o), "count of pairs"),
    ("14.3", lambda m, o: 100 * auc()(m, o), "percentage"),
    ("14.3", advantage, "one threshold"),
    ("14.3", lambda m, o: 2 * auc()(m, o) - 1, "minus one"),
    ("14.3", lambda m, o: o.mean() - m.mean(), "gap between the mean losses"),
    ("14.3", lambda m, o: 0.123, "yours says 0.123"),
    ("14.3", lambda m, o: auc()(m, o) if len(m) == 4 else 0.0, "nobody can be told apart"),
    ("14.4", lambda g, most: g.sum(0), "nothing was clipped"),
    ("14.4", lambda g, most: g.sum(0) * min(1, most / g.sum(0).norm().item()), "clipped the sum"),
    ("14.4", clipped(longest=float("inf")), "made longer"),
    ("14.4", lambda g, most: g.clamp(-most, most).sum(0), "every entry"),
    ("14.4", clipped(end=torch.mean), "the mean"),
    ("14.4", clipped(end=lambda g, dim: g), "still separate"),
    ("14.4", lambda g, most: g.flatten(1).norm(dim=1), "one number per sample"),
    ("14.4", clipped(length=lambda g: g.norm(dim=2, keepdim=True)), "one length per row"),
    ("14.4", clipped(length=lambda g: g.norm(dim=0, keepdim=True)), "mixes the samples"),
    ("14.4", clipped(length=lambda g: g.flatten(1).norm(dim=1)[:, None, None] ** 2), "root is missing"),
    ("14.4", lambda g, most: g[0], "not the sum of the shortened"),
    ("14.4", lambda g, most: clipped()(g, 1.0), "but not for most = 0.25"),
    ("14.4", lambda g, most: clipped()(g, most) / (1 if g.any() else 0), "0 / 0"),
]
