"""An ONNX file as a subject: ours, which says what it is, or anybody's embedding network."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pocketface.card import ModelCard, read_card, sha256_of
from pocketface.embedding.embedder import fingerprint_of
from pocketface.embedding.network_file import NetworkFile, Port, first_line
from pocketface.embedding.self_description import card_of, read_description
from pocketface.errors import PocketFaceError, RecipeError, WeightsError
from pocketface.profile.runtimes import session_options
from pocketface.profile.subject import Subject

if TYPE_CHECKING:
    from pocketface.models.cost import Cost

_FLOAT, _PIXELS = "tensor(float)", "tensor(uint8)"


def open_onnx(path: Path, name: str, size: int | None) -> Subject:
    """Open `path` as the subject `name`; `size` is the image size where the file leaves it free.

    Raises WeightsError for what is no ONNX network with one input of images and one embedding for
    each, and for a card that does not fit; RecipeError where the image size is unknown.
    """
    file = _open_onnx(path)
    described = read_description(file.metadata, path)
    card = card_of(path, file.sha256, described, read_card(path))
    pixels = described is not None and described.input == "uint8"
    image_size = size if card is None else card.preprocessing.image_size
    if image_size is None:
        image_size = _square_side(file)
    batch = file.check_input(image_size, pixels=pixels)
    sides = (image_size, image_size, 3) if pixels else (3, image_size, image_size)
    images = np.zeros((batch or 1, *sides), np.uint8 if pixels else np.float32)
    first = file.outputs_for(images)[0]
    if first.ndim != 2 or len(first) != len(images):
        raise WeightsError(
            f"{path} gives an output of shape {first.shape} for {len(images)} image(s), where "
            "embeddings (N, D) were due. Give the file of a recognition network."
        )
    cost = None if card is None else cost_of(card)
    known = set() if card is None else {(file.sha256, card.preprocessing)}
    if described is not None:
        known.add((described.card.sha256, described.card.preprocessing))
    return Subject(
        name=name,
        source="onnx",
        file=path,
        weights=None,
        architecture="foreign" if card is None else card.architecture,
        embedding_size=first.shape[1],
        image_size=image_size,
        pixels=pixels,
        batch=batch,
        cost=cost,
        parameters=_parameters(path, card, cost),
        options={} if card is None else card.options,
        fingerprints=frozenset(fingerprint_of(*each) for each in known),
    )


def _open_onnx(path: Path) -> NetworkFile:
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(
            str(path), session_options(1), providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime has a class per fault, and no common base
        raise WeightsError(
            f"{path} is not an ONNX network that onnxruntime {onnxruntime.__version__} can run: "
            f"{first_line(error)} Copy or export the file again."
        ) from error
    types = {_FLOAT: "float32", _PIXELS: "uint8"}
    ports = [
        Port(
            entry.name,
            types.get(entry.type, entry.type),
            tuple(side if isinstance(side, int) else None for side in entry.shape),
        )
        for entry in session.get_inputs()
    ]
    return NetworkFile(
        path,
        sha256_of(path),
        ports,
        lambda images: session.run(None, {ports[0].name: images}),
        session.get_modelmeta().custom_metadata_map,
    )


def _square_side(file: NetworkFile) -> int:
    """The image size that a file's own input tells. RecipeError where it is free."""
    shape = file.inputs[0].shape if file.inputs else None
    side = shape[-1] if shape else None
    if side is None:
        raise RecipeError(f"{file.path} takes images of any size: say one with --size.")
    return side


def cost_of(card: ModelCard) -> "Cost | None":
    """What the network that the card names costs, if torch is here to build its outline."""
    try:
        from pocketface import models
        from pocketface.models.cost import measure_cost

        backbone = models.outline_model(card.architecture, **card.options)
    except PocketFaceError:
        return None
    cost = measure_cost(backbone)
    return cost if card.parameters in (None, cost.parameters) else None


def _parameters(path: Path, card: ModelCard | None, cost: "Cost | None") -> int | None:
    """How many numbers the network learnt: by its kind, by its card, else all in the file."""
    if cost is not None:
        return cost.parameters
    if card is not None and card.parameters is not None:
        return card.parameters
    try:
        import onnx
    except ModuleNotFoundError:
        return None
    try:
        weights = onnx.load(str(path)).graph.initializer
    except Exception as error:  # protobuf's, of several kinds
        raise WeightsError(f"{path} cannot be read: {first_line(error)}") from error
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.INT8)
    return sum(int(np.prod(each.dims)) for each in weights if each.data_type in floats)
