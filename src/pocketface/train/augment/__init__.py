"""What happens to a batch's pixels before the networks see them."""

from pocketface.train.augment.batch import augment
from pocketface.train.augment.config import AugmentConfig
from pocketface.train.augment.plan import AugmentPlan, draw_plan

__all__ = ["AugmentConfig", "AugmentPlan", "augment", "draw_plan"]
