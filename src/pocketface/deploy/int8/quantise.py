"""From a network and faces to its graph in 8 bits: ranges, fine-tuning, sensitive layers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pocketface.deploy.fold import fold
from pocketface.deploy.graph import Graph
from pocketface.deploy.int8.border import AUTO, find_border
from pocketface.deploy.int8.calibrate import Method, find_grids
from pocketface.deploy.int8.finetune import fine_tune
from pocketface.deploy.int8.grid import Plan
from pocketface.deploy.int8.network import GraphNetwork
from pocketface.deploy.int8.prepare import prepare
from pocketface.deploy.int8.sensitive import (
    leave_first_in_float,
    leave_sensitive_in_float,
)
from pocketface.deploy.trace import trace_graph
from pocketface.embedding.normalise import normalise_faces
from pocketface.errors import RecipeError
from pocketface.models import Backbone
from pocketface.preprocessing import Preprocessing

LEAST_COSINE = 0.98
"""Mean cosine to the float network, on held-out faces, under which a file is refused: ours."""

AIM = 0.99
"""Mean cosine, on the faces that set the ranges, at which no more layers go back to float."""

_JUDGES = 16
"""Faces that rank the layers: each layer is run on all of them."""

_BATCH = 16

Progress = Callable[[str, int, int], None]
"""Told what is done, how many of it, and of how many."""


@dataclass(frozen=True)
class Int8Options:
    """How a network is brought to 8 bits.

    Attributes:
        calibrate: `synthetic[:N]`, a folder per person, or a `.rec`.
        fine_tune: steps of fine-tuning; 0 for none.
        ranges: how the range of a map is chosen.
        allow_loss: write a file that lost more than `LEAST_COSINE` allows.
        begin: the network's module with which 8 bits begin, what is before it being in float;
            'start' for the first one, 'auto' for where it costs least time.

    Raises RecipeError for a negative number of steps.
    """

    calibrate: str = "synthetic"
    fine_tune: int = 0
    ranges: Method = "mse"
    allow_loss: bool = False
    begin: str = AUTO

    def __post_init__(self) -> None:
        if self.fine_tune < 0:
            raise RecipeError(f"fine_tune must be at least 0 steps, got {self.fine_tune}.")


def quantise(
    backbone: Backbone,
    preprocessing: Preprocessing,
    faces: npt.NDArray[np.uint8],
    options: Int8Options,
    generator: torch.Generator,
    progress: Progress = lambda task, done, of: None,
) -> tuple[Graph, Plan]:
    """The graph of `backbone` in operations of 8 bits, and what of it is rounded how.

    `faces`, uint8 (N, S, S, 3), set the ranges, teach, and judge which layers stay in float: what
    takes the images always does, and what is before the border.

    Raises RecipeError where 8 bits are to begin with no module of the network.
    """
    graph = trace_graph(backbone)
    fold(graph)
    border = find_border(graph, options.begin, preprocessing.image_size)
    early = prepare(graph, border)
    images = torch.from_numpy(normalise_faces(faces, preprocessing))

    def batches() -> Iterator[Tensor]:
        yield from torch.split(images, _BATCH)

    grids = find_grids(graph, batches, options.ranges)
    plan = leave_first_in_float(graph, Plan(grids, early, early))
    judges = images[:_JUDGES]
    with torch.no_grad():
        wanted = GraphNetwork(graph).eval()(judges)
    if options.fine_tune:
        graph = fine_tune(
            graph,
            plan,
            images,
            options.fine_tune,
            generator,
            lambda done, of: progress("Fine-tuning", done, of),
        )
    plan = leave_sensitive_in_float(
        graph,
        plan,
        judges,
        wanted,
        AIM,
        lambda done, of: progress("Finding sensitive layers", done, of),
    )
    return graph, plan
