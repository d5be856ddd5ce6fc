"""What a latency table says of networks, to be set beside what is measured."""

from collections.abc import Sequence
from pathlib import Path

from pocketface.profile.latency_table import read_latency_table
from pocketface.profile.machine import describe_machine
from pocketface.profile.result import Prediction
from pocketface.profile.subject import Subject


def predict_all(subjects: Sequence[Subject], path: Path) -> dict[str, Prediction]:
    """Predict the latency of every PocketNet among `subjects`, by name, from the table at `path`.

    Raises RecipeError for a table that cannot be read or lacks an operation; MissingExtraError
    without torch.
    """
    from pocketface.models import PocketNet, outline_model
    from pocketface.profile.pieces import Shape, predict_latency

    table = read_latency_table(path)
    found = {}
    for subject in subjects:
        if not subject.options:
            continue
        network = outline_model(subject.architecture, **subject.options)
        if isinstance(network, PocketNet):
            found[subject.name] = Prediction(
                table=path.name,
                runtime=table.runtime,
                threads=table.threads,
                milliseconds=predict_latency(table, network.genotype, Shape.of(network)),
                same_machine=table.machine == describe_machine(),
            )
    return found
