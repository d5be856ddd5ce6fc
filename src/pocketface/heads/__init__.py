"""Margin-softmax classifiers: they make people separable by angle while a backbone trains."""

from pocketface.heads.config import HeadConfig, create_head
from pocketface.heads.margin import ArcFace, CosFace, MarginHead

__all__ = ["ArcFace", "CosFace", "HeadConfig", "MarginHead", "create_head"]
