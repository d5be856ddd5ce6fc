"""The margins and the loss as the papers write them, one number at a time."""

import math

from torch import Tensor


def plain_logit(kind: str, cosine: float, margin: float) -> float:
    """The true class's cosine with its margin, as the papers write it."""
    if kind == "cosface":
        return cosine - margin
    theta = math.acos(max(-1.0, min(1.0, cosine)))
    if theta + margin > math.pi:
        return cosine - margin * math.sin(math.pi - margin)
    return math.cos(theta + margin)


def plain_loss(
    kind: str,
    embeddings: Tensor,
    kernel: Tensor,
    labels: Tensor,
    scale: float,
    margin: float,
    classes: list[int] | None = None,
) -> float:
    """Cross-entropy over scaled cosines, one number at a time; `classes` are those that count."""
    total, images = 0.0, 0
    columns = kernel.t().tolist()
    for row, label in zip(embeddings.tolist(), labels.tolist(), strict=True):
        if label < 0:
            continue
        length = math.sqrt(math.fsum(x * x for x in row))
        logits = {}
        for number in range(len(columns)) if classes is None else classes:
            centre = columns[number]
            size = math.sqrt(math.fsum(x * x for x in centre))
            cosine = math.fsum(x * y for x, y in zip(row, centre, strict=True)) / (length * size)
            value = plain_logit(kind, cosine, margin) if number == label else cosine
            logits[number] = scale * value
        highest = max(logits.values())
        log_sum = highest + math.log(math.fsum(math.exp(x - highest) for x in logits.values()))
        total += log_sum - logits[label]
        images += 1
    return total / images if images else 0.0
