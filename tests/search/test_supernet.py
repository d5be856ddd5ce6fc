"""The searched network: sizes, parameters, first values, and what it refuses."""

import pytest
import torch

from pocketface.errors import RecipeError
from pocketface.search.architecture import ArchitectureWeights
from pocketface.search.supernet import SearchCell, Supernet

TINY = {
    "image_size": 16,
    "channels": 2,
    "cells": 4,
    "hidden": 8,
    "groups": 4,
    "embedding_size": 6,
}


def counted(image: int, c: int, cells: int, hidden: int, groups: int, size: int) -> int:
    """Parameters by arithmetic, from the definition of the primitives."""

    def separable(into: int, out: int, kernel: int) -> int:
        return into + into * kernel**2 + into * out

    total = 3 * 9 * 3 * c + 2 * 3 * c
    reductions = (cells // 3, 2 * cells // 3, cells - 1)
    before, previous, reduced = 3 * c, 3 * c, False
    for index in range(cells):
        reduces = index in reductions
        c *= 2 if reduces else 1
        factorised = before + 2 * before + before * c
        total += factorised if reduced else separable(before, c, 1)
        total += separable(previous, c, 1)
        total += 14 * sum(separable(c, c, kernel) for kernel in (1, 3, 5, 7))
        # Edges from an input skip by a factorised reduction.
        total += 8 * (c + 2 * c + c * c) if reduces else 0
        before, previous, reduced = previous, 4 * c, reduces
    total += previous + previous * hidden + 2 * hidden + hidden
    total += hidden * hidden // groups * (image // 16) ** 2 + 2 * hidden
    return total + hidden * size + 2 * size


@pytest.mark.parametrize("sizes", [(16, 2, 4, 8, 4, 6), (32, 4, 6, 16, 8, 5)])
def test_parameters_are_those_of_the_definition(sizes) -> None:
    network = Supernet(**dict(zip(TINY, sizes, strict=True)))
    assert sum(parameter.numel() for parameter in network.parameters()) == counted(*sizes)


def test_the_papers_sizes_are_the_defaults() -> None:
    with torch.device("meta"):
        network = Supernet()
    assert sum(p.numel() for p in network.parameters()) == counted(112, 16, 8, 512, 128, 128)
    assert [cell.reduces for cell in network.cells] == [index in (2, 5, 7) for index in range(8)]
    assert network.tail[4].kernel_size == (7, 7)
    assert network.tail[4].groups == 128
    assert network.stem[0].out_channels == 48
    affine = [name for name, m in network.named_modules() if getattr(m, "affine", False)]
    assert affine == ["stem.1", "tail.2", "tail.5", "tail.7"]


def test_it_embeds_and_every_parameter_but_those_of_none_has_a_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    network = Supernet(**TINY, generator=generator)
    architecture = ArchitectureWeights(generator=generator)
    embedding = network(torch.randn(4, 3, 16, 16, generator=generator), *architecture.softmax())
    assert embedding.shape == (4, 6)
    embedding.square().sum().backward()
    for name, parameter in [*network.named_parameters(), *architecture.named_parameters()]:
        assert parameter.grad is not None, name


def test_first_values_come_from_the_generator_and_have_the_bound_of_kaiming() -> None:
    first, again = (Supernet(**TINY, generator=torch.Generator().manual_seed(1)) for _ in "12")
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    cell = first.cells[1]
    assert isinstance(cell, SearchCell)
    assert cell.reduces
    skips = cell.edges[0].skips
    for weight, inputs in ((skips.depthwise, 1), (skips.pointwise, 4)):
        bound = (6 / inputs) ** 0.5
        assert 0.6 * bound < float(weight.detach().abs().max()) <= bound


def test_a_skip_scale_reaches_its_cell_and_edge() -> None:
    generator = torch.Generator().manual_seed(2)
    network = Supernet(**TINY, generator=generator).eval()
    weights = ArchitectureWeights(generator=generator).softmax()
    images = torch.randn(2, 3, 16, 16, generator=generator)
    scale = torch.ones(2, 4, 14)
    plain = network(images, *weights)
    torch.testing.assert_close(network(images, *weights, scale), plain)
    scale[1, 3, 7] = 0
    changed = network(images, *weights, scale)
    torch.testing.assert_close(changed[0], plain[0])
    assert not torch.allclose(changed[1], plain[1])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"image_size": 24}, "multiple of 16"),
        ({"channels": 3}, "even"),
        ({"cells": 3}, "at least 4"),
        ({"groups": 3}, "multiple of groups"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(wrong: dict[str, int], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        Supernet(**(TINY | wrong))
