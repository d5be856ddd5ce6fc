"""IResNet against the names of arcface_torch and against a plain functional computation."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pocketface.errors import RecipeError
from pocketface.models import create_model, outline_model

LAYERS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 14, 3),
    90: (3, 8, 30, 3),
    100: (3, 13, 30, 3),
}


@pytest.mark.parametrize(
    ("depth", "parameters"),
    [
        (18, 24_025_600),
        (34, 34_139_328),
        (50, 43_590_848),
        (90, 63_677_120),
        (100, 65_156_160),
    ],
)
def test_parameter_counts(depth: int, parameters: int) -> None:
    network = outline_model(f"iresnet_{depth}")
    assert sum(p.numel() for p in network.parameters()) == parameters


def norm_names(prefix: str) -> list[str]:
    ends = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    return [f"{prefix}.{end}" for end in ends]


@pytest.mark.parametrize("depth", LAYERS)
def test_names_of_arcface_torch(depth: int) -> None:
    names = ["conv1.weight", *norm_names("bn1"), "prelu.weight"]
    for stage, blocks in enumerate(LAYERS[depth], start=1):
        for block in range(blocks):
            prefix = f"layer{stage}.{block}"
            names += [*norm_names(f"{prefix}.bn1"), f"{prefix}.conv1.weight"]
            names += [*norm_names(f"{prefix}.bn2"), f"{prefix}.prelu.weight"]
            names += [f"{prefix}.conv2.weight", *norm_names(f"{prefix}.bn3")]
            if block == 0:
                names += [f"{prefix}.downsample.0.weight", *norm_names(f"{prefix}.downsample.1")]
    names += [*norm_names("bn2"), "fc.weight", "fc.bias", *norm_names("features")]
    assert sorted(outline_model(f"iresnet_{depth}").state_dict()) == sorted(names)


def functional_iresnet(
    state: dict[str, Tensor], blocks: tuple[int, ...], x: Tensor, *, stride_in_second: bool
) -> list[Tensor]:
    """The network written out with plain functions; gives the stages and the embedding."""

    def norm(name: str, y: Tensor) -> Tensor:
        mean, variance = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        return F.batch_norm(y, mean, variance, state[f"{name}.weight"], state[f"{name}.bias"])

    def conv(name: str, y: Tensor, stride: int = 1) -> Tensor:
        weight = state[f"{name}.weight"]
        return F.conv2d(y, weight, None, stride, weight.shape[-1] // 2)

    x = F.prelu(norm("bn1", conv("conv1", x)), state["prelu.weight"])
    stages = []
    for stage, count in enumerate(blocks, start=1):
        for block in range(count):
            name = f"layer{stage}.{block}"
            stride = 2 if block == 0 else 1
            first, second = (1, stride) if stride_in_second else (stride, 1)
            y = conv(f"{name}.conv1", norm(f"{name}.bn1", x), first)
            y = F.prelu(norm(f"{name}.bn2", y), state[f"{name}.prelu.weight"])
            y = norm(f"{name}.bn3", conv(f"{name}.conv2", y, second))
            if block == 0:
                x = norm(f"{name}.downsample.1", conv(f"{name}.downsample.0", x, stride))
            x = x + y
        stages.append(x)
    x = F.linear(norm("bn2", x).flatten(1), state["fc.weight"], state["fc.bias"])
    return [*stages, norm("features", x)]


@pytest.mark.parametrize("image_size", [32, 48])
def test_forward_is_the_plain_computation(image_size: int, scramble) -> None:
    network = create_model(
        "iresnet_18", embedding_size=6, image_size=image_size, width=0.125, blocks=(2, 1, 2, 1)
    ).double()
    scramble(network)
    network.eval()
    shape = (2, 3, image_size, image_size)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1)).double()
    state = dict(network.state_dict())
    with torch.no_grad():
        embedding, stages = network.forward_stages(x)
        right = functional_iresnet(state, (2, 1, 2, 1), x, stride_in_second=True)
        wrong = functional_iresnet(state, (2, 1, 2, 1), x, stride_in_second=False)
    for found, expected, other in zip([*stages, embedding], right, wrong, strict=True):
        torch.testing.assert_close(found, expected)
        assert found.shape == other.shape
        assert not torch.allclose(found, other, rtol=0.01, atol=0.01)


def test_the_scale_of_the_features_is_fixed_at_1() -> None:
    network = create_model("iresnet_18", image_size=32, width=0.125)
    weight = network.get_parameter("features.weight")
    assert not weight.requires_grad
    assert torch.equal(weight, torch.ones(512))
    others = [n for n, p in network.named_parameters() if not p.requires_grad]
    assert others == ["features.weight"]


def test_initialisation() -> None:
    generator = torch.Generator().manual_seed(0)
    state = create_model("iresnet_18", image_size=32, generator=generator).state_dict()
    assert state["layer4.1.conv2.weight"].std().item() == pytest.approx(0.1, rel=0.01)
    bound = (512 * 2 * 2) ** -0.5
    assert 0.999 * bound < state["fc.weight"].abs().max() <= bound
    assert not state["fc.bias"].any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0.01}, r"at least 0\.0625, got 0\.01"),
        ({"width": "half"}, "got 'half'"),
        ({"blocks": (2, 2, 2)}, "four numbers"),
        ({"blocks": (2, 2, 0, 2)}, "each of blocks must be .* at least 1, got 0"),
        ({"image_size": 100}, "multiple of 16"),
    ],
)
def test_values_out_of_range(options: dict, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        outline_model("iresnet_18", **options)
