"""SGD that touches only the rows which a step's gradient holds."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class RowSGD(torch.optim.SGD):
    """SGD with momentum and weight decay, whose sparse gradients move the rows they hold alone.

    For a parameter (c, D) with a sparse gradient that names rows, those rows take a step of SGD:
    their own momentum, weight decay and rate. The others are neither read nor written: they keep
    their momentum until they take part again, and no weight decay reaches them meanwhile. So a step
    costs what its rows cost, and a row moves with every gradient as far as in SGD, spread over
    those steps that it takes part in. PartialFC (An et al., CVPR 2022) does the same.

    For classifiers by angle little hangs on the decay: the length of a centre changes no cosine.
    A parameter with a gradient of the usual kind takes a step of torch's SGD.

    Momentum is stored under SGD's name, so one may go on with the other's state. Under a loss scale
    (torch's GradScaler) rows are unscaled, and skipped if a gradient overflowed, as fused SGD does.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step; see torch.optim.Optimizer."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        sparse: list[tuple[torch.nn.Parameter, Tensor]] = []
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and parameter.grad.is_sparse:
                    if not self._overflowed():
                        self._step_rows(parameter, parameter.grad, group)
                    sparse.append((parameter, parameter.grad))
                    parameter.grad = None
        super().step()
        for parameter, gradient in sparse:
            parameter.grad = gradient
        return loss

    def _step_rows(
        self, parameter: torch.nn.Parameter, gradient: Tensor, group: dict[str, Any]
    ) -> None:
        rows, values = _rows_of(gradient)
        moved = parameter.index_select(0, rows)
        scale: Tensor | None = getattr(self, "grad_scale", None)
        if scale is not None:
            values = values / scale
        change = values.add(moved, alpha=group["weight_decay"])
        if group["momentum"]:
            state = self.state[parameter]
            if state.get("momentum_buffer") is None:
                state["momentum_buffer"] = torch.zeros_like(parameter)
            buffer: Tensor = state["momentum_buffer"]
            change.add_(buffer.index_select(0, rows), alpha=group["momentum"])
            buffer.index_copy_(0, rows, change)
        parameter.index_copy_(0, rows, moved.add_(change, alpha=-group["lr"]))

    def _overflowed(self) -> bool:
        """What a GradScaler found, which leaves to a fused optimiser whether it takes the step."""
        found: Tensor | None = getattr(self, "found_inf", None)
        return found is not None and bool(found)


def _rows_of(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Which rows a sparse gradient (c, D) holds, each once, and their numbers."""
    (rows,) = gradient._indices()
    # Autograd forgets that rows were coalesced; to do it again would sort and copy them.
    if bool((rows.diff() > 0).all()):
        return rows, gradient._values()
    gradient = gradient.coalesce()
    (rows,) = gradient.indices()
    return rows, gradient.values()
