"""`pocketface evaluate --people`: a network on one's own people."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pocketface.benchmarks.report import Measurement
    from pocketface.embedding import Embedder

DEFAULT_FAR = 1e-3


def evaluate(
    embedder: "Embedder",
    people: Path,
    *,
    out: Path,
    flip: bool,
    replicates: int,
    seed: int,
    model: str,
    far: float,
) -> "Measurement":
    """Measure `embedder`, called `model` in the report, on the people in the folder `people`.

    Embeddings are kept in `out/embeddings`, so that a stopped run goes on.
    """
    from pocketface.benchmarks.people import PeopleBenchmark
    from pocketface.benchmarks.report import Measurement
    from pocketface.cli.progress import images_progress
    from pocketface.data import open_faces
    from pocketface.errors import RecipeError, StoppedError

    if not 0 < far < 1:
        raise RecipeError(f"--far must lie between 0 and 1, got {far:g}.")
    name = people.resolve().stem
    with images_progress(f"Looking {name} over") as progress:
        benchmark = PeopleBenchmark.load(name, open_faces(people), seed, progress)
    work = out / "embeddings"
    try:
        with images_progress(f"Embedding {name}") as progress:
            run = benchmark.run(
                embedder,
                progress,
                far=far,
                flip=flip,
                replicates=replicates,
                model=model,
                work=work,
            )
    except KeyboardInterrupt:
        raise StoppedError(
            f"Stopped; finished embeddings are kept in {work}. Run the same command to go on."
        ) from None
    return Measurement(run.result, run.figures, run.cases, run.replicates, run.scores)
