"""One step of training: pixels to loss to gradient to new weights."""

from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from pocketface.distill import FaceBatch, Teacher
from pocketface.models.normalise import normalise
from pocketface.preprocessing import Preprocessing
from pocketface.train.augment import AugmentConfig, augment
from pocketface.train.loader import LoadedBatch
from pocketface.train.objective import Objective
from pocketface.train.schedule import OptimiserConfig


class TrainingStep:
    """The objective with its optimisers, one for the backbone and one for the head.

    Two optimisers, because the bound on the gradient holds for the backbone alone.

    Args:
        objective: the networks and losses; moved to the device of `fabric`.
        config: the optimisers' settings.
        augment: what happens to the pixels.
        preprocessing: of the backbone.
        fabric: device, precision and processes.

    Attributes:
        teacher: what gives the targets of distillation, or None; it never learns.
    """

    teacher: Teacher | None = None

    def __init__(
        self,
        objective: Objective,
        config: OptimiserConfig,
        augment: AugmentConfig,
        preprocessing: Preprocessing,
        fabric: Fabric,
    ) -> None:
        self.objective = objective
        self.config = config
        self.augment = augment
        self.preprocessing = preprocessing
        self.fabric = fabric
        self.optimisers = [_sgd(config, objective.backbone), _sgd(config, objective.head)]
        self._wrapped, *self._wrapped_optimisers = fabric.setup(objective, *self.optimisers)

    def __call__(self, loaded: LoadedBatch) -> dict[str, Tensor]:
        """Learn from one batch; gives loss terms, gradient norm and the like by name."""
        device = self.fabric.device
        images = loaded.images.to(device, non_blocking=True)
        batch = FaceBatch(
            images=augment(images, loaded.plan, self.augment),
            labels=loaded.labels.to(device, non_blocking=True),
            indices=loaded.indices,
            mirrored=torch.from_numpy(loaded.plan.mirrored),
        )
        targets = None if self.teacher is None else self.teacher.targets(batch)
        inputs = normalise(batch.images, self.preprocessing)
        terms, cosine = self._wrapped(inputs, batch.labels, targets)
        loss = torch.stack(list(terms.values())).sum()
        for optimiser in self._wrapped_optimisers:
            optimiser.zero_grad(set_to_none=True)
        self.fabric.backward(loss)
        values = {"loss": loss.detach(), **{f"loss/{k}": v.detach() for k, v in terms.items()}}
        if cosine is not None:
            values["cosine_to_teacher"] = cosine
        if self.config.clip_norm:
            norm = self.fabric.clip_gradients(
                self._wrapped,
                self._wrapped_optimisers[0],
                max_norm=self.config.clip_norm,
                error_if_nonfinite=False,
            )
            if norm is not None:
                values["gradient_norm"] = norm.detach()
        for optimiser in self._wrapped_optimisers:
            optimiser.step()
        return values

    def train_mode(self) -> None:
        """Put the networks that learn into training mode."""
        self._wrapped.train()

    def set_rate(self, rate: float) -> None:
        """Set the learning rate of the next steps."""
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = rate

    def states(self) -> dict[str, dict[str, Any]]:
        """The states of networks, optimisers and precision, by name."""
        return {
            "backbone": self.objective.backbone.state_dict(),
            "head": self.objective.head.state_dict(),
            "distillation": _state(self.objective.distillation),
            "backbone_optimiser": self.optimisers[0].state_dict(),
            "head_optimiser": self.optimisers[1].state_dict(),
            "precision": self.fabric.strategy.precision.state_dict(),
        }

    def restore(self, states: dict[str, dict[str, Any]]) -> None:
        """Take over what `states` gave."""
        self.objective.backbone.load_state_dict(states["backbone"])
        self.objective.head.load_state_dict(states["head"])
        if self.objective.distillation is not None:
            self.objective.distillation.load_state_dict(states["distillation"])
        self.optimisers[0].load_state_dict(states["backbone_optimiser"])
        self.optimisers[1].load_state_dict(states["head_optimiser"])
        self.fabric.strategy.precision.load_state_dict(states["precision"])


def _state(module: torch.nn.Module | None) -> dict[str, Any]:
    return {} if module is None else module.state_dict()


def _sgd(config: OptimiserConfig, module: torch.nn.Module) -> torch.optim.SGD:
    return torch.optim.SGD(
        [parameter for parameter in module.parameters() if parameter.requires_grad],
        lr=config.learning_rate,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
    )
