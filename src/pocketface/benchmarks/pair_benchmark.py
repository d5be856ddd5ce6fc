"""The pair protocol (LFW, CALFW, CPLFW, CFP-FP, AgeDB-30, ...), from a file to a result.

Every image is embedded once; a pair is scored by the squared distance of its unit embeddings.
Figures over folds follow the published protocol (`folds`), figures over all pairs are read from
the whole curve (`roc`).
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from pocketface.benchmarks.alignment_check import crop_fit, sample_of
from pocketface.benchmarks.bootstrap import LEVEL, pair_weights, person_weights
from pocketface.benchmarks.cases import CaseGroup
from pocketface.benchmarks.folds import fold_numbers
from pocketface.benchmarks.hardest import hardest_pairs
from pocketface.benchmarks.operating_points import estimate, operating_points, thin_roc
from pocketface.benchmarks.pair_metrics import FARS, FOLD_FAR, PairFigures, PairMetrics
from pocketface.benchmarks.pair_result import FoldResult, PairResult
from pocketface.benchmarks.people_by_folder import people_by_folder
from pocketface.benchmarks.replicates import Replicates
from pocketface.benchmarks.result import Intervals, measured_model
from pocketface.benchmarks.roc import check_kinds
from pocketface.data.pairs import PairSet, load_pairs
from pocketface.embedding.embedder import Embedder, Progress
from pocketface.embedding.flip import embed_faces
from pocketface.embedding.unit import similarity_of, squared_distances, unit

_BATCH = 64
_PAIRS_AT_ONCE = 8192
_SHOWN = 8
"""Hardest pairs of each kind in a report."""


@dataclass(frozen=True)
class PairRun:
    """A result, and what it was made of.

    Attributes:
        result: the figures.
        scores: float64 (P,), the cosine similarity of each pair, in the set's order.
        pairs: the set.
        replicates: of the figures, for a paired comparison; None without intervals.
    """

    result: PairResult
    scores: npt.NDArray[np.float64]
    pairs: PairSet
    replicates: Replicates | None

    @property
    def cases(self) -> list[CaseGroup]:
        """The pairs that the network gets most wrong, with their pictures."""
        return hardest_pairs(self.result, self.scores, self.pairs, _SHOWN)


@dataclass(frozen=True)
class PairBenchmark:
    """A set of pairs under the pair protocol.

    Raises DataError, before any work, if the pairs are all of one kind or cannot be cut into folds.
    """

    name: str
    pairs: PairSet

    def __post_init__(self) -> None:
        check_kinds(self.pairs.same)
        fold_numbers(len(self.pairs), self.pairs.folds)

    @cached_property
    def data(self) -> str:
        """Content identity of the set; see `PairSet.fingerprint`."""
        return self.pairs.fingerprint()

    @cached_property
    def alignment(self) -> str | None:
        """A warning if the faces are not aligned to the template; see `crop_fit`."""
        used = np.unique(np.concatenate([self.pairs.left, self.pairs.right]))
        chosen = used[sample_of(len(used))]
        return crop_fit([self.pairs.pixels(image) for image in chosen.tolist()])

    @classmethod
    def load(cls, path: Path, images: Path | None = None) -> "PairBenchmark":
        """Read a `.bin`, an LFW `pairs.txt` or a JSON/TSV list; named for the file.

        `images` is the folder of the images where `path` holds names only. Raises DataError.
        """
        return cls(path.stem, load_pairs(path, images))

    def run(
        self,
        embedder: Embedder,
        progress: Progress | None = None,
        *,
        flip: bool = True,
        replicates: int = 1000,
        seed: int = 0,
        model: str = "model",
        warnings: Sequence[str] = (),
    ) -> PairRun:
        """Embed the images, score the pairs and measure.

        Args:
            embedder: the network.
            progress: told after each batch how many images are done, of how many.
            flip: sum the embeddings of image and mirror, as the protocol says.
            replicates: bootstrap replicates for the confidence intervals; 0 for none.
            seed: of the replicates.
            model: what to call the network in the result.
            warnings: about the network's preprocessing, for the report.

        Raises DataError for an image that cannot be read, WeightsError for embeddings that are
        zero or not finite.
        """
        began = time.perf_counter()
        distances = self.distances(embedder, progress, flip=flip)
        seconds = time.perf_counter() - began
        pairs = self.pairs
        metrics = PairMetrics(distances, pairs.same, pairs.folds)
        impostors = int(np.count_nonzero(~pairs.same))
        people = people_by_folder(pairs.names, pairs.left, pairs.right, pairs.same)
        used = np.unique(np.concatenate([pairs.left, pairs.right]))
        fars = tuple(far for far in FARS if far * impostors >= 1)
        spread: dict[str, npt.NDArray[np.float64]] = {}
        if replicates:
            generator = np.random.default_rng(seed)
            if people is None:
                weights = pair_weights(len(distances), replicates, generator)
            else:
                weights = person_weights(
                    people[pairs.left], people[pairs.right], replicates, generator
                )
            spread = metrics.replicates(weights, fars)
        figures = metrics.figures()
        points, silences = operating_points(figures.roc, fars, impostors, pairs.folds, spread)
        drawn: Literal["people", "pairs"] = "pairs" if people is None else "people"
        result = PairResult(
            benchmark=self.name,
            data=self.data,
            model=measured_model(embedder, model),
            flip=flip,
            pairs=len(distances),
            genuine_pairs=len(distances) - impostors,
            impostor_pairs=impostors,
            images=len(used),
            people=None if people is None else len(np.unique(people[used])),
            accuracy=estimate(figures.accuracy.mean, spread.get("accuracy")),
            accuracy_std=figures.accuracy.std,
            fold_far=FOLD_FAR,
            fold_tar=estimate(figures.tar.mean, spread.get("fold_tar")),
            fold_tar_std=figures.tar.std,
            fold_tar_far=figures.tar.mean_far,
            auc=estimate(figures.roc.area(), spread.get("auc")),
            eer=estimate(figures.roc.equal_error_rate(), spread.get("eer")),
            operating_points=points,
            not_measured=silences,
            warnings=tuple(text for text in (self.alignment, *warnings) if text is not None),
            intervals=Intervals(drawn=drawn, level=LEVEL, replicates=replicates, seed=seed)
            if replicates
            else None,
            folds=_fold_results(figures),
            roc=thin_roc(figures.roc, impostors),
            embedding_seconds=seconds,
        )
        return PairRun(
            result=result,
            scores=similarity_of(distances),
            pairs=pairs,
            replicates=_kept(result, spread, drawn, seed) if replicates else None,
        )

    def distances(
        self, embedder: Embedder, progress: Progress | None = None, *, flip: bool = True
    ) -> npt.NDArray[np.float64]:
        """Squared distances of the pairs' unit embeddings, float64 (P,), 0 to 4."""
        pairs = self.pairs
        used, rows = np.unique(np.concatenate([pairs.left, pairs.right]), return_inverse=True)
        embeddings = np.empty((len(used), embedder.embedding_size), np.float32)
        for start in range(0, len(used), _BATCH):
            faces = [pairs.pixels(int(image)) for image in used[start : start + _BATCH]]
            embeddings[start : start + len(faces)] = embed_faces(embedder, faces, flip=flip)
            if progress is not None:
                progress(start + len(faces), len(used))
        directions = unit(embeddings, [pairs.names[image] for image in used])
        left, right = rows[: len(pairs.left)], rows[len(pairs.left) :]
        distances = np.empty(len(left), np.float64)
        for start in range(0, len(left), _PAIRS_AT_ONCE):
            part = slice(start, start + _PAIRS_AT_ONCE)
            distances[part] = squared_distances(directions[left[part]], directions[right[part]])
        return distances


def _kept(
    result: PairResult, spread: dict[str, npt.NDArray[np.float64]], drawn: str, seed: int
) -> Replicates:
    """The figures and their replicates, under the names that the report has for them."""
    figures = {
        "Accuracy": (result.accuracy, "accuracy"),
        f"TAR at FAR {result.fold_far:g}, over folds": (result.fold_tar, "fold_tar"),
        "Equal error rate": (result.eer, "eer"),
        "Area under ROC": (result.auc, "auc"),
    }
    for point in result.operating_points:
        figures[f"TAR at FAR {point.far:g}, all pairs"] = (point.tar, f"tar@{point.far:g}")
    return Replicates(
        data=result.data,
        model=result.model.fingerprint,
        drawn=drawn,
        seed=seed,
        values={name: estimate.value for name, (estimate, _) in figures.items()},
        draws={name: spread[key] for name, (_, key) in figures.items()},
    )


def _fold_results(figures: PairFigures) -> tuple[FoldResult, ...]:
    accuracy, tar = figures.accuracy, figures.tar
    columns = (accuracy.accuracies, accuracy.thresholds, tar.tars, tar.fars, tar.thresholds)
    return tuple(
        FoldResult(
            accuracy=a,
            accuracy_threshold=a_threshold,
            tar=None if np.isnan(t) else t,
            far=None if np.isnan(f) else f,
            tar_threshold=t_threshold,
        )
        for a, a_threshold, t, f, t_threshold in zip(
            *(column.tolist() for column in columns), strict=True
        )
    )
