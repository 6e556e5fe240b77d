"""Exercises of notebook 08: concatenated features, statistics of a domain, successive halving, the score of a search."""

from typing import Any

import torch

from tl_helpers.lessons.checks import NotYet, ask, close, compare, exercise, need, number_from, parts_from, tensor_from


@exercise(
    "08.1", start="A block of zeros as large as the source: `torch.zeros_like(source)`. Then `torch.cat([…], dim=1)`."
)
def together(answer: Any) -> str:
    """`answer`: f(source (n, d), target (m, d)) -> (n + m, 3 d): (x, x, 0) for the source, (x, 0, x) for the target."""
    draw = torch.Generator().manual_seed(1)
    source, target = torch.randn(4, 3, generator=draw), torch.randn(2, 3, generator=draw)
    found = ask(answer, source.clone(), target.clone())
    in_two = isinstance(found, (tuple, list)) and len(found) == 2
    need(not in_two, "one table is expected: join source and target with `torch.cat(…)`.")
    shape = tuple(getattr(found, "shape", ()))
    need(shape != (4, 27) and shape[1:] != (3,), "the three blocks go **beside** each other: `dim=1`, for 3 d columns.")
    found = tensor_from(found, (6, 9)).float()
    none, nothing = torch.zeros_like(source), torch.zeros_like(target)

    def table(first: list, second: list) -> torch.Tensor:
        return torch.cat([torch.cat(first, dim=1), torch.cat(second, dim=1)])

    right = table([source, source, none], [target, nothing, target])
    mistakes = [
        (table([source, none, source], [target, target, nothing]), "source's and target's own blocks are swapped."),
        (table([source] * 3, [target] * 3), "every block is filled. Which block is for the other side alone?"),
        (
            table([source, source, none], [nothing, nothing, target]),
            "the target is missing from the common block: nothing would be shared.",
        ),
        (right[[4, 5, 0, 1, 2, 3]], "the target's rows are on top; the source's should come first."),
    ]
    compare(found, right, mistakes, "a source row is (x, x, 0) and a target row (x, 0, x), the source's rows first.")
    return "A classifier now decides by itself, weight by weight, what the two artists share."


@exercise(
    "08.2", start="Put the batches together first, `torch.cat(maps)`; then which axes does batch norm average over?"
)
def statistics(answer: Any) -> str:
    """`answer`: f(maps: list of (b, c, h, w)) -> (mean (c,), variance (c,)) over all pictures and places."""
    draw = torch.Generator().manual_seed(2)
    scale = torch.tensor([1.0, 2.0, 0.5, 3.0]).view(1, 4, 1, 1)
    maps = [torch.randn(b, 4, 3, 3, generator=draw) * scale + k for k, b in enumerate((5, 5, 2))]
    found = parts_from(ask(answer, [m.clone() for m in maps]), 2, "two results are expected: `return mean, variance`.")
    mean, variance = (tensor_from(part, (4,)).float() for part in found)
    whole = torch.cat(maps)
    means = torch.stack([m.mean((0, 2, 3)) for m in maps])
    each = [torch.stack([m.var((0, 2, 3), correction=less) for m in maps]) for less in (1, 0)]
    sizes = torch.tensor([[5.0], [5.0], [2.0]])
    right = whole.mean((0, 2, 3))
    swapped = "those are the two results in the wrong order: the mean first, then the variance."
    mistakes = [
        (whole.var((0, 2, 3)), swapped),
        (whole.var((0, 2, 3), correction=0), swapped),
        (means.mean(0), "you averaged the batches' means; the last batch is smaller and must count for less."),
        (maps[-1].mean((0, 2, 3)), "that is the last batch alone."),
    ]
    compare(mean, right, mistakes, "a channel's mean is taken over pictures, rows and columns: axes 0, 2 and 3.")
    squared = "that is the standard deviation; batch norm keeps the variance, its square."
    apart = "averaged variances forget how far apart the batches are. Put the batches together first."
    mistakes = [
        *((whole.std((0, 2, 3), correction=less), squared) for less in (1, 0)),
        *((variances.mean(0), apart) for variances in each),
        *(((sizes * variances).sum(0) / 12, f"the sizes as weights don't help: {apart}") for variances in each),
        (
            whole.mean((2, 3)).var(0),
            "that is how pictures differ. Every place in a map counts, so don't average over places first.",
        ),
    ]
    within = close(variance, whole.var((0, 2, 3), correction=0), 1e-3)
    if not within:
        compare(variance, whole.var((0, 2, 3)), mistakes, "the variance, too, is over axes 0, 2 and 3.", 1e-3)
    return "These two vectors per layer are all that AdaBN changes."


@exercise("08.3", start="`while len(candidates) > 1:` score all, keep the best third (at least one), triple `rows`.")
def halving(answer: Any) -> str:
    """`answer`: f(candidates, score, rows) -> (winner, rows spent); score(candidate, rows) -> float, higher is better."""
    asked: list[tuple[int, int]] = []

    def score(candidate: int, rows: int) -> float:
        asked.append((int(candidate), int(rows)))
        if len(asked) > 99:
            raise RuntimeError("100 calls of `score`, and no end. Are there fewer candidates after each round?")
        return -abs(candidate - 5) + (candidate % 3) / rows  # on few rows, a little misleading

    found = parts_from(ask(answer, list(range(9)), score, 20), 2, "two results are expected: `return winner, spent`.")
    need(asked, "`score` was never called.")
    at = {rows: [c for c, r in asked if r == rows] for _, rows in asked}
    need(len(at) > 1, "every candidate got equally many rows: that is the plain grid. The survivors deserve more.")
    need(
        sorted(at.get(20, [])) == list(range(9)), "the first round scores each of the nine candidates once, on 20 rows."
    )
    need(len(at.get(60, [])) == 3, "the second round scores the best third, 3 of 9, on three times the rows, 60.")
    need(set(at[60]) == {4, 5, 6}, "it is not the best three that survived. A **higher** score is better.")
    need(set(at) <= {20, 60, 180}, f"the rows should go 20, 60, 180; you asked for {sorted(at)}.")
    winner, spent = (number_from(part) for part in found)
    need(winner == 5, f"candidate 5 is the best of the last round; yours is {winner:g}.")
    paid = sum(rows for _, rows in asked)
    mistakes = [
        (9 * 180, "that is the price of the whole grid. Add up what was asked for: candidates times rows, each round."),
        (9 * 60, "that is a grid on the last round's rows. Halving scores most candidates on only 20 rows."),
        (len(asked), "that is how often `score` was called. Each call costs its rows."),
        (20 + 60, "each round costs its rows **times the candidates in it**."),
    ]
    compare(spent, paid, mistakes, f"the calls cost {paid} rows in total; yours says {spent:g}.")
    need(
        paid == 360,
        f"two rounds cost 9·20 + 3·60 = 360 rows; yours cost {paid}. With one left there is nothing to compare.",
    )
    try:
        two = ask(answer, [3, 5], score, 20)
    except NotYet as hint:
        need("IndexError" not in str(hint), "a third of two candidates is none: keep at least one.")
        raise
    better, price = parts_from(two, 2, "of two candidates one wins: `return winner, spent`.")
    need(number_from(better) == 5, f"of the two candidates 3 and 5 the second is better; yours chose {better}.")
    need(close(price, 40), f"two candidates take one round, 2 · 20 = 40 rows; yours says {price}.")
    one, none = ask(answer, [7], score, 20)
    need(one == 7 and none == 0, "a single candidate wins without a round, for 0 rows.")
    return (
        "360 rows, where a grid with the last round's 60 rows each costs 9 · 60 = 540, for the same winner. "
        "The gain grows with the number of candidates."
    )


@exercise("08.4", start="`val.argmax(dim=1)` is the winner of each split. Now look up its **test** score.")
def honest(answer: Any) -> str:
    """`answer`: f(val (splits, candidates), test (splits, candidates)) -> mean test score of what validation chose."""
    draw = torch.Generator().manual_seed(3)
    skill = torch.rand(5, 8, generator=draw) * 0.04 + 0.6
    val, test = (skill + 0.05 * torch.randn(5, 8, generator=draw) for _ in range(2))
    found = number_from(ask(answer, val.clone(), test.clone()))
    own = torch.arange(5)
    right = test[own, val.argmax(1)].mean()
    mistakes = [
        (val.max(1).values.mean(), "that is the winner's validation score: the luck that made it win is still in it."),
        (test.max(1).values.mean(), "you chose by the test score. Then nothing is left that you have not looked at."),
        (
            test[:, val.mean(0).argmax()].mean(),
            "you chose once for all splits, and so saw the others' validation scores. One choice per split.",
        ),
        (test.mean(), "that is the mean of all candidates. Only the chosen one counts."),
        (val[own, test.argmax(1)].mean(), "validation and test have changed places."),
        (
            test[:, val.argmax(1)].mean(),
            "that is every choice in every split: row i needs its own column, `test[torch.arange(len(test)), chosen]`.",
        ),
        (test.flatten()[val.argmax()], "one choice for the whole table. Choose once per split: `dim=1`."),
        (test[own, val.argmax(1)].sum(), "that is the sum over the splits. Divide by how many there are."),
    ]
    compare(found, right, mistakes, f"for the table in this check it is {right:.4f}; yours is {found:.4g}.")
    return f"Here it is {right:.3f}. The same choices' validation score, {val.max(1).values.mean():.3f}, was flattery."
