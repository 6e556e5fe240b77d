"""Tokens and batches of documents: nothing lost, padded to few lengths, order a function of the seed."""

import numpy as np
import pytest
import torch

from tl_helpers.data import TextBatches, TextSet, encode, minilm_tokenizer, padded, word_tokenizer
from tl_helpers.data.cloze import load_cloze
from tl_helpers.data.cloze_batches import pieces_encoder
from tl_helpers.data.squad import load_squad, windows
from tl_helpers.data.stream import TokenStream
from tl_helpers.errors import CourseError
from tl_helpers.sources import root


@pytest.fixture(scope="module")
def texts():
    texts = tuple("the cat " * (1 + (7 * i) % 23) + f"w{i}" for i in range(130))
    labels = torch.arange(130) % 3
    return TextSet("cats", texts, labels, ("a", "b", "c"), tuple(map(str, range(130))), role="train")


@pytest.fixture(scope="module")
def words(texts):
    return word_tokenizer(texts.texts, 50)


def test_words_are_numbered_by_frequency(words):
    assert words.get_vocab_size() == 50
    assert encode(["The CAT dog"], words) == [[3, 2, 1]] or encode(["The CAT dog"], words) == [[2, 3, 1]]
    assert words.token_to_id("[PAD]") == 0 and words.token_to_id("[UNK]") == 1
    assert encode(["it's", ""], words)[1] == [1], "a text without a word is one unknown word, not nothing"
    assert encode(["the cat"], words) == encode(["the   cat\n"], words)


def test_minilm_pieces_keep_their_ends_when_cut():
    pieces = minilm_tokenizer()
    long, short = encode(["word " * 300, "word"], pieces, 16)
    assert len(long) == 16 and long[0] == short[0] == 101 and long[-1] == short[-1] == 102 and len(short) == 3
    assert len(pieces.encode("word " * 300).ids) == 302, "the caller's tokenizer is left as it is"


def test_padded_says_what_is_padding():
    found = padded([[5, 6, 7], [8]])
    assert found["input_ids"].tolist() == [[5, 6, 7], [8, 0, 0]]
    assert found["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    few_shapes = padded([[5, 6, 7], [8]], pad=9, at_most=128)
    assert few_shapes["input_ids"].tolist() == [[5, 6, 7] + 13 * [9], [8] + 15 * [9]]
    assert few_shapes["attention_mask"].sum(1).tolist() == [3, 1]
    assert padded([[5] * 20], at_most=30)["input_ids"].shape == (1, 30) == padded([[5] * 30])["input_ids"].shape


def test_a_batch_is_hardly_longer_than_its_longest_document(texts, words):
    batches = TextBatches(texts, words, batch_size=np.int64(16), max_tokens=30)
    assert batches.fingerprint == TextBatches(texts, words, batch_size=16, max_tokens=30).fingerprint
    assert len(batches) == 9 == len(list(batches)) and batches.n == 130 and batches.role == "train"
    for inputs, labels, weights in batches:
        assert inputs["input_ids"].dtype == labels.dtype == torch.int64 and weights.dtype == torch.float32
        longest = int(inputs["attention_mask"].sum(1).max())
        assert inputs["input_ids"].shape[1] == min(-(-longest // 16) * 16, 30)
        assert (inputs["input_ids"] != 0).equal(inputs["attention_mask"] == 1)
    in_set_order = torch.cat([inputs["attention_mask"].sum(1) for inputs, _, _ in batches])
    expected = torch.tensor([len(row) for row in encode(texts.texts, words, 30)])
    assert torch.equal(batches.in_order(in_set_order), expected)
    assert torch.equal(batches.in_order(torch.cat([labels for _, labels, _ in batches])), texts.labels)


def test_order_follows_from_seed_and_epoch(texts, words):
    def labels(batches):
        return torch.cat([labels for _, labels, _ in batches]).tolist()

    batches = TextBatches(texts, words, batch_size=8, shuffle=True, seed=1)
    first, second = labels(batches), labels(batches)
    assert first != second and sorted(first) == sorted(texts.labels.tolist())
    batches.set_epoch(1)
    assert labels(batches) == second
    assert labels(TextBatches(texts, words, batch_size=8, shuffle=True, seed=1)) == first
    assert labels(TextBatches(texts, words, batch_size=8, shuffle=True, seed=2)) != first


def test_sorting_saves_padding(texts, words):
    sorted_, whole = TextBatches(texts, words, batch_size=16, shuffle=True), 0
    spent = sum(inputs["input_ids"].numel() for inputs, _, _ in sorted_)
    rows = encode(texts.texts, words)
    for batch in torch.arange(130).split(16):
        whole += len(batch) * max(len(rows[i]) for i in batch)
    assert sum(map(len, rows)) <= spent < 0.75 * whole


def test_the_fingerprint_knows_all_that_decides(texts, words):
    def key(**more):
        return TextBatches(texts, words, **more).fingerprint

    keys = {key(), key(max_tokens=9), key(shuffle=True), key(seed=1), key(batch_size=2)}
    assert len(keys) == 5 and key() == key()
    assert TextBatches(texts, word_tokenizer(texts.texts, 20)).fingerprint not in keys


def test_what_cannot_be_batched_is_told(texts, words):
    with pytest.raises(CourseError, match="is empty"):
        TextBatches(texts.subset([]), words)
    with pytest.raises(CourseError, match="max_tokens"):
        TextBatches(texts, words, max_tokens=2)
    with pytest.raises(CourseError, match="batch_size"):
        TextBatches(texts, words, batch_size=0)


def test_a_tokenizer_that_cuts_and_pads_reads_as_one_that_does_not(texts):
    plain, padding = minilm_tokenizer(), minilm_tokenizer()
    padding.enable_truncation(6)
    padding.enable_padding(length=6)
    set_up = padding.to_str()
    few = texts.subset(range(40))
    one, other = (TokenStream(few, tokenizer, batch_size=2, length=8) for tokenizer in (plain, padding))
    assert one.n == other.n and all(map(torch.equal, next(iter(one)), next(iter(other))))
    question = load_squad(root() / "data" / "squad_small.json")[0]
    assert [w.ids for w in windows(question, padding)] == [w.ids for w in windows(question, plain)]
    cloze = load_cloze("noun").questions[0]
    one, other = (pieces_encoder(tokenizer)(cloze) for tokenizer in (plain, padding))
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert padding.to_str() == set_up
