"""What a head is attached to: a network that turns inputs into features, in stages from stem to top."""

import hashlib
import re

import torch
from torch import nn

from .freezing import Settled


class Encoder(Settled):
    """Inputs -> features (b, width). Subclasses set `name`, `width`, `source` ("random" for none), `licence`.

    Attributes:
        spec: what `build` makes the same architecture from; a name or a plain dict.
    """

    name: str
    width: int
    source: str = "random"
    licence: str = "none"
    preprocess: object = ""

    @property
    def spec(self) -> str | dict:
        """What a checkpoint keeps in order to rebuild this architecture."""
        return self.name

    @property
    def stages(self) -> dict[str, list[nn.Module]]:
        """The parts from stem to top: by default, each child that learns. `stage_parameters` has all that belongs to each."""
        return {name: [child] for name, child in self.named_children() if any(True for _ in child.parameters())}

    def stage_parameters(self) -> dict[str, list[tuple[str, nn.Parameter]]]:
        """Every parameter exactly once, with its name, by stage from stem to top.

        Parameters that have no module of their own (a transformer's class token and positions) belong to the stem.
        """
        names = {parameter: name for name, parameter in self.named_parameters()}
        found: dict[str, list] = {}
        for stage, modules in self.stages.items():
            found[stage] = [(names.pop(p), p) for m in modules for p in m.parameters() if p in names]
        first = next(iter(found))
        found[first] = [(name, p) for p, name in names.items()] + found[first]
        return found

    @property
    def fingerprint(self) -> str:
        """sha256 of name, preprocessing, layers and the weights as they are now: the key under which features are kept."""
        layers = re.sub(r" at 0x[0-9a-f]+", "", repr([*self.children()]))  # a function's address changes between runs
        inside = (one for child in self.children() for module in child.modules() for one in vars(module).items())
        layers += repr([(k, v) for k, v in inside if k != "training" and isinstance(v, str | int | float)])
        digest = hashlib.sha256(f"{self.name} {self.preprocess} {layers}".encode())
        everything = self.state_dict() | dict(self.named_buffers())  # mean and deviation are not in the state
        for name, tensor in everything.items():
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
        return digest.hexdigest()

    def extra_repr(self) -> str:
        """What `print(encoder)` shows in its first line."""
        return f"{self.name}: {self.width} features, weights: {self.source}"
