"""Recipes on texts: the same functions as on pictures, real documents, a checkpoint that is read alone."""

import pytest
import torch

import tl_helpers as tl
from tl_helpers.errors import CourseError
from tl_helpers.recipes.saved import load_model


@pytest.fixture(scope="module")
def reuters():
    """240 documents of the three largest classes of R8, cut anew."""
    r8 = tl.data.load("reuters-r8")
    chosen = [torch.nonzero(r8.labels == r8.classes.index(name)).flatten()[:80] for name in ("earn", "acq", "crude")]
    some = r8.subset(torch.cat(chosen))
    from dataclasses import replace

    return replace(some, split=tl.data.make_split(some.labels))


@pytest.fixture(scope="module")
def trained(reuters, tmp_path_factory):
    """A bag of words trained from scratch, and its folder."""
    tl.seed_everything(0)
    words = tl.data.word_tokenizer(reuters.train.texts, 2000)
    model = tl.attach_head(tl.text_encoder("bag", tokenizer=words), tl.heads.linear(8))
    folder = tmp_path_factory.mktemp("run")
    return tl.transfer(model, reuters, "scratch", epochs=12, lr=2e-2, max_tokens=40, checkpoint=folder), folder


def test_training_from_scratch_learns(reuters, trained):
    result, _ = trained
    report = tl.evaluate(result.model, reuters.test)
    assert report.accuracy > 0.8 and report.size == 40
    assert torch.equal(report.labels, reuters.test.labels), "in the set's order, though batches are sorted by length"
    alone = tl.evaluate(result.model, reuters.test, batch_size=1)
    torch.testing.assert_close(alone.probabilities, report.probabilities)


def test_a_checkpoint_is_read_alone(reuters, trained):
    result, _ = trained
    model, state = load_model(result.checkpoint)
    assert state["size"] == 40 and "tokenizer" not in state
    before, after = tl.evaluate(result.model, reuters.test), tl.evaluate(model, reuters.test)
    assert torch.equal(before.predictions, after.predictions)


def test_a_finished_training_goes_on_from_its_file(reuters, trained):
    _, folder = trained
    tl.seed_everything(0)
    words = tl.data.word_tokenizer(reuters.train.texts, 2000)
    model, other = (tl.attach_head(tl.text_encoder("bag", tokenizer=words), tl.heads.linear(8)) for _ in range(2))
    again = tl.transfer(model, reuters, "scratch", epochs=12, lr=2e-2, max_tokens=40, checkpoint=folder)
    assert again.history == trained[0].history
    with pytest.raises(CourseError, match="differs in size"):
        tl.transfer(other, reuters, "scratch", epochs=12, lr=2e-2, max_tokens=41, checkpoint=folder)


def test_tokens_and_pixels_are_not_mistaken(reuters, trained):
    model = trained[0].model
    with pytest.raises(CourseError, match="takes texts: give it max_tokens=32"):
        tl.evaluate(model, reuters.test, size=32)
    with pytest.raises(CourseError, match="takes texts: give it max_tokens=32"):
        tl.features(model.backbone, reuters.test, size=32)
    pictures = tl.attach_head(tl.load_backbone("efficientnet_lite0", weights=None), tl.heads.linear(6))
    for call in (tl.evaluate, tl.transfer):
        with pytest.raises(CourseError, match="takes pictures: give it size=32"):
            call(pictures, tl.data.load("emoji-google"), max_tokens=32)


def test_frozen_minilm_is_probed_on_kept_features(reuters):
    encoder = tl.load_text_encoder()
    some = reuters.test.subset(range(24))
    found = tl.features(encoder, some, max_tokens=32)
    assert found.shape == (24, 384) and torch.equal(found, tl.features(encoder, some, max_tokens=32))
    one = tl.features(encoder, some.subset([7]), max_tokens=32)
    torch.testing.assert_close(one[0], found[7], atol=1e-5, rtol=1e-4)
    assert not torch.equal(found, tl.features(encoder, some, max_tokens=16))
    with pytest.raises(CourseError, match="minilm knows 512 positions, found 600: lower max_tokens"):
        tl.features(encoder, some, max_tokens=600)  # though these texts are shorter
    model = tl.attach_head(encoder, tl.heads.linear(8))
    result = tl.transfer(model, reuters, "probe", images=48, max_tokens=32)
    assert result.val["accuracy"] > 0.7 and not any(p.requires_grad for p in encoder.parameters())


def test_what_does_not_go_together_is_told(reuters):
    words = tl.data.word_tokenizer(reuters.train.texts, 50)
    reader = tl.attach_head(tl.text_encoder("bag", tokenizer=words), tl.heads.linear(8))
    with pytest.raises(CourseError, match="contains pictures, which bag can't read"):
        tl.evaluate(reader, tl.data.load("digits"))
    with pytest.raises(CourseError, match="for pictures"):
        tl.transfer(reader, reuters, "scratch", epochs=1, augment="flip-crop")
    with pytest.raises(CourseError, match="Give it the tokenizer"):
        tl.evaluate(tl.attach_head(tl.text_encoder("bag"), tl.heads.linear(8)), reuters.test)
    looker = tl.attach_head(tl.load_backbone("mobilenet_v3_small", weights=None), tl.heads.linear(8))
    with pytest.raises(CourseError, match="contains texts, which mobilenet_v3_small can't read"):
        tl.evaluate(looker, reuters.test)
