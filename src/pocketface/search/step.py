"""One step of a search: the architecture weights move, then the network's weights."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pocketface.search.architect import (
    ArchitectureGradient,
    Loss,
    VirtualStep,
    first_order,
    second_order,
    velocity_of,
)
from pocketface.search.architecture import ArchitectureWeights
from pocketface.search.collapse import beta_decay
from pocketface.search.config import SearchConfig
from pocketface.search.objective import SearchObjective

Batch = tuple[Tensor, Tensor]
"""Normalised images float (N, 3, S, S) and labels int64 (N,), on the network's device."""

ExpectedCost = Callable[[Tensor, Tensor], Tensor]
"""From the softmax of the normal and of the reduction cell, (14, 8) each, to a scalar."""


class SearchStep:
    """The searched network, its architecture weights, and the optimiser of each.

    Args:
        config: of the search.
        network: with its classifier; on its device.
        architecture: on the same device.
        expected_cost: added to the loss that the architecture follows, if there is one.
    """

    def __init__(
        self,
        config: SearchConfig,
        network: SearchObjective,
        architecture: ArchitectureWeights,
        expected_cost: ExpectedCost | None = None,
    ) -> None:
        self.config = config
        self.network = network
        self.architecture = architecture
        self.expected_cost = expected_cost
        weights, cells = config.weights, config.architecture
        self.weights_optimiser = torch.optim.SGD(
            network.parameters(),
            lr=weights.learning_rate,
            momentum=weights.momentum,
            weight_decay=weights.weight_decay,
        )
        self.architecture_optimiser = torch.optim.Adam(
            architecture.parameters(),
            lr=cells.learning_rate,
            betas=(cells.beta1, cells.beta2),
            weight_decay=cells.weight_decay,
        )

    def set_rate(self, rate: float) -> None:
        """Set the learning rate of the network's weights, also that of the virtual step."""
        for group in self.weights_optimiser.param_groups:
            group["lr"] = rate

    def __call__(
        self,
        training: Batch,
        held_out: Batch | None,
        *,
        decay: float = 0.0,
        skip_scale: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Move both; gives the losses and the weights' gradient norm by name.

        Args:
            training: of the half that trains the weights.
            held_out: of the half that judges the architecture; None leaves that as it is.
            decay: the weight of beta-decay now.
            skip_scale: (N, cells, 14), by which the skip connections of `training` are
                multiplied; None is one.
        """
        self.network.train()
        values: dict[str, Tensor] = {}
        if held_out is not None:
            found = self._architecture_gradient(training, held_out, decay, skip_scale)
            parameters = self.architecture.parameters()
            for parameter, gradient in zip(parameters, found.gradients, strict=True):
                parameter.grad = gradient
            self.architecture_optimiser.step()
            values["architecture_loss"] = found.held_out_loss
        loss = self._loss(training, skip_scale)(self.network)
        self.weights_optimiser.zero_grad(set_to_none=True)
        own = list(self.network.parameters())
        for parameter, gradient in zip(own, torch.autograd.grad(loss, own), strict=True):
            parameter.grad = gradient
        bound = self.config.weights.clip_norm or float("inf")
        values["gradient_norm"] = torch.nn.utils.clip_grad_norm_(own, bound)
        self.weights_optimiser.step()
        return values | {"loss": loss.detach()}

    def _architecture_gradient(
        self, training: Batch, held_out: Batch, decay: float, skip_scale: Tensor | None
    ) -> ArchitectureGradient:
        parameters = (self.architecture.normal, self.architecture.reduce)
        judged = self._judged(held_out, decay)
        if self.config.architecture.order == "first":
            return first_order(self.network, parameters, judged)
        step = VirtualStep(
            self.weights_optimiser.param_groups[0]["lr"],
            self.config.weights.momentum,
            self.config.weights.weight_decay,
            velocity_of(self.weights_optimiser, self.network),
        )
        return second_order(
            self.network,
            parameters,
            self._loss(training, skip_scale),
            judged,
            step,
            # Rounded to 8 bits, the two losses would hardly differ.
            difference=self._loss(training, skip_scale, exact=True),
        )

    def _loss(self, batch: Batch, skip_scale: Tensor | None = None, exact: bool = False) -> Loss:
        mixed = self.config.precision == "bf16-mixed" and not exact

        def loss(network: Callable[..., Tensor]) -> Tensor:
            with torch.autocast(batch[0].device.type, torch.bfloat16, enabled=mixed):
                return network(*batch, *self.architecture.softmax(), skip_scale)

        return loss

    def _judged(self, held_out: Batch, decay: float) -> Loss:
        def loss(network: Callable[..., Tensor]) -> Tensor:
            total = self._loss(held_out)(network)
            if decay:
                total = total + decay * beta_decay(
                    self.architecture.normal, self.architecture.reduce
                )
            if self.expected_cost is not None:
                total = total + self.expected_cost(*self.architecture.softmax())
            return total

        return loss

    def states(self) -> dict[str, dict[str, Any]]:
        """The states of network, architecture and optimisers, by name."""
        return {name: each.state_dict() for name, each in self._parts().items()}

    def restore(self, states: dict[str, dict[str, Any]]) -> None:
        """Take over what `states` gave."""
        for name, each in self._parts().items():
            each.load_state_dict(states[name])

    def _parts(self) -> dict[str, Any]:
        return {
            "network": self.network,
            "architecture": self.architecture,
            "weights_optimiser": self.weights_optimiser,
            "architecture_optimiser": self.architecture_optimiser,
        }
