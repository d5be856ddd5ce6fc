"""From a weights file to an ONNX file with its card, proven to compute the same."""

import hashlib
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import pocketface
from pocketface.atomic import atomic_path
from pocketface.card import ModelCard, card_path, write_card
from pocketface.deploy.fuse import fuse
from pocketface.deploy.parity import LEAST_COSINE, MOST_RELATIVE, Parity, measure_parity
from pocketface.deploy.trace import trace_graph
from pocketface.deploy.write import write_graph
from pocketface.embedding.load import SUFFIXES
from pocketface.embedding.onnx_embedder import OnnxEmbedder
from pocketface.embedding.torch_embedder import TorchEmbedder
from pocketface.errors import DataError, ExportError, RecipeError, WeightsError
from pocketface.models.weights import load_backbone

OPSETS = range(18, 24)
"""Operator sets that are written; the least is read by the most runtimes."""


@dataclass(frozen=True)
class Export:
    """What was written.

    Attributes:
        path: the ONNX file.
        card: the ONNX file's card, as it stands beside it.
        bytes: size of the ONNX file.
        opset: its operator set.
        parity: how near it came to its source.
        seconds: what it all took.
    """

    path: Path
    card: ModelCard
    bytes: int
    opset: int
    parity: Parity
    seconds: float


def export_onnx(
    weights: Path,
    out: Path,
    *,
    generator: np.random.Generator,
    opset: int = OPSETS[0],
    overwrite: bool = False,
) -> Export:
    """Write the network in `weights` (.safetensors with its card) to `out` (.onnx) and its card.

    The file holds its weights and takes float32 (N, 3, S, S), normalised as the card says, for any
    N; it gives float32 (N, D), not of unit length. It is run in onnxruntime on images drawn from
    `generator` and compared with the source before anything appears at `out`; then card and file
    are written, each whole or not at all. torch's own random state is left as it was.

    Raises RecipeError for an `out` or `opset` that cannot be, for files that are there already
    (unless `overwrite`), and where `out` would take another file's card; WeightsError as
    `load_backbone`, and for a network whose embeddings are not finite; ExportError where the
    file does not compute what its source computes; DataError where `out` cannot be written.
    """
    begin = time.perf_counter()
    if opset not in OPSETS:
        raise RecipeError(f"opset must be {OPSETS[0]} to {OPSETS[-1]}, got {opset}.")
    _check_source(weights)
    _check_target(out, overwrite=overwrite)
    backbone, source_card = load_backbone(weights)
    graph = trace_graph(backbone)
    fuse(graph)
    model = write_graph(graph, backbone.image_size, opset, _metadata(source_card))
    content = model.SerializeToString(deterministic=True)
    sha256 = hashlib.sha256(content).hexdigest()
    card = source_card.model_copy(update={"sha256": sha256})
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / out.name
        trial.write_bytes(content)
        parity = measure_parity(
            TorchEmbedder(backbone, card.preprocessing),
            OnnxEmbedder(trial, card.preprocessing, card=card),
            generator,
        )
    if not parity.holds:
        raise ExportError(
            f"The ONNX file does not compute what {weights} computes: on {parity.faces} images "
            f"the least cosine similarity is {parity.cosine:.9f} (at least {LEAST_COSINE:.6f} is "
            f"allowed) and the largest relative difference {parity.relative:.2g} (at most "
            f"{MOST_RELATIVE:g}). Nothing was written. Try another --opset, or other versions of "
            "torch and onnxruntime."
        )
    try:
        with atomic_path(out) as temporary:
            temporary.write_bytes(content)
            # First the card: should it fail, neither file appears.
            write_card(out, card)
    except OSError as error:
        raise _unwritable(out, error.strerror or str(error)) from error
    return Export(out, card, len(content), opset, parity, time.perf_counter() - begin)


def _metadata(card: ModelCard) -> dict[str, str]:
    """What the file says of itself; `card` is that of the source's weights."""
    return {
        "architecture": card.architecture,
        "embedding_size": str(card.embedding_size),
        "preprocessing": card.preprocessing.model_dump_json(),
        "source_sha256": card.sha256,
        "pocketface_version": pocketface.__version__,
    }


def _check_source(weights: Path) -> None:
    if weights.suffix != ".safetensors":
        raise WeightsError(
            f"{weights} ends in {weights.suffix!r}; a network is exported from a .safetensors file "
            "with its card beside it, as `pocketface train` writes them."
        )


def _check_target(out: Path, *, overwrite: bool) -> None:
    """Refuse before the work what cannot be written after it, and what would lose a file."""
    if out.suffix != ".onnx":
        raise RecipeError(f"The file to write must end in .onnx, got {out}.")
    card = card_path(out)
    for path in (out, card):
        if path.is_dir():
            raise RecipeError(f"{path} is a folder. Choose another name.")
    for suffix in SUFFIXES:
        other = out.with_suffix(suffix)
        if other != out and other.exists():
            raise RecipeError(
                f"{card} is the card of {other}; {out.name} would take it away. Choose another "
                f"name, such as {out.with_stem(out.stem + '_export')}."
            )
    found = [str(path) for path in (out, card) if path.exists()]
    if found and not overwrite:
        raise RecipeError(
            f"{' and '.join(found)} would be replaced. Choose another name, or add --overwrite."
        )
    folder = next(parent for parent in out.absolute().parents if parent.exists())
    if not folder.is_dir():
        raise _unwritable(out, f"{folder} is a file")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _unwritable(out, f"{folder} is not yours to write in")


def _unwritable(out: Path, reason: str) -> DataError:
    return DataError(f"{out} cannot be written: {reason}. Choose another place.")
