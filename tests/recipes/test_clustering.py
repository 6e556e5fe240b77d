"""Clustering: scikit-learn's own answers, a clear sentence where none can be right, and the same clusters every time."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.metrics import normalized_mutual_info_score

import tl_helpers as tl
from tl_helpers.errors import CourseError
from tl_helpers.recipes import clustering
from tl_helpers.recipes.choose_k import CRITERIA, choose_k
from tl_helpers.recipes.cluster_views import describe, layout, map_svg
from tl_helpers.recipes.clustering import METHODS, evaluate, fit, prepare


def heaps(n: int = 60, k: int = 3, width: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Round heaps far apart, and which row is of which."""
    draw = np.random.default_rng(seed)
    truth = np.arange(n) % k
    return (8 * draw.normal(size=(k, width))[truth] + draw.normal(size=(n, width))).astype(np.float32), truth


@pytest.fixture(scope="module")
def digits():
    found = tl.data.load("digits")
    return found.images.flatten(1).float()[:600], found.labels[:600]


SHAPES = {"full": (3, 5, 5), "tied": (5, 5), "diag": (3, 5), "spherical": (3,)}


@pytest.mark.parametrize("way", [*METHODS[:-1], *SHAPES])
def test_heaps_are_found_by_every_method(way):
    rows, truth = heaps()
    how = {"method": "gmm", "covariance": way} if way in SHAPES else {"method": way}
    found = fit(torch.from_numpy(rows), 3, **how)
    if way in SHAPES:
        assert found.model.covariances_.shape == SHAPES[way]
    assert found.k == 3 and found.sizes.tolist() == [20, 20, 20] and found.centres.dtype == np.float32
    assert evaluate(found, truth)["accuracy"] == 1.0
    assert found.sureness.min() > 0.5 and np.array_equal(found.predict(rows), found.labels)
    for c in range(3):
        near, doubt = found.nearest(c, 5), found.least_sure(c, 5)
        assert (found.labels[near] == c).all() and np.all(np.diff(found.distances[near]) >= 0)
        assert found.sureness[doubt[0]] == found.sureness[found.labels == c].min()


def test_the_clusters_are_scikit_learns_own(digits):
    points = prepare(digits[0])
    ours, theirs = fit(points, 10, seed=3, restarts=2), KMeans(10, n_init=2, random_state=3).fit(points)
    assert evaluate(ours.labels, theirs.labels_)["ari"] == 1.0
    assert (ours.distances**2).sum() == pytest.approx(theirs.inertia_, rel=1e-4)
    assert list(ours.sizes) == sorted(ours.sizes, reverse=True)


@pytest.mark.parametrize("method", METHODS)
def test_the_same_seed_gives_the_same_clusters(digits, method):
    first, again = (fit(prepare(digits[0]), 6, method, seed=1, restarts=1) for _ in range(2))
    assert np.array_equal(first.labels, again.labels) and np.array_equal(first.centres, again.centres)


def test_prepare_makes_rows_comparable(digits):
    loud = digits[0].clone()
    loud[:, 20] *= 1000
    points = prepare(loud, standardise=True, unit=True, components=None)
    assert points.dtype == np.float32 and np.allclose(np.linalg.norm(points, axis=1), 1, atol=1e-5)
    assert np.allclose(points, prepare(digits[0], standardise=True, components=None), atol=1e-3)
    assert prepare(digits[0]).shape == (600, 50) and prepare(digits[0][:7]).shape == (7, 7)
    plain = prepare(digits[0], unit=False, components=None)
    assert np.array_equal(plain, digits[0].numpy())


def test_labels_judge_without_being_used(digits):
    points, truth = prepare(digits[0]), digits[1]
    found = fit(points, 10)
    said = evaluate(found, truth)
    assert said["nmi"] == pytest.approx(normalized_mutual_info_score(truth, found.labels)) and said["nmi"] > 0.6
    assert said["v_measure"] == said["nmi"] and said["accuracy"] > 4 * said["largest_class"]
    half = 2 * said["homogeneity"] * said["completeness"] / (said["homogeneity"] + said["completeness"])
    assert said["v_measure"] == pytest.approx(half)
    one = evaluate(np.zeros(600, int), truth)
    assert one["nmi"] == one["ari"] == 0 and one["accuracy"] == one["largest_class"]
    # the numbers of the clusters mean nothing
    assert evaluate([2, 2, 0, 0, 1], [0, 0, 1, 1, 2])["accuracy"] == 1.0
    # more clusters than classes: each class may claim one
    assert evaluate([0, 1, 2, 3], [0, 0, 1, 1])["accuracy"] == 0.5
    with pytest.raises(CourseError, match="a cluster and a label"):
        evaluate([0, 1], [0, 1, 2])


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_fewer_rows_than_clusters(method):
    with pytest.raises(CourseError, match="5 clusters can't be made of 3 rows"):
        fit(heaps(3)[0], 5, method)
    with pytest.raises(CourseError, match="k = 0"):
        fit(heaps(3)[0], 0, method)


@pytest.mark.parametrize("method", METHODS)
def test_duplicates_only(method):
    rows = np.ones((30, 4), np.float32)
    with pytest.raises(CourseError, match="only 1 of 30 differ"):
        fit(rows, 2, method)
    assert fit(rows, 1, method).sizes.tolist() == [30]
    rows[::3] = 2  # two different rows, one of them often: two clusters are right, three can't be
    assert fit(rows, 2, method).sizes.tolist() == [20, 10]
    with pytest.raises(CourseError, match="Take k = 2"):
        fit(np.repeat(rows, 3, axis=0), 3, method)


def test_different_rows_after_many_equal_ones():
    rows = np.concatenate([np.zeros((100, 2)), [[0, 1], [1, 0], [5, 5]]])
    assert sorted(fit(rows, 4).sizes) == [1, 1, 1, 100]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_no_number_is_named_by_its_row(bad):
    rows = heaps()[0]
    rows[7, 2] = bad
    for call in (prepare, lambda rows: fit(rows, 2), lambda rows: choose_k(rows, [2, 3]), layout):
        with pytest.raises(CourseError, match="the first is row 7"):
            call(rows)
    rows[:] = 1e15  # large, and no error
    assert fit(rows, 1).k == 1


@pytest.mark.parametrize("method", METHODS)
def test_constant_features_come_to_nothing(method):
    rows, truth = heaps()
    with_constant = np.concatenate([rows, np.full((60, 3), 7, np.float32)], axis=1)
    points = prepare(with_constant, standardise=True, unit=False)
    assert np.isfinite(points).all()
    assert evaluate(fit(points, 3, method), truth)["accuracy"] == 1.0
    constant = prepare(np.full((20, 6), 3.0), standardise=True)
    assert np.isfinite(constant).all() and fit(constant, 1, method).k == 1
    with pytest.raises(CourseError, match="only 1 of 20 differ"):
        fit(constant, 2, method)
    assert layout(constant).shape == (20, 2)
    assert layout(np.arange(20.0)[:, None], "tsne").shape == (20, 2)


@pytest.mark.parametrize("method", METHODS)
def test_one_cluster_and_one_row(method):
    rows = heaps()[0]
    whole = fit(rows, 1, method)
    assert (whole.labels == 0).all() and (whole.sureness == 1).all()
    assert np.allclose(whole.centres[0], rows.mean(0), atol=1.0 if method == "minibatch" else 1e-3)
    alone = prepare(rows[:1])
    with pytest.raises(CourseError, match="k = 2 clusters can't be made of 1 row;"):
        fit(alone, 2, method)
    assert layout(alone).shape == (1, 2)
    if method == "gmm":
        with pytest.raises(CourseError, match="A mixture needs at least two rows"):
            fit(prepare(np.ones((1, 384))), 1, method)
        with pytest.raises(CourseError, match="A mixture needs at least two rows"):
            fit(alone, 1, method)
    else:
        single = fit(alone, 1, method)
        assert single.k == 1 and describe(single)[0]["nearest"] == [0]


def test_an_empty_cluster_is_left_out_and_told(monkeypatch):
    rows = heaps()[0]
    monkeypatch.setattr("sklearn.mixture.GaussianMixture.predict", lambda self, rows: np.full(len(rows), 2))
    found = fit(rows, 4, "gmm")
    assert found.k == 1 and found.sizes.tolist() == [60] and "3 of 4 clusters are empty" in found.notes[0]
    assert (found.predict(rows) == 0).all()


def test_shapes_and_names_that_are_wrong():
    for wrong in (np.zeros(3), np.zeros((0, 4)), np.zeros((4, 0)), np.zeros((2, 2, 2))):
        with pytest.raises(CourseError, match="features of shape"):
            prepare(wrong)
    rows = heaps()[0]
    with pytest.raises(CourseError, match="try one of kmeans, minibatch, gmm"):
        fit(rows, 2, "dbscan")
    with pytest.raises(CourseError, match="try one of full, tied"):
        fit(rows, 2, "gmm", covariance="round")
    for wrong in (2.5, "auto", None, np.nan):
        with pytest.raises(CourseError, match=f"whole number, found {wrong}"):
            fit(rows, wrong)
    assert fit(rows, 3.0).k == 3
    with pytest.raises(CourseError, match="components=50"):
        fit(np.zeros((100, 51)), 2, "gmm")
    with pytest.raises(CourseError, match="try pca, tsne"):
        layout(rows, "som")


# --- large sets and other devices ------------------------------------------------------------------------------------


def test_a_mixture_is_fitted_on_a_named_sample(monkeypatch):
    assert clustering.SAMPLE == 100_000
    monkeypatch.setattr(clustering, "SAMPLE", 300)
    rows, truth = heaps(3000)
    found = fit(rows, 3, "gmm", seed=4)
    assert found.notes == ("The mixture was fitted on 300 of 3,000 rows, drawn by seed 4.",)
    assert len(found.labels) == 3000 and evaluate(found, truth)["accuracy"] == 1.0


def test_without_what_a_gpu_needs_the_cpu_does_it_and_says_so(monkeypatch):
    monkeypatch.delenv("SCIPY_ARRAY_API", raising=False)
    found = fit(heaps()[0], 2, "gmm", device="cuda")
    assert "SCIPY_ARRAY_API=1" in found.notes[0] and (found.labels == fit(heaps()[0], 2, "gmm").labels).all()
    assert fit(heaps()[0], 2, "kmeans", device="cuda").notes == ()


def test_torch_tensors_give_the_mixture_of_numpy_arrays():
    code = """
import numpy as np, torch
from sklearn.mixture import GaussianMixture
from tl_helpers.recipes.clustering import on_device
rows = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
rows[::2] += 6
ours = GaussianMixture(2, random_state=0)
on_device(ours, rows, torch.device("cpu"))
theirs = GaussianMixture(2, random_state=0, init_params="random_from_data").fit(rows)
assert isinstance(ours.means_, np.ndarray)
assert np.allclose(np.sort(ours.means_, 0), np.sort(theirs.means_, 0), atol=1e-3)
assert (np.bincount(ours.predict(rows)) == 150).all()
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"SCIPY_ARRAY_API": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


# --- how many --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("criterion", CRITERIA)
def test_three_clear_heaps_are_three(criterion):
    choice = choose_k(heaps(150)[0], [2, 3, 4, 6], criterion, draws=3)
    assert choice.k == 3, str(choice)
    assert choice.values.shape == (3, 4) and f"By {criterion}" in choice.sentence
    assert str(choice).count("k =") >= 5


def test_a_cloud_has_no_number_of_clusters():
    cloud = np.random.default_rng(0).normal(size=(300, 10)).astype(np.float32)
    choice = choose_k(cloud, [2, 3, 4, 6, 8], draws=3)
    assert choice.flat and "flat" in choice.sentence and "weak" in choice.sentence
    assert "smallest k tried" in choose_k(cloud, [2, 4, 8], "bic", draws=2).sentence
    one = choose_k(cloud, [1, 2, 4], "bic", draws=2)
    assert one.k == 1 and "smallest" not in one.sentence, "nothing lies below one"


def test_the_spread_of_the_gap_knows_of_its_random_reference():
    """Another seed changes the mean of four draws by about its standard error; a noise shared by the draws would hide in it."""
    rows = np.repeat(np.random.default_rng(0).normal(size=(60, 8)), 10, 0).astype(np.float32)
    gaps = np.stack([choose_k(rows, [3], "gap", draws=4, seed=seed).values[:, 0] for seed in range(12)])
    between, within = gaps.mean(1).std(ddof=1), gaps.std(1, ddof=1).mean() / 4**0.5
    assert 0.5 * within < between < 1.6 * within


def test_a_k_that_cannot_be_tried_is_told():
    rows = heaps(10)[0]
    for ks, criterion in (([1, 2], "silhouette"), ([2, 9], "bic"), ([], "gap"), ([0, 1], "gap")):
        with pytest.raises(CourseError, match="compares k from"):
            choose_k(rows, ks, criterion)
    with pytest.raises(CourseError, match="at least one draw"):
        choose_k(rows, [2], draws=0)
    with pytest.raises(CourseError, match="try one of silhouette"):
        choose_k(rows, [2], "elbow")


# --- what a reader sees ----------------------------------------------------------------------------------------------


def test_words_name_a_cluster():
    texts = ["the cat purrs", "a cat and a kitten", "the ship sails", "a ship at sea"] * 5
    rows = np.array([[0, 0], [0, 1], [9, 9], [9, 8]] * 5, np.float32)
    named = describe(fit(rows, 2), texts, count=3)
    assert {row["words"][0] for row in named} == {"cat", "ship"} and named[0]["size"] == 10
    assert describe(fit(rows, 2), ["12 34"] * 20)[0]["words"] == []


@pytest.mark.parametrize("kind", ["pca", "tsne", "umap"])
def test_maps_have_two_dimensions_and_repeat(kind):
    rows, threads = heaps(20)[0], torch.get_num_threads()
    first, again = layout(rows, kind), layout(rows, kind)
    assert torch.get_num_threads() == threads
    assert first.shape == (20, 2) and np.isfinite(first).all() and np.array_equal(first, again)
    assert layout(rows[:, :1], "pca").shape == (20, 2)


def test_the_map_is_svg_with_names_that_cannot_break_it():
    xy = np.array([[0, 0], [1, 1], [2, 0]])
    ring = (1.0, 0.5, 0.3, 0.2, 30.0, 0)
    drawn = map_svg(xy, [0, 1, -1], names=["<b>", "x", "y"], centres=xy[:2], rings=[ring])
    import xml.etree.ElementTree as Tree

    tree = Tree.fromstring(drawn)
    assert len(tree.findall("circle")) == 3 and len(tree.findall("g")) == 2 and len(tree.findall("ellipse")) == 1
    assert "&lt;b&gt;: cluster 0" in drawn and "#999999" in drawn


def test_a_draw_with_few_different_rows_has_fewer_clusters_to_choose_from():
    rows = np.zeros((3000, 2), np.float32)
    rows[::100] = heaps(30)[0][:30, :2]  # thirty that differ, of which a draw of 2,000 holds some
    choice = choose_k(rows, [2, 3, 30], draws=2)
    assert choice.ks == (2, 3)
    with pytest.raises(CourseError, match="only 1 differ"):
        choose_k(np.zeros((50, 2), np.float32), [2])


def test_new_rows_of_a_component_that_held_none_go_to_the_nearest_centre():
    rows, _ = heaps()
    found = fit(rows, 3, "gmm")
    own = found.predict(rows)
    found.order[found.model.predict(rows[:1])[0]] = -1  # as `fit` leaves a component without rows
    again = found.predict(rows)
    nearest = np.linalg.norm(rows[:, None] - found.centres, axis=2).argmin(1)
    assert (again == np.where(own == own[0], nearest, own)).all() and (again >= 0).all()
    assert fit(torch.from_numpy(rows).bfloat16(), 3).k == 3
