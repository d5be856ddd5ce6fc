"""`pocketface evaluate` on MegaFace, of a network or of features in the devkit's format."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pocketface.benchmarks.cases import CaseGroup
    from pocketface.benchmarks.megaface import MegafaceBenchmark
    from pocketface.benchmarks.megaface.sources import Features
    from pocketface.benchmarks.replicates import Replicates
    from pocketface.benchmarks.result import Result
    from pocketface.embedding import Embedder

    Report = tuple[Result, dict[str, bytes], list[CaseGroup], Replicates | None]


def evaluate(
    embedder: "Embedder",
    folder: Path,
    *,
    out: Path,
    flip: bool,
    replicates: int,
    seed: int,
    model: str,
    distractor_set: int,
    missing_limit: float,
    save_features: Path | None,
) -> "Report":
    """Measure `embedder`, called `model` in the report, on the benchmark in `folder`.

    Embeddings are kept in `out/embeddings`, so that a stopped run goes on. `save_features` is a
    new folder for them in the devkit's format.
    """
    from pocketface.benchmarks.megaface import MegafaceBenchmark
    from pocketface.benchmarks.megaface.feature_folder import check_new_folder
    from pocketface.cli.progress import images_progress
    from pocketface.errors import StoppedError

    if save_features is not None:
        check_new_folder(save_features)
    benchmark = MegafaceBenchmark.load(folder, distractor_set)
    work = out / "embeddings"
    try:
        with images_progress(f"Embedding {benchmark.name}") as progress:
            features = benchmark.embed(
                embedder, progress, flip=flip, model=model, work=work, missing=missing_limit
            )
    except KeyboardInterrupt:
        raise StoppedError(
            f"Stopped; finished embeddings are kept in {work}. Run the same command to go on."
        ) from None
    if save_features is not None:
        features.write(save_features, model)
    return _measured(benchmark, features, replicates, seed)


def evaluate_features(
    features: Path,
    folder: Path,
    *,
    out: Path,
    replicates: int,
    seed: int,
    model: str,
    algorithm: str | None,
    distractor_set: int,
    missing_limit: float,
) -> "Report":
    """Measure the features in `features`, as `evaluate` measures a network."""
    from pocketface.benchmarks.megaface import MegafaceBenchmark
    from pocketface.cli.progress import images_progress

    benchmark = MegafaceBenchmark.load(folder, distractor_set)
    with images_progress("Reading features") as progress:
        read = benchmark.read_features(
            features,
            progress,
            algorithm=algorithm,
            model=model,
            work=out / "embeddings",
            missing=missing_limit,
        )
    return _measured(benchmark, read, replicates, seed)


def _measured(
    benchmark: "MegafaceBenchmark", features: "Features", replicates: int, seed: int
) -> "Report":
    from pocketface.benchmarks.megaface.figures import figures
    from pocketface.cli.progress import images_progress

    with images_progress("Comparing distractors") as progress:
        run = benchmark.measure(features, progress, replicates=replicates, seed=seed)
    return run.result, figures(run.result), run.cases, run.replicates
