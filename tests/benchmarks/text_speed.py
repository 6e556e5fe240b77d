"""How fast MiniLM is fine-tuned here, compared with Hugging Face's Trainer, sentence-transformers and the bare limit.

    python tests/benchmarks/text_speed.py            documents a second; writes data/results/text_speed.json

All variants run in one process, in turn, round after round, on the same documents of R8 (batch 32, at most 128 word pieces, AdamW,
a new linear layer for 8 classes). Each speed is the median over rounds; what matters is the ratios. At its best, each
uses what it offers: bf16, batches grouped by length, padding to the longest in the batch. The limit is forward, backward and
step on tensors that are ready, sorted by length. sentence-transformers takes pairs: its loss reads two documents a row, both
counted. It is not among the requirements; if it is not installed, its rows are left out. Whatever runs without
`keep_freed_memory` comes after it in the same process, so it has malloc's highest thresholds, which a training soon reaches anyway.
"""

import datetime
import functools
import json
import logging
import os
import statistics
import tempfile
import time
import warnings
from contextlib import nullcontext
from dataclasses import replace

import torch
from torch import nn

import tl_helpers as tl
from tl_helpers.data import text, tokens
from tl_helpers.engine.settings import Settings
from tl_helpers.memory import keep_freed_memory
from tl_helpers.models import attach_head, heads, load_text_encoder
from tl_helpers.models.quick_dropout import QuickDropout
from tl_helpers.sources import path_of, root, write_atomically

os.environ.setdefault("HF_HUB_OFFLINE", "1")
BATCH, MAX_TOKENS, DOCUMENTS, ROUNDS = 32, 128, 512, 3
CPU = tl.pick_device("cpu", precision="fp32")


def classifier() -> nn.Module:
    torch.manual_seed(0)
    return attach_head(load_text_encoder("minilm"), heads.linear(8))


def without_quick_dropout(body: nn.Module) -> None:
    """Back to what transformers uses by itself."""
    body.set_attn_implementation("sdpa")
    for module in list(body.modules()):
        for name, child in module.named_children():
            if isinstance(child, QuickDropout):
                setattr(module, name, nn.Dropout(child.p))


def limit(batches, precision: str, *, plain: bool = False, keep: bool = True) -> float:
    """Forward, backward and step, on batches that are already tensors, sorted by length (as training batches never are).

    plain: with torch's own dropout and attention. keep: freed memory stays with the process.
    """
    hardware = replace(CPU, precision=precision)
    ready, model = list(batches), hardware.place(classifier()).train()
    if plain:
        without_quick_dropout(model.backbone.body)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
    start = time.perf_counter()
    with keep_freed_memory() if keep else nullcontext():
        for inputs, labels, _ in ready:
            optimiser.zero_grad()
            with hardware.autocast():
                loss = nn.functional.cross_entropy(model(inputs).float(), labels)
            loss.backward()
            optimiser.step()
    return batches.n / (time.perf_counter() - start)


def ours(texts, val, precision: str) -> float:
    """`fit` as the recipes call it, tokenising included."""
    model, tokenizer = classifier(), tokens.minilm_tokenizer()
    start = time.perf_counter()
    common = {"max_tokens": MAX_TOKENS, "batch_size": BATCH}
    batches = tokens.TextBatches(texts, tokenizer, shuffle=True, **common)
    tl.fit(
        model,
        batches,
        tokens.TextBatches(val, tokenizer, **common),
        Settings(1, lr=1e-5),
        hardware=replace(CPU, precision=precision),
    )
    return len(texts) / (time.perf_counter() - start)


class Rows(torch.utils.data.Dataset):
    """What Trainer takes: a dict per document."""

    def __init__(self, texts, tokenizer, **how):
        self.coded, self.labels = (
            tokenizer(list(texts.texts), truncation=True, max_length=MAX_TOKENS, **how),
            texts.labels,
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> dict:
        return {key: self.coded[key][i] for key in ("input_ids", "attention_mask")} | {"labels": int(self.labels[i])}


def trainer(texts, best: bool) -> float:
    """Trainer with its defaults (documents padded to 128, as in tutorials), or with bf16, grouping and dynamic padding."""
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
    )

    tokenizer = AutoTokenizer.from_pretrained(path_of("minilm"))
    model = AutoModelForSequenceClassification.from_pretrained(path_of("minilm"), num_labels=8)
    more = {"bf16": True, "train_sampling_strategy": "group_by_length"} if best else {}
    with tempfile.TemporaryDirectory() as folder:
        given = {
            "output_dir": folder,
            "per_device_train_batch_size": BATCH,
            "num_train_epochs": 1,
            "learning_rate": 1e-5,
        }
        given |= {
            "report_to": [],
            "save_strategy": "no",
            "logging_strategy": "no",
            "disable_tqdm": True,
            "use_cpu": True,
        }
        start = time.perf_counter()
        rows = Rows(texts, tokenizer, **({} if best else {"padding": "max_length"}))
        Trainer(
            model,
            TrainingArguments(**given, **more),
            train_dataset=rows,
            data_collator=DataCollatorWithPadding(tokenizer),
        ).train()
        return len(texts) / (time.perf_counter() - start)


def sentence_transformers(texts, best: bool) -> float:
    """Its own trainer with SetFit's loss: half as many pairs as documents, the first half paired with the second."""
    import pyarrow
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
        losses,
    )

    model = SentenceTransformer(str(path_of("minilm")), device="cpu")
    model.max_seq_length = MAX_TOKENS
    half = len(texts) // 2
    same = (texts.labels[:half] == texts.labels[half : 2 * half]).float().tolist()
    columns = {"a": texts.texts[:half], "b": texts.texts[half : 2 * half], "label": same}
    # with an explicit fingerprint: datasets would make one by pickling the table, but dill 0.4 fails on a pyarrow type
    pairs = Dataset(pyarrow.table(columns), fingerprint="pairs")
    with tempfile.TemporaryDirectory() as folder:
        given = {
            "output_dir": folder,
            "per_device_train_batch_size": BATCH // 2,
            "num_train_epochs": 1,
            "use_cpu": True,
            "bf16": best,
        }
        given |= {
            "report_to": [],
            "save_strategy": "no",
            "logging_strategy": "no",
            "disable_tqdm": True,
            "learning_rate": 1e-5,
        }
        start = time.perf_counter()
        arguments = SentenceTransformerTrainingArguments(**given)
        SentenceTransformerTrainer(
            model, arguments, train_dataset=pairs, loss=losses.CosineSimilarityLoss(model)
        ).train()
        return 2 * half / (time.perf_counter() - start)


def main() -> None:
    """Every variant in turn, `ROUNDS` times."""
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    data = text.load_text("reuters-r8")
    draw = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(0))[:DOCUMENTS]
    texts, val = data.train.subset(draw), data.val.few(1)
    ready = tokens.TextBatches(texts, tokens.minilm_tokenizer(), batch_size=BATCH, max_tokens=MAX_TOKENS)
    variants = {f"limit {p}": (limit, ready, p) for p in ("fp32", "bf16")}
    back = functools.partial(limit, keep=False)
    variants |= {f"limit {p}, memory given back": (back, ready, p) for p in ("fp32", "bf16")}
    plain = functools.partial(back, plain=True)
    variants |= {f"plain limit {p}": (plain, ready, p) for p in ("fp32", "bf16")}
    variants |= {f"ours {p}": (ours, texts, val, p) for p in ("fp32", "bf16")}
    variants |= {"Trainer, default": (trainer, texts, False), "Trainer, best": (trainer, texts, True)}
    try:
        import datasets  # noqa: F401
        import sentence_transformers as st

        names = ("default", "bf16")
        variants |= {f"sentence-transformers, {n}": (sentence_transformers, texts, n == "bf16") for n in names}
        print(f"sentence-transformers {st.__version__}")
    except ImportError as error:
        print(f"left out: {error}")
    runs = {name: [] for name in variants}
    for _ in range(ROUNDS):
        for name, (run, *given) in variants.items():
            runs[name].append(round(run(*given), 2))
            print(f"{name}: {runs[name][-1]:.1f} documents/s", flush=True)
    median = {name: statistics.median(values) for name, values in runs.items()}
    kinds = ("limit", "plain", "ours", "Trainer")
    best = {kind: max(v for n, v in median.items() if n.startswith(kind)) for kind in kinds}
    ratios = {
        "limit bf16: memory kept / given back": median["limit bf16"] / median["limit bf16, memory given back"],
        "limit / plain limit": best["limit"] / best["plain"],
        "ours / limit": best["ours"] / best["limit"],
        "ours / Trainer, default": best["ours"] / median["Trainer, default"],
        "ours / Trainer at its best": best["ours"] / best["Trainer"],
    }
    others = [value for name, value in median.items() if name.startswith("sentence")]
    if others:
        ratios["ours / sentence-transformers at its best"] = best["ours"] / max(others)
    ratios = {name: round(value, 3) for name, value in ratios.items()}
    table = {"command": "python tests/benchmarks/text_speed.py", "hardware": CPU.line()}
    table |= {
        "date": datetime.date.today().isoformat(),
        "batch": BATCH,
        "max_tokens": MAX_TOKENS,
        "documents": DOCUMENTS,
    }
    table |= {"documents_per_second": median, "runs": runs, "ratios": ratios}
    write_atomically(root() / "data" / "results" / "text_speed.json", json.dumps(table, indent=1) + "\n")
    print(json.dumps(ratios, indent=1))


if __name__ == "__main__":
    main()
