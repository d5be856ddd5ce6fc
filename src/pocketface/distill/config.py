"""What a recipe says of distillation whatever the loss, and which files a teacher is made of."""

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Self

import torch
import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from pocketface.distill.losses import DistillationLoss
from pocketface.distill.teacher import Precision
from pocketface.errors import RecipeError
from pocketface.heads.margin import MarginHead
from pocketface.preprocessing import Preprocessing

_SHOWN = 5
"""How many missing files an error names."""


@dataclass(frozen=True)
class Partners:
    """What a loss has to know before it can be built.

    Attributes:
        embedding_size: D, of the embeddings that the loss will compare.
        student_stages: widths of the student's four stages.
        teacher_stages: widths of the teacher's; empty if the loss does not look at them.
        people: C, how many the training set has.
        head: the teacher's; None unless the loss inherits it.
        generator: source of initial parameters; None is torch's default one.
    """

    embedding_size: int
    student_stages: tuple[int, ...] = ()
    teacher_stages: tuple[int, ...] = ()
    people: int = 0
    head: MarginHead | None = None
    generator: torch.Generator | None = None


class DistillConfig(BaseModel):
    """The part of a recipe's section `distill` that all losses have: who teaches, and how.

    `teacher` is a weights file, or the folder of a run that kept its milestones. With
    `multi_step` the student follows those milestones; without it a run's last weights teach.
    A loss adds its name as `loss`, and its own keys. `replaces_head` says whether it classifies
    people itself, so that the recipe's head is left away; `needs_people`, whether it must know who
    is on each image; `inherits_head`, whether it does so with
    the teacher's head; `balanced_share`, how much of a batch it
    wants as groups of a person; `compares_sizes`, whether embeddings of student and teacher must
    have one size, since it compares the two.
    """

    replaces_head: ClassVar[bool] = False
    needs_people: ClassVar[bool] = True
    inherits_head: ClassVar[bool] = False
    balanced_share: ClassVar[float] = 0.0
    compares_sizes: ClassVar[bool] = True

    model_config = ConfigDict(extra="forbid", frozen=True)

    teacher: Path
    multi_step: bool = False
    cache: Path | None = Field(
        default=None, description="folder for cached teacher embeddings; none: the teacher is live"
    )
    teacher_precision: Precision | None = Field(
        default=None,
        description="of the teacher's arithmetic; none: the recipe's precision for a live teacher, "
        "32-true for a cache, which is filled once",
    )
    teacher_batch: int | None = Field(
        default=None,
        ge=1,
        description="images that the teacher looks at together: whole batches of the student's, at "
        "least one; in filling a cache any number; none: one batch, and 256",
    )
    preprocessing: Preprocessing | None = Field(
        default=None, description="of a teacher without a card"
    )
    architecture: str | None = Field(
        default=None, description="of a teacher that is a state dict without a card"
    )
    projection: Literal["learned", "pca", "centred"] | None = Field(
        default=None,
        description="what joins embeddings of two sizes, or moves those of one; none: nothing",
    )

    @model_validator(mode="after")
    def _projection_can_be(self) -> Self:
        if self.projection is not None and not self.compares_sizes:
            raise ValueError(
                "this loss compares the images of a batch within each network, so that embeddings "
                "of any two sizes fit. Leave `projection` away."
            )
        if self.projection in ("pca", "centred") and self.multi_step:
            raise ValueError(
                f"projection '{self.projection}' is fitted to one teacher, and with multi_step "
                "there is another in each epoch. Take projection: learned, or none."
            )
        if self.projection in ("pca", "centred") and self.inherits_head:
            raise ValueError(
                "the teacher's head classifies the teacher's embeddings as they are, which "
                f"projection '{self.projection}' does not give. Take projection: learned, or none."
            )
        return self

    @property
    def needs_stages(self) -> bool:
        """Whether the loss looks at the four stages' maps, which only a live teacher gives."""
        return False

    @abstractmethod
    def create_loss(self, partners: Partners) -> DistillationLoss:
        """Build the loss."""


def teacher_files(config: DistillConfig) -> list[Path]:
    """The weights files that will teach, in order; more than one only with `multi_step`.

    Raises:
        RecipeError: if a file is missing; the message names the first ones. This is called
            before a run starts, so that no run dies of it half-way.
    """
    teacher = config.teacher
    if not teacher.exists():
        raise RecipeError(
            f"the teacher {teacher} does not exist. "
            "Give a weights file (.safetensors, .onnx) or the folder of a training run."
        )
    if teacher.is_file():
        if config.multi_step:
            raise RecipeError(
                f"multi-step distillation needs the folder of a teacher's run with its milestones. "
                f"Got the file {teacher}."
            )
        return [teacher]
    if not config.multi_step:
        return _existing([teacher / "last.safetensors"], teacher)
    listing = teacher / "milestones"
    kept = [
        int(path.stem.removeprefix("epoch_"))
        for path in listing.glob("epoch_*.safetensors")
        if path.stem.removeprefix("epoch_").isdecimal()
    ]
    if not kept:
        raise RecipeError(
            f"{teacher} holds no milestones (milestones/epoch_0001.safetensors, ...). "
            "Train the teacher with `milestones: true` in its recipe."
        )
    last = max(*kept, _planned_epochs(teacher))
    return _existing(
        [listing / f"epoch_{number:04d}.safetensors" for number in range(1, last + 1)], teacher
    )


def _planned_epochs(run: Path) -> int:
    """How many epochs the run was to have; 0 if it does not say."""
    recipe = run / "recipe.yaml"
    if not recipe.is_file():
        return 0
    try:
        content = yaml.safe_load(recipe.read_text(encoding="utf-8"))
        return int(content.get("epochs", 0))
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError, TypeError, ValueError) as error:
        raise RecipeError(
            f"{recipe} does not say how many epochs the teacher's run was to have: {error}. "
            "Put the run's own recipe back, or name another teacher."
        ) from error


def _existing(paths: list[Path], run: Path) -> list[Path]:
    missing = [str(path.relative_to(run)) for path in paths if not path.is_file()]
    if missing:
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        raise RecipeError(
            f"the teacher's run {run} lacks {', '.join(missing[:_SHOWN])}{more}. "
            "Finish or repeat that run (`--resume`), or name another teacher."
        )
    return paths
