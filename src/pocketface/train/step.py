"""One step of training: pixels to loss to gradient to new weights."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from pocketface.distill import FaceBatch, Outputs, Teacher
from pocketface.heads import ShardedHead
from pocketface.models.normalise import normalise
from pocketface.preprocessing import Preprocessing
from pocketface.train.augment import AugmentConfig, augment
from pocketface.train.head_states import (
    head_state,
    optimiser_state,
    restore_head,
    restore_optimiser,
)
from pocketface.train.loader import LoadedBatch
from pocketface.train.objective import Objective
from pocketface.train.optimisers import bound_gradient, create_sgd, step_all
from pocketface.train.schedule import OptimiserConfig

_OPTIMISERS = ("backbone_optimiser", "head_optimiser")
"""Names in a checkpoint; the second one is that of everything beside the backbone."""


@dataclass(frozen=True)
class ReadyBatch:
    """All that a step needs.

    Attributes:
        loaded: the batch as the loader gave it.
        batch: the same on the device, augmented.
        targets: the teacher's for it; None without a teacher.
    """

    loaded: LoadedBatch
    batch: FaceBatch
    targets: Outputs | None


class TrainingStep:
    """The objective with its optimisers: one for the backbone, one for all that learns beside it.

    Two optimisers, because the bound on the gradient holds for the backbone alone. Beside it learn
    the head and what a distillation may have, such as mappings; if none of them does, there is
    no second optimiser.

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
        backbone = list(objective.backbone.parameters())
        own = {id(parameter) for parameter in backbone}
        beside = [each for each in objective.parameters() if id(each) not in own]
        groups = [_learning(backbone), _learning(beside)]
        self.optimisers = [create_sgd(group, config) for group in groups if group]
        self._wrapped, *_ = fabric.setup(objective, *self.optimisers)

    def __call__(self, loaded: LoadedBatch) -> dict[str, Tensor]:
        """Learn from one batch as the loader gives it; see `learn`."""
        batch = self.prepare(loaded)
        targets = None if self.teacher is None else self.teacher.targets(batch)
        return self.learn(ReadyBatch(loaded, batch, targets))

    def prepare(self, loaded: LoadedBatch) -> FaceBatch:
        """Bring a batch to the device and augment it there; the networks are not touched."""
        device = self.fabric.device
        images = loaded.images.to(device, non_blocking=True)
        return FaceBatch(
            images=augment(images, loaded.plan, self.augment),
            labels=loaded.labels.to(device, non_blocking=True),
            indices=loaded.indices,
            mirrored=torch.from_numpy(loaded.plan.mirrored),
        )

    def learn(self, ready: ReadyBatch) -> dict[str, Tensor]:
        """Learn from a batch; gives loss terms, gradient norm and the like by name."""
        batch, targets = ready.batch, ready.targets
        for optimiser in self.optimisers:
            optimiser.zero_grad(set_to_none=True)
        inputs = normalise(batch.images, self.preprocessing)
        terms, cosine = self._wrapped(inputs, batch.labels, targets, ready.loaded.weight)
        loss = torch.stack(list(terms.values())).sum()
        self.fabric.backward(loss)
        values = {"loss": loss.detach(), **{f"loss/{k}": v.detach() for k, v in terms.items()}}
        if cosine is not None:
            values["cosine_to_teacher"] = cosine
        if self.config.clip_norm:
            norm = bound_gradient(self.fabric, self.optimisers[0], self.config.clip_norm)
            values["gradient_norm"] = norm.detach()
        step_all(self.fabric, self.optimisers)
        return values

    def train_mode(self) -> None:
        """Put the networks that learn into training mode."""
        self._wrapped.train()

    def set_rate(self, rate: float) -> None:
        """Set the learning rate of the next steps."""
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = rate

    def set_number(self, number: int) -> None:
        """Say how many steps were taken before the next one; the head's draws depend on it."""
        if isinstance(self.objective.head, ShardedHead):
            self.objective.head.step = number

    def _named_optimisers(self) -> list[tuple[str, torch.optim.Optimizer]]:
        return list(zip(_OPTIMISERS, self.optimisers, strict=False))

    def states(self) -> dict[str, dict[str, Any]]:
        """The states of networks, optimisers and precision, by name.

        All processes must call this together. The first one gets them whole; in the others what
        stands for a sharded head is empty.
        """
        head = self.objective.head
        return {
            "backbone": self.objective.backbone.state_dict(),
            "head": head_state(head),
            "distillation": _state(self.objective.distillation),
            "projection": _state(self.objective.projection),
            **{name: {} for name in _OPTIMISERS},
            **{name: optimiser_state(each, head) for name, each in self._named_optimisers()},
            "precision": self.fabric.strategy.precision.state_dict(),
        }

    def restore(self, states: dict[str, dict[str, Any]]) -> None:
        """Take over what `states` gave on the first process, whatever the number of processes."""
        head = self.objective.head
        self.objective.backbone.load_state_dict(states["backbone"])
        if head is not None:
            restore_head(head, states["head"])
        for name in ("distillation", "projection"):
            module = getattr(self.objective, name)
            if module is not None:
                module.load_state_dict(states[name])
        for name, optimiser in self._named_optimisers():
            restore_optimiser(optimiser, head, states[name])
        self.fabric.strategy.precision.load_state_dict(states["precision"])


def _state(module: nn.Module | None) -> dict[str, Any]:
    return {} if module is None else module.state_dict()


def _learning(parameters: Iterable[nn.Parameter]) -> list[nn.Parameter]:
    return [parameter for parameter in parameters if parameter.requires_grad]
