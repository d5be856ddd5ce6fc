"""A file for one runtime (.xml, .param, .tflite, .pte) as a subject, measured in that runtime."""

from pathlib import Path

from pocketface.embedding.embedder import fingerprint_of
from pocketface.embedding.file_embedder import FileEmbedder
from pocketface.embedding.load import load_embedder
from pocketface.errors import RecipeError
from pocketface.profile.open_onnx import cost_of
from pocketface.profile.runtimes import RUNTIME_OF
from pocketface.profile.subject import Subject


def open_exported(path: Path, name: str) -> Subject:
    """Open `path` as the subject `name`.

    Raises as `load_embedder`; RecipeError where what the network computes is not known: it is
    counted in the network that the file's card names, built by torch.
    """
    embedder = load_embedder(path, threads=1)
    assert isinstance(embedder, FileEmbedder)
    card = embedder.card
    cost = None if card is None else cost_of(card)
    if card is None or cost is None:
        raise RecipeError(
            f"{path} cannot be profiled: its arithmetic is counted in the network that its card "
            "names, which must be one of `pocketface models`, and torch must be installed "
            "(pip install 'pocketface[train]')."
        )
    known = {embedder.fingerprint, fingerprint_of(card.sha256, card.preprocessing)}
    return Subject(
        name=name,
        source="exported",
        file=path,
        weights=None,
        architecture=card.architecture,
        embedding_size=card.embedding_size,
        image_size=card.preprocessing.image_size,
        pixels=embedder.takes_pixels,
        batch=embedder.batch,
        cost=cost,
        parameters=cost.parameters,
        options=card.options,
        fingerprints=frozenset(known),
        runtime=RUNTIME_OF[path.suffix],
    )
