"""Dropout with cheap masks on a CPU, and attention that uses it.

torch draws one number of its Mersenne Twister per entry of a mask, one after the other. Here eight entries share one draw of
64 bits, a byte each. tests/benchmarks/text_speed.py prints what that is worth to MiniLM.
"""

import torch
from torch import Tensor, nn

from .quick_layers import exchange


class QuickDropout(nn.Dropout):
    """Dropout (Srivastava et al., 2014) at a rate rounded to 256ths, scaled to match: 0.1 is 26/256, or 0.1016.

    The masks come from torch's generator, so the same seed gives the same ones and a resumed training goes on exactly.
    On a GPU, which draws in parallel, and at rates below 1/512 this is torch's own dropout.
    """

    def forward(self, inputs: Tensor) -> Tensor:
        """Any float tensor -> the same shape and dtype; `inputs` itself in eval mode."""
        dropped = round(self.p * 256)
        if not self.training or inputs.device.type != "cpu" or dropped in (0, 256):
            return super().forward(inputs)
        draws = torch.empty(-(-inputs.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
        bytes_ = draws.view(torch.uint8)[: inputs.numel()].view(inputs.shape)
        # zeros and ones of the inputs' dtype: a product with these takes a third of what filling in by a bool mask takes
        kept = torch.ge(bytes_, dropped, out=torch.empty(inputs.shape, dtype=inputs.dtype))
        return (inputs * kept).mul_(256 / (256 - dropped))


def attention(module, query, key, value, attention_mask, *, scaling: float, dropout: float = 0.0, **more):
    """As transformers calls it: query, key, value (b, heads, t, d); a bool mask, True where to look -> (b, t, heads, d).

    With dropout, torch on a CPU multiplies the matrices one by one as well, but with masks of its own. Without dropout, it
    has a fused kernel.
    """
    from transformers.integrations.sdpa_attention import sdpa_attention_forward as sdpa

    if query.device.type != "cpu" or not dropout:
        return sdpa(module, query, key, value, attention_mask, scaling=scaling, dropout=dropout, **more)
    scores = (query * scaling) @ key.transpose(2, 3)
    if attention_mask is not None:  # added, as this keeps nothing for the backward pass
        scores += torch.where(attention_mask, 0.0, torch.finfo(scores.dtype).min).to(scores.dtype)
    return (module.dropout(scores.softmax(-1)) @ value).transpose(1, 2).contiguous(), None


def use_quick_dropout(body: nn.Module) -> None:
    """Give a transformers encoder such as BERT these two in place of its own, at its own rates; its weights stay."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register("quick_dropout", attention)
    AttentionMaskInterface.register("quick_dropout", sdpa_mask)
    body.set_attn_implementation("quick_dropout")
    exchange(body, {nn.Dropout: QuickDropout})
