"""Readers: what padding must not change, what the head must add up, what fit can train."""

import pytest
import torch
from transformers import BertConfig, BertModel

from tl_helpers.data.cloze import load_cloze, load_tales
from tl_helpers.data.cloze_batches import ClozeBatches, MaskedBatches, guess_encoder, pieces_encoder, words_encoder
from tl_helpers.data.squad import SpanBatches, SpanQuestion, exact_and_f1
from tl_helpers.data.tokens import minilm_tokenizer
from tl_helpers.device import pick_device
from tl_helpers.engine.fit import fit
from tl_helpers.engine.metrics import measure, predict
from tl_helpers.engine.settings import Settings
from tl_helpers.errors import CourseError
from tl_helpers.models.reader import AttentionSum, PieceReader, SpanReader, WordGuesser, WordReader, read_ahead


def small_bert(width=16, **more):
    torch.manual_seed(0)
    shape = {"hidden_size": width, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 2 * width}
    return BertModel(BertConfig(vocab_size=30522, **shape, **more), add_pooling_layer=False).eval()


@pytest.fixture(scope="module")
def part():
    return load_cloze("noun").subset(range(0, 1720, 250), "train")


@pytest.fixture(scope="module")
def pieces():
    return pieces_encoder(minilm_tokenizer())


def test_a_candidate_gets_what_its_places_get():
    head = AttentionSum(8, dropout=0.0).eval()
    inputs = {"place": torch.randn(2, 5, 8), "blank": torch.randn(2, 1, 8)}
    inputs |= {
        "candidate": torch.tensor([[1, 2, 1, 3, 0], [2, 0, 0, 0, 0]]),
        "distance": torch.tensor([[3, 2, 1, 1, 0]] * 2),
    }
    attention, chances = head.attention(inputs), head(inputs).softmax(1)
    assert torch.allclose(attention.sum(1), torch.ones(2)) and attention[0, 4] == 0
    assert torch.allclose(chances[0, 0], attention[0, 0] + attention[0, 2], atol=1e-6)
    assert torch.allclose(chances[0, 1:3], attention[0, [1, 3]], atol=1e-6)
    assert chances[1, 1] > 0.999 and chances.shape == (2, 10)


def test_the_candidates_are_marked_in_their_order_and_distances_fall_to_one(part):
    encode, _ = words_encoder(part)
    for question in part.questions:
        row, words = encode(question), [word.lower() for sentence in question.context for word in sentence]
        assert {words[i] for i in (row["candidate"] == question.label + 1).nonzero()[:, 0]} == {question.answer}
        assert row["query"][row["blank"]] == 2 and (row["distance"][0], row["distance"][-1]) == (20, 1)


def readers(part, pieces):
    torch.manual_seed(0)
    encode, size = words_encoder(part)
    guesser = WordGuesser(small_bert()), guess_encoder(minilm_tokenizer())
    return [(WordReader(size), encode), (PieceReader(small_bert()), pieces), guesser]


def test_padding_changes_no_score(part, pieces):
    for reader, encode in readers(part, pieces):
        reader.eval()
        with torch.no_grad():
            together = torch.cat([reader(inputs) for inputs, *_ in ClozeBatches(part, encode, batch_size=len(part))])
            alone = torch.cat([reader(inputs) for inputs, *_ in ClozeBatches(part, encode, batch_size=1)])
        assert together.shape == (len(part), 10) and torch.allclose(together, alone, atol=1e-4)


def test_pieces_mark_the_candidates_and_the_blank(part, pieces):
    tokenizer = minilm_tokenizer()
    for question in part.questions:
        row = pieces(question)
        chunks, length = row["input_ids"].shape
        assert chunks > 1 and length <= 256
        assert (row["input_ids"][:, row["blank"]] == tokenizer.token_to_id("[MASK]")).all()
        assert row["candidate"].max() == 10 and len(row["candidate"].unique()) == 11  # not one is lost
        where = row["candidate"] == question.label + 1
        first = tokenizer.encode(question.answer, add_special_tokens=False).ids[0]
        assert (row["input_ids"][where] == first).all() and where.sum() == [k for k, *_ in question.places()].count(
            question.label
        )
        assert row["distance"][where].min() >= 1 and row["distance"].max() <= 20


def test_a_long_query_keeps_its_blank():
    from dataclasses import replace

    question = load_cloze("noun").questions[0]
    long = replace(question, query=("word",) * 300 + question.query + ("word",) * 300)
    row = pieces_encoder(minilm_tokenizer())(long)
    assert row["input_ids"].shape[1] <= 256 and (row["input_ids"] == 103).any(1).all()


def test_a_guess_is_asked_for_at_the_end_of_what_has_room(part):
    from dataclasses import replace

    tokenizer = minilm_tokenizer()
    question = part.questions[0]
    words = [word for sentence in (*question.context, question.query) for word in sentence]
    whole = [
        i
        for word in words
        for i in ([103] if word == "_____" else tokenizer.encode(word, add_special_tokens=False).ids)
    ]
    row = guess_encoder(tokenizer)(question)
    assert row["input_ids"].tolist() == [101, *whole[-126:], 102]
    assert [tokenizer.id_to_token(i) for i in row["offered"].tolist()] == list(question.candidates)
    short = replace(question, context=question.context[-1:])
    rows = [guess_encoder(tokenizer, max_pieces=n)(short)["input_ids"].tolist() for n in (256, 512)]
    assert rows[0] == rows[1] == [101, *whole[2 - len(rows[0]) :], 102]  # all there is, and no more
    long = replace(question, query=("word",) * 300 + question.query + ("word",) * 300)
    cut = guess_encoder(tokenizer)(long)["input_ids"]
    assert len(cut) == 128 and (cut == 103).sum() == 1
    assert len(guess_encoder(tokenizer, max_pieces=20)(long)["input_ids"]) == 20


def test_a_hidden_word_is_one_mask_and_its_first_piece_the_label():
    tokenizer, tales = minilm_tokenizer(), load_tales()[:3]
    batches = MaskedBatches(tales, tokenizer, words=50, masks=10, batch_size=4, seed=1)
    first = list(batches)
    batches.set_epoch(0)
    again, other = list(batches), list(batches)
    assert len(batches) == len(first) and sum(len(x["input_ids"]) for x, *_ in first) == batches.n
    text = " ".join(word for tale in tales for sentence in tale.sentences for word in sentence)
    everything = tokenizer.encode(text, add_special_tokens=False).ids
    held = {tuple(everything[i : i + 5]) for i in range(len(everything))}
    for (inputs, labels, weights), (same, same_labels, _) in zip(first, again, strict=True):
        ids = inputs["input_ids"]
        assert torch.equal(ids, same["input_ids"]) and torch.equal(labels, same_labels)
        assert ((ids == 103).sum(1) == 10).all() and len(labels) == len(weights) == 10 * len(ids)
        filled = ids.clone()
        filled[ids == 103] = labels
        rows = [[i for i in row if i > 102] for row in filled.tolist()]  # without [PAD], [CLS], [SEP]
        found = [tuple(row[i : i + 5]) in held for row in rows for i in range(len(row) - 4)]
        assert sum(found) > 0.8 * len(found)  # all but where a word of several pieces was hidden
    assert not torch.equal(first[0][1], other[0][1])
    for wrong in ({"words": 10**6}, {"words": 20, "masks": 15}, {"masks": 0}):
        with pytest.raises(CourseError, match="fewer masks"):
            MaskedBatches(tales, tokenizer, **wrong)


def test_a_guesser_scores_masks_in_order_and_learns_from_hidden_words(part):
    torch.manual_seed(0)
    tokenizer, model = minilm_tokenizer(), WordGuesser(small_bert())
    hidden = MaskedBatches(load_tales()[:2], tokenizer, words=50, masks=10, batch_size=4)
    inputs, labels, _ = next(iter(hidden))
    with torch.no_grad():
        logits = model(inputs)
        assert logits.shape == (len(labels), 30522)
        alone = torch.cat([model({"input_ids": row[None]}) for row in inputs["input_ids"]])
        assert torch.allclose(logits, alone, atol=1e-4)
        asked, *_ = next(iter(ClozeBatches(part, guess_encoder(tokenizer), batch_size=3)))
        said = model(asked)
        assert said.shape == (3, 10)
        assert torch.equal(said, model({"input_ids": asked["input_ids"]}).gather(1, asked["offered"]))
    val = ClozeBatches(part, guess_encoder(tokenizer))
    result = fit(model, hidden, val, Settings(epochs=2, lr=1e-2), hardware=pick_device("cpu"))
    assert result.history[1]["train_loss"] < result.history[0]["train_loss"]
    assert result.val == measure(*predict(model, val, pick_device("cpu")))  # of the ten offered, not of the vocabulary


def test_kept_states_give_the_same_answers(part, pieces):
    reader = PieceReader(small_bert()).eval()
    kept = read_ahead(reader, ClozeBatches(part, pieces, batch_size=4), pick_device("cpu", precision="fp32"))
    states = dict(zip(part.questions, kept, strict=True))
    whole, _, _ = predict(reader, ClozeBatches(part, pieces, batch_size=5), pick_device("cpu", precision="fp32"))
    again, labels, _ = predict(
        reader.head, ClozeBatches(part, states.__getitem__), pick_device("cpu", precision="fp32")
    )
    assert torch.allclose(whole, again, atol=1e-2) and torch.equal(labels, torch.from_numpy(part.labels))


def test_the_engine_trains_them(part, pieces):
    for reader, encode in readers(part, pieces):
        train = ClozeBatches(part, encode, batch_size=6, shuffle=True)
        before = [p.detach().clone() for p in reader.parameters()]
        result = fit(
            reader, train, ClozeBatches(part, encode), Settings(epochs=2, lr=1e-2), hardware=pick_device("cpu")
        )
        assert result.history[1]["train_loss"] < result.history[0]["train_loss"]
        assert all(
            not torch.equal(old, new) for old, new in zip(before, reader.parameters(), strict=True) if old.numel() > 30
        )


def test_span_logits_are_of_spans_that_are_possible():
    reader = SpanReader(small_bert(), longest=3).eval()
    allowed = torch.tensor([[True, False, False, True, True, True, False, False]])
    with torch.no_grad():
        logits = reader({"input_ids": torch.tensor([[101, 5, 102, 7, 8, 9, 102, 0]]), "allowed": allowed})[0]
    assert logits.shape == (24,)
    possible = {divmod(k, 3) for k in (logits > -5e3).nonzero()[:, 0].tolist()}
    assert possible == {(0, 0), (3, 0), (3, 1), (3, 2), (4, 0), (4, 1), (5, 0)}  # (start, length - 1)


def test_a_span_reader_learns_its_questions_by_heart_and_reads_the_answers_back():
    club = "The chess club meets on Thursday in the library. Rosa is ninety, and she has never lost there."
    train = "The train to Lindau leaves at noon. It has seven carriages and a small kitchen."
    asked = [
        ("When does the club meet?", club, "on Thursday"),
        ("How old is Rosa?", club, "ninety"),
        ("Who is the mayor?", club, None),
        ("Where does the train go?", train, "Lindau"),
        ("What does the train have?", train, "seven carriages and a small kitchen"),
    ]
    questions = [
        SpanQuestion(str(n), question, text, () if said is None else ((said, text.index(said)),))
        for n, (question, text, said) in enumerate(asked)
    ]
    body = small_bert(32, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    reader, shape = SpanReader(body, longest=10), {"max_pieces": 48, "longest": 10, "batch_size": 5}
    tokenizer, cpu = minilm_tokenizer(), pick_device("cpu", precision="fp32")
    in_order = SpanBatches(questions, tokenizer, **shape)

    def replies():
        return in_order.answers(predict(reader, in_order, cpu)[0])

    def exact():
        return sum(exact_and_f1(one, question.answers)[0] for one, question in zip(replies(), questions, strict=True))

    assert exact() < 3  # nothing is known beforehand
    batches = SpanBatches(questions, tokenizer, role="train", shuffle=True, **shape)
    fit(reader, batches, in_order, Settings(epochs=60, lr=5e-3, keep="last"), hardware=cpu)
    assert replies() == [said or "" for *_, said in asked] and exact() == 5
