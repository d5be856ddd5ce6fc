"""A sharded head in 1, 2 and 4 gloo processes against the head that is whole."""

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from pocketface.heads import (
    HeadConfig,
    create_head,
    create_sharded_head,
    leave_to_itself,
    sharded_softmax,
)

pytestmark = pytest.mark.slow

SIZE, INPUTS, STEPS = 5, 6, 3
Found = dict[str, np.ndarray]


class Net(nn.Module):
    """A linear backbone and a head."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(9)
        self.backbone = nn.Linear(INPUTS, SIZE, bias=False)
        with torch.no_grad():
            self.backbone.weight.normal_(generator=generator)
        self.head = head

    def forward(self, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        loss: torch.Tensor = self.head(self.backbone(inputs), labels)
        return loss


def learn(
    kind: str, classes: int, images: int, sample: float, sharded: bool, dtype: torch.dtype
) -> Found:
    """Steps of SGD on shares of the same batches: losses, gradients, kernel, bytes held."""
    world, rank = (dist.get_world_size(), dist.get_rank()) if dist.is_initialized() else (1, 0)
    generator = torch.Generator().manual_seed(5)
    plain = HeadConfig(kind=kind, scale=8.0, margin=0.3)
    if sharded:
        config = plain.model_copy(update={"sharded": True, "sample": sample})
        head = create_sharded_head(config, SIZE, classes, generator, seed=2)
    else:
        head = create_head(plain, SIZE, classes, generator)
    net: nn.Module = Net(head).to(dtype)
    leave_to_itself(net)
    parameters = list(net.parameters())
    wrapped = DistributedDataParallel(net) if world > 1 else net
    optimiser = torch.optim.SGD(parameters, lr=0.5)
    found: Found = {}
    for step in range(STEPS):
        inputs = torch.randn(images, INPUTS, generator=generator, dtype=torch.float64).to(dtype)
        labels = torch.randint(-1, classes, (images,), generator=generator)
        share = slice(rank * images // world, (rank + 1) * images // world)
        if sharded:
            head.step = step
        optimiser.zero_grad()
        loss = wrapped(inputs[share], labels[share])
        loss.backward()
        backbone, centres = (each.grad for each in parameters)
        found |= {f"loss {step}": loss.detach().numpy(), f"backbone {step}": backbone.numpy()}
        if centres.is_sparse:
            centres = centres.to_dense()
        if sharded:
            whole = head.whole(centres)
            centres = torch.zeros(0) if whole is None else whole
        found[f"kernel {step}"] = centres.numpy().copy()
        optimiser.step()
    kernel = head.whole() if sharded else head.kernel.detach()
    found["kernel"] = np.zeros(0) if kernel is None else kernel.numpy()
    found["bytes"] = np.array(sum(each.numel() * each.element_size() for each in parameters[1:]))
    return found


def same(found: list[Found], wanted: Found, tolerance: float) -> None:
    """All processes found what is wanted, but for the rounding of the larger numbers."""
    for number, each in enumerate(found):
        for name, value in wanted.items():
            if name != "bytes" and (number == 0 or "kernel" not in name):
                error = np.abs(each[name] - value).max() / max(1.0, np.abs(value).max())
                assert error <= tolerance, name


@pytest.mark.parametrize("kind", ["arcface", "cosface"])
@pytest.mark.parametrize("world", [2, 4])
# With three classes one of four processes has none; thirteen images are uneven shares.
@pytest.mark.parametrize("classes", [3, 21])
def test_processes_together_are_the_whole_head(processes, kind, world, classes):
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-6)):
        wanted = learn(kind, classes, 13, 1.0, False, dtype)
        same(processes(world, learn, kind, classes, 13, 1.0, True, dtype), wanted, tolerance)


@pytest.mark.parametrize("world", [2, 4])
def test_processes_draw_what_one_draws(processes, world):
    wanted = learn("arcface", 41, 8, 0.3, True, torch.float64)
    assert (wanted["kernel 0"] == 0).all(0).sum() > 20
    same(processes(world, learn, "arcface", 41, 8, 0.3, True, torch.float64), wanted, 1e-12)


def test_memory_falls_with_the_number_of_processes(processes):
    one = learn("arcface", 64, 4, 1.0, True, torch.float32)["bytes"]
    assert one == 4 * 64 * SIZE
    for world in (2, 4):
        found = processes(world, learn, "arcface", 64, 4, 1.0, True, torch.float32)
        assert [int(each["bytes"]) for each in found] == [one // world] * world


def blockwise(kept: int) -> Found:
    sharded_softmax.BLOCK, sharded_softmax.LOGITS = 30, kept
    try:
        return learn("arcface", 21, 13, 1.0, True, torch.float64)
    finally:
        sharded_softmax.BLOCK, sharded_softmax.LOGITS = 2**24, 2**27


@pytest.mark.parametrize("kept", [0, 2**20])
def test_processes_that_compute_in_blocks(processes, kept):
    wanted = learn("arcface", 21, 13, 1.0, False, torch.float64)
    same(processes(2, blockwise, kept), wanted, 1e-12)


def refuse() -> str:
    """Both processes hear of a label that one of them has."""
    head = create_sharded_head(HeadConfig(sharded=True), SIZE, 4)
    try:
        head(torch.randn(2, SIZE), torch.full((2,), 4 * dist.get_rank()))
    except ValueError as error:
        return str(error)
    return ""


def test_a_label_that_is_no_class_is_refused_by_all(processes):
    for said in processes(2, refuse):
        assert "below the number of classes, 4. Got 4" in said
