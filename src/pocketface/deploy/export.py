"""From a weights file to a file for a device with its card, proven to compute the same."""

import contextlib
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import pocketface
from pocketface.atomic import atomic_path
from pocketface.card import ModelCard, card_path, sha256_of, write_card
from pocketface.deploy.options import ExportOptions
from pocketface.deploy.parity import Parity, measure_parity
from pocketface.deploy.targets import Target, find_target
from pocketface.embedding.load import SUFFIXES
from pocketface.embedding.self_description import SelfDescription
from pocketface.errors import DataError, ExportError, RecipeError, WeightsError


@dataclass(frozen=True)
class Export:
    """What was written.

    Attributes:
        path: the file.
        companions: further files that belong to it.
        card: the file's card, as it stands beside it.
        bytes: size of the file and its companions.
        target: name of the format.
        options: how it was asked to be.
        parity: how near it came to its source.
        seconds: what it all took.
    """

    path: Path
    companions: tuple[Path, ...]
    card: ModelCard
    bytes: int
    target: str
    options: ExportOptions
    parity: Parity
    seconds: float


def export_network(
    weights: Path,
    out: Path,
    *,
    generator: np.random.Generator,
    target: str = "onnx",
    options: ExportOptions | None = None,
    overwrite: bool = False,
) -> Export:
    """Write the network in `weights` (.safetensors with its card) to `out` and its card.

    The file holds its weights and describes itself: the card is in it too, with the sha256 of
    `weights`. It is run in its runtime on faces and noise drawn from `generator` and compared with
    the source before anything appears at `out`; then card and files are written, each whole or not
    at all. torch's own random state is left as it was.

    Raises RecipeError for a `target` or `out` that cannot be, for files that are there already
    (unless `overwrite`), and where `out` would take another file's card; WeightsError as
    `load_backbone`, and for a network whose embeddings are not finite; ExportError where the
    file does not compute what its source computes; DataError where `out` cannot be written;
    MissingExtraError where the target's needs are not installed.
    """
    begin = time.perf_counter()
    options = options or ExportOptions()
    chosen = find_target(target)
    chosen.check_options(options)
    check_source(weights)
    check_place(out, chosen, overwrite=overwrite)
    exporter = chosen.exporter()

    from pocketface.embedding.torch_embedder import TorchEmbedder
    from pocketface.models.weights import load_backbone

    backbone, source_card = load_backbone(weights)
    description = SelfDescription(
        version=pocketface.__version__,
        input=options.input,
        output=options.output,
        card=source_card,
    )
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / out.name
        exporter.build(backbone, description, options, trial)
        source = TorchEmbedder(backbone, source_card.preprocessing)
        parity = measure_parity(source, exporter.open_file(trial), generator)
        if not parity.within(chosen.least_cosine, chosen.most_relative):
            raise ExportError(
                f"The {chosen.name} file does not compute what {weights} computes: on "
                f"{parity.faces} images the least cosine similarity is {parity.cosine:.9f} (at "
                f"least {chosen.least_cosine:.6f} is allowed) and the largest relative difference "
                f"{parity.relative:.2g} (at most {chosen.most_relative:g}). Nothing was written. "
                "Try other options, or other versions of torch and of the runtime."
            )
        card = source_card.model_copy(update={"sha256": sha256_of(trial)})
        files = [trial, *(trial.with_suffix(ending) for ending in chosen.companions)]
        publish(files, out, card)
        size = sum(path.stat().st_size for path in files)
    return Export(
        path=out,
        companions=tuple(out.with_suffix(ending) for ending in chosen.companions),
        card=card,
        bytes=size,
        target=chosen.name,
        options=options,
        parity=parity,
        seconds=time.perf_counter() - begin,
    )


def publish(files: list[Path], out: Path, card: ModelCard) -> None:
    """Put the files and their card where they were asked for."""
    try:
        with contextlib.ExitStack() as renames:
            for path in files:
                place = renames.enter_context(atomic_path(out.with_suffix(path.suffix)))
                place.write_bytes(path.read_bytes())
            # First the card: should it fail, no file appears.
            write_card(out, card)
    except OSError as error:
        raise _unwritable(out, error.strerror or str(error)) from error


def check_source(weights: Path) -> None:
    """Refuse what is no network with its card."""
    if weights.is_dir():
        raise WeightsError(
            f"{weights} is a folder; give the .safetensors file in it, such as "
            f"{weights / 'last.safetensors'}."
        )
    if weights.suffix != ".safetensors":
        raise WeightsError(
            f"{weights} ends in {weights.suffix!r}; a network is exported from a .safetensors file "
            "with its card beside it, as `pocketface train` writes them."
        )


def check_place(out: Path, target: Target, *, overwrite: bool) -> None:
    """Refuse before the work what cannot be written after it, and what would lose a file."""
    if out.suffix != target.suffix:
        raise RecipeError(
            f"The file to write must end in {target.suffix} for the target {target.name}, got "
            f"{out}. `pocketface export --targets` lists them all."
        )
    card = card_path(out)
    written = [out, *(out.with_suffix(ending) for ending in target.companions), card]
    for path in written:
        if path.is_dir():
            raise RecipeError(f"{path} is a folder. Choose another name.")
    for suffix in SUFFIXES:
        other = out.with_suffix(suffix)
        if other not in written and other.exists():
            raise RecipeError(
                f"{card} is the card of {other}; {out.name} would take it away. Choose another "
                f"name, such as {out.with_stem(out.stem + '_export')}."
            )
    found = [str(path) for path in written if path.exists()]
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
