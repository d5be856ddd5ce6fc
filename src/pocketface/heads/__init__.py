"""Margin-softmax classifiers: they make people separable by angle while a backbone trains."""

from pocketface.heads.config import HeadConfig, create_head, create_sharded_head
from pocketface.heads.margin import ArcFace, CosFace, MarginHead
from pocketface.heads.sharded import ShardedHead, leave_to_itself

__all__ = [
    "ArcFace",
    "CosFace",
    "HeadConfig",
    "MarginHead",
    "ShardedHead",
    "create_head",
    "create_sharded_head",
    "leave_to_itself",
]
