"""The text table: R8, R52 and 20 Newsgroups, standard splits, whole test sets; every run is a row of data/results/text_table.json.

    python tests/benchmarks/text_table.py tune cnn minilm           rates (and epochs) on validation of a separate split of R8
    python tests/benchmarks/text_table.py tune minilm reuters-r52   the same for one set of its own
    python tests/benchmarks/text_table.py reuters-r8 tf-idf cnn     these rows of this set, with all their seeds
    python tests/benchmarks/text_table.py plan                      counting and the networks from scratch, in turn
    python tests/benchmarks/text_table.py curve                     R8 by labels per class, on validation documents

A run that is already in the file is not repeated, so a command resumes where it stopped. A seed draws the validation part,
the initial weights and the order. Models learn from the training part alone and are chosen on validation; the test set is
used once, by the chosen model. MiniLM's rate and epochs on R52 were chosen there, all other settings of networks on R8; rows
called "MiniLM, fine-tuned as on R8" are R52's from before. `distinct`: the same without test documents that share their first
20 words with a document of the training file. A row of the table is a function (data, seed) -> (settings, validation results,
test predictions); add yours to ROWS.
"""

import datetime
import fcntl
import functools
import json
import os
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from scipy.sparse import hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import accuracy_score, f1_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import normalize
from sklearn.svm import LinearSVC
from text_labels import LM, learn_to_guess

import tl_helpers as tl
from tl_helpers.data import TextBatches, minilm_tokenizer, near_duplicates
from tl_helpers.engine.settings import Settings
from tl_helpers.models.adapters import add_lora
from tl_helpers.models.language_model import language_model
from tl_helpers.recipes.features import quick_precision
from tl_helpers.sources import cache_dir, root, write_atomically

PATH = root() / "data" / "results" / "text_table.json"
TOKENS = {"reuters-r8": 128, "reuters-r52": 128, "20newsgroups": 256}
SCRATCH = ("cnn", "gru", "attention")
UNI_GRU = ("uni-GRU", "uni-GRU, language model")  # the same network twice, every layer trained at one rate
EPOCHS = {"cnn": 8, "gru": 4, "attention": 5, "minilm": 3, **dict.fromkeys(UNI_GRU, 6)}
OTHER_LENGTHS = ("MiniLM, fine-tuned, 128 pieces", "MiniLM, fine-tuned, 512 pieces")  # for 20newsgroups
SEEDS = dict.fromkeys([*SCRATCH, *UNI_GRU], 3) | dict.fromkeys(OTHER_LENGTHS, 1)  # 5 for the others
RATES = (1e-3, 4e-3)  # tried for each encoder trained from scratch, on R8's validation part
MINILM = {  # (peak rate of its head, epochs), tried for fine-tuning on a set's own validation part
    "reuters-r8": ((1e-4, 3), (3e-4, 3), (2e-4, 6)),
    "reuters-r52": ((1e-4, 3), (1e-4, 6), (2e-4, 6)),
}


def figures(labels, predictions) -> dict:
    """Accuracy, and macro-F1 over the classes that occur in the labels."""
    f1 = f1_score(labels, predictions, average="macro", labels=np.unique(labels), zero_division=0.0)
    return {"accuracy": round(accuracy_score(labels, predictions), 5), "f1": round(f1, 5), "n": len(labels)}


def tf_idf(data, seed: int, *, all_of_it: bool = False, beside: torch.Tensor | None = None):
    """TF-IDF with a linear SVM; C, and words alone or with pairs, chosen on validation. all_of_it: refit on train and val.

    beside: features (n, width) of every document of the set; each row is scaled to length 1, as a row of TF-IDF is, and put
    beside it.
    """
    best = None
    for grams in ((1, 1), (1, 2)):
        words = TfidfVectorizer(ngram_range=grams, sublinear_tf=True, token_pattern=r"\S+").fit(data.train.texts)
        rows = {part: side_by_side(data, part, words, beside) for part in ("train", "val", "test")}
        for c in (0.3, 1.0, 3.0):
            model = LinearSVC(C=c, random_state=0, max_iter=5000).fit(rows["train"], data.train.labels)
            val = figures(data.val.labels, model.predict(rows["val"]))
            if best is None or val["accuracy"] > best[1]["accuracy"]:
                best = {"n-grams": list(grams), "C": c}, val, model, words, rows
    settings, val, model, words, rows = best
    if all_of_it:
        texts, labels = data.train.texts + data.val.texts, torch.cat([data.train.labels, data.val.labels])
        model = make_pipeline(words, model).fit(texts, labels)
        return settings, val, model.predict(data.test.texts)
    return settings, val, model.predict(rows["test"])


def side_by_side(data, part: str, words: TfidfVectorizer, beside: torch.Tensor | None):
    """The TF-IDF of one part's documents, sparse (n, words); with features, (n, words + width)."""
    counts = words.transform(getattr(data, part).texts)
    if beside is None:
        return counts
    return hstack([counts, normalize(beside[torch.as_tensor(getattr(data.split, part))])]).tocsr()


def fused(data, seed: int):
    """Counts and frozen MiniLM's features side by side (notebook 08's early fusion), and TF-IDF's own classifier."""
    return tf_idf(data, seed, beside=tl.features(tl.load_text_encoder("minilm"), data, max_tokens=TOKENS[data.name]))


def words_encoder(kind: str, data):
    """An encoder with random weights, for the 20,000 most frequent words of the training part."""
    return tl.text_encoder(kind, tokenizer=tl.data.word_tokenizer(data.train.texts, 20_000))


def reader(kind: str, data, seed: int):
    """A language model's GRU: with random weights, or after it has learnt to predict the words of the training part."""
    tokenizer = tl.data.word_tokenizer(data.train.texts, LM["vocabulary"])
    model = language_model("gru", tokenizer, dim=LM["dim"])
    if kind == "uni-GRU, language model":
        kept = _folder(data, "language model", seed, LM) / "training.safetensors"
        learn_to_guess(model, data.train, data.val, tokenizer, LM["lr"], kept, seed)
    return model.encoder


def scratch(kind: str, data, seed: int, rate: float | None = None, epochs: int | None = None):
    """An encoder from scratch, or the reader of a language model; given `epochs`, it is a trial, without test."""
    tl.seed_everything(seed)
    encoder = reader(kind, data, seed) if kind in UNI_GRU else words_encoder(kind, data)
    model = tl.attach_head(encoder, tl.heads.linear(len(data.classes)))
    settings = {
        "lr": rate or chosen_settings(kind, data.name)["lr"],
        "epochs": epochs or EPOCHS[kind],
        "max_tokens": TOKENS[data.name],
    }
    more = {"seed": seed, "label_smoothing": 0.0, "checkpoint": _folder(data, kind, seed, settings)}
    result = tl.transfer(model, data, "scratch", **more, **settings)
    return (
        settings,
        _three(result.val, data),
        tl.evaluate(model, data.test).predictions.numpy() if epochs is None else None,
    )


def pretrained(recipe: str, data, seed: int, rate: float | None = None, epochs: int | None = None, *, pieces=None):
    """MiniLM by a recipe of `transfer`, as `python -m tl_helpers train SET --backbone minilm` runs it; `epochs`: a trial."""
    chosen = chosen_settings("minilm", data.name) if recipe != "probe" and epochs is None else {}
    settings = {"lr": rate, "epochs": epochs or EPOCHS["minilm"], "max_tokens": pieces or TOKENS[data.name]}
    settings |= {key: chosen[key] for key in ("lr", "epochs") if key in chosen}
    model = tl.attach_head(tl.load_text_encoder("minilm"), tl.heads.linear(len(data.classes)))
    result = tl.transfer(model, data, recipe, seed=seed, checkpoint=_folder(data, recipe, seed, settings), **settings)
    settings |= {"hardware": result.made["hardware"], "lr": result.made["settings"]["lr"]}
    val = _three(result.val, data)
    return settings, val, tl.evaluate(model, data.test).predictions.numpy() if epochs is None else None


def lora(data, seed: int):
    """MiniLM with adapters of rank 8 on query and value; they and the head learn, all else is frozen."""
    tl.seed_everything(seed)
    settings = {"epochs": EPOCHS["minilm"], "max_tokens": TOKENS[data.name], "lr": 2e-3}
    kept = _folder(data, "lora", seed, settings) / "training.safetensors"
    model = tl.attach_head(tl.load_text_encoder("minilm"), tl.heads.linear(len(data.classes)))
    add_lora(model)
    hardware = quick_precision(model.eval().backbone, settings["max_tokens"], tl.pick_device())
    common = {"tokenizer": minilm_tokenizer(), "max_tokens": settings["max_tokens"]}
    train = TextBatches(data.train, batch_size=32, shuffle=True, seed=seed, **common)
    how = Settings(settings["epochs"], lr=settings["lr"], warmup=0.1, keep="last")
    groups = tl.models.parameter_groups(model, settings["lr"], 1.0)
    common |= {"batch_size": 64}
    found = tl.fit(
        model, train, TextBatches(data.val, **common), how, hardware=hardware, seed=seed, groups=groups, checkpoint=kept
    )
    predictions = tl.evaluate(model, data.test, max_tokens=settings["max_tokens"]).predictions.numpy()
    return settings | {"hardware": hardware.line()}, _three(found.val, data), predictions


def _folder(data, row: str, seed: int, settings: dict):
    """Where every epoch of a run is kept, so that a stopped run can resume."""
    folder = cache_dir() / "text_table" / "-".join(map(str, [data.name, row, seed, *settings.values()]))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _three(val: dict, data) -> dict:
    return {"accuracy": round(val["accuracy"], 5), "f1": round(val["f1"], 5), "n": len(data.val)}


ROWS: dict[str, Callable] = {
    "tf-idf": tf_idf,
    "tf-idf, train and val": lambda data, seed: tf_idf(data, seed, all_of_it=True),
    "TF-IDF + MiniLM, frozen": fused,
    "cnn": lambda data, seed: scratch("cnn", data, seed),
    "gru": lambda data, seed: scratch("gru", data, seed),
    "attention": lambda data, seed: scratch("attention", data, seed),
    "uni-GRU": lambda data, seed: scratch("uni-GRU", data, seed),
    "uni-GRU, language model": lambda data, seed: scratch("uni-GRU, language model", data, seed),
    "MiniLM, frozen": lambda data, seed: pretrained("probe", data, seed),
    "MiniLM, fine-tuned": lambda data, seed: pretrained("lp-ft", data, seed),
    "MiniLM, LoRA": lora,
    "MiniLM, fine-tuned, 128 pieces": lambda data, seed: pretrained("lp-ft", data, seed, pieces=128),
    "MiniLM, fine-tuned, 512 pieces": lambda data, seed: pretrained("lp-ft", data, seed, pieces=512),
}


def read() -> dict:
    """What the file contains so far."""
    empty = {"tuning": [], "rows": [], "curve": []}
    return empty | (json.loads(PATH.read_text(encoding="utf-8")) if PATH.exists() else {})


def add(part: str, row: dict) -> None:
    """Add one row to the file as it is now: several commands may write to it in turn."""
    settings = dict(row.get("settings", {}))
    ran_on = settings.pop("hardware", tl.pick_device().line())  # in bf16, where it pays
    row = row | ({"settings": settings} if settings else {})
    folder = os.open(PATH.parent, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    try:
        table, what = read(), {k: row.get(k) for k in ("set", "row", "seed", "split", "per_class", "draw")}
        if any(
            what == {k: old.get(k) for k in what} and old.get("settings") == row.get("settings") for old in table[part]
        ):
            return  # another command was faster
        table[part].append({**row, "hardware": ran_on, "date": datetime.date.today().isoformat()})
        head = {"command": "python tests/benchmarks/text_table.py SET ROW …", "budget": "full: whole sets"}
        write_atomically(PATH, json.dumps({**head, **table}, indent=1) + "\n")
    finally:
        os.close(folder)
    print(json.dumps(row), flush=True)


def chosen_settings(kind: str, name: str) -> dict:
    """The settings with the best validation accuracy on this set, or else on R8; they are tried first, if they have not been."""
    name = name if kind == "minilm" and name in MINILM else "reuters-r8"
    tune([kind], name)
    tried = [row for row in read()["tuning"] if (row["row"], row["set"]) == (kind, name)]
    return max(tried, key=lambda row: row["val"]["accuracy"])["settings"]


def tune(kinds: list[str], name: str = "reuters-r8") -> None:
    """Try each rate and number of epochs once, on split 10 of the set; two epochs for the encoders from scratch."""
    data = tl.data.load(name, split_seed=10)
    for kind in kinds or SCRATCH:
        for rate, epochs in MINILM[name] if kind == "minilm" else [(rate, 2) for rate in RATES]:
            tried = [row["settings"] for row in read()["tuning"] if (row["row"], row["set"]) == (kind, name)]
            if any((settings["lr"], settings["epochs"]) == (rate, epochs) for settings in tried):
                continue
            run = functools.partial(*((pretrained, "lp-ft") if kind == "minilm" else (scratch, kind)))
            settings, val, _ = run(data, 10, rate, epochs)
            add("tuning", {"row": kind, "set": data.name, "split": 10, "settings": settings, "val": val})


def main(name: str, rows: list[str]) -> None:
    """Run whatever is missing from these rows."""
    for row in rows or ROWS:
        for seed in range(SEEDS.get(row, 5)):
            if any((r["set"], r["row"], r["seed"]) == (name, row, seed) for r in read()["rows"]):
                continue
            data, start = tl.data.load(name, split_seed=seed), time.perf_counter()
            known = torch.cat([near_duplicates(data.test, part)[None] for part in (data.train, data.val)]).any(0)
            settings, val, predictions = ROWS[row](data, seed)
            labels, distinct = data.test.labels.numpy(), ~known.numpy()
            found = {"set": name, "row": row, "seed": seed, "settings": settings, "val": val}
            found |= {"test": figures(labels, predictions)}
            found |= {"distinct": figures(labels[distinct], predictions[distinct])}
            add("rows", {**found, "seconds": round(time.perf_counter() - start, 1)})


def curve(kinds: list[str]) -> None:
    """By labels per class on R8, three draws, first 64 words: 100 steps of training, evaluated on the validation part."""
    data = tl.data.load("reuters-r8")
    for draw in range(3):
        for per_class in (1, 5, 20, 80):
            few = data.train.few(per_class, draw)
            for kind in kinds or ("tf-idf", *SCRATCH):
                if any((r["row"], r["per_class"], r["draw"]) == (kind, per_class, draw) for r in read()["curve"]):
                    continue
                if kind == "tf-idf":
                    words = TfidfVectorizer(sublinear_tf=True, token_pattern=r"\S+")
                    model = make_pipeline(words, LinearSVC(C=1.0, random_state=0)).fit(few.texts, few.labels)
                    accuracy = model.score(data.val.texts, data.val.labels)
                else:
                    tl.seed_everything(draw)
                    tokenizer = tl.data.word_tokenizer(few.texts, 20_000)
                    model = tl.attach_head(tl.text_encoder(kind, tokenizer=tokenizer), tl.heads.linear(8))
                    batches = TextBatches(few, tokenizer, max_tokens=64, shuffle=True, seed=draw)
                    watched = TextBatches(data.val.subset(range(64)), tokenizer, max_tokens=64)
                    rate = chosen_settings(kind, data.name)["lr"]
                    settings = Settings(-(-100 // len(batches)), rate, keep="last")
                    tl.fit(model, batches, watched, settings, seed=draw)
                    accuracy = tl.evaluate(model, data.val, max_tokens=64).accuracy
                add("curve", {"row": kind, "per_class": per_class, "draw": draw, "accuracy": round(accuracy, 5)})


def plan() -> None:
    """Counting and the networks from scratch, starting with what the lessons need most; MiniLM's rows are asked for by name."""
    main("reuters-r52", ["tf-idf"])
    tune([])
    for row in SCRATCH:
        main("reuters-r8", [row])
    curve([])
    main("20newsgroups", ["tf-idf"])
    for name in TOKENS:
        main(name, [*SCRATCH, *UNI_GRU])


if __name__ == "__main__":
    if sys.argv[1] == "plan":
        plan()
    elif sys.argv[1] == "curve":
        curve(sys.argv[2:])
    elif sys.argv[1] == "tune":
        kinds = [word for word in sys.argv[2:] if word not in TOKENS]
        tune(kinds, *(word for word in sys.argv[2:] if word in TOKENS))
    else:
        main(sys.argv[1], sys.argv[2:])
