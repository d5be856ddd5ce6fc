"""What a teacher gives for a batch, whatever its source.

Three sources stand behind one interface: a live network, embeddings cached on disk, and a
sequence of either, indexed by the student's progress (multi-step distillation).
Shapes: N images of H x W pixels, D numbers of an embedding.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from pocketface.errors import RecipeError
from pocketface.models.backbone import Backbone
from pocketface.models.normalise import normalise
from pocketface.preprocessing import Preprocessing

Precision = Literal["32-true", "16-mixed", "bf16-mixed"]

_NARROW: dict[Precision, torch.dtype] = {"16-mixed": torch.float16, "bf16-mixed": torch.bfloat16}


@dataclass(frozen=True)
class FaceBatch:
    """A batch as the training loop sees it.

    Attributes:
        images: uint8 (N, H, W, 3) RGB, augmented, and mirrored where `mirrored` says so; on the
            device where the networks run, as are the labels.
        labels: int64 (N,).
        indices: int64 (N,), positions in the training set; on the CPU.
        mirrored: bool (N,); on the CPU.
    """

    images: Tensor
    labels: Tensor
    indices: Tensor
    mirrored: Tensor


class Outputs(NamedTuple):
    """What a network gives: embeddings (N, D) and, where asked for, the maps of four stages."""

    embeddings: Tensor
    stages: tuple[Tensor, ...] = ()


class Teacher(ABC):
    """A source of targets for a student; it never learns.

    Attributes:
        embedding_size: D.
        stage_channels: widths of the maps that `targets` gives; empty if it gives none.
    """

    embedding_size: int
    stage_channels: tuple[int, ...] = ()

    @abstractmethod
    def targets(self, batch: FaceBatch) -> Outputs:
        """The teacher's outputs for `batch`, without gradient."""

    def at_epoch(self, epoch: int, epochs: int) -> None:  # noqa: B027 - most teachers stay as they are
        """Hear that student epoch `epoch` (0-based) of `epochs` begins."""


class LiveTeacher(Teacher):
    """A network that looks at every batch.

    It sees the very pixels that the student sees (mirrored and augmented alike), normalised its
    own way, and resized with antialiasing if its input is of another size.

    Args:
        backbone: the network.
        preprocessing: its own.
        stages: whether the maps of its four stages are wanted.
        precision: of its arithmetic; the mixed ones are torch's autocast.
    """

    def __init__(
        self,
        backbone: Backbone,
        preprocessing: Preprocessing,
        *,
        stages: bool = False,
        precision: Precision = "32-true",
    ) -> None:
        self.backbone = backbone.eval().requires_grad_(False)
        self.preprocessing = preprocessing
        self.embedding_size = backbone.embedding_size
        self.stage_channels = backbone.stage_channels if stages else ()
        self.precision = precision

    def targets(self, batch: FaceBatch) -> Outputs:
        """Embeddings (N, D) and, where wanted, the stages' maps, float32."""
        return self.look(batch.images)

    def look(self, images: Tensor) -> Outputs:
        """The same of uint8 images (N, H, W, 3) RGB, where the network is."""
        narrow = _NARROW.get(self.precision)
        with (
            torch.inference_mode(),
            torch.autocast(images.device.type, narrow, enabled=narrow is not None),
        ):
            inputs = normalise(images, self.preprocessing)
            if self.stage_channels:
                embeddings, stages = self.backbone.forward_stages(inputs)
            else:
                embeddings, stages = self.backbone(inputs), []
        # A loss may keep them for its gradient, which inference mode's own tensors refuse.
        first, *rest = (each.to(torch.float32, copy=True) for each in (embeddings, *stages))
        return Outputs(first, tuple(rest))


class MultiStepTeacher(Teacher):
    """A sequence of teachers: the student follows the teacher as it matured.

    Student epoch e is guided by the teacher as it stood at the end of its own epoch e (PocketNet,
    multi-step distillation). Where the teacher left another number of steps than the student has
    epochs, step `milestone_of(e, epochs, steps)` guides epoch e: in proportion, ending with the
    last.

    Only the checkpoint in use is held: 26 of an IResNet-100 would take 7 GB.

    Args:
        steps: functions that open the checkpoints, in order.
        embedding_size: D, the same for all.
        stage_channels: see Teacher; the same for all.
    """

    def __init__(
        self,
        steps: Sequence[Callable[[], Teacher]],
        embedding_size: int,
        stage_channels: tuple[int, ...] = (),
    ) -> None:
        if not steps:
            raise RecipeError("multi-step distillation needs at least one teacher. Got none.")
        self.steps = steps
        self.embedding_size = embedding_size
        self.stage_channels = stage_channels
        self.current: int | None = None
        self._teacher: Teacher | None = None

    def at_epoch(self, epoch: int, epochs: int) -> None:
        """Choose the checkpoint for this epoch, and open it if it is not the one in use."""
        chosen = milestone_of(epoch, epochs, len(self.steps))
        if chosen != self.current:
            self._teacher = None
            self._teacher = self.steps[chosen]()
            self.current = chosen

    def targets(self, batch: FaceBatch) -> Outputs:
        """The targets of the checkpoint that `at_epoch` chose."""
        if self._teacher is None:
            raise ValueError("at_epoch must be called before targets.")
        return self._teacher.targets(batch)


def milestone_of(epoch: int, epochs: int, steps: int) -> int:
    """Which of `steps` teacher checkpoints guides student epoch `epoch` (0-based) of `epochs`.

    With equal counts it is `epoch` itself; otherwise the first checkpoint that has made at least
    the share of its way that the student will have made: ceil((epoch + 1) * steps / epochs) - 1.
    """
    if not 0 <= epoch < epochs or steps < 1:
        raise ValueError(
            f"need 0 <= epoch < epochs, steps >= 1. Got epoch {epoch} of {epochs}, {steps} steps."
        )
    return -(-(epoch + 1) * steps // epochs) - 1
