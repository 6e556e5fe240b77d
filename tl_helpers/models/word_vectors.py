"""Word vectors by counting: words are alike if their neighbours are alike (PPMI and a truncated SVD)."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from scipy import sparse
from sklearn.decomposition import TruncatedSVD
from torch import Tensor

from ..errors import CourseError


def ppmi_vectors(texts: Iterable[Sequence[int]], vocabulary: int, width: int = 160) -> Tensor:
    """A vector for each word from running text without labels: float32 (vocabulary, width), rows of unit length on average.

    Counts how often two words are within five places, turns counts into positive pointwise mutual information
    (with context counts to the power 0.75) and keeps its `width` largest directions, as Levy, Goldberg and Dagan (2015)
    found best. The words 0 (none) and 1 (unknown) count for nothing and get zeros, as does a word that never occurs.

    Raises:
        CourseError: fewer words than directions.
    """
    none = np.empty(0, int)
    near = [(words[:-apart], words[apart:]) for words in map(np.asarray, texts) for apart in range(1, 6)]
    left, right = (np.concatenate(side) for side in zip((none, none), *near, strict=True))
    known = (left > 1) & (right > 1)
    counts = sparse.coo_matrix((np.ones(known.sum()), (left[known], right[known])), (vocabulary, vocabulary)).tocsr()
    counts = counts + counts.T
    total = np.asarray(counts.sum(1)).ravel()
    if (total > 0).sum() <= width:
        raise CourseError(f"{(total > 0).sum()} occurring words can't give {width} directions: use more text or fewer.")
    context = total**0.75 / (total**0.75).sum()
    pairs = counts.tocoo()
    positive = np.maximum(np.log(pairs.data / (total[pairs.row] * context[pairs.col])), 0)
    table = sparse.csr_matrix((positive, (pairs.row, pairs.col)), counts.shape)
    if not positive.any():
        raise CourseError("No two words meet more often than by chance: there is nothing to learn. Use more text.")
    svd = TruncatedSVD(width, random_state=0)
    vectors = svd.fit_transform(table) / np.sqrt(svd.singular_values_)
    length = np.linalg.norm(vectors[total > 0], axis=1).mean()
    return torch.from_numpy(vectors / length).float()
