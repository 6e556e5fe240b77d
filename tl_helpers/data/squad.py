"""Questions whose answer is a span of a paragraph: a JSON file of your own in the format of SQuAD (Rajpurkar et al., 2016)."""

import collections
import json
import re
import string
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Encoding, Tokenizer
from torch import Tensor

from tl_helpers.data.cloze_batches import RowBatches
from tl_helpers.data.rows import read_utf8
from tl_helpers.errors import CourseError

SHAPE = '{"data": [{"title": "…", "paragraphs": [{"context": "…", "qas": [{"id": "…", "question": "…", "answers": [{"text": "…", "answer_start": 0}]}]}]}]}'


@dataclass(frozen=True)
class SpanQuestion:
    """`answers` are (text, place of its first letter in `paragraph`); if there are none, the paragraph does not say."""

    id: str
    question: str
    paragraph: str
    answers: tuple[tuple[str, int], ...]


def load_squad(path: Path | str) -> tuple[SpanQuestion, ...]:
    """The questions of a file in SQuAD's format (1.1, or 2.0 with questions that have no answer), in its order.

    Raises a CourseError that names the place in the file where something is missing, or an answer is not where it says.
    """
    try:
        content = json.loads(read_utf8(Path(path).expanduser()))
        json.dumps(content, ensure_ascii=False).encode()  # half an emoji is no text
    except (json.JSONDecodeError, RecursionError, UnicodeEncodeError) as error:
        raise CourseError(f"{path} is not JSON in UTF-8: {error}.") from error
    found = []
    for i, article in enumerate(_get(content, "data", list, "the file")):
        for j, paragraph in enumerate(_get(article, "paragraphs", list, f"data[{i}]")):
            where = f"data[{i}].paragraphs[{j}]"
            text = _get(paragraph, "context", str, where)
            for k, row in enumerate(_get(paragraph, "qas", list, where)):
                found.append(_question(row, text, f"{where}.qas[{k}]"))
    twice = [name for name, n in collections.Counter(question.id for question in found).items() if n > 1]
    if not found or twice:
        problem = f"the id {twice[0]!r} occurs twice" if twice else "it contains no question"
        raise CourseError(f"{path}: {problem}. Every question needs an id of its own.")
    return tuple(found)


def _question(row: dict, paragraph: str, where: str) -> SpanQuestion:
    answers = []
    for a, answer in enumerate(_get(row, "answers", list, where)):
        text, start = (_get(answer, *what, f"{where}.answers[{a}]") for what in (("text", str), ("answer_start", int)))
        # no piece stands for a space, an invisible letter or a combining mark, so no label could
        kept = [i for i, c in enumerate(text) if not c.isspace() and unicodedata.category(c) not in ("Mn", "Cf", "Cc")]
        if not kept or paragraph[max(0, start) : start + len(text)] != text:
            stands = paragraph.find(text)
            hint = f"it begins at {stands}" if text and stands >= 0 else "it does not occur in the paragraph at all"
            raise CourseError(
                f"{where}.answers[{a}]: the paragraph has {paragraph[max(0, start) :][: len(text)]!r} at place {start}, "
                f"not {text!r}; {hint}. An answer is copied letter by letter; places count from 0."
            )
        answers.append((text[kept[0] : kept[-1] + 1], start + kept[0]))
    question = _get(row, "question", str, where).strip()
    if not (answers or row.get("is_impossible")) or not question:
        raise CourseError(
            f'{where} has no {"answer" if question else "question"}. A question without an answer has to say "is_impossible": true.'
        )
    return SpanQuestion(str(_get(row, "id", (str, int), where)), question, paragraph, tuple(answers))


def _get(row, key: str, kind, where: str):
    if not isinstance(row, dict) or not isinstance(row.get(key), kind):
        has = f"has {', '.join(map(repr, row)) or 'nothing'}" if isinstance(row, dict) else f"is a {type(row).__name__}"
        raise CourseError(
            f"SQuAD's format has {key!r} in {where}; this one {has}, or a value of another type. Expected: {SHAPE}"
        )
    return row[key]


def windows(question: SpanQuestion, tokenizer: Tokenizer, max_pieces: int = 192) -> list[Encoding]:
    """`[CLS] question [SEP] paragraph [SEP]`, in as many overlapping windows of at most `max_pieces` as the paragraph needs.

    The tokenizer's own truncation and padding are ignored here, and restored afterwards.
    """
    before, pads = tokenizer.truncation, tokenizer.padding  # restored below: a copy would take longer than a question
    tokenizer.no_truncation()
    tokenizer.no_padding()
    try:
        if len(tokenizer.encode(question.question).ids) > max_pieces // 2:
            raise CourseError(f"The question {question.id!r} is longer than half of {max_pieces} pieces: shorten it.")
        tokenizer.enable_truncation(max_pieces, stride=max_pieces // 4, strategy="only_second")
        first = tokenizer.encode(question.question, question.paragraph)
    finally:
        tokenizer.enable_truncation(**before) if before else tokenizer.no_truncation()
        if pads:
            tokenizer.enable_padding(**pads)
    return [first, *first.overflowing]


def span_inputs(encoding: Encoding, max_pieces: int = 192) -> dict[str, Tensor]:
    """{"input_ids": int64 (max_pieces,), "allowed": bool (max_pieces,)}: pieces of the paragraph, and [CLS] for "no answer"."""
    ids, allowed = torch.zeros(max_pieces, dtype=torch.int64), torch.zeros(max_pieces, dtype=torch.bool)
    ids[: len(encoding.ids)] = torch.tensor(encoding.ids)
    allowed[: len(encoding.ids)] = torch.tensor([sequence == 1 for sequence in encoding.sequence_ids])
    allowed[0] = True
    return {"input_ids": ids, "allowed": allowed}


class SpanBatches(RowBatches):
    """Batches of span questions: inputs {"input_ids", "allowed": (b, max_pieces)}, one row per window.

    A label is `start * longest + length - 1` in pieces, as in SpanReader; 0, the first piece alone, if the window does not
    contain the answer (of several, the first is taken) or the answer has more than `longest` pieces.
    """

    def __init__(self, questions, tokenizer: Tokenizer, *, max_pieces=192, longest=30, role="all", **how) -> None:
        asked = enumerate(questions)
        self.read = [(n, question, one) for n, question in asked for one in windows(question, tokenizer, max_pieces)]
        self.longest = longest
        labels = [_label(one, question.answers[:1], longest) for _, question, one in self.read]
        super().__init__([span_inputs(one, max_pieces) for *_, one in self.read], labels, role, **how)

    def answers(self, logits: Tensor) -> list[str]:
        """The answer to each question, as letters of its paragraph ("" for none), from the logits of these windows in order.

        It is the best span of all windows, if that scores above the lowest [CLS] among them (Devlin et al., 2019, for SQuAD 2.0).
        """
        if len(logits) != len(self.read):
            raise CourseError(f"Found logits of {len(logits)} windows; these questions have {len(self.read)}.")
        found = {}
        for (n, question, one), scores in zip(self.read, logits, strict=True):
            span = int(scores[self.longest :].argmax()) + self.longest  # the classes before it begin at [CLS]
            none, best, said = found.get(n, (float("inf"), float("-inf"), ""))
            if scores[span] > best:
                best, said = scores[span], span_text(span, one, question.paragraph, self.longest)
            found[n] = min(none, scores[0]), best, said
        return [said if best > none else "" for none, best, said in found.values()]


def _label(encoding: Encoding, answers, longest: int) -> int:
    for text, begin in answers:
        start, end = (encoding.char_to_token(place, 1) for place in (begin, begin + len(text) - 1))
        if start is not None and end is not None and end - start < longest:
            return start * longest + end - start
    return 0


def span_text(label: int, encoding: Encoding, paragraph: str, longest: int = 30) -> str:
    """The letters of the paragraph that a label stands for; "" for no answer."""
    start, end = label // longest, label // longest + label % longest
    return paragraph[encoding.offsets[start][0] : encoding.offsets[end][1]] if start else ""


def exact_and_f1(found: str, answers) -> tuple[float, float]:
    """SQuAD's two scores for one question, in [0, 1], the best over its answers: the same words, and F1 of the words shared.

    Both ignore case, punctuation and articles. If there is no answer, giving none is right.
    """

    def plain(text: str) -> list[str]:
        return re.sub(r"\b(a|an|the)\b", " ", "".join(c for c in text.lower() if c not in string.punctuation)).split()

    best = [0.0, 0.0]
    for text in [text for text, _ in answers] or [""]:
        one, other = plain(found), plain(text)
        shared = sum((collections.Counter(one) & collections.Counter(other)).values())
        f1 = 2 * shared / (len(one) + len(other)) if one and other else float(one == other)
        best = [max(best[0], float(one == other)), max(best[1], f1)]
    return best[0], best[1]
