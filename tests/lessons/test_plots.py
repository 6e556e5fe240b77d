"""Every figure is drawn, says what it shows, and stays small; what can't be drawn is refused in words."""

import dataclasses
import io
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image
from small_sets import image_set, report

import tl_helpers as tl
from tl_helpers.data.cloze import BLANK, Question
from tl_helpers.errors import CourseError
from tl_helpers.lessons import plots
from tl_helpers.lessons.plots import canvas, networks
from tl_helpers.recipes import clustering
from tl_helpers.recipes.search import Search, Trial

HISTORY = [
    {
        "phase": phase,
        "epoch": k,
        "train_loss": 2 - k / 4,
        "train_accuracy": k / 4,
        "val_loss": 2.0,
        "val_accuracy": None,
    }
    for phase, k in (("probe", 1), ("fine-tune", 1), ("fine-tune", 2))
]
RUNS = [
    {"method": method, "per_class": x, "seed": seed, "accuracy": 0.2 + 0.1 * seed}
    for method in ("pixels", "probe")
    for x in (1, 5, 20)
    for seed in range(3)
]

SEARCH = Search("epochs", [Trial({}, [1, 2], [0.5, 0.6], seconds=1.0), Trial({}, [1], [0.4], True, 1.0)])
QUESTION = Question(0, (("The", "king", "slept", "."),) * 20, ("A", BLANK, "woke", "."), "king", ("king", "queen"))


def texts() -> str:
    """Everything that is written in the figure drawn last."""
    figure = plt.gcf()
    figure.canvas.draw()
    return " | ".join(t.get_text() for t in figure.findobj(plt.Text) if t.get_visible() and t.get_text())


def test_every_figure_returns_nothing_and_is_small(google, twitter):
    whole, many = report(google), report(image_set(n=80, classes=20))
    draws = {
        "grid": lambda: plots.grid(google),
        "batch_grid": lambda: plots.batch_grid(google.images, captions=[google.classes[k] for k in google.labels[:24]]),
        "pairs": lambda: plots.pairs(google, twitter, google.names[:4]),
        "neighbours": lambda: plots.neighbours(twitter, google, torch.zeros(40, dtype=torch.int64)),
        "top_losses": lambda: plots.top_losses(whole),
        "bars": lambda: plots.bars({"pixels": 0.35, "ImageNet": (0.44, 0.02)}, chance=0.001),
        "history": lambda: plots.history(HISTORY),
        "confusion": lambda: plots.confusion(many, title="Twenty"),
        "learning_curve": lambda: plots.learning_curve(RUNS, chance=0.17),
        "filters": lambda: plots.filters(torch.randn(96, 3, 11, 11)),
        "feature_maps": lambda: plots.feature_maps({"stem": torch.rand(1, 32, 20, 20), "top": torch.rand(3, 4, 4)}),
        "maps": lambda: plots.maps({"PCA": {"xy": torch.rand(40, 2), "labels": google.labels}}, names=google.classes),
        "cluster_faces": lambda: plots.cluster_faces(google, clustering.fit(google.images.flatten(1).float(), 3)),
        "reading": lambda: plots.reading(QUESTION, [1 / len(QUESTION.places())] * len(QUESTION.places())),
        "reliability": lambda: plots.reliability({"a head": (whole.probabilities, whole.labels)}, title="How sure?"),
        "trials": lambda: plots.trials(SEARCH),
    }
    public = {name for name, it in vars(plots).items() if callable(it)}
    assert set(draws) == public - {"grad_cam", "grad_cam_maps", "LiveTrials"}
    for name, draw in draws.items():
        plt.close("all")
        assert draw() is None, name
        assert len(plt.get_fignums()) == 1, name
        packed = canvas.png(plt.gcf())
        assert len(packed) <= 75_000, f"{name}: {len(packed)} bytes"
        assert Image.open(io.BytesIO(packed)).width >= 400, name
        sizes = [t.get_fontsize() for t in plt.gcf().findobj(plt.Text) if t.get_text()]
        assert min(sizes) >= 10, name


def test_grid_takes_from_every_class_and_names_the_artist(google):
    plots.grid(google, count=6)
    assert all(f"number {k}" in " ".join(texts().split()) for k in range(6))
    assert "Noto Emoji" in texts()
    plots.grid(google, [3])
    assert "1 of the 40" in texts()


def test_grid_takes_a_mask_as_subset_does(google):
    plots.grid(google, google.labels == 2)
    seen = [axes.images[0].get_array() for axes in plt.gcf().axes if axes.images]
    expected = google.subset(google.labels == 2).images.permute(0, 2, 3, 1).numpy()
    assert np.array_equal(seen, expected) and "7 of the 40" in texts()


def test_nothing_chosen_is_told(google, twitter):
    draws = [
        lambda: plots.grid(google, []),
        lambda: plots.batch_grid(google.images[:0]),
        lambda: plots.neighbours(twitter, google, torch.zeros(40, dtype=torch.int64), names=[]),
        lambda: plots.top_losses(report(google), count=0),
    ]
    for draw in draws:
        with pytest.raises(CourseError, match="no picture to show"):
            draw()


def test_no_attribution_no_footnote():
    plots.grid(image_set(attribution=""), [0])
    assert plt.gcf().get_supxlabel() == ""


def test_grey_pictures_and_floats():
    plots.grid(image_set(channels=1))
    plots.batch_grid(torch.rand(3, 1, 8, 8), captions=["a", "b", "c"])
    assert "b" in texts()
    assert canvas.pixels(torch.full((3, 2, 2), 2.0)).max() == 1


def test_pairs_name_both_and_offer_near_names(google, twitter):
    plots.pairs(google, twitter, [google.names[0]])
    assert "Google" in texts() and "Twitter" in texts() and "Noto Emoji · Twemoji" in texts()
    with pytest.raises(CourseError, match=r"nothing called 'thing 1'.*Near: thing 1 of many"):
        plots.pairs(google, twitter, ["thing 1"])
    with pytest.raises(CourseError, match="It has, say"):
        plots.pairs(google, twitter, ["badger"])


def test_neighbours_show_what_is_asked_for(google, twitter):
    nearest = torch.arange(40)
    nearest[7] = 3
    plots.neighbours(twitter, google, nearest)
    assert "39 of 40 matched correctly" in texts()
    assert "thing 7" in texts() and "thing 3" in texts()
    plots.neighbours(twitter, google, nearest, show="right", count=3, title="By pixels")
    assert "By pixels: 39 of 40 matched correctly" in texts()
    plots.neighbours(twitter, google, nearest, names=[google.names[12]])
    assert "thing 12" in texts()
    with pytest.raises(CourseError, match="Not one neighbour is wrong"):
        plots.neighbours(twitter, google, torch.arange(40))
    with pytest.raises(CourseError, match="'wrong', 'right', 'all'"):
        plots.neighbours(twitter, google, nearest, show="all of them")


def test_top_losses_begin_with_the_largest(google):
    looked = report(google)
    plots.top_losses(looked, count=2)
    worst = int(looked.losses.argmax())
    shown = plt.gcf().axes[0].images[0].get_array()
    assert np.array_equal(shown, google.images[worst].permute(1, 2, 0).numpy())


def test_bars_print_values_spread_and_chance():
    plots.bars({"a": 0.344, "b": (0.5, 0.012), "c": 123.4, "d": 12.34}, chance=1 / 844, title="Bars", note="command")
    for piece in ("0.34", "0.50 ± 0.01", "123", "12.3", "chance 0.0012", "accuracy", "Bars", "command"):
        assert piece in texts()
    caps = [line for line in plt.gca().lines if line.get_marker() == "|"]
    drawn = [np.isfinite(np.asarray(line.get_xdata(), dtype=float)).sum() for line in caps]
    assert drawn == [1, 1]  # a bar without a spread has no caps


def test_all_shares_of_a_figure_have_as_many_digits():
    plots.bars({"a": 0.344, "b": (0.5, 0.012)})
    assert "0.344" in texts() and "0.500 ± 0.012" in texts()
    plots.bars({"a": (1.8, 0.02), "b": (2.2, 0.3)}, unit="times as fast")
    assert "1.80 ± 0.02" in texts() and "2.20 ± 0.30" in texts()


def test_history_takes_results_and_rows_and_marks_phases():
    class Result:
        history = HISTORY

    plots.history(Result())
    assert "probe" in texts() and "fine-tune" in texts() and "epoch" in texts()
    plots.history(HISTORY[1:])
    assert "probe" not in texts()
    with pytest.raises(CourseError, match="not one epoch"):
        plots.history([])


def test_confusion_writes_counts_and_leaves_empty_rows_white():
    looked = report(image_set(n=12, classes=3))
    looked.confusion = np.array([[4, 1, 0], [0, 7, 0], [0, 0, 0]])
    plots.confusion(looked)
    axes = plt.gcf().axes[0]
    assert [t.get_text() for t in axes.texts] == ["4", "1", "7"]
    assert axes.images[0].get_array()[2].sum() == 0


def test_learning_curve_has_mean_and_standard_deviation():
    plots.learning_curve(RUNS, note="python -m x")
    axes = plt.gcf().axes[0]
    assert axes.get_xscale() == "log"
    assert np.allclose(axes.lines[0].get_ydata(), 0.3)
    band = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert np.allclose([band.min(), band.max()], [0.2, 0.4])
    assert "up to 3 runs" in texts() and "python -m x" in texts()
    plots.learning_curve(RUNS[::3])
    assert "no spread" in texts()
    with pytest.raises(CourseError, match="no rows"):
        plots.learning_curve([])


def test_reliability_says_how_sure_and_how_right():
    sure = torch.tensor([[0.95, 0.05]] * 4 + [[0.45, 0.55]] * 4)
    labels = torch.tensor([0, 0, 0, 1, 1, 1, 1, 1])
    plots.reliability({"a head": (sure, labels)})
    axes = plt.gcf().axes[0]
    assert np.allclose(axes.lines[1].get_xydata(), [[0.55, 1.0], [0.95, 0.75]], atol=1e-6)
    assert "a head: ECE 0.325" in texts() and "The larger a dot" in texts()


def test_filters_of_any_depth():
    plots.filters(torch.zeros(8, 16, 3, 3))
    assert "All 8 filters, 3 × 3 pixels" in texts()
    plots.filters(torch.randn(96, 3, 11, 11))
    assert "64 of 96" in texts()


def test_feature_maps_pick_the_liveliest():
    maps = torch.zeros(5, 4, 4)
    maps[3] = torch.randn(4, 4)
    plots.feature_maps(maps, count=1)
    assert "channel 3" in texts()


@pytest.mark.parametrize("name", ["efficientnet_lite0", "mobilenet_v3_small", "vit_small"])
def test_grad_cam_leaves_the_model_as_it_was(name):
    torch.manual_seed(0)  # of random weights some see nothing at all
    model = tl.attach_head(tl.load_backbone(name, weights=None), tl.heads.linear(6))
    model.backbone.requires_grad_(False)
    model.train()
    size = 224 if name == "vit_small" else 64
    images = torch.rand(2, 1, size, size)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    heat = plots.grad_cam_maps(model, images, [4, 2])
    assert heat.shape == (2, size, size) and heat.isfinite().all() and 0 <= heat.min() <= heat.max() <= 1
    assert heat.max() > 0
    assert model.training and not model.backbone.body.training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


class Reds(torch.nn.Module):
    """A classifier by hand: the maps are the colours themselves, class 0 reads red and class 1 reads green."""

    def __init__(self):
        super().__init__()
        self.backbone = torch.nn.Module()
        self.backbone.name, self.backbone.channels = "colours", 3
        self.backbone.see = torch.nn.Conv2d(3, 3, 1, bias=False)
        self.backbone.see.weight.data = torch.eye(3).view(3, 3, 1, 1)
        self.backbone.stages = {"all": [self.backbone.see]}

    def forward(self, x):
        return self.backbone.see(x).mean((2, 3))[:, :2]


def test_grad_cam_looks_where_the_difference_is():
    images = torch.zeros(1, 3, 32, 32)
    images[:, 0, :, :16] = 1.0  # red at the left
    images[:, 1, :, 16:] = 0.9  # green at the right
    left = plots.grad_cam_maps(Reds(), images, [0])
    assert left[..., :16].mean() > 0.9 and left[..., 16:].mean() < 0.1
    right = plots.grad_cam_maps(Reds(), images, [1])
    assert right[..., 16:].mean() > 0.9 and right[..., :16].mean() < 0.1


def test_a_small_cluster_leaves_places_empty(google):
    one = SimpleNamespace(k=2, sizes=[3, 1], nearest=lambda c, count: torch.tensor([[0, 1, 2], [3]][c][:count]))
    plots.cluster_faces(google, one)
    assert [len(axes.images) for axes in plt.gcf().axes] == [1, 1, 1, 1, 0, 0]


def test_grad_cam_of_a_transformer_looks_before_the_last_attention():
    for name, last in (("vit_b_16", "ln_1"), ("vit_tiny_patch16_224", "norm1")):
        model = tl.attach_head(tl.load_backbone(name, weights=None), tl.heads.linear(2))
        layer = networks._last_maps(model.eval(), torch.rand(1, 3, 224, 224))
        norms = [module for where, module in model.backbone.named_modules() if where.endswith(last)]
        assert len(norms) == 12 and layer is norms[-1]


def test_grad_cam_of_a_report(google):
    model = tl.attach_head(tl.load_backbone("resnet18", weights=None), tl.heads.linear(6))
    looked = report(google, model=model, size=64)
    plots.grad_cam(looked, index=7)
    assert "is a class, number 1" in texts() and "Noto Emoji" in texts() and "Grad-CAM" in texts()
    assert f"for {google.classes[looked.predictions[7]]}" in texts()
    plots.grad_cam(looked, index=[0, 1, 2], target=[0, 1, 2])
    assert "for a class, number 2" in texts()
    plots.grad_cam(looked, index=1, target=3)
    assert "for a class, number 3" in texts()
    for index, target in ((1, [6]), (1, [-1]), ([1, 2], [3])):
        with pytest.raises(CourseError, match="target is a class for each picture, from 0 to 5"):
            plots.grad_cam(looked, index=index, target=target)
    with pytest.raises(CourseError, match="attach_head"):
        plots.grad_cam_maps(torch.nn.Linear(2, 2), torch.rand(1, 3, 8, 8), [0])


def test_in_a_notebook_one_image_is_displayed_and_nothing_stays_open(google, monkeypatch):
    shown = []
    monkeypatch.setattr(canvas, "get_ipython", lambda: object())
    monkeypatch.setattr(canvas, "display", shown.append)
    settings = dict(plt.rcParams)
    plots.bars({"a": 1.0}, title="One\nbar")
    plots.grid(google)
    assert [image.format for image in shown] == ["png", "png"]
    assert shown[0].alt == "One bar" and "pictures of emoji-google" in shown[1].alt
    assert repr(shown[0]) == "<IPython.core.display.Image object>"
    assert plt.get_fignums() == [] and dict(plt.rcParams) == settings


def test_the_png_shrinks_until_it_fits():
    figure = plt.figure(figsize=(8, 6))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(np.random.default_rng(0).random((200, 260, 3)), interpolation="nearest")
    assert len(canvas.png(figure, limit=10**7)) > 75_000
    assert len(canvas.png(figure)) < 130_000  # pure noise, larger than anything in the course, at the last step


def test_texts_have_no_pictures_to_show():
    texts = tl.data.TextSet("mails", ("a", "b"), torch.tensor([0, 1]), ("x", "y"), ("line 1", "line 2"))
    with pytest.raises(CourseError, match="mails holds texts"):
        plots.pictures.pick(texts, [0])


def test_what_lies_on_no_map_is_told_and_grad_cam_shows_what_the_model_saw(google):
    with pytest.raises(CourseError, match=r"layer0 has the shape \(1, 16, 96\)"):
        plots.feature_maps({"stem": torch.zeros(1, 8, 5, 5), "layer0": torch.zeros(1, 16, 96)})
    assert not plt.get_fignums()  # a notebook would show what is half drawn
    wide = torch.zeros(2, 3, 40, 80, dtype=torch.uint8)
    wide[..., :20] = 255  # what the middle square leaves out
    model = tl.attach_head(tl.load_backbone("resnet18", weights=None), tl.heads.linear(6))
    mine = dataclasses.replace(google.subset(range(2)), images=wide)
    plots.grad_cam(report(mine, model=model, size=32), index=torch.tensor(1))
    assert plt.gcf().axes[0].images[0].get_array().max() < 60


def test_bars_go_below_nought_and_need_a_value():
    plots.bars({"worse": -0.2, "better": 0.3})
    assert plt.gcf().axes[0].get_xlim()[0] < -0.2
    for wrong in ({}, {"diverged": float("nan")}):
        with pytest.raises(CourseError, match="drawn of numbers"):
            plots.bars(wrong)


def test_bars_of_one_seed_have_no_spread():
    plots.bars({"one seed": (0.25, np.float64("nan")), "three": (0.5, 0.1)})
    assert "0.500 ± 0.100" in texts() and texts().count("±") == 1
    plots.bars({"one seed": (0.25, float("nan"))})
    assert "0.25" in texts() and "±" not in texts()


def test_a_name_with_dollars_is_a_name_and_a_logarithmic_axis_keeps_its_powers():
    plots.bars({"a$b^$c": 0.5, "cash $1": 0.4}, title="$x_$")
    figure = plt.gcf()
    assert [label.get_parse_math() for label in figure.axes[0].get_yticklabels()] == [False, False]
    canvas.png(figure)  # as a formula the first name can't be drawn
    plt.close(figure)
    plots.learning_curve([{"method": "probe", "per_class": 2**k, "seed": 0, "accuracy": 0.5} for k in range(14)])
    figure = plt.gcf()
    canvas.png(figure)
    powers = [label for label in figure.axes[0].get_xticklabels() if label.get_text()]
    assert powers and all(label.get_parse_math() for label in powers)
    plt.close(figure)


def test_a_reader_is_shaded_by_its_largest_share_and_says_how_large_that_is():
    shares = np.zeros(len(QUESTION.places()))
    shares[-4:] = 0.12, 0.06, 0.03, 0.001  # small as they are, they can be told apart
    plots.reading(QUESTION, shares)
    boxes = [t.get_bbox_patch() for t in plt.gcf().findobj(plt.Text) if t.get_bbox_patch()]
    depth = sorted(sum(box.get_facecolor()[:3]) for box in boxes)
    assert len(depth) == 3 and depth[1] - depth[0] > 0.3 and depth[2] - depth[1] > 0.15
    assert "darkest word: 0.12 of the attention" in texts()


def test_maps_name_a_class_that_the_first_panel_lacks(monkeypatch):
    from tl_helpers.lessons.plots import clusters

    seen = []
    monkeypatch.setattr("matplotlib.figure.Figure.legend", lambda self, dots, names, **how: seen.append(list(names)))
    two = {"left": [0, 1], "right": [2, 1, 0]}
    clusters.maps({k: {"xy": torch.rand(len(v), 2), "labels": v} for k, v in two.items()}, names=("x", "y", "z"))
    assert sorted(seen[0]) == ["x", "y", "z"]
