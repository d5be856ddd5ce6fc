"""What a teacher hands on to a student: targets, their sources, and the losses on them."""

from pocketface.distill.adadistill import AdaDistill, AdaDistillConfig
from pocketface.distill.angular import AngularConfig, AngularDistillation
from pocketface.distill.cache import CachedTeacher, EmbeddingCache
from pocketface.distill.config import DistillConfig, Partners, teacher_files
from pocketface.distill.ekd import EKDConfig, RankAgreement
from pocketface.distill.embedding import EmbeddingConfig, EmbeddingDistillation
from pocketface.distill.filling import Task, Views, fill
from pocketface.distill.inherited import InheritedClassifier, InheritedConfig
from pocketface.distill.losses import DistillationLoss
from pocketface.distill.methods import METHODS, AnyDistillConfig
from pocketface.distill.projection import (
    CentredProjection,
    FittedProjection,
    LearnedProjection,
    PrincipalProjection,
    Projection,
)
from pocketface.distill.relational import RelationalConfig, RelationalDistillation
from pocketface.distill.teacher import (
    FaceBatch,
    LiveTeacher,
    MultiStepTeacher,
    Outputs,
    Precision,
    Teacher,
)

__all__ = [
    "METHODS",
    "AdaDistill",
    "AdaDistillConfig",
    "AngularConfig",
    "AngularDistillation",
    "AnyDistillConfig",
    "CachedTeacher",
    "CentredProjection",
    "DistillConfig",
    "DistillationLoss",
    "EKDConfig",
    "EmbeddingCache",
    "EmbeddingConfig",
    "EmbeddingDistillation",
    "FaceBatch",
    "FittedProjection",
    "InheritedClassifier",
    "InheritedConfig",
    "LearnedProjection",
    "LiveTeacher",
    "MultiStepTeacher",
    "Outputs",
    "Partners",
    "Precision",
    "PrincipalProjection",
    "Projection",
    "RankAgreement",
    "RelationalConfig",
    "RelationalDistillation",
    "Task",
    "Teacher",
    "Views",
    "fill",
    "teacher_files",
]
