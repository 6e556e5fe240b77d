"""The language model: its loss by hand, what it may not see, its encoder, what it writes; the stream; word vectors."""

import math

import numpy as np
import pytest
import torch
from torch import nn

import tl_helpers as tl
from tl_helpers.data.stream import TokenStream
from tl_helpers.data.text import TextSet
from tl_helpers.data.tokens import encode, minilm_tokenizer, padded, word_tokenizer
from tl_helpers.engine.metrics import measure, predict
from tl_helpers.engine.settings import Settings
from tl_helpers.errors import CourseError
from tl_helpers.models.language_model import language_model, perplexity
from tl_helpers.models.word_vectors import ppmi_vectors

CPU = tl.pick_device("cpu", precision="fp32")


@pytest.fixture(scope="module")
def news():
    return tl.data.text.load_text("20newsgroups").train.few(8)


@pytest.fixture(scope="module")
def tokenizer(news):
    return word_tokenizer(news.texts, 500)


def model(kind, tokenizer, **more):
    torch.manual_seed(0)
    return language_model(kind, tokenizer, dim=32, **more)


def small(*texts, role="train"):
    n = len(texts)
    return TextSet("small", texts, torch.arange(n) % 2, ("a", "b"), tuple(map(str, range(n))), role=role)


def test_the_stream_labels_each_word_with_the_next_and_weighs_unknown_ones_with_zero():
    words = word_tokenizer(["a b c d e f"], 6)  # four words are known, two are not
    stream = TokenStream(small("a b c d e", "f a b c d"), words, batch_size=1, length=5)
    whole = [*words.encode("a b c d e").ids, 0, *words.encode("f a b c d").ids, 0]
    rows = list(stream)
    assert len(rows) == len(stream) == 2
    for k, (ids, following, weights) in enumerate(rows):
        assert ids.tolist() == [whole[5 * k : 5 * k + 5]]
        assert following.tolist() == whole[5 * k + 1 : 5 * k + 6]
        assert weights.tolist() == [float(word != 1) for word in following.tolist()]
    for texts in (("a b",), ("", "  ")):
        with pytest.raises(CourseError, match="do not fill one batch"):
            TokenStream(small(*texts), words)
    for wrong in ({"batch_size": 0}, {"length": 0}, {"batches": -1}, {"seed": -1}):
        with pytest.raises(CourseError, match=r"have to be at least 1.*found .*(0|-1)"):
            TokenStream(small("a b c d e"), words, **wrong)
    pieces = TokenStream(small("you \u2603 hello"), minilm_tokenizer(), batch_size=1, length=2)
    assert next(iter(pieces))[2].tolist() == [0.0, 1.0]  # whichever number [UNK] has


def test_the_stream_goes_on_and_is_a_function_of_seed_and_epoch(news, tokenizer):
    def rows(epoch, **more):
        stream = TokenStream(news, tokenizer, batch_size=4, length=16, batches=3, shuffle=True, **more)
        stream.set_epoch(epoch)
        return torch.stack([ids for ids, _, _ in stream])

    assert torch.equal(rows(0), rows(0))
    assert not torch.equal(rows(0), rows(1))
    assert not torch.equal(rows(0), rows(0, seed=1))
    whole = TokenStream(news, tokenizer, batch_size=4, length=16, shuffle=True)
    assert torch.equal(torch.cat([rows(0), rows(1)]), torch.stack([x for x, _, _ in whole])[:6])
    val = TokenStream(news, tokenizer, batch_size=4, length=16, batches=2)
    assert torch.equal(*(torch.stack([x for x, _, _ in val]) for _ in range(2)))  # every pass the same


@pytest.mark.parametrize("kind", ["gru", "transformer"])
def test_the_loss_is_what_a_hand_computes(kind, news, tokenizer):
    lm = model(kind, tokenizer).eval()
    stream = TokenStream(news, tokenizer, batch_size=3, length=12, batches=2)
    found = measure(*predict(lm, stream, CPU))["loss"]
    total = count = 0.0
    for ids, following, _ in stream:
        for row, labels in zip(ids, following.view(ids.shape), strict=True):
            for place, word in enumerate(labels.tolist()):
                scores = lm(row[None, : place + 1])[-1].detach().double()  # the words up to here, and no other
                total += 0.0 if word == 1 else float(scores.exp().sum().log() - scores[word])
                count += word != 1
    assert found == pytest.approx(total / count, abs=1e-4)
    assert perplexity(found) == pytest.approx(math.exp(total / count), rel=1e-3)


@pytest.mark.parametrize("kind", ["gru", "transformer"])
def test_no_state_sees_what_comes_after_and_padding_changes_nothing(kind, news, tokenizer):
    encoder = model(kind, tokenizer).encoder.eval()
    rows = encode(news.texts[:4], tokenizer, 30)
    inputs = padded(rows)
    changed = inputs["input_ids"].clone()
    changed[:, 10:] = 7
    with torch.no_grad():
        assert torch.allclose(encoder.states(inputs["input_ids"])[:, :10], encoder.states(changed)[:, :10], atol=1e-6)
        together = encoder(inputs)
        alone = torch.cat([encoder(padded([row])) for row in rows])
        longer = {key: nn.functional.pad(value, (0, 9)) for key, value in inputs.items()}
        assert torch.allclose(together, alone, atol=1e-5)
        assert torch.allclose(together, encoder(longer), atol=1e-5)
    assert together.shape == (4, encoder.width)


def test_it_learns_and_the_same_seed_gives_the_same_numbers(news, tokenizer):
    def run():
        lm = model("gru", tokenizer)
        stream = TokenStream(news, tokenizer, batch_size=8, length=32, batches=10, shuffle=True)
        val = TokenStream(news.subset(range(20), "val"), tokenizer, batch_size=8, length=32, batches=2)
        return tl.fit(lm, stream, val, Settings(2, lr=1e-2, keep="last"), hardware=CPU).history, lm

    (first, lm), (again, _) = run(), run()
    strip = [[{k: v for k, v in row.items() if k != "seconds"} for row in rows] for rows in (first, again)]
    assert strip[0] == strip[1]
    assert first[-1]["val_loss"] < first[0]["val_loss"] < math.log(500)
    # the encoder under a head, saved as a plan and built again
    classifier = tl.attach_head(lm.encoder, tl.heads.linear(20))
    assert type(tl.models.build(classifier.spec).backbone) is type(lm.encoder)
    groups = tl.models.parameter_groups(classifier, 1e-2, 0.5)
    rates = {group["name"].split(" ")[0]: group["lr"] for group in groups}
    assert rates == {"head": 1e-2, "reader": 5e-3, "embedding": 2.5e-3}


def test_writing_follows_the_seed_and_the_temperature(tokenizer):
    lm = model("gru", tokenizer)
    start = "the people"
    lm.train()
    assert lm.write(start, 12, seed=3) == lm.write(start, 12, seed=np.int64(3))
    assert len({lm.write(start, 12, seed=seed) for seed in range(3)}) == 3
    cold = {lm.write(start, 12, temperature=cold, seed=seed) for seed in range(3) for cold in (1e-4, 1e-50)}
    assert len(cold) == 1
    assert lm.training  # as it was
    lm.encoder.eval()
    lm.write(start, 2)
    with pytest.raises(TypeError):
        lm.write(start, 2.5)
    assert lm.training and not lm.encoder.training
    assert "[UNK]" not in lm.write(start, 200, temperature=3.0)
    for wrong in ({"start": "zzzz"}, {"start": start, "temperature": 0.0}, {"start": start, "temperature": math.nan}):
        with pytest.raises(CourseError, match="write takes"):
            lm.write(**wrong)
    with pytest.raises(CourseError, match="gru"):
        language_model("lstm", tokenizer)


def test_word_vectors_put_words_of_like_company_together():
    pets = [
        f"the {pet} {verb} the {food}"
        for pet in ("cat", "dog")
        for verb in ("eats", "sees")
        for food in ("fish", "meat")
    ]
    tools = [f"a {tool} cuts {thing}" for tool in ("saw", "axe") for thing in ("wood", "trees")]
    words = word_tokenizer(pets + tools, 50)
    vectors = nn.functional.normalize(ppmi_vectors(encode(pets + tools, words, 50), words.get_vocab_size(), 6), dim=1)

    def likeness(a, b):
        return float(vectors[words.token_to_id(a)] @ vectors[words.token_to_id(b)])

    assert likeness("cat", "dog") > 0.9 > likeness("cat", "saw")
    assert not vectors[:2].any()
    with pytest.raises(CourseError, match="can't give 60 directions"):
        ppmi_vectors(encode(pets, words, 50), words.get_vocab_size(), 60)
    with pytest.raises(CourseError, match="No two words meet more often"):
        ppmi_vectors([[a, b] for a in range(2, 8) for b in range(2, 8)], 8, 3)


def test_a_stream_knows_its_words_and_a_transformer_its_length(news, tokenizer):
    other = word_tokenizer(news.texts, 40)
    assert TokenStream(news, tokenizer).fingerprint != TokenStream(news, other).fingerprint
    with pytest.raises(CourseError, match="knows 512 positions, found 600"):
        language_model("transformer", tokenizer, dim=16)(torch.ones(1, 600, dtype=torch.int64))


def test_a_width_that_heads_cannot_share_is_told(tokenizer):
    for make in (
        lambda: language_model("transformer", tokenizer, dim=50),
        lambda: tl.text_encoder("attention", dim=50),
    ):
        with pytest.raises(CourseError, match=r"dim=50|multiple of 4"):
            make()
