"""Measuring a network on pair sets while it trains."""

from pocketface.benchmarks.pair_benchmark import PairBenchmark
from pocketface.embedding.torch_embedder import TorchEmbedder
from pocketface.errors import RecipeError
from pocketface.models.backbone import Backbone
from pocketface.preprocessing import Preprocessing
from pocketface.train.recipe import ValidationConfig


class Validator:
    """The pair sets of a recipe, read once.

    Raises:
        RecipeError: if two sets have one name.
        DataError: if a set cannot be read.
    """

    def __init__(self, config: ValidationConfig, preprocessing: Preprocessing) -> None:
        self.every_epochs = config.every_epochs
        self.preprocessing = preprocessing
        names = [path.stem for path in config.pairs]
        if len({*names, "mean"}) <= len(names):
            raise RecipeError(
                "the pair sets of a run need different names, none of them 'mean', since the log "
                f"tells them apart by these. Got {', '.join(names)}: rename a file."
            )
        self.benchmarks = [PairBenchmark.load(path, config.images) for path in config.pairs]

    def due(self, epoch: int) -> bool:
        """Whether to measure after `epoch` epochs (counted from 1)."""
        return bool(self.benchmarks) and epoch % self.every_epochs == 0

    def measure(self, backbone: Backbone) -> dict[str, float]:
        """Accuracy by name of the set, and their mean as `mean`; needs at least one set."""
        embedder = TorchEmbedder(backbone, self.preprocessing)
        accuracies = {
            benchmark.name: benchmark.run(embedder, replicates=0).result.accuracy.value
            for benchmark in self.benchmarks
        }
        return accuracies | {"mean": sum(accuracies.values()) / len(accuracies)}
