"""A run in words: its first line on the screen, and what the cards of its weights say of it."""

from lightning_fabric import Fabric

from pocketface.data import Faces
from pocketface.distill import Projection
from pocketface.models.backbone import Backbone
from pocketface.train.loader import FaceLoader
from pocketface.train.recipe import DataConfig, Recipe
from pocketface.train.sources import describe_faces


def describe_run(
    recipe: Recipe, backbone: Backbone, faces: Faces, loader: FaceLoader, fabric: Fabric
) -> str:
    """What is trained on what, for how long, and where."""
    parameters = sum(parameter.numel() for parameter in backbone.parameters())
    return (
        f"{recipe.model.architecture} ({parameters:,} parameters), {describe_faces(faces)}, "
        f"{recipe.epochs} epochs of {loader.steps} steps of {loader.global_batch} images on "
        f"{fabric.device}{_shares(loader.global_batch, fabric.world_size)}"
    )


def data_of(config: DataConfig, faces: Faces) -> str:
    """What a card says of the training images."""
    names = ", ".join(source.name for source in (*config.train, *config.unlabelled))
    return f"{describe_faces(faces)}: {names} (fingerprint {faces.fingerprint()[:12]})"


def notes_of(recipe: Recipe, epoch: int, projection: Projection | None) -> str:
    """What a card says of the run: how far it had come (epochs, from 1), and its teacher."""
    notes = f"epoch {epoch} of {recipe.epochs}, seed {recipe.seed}"
    distill = recipe.distill
    if distill is None:
        return notes
    loss = "" if distill.loss == "embedding" else f" ({distill.loss})"
    joined = "" if projection is None else f"; {projection.told}"
    return f"{notes}, taught by {distill.teacher}{loss}{joined}"


def _shares(global_batch: int, processes: int) -> str:
    """How several processes share a batch, "" where there is one."""
    if processes == 1:
        return ""
    least, most = global_batch // processes, -(-global_batch // processes)
    each = f"{least}" if least == most else f"{least} or {most}"
    return f", shared by {processes} processes of {each} each"
