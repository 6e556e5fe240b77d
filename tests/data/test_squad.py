"""A SQuAD file of one's own: read, cut into windows, scored, and refused in one clear sentence where it is bad."""

import copy
import json

import pytest
import torch

from tl_helpers.data.squad import SpanBatches, exact_and_f1, load_squad, span_text, windows
from tl_helpers.data.tokens import minilm_tokenizer
from tl_helpers.errors import CourseError
from tl_helpers.sources import root

OURS = root() / "data" / "squad_small.json"
GOOD = {
    "data": [
        {
            "title": "t",
            "paragraphs": [
                {
                    "context": "The cat sat on the mat.",
                    "qas": [{"id": "1", "question": "Who sat?", "answers": [{"text": "The cat", "answer_start": 0}]}],
                }
            ],
        }
    ]
}


def test_our_own_file_is_read_whole():
    questions = load_squad(OURS)
    assert len(questions) == 36 and sum(not question.answers for question in questions) == 3
    for question in questions:
        for text, start in question.answers:
            assert question.paragraph[start:].startswith(text)


def test_labels_lead_back_to_the_answer():
    tokenizer, questions = minilm_tokenizer(), load_squad(OURS)
    batches = SpanBatches(questions, tokenizer, max_pieces=128, batch_size=5)
    assert batches.n == len(questions)  # each fits into one window
    for question, label in zip(questions, batches.labels.tolist(), strict=True):
        found = span_text(label, windows(question, tokenizer, 128)[0], question.paragraph)
        assert exact_and_f1(found, question.answers) == (1.0, 1.0), (found, question)
    inputs, labels, _ = next(iter(batches))
    assert inputs["input_ids"].shape == inputs["allowed"].shape == (5, 128) and labels.max() < 128 * 30
    assert inputs["allowed"][:, 0].all() and not (inputs["allowed"] & (inputs["input_ids"] == 0)).any()


def test_a_long_paragraph_is_read_in_overlapping_windows(tmp_path):
    content = copy.deepcopy(GOOD)
    paragraph = content["data"][0]["paragraphs"][0]
    paragraph["context"] = "It rained and rained. " * 60 + paragraph["context"]
    paragraph["qas"][0]["answers"][0]["answer_start"] = 60 * 22
    (tmp_path / "long.json").write_text(json.dumps(content), encoding="utf-8")
    (question,) = load_squad(tmp_path / "long.json")
    tokenizer = minilm_tokenizer()
    cut, batches = windows(question, tokenizer, 96), SpanBatches([question], tokenizer, max_pieces=96)
    assert len(cut) == batches.n > 3
    texts = [span_text(label, one, question.paragraph) for label, one in zip(batches.labels.tolist(), cut, strict=True)]
    assert texts[0] == "" and "The cat" in texts and set(texts) == {"", "The cat"}
    # One answer for all windows: the best span, wherever it stands, if [CLS] scores below it in any window.
    logits = torch.full((len(cut), 96 * 30), -5.0)
    logits[:, 0] = 2.0
    assert batches.answers(logits) == [""]
    logits[torch.arange(len(cut)), batches.labels] = 3.0
    logits[batches.labels.nonzero()[-1], batches.labels[-1]] = 4.0
    assert batches.answers(logits) == ["The cat"]
    logits[0, 5 * 30] = 9.0
    assert batches.answers(logits) == [span_text(5 * 30, cut[0], question.paragraph)]
    twice = SpanBatches([question] * 2, tokenizer, max_pieces=96)
    assert len(twice.answers(logits.repeat(2, 1))) == 2
    with pytest.raises(CourseError, match=f"logits of {len(logits)} windows; these questions have {2 * len(logits)}"):
        twice.answers(logits)


@pytest.mark.parametrize(
    "answer", ["❤\ufe0f", "Cafe\u0301", "\u200bhidden", "hidden\u200b", "word\u00ad", " two words "]
)
def test_an_answer_with_an_edge_that_no_piece_stands_for_is_still_found(answer, tmp_path):
    content = copy.deepcopy(GOOD)
    content["data"][0]["paragraphs"][0] = {
        "context": f"It says {answer} on the door.",
        "qas": [{"id": 1, "question": "What?", "answers": [{"text": answer, "answer_start": 8}]}],
    }
    (tmp_path / "edges.json").write_text(json.dumps(content))
    (question,) = load_squad(tmp_path / "edges.json")
    (one,) = windows(question, minilm_tokenizer())
    (label,) = SpanBatches([question], minilm_tokenizer()).labels.tolist()
    assert label and exact_and_f1(span_text(label, one, question.paragraph), question.answers) == (1.0, 1.0)


def test_the_callers_tokenizer_cuts_afterwards_as_before():
    tokenizer, question = minilm_tokenizer(), load_squad(OURS)[0]
    whole = windows(question, tokenizer)[0].ids
    assert tokenizer.truncation is None
    tokenizer.enable_truncation(4, stride=1, direction="left")
    before = dict(tokenizer.truncation)
    assert windows(question, tokenizer)[0].ids == whole and tokenizer.truncation == before
    with pytest.raises(CourseError, match="shorten it"):
        windows(question, tokenizer, 8)
    assert tokenizer.truncation == before


def test_figures_by_hand():
    answers = (("the grey cat", 0), ("a cat", 0))
    assert exact_and_f1("Grey cat!", answers) == (1.0, 1.0)
    assert exact_and_f1("old grey cat", answers) == (0.0, pytest.approx(0.8))
    assert exact_and_f1("dog", answers) == exact_and_f1("", answers) == exact_and_f1("dog", ()) == (0.0, 0.0)
    assert exact_and_f1("", ()) == (1.0, 1.0)


def change(*path, to):
    content = copy.deepcopy(GOOD)
    inner = content
    for key in path[:-1]:
        inner = inner[key]
    if to is None:
        del inner[path[-1]]
    else:
        inner[path[-1]] = to
    return json.dumps(content).encode()


P = ("data", 0, "paragraphs", 0)
BAD = {
    "not UTF-8": (b'{"data": "\xff"}', "not UTF-8"),
    "no JSON": (b'{"data": [}', "not JSON.*line 1 column 11"),
    "too deep": (b"[" * 100_000, "not JSON"),
    "half an emoji": (change(*P, "qas", 0, "question", to="\ud83d?"), "not JSON in UTF-8"),
    "a list": (b"[]", "SQuAD's format has 'data' in the file; this one is a list"),
    "empty": (b'{"data": []}', "contains no question"),
    "no context": (change(*P, "context", to=None), r"'context' in data\[0\].paragraphs\[0\]; this one has 'qas'"),
    "qas is a text": (change(*P, "qas", to="?"), "'qas' in"),
    "no answer": (change(*P, "qas", 0, "answers", to=[]), "has no answer.*is_impossible"),
    "no question": (change(*P, "qas", 0, "question", to=" "), "has no question"),
    "shifted": (change(*P, "qas", 0, "answers", 0, "answer_start", to=1), "has 'he cat .* at place 1.*begins at 0"),
    "not there": (change(*P, "qas", 0, "answers", 0, "text", to="The dog"), "does not occur in the paragraph"),
    "start as a text": (change(*P, "qas", 0, "answers", 0, "answer_start", to="0"), "'answer_start' in .*answers"),
    "twice": (change(*P, "qas", to=GOOD["data"][0]["paragraphs"][0]["qas"] * 2), "id '1' occurs twice"),
}


@pytest.mark.parametrize(("content", "message"), BAD.values(), ids=BAD)
def test_bad_files_get_one_clear_sentence(tmp_path, content, message):
    (tmp_path / "mine.json").write_bytes(content)
    with pytest.raises(CourseError, match=message):
        load_squad(tmp_path / "mine.json")


def test_a_missing_file_and_a_question_without_end(tmp_path):
    with pytest.raises(CourseError, match="can't be read"):
        load_squad(tmp_path / "none.json")
    (tmp_path / "long.json").write_bytes(change(*P, "qas", 0, "question", to="why " * 200))
    with pytest.raises(CourseError, match="shorten it"):
        windows(load_squad(tmp_path / "long.json")[0], minilm_tokenizer(), 96)
    assert torch.is_tensor(SpanBatches(load_squad(OURS)[:2], minilm_tokenizer()).labels)


def test_an_answer_with_a_space_at_its_edge_is_that_answer(tmp_path):
    paragraph = GOOD["data"][0]["paragraphs"][0]["context"]
    start = paragraph.index(" ") + 1
    word = paragraph[start:].split(" ")[0]
    labels = []
    for text, place in ((word, start), (f" {word}", start - 1), (f"{word} ", start)):
        (tmp_path / "a.json").write_bytes(change(*P, "qas", 0, "answers", to=[{"text": text, "answer_start": place}]))
        question = load_squad(tmp_path / "a.json")[0]
        labels.append(SpanBatches([question], minilm_tokenizer()).labels[0])
        assert question.answers == ((word, start),)
    assert labels[0] == labels[1] == labels[2] > 0
