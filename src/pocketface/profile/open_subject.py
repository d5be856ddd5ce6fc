"""From what a user names, a network in the registry or a file, to a subject that can be timed."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pocketface.embedding.embedder import fingerprint_of
from pocketface.embedding.self_description import SelfDescription
from pocketface.errors import RecipeError, WeightsError
from pocketface.profile.open_exported import open_exported
from pocketface.profile.open_onnx import open_onnx
from pocketface.profile.runtimes import RUNTIME_OF
from pocketface.profile.subject import Source, Subject

if TYPE_CHECKING:
    import torch
    from torch import nn


def open_subjects(
    given: Sequence[str], folder: Path, generator: np.random.Generator, size: int | None = None
) -> list[Subject]:
    """Open each of `given`: a name in the registry, a .safetensors with its card, or a file.

    Files are .onnx, or for one runtime (`RUNTIME_OF`), which they are measured in alone.

    What has to be written for the runtimes goes to `folder`. `generator` draws the weights of
    networks by name. `size` is the image size of these, and of ONNX files that do not tell it.

    Raises RecipeError for an unknown name, for a file of another ending or unknown arithmetic, and
    where a network is given twice; WeightsError for a file that is missing, broken or does not fit
    its card; MissingExtraError where torch or onnx is needed and not installed.
    """
    if len(set(given)) < len(given):
        twice = next(text for text in given if given.count(text) > 1)
        raise RecipeError(f"{twice} is given twice. Give each network once.")
    stems = [Path(text).stem if _is_file(text) else text for text in given]
    subjects = []
    for place, (text, stem) in enumerate(zip(given, stems, strict=True)):
        name = stem if stems.count(stem) == 1 else text
        home = folder / str(place)
        home.mkdir()
        if not _is_file(text):
            subjects.append(_from_registry(text, home, generator, size))
        elif Path(text).suffix == ".onnx":
            subjects.append(open_onnx(Path(text), name, size))
        elif Path(text).suffix in RUNTIME_OF:
            subjects.append(open_exported(Path(text), name))
        else:
            subjects.append(_from_weights(Path(text), name, "weights", home))
    return subjects


def _is_file(text: str) -> bool:
    """Whether a network is given as a file, and not by its name in the registry."""
    path = Path(text)
    if path.suffix in (".onnx", ".safetensors", *RUNTIME_OF):
        if not path.is_file():
            kind = "a folder" if path.is_dir() else "not there"
            raise WeightsError(f"{path} is {kind}; give a .safetensors or .onnx file, or a name.")
        return True
    if path.exists() or len(path.parts) > 1:
        raise RecipeError(
            f"{text} cannot be profiled: give a .safetensors file with its card, an .onnx, .xml, "
            ".param, .tflite or .pte file, or the name of a network (`pocketface models` lists "
            "them). What else a network became, `pocketface export` makes an .onnx file of."
        )
    return False


def _from_registry(
    name: str, folder: Path, generator: np.random.Generator, size: int | None
) -> Subject:
    from pocketface import models  # isort: skip - first: it says so if torch is missing
    import torch

    from pocketface.models.weights import save_weights
    from pocketface.preprocessing import Preprocessing

    draws = torch.Generator().manual_seed(int(generator.integers(2**62)))
    backbone = models.create_model(name, image_size=size, generator=draws)
    draw_as_trained(backbone, draws)
    weights = folder / f"{name}.safetensors"
    save_weights(
        backbone,
        weights,
        preprocessing=Preprocessing(image_size=backbone.image_size),
        data="none: drawn, to be timed",
        licence="none",
    )
    return _from_weights(weights, name, "registry", folder)


def draw_as_trained(network: "nn.Module", draws: "torch.Generator") -> None:
    """Give slopes, norms and biases values of their own, as training does.

    An untrained network has equal slopes and zero biases, which leave work out.
    """
    import torch
    from torch import nn

    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.PReLU):
                module.weight.uniform_(0.05, 0.5, generator=draws)
            elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                assert module.running_mean is not None
                module.running_mean.uniform_(-0.1, 0.1, generator=draws)


def _from_weights(path: Path, name: str, source: Source, folder: Path) -> Subject:
    import pocketface
    from pocketface.deploy.onnx_export import build_bytes
    from pocketface.deploy.options import ExportOptions
    from pocketface.models.cost import measure_cost
    from pocketface.models.weights import load_backbone

    backbone, card = load_backbone(path)
    description = SelfDescription(version=pocketface.__version__, card=card)
    content = build_bytes(backbone, description, ExportOptions())
    onnx = folder / "network.onnx"
    onnx.write_bytes(content)
    known = {card.sha256, hashlib.sha256(content).hexdigest()}
    cost = measure_cost(backbone)
    return Subject(
        name=name,
        source=source,
        file=onnx,
        weights=path,
        architecture=card.architecture,
        embedding_size=card.embedding_size,
        image_size=backbone.image_size,
        cost=cost,
        parameters=cost.parameters,
        options=card.options,
        # A drawn network is nobody's: reports on its architecture are found by name.
        fingerprints=frozenset(
            fingerprint_of(sha256, card.preprocessing) for sha256 in known if source == "weights"
        ),
    )
