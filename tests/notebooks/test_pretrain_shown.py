"""Notebook 05 shows how to pretrain: its functions touch no digit and no emoji that is held out, and do what they say."""

import ast
import copy
import dataclasses

import pytest
import torch
from lesson_cells import ALL_NOTEBOOKS, Lesson
from torch.nn import functional as F

import tl_helpers as tl
from tl_helpers.data import DIGITS, LETTERS, Batches, drawn_characters
from tl_helpers.engine.settings import Settings
from tl_helpers.errors import CourseError

LESSON = Lesson(next(path for path in ALL_NOTEBOOKS if path.name.startswith("05_")))


@pytest.fixture(scope="module")
def shown():
    """The functions that the notebook's own cells define."""
    names = {"tl": tl, "torch": torch, "F": F, "copy": copy, "dataclasses": dataclasses}
    names |= {"Batches": Batches, "Settings": Settings}
    for cell in LESSON.code:
        functions = [node for node in cell.tree.body if isinstance(node, ast.FunctionDef)]
        if "exercise" not in cell.tags:
            exec(compile(ast.Module(functions, []), f"notebook 05, cell {cell.index}", "exec"), names)
    return names


@pytest.fixture(scope="module")
def drawn():
    return drawn_characters(120, seed=0, characters=DIGITS, size=8)


@pytest.fixture(scope="module")
def model(shown, drawn):
    """Pretrained while nobody can read a written digit: pretraining that asked for one would fail here."""
    import sklearn.datasets

    def forbidden(*arguments, **options):
        raise AssertionError("pretraining asked for the target")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sklearn.datasets, "load_digits", forbidden)
        patch.setattr(tl.data, "load", forbidden)
        model = shown["untrained"]("small_cnn", 10, 0)
        shown["teach"](model, drawn.train, drawn.val, rate=3e-3)
    return model


def test_pretraining_never_sees_a_written_digit(model, drawn):
    written = {image.numpy().tobytes() for image in tl.data.load("digits").images}
    assert not written & {image.numpy().tobytes() for image in drawn.images}


def test_test_digits_are_refused_as_lessons(shown, model):
    digits = tl.data.load("digits")
    with pytest.raises(CourseError, match="test set"):
        shown["adapt"](copy.deepcopy(model), digits.test.few(1, 0), digits.val, steps=1)


def test_simclr_is_given_the_training_part_alone():
    artists = {f"{name}": tl.data.load(f"emoji-{name}") for name in ("google", "twitter")}
    cell = next(cell for cell in LESSON.code if "pictures" in cell.binds)
    given = next(n for n in cell.tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "pictures")
    pictures = eval(compile(ast.Expression(given.value), "pictures", "eval"), {"torch": torch, **artists})
    seen = {picture.numpy().tobytes() for picture in pictures}
    for images in artists.values():
        assert seen >= {picture.numpy().tobytes() for picture in images.train.resized(48)}
        held_out = torch.cat([images.val.resized(48), images.test.resized(48)])
        assert not seen & {picture.numpy().tobytes() for picture in held_out}


@pytest.mark.parametrize("k", [0, 2, 4])
def test_the_first_k_stages_stay_to_the_byte(shown, model, k):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    moved = shown["first_stages"](model, k, seed=1)
    digits = tl.data.load("digits")
    shown["adapt"](moved, digits.train.few(1, 0), digits.val, steps=2, rate=1e-2)
    assert not shown["moved"](before, model), "the pretrained network itself is left alone"
    for place, (old, new) in enumerate(
        zip(model.backbone.stages.values(), moved.backbone.stages.values(), strict=True)
    ):
        assert bool(shown["moved"](shown["state"](old[0]), new[0])) == (place >= k)


def test_another_alphabet_gets_a_new_head(shown):
    letters = drawn_characters(4, seed=0, characters=LETTERS[:4], size=8)
    model = shown["untrained"]("small_cnn", 4, 0)
    renewed = shown["new_head"](model, tl.data.load("digits").train.few(1, 0))
    assert renewed.head.out_features == 10 and model.head.out_features == 4 and len(letters.classes) == 4
    assert torch.equal(renewed.backbone.body.conv1[0].weight, model.backbone.body.conv1[0].weight)
    assert renewed.backbone is not model.backbone


def test_what_is_spoilt_is_one_thing(shown, drawn):
    spoil = shown["spoil"]
    assert torch.equal(spoil(drawn, "mirror").images.flip(3), drawn.images)
    assert torch.equal(spoil(drawn, "upside-down").images.rot90(2, (2, 3)), drawn.images)
    assert torch.equal(255 - spoil(drawn, "black on white").images, drawn.images)
    exchanged, random = spoil(drawn, "names exchanged"), spoil(drawn, "random labels")
    assert (exchanged.labels != drawn.labels).all() and len(set(zip(exchanged.labels, drawn.labels, strict=True))) >= 10
    assert torch.equal(random.labels.bincount(), drawn.labels.bincount())
    assert not torch.equal(random.labels, drawn.labels)


def test_nt_xent_is_what_its_paper_says(shown):
    draw = torch.Generator().manual_seed(0)
    a, b = torch.randn(5, 3, generator=draw), torch.randn(5, 3, generator=draw)
    z = F.normalize(torch.cat([a, b]), dim=1)
    losses = []
    for i in range(10):
        exponents = torch.exp(z @ z[i] / 0.5)
        partner = (i + 5) % 10
        losses.append(-torch.log(exponents[partner] / (exponents.sum() - exponents[i])))
    assert shown["nt_xent"](a, b, 0.5) == pytest.approx(torch.stack(losses).mean().item(), abs=1e-5)


def test_each_view_is_its_own(shown):
    torch.manual_seed(0)
    picture = torch.randint(0, 256, (1, 3, 48, 48), dtype=torch.uint8).expand(6, -1, -1, -1)
    seen = shown["views"](picture)
    assert seen.shape == (6, 3, 32, 32) and seen.min() >= 0 and seen.max() <= 1
    assert all(not torch.equal(seen[0], other) for other in seen[1:])


def test_one_picture_counts_only_those_asked(shown):
    rows = torch.randn(20, 8, generator=torch.Generator().manual_seed(1))
    assert shown["one_picture"](rows, 3 * rows + 1, torch.tensor([2, 7, 11])) == 1.0
    turned = rows.clone()
    turned[[2, 7]] = rows[[7, 2]]
    assert shown["one_picture"](rows, turned, torch.tensor([2, 7, 11])) == pytest.approx(1 / 3)
