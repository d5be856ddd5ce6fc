"""Our weights files: safetensors with a card beside them that says how to build the network."""

from pathlib import Path

import torch
from safetensors.torch import save

from pocketface import atomic
from pocketface.card import ModelCard, card_path, read_card, sha256_of, write_card
from pocketface.errors import RecipeError, WeightsError
from pocketface.models.backbone import Backbone
from pocketface.models.checkpoint import load_state
from pocketface.models.registry import create_model, list_models
from pocketface.preprocessing import Preprocessing

__all__ = ["load_backbone", "load_state", "save_weights"]


def save_weights(
    backbone: Backbone,
    path: Path,
    *,
    preprocessing: Preprocessing,
    data: str,
    licence: str,
    notes: str = "",
) -> ModelCard:
    """Write the parameters of `backbone` to `path` (.safetensors) and its card beside it.

    `data` and `licence` say what it learnt from and what its users may do. The weights are
    written first, then the card with their sha256; each is whole or not there. A kill between
    the two leaves a pair that `load_backbone` refuses, never one that is taken for right.

    Raises WeightsError if `path` does not end in .safetensors, if `backbone` was not built by
    `create_model`, or if `preprocessing` gives images of another size.
    """
    if path.suffix != ".safetensors":
        raise WeightsError(f"{path} must end in .safetensors, not {path.suffix!r}.")
    if backbone.architecture not in list_models():
        raise WeightsError(
            f"This {backbone.architecture} was not built by create_model, so that a card cannot "
            "say how to build it again. Build it by its name in the registry."
        )
    if preprocessing.image_size != backbone.image_size:
        raise WeightsError(
            f"The preprocessing gives images of {preprocessing.image_size} pixels, but the network "
            f"takes {backbone.image_size}. Give it a Preprocessing of that size."
        )
    state = {
        name: tensor.detach().cpu().contiguous() for name, tensor in backbone.state_dict().items()
    }
    # Not save_file, whose files nobody but their owner may read.
    atomic.write_bytes(path, save(state))
    card = ModelCard(
        architecture=backbone.architecture,
        options=backbone.options,
        genotype=backbone.options.get("genotype"),
        embedding_size=backbone.embedding_size,
        parameters=sum(parameter.numel() for parameter in backbone.parameters()),
        preprocessing=preprocessing,
        data=data,
        licence=licence,
        notes=notes,
        sha256=sha256_of(path),
    )
    write_card(path, card)
    return card


def load_backbone(path: Path) -> tuple[Backbone, ModelCard]:
    """Build the network that the card beside `path` describes and load its parameters.

    The network is on the CPU, in evaluation mode. The card's sha256 is checked first.

    Raises WeightsError if the file or its card is missing, broken or changed, if the card names
    a network that cannot be built, and if the parameters do not fit it.
    """
    if not path.is_file():
        raise WeightsError(f"There is no weights file {path}. Check the path.")
    card = read_card(path)
    if card is None:
        raise WeightsError(
            f"{path} has no card {card_path(path).name} beside it. Put it there, or load the file "
            "with create_model(name, weights=path) if you know the network."
        )
    foreign = {"weights", "generator"} & set(card.options)
    if foreign:
        raise WeightsError(
            f"{card_path(path)} sets {', '.join(sorted(foreign))}, which is no option of a network."
        )
    try:
        # A generator of its own: what is drawn is overwritten, and the global one stays unmoved.
        backbone = create_model(card.architecture, generator=torch.Generator(), **card.options)
    except RecipeError as error:
        raise WeightsError(f"{card_path(path)} describes no network: {error}") from error
    told = (card.embedding_size, card.genotype, card.preprocessing.image_size)
    built = (backbone.embedding_size, backbone.options.get("genotype"), backbone.image_size)
    if told != built:
        raise WeightsError(
            f"{card_path(path)} contradicts itself: it says {told} for embedding size, genotype "
            f"and image size, but its options give {built}. Put the card of this file there."
        )
    load_state(backbone, path)
    return backbone.eval(), card
