"""PocketNet against the published names and counts, and against a plain functional computation."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pocketface.errors import RecipeError
from pocketface.models import PocketNet, create_model, outline_model
from pocketface.models.genotype import PRESETS, Genotype
from pocketface.models.pocketnet import tail_width

State = dict[str, Tensor]


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("pocketnet_s_128", 925_632),
        ("pocketnet_s_256", 991_424),
        ("pocketnet_m_128", 1_686_656),
        ("pocketnet_m_256", 1_752_448),
        ("pocketnet_nano", 261_536),
    ],
)
def test_parameter_counts(name: str, parameters: int) -> None:
    assert sum(p.numel() for p in outline_model(name).parameters()) == parameters


def published_names(cells: int, genotype: Genotype) -> list[str]:
    """Write down a published checkpoint's names from the rules of the released weights."""

    def norm(prefix: str) -> list[str]:
        ends = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
        return [f"{prefix}.{end}" for end in ends]

    def separable(prefix: str) -> list[str]:
        return [f"{prefix}.net.{i}.weight" for i in range(3)] + norm(f"{prefix}.net.3")

    def reduction(prefix: str) -> list[str]:
        layers = ("relu", "conv11", "conv12", "conv21", "conv22")
        return [f"{prefix}.{layer}.weight" for layer in layers] + norm(f"{prefix}.bn")

    names = ["stem.0.weight", *norm("stem.1")]
    reductions = {cells // 3, 2 * cells // 3, cells - 1}
    for i in range(cells):
        after = i - 1 in reductions
        names += (reduction if after else separable)(f"cells.{i}.preproc0")
        names += separable(f"cells.{i}.preproc1")
        edges = genotype.reduce if i in reductions else genotype.normal
        for position, (primitive, index) in enumerate(edges):
            prefix = f"cells.{i}.dag.{position // 2}.{position % 2}"
            if primitive.startswith("dw_conv"):
                names += separable(prefix)
            elif "pool" in primitive:
                names += norm(f"{prefix}.bn")
            elif i in reductions and index < 2:
                names += reduction(prefix)
    names += ["tail.0.weight", "tail.1.weight", *norm("tail.2"), "tail.3.weight"]
    return [*names, "tail.4.weight", *norm("tail.5"), "tail.6.weight", *norm("tail.7")]


@pytest.mark.parametrize("genotype", ["faces", "cifar10"])
@pytest.mark.parametrize("name", ["pocketnet_s_128", "pocketnet_m_256"])
def test_names_of_the_published_checkpoints(name: str, genotype: str) -> None:
    network = outline_model(name, genotype=genotype)
    cells = 18 if "_s_" in name else 9
    names = list(network.state_dict())
    assert names == published_names(cells, PRESETS[genotype])
    if (name, genotype) == ("pocketnet_s_128", "faces"):
        assert len(names) == 1275


def test_shapes_that_a_published_checkpoint_holds() -> None:
    shapes = {k: tuple(v.shape) for k, v in outline_model("pocketnet_s_128").state_dict().items()}
    assert shapes["stem.0.weight"] == (64, 3, 3, 3)
    assert shapes["cells.0.preproc0.net.1.weight"] == (64, 1, 1, 1)
    assert shapes["cells.0.preproc0.net.2.weight"] == (16, 64, 1, 1)
    assert shapes["cells.6.dag.0.1.net.1.weight"] == (32, 1, 7, 7)
    assert shapes["cells.7.preproc0.conv12.weight"] == (16, 64, 1, 1)
    assert shapes["tail.1.weight"] == (512, 512, 1, 1)
    assert shapes["tail.4.weight"] == (512, 1, 7, 7)
    assert shapes["tail.6.weight"] == (128, 512, 1, 1)


def norm(state: State, name: str, x: Tensor) -> Tensor:
    mean, variance = state[f"{name}.running_mean"], state[f"{name}.running_var"]
    return F.batch_norm(x, mean, variance, state[f"{name}.weight"], state[f"{name}.bias"])


def depthwise(state: State, name: str, x: Tensor, stride: int = 1) -> Tensor:
    weight = state[f"{name}.weight"]
    return F.conv2d(x, weight, None, stride, weight.shape[-1] // 2, groups=len(weight))


def separable(state: State, name: str, x: Tensor, stride: int = 1) -> Tensor:
    x = F.prelu(x, state[f"{name}.net.0.weight"])
    x = F.conv2d(depthwise(state, f"{name}.net.1", x, stride), state[f"{name}.net.2.weight"])
    return norm(state, f"{name}.net.3", x)


def reduction(state: State, name: str, x: Tensor) -> Tensor:
    x = F.prelu(x, state[f"{name}.relu.weight"])
    halves = [
        F.conv2d(
            depthwise(state, f"{name}.conv{half + 1}1", x[:, :, half:, half:], 2),
            state[f"{name}.conv{half + 1}2.weight"],
        )
        for half in range(2)
    ]
    return norm(state, f"{name}.bn", torch.cat(halves, 1))


def functional_pocketnet(state: State, genotype: Genotype, cells: int, x: Tensor) -> list[Tensor]:
    """The network written out with plain functions, unfolded; gives all cells and the embedding."""
    stem = norm(state, "stem.1", F.conv2d(x, state["stem.0.weight"], None, 2, 1))
    outputs = [stem, stem]
    reductions = (cells // 3, 2 * cells // 3, cells - 1)
    for i in range(cells):
        first = (reduction if i - 1 in reductions else separable)(
            state, f"cells.{i}.preproc0", outputs[-2]
        )
        maps = [first, separable(state, f"cells.{i}.preproc1", outputs[-1])]
        edges = genotype.reduce if i in reductions else genotype.normal
        for node in range(4):
            total = torch.zeros(())
            for e, (primitive, index) in enumerate(edges[2 * node : 2 * node + 2]):
                stride = 2 if i in reductions and index < 2 else 1
                name, y = f"cells.{i}.dag.{node}.{e}", maps[index]
                if primitive.startswith("dw_conv"):
                    y = separable(state, name, y, stride)
                elif primitive == "max_pool_3x3":
                    y = norm(state, f"{name}.bn", F.max_pool2d(y, 3, stride, 1))
                elif primitive == "avg_pool_3x3":
                    y = F.avg_pool2d(y, 3, stride, 1, count_include_pad=False)
                    y = norm(state, f"{name}.bn", y)
                elif stride == 2:
                    y = reduction(state, name, y)
                total = total + y
            maps.append(total)
        outputs.append(torch.cat(maps[2:], 1))
    y = F.conv2d(F.prelu(outputs[-1], state["tail.0.weight"]), state["tail.1.weight"])
    y = F.prelu(norm(state, "tail.2", y), state["tail.3.weight"])
    y = norm(state, "tail.5", F.conv2d(y, state["tail.4.weight"], groups=y.shape[1]))
    y = norm(state, "tail.7", F.conv2d(y, state["tail.6.weight"]))
    return [*outputs[2:], y.flatten(1)]


SKIPS = Genotype(
    normal=tuple(PRESETS["cifar10"].normal),
    reduce=(("skip_connect", 0), ("avg_pool_3x3", 1), *PRESETS["faces"].reduce[2:]),
)


@pytest.mark.parametrize("genotype", [PRESETS["faces"], PRESETS["cifar10"], SKIPS])
@pytest.mark.parametrize("cells", [4, 6, 9])
def test_forward_is_the_plain_computation(genotype: Genotype, cells: int, scramble) -> None:
    network = create_model(
        "pocketnet_s_128", embedding_size=10, image_size=48, channels=4, cells=cells,
        genotype=genotype,
    ).double()  # fmt: skip
    scramble(network)
    network.eval()
    x = torch.randn(2, 3, 48, 48, generator=torch.Generator().manual_seed(1)).double()
    with torch.no_grad():
        *maps, expected = functional_pocketnet(network.state_dict(), genotype, cells, x)
        embedding, stages = network.forward_stages(x)
        torch.testing.assert_close(network(x), expected)
    torch.testing.assert_close(embedding, expected)
    # The last cell at each size: before each reduction cell, and the very last.
    ends = [cells // 3 - 1, 2 * cells // 3 - 1, cells - 2, cells - 1]
    assert [stage.shape[-1] for stage in stages] == [24, 12, 6, 3]
    for stage, end in zip(stages, ends, strict=True):
        torch.testing.assert_close(stage, maps[end])


@pytest.mark.parametrize(
    ("embedding", "width"), [(64, 512), (128, 512), (256, 512), (512, 1024), (300, 600)]
)
def test_tail_width(embedding: int, width: int) -> None:
    assert tail_width(embedding) == width
    network = outline_model("pocketnet_s_128", embedding_size=embedding)
    assert network.state_dict()["tail.6.weight"].shape == (embedding, width, 1, 1)


def test_initialisation_is_kaiming_uniform() -> None:
    network = create_model("pocketnet_s_128", generator=torch.Generator().manual_seed(0))
    state = network.state_dict()
    # The bound is sqrt(6 / inputs of one output); 262,144 draws come close to it.
    bound = (6 / 512) ** 0.5
    weight = state["tail.1.weight"]
    assert 0.999 * bound < weight.abs().max() <= bound
    assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.01)
    assert torch.equal(state["tail.0.weight"], torch.full((512,), 0.25))
    assert torch.equal(state["tail.2.weight"], torch.ones(512))
    assert torch.equal(state["tail.2.running_var"], torch.ones(512))
    assert torch.equal(state["tail.2.bias"], torch.zeros(512))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 3}, "channels must be even, got 3"),
        ({"channels": 0}, "channels must be a whole number of at least 2, got 0"),
        ({"cells": 3}, "cells must be a whole number of at least 4, got 3"),
        ({"cells": 6.0}, r"cells must be .*, got 6\.0"),
        ({"image_size": 100}, "multiple of 16, got 100. The nearest are 96 and 112"),
        ({"image_size": 0}, "image_size must be a whole number of at least 16, got 0"),
        ({"embedding_size": 0}, "embedding_size must be .*, got 0"),
        ({"genotype": "imagenet"}, "Unknown genotype 'imagenet'"),
    ],
)
def test_values_out_of_range(options: dict, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        outline_model("pocketnet_nano", **options)


def test_wrong_images_are_refused() -> None:
    network = create_model("pocketnet_nano")
    assert isinstance(network, PocketNet)
    for shape in [(3, 64, 64), (1, 3, 112, 112), (1, 1, 64, 64), (1, 64, 64, 3)]:
        with pytest.raises(ValueError, match=r"images of shape \(N, 3, 64, 64\), got"):
            network(torch.zeros(shape))
