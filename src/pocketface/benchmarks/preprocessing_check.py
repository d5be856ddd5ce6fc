"""Which channel order and scaling a network wants, told from a few hundred pairs.

Networks rarely fail outright on wrongly scaled images: they get worse, and nobody sees why. Each
usual way of feeding is tried on the same pairs; how well the similarities of one person's and two
people's pairs stand apart tells the right one. The choice of ways and of the measure is ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pocketface.benchmarks.pair_benchmark import PairBenchmark
from pocketface.data.pairs import PairSet
from pocketface.embedding.embedder import Adjustable, Embedder, Progress
from pocketface.embedding.unit import similarity_of
from pocketface.errors import RecipeError, WeightsError
from pocketface.preprocessing import Preprocessing

Floats = npt.NDArray[np.float64]

_PAIRS = 300
_REPLICATES = 400
_SURE = 0.99
"""Share of the replicates in which another way must be better before it is recommended."""

_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

_SCALINGS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "-1 to 1": ((0.5,) * 3, (0.5,) * 3),
    "0 to 1": ((0.0,) * 3, (1.0,) * 3),
    "0 to 255": ((0.0,) * 3, (1 / 255,) * 3),
    "ImageNet's mean and std": _IMAGENET,
}


@dataclass(frozen=True)
class Way:
    """A way of feeding a network, and how well it told people apart.

    Attributes:
        name: in words.
        preprocessing: the way.
        separation: d', the distance of the two kinds' mean similarity in their common standard
            deviation; minus infinity if the network gave no usable embedding.
        configured: whether the network is fed so.
    """

    name: str
    preprocessing: Preprocessing
    separation: float
    configured: bool


@dataclass(frozen=True)
class PreprocessingCheck:
    """All ways, the best first, on `pairs` pairs; a warning if the configured one is not best."""

    ways: list[Way]
    pairs: int
    warning: str | None


def check_preprocessing(
    embedder: Embedder, pairs: PairSet, progress: Progress | None = None
) -> PreprocessingCheck:
    """Try the usual preprocessings on up to 300 of the pairs, of either kind as many.

    `progress` is told the numbers of images done and of all. Raises RecipeError for an embedder
    whose preprocessing cannot be changed, DataError for an image that cannot be read.
    """
    if not isinstance(embedder, Adjustable):
        raise RecipeError("the preprocessing of this network is fixed and cannot be checked.")
    chosen = _choose(pairs)
    benchmark = PairBenchmark("check", chosen)
    ways, scores = [], []
    tried = list(_ways(embedder.preprocessing))
    for number, (name, preprocessing) in enumerate(tried):

        def tell(done: int, total: int, number: int = number) -> None:
            if progress is not None:
                progress(number * total + done, len(tried) * total)

        try:
            distances = benchmark.distances(
                embedder.with_preprocessing(preprocessing), tell, flip=False
            )
            similarity = similarity_of(distances)
        except WeightsError:
            similarity = np.zeros(len(chosen))
        scores.append(similarity)
        found = float(separation(similarity[None], chosen.same[None])[0])
        ways.append(Way(name, preprocessing, found, preprocessing == embedder.preprocessing))
    configured = next(index for index, way in enumerate(ways) if way.configured)
    best = int(np.argmax([way.separation for way in ways]))
    warning = None
    if best != configured and _surely_better(scores[best], scores[configured], chosen.same):
        warning = (
            f"Warning: fed as {ways[best].name} the network tells people apart better than as "
            f"{ways[configured].name}, as it is configured (separation "
            f"{ways[best].separation:.2f} against {ways[configured].separation:.2f} on "
            f"{len(chosen)} pairs). Its preprocessing is probably wrong: give "
            f"{_options(ways[best].preprocessing)}."
        )
    ways.sort(key=lambda way: -way.separation)
    return PreprocessingCheck(ways, len(chosen), warning)


def separation(similarity: Floats, same: npt.NDArray[np.bool_]) -> Floats:
    """The d' of rows of similarities (R, P) under truths (R, P); minus infinity if undefined."""
    means, variances = [], []
    for kind in (same, ~same):
        count = np.maximum(kind.sum(axis=1), 1)
        mean = np.where(kind, similarity, 0).sum(axis=1) / count
        spread = np.where(kind, similarity - mean[:, None], 0)
        means.append(mean)
        variances.append(np.square(spread).sum(axis=1) / count)
    deviation = np.sqrt((variances[0] + variances[1]) / 2)
    found: Floats = np.divide(
        means[0] - means[1],
        deviation,
        out=np.full(len(similarity), -np.inf),
        where=deviation > 1e-12,
    )
    return found


def _surely_better(first: Floats, second: Floats, same: npt.NDArray[np.bool_]) -> bool:
    """Whether `first` separates better in nearly all bootstrap replicates over pairs."""
    drawn = np.random.default_rng(0).integers(len(same), size=(_REPLICATES, len(same)))
    better = separation(first[drawn], same[drawn]) > separation(second[drawn], same[drawn])
    return bool(better.mean() >= _SURE)


def _choose(pairs: PairSet) -> PairSet:
    """Pairs of either kind, evenly spaced over the set, as many of the one as of the other."""
    kinds = [np.flatnonzero(pairs.same), np.flatnonzero(~pairs.same)]
    count = min(_PAIRS // 2, *(len(kind) for kind in kinds))
    chosen = np.sort(
        np.concatenate(
            [kind[np.linspace(0, len(kind) - 1, count).astype(np.int64)] for kind in kinds]
        )
    )
    return PairSet(
        pairs.images,
        pairs.left[chosen],
        pairs.right[chosen],
        pairs.same[chosen],
        pairs.names,
        folds=2,
    )


def _ways(configured: Preprocessing) -> Iterator[tuple[str, Preprocessing]]:
    """The configured preprocessing and the usual ones, each once, with a name."""
    seen = False
    for order in ("rgb", "bgr"):
        for scaling, (mean, std) in _SCALINGS.items():
            turned = slice(None, None, -1 if order == "bgr" else 1)
            way = configured.model_copy(
                update={"channel_order": order, "mean": mean[turned], "std": std[turned]}
            )
            seen = seen or way == configured
            yield f"{order.upper()}, {scaling}", way
    if not seen:
        other = "bgr" if configured.channel_order == "rgb" else "rgb"
        own = "its own mean and std"
        yield f"{configured.channel_order.upper()}, {own}", configured
        turned_back = {
            "channel_order": other,
            "mean": configured.mean[::-1],
            "std": configured.std[::-1],
        }
        yield f"{other.upper()}, {own}", configured.model_copy(update=turned_back)


def _options(way: Preprocessing) -> str:
    mean, std = (",".join(f"{value:.5g}" for value in triple) for triple in (way.mean, way.std))
    return f"--size {way.image_size} --order {way.channel_order} --mean {mean} --std {std}"
