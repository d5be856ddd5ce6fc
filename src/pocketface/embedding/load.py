"""From a weights file to an embedder, by the file's ending."""

from pathlib import Path
from typing import Any

from pocketface.card import ModelCard, card_path, read_card, sha256_of
from pocketface.embedding.embedder import Embedder
from pocketface.embedding.self_description import undescribed
from pocketface.errors import WeightsError
from pocketface.preprocessing import Preprocessing

EXPORTED = (".onnx", ".xml", ".param", ".tflite", ".pte")
"""Endings of files that carry their own network, and may describe themselves."""

SUFFIXES = (*EXPORTED, ".safetensors", ".pt", ".pth")


def load_embedder(
    path: Path,
    preprocessing: Preprocessing | None = None,
    threads: int | None = None,
    architecture: str | None = None,
) -> Embedder:
    """Load a weights file in the runtime of its ending.

    `.onnx` onnxruntime, `.xml` OpenVINO, `.param` ncnn, `.tflite` LiteRT, `.pte` ExecuTorch;
    `.safetensors`, `.pt`, `.pth` torch.

    A file with a card beside it needs no more, nor does one that `pocketface export` wrote, which
    holds its card. A card beside such a file goes first; it may know other thresholds, but not
    another network. A foreign file of `EXPORTED` needs `preprocessing`; a foreign `.pt` or `.pth`
    (a plain state dict) needs the `architecture`'s name in the registry too. `preprocessing` and
    `architecture` are refused where a card says them.

    Raises WeightsError for a path that is missing, a folder, of an unknown ending, broken, not
    described well enough, or described in two ways; MissingExtraError where torch or the runtime
    is needed and absent.
    """
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "not there"
        raise WeightsError(
            f"{path} is {kind}; give a weights file ending in {', '.join(SUFFIXES)}."
        )
    if path.suffix not in SUFFIXES:
        raise WeightsError(
            f"{path} ends in '{path.suffix}'; weights end in one of {', '.join(SUFFIXES)}."
        )
    card = read_card(path)
    if card is not None and (preprocessing is not None or architecture is not None):
        raise WeightsError(
            f"{path} has a card, {card_path(path).name}, which says its preprocessing and "
            "architecture. Leave these options out, or move the card away if it is wrong."
        )
    if path.suffix in EXPORTED:
        return _load_exported(path, card, preprocessing, threads, architecture)
    return _load_torch(path, card, preprocessing, threads, architecture)


def _load_exported(
    path: Path,
    card: ModelCard | None,
    preprocessing: Preprocessing | None,
    threads: int | None,
    architecture: str | None,
) -> Embedder:
    if architecture is not None:
        raise WeightsError(
            f"{path} carries its own network; leave the architecture '{architecture}' out."
        )
    if path.suffix == ".xml":
        from pocketface.embedding.openvino_embedder import OpenVinoEmbedder

        return OpenVinoEmbedder(path, preprocessing, card=card, threads=threads)
    if path.suffix == ".param":
        from pocketface.embedding.ncnn_embedder import NcnnEmbedder

        return NcnnEmbedder(path, preprocessing, card=card, threads=threads)
    if path.suffix == ".tflite":
        from pocketface.embedding.litert_embedder import LiteRtEmbedder

        return LiteRtEmbedder(path, preprocessing, card=card, threads=threads)
    if path.suffix == ".pte":
        from pocketface.embedding.executorch_embedder import ExecuTorchEmbedder

        return ExecuTorchEmbedder(path, preprocessing, card=card, threads=threads)
    from pocketface.embedding.onnx_embedder import OnnxEmbedder

    return OnnxEmbedder(path, preprocessing, card=card, threads=threads)


def _load_torch(
    path: Path,
    card: ModelCard | None,
    preprocessing: Preprocessing | None,
    threads: int | None,
    architecture: str | None,
) -> Embedder:
    from pocketface import models  # isort: skip - first: it says so if torch is missing
    import torch

    from pocketface.embedding import torch_embedder
    from pocketface.models.checkpoint import load_state
    from pocketface.models.weights import load_backbone

    if threads is not None:
        torch_embedder.set_threads(threads)
    if path.suffix == ".safetensors":
        backbone, card = load_backbone(path)
        return torch_embedder.TorchEmbedder(
            backbone, card.preprocessing, card=card, sha256=card.sha256
        )
    options: dict[str, Any] = {}
    if card is not None:
        preprocessing, architecture, options = card.preprocessing, card.architecture, card.options
    if preprocessing is None:
        raise undescribed(path)
    if architecture is None or architecture == "foreign":
        raise WeightsError(
            f"{path} is a state dict, which does not say its network. Name it with "
            "--architecture; `pocketface models` lists the names."
        )
    options = {"image_size": preprocessing.image_size, **options}
    backbone = models.create_model(architecture, generator=torch.Generator(), **options)
    load_state(backbone, path)
    return torch_embedder.TorchEmbedder(backbone, preprocessing, card=card, sha256=sha256_of(path))
