"""Rows of a CSV, TSV or JSONL file, or lines of a text, read strictly, with problems reported by line."""

import codecs
import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tl_helpers.errors import CourseError, count

ENDINGS = (".csv", ".tsv", ".jsonl")
LONGEST = 1_000_000  # characters of a document: a longer one has an unclosed quote, or is not one document
USUAL = (("text", "document", "content", "sentence", "review"), ("label", "category", "class", "target", "topic"))
NAMES, UNLABELLED = ("text", "label"), "unlabelled"
OPEN_QUOTE = "goes on after the quote that closes its text: double any quote that belongs to the text"
MORE_CELLS = "has more cells than the header: put a text with commas (or whatever separates here) in quotes"


class Row(NamedTuple):
    """One document, its label, and where it is in the file."""

    text: str
    label: str
    name: str


def read_rows(
    path: Path, columns: tuple[str | None, str | None], skip_bad: bool, notes: list[str], *, labelled: bool = True
) -> list[Row]:
    """The rows of a file. columns: those of text and label, None to find them by their usual names.

    labelled=False: neither a label column nor a label in each row is needed; a row without one is "unlabelled". So a .txt
    can be read too: its lines are the texts, and empty ones are skipped.
    A row that is empty, not UTF-8, without a label, with more cells than the header or with text after its closing quote
    raises CourseError; with skip_bad, a sentence is added to notes instead. A .csv may be separated by semicolons or tabs,
    if its header is. A quote that is not closed is always an error.
    """
    endings = ENDINGS if labelled else (*ENDINGS, ".txt")
    if path.suffix.lower() not in endings:
        raise CourseError(f"{path} is not a text set that can be read: expected a file ending in {', '.join(endings)}.")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CourseError(f"{path} can't be read ({error.strerror}).") from error
    refuse_utf16(content, path)
    content = content.decode("utf-8-sig", "surrogateescape")  # a wrong byte stays one, and is reported by row
    if "\n" not in content:
        content = content.replace("\r", "\n")  # the line ending of old Macs
    rows, bad = [], []
    reader = {".jsonl": _json_records, ".txt": _lines}.get(path.suffix.lower(), _csv_records)
    records = list(reader(content, path))
    names = {str(name): None for _, one in records if isinstance(one, dict) for name in one if name is not None}
    asked = zip(columns, USUAL, NAMES, (True, labelled), strict=True)
    usable = any(isinstance(one, dict) for _, one in records)
    found = [_column(path, list(names), *which) for which in asked] if usable else []
    for line, record in records:
        if isinstance(record, str):
            bad.append(f"line {line} {record}")
            continue
        text, label = record.get(found[0]), record.get(found[1]) if found[1] else UNLABELLED
        label = label if labelled or str("" if label is None else label).strip() else UNLABELLED
        if problem := MORE_CELLS if any(record.get(None, ())) else _problem(text, label):
            bad.append(f"line {line} {problem}")
        else:
            rows.append(Row(text.strip(), str(label).strip(), f"line {line}"))
    if bad and not skip_bad:
        more = f" ({len(bad)} such rows)" if len(bad) > 1 else ""
        raise CourseError(f"{path.name}: {bad[0]}{more}. Fix it, or leave such rows out with skip_bad (--skip-bad).")
    if not rows:
        raise CourseError(f"{path.name} contains no document" + (f": {bad[0]}." if bad else "."))
    if bad:
        notes.append(f"{path.name}: {count(len(bad), 'row')} left out: {'; '.join(bad[:5])}{' …' if bad[5:] else '.'}")
    return rows


def refuse_utf16(content: bytes, name: Path | str) -> None:
    """CourseError if these bytes, the first of a file or of stdin, are UTF-16: decoded as UTF-8 they would be garbage."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise CourseError(f"{name} is in UTF-16 (Windows calls it Unicode). Save the file with the encoding UTF-8.")


def read_utf8(path: Path) -> str:
    """The text of a file; CourseError if it can't be read or is in another encoding."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise CourseError(f"{path} can't be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise CourseError(f"{path} is not UTF-8 (save the file with that encoding).") from error


def _problem(text, label) -> str:
    for value in (text, label):
        if isinstance(value, str) and not value.isprintable() and any("\ud800" <= c <= "\udfff" for c in value):
            return "is not UTF-8 (save the file with that encoding)"
    if text is not None and not isinstance(text, str):
        return f"has {type(text).__name__} where a text is expected"
    if isinstance(label, list | dict):
        return f"has {type(label).__name__} where a label is expected"
    if not text or not text.strip():
        return "has an empty text"
    return "" if label is not None and str(label).strip() else "has no label"


def _column(
    path: Path, names: list[str], asked: str | None, usual: tuple[str, ...], what: str, needed: bool
) -> str | None:
    """The name of a column: the one asked for, or the first of the usual names, whatever their case."""
    if any("\udc80" <= letter <= "\udcff" for name in names for letter in name):
        raise CourseError(f"The column names of {path.name} are not UTF-8 (save the file with that encoding).")
    found = [asked] if asked in names else [n for u in usual for n in names if not asked and n.strip().lower() == u]
    if not found and (needed or asked):
        wanted = f"no column {asked!r}" if asked else f"no column of a usual name for the {what} ({', '.join(usual)})"
        raise CourseError(
            f"{path.name} has {wanted}; it has {', '.join(names)[:200] or 'none at all'}. Name it with {what}_column (--{what}-column); or is "
            "the first line no header?"
        )
    return found[0] if found else None


def _csv_records(content: str, path: Path) -> Iterator[tuple[int, dict | str]]:
    before = csv.field_size_limit(LONGEST)
    start = 1
    try:
        mark = "\t" if path.suffix.lower() == ".tsv" else _separator(content)
        lines = list(io.StringIO(content, newline=""))
        reader = csv.DictReader(lines, delimiter=mark, strict=True)
        start = reader.line_num + 1 if reader.fieldnames else 1
        if twice := {name for name in reader.fieldnames or () if reader.fieldnames.count(name) > 1 and name}:
            raise CourseError(f"{path.name} has more than one column called {', '.join(sorted(twice))}: rename one.")
        while True:
            while start <= len(lines) and not lines[start - 1].strip("\r\n"):
                start += 1  # an empty line, which the reader skips
            try:
                record = next(reader, None)
            except csv.Error as error:
                quotes = sum(line.count('"') for line in lines[start - 1 : reader.reader.line_num])
                if "expected after" not in str(error) or quotes % 2:  # then more than this row is unclear
                    raise
                record = OPEN_QUOTE
            if record is None:
                break
            yield start, record
            start = reader.reader.line_num + 1
    except csv.Error as error:
        raise CourseError(
            f"{path.name}, line {start}: {error}. Is a quote not closed? Put a text that begins with a quote in quotes and "
            f"double its own; a text has at most {LONGEST:,} characters."
        ) from error
    finally:
        csv.field_size_limit(before)


def _separator(content: str) -> str:
    """The first of comma, semicolon and tab that divides the header."""
    header = content.partition("\n")[0]
    return next((mark for mark in ",;\t" if len(next(csv.reader([header], delimiter=mark), ())) > 1), ",")


def _lines(content: str, _: Path) -> Iterator[tuple[int, dict]]:
    """A .txt has one column, the text."""
    return ((number, {"text": line}) for number, line in enumerate(content.split("\n"), 1) if line.strip())


def _json_records(content: str, path: Path) -> Iterator[tuple[int, dict]]:
    for number, line in enumerate(content.split("\n"), 1):
        if len(line) > LONGEST:
            raise CourseError(
                f"{path.name}, line {number}: {len(line):,} characters. A document has at most {LONGEST:,}: is this JSONL, "
                "with one object per line?"
            )
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            if not isinstance(record, dict):
                raise ValueError("not an object")
        except (ValueError, RecursionError) as error:
            raise CourseError(
                f'{path.name}, line {number} is not a JSON object ({error}): expected {{"text": …, "label": …}}.'
            ) from error
        yield number, record
