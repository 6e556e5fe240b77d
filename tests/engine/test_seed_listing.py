"""The article's second listing: given imports, folders, a batch size and weights=None, it runs as it is printed."""

import pytest
import torch
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, SubsetRandomSampler, TensorDataset

import tl_helpers as tl
from tl_helpers.errors import CourseError

LISTING = """
data_transforms = {
    'train': transforms.Compose([
        transforms.RandomResizedCrop(224),
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
        transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    ]),
    'val': transforms.Compose([
        transforms.Resize(256),
        transforms.CenterCrop(224),
        transforms.ToTensor(),
        transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    ])
}
image_datasets = {x: datasets.ImageFolder(os.path.join(data_dir, x), data_transforms[x])
                  for x in ['train', 'val']}
dataloaders = {x: torch.utils.data.DataLoader(image_datasets[x], batch_size=batch_size, shuffle=True, num_workers=4)
               for x in ['train', 'val']}
dataset_sizes = {x: len(image_datasets[x]) for x in ['train', 'val']}
classes = image_datasets['train'].classes

resnet = models.resnet18(weights=None)
num_ftrs = resnet.fc.in_features
resnet.fc = nn.Linear(num_ftrs, len(classes))

device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
model_ft = train_model(device, dataloaders, dataset_sizes, classes, resnet, lr=0.001, weight_decay=0.01)

testset = datasets.ImageFolder(os.path.join(target_data_dir, 'test'), transform=data_transforms['val'])
testloader = torch.utils.data.DataLoader(testset, batch_size=batch_size, shuffle=False, num_workers=4)
acc = test_model(model_ft, device, testloader)
"""

SETUP = """
import os, sys, torch, torch.nn as nn
from tl_helpers import test_model, train_model
from torchvision import datasets, models, transforms
data_dir, target_data_dir, batch_size = sys.argv[1], sys.argv[2], 8
_train = train_model
def train_model(*given, **named):
    return _train(*given, **named, epochs=1)  # ten epochs by default, one is enough to see it run
"""


def few_folders(name, directory, per_class):
    """A set as folders, thinned out, so that a test takes seconds."""
    tl.data.as_folders(name, directory)
    for part in ("train", "val", "test"):
        for folder in (directory / part).iterdir():
            for extra in sorted(folder.iterdir())[per_class:]:
                extra.unlink()


def test_the_second_listing_runs_on_source_and_target(tmp_path):
    import subprocess
    import sys

    few_folders("emoji-google", tmp_path / "source", 2)
    few_folders("emoji-twitter", tmp_path / "target", 2)
    script = tmp_path / "listing.py"
    body = SETUP + LISTING + "\nassert 0 <= acc <= 1 and len(testset) == 12\nprint('accuracy', acc)\n"
    script.write_text(body)
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "source"), str(tmp_path / "target")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "accuracy" in done.stdout


def loaders(n=12, classes=3, batch_size=5):
    labels = torch.arange(n) % classes
    data = TensorDataset(torch.randn(n, 4) + 4 * nn.functional.one_hot(labels, 4), labels)
    return {part: DataLoader(data, batch_size=batch_size, shuffle=part == "train") for part in ("train", "val")}


SIX, SIZES = TensorDataset(torch.randn(6, 4), torch.zeros(6).long()), {"train": 12, "val": 6}


def test_a_share_in_the_unit_interval_with_a_ragged_last_batch():
    torch.manual_seed(0)
    data = loaders()
    model = tl.train_model("cpu", data, {"train": 12, "val": 12}, "abc", nn.Linear(4, 3), lr=0.1)
    with torch.no_grad():
        x, y = data["val"].dataset.tensors
        expected = (model(x).argmax(1) == y).float().mean().item()
    assert tl.test_model(model, "cpu", data["val"]) == pytest.approx(expected)
    assert expected > 0.9


def test_a_short_batch_counts_for_what_it_is():
    x = torch.eye(4)[torch.tensor([0] * 10 + [1, 2])]  # ten of twelve are right; by batches it would be 1, 1 and 0
    model = nn.Linear(4, 3, bias=False)
    model.weight.data = torch.eye(3, 4)
    loader = DataLoader(TensorDataset(x, torch.zeros(12).long()), batch_size=5)
    assert tl.test_model(model, "cpu", loader) == pytest.approx(10 / 12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset_sizes": {"train": 10, "val": 12}}, "dataset_sizes"),
        ({"dataloaders": {"train": None}}, "dataloaders needs the parts 'train' and 'val', found .'train'"),
        ({"dataset_sizes": {"train": 12}}, "dataset_sizes needs the parts"),
        ({"dataloaders": dict.fromkeys(("train", "val"), DataLoader([]))}, "the part 'train' yields no sample"),
        ({"dataloaders": loaders() | {"val": DataLoader(SIX, 8, drop_last=True)}, "dataset_sizes": SIZES}, "drop_last"),
        ({"classes": ["cat"]}, "nothing to tell apart"),
        ({"model": nn.Linear(4, 7)}, "7 outputs for 3 classes"),
        ({"model": nn.Linear(4, 2)}, "2 outputs for 3 classes: replace the model's last layer"),
        ({"model": nn.Sequential(nn.Linear(4, 1), nn.Flatten(0))}, r"logits \(batch, classes\), found \(5,\)"),
    ],
)
def test_wrong_input_is_explained(change, message):
    given = {"dataloaders": loaders(), "dataset_sizes": {"train": 12, "val": 12}, "classes": list("abc")}
    given |= {"model": nn.Linear(4, 3), **change}
    with pytest.raises(CourseError, match=message):
        tl.train_model("cpu", **given)


def test_the_checkpoint_of_other_classes_is_refused(tmp_path):
    given = {"dataloaders": loaders(), "dataset_sizes": {"train": 12, "val": 12}, "model": nn.Linear(4, 3)}
    given |= {"epochs": 1, "checkpoint": tmp_path / "t.safetensors"}
    tl.train_model("cpu", classes=list("abc"), **given)
    with pytest.raises(CourseError, match="differs in weights it began from"):
        tl.train_model("cpu", classes=list("xyz"), **given)


def test_what_a_sampler_leaves_out_does_not_count_and_a_list_of_batches_will_do():
    given = loaders()["train"].dataset
    some = DataLoader(given, batch_size=5, sampler=SubsetRandomSampler(range(8)))
    own = DataLoader(given, batch_sampler=BatchSampler(SubsetRandomSampler(range(8)), 5, drop_last=False))
    plain = list(DataLoader(given, batch_size=5))
    for train, size in ((some, 8), (own, 8), (plain, 12)):
        parts, sizes = {"train": train, "val": plain}, {"train": size, "val": 12}
        model = tl.train_model("cpu", parts, sizes, list("abc"), nn.Linear(4, 3), epochs=1)
        assert not model.training
    with pytest.raises(CourseError, match="has 8 samples"):
        tl.train_model("cpu", {"train": some, "val": plain}, {"train": 12, "val": 12}, list("abc"), nn.Linear(4, 3))


def test_inputs_may_be_a_dict():
    class Named(nn.Linear):
        def forward(self, inputs):
            return super().forward(inputs["x"])

    batches = [({"x": x}, y) for x, y in loaders()["val"]]
    parts, sizes = {"train": batches, "val": batches}, {"train": 12, "val": 12}
    assert not tl.train_model("cpu", parts, sizes, list("abc"), Named(4, 3), epochs=1).training


def test_chance_and_a_models_layout_are_left_as_they_were():
    parts, sizes = loaders(), {"train": 12, "val": 12}
    model = nn.Sequential(nn.Unflatten(1, (2, 1, 2)), nn.Conv2d(2, 3, (1, 2)), nn.Flatten())
    tl.test_model(model, "cpu", parts["val"])
    assert model[1].weight.is_contiguous()
    before = torch.get_rng_state()
    tl.train_model("cpu", parts, sizes, list("abc"), model, epochs=1)
    assert torch.equal(torch.get_rng_state(), before) and model[1].weight.is_contiguous()
