"""Exercises of notebook 07: an honest accuracy, a rate per stage, a fair score and choice, a peak rate, an average."""

from typing import Any

import torch

from tl_helpers.lessons.checks import NotYet, a_kind, ask, close, compare, exercise, need, number_from, tensor_from


@exercise("07.1", start="Keep two counters over the batches: how many were right, and how many there were.")
def accuracy(answer: Any) -> str:
    """`answer`: accuracy(batches of (logits (b, k), labels (b,))) -> share of hits over all samples; b may differ."""
    draw = torch.Generator().manual_seed(7)
    batches, right, seen, means = [], 0, 0, []
    for size, hits in ((8, 7), (8, 5), (3, 1)):  # the last batch is smaller, and harder
        labels = torch.randint(0, 4, (size,), generator=draw)
        logits = torch.randn(size, 4, generator=draw)
        logits[torch.arange(size), labels] = torch.where(torch.arange(size) < hits, 9.0, -9.0)
        right, seen, means = right + hits, seen + size, [*means, hits / size]
        batches.append((logits, labels))
    found = number_from(ask(answer, list(batches)))
    mistakes = [
        (
            sum(means) / 3,
            "you averaged the batches' accuracies: the 3 samples of the last batch count as much as the first 8.",
        ),
        (sum(means), "that is the sum of the batches' accuracies. Count right answers and samples instead."),
        (right, "this is a count. Divide by the number of samples."),
        (right / 3, "you divide by the number of batches. Divide by the number of samples."),
        (right / 24, "you divide as if every batch were full: the last has 3 samples. Use `len(labels)`."),
        (100 * right / seen, "this is a percentage; a share lies between 0 and 1."),
        (means[-1], "that is the last batch alone. Set the counters before the loop, not inside it."),
        (means[0], "that is the first batch alone. `return` after the loop, not inside it."),
        (1 - right / seen, "that is the share of wrong answers."),
    ]
    compare(found, right / seen, mistakes, f"{right} of {seen} are right, {right / seen:.3f}; yours is {found:.4g}.")
    return "Each sample counts once, whichever batch it came in."


@exercise(
    "07.2",
    start="The head is the last of the list and gets `lr`. Each stage below it gets `decay` times the one above.",
)
def rates(answer: Any) -> str:
    """`answer`: rates(lr, decay, stages) -> list of learning rates from stem to head."""
    found = ask(answer, 0.01, 0.5, 4)
    need(hasattr(found, "__len__"), f"a list of learning rates is expected; this is {a_kind(found)}.")
    need(len(found) == 4, f"four stages need four learning rates; there are {len(found)}.")
    found, right = tensor_from(found, (4,), "numbers were"), torch.tensor([0.00125, 0.0025, 0.005, 0.01])
    steps = torch.arange(4)
    mistakes = [
        (right.flip(0), "the wrong way round: the list begins at the stem, and the **head** gets the full `lr`."),
        (right * 0.5, "the head itself gets `lr`, undiminished: its factor is decay to the power of 0."),
        (right * 8, "the head gets `lr` itself, the others less: the exponent has the wrong sign."),
        (right * 16, "the head gets `lr` itself, the others less: the exponent has the wrong sign."),
        (8 * right.flip(0), "the rates should shrink going down, but yours grow: the exponent has the wrong sign."),
        (
            torch.full((4,), 0.01),
            "all are equal; the lower a stage, the more general it is and the less it should move.",
        ),
        (0.01 * 0.5 * steps.flip(0), "the rates fall by a **factor**, not by a step: `lr * decay ** k`."),
        (0.01 * (steps + 1) / 4, "the rates fall by a **factor**, not by a step: `lr * decay ** k`."),
    ]
    shown = ", ".join(f"{rate:.4g}" for rate in found.tolist())
    compare(found, right, mistakes, f"rates(0.01, 0.5, 4) is 0.00125, 0.0025, 0.005, 0.01; yours is {shown}.")
    again = tensor_from(ask(answer, 1.0, 0.1, 2), (2,), "numbers were")
    need(
        close(again, torch.tensor([0.1, 1.0])),
        "rates(1.0, 0.1, 2) is 0.1, 1.0. Are `lr`, `decay` and `stages` all used?",
    )
    return "The head learns at full speed, the stem eight times more slowly: edges are edges in every picture."


@exercise("07.3", start="`confusion.diag()` are the right answers. Of how many each? Rows are the true classes.")
def balanced_accuracy(answer: Any) -> str:
    """`answer`: f(confusion (k, k): rows true, columns predicted) -> mean recall of the classes that occur."""
    confusion = torch.tensor([[90, 10, 0], [12, 18, 0], [3, 1, 6]])
    found = number_from(ask(answer, confusion.clone()))
    hits = confusion.diag().double()
    recalls, precisions = hits / confusion.sum(1), hits / confusion.sum(0)
    mistakes = [
        (
            hits.sum() / confusion.sum(),
            "that is plain accuracy: 100 of 140 samples are of class 0, and it alone decides.",
        ),
        (
            precisions.mean(),
            "you divided by the column sums, the predictions: that is precision. Divide by the **row** sums.",
        ),
        (recalls.sum(), "that is the sum of the classes' recalls. Take the mean."),
        (100 * recalls.mean(), "this is a percentage; a share lies between 0 and 1."),
        (recalls.min(), "that is the worst class. The exercise asks for the mean over the classes."),
        (hits.mean(), "those are counts. Divide each by its row's sum before taking the mean."),
        (
            (2 * hits / (confusion.sum(0) + confusion.sum(1))).mean(),
            "that is the macro F1. Recall looks at the rows only.",
        ),
    ]
    compare(found, recalls.mean(), mistakes, f"the recalls are 0.9, 0.6 and 0.6, their mean 0.7; yours is {found:.4g}.")
    empty = number_from(ask(answer, torch.tensor([[8, 0, 2], [0, 0, 0], [5, 0, 5]])))
    need(
        empty == empty, "a class without a single sample gives 0 / 0, which is nan. Leave such a class out of the mean."
    )
    need(
        not close(empty, (0.8 + 0.5) / 3), "a class without samples can't be missed: leave it out, don't count it as 0."
    )
    need(
        not close(empty, 0.4),
        "with the second of three rows dropped, the diagonal runs elsewhere. Take `confusion.diag()` before you drop.",
    )
    need(close(empty, 0.65), f"with an empty second class the recalls 0.8 and 0.5 make 0.65; yours is {empty:.4g}.")
    never = number_from(ask(answer, torch.tensor([[9, 0], [3, 0]])))
    need(not close(never, 1.0), "a class that is there but never found has recall 0 and counts.")
    need(close(never, 0.5), f"of two classes one is always found, one never: that makes 0.5; yours is {never:.4g}.")
    return "If you always say 'sound', you get 0.5 on two classes, however rare the broken cells are."


@exercise("07.4", start="`max(runs, key=…)` picks a run. Which of its numbers may you look at before you choose?")
def choose(answer: Any) -> str:
    """`answer`: choose(runs: dicts with name, epoch, val, test) -> the name of the run to report."""
    rows = [
        ("probe", 0, 0.81, 0.80),
        ("fine-tune", 8, 0.84, 0.88),
        ("lp-ft", 5, 0.87, 0.83),
        ("scratch", 24, 0.62, 0.64),
    ]
    runs = [dict(zip(("name", "epoch", "val", "test"), row, strict=True)) for row in rows]
    found = ask(answer, [dict(run) for run in runs])
    if isinstance(found, dict):
        raise NotYet("that is the whole run. Return its name: `[…]['name']`.")
    need(isinstance(found, str), f"a name is expected, such as 'probe'; this is {a_kind(found)}.")
    need(
        found != "fine-tune",
        "you chose by the test score, so you have no test left: the 0.88 is partly luck that you picked.",
    )
    need(
        found != "scratch",
        "that is the worst on validation, or the one trained longest. Use `max(runs, key=lambda run: run['val'])`.",
    )
    need(found != "probe", "that is the first in the list. Compare the validation scores.")
    need(found == "lp-ft", f"there is no run called {found!r} among {', '.join(run['name'] for run in runs)}.")
    turned = [dict(run, val=1 - run["val"]) for run in runs]
    need(
        ask(answer, turned) == "scratch",
        "given other runs, the answer should be different: is the name hard-coded?",
    )
    return "The number to report is its test score, 0.83, even though another run has a higher one."


@exercise("07.5", start="First pick the rates whose loss is at most `1.1 * min(losses)`; of those the largest counts.")
def suggest(answer: Any) -> str:
    """`answer`: suggest(rates rising, losses) -> a third of the largest rate within a tenth of the lowest loss."""
    rates = [1e-5, 1e-4, 1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0]
    losses = [1.80, 1.78, 1.40, 1.05, 1.00, 1.08, 2.00, 5.00]
    found = number_from(ask(answer, list(rates), list(losses)))
    mistakes = [
        (0.1, "that is the edge itself. Stay below it: return a third of it."),
        (0.03, "that is the rate with the lowest loss. A higher rate was within a tenth of it; then take a third."),
        (
            0.01,
            "that is a third of the rate with the lowest loss. A higher rate was still within a tenth of that loss.",
        ),
        (0.01 / 3, "you used the **smallest** rate within a tenth of the lowest loss. Use the largest."),
        (1e-3, "that is where the loss falls fastest. A probed head has no such place: go by the lowest loss."),
        (1 / 3, "that is a third of the largest rate tried, whose loss has exploded: look at the losses."),
        (1.08, "that is a loss. The exercise asks for the rate that belongs to it."),
        (5, "that is a position in the list. Return the rate found there, divided by three."),
    ]
    compare(
        found,
        0.1 / 3,
        mistakes,
        f"0.1 is the largest rate whose loss is within a tenth of 1.00, the lowest; yours is {found:.4g}.",
    )
    rising = number_from(ask(answer, [1e-4, 1e-3, 1e-2, 1e-1], [0.50, 0.52, 0.552, 1.9]))
    tenth = "a tenth **of the lowest loss** may be added: of 0.50 that is 0.05, and 0.552 is too much."
    need(not close(rising, 0.01 / 3), f"{tenth} Compare with `1.1 * min(losses)`.")
    need(
        close(rising, 0.001 / 3),
        f"of the losses 0.50, 0.52, 0.552, 1.9 the first two are within a tenth of the lowest, so 0.001 / 3; yours is {rising:.4g}.",
    )
    rough = number_from(ask(answer, [1e-4, 1e-3, 1e-2, 1e-1, 1.0], [1.08, 1.00, 1.30, 1.04, 3.00]))
    need(
        not close(rough, 0.001 / 3),
        "a rough curve may come back: 0.1 is within a tenth of the lowest loss, though 0.01 is not. Look at all rates.",
    )
    need(
        close(rough, 0.1 / 3),
        f"of the losses 1.08, 1.00, 1.30, 1.04, 3.00 the fourth counts: 0.1 / 3; yours is {rough:.4g}.",
    )
    return "It works for a random head, whose loss falls first, and for a probed one, whose loss hardly falls before it rises."


@exercise("07.6", start="Begin with `mean = values[0]`, and go through `values[1:]` with one line.")
def average(answer: Any) -> str:
    """`answer`: average(values, share) -> their exponential moving average, which starts as the first value."""
    values = [1.0, 3.0, 2.0, 6.0]
    found = ask(answer, list(values), 0.9)
    need(not isinstance(found, list), "one number is expected: the average after the last value.")
    found = number_from(found)
    mistakes = [
        (1.0959, "you began at zero, and the average still carries that zero. Begin with the first value."),
        (5.608, "the shares are the wrong way round: `share` belongs to the average so far."),
        (3.0, "that is the plain mean, in which all values count alike. Here each later one should count a little."),
        (6.0, "that is the last value. The average so far has to count too."),
        (1.0, "that is the first value. Is the new value ever added?"),
        (1.2, "that is the average after the second value. `return` after the loop, not inside it."),
        (10.959, "the new value should get `1 - share`; otherwise the average grows with every step."),
    ]
    compare(found, 1.752, mistakes, f"it should go 1, then 1.2, then 1.28, then 1.752; yours is {found:.4g}.")
    need(close(number_from(ask(answer, list(values), 0.5)), 4.0), "with a share of 0.5 it is 4. Is `share` used?")
    need(close(number_from(ask(answer, [2.0], 0.9)), 2.0), "the average of one value is that value.")
    return "`fit(…, Settings(ema=0.9))` does this with every weight of the network, after each step."
