"""All ways to distil, by the name that a recipe gives them."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from pocketface.distill.adadistill import AdaDistillConfig
from pocketface.distill.angular import AngularConfig
from pocketface.distill.ekd import EKDConfig
from pocketface.distill.embedding import EmbeddingConfig
from pocketface.distill.inherited import InheritedConfig
from pocketface.distill.relational import RelationalConfig

METHODS: dict[str, str] = {
    "embedding": "MSE between unit embeddings (PocketNet)",
    "adadistill": "margin softmax against class centres distilled from the teacher",
    "ekd": "agreement of ranks at operating thresholds",
    "inherited": "the teacher's own head, frozen, classifies the student's faces",
    "relational": "distances and angles among the images of a batch (RKD)",
    "angular": "1 - cos at the embedding and at four blocks (ShrinkTeaNet)",
}
"""What each loss is, in a line."""


def _paper_s_own(section: Any) -> Any:
    """A section that names no loss means PocketNet's."""
    return {"loss": "embedding", **section} if isinstance(section, dict) else section


AnyDistillConfig = Annotated[
    AdaDistillConfig
    | AngularConfig
    | EKDConfig
    | EmbeddingConfig
    | InheritedConfig
    | RelationalConfig,
    Field(discriminator="loss"),
    BeforeValidator(_paper_s_own),
]
"""The section `distill` of a recipe: what all losses have, and the keys of the loss it names."""
