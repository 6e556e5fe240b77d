"""Labelled texts: the standard splits of Reuters and 20 Newsgroups, and CSV, TSV or JSONL files of your own."""

import functools
import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tl_helpers.data.folders import ALIASES, holds_classes
from tl_helpers.data.labelled import Labelled
from tl_helpers.data.rows import ENDINGS, Row, read_rows
from tl_helpers.data.splits import Split, cut
from tl_helpers.errors import CourseError
from tl_helpers.sources import path_of, source

# é, ü, Ö … and ’ after UTF-8 was read as Windows' encoding and written as UTF-8 again
_TWICE = re.compile("[ÃÂ][\x80-\xbf]|Ã[Ÿœ„–]|â€")
TEXTS = ("reuters-r8", "reuters-r52", "20newsgroups")


@dataclass(frozen=True, eq=False)
class TextSet(Labelled):
    """Labelled documents in a fixed order.

    texts: the documents. labels: int64 (n,), positions in `classes`. names: where each comes from ("train 12", "line 3").
    weights: float32 (n,) or None (all count alike). notes: what was odd in the rows, one sentence each; read them.
    role: "all" has `.train`, `.val` and `.test`, which know their role: the engine never trains on a test set.
    """

    by_item = ("texts", "labels", "names", "weights")
    name: str
    texts: tuple[str, ...]
    labels: Tensor
    classes: tuple[str, ...]
    names: tuple[str, ...]
    licence: str = "not stated"
    attribution: str = ""
    notes: tuple[str, ...] = ()
    weights: Tensor | None = None
    role: str = "all"
    split: Split | None = None

    def __post_init__(self) -> None:
        for name in ("texts", "classes", "names"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        self._check_labels(len(self.texts), "texts", {"names": self.names, "weights": self.weights})

    def __getitem__(self, index: int) -> tuple[str, int]:
        return self.texts[index], self._label(index)

    def __repr__(self) -> str:
        return f"TextSet({self.name!r}, {self.role}: {len(self)} documents, {len(self.classes)} classes)"

    @functools.cached_property
    def fingerprint(self) -> str:
        """sha256 (hex) of name, texts and labels."""
        digest = hashlib.sha256(repr((self.name, self.texts)).encode("utf-8", "surrogatepass"))
        digest.update(self.labels.contiguous().numpy())
        return digest.hexdigest()


def load_text(
    name_or_path: str | Path,
    split_seed: int = 0,
    *,
    text_column: str | None = None,
    label_column: str | None = None,
    skip_bad: bool = False,
) -> TextSet:
    """A set of labelled texts; `tl.data.load` calls this for the names in TEXTS and for the files named below.

    By name: the standard test split; a seventh of the training documents (about 15 %) is cut off for validation.
    By path: file.csv, .tsv or .jsonl, of which a quarter becomes the test set; or a folder with such files named train,
    test and perhaps val. Columns that are not given are found by their usual names (text, label …). A row that is empty,
    not UTF-8, without a label or wrongly divided into cells is an error that names it; with `skip_bad` it is left out and
    reported in `.notes`.
    Documents that occur twice stay together when a set is cut, and are reported. A class of one document stays in train.

    Raises CourseError: a column is missing, a document has more than a million characters, there is only one class, or
    val or test rows have a class that no training row has.
    """
    name, where = str(name_or_path), Path(os.path.expanduser(name_or_path))
    if name in TEXTS:
        parts = {part: _standard(path_of(f"{name}-{part}"), part) for part in ("train", "test")}
        row = source(f"{name}-train")
        return _assemble(name, parts, split_seed, [], licence=row.licence, attribution=row.attribution)
    columns, notes = (text_column, label_column), []
    if os.path.isdir(where):
        files = {part: file for part in ("train", "val", "test") if (file := text_file(where, part))}
        for part in ("train", "test"):
            if part not in files:
                raise CourseError(f"{where} has no {part}.csv, {part}.tsv or {part}.jsonl; it needs train and test.")
        parts = {
            part: [row._replace(name=f"{part}, {row.name}") for row in read_rows(file, columns, skip_bad, notes)]
            for part, file in files.items()
        }
    else:
        parts = {"all": read_rows(where, columns, skip_bad, notes)}
    return _assemble(where.resolve().name, parts, split_seed, notes)


def is_text(name_or_path: str | Path) -> bool:
    """Whether `load_text` is meant: a name in TEXTS, a file by its ending, or a folder with a train file of texts.

    A train.csv next to class folders of pictures does not make a text set of them.
    """
    path = Path(os.path.expanduser(name_or_path))  # "~nobody" stays; Path.expanduser raises RuntimeError
    if str(name_or_path) in TEXTS or path.suffix.lower() in ENDINGS:
        return True
    return bool(text_file(path, "train")) and not holds_classes(path)


def text_file(folder: Path, part: str) -> Path | None:
    """`folder/part.csv`, .tsv or .jsonl, the first that exists; valid and validation mean val, as for pictures."""
    names = [part, *(name for name, meant in ALIASES.items() if meant == part)]
    files = [folder / f"{name}{end}" for name in names for end in ENDINGS]
    return next((file for file in files if os.path.isfile(file)), None)


def near_duplicates(of: TextSet, known: TextSet, words: int = 20) -> Tensor:
    """Which documents of one set share their first `words` words with a document of another: bool (n,)."""
    ours, theirs = ([tuple(text.split()[:words]) for text in one.texts] for one in (of, known))
    seen = set(theirs)
    return torch.tensor([start in seen for start in ours], dtype=torch.bool)


def _standard(path: Path, part: str) -> list[Row]:
    # Three header lines, then Category<TAB>Text; a lone tab is the format's first row. Lines end in \n only.
    lines = path.read_bytes().decode("utf-8").split("\n")[3:]
    cells = [line.split("\t", 1) for line in lines if line.strip()]
    return [Row(text.strip(), label, f"{part} {i}") for i, (label, text) in enumerate(cells)]


def _assemble(name: str, parts: dict[str, list[Row]], seed: int, notes: list[str], **more) -> TextSet:
    rows = [row for part in parts.values() for row in part]
    classes = tuple(sorted({row.label for row in rows}))
    if len(classes) < 2:
        found = f"all of the {len(rows)} rows say {classes[0]!r}" if classes else "there are no rows"
        raise CourseError(f"{name} has to hold at least two classes, but {found}. Is label_column the right one?")
    number = {label: k for k, label in enumerate(classes)}  # .index would take minutes on thousands of classes
    labels = np.array([number[row.label] for row in rows])
    role = np.repeat(list(parts), [len(part) for part in parts.values()])
    texts = tuple(row.text for row in rows)
    unseen = set(labels[role != "train"]) - set(labels[role == "train"]) if "train" in parts else set()
    if unseen:
        raise CourseError(
            f"{name}: {', '.join(classes[i] for i in sorted(unseen)[:5])} occurs in val or test, but in no training row, so no "
            "model could learn it. Is it a misspelling, or does it belong in train as well?"
        )
    return TextSet(
        name=name,
        texts=texts,
        labels=torch.from_numpy(labels),
        classes=classes,
        names=tuple(row.name for row in rows),
        notes=(*notes, *_odd(texts, labels, role)),
        split=_split(texts, labels, role, seed),
        **more,
    )


def _split(texts: tuple[str, ...], labels: np.ndarray, role: np.ndarray, seed: int) -> Split:
    """Cut what has no role yet. The first of equal documents decides for all; a class with only one stays in train."""
    _, first, of = np.unique(np.array(texts, dtype=object), return_index=True, return_inverse=True)
    rng = np.random.default_rng(seed)
    role = np.where(role == "all", "", role).astype("U5")

    def take(share: float, from_role: str, to_role: str) -> None:
        known = first[role[first] == from_role]
        several = known[np.bincount(labels[known], minlength=labels.max() + 1)[labels[known]] > 1]
        chosen = np.zeros(len(role), bool)
        if len(several) > 1:
            chosen = np.isin(first[of], cut(np.sort(several), labels, None, share, rng)[1]) & (role == from_role)
            lost = np.setdiff1d(labels[role == from_role], labels[(role == from_role) & ~chosen])
            chosen &= ~np.isin(of, of[np.isin(labels, lost)])  # a class that only repeats another's documents
        if not chosen.any():
            raise CourseError(
                f"{len(labels)} documents of {labels.max() + 1} classes are too few to cut a {to_role} set from: a class "
                "needs at least two. Does the label column name classes?"
            )
        role[chosen] = to_role

    if "test" not in role:
        take(0.25, "", "test")
        role[role == ""] = "train"
    if "val" not in role:
        take(0.15, "train", "val")
    return Split(*(np.flatnonzero(role == part) for part in ("train", "val", "test")))


def _odd(texts: tuple[str, ...], labels: np.ndarray, role: np.ndarray) -> list[str]:
    """What a reader should know about rows that are kept nevertheless."""
    first = {text: i for i, text in reversed([*enumerate(texts)])}  # where each document occurs first
    again = [i for i, text in enumerate(texts) if first[text] != i]
    torn = sum(labels[i] != labels[first[texts[i]]] for i in again)
    leaked = sum(role[i] == "test" != role[first[texts[i]]] for i in again)
    broken = sum("\ufffd" in text for text in texts)
    twice = sum(bool(_TWICE.search(text)) for text in texts if not text.isascii())
    notes = (
        (len(again), f"documents are exact repeats; {torn} of these have another label than the first."),
        (leaked, "test documents are also in train or val, word for word."),
        (broken, "documents contain \ufffd: letters lost earlier, through a wrong encoding."),
        (twice, "documents contain letters such as Ã© or â€™, which were é and ’ before they were encoded twice."),
    )
    return [f"{n} {what}" for n, what in notes if n]
