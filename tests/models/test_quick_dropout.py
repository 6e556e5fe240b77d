"""Quick dropout drops the share that it says, leaves the mean, follows the seed; its attention is torch's own."""

import subprocess
import sys
import tempfile

import pytest
import torch
from torch import nn

from tl_helpers.data import encode, minilm_tokenizer, padded
from tl_helpers.models import load_text_encoder
from tl_helpers.models.quick_dropout import QuickDropout, attention


def masks(p, shape=(1000, 1003), dtype=torch.float32, seed=0):
    torch.manual_seed(seed)
    return QuickDropout(p).train()(torch.ones(shape, dtype=dtype))


@pytest.mark.parametrize(("p", "share"), [(0.1, 26 / 256), (0.5, 0.5), (0.9, 230 / 256)])
def test_its_share_and_its_mean(p, share):
    out = masks(p)
    deviation = (share * (1 - share) / out.numel()) ** 0.5
    assert abs((out == 0).double().mean().item() - share) < 4 * deviation
    assert out.unique().tolist() == pytest.approx([0, 1 / (1 - share)])
    assert abs(out.double().mean().item() - 1) < 4 * deviation / (1 - share)


def test_entries_are_independent_of_their_neighbours():
    dropped = masks(0.5).eq(0).flatten()
    for distance in (1, 2, 4, 8, 1003):  # bytes of one draw, neighbouring draws, neighbouring rows
        together = (dropped[:-distance] & dropped[distance:]).double().mean().item()
        assert abs(together - 0.25) < 4 * (3 / 16 / len(dropped)) ** 0.5 * 1.5, f"{together} at distance {distance}"


def test_masks_follow_torchs_seed_and_move_on():
    assert torch.equal(masks(0.3, seed=4), masks(0.3, seed=4))
    assert not torch.equal(masks(0.3, seed=4), masks(0.3, seed=5))
    layer = QuickDropout(0.3)
    torch.manual_seed(0)
    first = layer(torch.ones(64))
    state = torch.get_rng_state()
    second = layer(torch.ones(64))
    torch.set_rng_state(state)
    assert not torch.equal(first, second) and torch.equal(layer(torch.ones(64)), second)


def test_only_what_is_kept_has_a_gradient():
    inputs = torch.ones(5, 7, dtype=torch.bfloat16, requires_grad=True)
    out = QuickDropout(0.5)(inputs)
    out.sum().backward()
    assert out.dtype == torch.bfloat16 and torch.equal(inputs.grad, out.detach()) and out.eq(0).any()
    assert torch.equal(inputs, torch.ones_like(inputs)), "the inputs stay as they are"


def test_at_rest_at_zero_and_at_one_it_is_torchs_own():
    inputs = torch.randn(3, 5)
    assert QuickDropout(0.5).eval()(inputs) is inputs
    assert torch.equal(QuickDropout(0.0).train()(inputs), inputs)
    assert QuickDropout(1.0).train()(inputs).eq(0).all()
    assert QuickDropout(0.4).train()(torch.empty(0, 3)).shape == (0, 3)


@pytest.fixture(scope="module")
def inputs():
    return padded(encode(("wheat", "crude oil fell again today in texas " * 9), minilm_tokenizer()))


def test_minilm_drops_attention_and_states_at_its_own_rate(inputs):
    model = load_text_encoder().train()
    layers = {name: m for name, m in model.named_modules() if isinstance(m, nn.Dropout)}
    assert all(type(layer) is QuickDropout and layer.p == 0.1 for layer in layers.values()) and len(layers) == 19
    ran = []
    for name, layer in layers.items():
        layer.register_forward_hook(lambda *_, name=name: ran.append(name))
    model(inputs)
    assert sorted(ran) == sorted(layers), "each one once, the six of the attention too"


def test_with_nothing_dropped_minilm_learns_as_with_torchs_kernel(inputs, monkeypatch):
    model = load_text_encoder().train()
    answers, gradients = [], []
    monkeypatch.setattr(QuickDropout, "forward", lambda self, inputs: inputs)
    for kernel, p in {"quick_dropout": 0.1, "sdpa": 0.0}.items():  # at a rate of 0 both would call torch's
        model.body.set_attn_implementation(kernel)
        for layer in model.modules():
            if isinstance(layer, nn.Dropout):
                layer.p = p
        model.zero_grad()
        answers.append(model(inputs))
        answers[-1].square().sum().backward()
        gradients.append(model.body.embeddings.word_embeddings.weight.grad.clone())
    torch.testing.assert_close(*answers, atol=2e-6, rtol=1e-4)
    assert (gradients[0] - gradients[1]).norm() < 1e-4 * gradients[1].norm()


def test_attention_drops_what_its_module_drops_and_looks_where_the_mask_says():
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, 3, 5, 4) for _ in range(3))
    looked = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], dtype=torch.bool)[:, None, None].expand(2, 1, 5, 5)
    module = nn.Module()
    module.dropout = QuickDropout(0.5).train()
    torch.manual_seed(1)
    mine, _ = attention(module, query, key, value, looked, scaling=0.5, dropout=0.5)
    torch.manual_seed(1)
    weights = (query @ key.transpose(2, 3) / 2).masked_fill(~looked, float("-inf")).softmax(-1)
    torch.testing.assert_close(mine, (module.dropout(weights) @ value).transpose(1, 2))
    theirs, _ = attention(module, query, key, value, looked, scaling=0.5)
    torch.testing.assert_close(theirs, (weights @ value).transpose(1, 2))


def test_minilm_survives_a_pickle(inputs):
    code = "import sys, torch; m = torch.load(sys.argv[1], weights_only=False); x = torch.load(sys.argv[2]); print(m.train()(x).shape)"
    with tempfile.TemporaryDirectory() as folder:
        torch.save(load_text_encoder(), f"{folder}/model.pt")
        torch.save(inputs, f"{folder}/inputs.pt")
        ask = [sys.executable, "-c", code, f"{folder}/model.pt", f"{folder}/inputs.pt"]
        done = subprocess.run(ask, capture_output=True, text=True, check=True)
    assert "[2, 384]" in done.stdout
