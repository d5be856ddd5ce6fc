"""From a weights file to an ONNX file in 8 bits with its card, and what it lost."""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch

import pocketface
from pocketface.card import ModelCard, Quantisation, sha256_of
from pocketface.deploy.export import check_place, check_source, publish
from pocketface.deploy.graph import Graph
from pocketface.deploy.int8.faces import read_calibration_faces
from pocketface.deploy.int8.grid import Plan
from pocketface.deploy.int8.quantise import LEAST_COSINE, Int8Options, Progress, quantise
from pocketface.deploy.int8.sensitive import first_layer, float_layers
from pocketface.deploy.int8.write import Int8Writer
from pocketface.deploy.options import ExportOptions
from pocketface.deploy.pixels import take_pixels
from pocketface.deploy.targets import find_target
from pocketface.deploy.write import write_graph
from pocketface.embedding import Embedder
from pocketface.embedding.onnx_embedder import OnnxEmbedder
from pocketface.embedding.self_description import SelfDescription
from pocketface.embedding.torch_embedder import TorchEmbedder
from pocketface.embedding.unit import similarity_of, squared_distances, unit
from pocketface.errors import ExportError
from pocketface.models.weights import load_backbone


@dataclass(frozen=True)
class Int8Export:
    """What was written.

    Attributes:
        path: the file.
        card: as it stands beside it; `card.quantisation` says what was lost.
        bytes: size of the file.
        options: how the file was asked to be.
        seconds: what it all took.
    """

    path: Path
    card: ModelCard
    bytes: int
    options: ExportOptions
    seconds: float


def export_int8(
    weights: Path,
    out: Path,
    *,
    generator: np.random.Generator,
    int8: Int8Options | None = None,
    options: ExportOptions | None = None,
    overwrite: bool = False,
    progress: Progress = lambda task, done, of: None,
) -> Int8Export:
    """Write the network in `weights` (.safetensors with its card) to `out` (.onnx) in 8 bits.

    The file is run in onnxruntime on held-out faces and compared with the source before anything
    appears at `out`. The thresholds of its card are the float network's. Everything that is drawn
    comes from `generator`.

    Raises as `export_network` and `read_calibration_faces`; ExportError where the mean cosine
    similarity is under `LEAST_COSINE`, unless loss is allowed.
    """
    begin = time.perf_counter()
    int8, options = int8 or Int8Options(), options or ExportOptions()
    target = find_target("onnx")
    check_source(weights)
    check_place(out, target, overwrite=overwrite)
    backbone, source_card = load_backbone(weights)
    preprocessing = source_card.preprocessing
    faces = read_calibration_faces(int8.calibrate, preprocessing.image_size, generator)
    own = torch.Generator().manual_seed(int(generator.integers(2**63)))
    graph, plan = quantise(backbone, preprocessing, faces.seen, int8, own, progress)
    first, left = first_layer(graph, plan), float_layers(graph, plan)
    if options.input == "uint8":
        take_pixels(graph, preprocessing)  # what takes the images is in float

    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / out.name

        def write(lost: Quantisation) -> None:
            card = source_card.model_copy(update={"quantisation": lost})
            trial.write_bytes(_file(graph, plan, card, options))

        # Twice: what was lost stands in the file, and is known when it has run.
        kept = Quantisation(
            calibrated_on=faces.source,
            ranges=int8.ranges,
            fine_tuned_steps=int8.fine_tune,
            begins_with=first,
            float_layers=left,
            mean_cosine=0,
            least_cosine=0,
            held_out=len(faces.held_out),
        )
        write(kept)
        source = TorchEmbedder(backbone, preprocessing)
        mean, least = _compare(source, OnnxEmbedder(trial), faces.held_out)
        if not (mean >= LEAST_COSINE or int8.allow_loss):
            raise ExportError(
                f"In 8 bits {weights} loses too much: on {len(faces.held_out)} held-out faces the "
                f"mean cosine similarity to the float network is {mean:.4f} (at least "
                f"{LEAST_COSINE:g} is asked for). Nothing was written. Fine-tune it (--fine-tune "
                "200), calibrate on faces like those it will see (--calibrate FACES), or take it "
                "as it is (--allow-loss)."
            )
        lost = kept.model_copy(update={"mean_cosine": mean, "least_cosine": least})
        write(lost)
        card = source_card.model_copy(update={"quantisation": lost, "sha256": sha256_of(trial)})
        publish([trial], out, card)
        size = trial.stat().st_size
    return Int8Export(out, card, size, options, time.perf_counter() - begin)


def _file(graph: Graph, plan: Plan, card: ModelCard, options: ExportOptions) -> bytes:
    description = SelfDescription(
        version=pocketface.__version__, input=options.input, output=options.output, card=card
    )
    model: onnx.ModelProto = write_graph(
        graph,
        card.preprocessing.image_size,
        options.opset,
        description.to_metadata(),
        pixels=options.input == "uint8",
        unit=options.output == "unit",
        batch=options.batch,
        writer=Int8Writer(graph, plan),
    )
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _compare(
    source: Embedder, exported: Embedder, faces: npt.NDArray[np.uint8]
) -> tuple[float, float]:
    """Mean and least cosine similarity of the embeddings of `faces` (N, S, S, 3)."""
    cosine = similarity_of(
        squared_distances(unit(source.embed(faces)), unit(exported.embed(faces)))
    )
    return float(cosine.mean()), float(cosine.min())
