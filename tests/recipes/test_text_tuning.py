"""LoRA, contrastive pairs and gradual unfreezing: what moves, what must not, and that a seed decides."""

import copy

import pytest
import torch

import tl_helpers as tl
from tl_helpers.data import text, tokens
from tl_helpers.engine.fit import fit
from tl_helpers.engine.metrics import predict
from tl_helpers.engine.settings import Settings
from tl_helpers.errors import CourseError
from tl_helpers.models import attach_head, build, heads, load_text_encoder, trainable_table
from tl_helpers.models.adapters import add_lora, merge_lora
from tl_helpers.models.language_model import language_model
from tl_helpers.recipes.contrast import Pairs, PairScores, contrast
from tl_helpers.recipes.gradual import gradual

CPU = tl.pick_device("cpu", precision="fp32")


@pytest.fixture(scope="module")
def reuters():
    return text.load_text("reuters-r8")


@pytest.fixture(scope="module")
def few(reuters):
    return reuters.train.few(2)


@pytest.fixture(scope="module")
def pretrained():
    return load_text_encoder("minilm")


def weights(module):
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def test_lora_begins_as_the_same_network_trains_only_adapters_and_merges(few, pretrained):
    model = attach_head(copy.deepcopy(pretrained), heads.linear(8))
    batches = tokens.TextBatches(few, tokens.minilm_tokenizer(), batch_size=8, max_tokens=16)
    inputs = next(iter(batches))[0]
    with torch.no_grad():
        plain = model.eval()(inputs)
        add_lora(model, rank=4)
        assert torch.equal(model.eval()(inputs), plain)
    learning = {name for name, p in model.named_parameters() if p.requires_grad}
    assert all("lora_" in name or name.startswith("head.") for name in learning)
    assert sum(model.get_parameter(name).numel() for name in learning if "lora_" in name) == 12 * 4 * 2 * 384
    before = weights(model)
    tl.fit(model, batches, batches, Settings(1, lr=1e-2, keep="last"), hardware=CPU)
    moved = {name for name, tensor in weights(model).items() if not torch.equal(tensor, before[name])}
    assert moved == learning  # the frozen bytes are the same bytes
    with torch.no_grad():
        tuned = model.eval()(inputs)
        merge_lora(model)
        assert torch.allclose(model.eval()(inputs), tuned, atol=1e-4)
    again = build(model.spec)
    again.load_state_dict(model.state_dict())  # nothing of peft is left
    assert not any("lora" in name for name, _ in again.named_modules())


def test_pairs_hold_two_texts_of_each_class(few):
    tokenizer = tokens.minilm_tokenizer()
    pairs = Pairs(few, tokenizer, batches=3, max_tokens=16)
    label = {tuple(row): int(k) for row, k in zip(tokens.encode(few.texts, tokenizer, 16), few.labels, strict=True)}
    for inputs, labels, weight in pairs:
        rows = [
            [tuple(row[mask.bool()].tolist()) for row, mask in zip(*two, strict=True)]
            for two in zip(*inputs.values(), strict=True)
        ]
        assert [[label[row] for row in two] for two in rows] == [[k, k] for k in range(8)]
        assert all(a != b for a, b in rows) and labels.tolist() == list(range(8)) and weight.tolist() == [1.0] * 8
    one = Pairs(few.few(1), tokenizer, batches=1, max_tokens=16)
    assert torch.equal(*next(iter(one))[0]["input_ids"].unbind(1))  # the same text twice: two views by dropout
    with pytest.raises(CourseError, match="every class"):
        Pairs(few.subset(few.labels > 0), tokenizer, 1)


def test_contrast_draws_classes_together_and_the_same_seed_gives_the_same_numbers(few, pretrained):
    def run():
        encoder = copy.deepcopy(pretrained)
        contrast(encoder, few, steps=4, lr=3e-5, max_tokens=16, hardware=CPU)
        return encoder

    first, again = run(), run()
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    pairs = list(Pairs(few, tokens.minilm_tokenizer(), 2, 16, seed=5))

    def loss(encoder):
        scores = PairScores(encoder).eval()
        with torch.no_grad():
            return sum(float(torch.nn.functional.cross_entropy(scores(x), y)) for x, y, _ in pairs)

    assert loss(first) < loss(pretrained)


def test_pairs_are_not_cut_where_memory_is_short(few, pretrained, monkeypatch):
    calls = []

    def full(*_):
        calls.append(1)
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(PairScores, "forward", full)
    with pytest.raises(CourseError, match="shorter texts"):
        contrast(copy.deepcopy(pretrained), few, steps=1, max_tokens=16, hardware=CPU)
    assert len(calls) == 1
    with pytest.raises(CourseError, match="shorter texts"):
        predict(PairScores(pretrained), Pairs(few, tokens.minilm_tokenizer(), 1, 16), CPU)
    assert len(calls) == 2


def test_gradual_unfreezing_moves_the_top_first(reuters, few, monkeypatch):
    tokenizer = tokens.word_tokenizer(few.texts, 400)

    learns = []

    def spy(model, *given, **how):
        learns.append([row["stage"] for row in trainable_table(model) if row["trainable"] and row["stage"] != "all"])
        return fit(model, *given, **how)

    monkeypatch.setattr("tl_helpers.recipes.gradual.fit", spy)

    def run(epochs):
        torch.manual_seed(0)
        model = attach_head(language_model("gru", tokenizer, dim=16).encoder, heads.linear(8))
        before = weights(model)
        result = gradual(model, few, reuters.val.few(1), epochs=epochs, max_tokens=20, hardware=CPU)
        assert result.history[0]["lr"] == 4e-3  # a phase of a single step is made at the peak
        moved = {
            n.split(".")[1] if "backbone" in n else "head"
            for n, t in weights(model).items()
            if not torch.equal(t, before[n])
        }
        return result, moved

    result, moved = run(4)
    assert [row["phase"] for row in result.history] == ["head", "from reader", "from embedding", "from embedding"]
    assert moved == {"head", "reader", "embedding"}
    assert learns == [["head"], ["reader", "head"], ["embedding", "reader", "head"]]
    again, _ = run(4)
    assert [row["val_loss"] for row in again.history] == [row["val_loss"] for row in result.history]
    with pytest.raises(CourseError, match="give it max_tokens=20"):
        gradual(again.model, few, reuters.val.few(1), epochs=3, size=20)


def test_slanted_rates_rise_and_fall_along_straight_lines():
    settings = Settings(1, schedule="slanted", warmup=0.1)
    rates = torch.tensor([settings.rate(step, 100) for step in range(101)])
    assert rates.argmax() == 10 and rates[10] == 1 and rates[0] == rates[100] == pytest.approx(1 / 32)
    up, down = rates[:11].diff(), rates[10:].diff()
    assert torch.allclose(up, up[:1], atol=1e-5) and torch.allclose(down, down[:1], atol=1e-5) and up[0] > 0 > down[0]
