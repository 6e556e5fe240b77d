"""LoRA: two thin matrices learn, and their product is added to a frozen one (Hu et al., 2022). Uses the library peft."""

from torch import nn

from ..errors import CourseError
from .freezing import freeze, unfreeze
from .heads import Classifier


def add_lora(model: Classifier, rank: int = 8, *, targets: tuple[str, ...] = ("query", "value")) -> None:
    """Freeze the backbone and add an adapter of rank `rank` to each layer named in `targets`; the head learns.

    In place. Such a layer is linear ("query", "value" in a transformer) or a convolution ("conv_pw", "conv_pwl" in
    EfficientNet). An adapter starts at zero, so the model computes what it computed before.

    Raises:
        CourseError: the backbone has no layer with one of these names; no names, or no rank; there are adapters already.
    """
    from peft import LoraConfig, inject_adapter_in_model
    from peft.tuners.lora import LoraLayer

    if isinstance(targets, str) or not rank >= 1:
        raise CourseError(f'targets is a tuple of names, as in ("query",), rank at least 1; found {targets!r}, {rank}.')
    if any(isinstance(module, LoraLayer) for module in model.modules()):
        raise CourseError("This model has adapters already: merge_lora first, or make the model anew.")
    kinds = (nn.Linear, nn.Conv2d)
    fused = (nn.TransformerEncoderLayer, nn.MultiheadAttention)  # these read their layers' weights past any adapter
    inside = {layer for module in model.backbone.modules() if isinstance(module, fused) for layer in module.modules()}
    found = [(name, m) for name, m in model.backbone.named_modules() if isinstance(m, kinds) and m not in inside]
    layers = [name.rpartition(".")[2] for name, _ in found]
    if missing := [name for name in targets if name not in layers]:
        names = ", ".join(list(dict.fromkeys(layers))[:8])
        raise CourseError(
            f"{model.backbone.name} has no layer called {' or '.join(missing)}; it has {names or 'none that could be adapted'}."
        )
    freeze(model.backbone)
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=16, target_modules=list(targets)), model.backbone)
    unfreeze(model.head)


def merge_lora(model: Classifier) -> None:
    """Add every adapter to its matrix and remove it, in place: a plain network again, saved like any other."""
    from peft.tuners.lora import LoraLayer

    for name, module in list(model.named_modules()):
        if isinstance(module, LoraLayer):
            module.merge()
            model.set_submodule(name, module.get_base_layer())
