"""What no training, or no network, reaches on the same pairs: raw pixels and whitened PCA.

Both look at the middle 64 x 64 of the aligned face, grey, at 32 x 32, each image brought to mean
0 and deviation 1: the window and the scaling that serve them best of those tried on these pairs,
so the yardstick is a high one.

    python experiments/baselines.py --data ../shared/data
"""

import argparse
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pocketface.benchmarks.pair_benchmark import PairBenchmark
from pocketface.card import ModelCard
from pocketface.data import Faces, FolderFaces, decode_rgb
from pocketface.embedding.pixels import SIDE, PixelEmbedder
from pocketface.preprocessing import Preprocessing

COMPONENTS = 100
IMAGES_PER_PERSON = 10


class PcaEmbedder:
    """Principal components of the pixels; whitened, each of variance 1 on the learnt images."""

    fingerprint = "pca"
    card: ModelCard | None = None
    preprocessing = Preprocessing(image_size=SIDE)

    def __init__(
        self, images: npt.NDArray[np.uint8], components: int = COMPONENTS, *, whiten: bool = True
    ) -> None:
        self.pixels = PixelEmbedder()
        self.embedding_size = components
        rows = self.pixels.embed(images)
        self.mean = rows.mean(axis=0)
        # Through the covariance: there are many more rows than pixels.
        values, vectors = np.linalg.eigh(np.cov(rows.T.astype(np.float64)))
        axes = vectors[:, ::-1][:, :components]
        if whiten:
            axes = axes / np.sqrt(values[::-1][:components])
        self.axes = axes.astype(np.float32)

    def embed(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """The components of uint8 (N, 112, 112, 3) faces."""
        return (self.pixels.embed(images) - self.mean) @ self.axes


def faces_of(faces: Faces) -> npt.NDArray[np.uint8]:
    """The first `IMAGES_PER_PERSON` images of each person, uint8 (N, 112, 112, 3)."""
    chosen = [
        index
        for label in range(len(faces.people))
        for index in np.flatnonzero(faces.labels == label)[:IMAGES_PER_PERSON]
    ]
    return np.stack([decode_rgb(faces.encoded(i), faces.name(i)) for i in chosen])


def measure_baselines(data: Path) -> dict[str, float]:
    """Accuracy of both on the test pairs of `lfw_open_set.json`, by name."""
    people = json.loads((data / "lfw_open_set.json").read_text())["train"]
    faces = FolderFaces(data / "lfw112", only=people)
    learnt = PcaEmbedder(faces_of(faces))
    benchmark = PairBenchmark.load(data / "lfw_open_set.json", data / "lfw112")
    return {
        "raw pixels": benchmark.run(PixelEmbedder(), replicates=0).result.accuracy.value,
        "whitened PCA of the train people": benchmark.run(
            learnt, replicates=0
        ).result.accuracy.value,
    }


def main() -> None:
    """Print the accuracies."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    for name, accuracy in measure_baselines(parser.parse_args().data).items():
        print(f"{name}: {accuracy:.2%}")


if __name__ == "__main__":
    main()
