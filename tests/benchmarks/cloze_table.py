"""Measure readers of cloze questions on five folds by story, and keep every run as a row of data/results/cloze.json.

    python tests/benchmarks/cloze_table.py baselines            clues alone, and the logistic ranker on all of them (struck
                                                                out: without candidates that stand in the query)
    python tests/benchmarks/cloze_table.py neighbours           which words occur next to which in the training tales, and a
                                                                ranker on these counts and the eight clues
    python tests/benchmarks/cloze_table.py words                the attention-sum reader from scratch
    python tests/benchmarks/cloze_table.py frozen               MiniLM frozen, states kept in data/cache, the head trained
    python tests/benchmarks/cloze_table.py "frozen and clues"   the same head with the eight clues added to its logits, learnt together
    python tests/benchmarks/cloze_table.py guesser              MiniLM taught to guess hidden words of the training tales
    python tests/benchmarks/cloze_table.py "guesser from scratch"     the same network and training, from random weights
    python tests/benchmarks/cloze_table.py fine-tuned           all of MiniLM trained, from the head that `frozen` trains
    python tests/benchmarks/cloze_table.py presentations        six ways to show the ranker its clues, on validation tales: writes
                                                                data/results/cloze_presentations.json anew
    … --kinds noun verb --folds 0 1 --seeds 0 --minutes 8       only these; stops before a run that would exceed the minutes

A run that is already in the file is not repeated, so the command resumes where it stopped. A row counts the right answers
by story. `words + ranker` and `fine-tuned + ranker` come with the reader's own row: the ranker learnt from the training
tales alone, and the two weights, the reader's and the ranker's, from the validation tales. A guesser is not trained on
questions, so one per fold answers all three kinds; its ranker (`+ clues and neighbours`) sees the neighbours, too. How the
ranker sees its clues (`ranked`) was first chosen by test results; `presentations` chose it again, by right answers on the
validation tales of all folds and kinds together, and chose the same. The head on frozen
states was made smaller on the validation tales of folds 0 and 2, after a larger one had scored 0.303 on test tales.
"""

import argparse
import collections
import datetime
import fcntl
import functools
import itertools
import json
import os
import time

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import tl_helpers as tl
from tl_helpers.data.cloze import CLUES, FOLDS, KINDS, clues, load_cloze, load_tales
from tl_helpers.data.cloze_batches import ClozeBatches, MaskedBatches, guess_encoder, pieces_encoder, words_encoder
from tl_helpers.data.tokens import minilm_tokenizer
from tl_helpers.device import for_extraction
from tl_helpers.engine.metrics import predict
from tl_helpers.engine.settings import Settings
from tl_helpers.models.reader import AttentionSum, PieceReader, WordGuesser, WordReader, read_ahead
from tl_helpers.sources import atomic_path, cache_dir, root, write_atomically

PATH = root() / "data" / "results" / "cloze.json"
SETTINGS = {
    "words": {"epochs": 3, "lr": 3e-3, "batch_size": 32},
    "frozen": {"epochs": 8, "lr": 1e-3, "weight_decay": 0.1, "batch_size": 32},  # head: inner 32, dropout 0.5
    "frozen and clues": {"epochs": 8, "lr": 1e-3, "weight_decay": 0.1, "batch_size": 32},  # weights of clues: lr 1e-2
    "guesser": {"epochs": 8, "lr": 5e-4, "warmup": 0.1, "batch_size": 16},  # its new head: lr 1e-3
    "guesser from scratch": {"epochs": 8, "lr": 5e-4, "warmup": 0.1, "batch_size": 16},
    "fine-tuned": {"epochs": 2, "lr": 1e-4, "batch_size": 8},
}
SINGLE = {"most frequent": "count", "sliding window": "window", "bag similarity": "bag", "same left neighbour": "left"}


def ranked(table: np.ndarray) -> np.ndarray:
    """(n, 10, 8) clues as the regression sees them: logarithms, and these minus the mean over the candidates."""
    logs = np.log1p(table)
    return np.concatenate([logs, logs - logs.mean(1, keepdims=True)], 2)


def relative(table: np.ndarray) -> np.ndarray:
    """(n, 10, columns) minus the mean over the candidates."""
    return table - table.mean(1, keepdims=True)


PRESENTATIONS = {
    "as they are": lambda table: table,
    "as they are, and relative to the mean": lambda table: np.concatenate([table, relative(table)], 2),
    "as they are, and relative to the largest": lambda table: np.concatenate(
        [table, table / np.maximum(table.max(1, keepdims=True), 1e-9)], 2
    ),
    "logarithms": np.log1p,
    "logarithms relative to the mean": lambda table: relative(np.log1p(table)),
    "logarithms, and relative to the mean": ranked,
}


def presentations() -> list[dict]:
    """Right answers and questions of each presentation of the clues: on a fold's validation tales, by a ranker that learnt
    from its training tales, and on its test tales, by one that learnt from both."""
    rows = []
    for kind, fold in itertools.product(KINDS, range(FOLDS)):
        parts = load_cloze(kind).fold(fold)
        tables = [np.stack([clues(question) for question in part.questions]) for part in parts]
        learn, both = parts[0].labels, np.concatenate([part.labels for part in parts[:2]])
        for name, shown in PRESENTATIONS.items():
            train, val, test = map(shown, tables)
            row = {"presentation": name, "kind": kind, "fold": fold}
            for role, labels, (scores,) in (
                ("val", parts[1].labels, weigh(train, learn, val)),
                ("test", parts[2].labels, weigh(np.concatenate([train, val]), both, test)),
            ):
                row[role] = [int((scores.argmax(1) == labels).sum()), len(labels)]
            rows.append(row)
    return rows


@functools.cache
def silent_tales(fold: int) -> set[int]:
    """The validation and test tales."""
    return {question.story for part in load_cloze("noun").fold(fold)[1:] for question in part.questions}


@functools.cache
def heard(story: int) -> collections.Counter:
    """How often each word, and each pair of adjacent words, occurs in a tale; () is a sentence boundary."""
    found = collections.Counter()
    for sentence in load_tales()[story].sentences:
        words = [(), *(word.lower() for word in sentence), ()]
        found.update(words)
        found.update(itertools.pairwise(words))
    return found


@functools.cache
def counted(fold: int) -> collections.Counter:
    """`heard` summed over all training tales."""
    found = collections.Counter()
    for story in set(range(len(load_tales()))) - silent_tales(fold):
        found.update(heard(story))
    return found


def neighbours(question, fold: int) -> np.ndarray:
    """(10, 3): logarithms of how common a candidate is, and how often it came after the left neighbour and before the right.

    The question's own tale is not counted, so that what a ranker learns from is like what it will meet.
    """
    words, at, seen = [(), *(word.lower() for word in question.query), ()], question.blank + 1, counted(fold)
    own = heard(question.story) if question.story not in silent_tales(fold) else {}
    found = np.zeros((10, 3))
    for k, word in enumerate(question.candidates):
        found[k] = [seen[it] - own.get(it, 0) for it in (word, (words[at - 1], word), (word, words[at + 1]))]
    found[:, 1:] += 5e-4 * (found[:, :1] + 1)  # never seen is not impossible; the constant was not tuned
    found[:, 0] += 1
    return np.log(found)


def beside(questions, fold: int | None) -> np.ndarray:
    """What the ranker sees, (n, 10, 16): the clues; with a fold, (n, 10, 22), the neighbours as well."""
    table = ranked(np.stack([clues(question) for question in questions]))
    if fold is None:
        return table
    heard = np.stack([neighbours(question, fold) for question in questions])
    return np.concatenate([table, heard, heard - heard.mean(1, keepdims=True)], 2)


def struck_out(questions, scores: np.ndarray) -> np.ndarray:
    """The scores (n, 10) with minus infinity for candidates that stand in the query: one that is asked for never does."""
    queries = [{word.lower() for word in question.query} for question in questions]
    there = [[word in query for word in q.candidates] for q, query in zip(questions, queries, strict=True)]
    return np.where(there, -np.inf, scores)


def by_neighbours(kind: str, fold: int) -> dict:
    """Which answers are right (n,): by pairs, P(left | word) P(right | word) P(word), and by a ranker on clues and neighbours."""
    train, val, test = load_cloze(kind).fold(fold)
    heard = np.stack([neighbours(question, fold) for question in test.questions])
    scores = {"neighbours": heard[..., 1] + heard[..., 2] - heard[..., 0]}
    scores["clues and neighbours"] = rank((*train.questions, *val.questions), test.questions, fold=fold)[0]
    scores["clues and neighbours, struck out"] = struck_out(test.questions, scores["clues and neighbours"])
    return {name: score.argmax(1) == test.labels for name, score in scores.items()}


def baselines(kind: str, fold: int, seed: int) -> dict:
    """Which answers of each baseline are right (n,) on the fold's test stories; the seed breaks ties."""
    train, val, test = load_cloze(kind).fold(fold)
    new = np.stack([clues(question) for question in test.questions])
    scores = {name: new[..., CLUES.index(clue)] for name, clue in SINGLE.items()}
    scores["eight clues"] = rank((*train.questions, *val.questions), test.questions)[0]
    scores["eight clues, struck out"] = struck_out(test.questions, scores["eight clues"])
    ties = np.random.default_rng(seed).random(new.shape[:2])
    return {name: np.lexsort((ties, score), axis=1)[:, -1] == test.labels for name, score in scores.items()}


def rank(learn, *asked, fold: int | None = None) -> list[np.ndarray]:
    """Scores (n, 10) of the candidates of each part of `asked`, by a regression on `beside` of the questions `learn`."""
    return weigh(
        beside(learn, fold), np.array([question.label for question in learn]), *(beside(x, fold) for x in asked)
    )


def weigh(table: np.ndarray, labels: np.ndarray, *asked: np.ndarray) -> list[np.ndarray]:
    """Scores (n, 10) by a logistic regression on (n, 10, columns): is this candidate the answer?"""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(table.reshape(-1, table.shape[-1]), np.eye(10)[labels].ravel())
    return [model.decision_function(one.reshape(-1, one.shape[-1])).reshape(-1, 10) for one in asked]


def beside_ranker(parts, val: torch.Tensor, test: torch.Tensor, fold: int | None = None) -> np.ndarray:
    """Which answers of reader plus ranker are right (n,), weighted on the validation tales: neither learnt from those."""
    ranks = rank(*(part.questions for part in parts), fold=fold)
    both = [np.stack([r, x.log_softmax(1).numpy()], 2) for r, x in zip(ranks, (val, test), strict=True)]
    return weigh(both[0], parts[1].labels, both[1])[0].argmax(1) == parts[2].labels


def words(kind: str, fold: int, seed: int, hardware) -> tuple[dict, dict]:
    """The reader from scratch."""
    train, val, test = load_cloze(kind).fold(fold)
    encode, size = words_encoder(train)
    torch.manual_seed(seed)
    return fitted(WordReader(size), encode, (train, val, test), SETTINGS["words"], seed, hardware)


def frozen(kind: str, fold: int, seed: int, hardware) -> tuple[dict, dict]:
    """A head on cached states."""
    encode = kept_states(kind, hardware).__getitem__
    torch.manual_seed(seed)
    return fitted(small_head(), encode, load_cloze(kind).fold(fold), SETTINGS["frozen"], seed, hardware)


def frozen_and_clues(kind: str, fold: int, seed: int, hardware) -> tuple[dict, dict]:
    """The head's logits and a weighted sum of the clues, trained together."""
    states, (train, val, test) = kept_states(kind, hardware), load_cloze(kind).fold(fold)
    table = {q: ranked(clues(q)[None])[0] for part in (train, val, test) for q in part.questions}
    learnt = np.concatenate([table[question] for question in train.questions])
    mean, spread = learnt.mean(0), learnt.std(0)

    def encode(question):
        return states[question] | {"clues": torch.from_numpy((table[question] - mean) / spread).float()}

    torch.manual_seed(seed)
    model, plan = HeadAndClues(), SETTINGS["frozen and clues"]
    groups = [{"params": list(model.head.parameters()), "lr": plan["lr"]}]
    groups += [{"params": list(model.weigh.parameters()), "lr": 1e-2, "weight_decay": 0.0}]
    return fitted(model, encode, (train, val, test), plan, seed, hardware, groups=groups)


class HeadAndClues(torch.nn.Module):
    """AttentionSum plus one weight for each column of clues, initially 0."""

    def __init__(self):
        super().__init__()
        self.head, self.weigh = small_head(), torch.nn.Linear(2 * len(CLUES), 1, bias=False)
        torch.nn.init.zeros_(self.weigh.weight)

    def forward(self, inputs):
        """Logits (b, 10)."""
        return self.head(inputs) + self.weigh(inputs["clues"])[..., 0]


def small_head() -> AttentionSum:
    """A head with few weights to learn from a thousand questions."""
    return AttentionSum(384, inner=32, dropout=0.5)


def guesser(kind: str, fold: int, seed: int, hardware, name: str = "guesser") -> tuple[dict, dict]:
    """All of MiniLM trained on the words of the training tales, without any question; its logits for the ten candidates."""
    val, test = load_cloze(kind).fold(fold)[1:]
    teaching = [tale for story, tale in enumerate(load_tales()) if story not in silent_tales(fold)]
    torch.manual_seed(seed)
    encoder = tl.load_text_encoder("minilm") if name == "guesser" else tl.text_encoder("minilm")
    model, plan, tokenizer = WordGuesser(encoder.body), SETTINGS[name], minilm_tokenizer()
    new = [*model.transform.parameters(), model.bias]
    groups = [{"params": list(model.encoder.parameters()), "lr": plan["lr"]}, {"params": new, "lr": 1e-3}]
    hidden = MaskedBatches(teaching, tokenizer, batch_size=plan["batch_size"], seed=seed)
    watched = ClozeBatches(load_cloze("noun").fold(fold)[1], guess_encoder(tokenizer), batch_size=16)
    settings = Settings(plan["epochs"], lr=plan["lr"], warmup=plan["warmup"], clip=1.0, keep="last")
    kept = cache_dir() / "cloze" / f"{name}-{fold}-{seed}.safetensors"
    faster = quicker(model.encoder.eval(), hardware)
    found = tl.fit(model, hidden, watched, settings, hardware=faster, seed=seed, groups=groups, checkpoint=kept)
    asked = {part.role: ClozeBatches(part, guess_encoder(tokenizer), batch_size=16) for part in (val, test)}
    logits = {role: predict(model, batches, hardware)[0] for role, batches in asked.items()}
    chosen = {"val": round(float((logits["val"].argmax(1).numpy() == val.labels).mean()), 4)}
    seconds = round(sum(row["seconds"] for row in found.history), 1)
    return logits, chosen | {"training_seconds": seconds, "hardware": faster.line()}


def fine_tuned(kind: str, fold: int, seed: int, hardware) -> tuple[dict, dict]:
    """Head first, on cached states, then all layers; each epoch is kept in runs/, so a stopped run can resume."""
    parts = load_cloze(kind).fold(fold)
    torch.manual_seed(seed)
    reader = PieceReader(tl.load_text_encoder("minilm").body)
    reader.head = small_head()
    fitted(reader.head, kept_states(kind, hardware).__getitem__, parts, SETTINGS["frozen"], seed, hardware)
    checkpoint = root() / "runs" / f"cloze-{kind}-{fold}-{seed}.safetensors"
    faster = quicker(reader.encoder, hardware)
    return fitted(reader, pieces_encoder(minilm_tokenizer()), parts, SETTINGS["fine-tuned"], seed, faster, checkpoint)


def quicker(encoder, hardware):
    """bf16 where it is faster."""
    ids = torch.ones(16, 128, dtype=torch.int64)
    return for_extraction(hardware, "MiniLM 128 pieces", lambda: encoder(input_ids=ids))


def fitted(model, encode, parts, settings, seed, hardware, checkpoint=None, groups=None) -> tuple[dict, dict]:
    """Train on the first part, choose the epoch on the second: logits (n, 10) for val and test, and validation results."""
    plan = {key: value for key, value in settings.items() if key != "batch_size"}
    train, val, test = (
        ClozeBatches(part, encode, batch_size=settings["batch_size"], shuffle=part.role == "train", seed=seed)
        for part in parts
    )
    result = tl.fit(
        model, train, val, Settings(**plan), hardware=hardware, seed=seed, checkpoint=checkpoint, groups=groups
    )
    logits = {part.role: predict(model, part, hardware)[0] for part in (val, test)}
    more = {"val": result.val["accuracy"], "best_epoch": result.best_epoch, "hardware": hardware.line()}
    return logits, more


def kept_states(kind: str, hardware, piece: int = 172) -> dict:
    """Frozen MiniLM's states at each position, by question; computed once, in pieces that are kept in data/cache."""
    whole, found = load_cloze(kind), []
    for start in range(0, len(whole), piece):
        part = whole.subset(range(start, min(start + piece, len(whole))))
        path = cache_dir() / "cloze" / f"{kind}-{start}-{part.fingerprint[:16]}.safetensors"
        if not path.exists():
            batches = ClozeBatches(part, pieces_encoder(minilm_tokenizer()), batch_size=8)
            rows = read_ahead(PieceReader(tl.load_text_encoder("minilm").body), batches, hardware)
            sizes = torch.tensor([len(row["candidate"]) for row in rows])
            with atomic_path(path) as temporary:
                save_file({"sizes": sizes} | {k: torch.cat([row[k] for row in rows]) for k in rows[0]}, temporary)
        tensors = load_file(path)
        sizes = tensors.pop("sizes").tolist()
        cut = {key: value.split(sizes) for key, value in tensors.items()}
        found += [{key: values[i] for key, values in cut.items()} for i in range(len(sizes))]
    return dict(zip(whole.questions, found, strict=True))


def figures(kind: str, fold: int, right: np.ndarray) -> dict:
    """Accuracy, and {title: [right answers, questions]} of the fold's test stories."""
    test = load_cloze(kind).fold(fold)[2]
    stories = {
        test.titles[s]: [int(right[test.stories == s].sum()), int((test.stories == s).sum())]
        for s in np.unique(test.stories)
    }
    return {"accuracy": round(float(right.mean()), 4), "stories": stories}


def main() -> None:
    """Run whatever is missing; the file is written after every run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["baselines", "neighbours", *SETTINGS, "states", "presentations"])
    parser.add_argument("--kinds", nargs="+", default=KINDS)
    parser.add_argument("--folds", nargs="+", type=int, default=range(FOLDS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--minutes", type=float, default=float("inf"))
    asked = parser.parse_args()
    if asked.what == "presentations":
        table = {
            "command": "python tests/benchmarks/cloze_table.py presentations",
            "budget": "all questions, five folds by story",
            "hardware": tl.pick_device().line(),
            "date": datetime.date.today().isoformat(),
        }
        lines = ",\n  ".join(map(json.dumps, presentations()))
        path = PATH.with_name("cloze_presentations.json")
        write_atomically(path, json.dumps(table, indent=1)[:-2] + ',\n "rows": [\n  ' + lines + "\n ]\n}\n")
        return
    then = json.loads(PATH.read_text("utf-8"))["settings"] if PATH.exists() else {}
    if then.get(asked.what, SETTINGS.get(asked.what)) != SETTINGS.get(asked.what):
        parser.error(f"the file's rows of {asked.what} have other settings, {then[asked.what]}: delete them first")
    began, last, hardware = time.time(), 0.0, tl.pick_device()
    for kind, fold, seed in [(k, f, s) for s in asked.seeds for f in asked.folds for k in asked.kinds]:
        if time.time() - began + last > 60 * asked.minutes:
            return
        if asked.what == "states":
            kept_states(kind, hardware)
            continue
        names = [*SINGLE, "eight clues"] if asked.what == "baselines" else [asked.what]
        if any((row["model"], row["kind"], row["fold"], row["seed"]) == (names[0], kind, fold, seed) for row in kept()):
            continue
        start = time.time()
        if asked.what == "baselines":
            answers, more = baselines(kind, fold, seed), {}
        elif asked.what == "neighbours":
            answers, more = by_neighbours(kind, fold), {}
        else:
            named = {"words": words, "frozen": frozen, "frozen and clues": frozen_and_clues}
            named |= {"guesser": guesser, "fine-tuned": fine_tuned}
            named["guesser from scratch"] = functools.partial(guesser, name="guesser from scratch")
            run = named[asked.what]
            (logits, more), parts = run(kind, fold, seed, hardware), load_cloze(kind).fold(fold)
            answers = {asked.what: logits["test"].argmax(1).numpy() == parts[2].labels}
            if "guesser" in asked.what:
                more_clues = beside_ranker(parts, logits["val"], logits["test"], fold)
                answers[f"{asked.what} + clues and neighbours"] = more_clues
            elif "frozen" not in asked.what:
                answers[f"{asked.what} + ranker"] = beside_ranker(parts, logits["val"], logits["test"])
        last = time.time() - start
        what = {"kind": kind, "fold": fold, "seed": seed}
        add([{"model": name} | what | figures(kind, fold, right) | more for name, right in answers.items()], last)


def kept() -> list[dict]:
    """The rows that the file contains now."""
    return json.loads(PATH.read_text("utf-8"))["rows"] if PATH.exists() else []


def add(rows: list[dict], seconds: float) -> None:
    """Append these rows to those in the file now: several commands may run at the same time."""
    folder = os.open(PATH.parent, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    try:
        table = {
            "command": "python tests/benchmarks/cloze_table.py baselines (words, frozen, …)",
            "budget": "as in settings; guesser and fine-tuned in bf16 where it pays",
            "settings": SETTINGS,
        }
        more = {"hardware": tl.pick_device().line(), "date": datetime.date.today().isoformat()}
        rows = [more | row | {"seconds": round(seconds, 1)} for row in rows]
        lines = ",\n  ".join(map(json.dumps, kept() + rows))
        write_atomically(PATH, json.dumps(table, indent=1)[:-2] + ',\n "rows": [\n  ' + lines + "\n ]\n}\n")
    finally:
        os.close(folder)
    for row in rows:
        print({key: value for key, value in row.items() if key != "stories"}, flush=True)


if __name__ == "__main__":
    main()
