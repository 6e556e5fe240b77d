"""Quick dropout drops the share that it says, leaves the mean, follows the seed; its attention is torch's own."""

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


def test_minilm_trained_without_dropout_gives_what_the_fused_kernel_gives():
    """The path with gradients multiplies one by one, the path without them calls torch's kernel: same numbers, padding or not."""
    model = load_text_encoder().eval()
    texts = ("wheat", "crude oil fell again today in texas " * 9)
    inputs = padded(encode(texts, minilm_tokenizer()))
    with torch.inference_mode():
        fused = model(inputs)
    torch.testing.assert_close(model(inputs), fused, atol=2e-6, rtol=1e-4)
    unpadded = {key: value[1:] for key, value in inputs.items()}
    torch.testing.assert_close(model(unpadded)[0], fused[1], atol=2e-6, rtol=1e-4)


def test_minilm_drops_attention_and_states_at_its_own_rate():
    layers = {name: m for name, m in load_text_encoder().named_modules() if isinstance(m, nn.Dropout)}
    assert all(type(layer) is QuickDropout and layer.p == 0.1 for layer in layers.values())
    assert sum(name.endswith("self.dropout") for name in layers) == 6 and len(layers) == 19


def test_attention_without_a_mask_is_softmax_of_scaled_products():
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, 3, 5, 4, requires_grad=True) for _ in range(3))
    module = nn.Module()
    module.dropout = QuickDropout(0.0)
    mine, _ = attention(module, query, key, value, scaling=0.5)
    theirs = nn.functional.scaled_dot_product_attention(query, key, value, scale=0.5)
    torch.testing.assert_close(mine, theirs.transpose(1, 2))
