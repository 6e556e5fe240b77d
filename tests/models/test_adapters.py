"""Adapters beside convolutions: nothing changes before the first step, only they learn, and they can be merged away."""

import copy

import pytest
import torch

import tl_helpers as tl
from tl_helpers.errors import CourseError
from tl_helpers.models.adapters import add_lora, merge_lora


def test_adapters_beside_convolutions_learn_alone_and_merge():
    torch.manual_seed(0)
    model = tl.attach_head(tl.load_backbone("efficientnet_lite0", weights=None), tl.heads.linear(3)).eval()
    before = copy.deepcopy(model.state_dict())
    pictures, labels = torch.rand(6, 3, 64, 64), torch.tensor([0, 1, 2, 0, 1, 2])
    with torch.no_grad():
        plain = model(pictures)
        add_lora(model, rank=4, targets=("conv_pw", "conv_pwl"))
        assert torch.equal(model.eval()(pictures), plain)
    learning = [name for name, p in model.named_parameters() if p.requires_grad]
    assert all("lora_" in name or name.startswith("head.") for name in learning)
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.01)
    for _ in range(2):
        tl.models.train_mode(model)
        loss = torch.nn.functional.cross_entropy(model(pictures), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    base = {name.replace(".base_layer", ""): t for name, t in model.state_dict().items() if "lora_" not in name}
    assert all(torch.equal(before[name], t) for name, t in base.items() if not name.startswith("head."))
    with torch.no_grad():
        tuned = model.eval()(pictures)
        assert not torch.allclose(tuned, plain)
        merge_lora(model)
        assert torch.allclose(model.eval()(pictures), tuned, atol=1e-4)
    assert list(model.state_dict()) == list(before)


def test_a_layer_that_is_not_there_is_named_with_those_that_are():
    model = tl.attach_head(tl.load_backbone("efficientnet_lite0", weights=None), tl.heads.linear(3))
    with pytest.raises(CourseError, match=r"no layer called query or value; it has conv_stem, conv_dw"):
        add_lora(model)


def test_every_name_has_to_be_there():
    model = tl.attach_head(tl.load_backbone("efficientnet_lite0", weights=None), tl.heads.linear(2))
    with pytest.raises(CourseError, match="no layer called conv_pwll"):
        add_lora(model, targets=("conv_pw", "conv_pwll"))


def test_layers_that_torch_reads_past_their_adapters_are_refused():
    tokenizer = tl.data.word_tokenizer(["a word or two"], 10)
    model = tl.attach_head(tl.text_encoder("attention", tokenizer=tokenizer), tl.heads.linear(2))
    for layer in ("linear1", "out_proj"):
        with pytest.raises(CourseError, match=f"no layer called {layer}"):
            add_lora(model, targets=(layer,))


def test_a_lone_name_no_rank_and_a_second_call_are_told():
    model = tl.attach_head(tl.load_backbone("efficientnet_lite0", weights=None), tl.heads.linear(2))
    for wrong in ({"targets": "conv_pw"}, {"targets": ("conv_pw",), "rank": 0}):
        with pytest.raises(CourseError, match="targets is a tuple of names"):
            add_lora(model, **wrong)
    add_lora(model, targets=("conv_pw",))
    with pytest.raises(CourseError, match="adapters already: merge_lora first"):
        add_lora(model, targets=("conv_pw",))
