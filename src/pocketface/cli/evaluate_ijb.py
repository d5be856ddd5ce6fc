"""`pocketface evaluate` on IJB-B or IJB-C."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pocketface.benchmarks.report import Measurement
    from pocketface.embedding import Embedder


def evaluate(
    embedder: "Embedder",
    folder: Path,
    *,
    out: Path,
    flip: bool,
    replicates: int,
    seed: int,
    model: str,
    keep_norm: bool | None,
    detector_score: bool | None,
) -> "Measurement":
    """Measure `embedder`, called `model` in the report, on the benchmark in `folder`.

    Embeddings are kept in `out/embeddings`, so that a stopped run goes on. `keep_norm` and
    `detector_score` say how the faces of a template count; None is the usual way.
    """
    from rich.console import Console

    from pocketface.benchmarks.ijb import IjbBenchmark
    from pocketface.benchmarks.ijb.figures import figures
    from pocketface.benchmarks.report import Measurement
    from pocketface.cli.progress import images_progress
    from pocketface.errors import StoppedError

    benchmark = IjbBenchmark.load(folder)
    for warning in benchmark.warnings:  # now, while the hours of embedding can still be saved
        Console(stderr=True).print(warning, highlight=False, markup=False, soft_wrap=True)
    work = out / "embeddings"
    try:
        with images_progress(f"Embedding {benchmark.name}") as progress:
            run = benchmark.run(
                embedder,
                progress,
                flip=flip,
                replicates=replicates,
                seed=seed,
                model=model,
                work=work,
                keep_norm=keep_norm,
                detector_score=detector_score,
            )
    except KeyboardInterrupt:
        raise StoppedError(
            f"Stopped; finished embeddings are kept in {work}. Run the same command to go on."
        ) from None
    return Measurement(run.result, figures(run.result), run.cases, run.replicates)
