"""Where transfer wins on text: accuracy by number of labels, on R8's standard test set and a part of 20 Newsgroups'.

    python tests/benchmarks/text_labels.py curve     TF-IDF, a probe on frozen MiniLM, the two side by side; 1 … all labels per class, five draws
    python tests/benchmarks/text_labels.py lm        language models of 20NG's training text, and one of R52's (20 minutes)
    python tests/benchmarks/text_labels.py starts    one GRU, ten labels per class: random, word vectors, language model
    python tests/benchmarks/text_labels.py minilm    MiniLM frozen, fine-tuned in three ways, contrastive; ten labels per class

Each writes data/results/text_<plan>.json after each run and skips what is already there, so it resumes where it stopped;
`--minutes` stops it after the first run that ends later than that. Few labels are drawn from the training part (85 %); each draw
is the same for all methods. In `curve` and `starts` settings were chosen on validation with ten labels of draw 99, which is in
no table; the test set was not used for that. With all labels, validation chooses the strength of a probe or an SVM, and five
draws are five splits. Rows called "probe, C = 0.01" are the probe on 20 Newsgroups at its default strength, run before one was
chosen. In `minilm` nothing was chosen: rates and epochs are those in MINILM, and the strength of its probe is 0.01.
"""

import argparse
import datetime
import json
import time
from collections.abc import Iterator
from itertools import product

import torch
from scipy.sparse import hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize
from sklearn.svm import LinearSVC

import tl_helpers as tl
from tl_helpers.data import text, tokens
from tl_helpers.data.stream import TokenStream
from tl_helpers.device import for_extraction
from tl_helpers.engine import checkpoint as files
from tl_helpers.engine.metrics import measure, predict
from tl_helpers.engine.settings import Settings
from tl_helpers.models import attach_head, heads, load_text_encoder, parameter_groups
from tl_helpers.models.adapters import add_lora
from tl_helpers.models.language_model import language_model, perplexity
from tl_helpers.models.word_vectors import ppmi_vectors
from tl_helpers.recipes.contrast import contrast
from tl_helpers.recipes.gradual import gradual
from tl_helpers.recipes.probe import STRENGTHS, probe
from tl_helpers.sources import cache_dir, root, write_atomically

SETS, DRAWS, TUNING = ("reuters-r8", "20newsgroups"), range(5), 99
LABELS = (1, 2, 5, 10, 20, 40, 80, 160, None)
MAX_TOKENS = 128
SVM_STRENGTHS = (0.1, 1.0, 10.0, 100.0)
EVERY = {"reuters-r8": 1, "20newsgroups": 3}  # every n-th document of the test set is read, to save time


def load(name: str, split: int = 0):
    return text.load_text(name, split)


def scores(logits, labels, clean) -> dict:
    """Accuracy and macro F1 of a test set, and the accuracy without documents that begin like one in train."""
    figures = measure(logits, labels)
    return {
        "accuracy": round(figures["accuracy"], 5),
        "f1": round(figures["f1"], 5),
        "accuracy_without_near_duplicates": round(measure(logits[clean], labels[clean])["accuracy"], 5),
    }


def look(model, texts, tokenizer, hardware) -> torch.Tensor:
    """Logits of every text, in the set's order."""
    batches = tokens.TextBatches(texts, tokenizer, batch_size=64, max_tokens=MAX_TOKENS)
    return predict(model, batches, hardware)[0]


def clean(data) -> torch.Tensor:
    """Which test documents do not begin like any document of train or val."""
    known = data.subset(torch.cat([torch.as_tensor(data.split.train), torch.as_tensor(data.split.val)]))
    return ~text.near_duplicates(data.test, known)


def part_of(train, labels: int | None, draw: int):
    return train if labels is None else train.few(labels, draw)


# --- TF-IDF and the probe


def tfidf(few, val, test, strengths, beside=None) -> tuple[torch.Tensor, float]:
    """Test logits of a linear SVM on words and pairs of words, with the strength that is best on val (or the only one).

    beside: features of few, val and test; each row is scaled to length 1 and put beside the text's TF-IDF.
    """
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\S+").fit(few.texts)
    rows, found = [words.transform(part.texts) for part in (few, val, test)], []
    if beside:
        rows = [hstack([row, normalize(part)]).tocsr() for row, part in zip(rows, beside, strict=True)]
    for strength in strengths:
        model = LinearSVC(C=strength, max_iter=5000).fit(rows[0], few.labels.numpy())
        good = model.score(rows[1], val.labels.numpy()) if len(strengths) > 1 else 0.0
        found.append((good, strength, model))
    _, strength, model = max(found, key=lambda row: row[0])
    decided = torch.from_numpy(model.decision_function(rows[2])).float()
    logits = torch.full((len(test), len(test.classes)), -1e3)
    logits[:, model.classes_] = torch.stack([-decided, decided], 1) if decided.ndim == 1 else decided
    return logits, strength


def minilm_features(data, known: int | None, seen: dict[str, torch.Tensor]) -> torch.Tensor:
    """Frozen MiniLM's features (n, 384), float32, computed once, five hundred documents at a time.

    known: the most labels per class that will be drawn (None: all); documents that are not needed for these get nan.
    seen: what was computed before, by set; added to.
    """
    encoder = load_text_encoder("minilm")
    parts = {part: torch.as_tensor(getattr(data.split, part)) for part in ("train", "val", "test")}
    needed = [parts["test"][:: EVERY[data.name]]]
    if known is None:
        needed = [torch.arange(len(data))]
    else:
        drawn = [_places(data.train, data.train.few(known, draw)) for draw in DRAWS]
        tuning = _places(data.train, data.train.few(10, TUNING))
        needed += [parts["val"][::2], parts["train"][torch.cat([*drawn, tuning]).unique()]]
    found = seen.setdefault(data.name, torch.full((len(data), encoder.width), torch.nan))
    for chunk in [part for group in needed for part in group[found[group, 0].isnan()].split(500) if len(part)]:
        found[chunk] = tl.features(encoder, data.subset(chunk), max_tokens=MAX_TOKENS)
        print(f"{data.name}: {int((~found[:, 0].isnan()).sum())} documents read", flush=True)
    return found


def strength_of(method: str, whole, known) -> float:
    """The strength that is best on every second document of val, with ten labels per class from the draw for tuning."""
    few, val = whole.train.few(10, TUNING), whole.val.subset(range(0, len(whole.val), 2))
    if method == "tfidf":
        return tfidf(few, val, val, SVM_STRENGTHS)[1]
    of_train, of_val = (known[torch.as_tensor(getattr(whole.split, part))] for part in ("train", "val"))
    rows = of_train[_places(whole.train, few)], few.labels
    if method == "both":
        return tfidf(few, val, val, SVM_STRENGTHS, (rows[0], of_val[::2], of_val[::2]))[1]
    layers = {s: probe(rows, classes=len(few.classes), strengths=(s,)) for s in STRENGTHS}
    right = {s: measure(layer(of_val[::2]).detach(), val.labels)["accuracy"] for s, layer in layers.items()}
    return max(right, key=right.get)


def curve(rows: list[dict]) -> Iterator[dict]:
    steps, seen = (LABELS[:-3], LABELS[-3:-1], LABELS[-1:]), {}
    for name, method, some in [
        (name, method, some) for some in steps for method in ("tfidf", "probe", "both") for name in SETS
    ]:
        every = EVERY[name]
        todo = [
            (n, d)
            for n in some
            for d in DRAWS
            if not there(rows, data=name, method=method, labels=n, draw=d, every=every)
        ]
        if not todo:
            continue
        whole = load(name)
        known = None if method == "tfidf" else minilm_features(whole, some[-1], seen)
        chosen = strength_of(method, whole, known) if some[-1] else None
        for labels, draw in todo:
            start = time.perf_counter()
            data = whole if labels else load(name, draw)  # all labels: each draw splits train and val anew
            few, test = part_of(data.train, labels, draw), data.test.subset(range(0, len(data.test), every))
            if method == "tfidf":
                logits, strength = tfidf(few, data.val, test, (chosen,) if labels else (0.5, 2.0))
            else:
                of_train, of_val, of_test = (
                    known[torch.as_tensor(getattr(data.split, p))] for p in ("train", "val", "test")
                )
                own = of_train[_places(data.train, few)], few.labels
            if method == "both":
                beside = own[0], of_val.nan_to_num(), of_test[::every]  # with one strength, val's rows are not read
                logits, strength = tfidf(few, data.val, test, (chosen,) if labels else (0.5, 2.0), beside)
            elif method == "probe":
                val, given = (None, {"strengths": (chosen,)}) if labels else ((of_val, data.val.labels), {})
                logits = probe(own, val, classes=len(few.classes), **given)(of_test[::every]).detach()
                strength = chosen if labels else "by val"
            row = {"data": name, "method": method, "labels": labels, "draw": draw, "n": len(few), "strength": strength}
            row |= {"every": every, "test": scores(logits, test.labels, clean(data)[::every])}
            yield row | {"seconds": round(time.perf_counter() - start, 1)}


def _places(whole, few) -> torch.Tensor:
    """Positions in `whole` of the texts of `few`."""
    place = {name: i for i, name in enumerate(whole.names)}
    return torch.tensor([place[name] for name in few.names])


# --- the language model


LM = {"dim": 128, "vocabulary": 5000, "batch_size": 16, "length": 64, "batches": 150, "epochs": 10, "lr": 8e-3}


READ = (  # the network, what it reads, what its word vectors start from
    ("gru", "20newsgroups", "random"),
    ("transformer", "20newsgroups", "random"),
    ("gru", "reuters-r52", "random"),
    ("gru", "20newsgroups", "word vectors"),
)


def lm_file(kind: str, text: str, begin: str):
    return cache_dir() / "language_model" / f"{text}-{kind}-{begin.replace(' ', '-')}.safetensors"


def news_tokenizer(news):
    return tokens.word_tokenizer(news.train.texts, LM["vocabulary"])


def counted(news, tokenizer) -> torch.Tensor:
    """Word vectors from counts in 20 Newsgroups' training text, of length about one, which random ones have on average."""
    return ppmi_vectors(tokens.encode(news.train.texts, tokenizer, 10**6), LM["vocabulary"], LM["dim"])


def learn_to_guess(model, texts, val, tokenizer, rate: float, kept, seed: int = 0):
    """Train a language model on `texts`; every epoch is kept in the file `kept`."""
    common = {"batch_size": LM["batch_size"], "length": LM["length"]}
    train = TokenStream(texts, tokenizer, batches=LM["batches"], shuffle=True, seed=seed, **common)
    settings = Settings(LM["epochs"], lr=rate, warmup=0.1, keep="last")
    some = TokenStream(val, tokenizer, batches=8, **common)
    return tl.fit(model, train, some, settings, hardware=tl.pick_device(), seed=seed, checkpoint=kept)


def lm(rows: list[dict]) -> Iterator[dict]:
    news, hardware = load("20newsgroups"), tl.pick_device()
    tokenizer = news_tokenizer(news)
    for kind, read, begin in READ:  # always with 20 Newsgroups' vocabulary, and validated on its validation part
        if there(rows, kind=kind, text=read, begin=begin):
            continue
        tl.seed_everything(0)
        model = language_model(kind, tokenizer, dim=LM["dim"])
        if begin == "word vectors":
            model.encoder.embedding.weight.data.copy_(counted(news, tokenizer))
        rate = LM["lr"] if kind == "gru" else LM["lr"] / 4
        kept = cache_dir() / "language_model" / f"training-{read}-{kind}-{begin[:4]}.safetensors"
        done = learn_to_guess(model, load(read).train, news.val, tokenizer, rate, kept)
        files.save(lm_file(kind, read, begin), model.state_dict(), {"kind": kind, **LM})
        words = LM["batch_size"] * LM["length"] * LM["batches"]
        row = {
            "kind": kind,
            "text": read,
            "begin": begin,
            "words_an_epoch": words,
            "lr": rate,
            "hardware": hardware.line(),
        }
        row["perplexity"] = [round(perplexity(r["val_loss"]), 1) for r in done.history]
        yield row | {"seconds": [round(r["seconds"], 1) for r in done.history]}


# --- one network, several starting points; two recipes and three rates are tried for each


STARTS = {"epochs": 16, "rates": (3e-3, 1e-2, 3e-2), "recipes": ("all at once", "stage by stage"), "labels": 10}
MEAN = "mean of word vectors"  # no network: its recipe is "probe", and its rate the probe's strength
PRETRAINED = {
    "language model": READ[0],
    "language model of Reuters": READ[2],
    "word vectors, then language model": READ[3],
}


def start_from(start: str, news, tokenizer, vectors):
    model = language_model("gru", tokenizer, dim=LM["dim"])
    if start in PRETRAINED:
        model.load_state_dict(files.load(lm_file(*PRETRAINED[start]))[0])
    if start == "word vectors":  # as long as the embedding's own on average: the reader's inputs keep their size
        model.encoder.embedding.weight.data.copy_(vectors)
    return attach_head(model.encoder, heads.linear(len(news.classes)))


def starts(rows: list[dict]) -> Iterator[dict]:
    news, hardware = load("20newsgroups"), tl.pick_device()
    tokenizer = news_tokenizer(news)
    vectors = counted(news, tokenizer)
    unlike, every = clean(news), EVERY["20newsgroups"]

    def run(start, recipe, rate, draw):
        tl.seed_everything(draw)
        model, few = start_from(start, news, tokenizer, vectors), news.train.few(STARTS["labels"], draw)
        val = news.val.subset(range(0, len(news.val), 8))
        if recipe == "stage by stage":
            gradual(model, few, val, epochs=STARTS["epochs"], lr=rate, seed=draw, hardware=hardware)
            return model
        batches = tokens.TextBatches(few, tokenizer, max_tokens=MAX_TOKENS, shuffle=True, seed=draw)
        val = tokens.TextBatches(val, tokenizer, batch_size=64, max_tokens=MAX_TOKENS)
        settings = Settings(STARTS["epochs"], lr=rate, label_smoothing=0.1, keep="last")
        tl.fit(model, batches, val, settings, hardware=hardware, seed=draw)
        return model

    names, test = ("random", "word vectors", *PRETRAINED), news.test.subset(range(0, len(news.test), every))
    for start, recipe, rate in product(names, STARTS["recipes"], STARTS["rates"]):
        if not there(rows, start=start, recipe=recipe, tuning=rate):
            before, model = time.perf_counter(), run(start, recipe, rate, TUNING)
            good = measure(look(model, news.val, tokenizer, hardware), news.val.labels)["accuracy"]
            row = {"start": start, "recipe": recipe, "tuning": rate, "val": round(good, 5)}
            yield row | {"seconds": round(time.perf_counter() - before)}

    def of_mean(strength, draw, asked):
        few = news.train.few(STARTS["labels"], draw)
        mean = [mean_vector(texts, tokenizer, vectors) for texts in (few, asked)]
        return probe((mean[0], few.labels), classes=20, strengths=(strength,))(mean[1]).detach()

    for strength in (*STRENGTHS, 0.3, 1.0):
        if not there(rows, start=MEAN, tuning=strength):
            good = measure(of_mean(strength, TUNING, news.val), news.val.labels)["accuracy"]
            yield {"start": MEAN, "recipe": "probe", "tuning": strength, "val": round(good, 5)}
    for draw, start in [(draw, start) for draw in DRAWS for start in (*names, MEAN)]:
        best = max((r for r in rows if r["start"] == start and "tuning" in r), key=lambda r: r["val"])
        recipe, rate = best["recipe"], best["tuning"]
        if there(rows, start=start, draw=draw, recipe=recipe, lr=rate):
            continue
        before = time.perf_counter()
        if start in names:
            logits = look(run(start, recipe, rate, draw), test, tokenizer, hardware)
        else:
            logits = of_mean(rate, draw, test)
        row = {"start": start, "draw": draw, "labels": STARTS["labels"], "recipe": recipe, "lr": rate, "every": every}
        row |= {"test": scores(logits, test.labels, unlike[::every])}
        yield row | {"seconds": round(time.perf_counter() - before)}


def mean_vector(texts, tokenizer, vectors) -> torch.Tensor:
    """The mean of each text's word vectors."""
    return torch.stack([vectors[row].mean(0) for row in tokens.encode(texts.texts, tokenizer, MAX_TOKENS)])


# --- MiniLM


MINILM = {
    "frozen": {},
    "lp-ft": {"lr": 1e-4, "rate_decay": 0.9},
    "lp-lora": {"lr": 2e-3, "rate_decay": 1.0},
    "fine-tune": {"lr": 1e-4, "rate_decay": 0.9},
    "lora": {"lr": 2e-3, "rate_decay": 1.0},
    "contrast": {"lr": 1e-4},
}
EPOCHS = 6
FEW_EVERY = {"reuters-r8": 2, "20newsgroups": 6}  # with few labels, every n-th test document
PLAN = [(name, method, 10, draw) for draw in DRAWS for name in SETS for method in MINILM]


def minilm_run(data, test, method: str, labels: int, draw: int, hardware) -> torch.Tensor:
    """Logits of the test set."""
    tl.seed_everything(draw)
    few, tokenizer, asked = part_of(data.train, labels, draw), tokens.minilm_tokenizer(), MINILM[method]
    encoder, common = load_text_encoder("minilm"), {"tokenizer": tokenizer, "max_tokens": MAX_TOKENS}
    model = attach_head(encoder, heads.linear(len(data.classes)))
    if method == "contrast":
        steps = EPOCHS * len(few) // (2 * len(data.classes))  # each text is seen as often as in fine-tuning
        contrast(encoder, few, steps=steps, lr=asked["lr"], seed=draw, hardware=hardware)
    if method in ("frozen", "contrast", "lp-ft", "lp-lora"):
        rows = look(encoder, few, tokenizer, hardware)
        model.head.load_state_dict(probe((rows, few.labels), classes=len(data.classes)).state_dict())
    if method in ("frozen", "contrast"):
        return look(model, test, tokenizer, hardware)
    if "lora" in method:
        add_lora(model)
    val = data.val.subset(range(0, len(data.val), 8))
    train = tokens.TextBatches(few, batch_size=16, shuffle=True, seed=draw, **common)
    tl.fit(
        model,
        train,
        tokens.TextBatches(val, batch_size=64, **common),
        Settings(EPOCHS, lr=asked["lr"], warmup=0.1, keep="last"),
        hardware=hardware,
        seed=draw,
        groups=parameter_groups(model, asked["lr"], asked["rate_decay"]),
    )
    return look(model, test, tokenizer, hardware)


def minilm(rows: list[dict]) -> Iterator[dict]:
    encoder = load_text_encoder("minilm").eval()
    some = {"input_ids": torch.full((32, MAX_TOKENS), 2000), "attention_mask": torch.ones(32, MAX_TOKENS).long()}
    hardware = for_extraction(tl.pick_device(), f"minilm {MAX_TOKENS} tokens, training", lambda: encoder(some))
    for name, method, labels, draw in PLAN:
        if there(rows, data=name, method=method, labels=labels, draw=draw):
            continue
        data = load(name)
        start, every = time.perf_counter(), FEW_EVERY[name]
        test = data.test.subset(range(0, len(data.test), every))
        logits = minilm_run(data, test, method, labels, draw, hardware)
        row = {"hardware": hardware.line(), "data": name, "method": method, "labels": labels, "draw": draw}
        row |= {"precision": hardware.precision, "every": every}
        row |= {"test": scores(logits, test.labels, clean(data)[::every])}
        row |= {"epochs": EPOCHS, **MINILM[method]}
        yield row | {"seconds": round(time.perf_counter() - start, 1)}


# --- keeping


def there(rows: list[dict], **wanted) -> bool:
    return any(all(row.get(key, "none") == value for key, value in wanted.items()) for row in rows)


PLANS = {"curve": curve, "lm": lm, "starts": starts, "minilm": minilm}


def main() -> None:
    """Run whatever is missing from a plan; the file is written after every run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("plan", choices=PLANS)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    asked, start = parser.parse_args(), time.perf_counter()
    path = root() / "data" / "results" / f"text_{asked.plan}.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"rows": []}
    now = json.loads(json.dumps({"lm": LM, "starts": STARTS, "minilm": MINILM})).get(asked.plan)
    if (then := known.get("budget", {}).get(asked.plan, now)) != now:
        parser.error(f"the file's rows have other settings, {then}: delete them first")
    rows = known.pop("rows")  # the older ones have their date and hardware in what stays of `known`
    for row in PLANS[asked.plan](rows):
        rows.append({"hardware": tl.pick_device().line(), "date": datetime.date.today().isoformat()} | row)
        print(json.dumps(row), flush=True)
        about = known | {
            "command": f"python tests/benchmarks/text_labels.py {asked.plan}",
            "budget": {"max_tokens": MAX_TOKENS, "lm": LM, "starts": STARTS, "minilm": MINILM, "epochs": EPOCHS},
        }
        lines = ",\n".join(f"  {json.dumps(row)}" for row in rows)
        write_atomically(path, json.dumps(about, indent=1)[:-2] + f',\n "rows": [\n{lines}\n ]\n}}\n')
        if time.perf_counter() - start > 60 * asked.minutes:
            break


if __name__ == "__main__":
    main()
