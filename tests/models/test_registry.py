import pytest
import torch

from pocketface.errors import RecipeError
from pocketface.models import Backbone, create_model, list_models, outline_model
from pocketface.models.registry import register


def smallest(name: str) -> Backbone:
    """The model with all its layers, at 32 pixels, but thin where it can be."""
    thin: dict[str, float] = {}
    if name.startswith("iresnet"):
        thin = {"width": 0.125}
    elif name.startswith("pocketnet"):
        thin = {"channels": 4}
    generator = torch.Generator().manual_seed(0)
    return create_model(name, image_size=32, embedding_size=20, generator=generator, **thin)


@pytest.mark.parametrize("name", list_models())
def test_every_model_at_its_own_size(name: str) -> None:
    network = outline_model(name)
    size = network.image_size
    embedding, stages = network.eval().forward_stages(torch.empty(2, 3, size, size, device="meta"))
    assert embedding.shape == (2, network.embedding_size)
    assert [tuple(stage.shape) for stage in stages] == [
        (2, channels, size // stride, size // stride)
        for channels, stride in zip(network.stage_channels, (2, 4, 8, 16), strict=True)
    ]
    if name.startswith(("pocketnet_s", "iresnet")):
        assert network.stage_channels == (64, 128, 256, 512)
        assert [stage.shape[-1] for stage in stages] == [56, 28, 14, 7]


@pytest.mark.parametrize("name", list_models())
def test_every_model_computes_and_is_rebuilt_by_its_options(name: str) -> None:
    network = smallest(name)
    assert network.architecture == name
    assert network.training
    assert (network.embedding_size, network.image_size) == (20, 32)
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    embedding = network(images)
    assert embedding.shape == (2, 20)
    assert embedding.dtype == torch.float32
    embedding.square().sum().backward()
    lost = [n for n, p in network.named_parameters() if p.requires_grad and p.grad is None]
    assert not lost
    again = create_model(name, **network.options)
    again.load_state_dict(network.state_dict())
    network.eval()
    again.eval()
    torch.testing.assert_close(again(images), network(images))
    torch.testing.assert_close(network.forward_stages(images)[0], network(images))


@pytest.mark.parametrize("name", ["pocketnet_nano", "iresnet_18"])
def test_the_generator_alone_decides_the_parameters(name: str) -> None:
    before = torch.get_rng_state()
    first, second = smallest(name).state_dict(), smallest(name).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    other = create_model("pocketnet_nano", generator=torch.Generator().manual_seed(1))
    again = create_model("pocketnet_nano", generator=torch.Generator().manual_seed(2))
    assert not torch.equal(other.get_parameter("stem.0.weight"), again.stem[0].weight)


def test_list_models_takes_a_shell_pattern() -> None:
    assert list_models("pocketnet_s_*") == ["pocketnet_s_128", "pocketnet_s_256"]
    assert list_models("*_128") == ["pocketnet_m_128", "pocketnet_s_128"]
    assert list_models("resnet") == []
    assert list_models() == sorted(list_models())
    assert len(list_models()) >= 10


def test_unknown_names_and_options() -> None:
    with pytest.raises(
        RecipeError, match=r"Unknown model 'pocketnet_s128'\. Did you mean 'pocketn"
    ):
        create_model("pocketnet_s128")
    with pytest.raises(RecipeError, match=r"Unknown model '\?\?\?'\. Models: iresnet_100"):
        create_model("???")
    with pytest.raises(
        RecipeError,
        match=r"pocketnet_nano has no option 'layers', 'width'\. "
        "Allowed: embedding_size, image_size, channels, cells, genotype",
    ):
        create_model("pocketnet_nano", width=2, layers=3)


def test_a_name_is_given_once() -> None:
    with pytest.raises(ValueError, match="registered already"):
        register("pocketnet_nano")(Backbone)
