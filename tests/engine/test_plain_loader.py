"""torch's own DataLoader is as good as the course's batches."""

import torch
from torch.utils.data import DataLoader, TensorDataset

from tl_helpers.device import pick_device
from tl_helpers.engine.fit import fit
from tl_helpers.engine.metrics import predict
from tl_helpers.engine.settings import Settings


def test_a_plain_loader_trains_and_is_looked_at_in_its_order():
    draw = torch.Generator().manual_seed(0)
    labels = torch.arange(24) % 3
    rows = torch.nn.functional.one_hot(labels, 3).float() + 0.1 * torch.randn(24, 3, generator=draw)
    loader = DataLoader(TensorDataset(rows, labels), batch_size=7)
    model = torch.nn.Linear(3, 3)
    result = fit(model, loader, loader, Settings(epochs=20, lr=0.1))
    assert result.val["accuracy"] == 1.0
    logits, seen, weights = predict(model, loader, pick_device("cpu", precision="fp32"))
    assert torch.equal(seen, labels) and torch.equal(weights, torch.ones(24))
    assert torch.allclose(logits, model(rows), atol=1e-6)
