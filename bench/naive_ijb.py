"""IJB 1:1 the usual way: the yardstick of `protocols_ijb.py`. Our own script, as plain as they are.

One template after the other looks for its faces in the whole list; pairs are scored a hundred
thousand at a time from gathered rows; the ROC is a sort of all scores and two running sums.
"""

import numpy as np

FARS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
BATCH = 100_000


def template_features(
    features: np.ndarray, templates: np.ndarray, media: np.ndarray, detector_score: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Faces times their detector score, means of media, sums of means, unit length."""
    weighted = features * detector_score[:, None].astype(np.float32)
    unique = np.unique(templates)
    found = np.zeros((len(unique), features.shape[1]), np.float32)
    for row, template in enumerate(unique):
        (faces,) = np.where(templates == template)
        rows, own_media = weighted[faces], media[faces]
        means = []
        for medium in np.unique(own_media):
            (chosen,) = np.where(own_media == medium)
            means.append(rows[chosen].mean(axis=0))
        found[row] = np.sum(means, axis=0)
    return found / np.linalg.norm(found, axis=1, keepdims=True), unique


def pair_scores(
    found: np.ndarray, unique: np.ndarray, first: np.ndarray, second: np.ndarray
) -> np.ndarray:
    """Dot products of the two templates of each pair."""
    row_of = np.zeros(int(unique.max()) + 1, np.int64)
    row_of[unique] = np.arange(len(unique))
    scores = np.zeros(len(first))
    for start in range(0, len(first), BATCH):
        part = slice(start, start + BATCH)
        left, right = found[row_of[first[part]]], found[row_of[second[part]]]
        scores[part] = np.sum(left * right, axis=1)
    return scores


def tar_at_far(scores: np.ndarray, label: np.ndarray) -> list[float]:
    """TAR at the points of the whole ROC whose FPR is nearest to each FAR."""
    order = np.argsort(scores, kind="mergesort")[::-1]
    ranked, truth = scores[order], label[order]
    ends = np.append(np.where(np.diff(ranked))[0], len(ranked) - 1)
    true = np.cumsum(truth)[ends]
    false = 1 + ends - true
    fpr = np.append(0, false) / false[-1]
    tpr = np.append(0, true) / true[-1]
    # From the other end, so that the first of equally near points has the larger TAR.
    fpr, tpr = np.flipud(fpr), np.flipud(tpr)
    return [float(tpr[np.argmin(np.abs(fpr - far))]) for far in FARS]
