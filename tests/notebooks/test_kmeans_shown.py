"""Notebook 12 shows K-means in full, once. From the same start it ends with scikit-learn's clusters and centres."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from lesson_cells import ALL_NOTEBOOKS, Lesson
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits


@pytest.fixture(scope="module")
def shown():
    """`assign`, `update`, `inertia`, `kmeans` and `plus_plus`, as the notebook's own cells define them."""
    path = next(path for path in ALL_NOTEBOOKS if path.name.startswith("12_"))
    names, wanted = {"torch": torch}, {"assign", "update", "inertia", "kmeans", "plus_plus"}
    for cell in Lesson(path).code:
        if cell.binds & wanted:
            functions = [node for node in cell.tree.body if getattr(node, "name", None) in wanted]
            for node in functions:
                cell.tree.body = [node]
                exec(compile(cell.tree, f"notebook 12, cell {cell.index}", "exec"), names)
    assert wanted <= set(names)
    return names


@pytest.mark.parametrize(("k", "seed"), [(2, 0), (5, 1), (10, 2), (10, 3)])
def test_what_is_shown_is_scikit_learns_k_means(shown, k, seed):
    points = torch.from_numpy(load_digits().data[:500]).float()
    start = shown["plus_plus"](points, k, torch.Generator().manual_seed(seed))
    states = shown["kmeans"](points, start)
    _, labels, centres = states[-1]
    theirs = KMeans(k, init=start.numpy(), n_init=1, tol=0, max_iter=300).fit(points.numpy())
    assert np.array_equal(labels.numpy(), theirs.labels_)
    assert np.allclose(centres.numpy(), theirs.cluster_centers_, atol=1e-3)
    assert shown["inertia"](points, labels, centres) == pytest.approx(theirs.inertia_, rel=1e-5)
    course = [shown["inertia"](points, labels, centres) for _, labels, centres in states]
    assert all(after <= before * (1 + 1e-6) for before, after in pairwise(course))


def test_a_centre_without_a_dot_stays(shown):
    points, centres = torch.tensor([[0.0], [1.0]]), torch.tensor([[0.5], [99.0]])
    labels = shown["assign"](points, centres)
    assert labels.tolist() == [0, 0] and shown["update"](points, labels, centres).tolist() == [[0.5], [99.0]]


def test_starts_are_rows_and_lie_apart(shown):
    points = torch.tensor([[0.0], [0.1], [0.2], [100.0]])
    starts = [shown["plus_plus"](points, 2, torch.Generator().manual_seed(seed)).flatten() for seed in range(20)]
    assert all(100.0 in start.tolist() for start in starts)
