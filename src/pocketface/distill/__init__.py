"""What a teacher hands on to a student: targets, their sources, and the losses on them."""

from pocketface.distill.cache import CachedTeacher, EmbeddingCache
from pocketface.distill.config import DistillConfig, create_loss, teacher_files
from pocketface.distill.embedding import EmbeddingDistillation
from pocketface.distill.losses import DistillationLoss
from pocketface.distill.teacher import FaceBatch, LiveTeacher, MultiStepTeacher, Outputs, Teacher

__all__ = [
    "CachedTeacher",
    "DistillConfig",
    "DistillationLoss",
    "EmbeddingCache",
    "EmbeddingDistillation",
    "FaceBatch",
    "LiveTeacher",
    "MultiStepTeacher",
    "Outputs",
    "Teacher",
    "create_loss",
    "teacher_files",
]
