"""What fine-tuning gives back of what 8 bits lose: `python experiments/int8_fine_tuned.py WEIGHTS`.

All is in 8 bits from the first layer. Ranges come from the first 64 synthetic faces, all of them
teach, and 48 others are measured: the cosine of the rounded network's embeddings to the float
network's, before and after, for each seed. WEIGHTS is a .safetensors with its card.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pocketface.deploy.fold import fold
from pocketface.deploy.int8.border import START, find_border
from pocketface.deploy.int8.calibrate import find_grids
from pocketface.deploy.int8.faces import read_calibration_faces
from pocketface.deploy.int8.finetune import fine_tune
from pocketface.deploy.int8.grid import Plan
from pocketface.deploy.int8.network import GraphNetwork
from pocketface.deploy.int8.prepare import prepare
from pocketface.deploy.int8.sensitive import leave_first_in_float
from pocketface.deploy.trace import trace_graph
from pocketface.embedding.normalise import normalise_faces
from pocketface.models.weights import load_backbone

RANGES = 64
"""Faces that set the ranges."""


def main() -> None:
    """Print a line before fine-tuning, and one after it for each seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--faces", type=int, default=256)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    torch.set_num_threads(1)
    backbone, card = load_backbone(options.weights)
    preprocessing = card.preprocessing
    faces = read_calibration_faces(
        f"synthetic:{options.faces}", preprocessing.image_size, np.random.default_rng(0)
    )
    seen, held_out = (
        torch.from_numpy(normalise_faces(part, preprocessing))
        for part in (faces.seen, faces.held_out)
    )
    graph = trace_graph(backbone)
    fold(graph)
    early = prepare(graph, find_border(graph, START, preprocessing.image_size))
    grids = find_grids(graph, lambda: torch.split(seen[:RANGES], 16), "mse")
    plan = leave_first_in_float(graph, Plan(grids, early, early))
    wanted = embed(GraphNetwork(graph), held_out)

    def cosines(network: GraphNetwork) -> str:
        found = torch.cosine_similarity(embed(network, held_out), wanted)
        return f"mean cosine {found.mean():.6f}, least {found.min():.6f} of {len(found)} faces"

    print(f"before: {cosines(GraphNetwork(graph, plan))}", flush=True)
    for seed in options.seeds:
        begin = time.process_time()
        generator = torch.Generator().manual_seed(seed)
        tuned = fine_tune(graph, plan, seen, options.steps, generator)
        print(
            f"seed {seed}, {options.steps} steps, {time.process_time() - begin:.0f} s: "
            f"{cosines(GraphNetwork(tuned, plan))}",
            flush=True,
        )


def embed(network: GraphNetwork, images: Tensor) -> Tensor:
    """Embeddings float64 (N, D) of images float32 (N, 3, S, S)."""
    with torch.no_grad():
        return torch.cat([network.eval()(part) for part in images.split(16)]).double()


if __name__ == "__main__":
    main()
