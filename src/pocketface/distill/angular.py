"""Angular distillation: the student's directions follow the teacher's, at the embedding and within.

Source: ShrinkTeaNet (Duong et al., arXiv 1905.10620), which compares the final embedding and the
outputs of four blocks. Its stage weights are not known to us: those here are our own choice.
"""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from pocketface.distill.config import DistillConfig, Partners
from pocketface.distill.losses import DistillationLoss
from pocketface.distill.teacher import Outputs

Form = Literal["cosine", "squared", "l2"]
Weight = Annotated[float, Field(ge=0)]

STAGES = 4


class AngularConfig(DistillConfig):
    """Angular distillation in a recipe.

    `weight` is that of the embedding's term, `stage_weights` those of the four blocks' terms, from
    the image to the embedding; all zero leaves the embedding alone, which a cached teacher can
    serve. The defaults are ours; 128 was the best of 7, 32 and 128 (docs/results.md).
    """

    needs_people: ClassVar[bool] = False

    loss: Literal["angular"] = "angular"
    weight: float = Field(default=128.0, ge=0)
    stage_weights: tuple[Weight, Weight, Weight, Weight] = (1.0, 1.0, 1.0, 1.0)
    form: Form = "cosine"

    @property
    def needs_stages(self) -> bool:
        """Whether any block is compared."""
        return any(self.stage_weights)

    @model_validator(mode="after")
    def _stages_can_be_had(self) -> "AngularConfig":
        if not self.needs_stages:
            return self
        mend = "Compare embeddings alone with stage_weights: [0, 0, 0, 0]"
        if self.teacher.suffix == ".onnx":
            raise ValueError(
                f"the teacher {self.teacher} is an ONNX file, which gives no maps of its blocks. "
                f"{mend}, or give its weights file."
            )
        if self.cache is not None:
            raise ValueError(
                "a cached teacher gives embeddings, not the maps of its blocks that stage_weights "
                f"{list(self.stage_weights)} ask for. {mend}, or leave `cache` away."
            )
        return self

    def create_loss(self, partners: Partners) -> "AngularDistillation":
        """Build the loss, with mappings where the widths of the two networks differ."""
        return AngularDistillation(
            partners.student_stages,
            partners.teacher_stages,
            weight=self.weight,
            stage_weights=self.stage_weights,
            form=self.form,
            generator=partners.generator,
        )


class AngularDistillation(DistillationLoss):
    """Weighted distances between directions, at the embedding and at the ends of four blocks.

    A term is the mean over the batch of, with cos between the two networks' vectors of one image:

    - "cosine": 1 - cos;
    - "squared": (1 - cos)^2, whose gradient vanishes as the two come together;
    - "l2": the squared distance of the unit vectors, which is 2 (1 - cos).

    The vector of a block is its raw map, flattened. Where the widths of the two networks differ,
    a 1x1 convolution and BN, trained with the student, map the student's to the teacher's; where
    they agree there is no mapping. Where the sizes differ, the larger map is averaged down to the
    smaller one's size, so that neither gets detail that it does not have (ours). A block of weight
    zero is not looked at. Directions are computed in float32 at least.

    Args:
        student_stages: widths of the student's four stages; not needed without stage weights.
        teacher_stages: widths of the teacher's.
        weight: of the embedding's term.
        stage_weights: of the four blocks' terms.
        form: see above.
        generator: source of the mappings' initial weights.

    Raises:
        ValueError: if a weight is negative, `form` is none of the three, or there are not four
            stages.
    """

    def __init__(
        self,
        student_stages: Sequence[int] = (),
        teacher_stages: Sequence[int] = (),
        *,
        weight: float,
        stage_weights: Sequence[float] = (0.0, 0.0, 0.0, 0.0),
        form: Form = "cosine",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if min(weight, *stage_weights) < 0 or len(stage_weights) != STAGES:
            raise ValueError(
                f"weight and the {STAGES} stage_weights must be at least 0. "
                f"Got {weight} and {list(stage_weights)} instead."
            )
        if form not in ("cosine", "squared", "l2"):
            raise ValueError(f"form must be 'cosine', 'squared' or 'l2'. Got {form!r} instead.")
        self.weight = weight
        self.stage_weights = tuple(stage_weights)
        self.form = form
        self.needs_stages = any(stage_weights)
        self.mappings = nn.ModuleDict()
        if not self.needs_stages:
            return
        if len(student_stages) != STAGES or len(teacher_stages) != STAGES:
            raise ValueError(
                f"both networks must have {STAGES} stages. "
                f"Got widths {list(student_stages)} and {list(teacher_stages)} instead."
            )
        for number, (ours, theirs) in enumerate(zip(student_stages, teacher_stages, strict=True)):
            if stage_weights[number] and ours != theirs:
                self.mappings[_name(number)] = _mapping(ours, theirs, generator)

    def forward(self, student: Outputs, teacher: Outputs, labels: Tensor) -> dict[str, Tensor]:
        """Terms `angular` and, for blocks with a weight, `stage_1` to `stage_4`.

        See DistillationLoss; the stages are (N, C, H, W).
        """
        distance = self._distance(student.embeddings, teacher.embeddings)
        terms = {"angular": self.weight * distance}
        for number, weight in enumerate(self.stage_weights):
            if weight:
                name = _name(number)
                ours, theirs = _of_one_size(student.stages[number], teacher.stages[number])
                if name in self.mappings:
                    ours = self.mappings[name](ours)
                terms[name] = weight * self._distance(ours, theirs)
        return terms

    def _distance(self, ours: Tensor, theirs: Tensor) -> Tensor:
        apart = 1.0 - _cosines(ours, theirs)
        if self.form == "squared":
            return apart.square().mean()
        return apart.mean() if self.form == "cosine" else 2.0 * apart.mean()


def _name(number: int) -> str:
    return f"stage_{number + 1}"


def _mapping(ours: int, theirs: int, generator: torch.Generator | None) -> nn.Sequential:
    """A 1x1 convolution and BN, from maps of `ours` channels to `theirs`."""
    # On the meta device first: its own constructor would draw from the global random source.
    conv = nn.Conv2d(ours, theirs, 1, bias=False, device="meta").to_empty(device="cpu")
    nn.init.normal_(conv.weight, 0.0, ours**-0.5, generator=generator)
    return nn.Sequential(conv, nn.BatchNorm2d(theirs))


def _of_one_size(ours: Tensor, theirs: Tensor) -> tuple[Tensor, Tensor]:
    """Average the larger of two maps down to the size of the smaller."""
    side = min(ours.shape[-1], theirs.shape[-1])
    maps = (ours, theirs)
    first, second = (
        each if each.shape[-1] == side else F.adaptive_avg_pool2d(each, side) for each in maps
    )
    return first, second


def _cosines(ours: Tensor, theirs: Tensor) -> Tensor:
    """Cosines (N,) between the flattened (N, ...) and (N, ...)."""
    wide = torch.promote_types(ours.dtype, torch.float32)
    first, second = ours.to(wide), theirs.to(wide)
    axes = tuple(range(1, ours.ndim))
    product = (first * second).sum(axes)
    # The floor keeps a map of zeros, which has no direction, from making the gradient infinite.
    for each in (first, second):
        product = product / torch.linalg.vector_norm(each, dim=axes).clamp_min(1e-8)
    return product
