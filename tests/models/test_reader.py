"""Readers: what padding must not change, what the head must add up, what fit can train."""

import pytest
import torch
from transformers import BertConfig, BertModel

from tl_helpers.data.cloze import load_cloze
from tl_helpers.data.cloze_batches import ClozeBatches, pieces_encoder, words_encoder
from tl_helpers.data.tokens import minilm_tokenizer
from tl_helpers.device import pick_device
from tl_helpers.engine.fit import fit
from tl_helpers.engine.metrics import predict
from tl_helpers.engine.settings import Settings
from tl_helpers.models.reader import AttentionSum, PieceReader, SpanReader, WordReader, read_ahead


def small_bert():
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=30522, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    return BertModel(config, add_pooling_layer=False).eval()


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
    return [(WordReader(size), encode), (PieceReader(small_bert()), pieces)]


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
