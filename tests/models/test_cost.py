import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from pocketface.models import IResNet, create_model, outline_model
from pocketface.models.cost import measure_cost


@pytest.mark.parametrize(
    ("name", "mmacs", "paper_flops"),
    [
        ("pocketnet_s_128", 283.54, 587_110_016),
        ("pocketnet_s_256", 283.61, 587_241_344),
        ("pocketnet_m_128", 538.22, 1_099_024_384),
        ("pocketnet_m_256", 538.28, 1_099_155_712),
    ],
)
def test_published_figures(name: str, mmacs: float, paper_flops: int) -> None:
    cost = measure_cost(outline_model(name))
    assert round(cost.macs / 1e6, 2) == mmacs
    assert cost.paper_flops == paper_flops


@pytest.mark.parametrize("name", ["iresnet_18", "iresnet_50"])
def test_macs_agree_with_torch(name: str) -> None:
    """Nothing is folded in an IResNet, so that torch's own counter must agree."""
    network = outline_model(name, image_size=32, width=0.25).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.empty(1, 3, 32, 32, device="meta"))
    assert 2 * measure_cost(network).macs == counter.get_total_flops()


def test_a_network_by_hand() -> None:
    """One stage of each kind, counted on paper: 4 x 4 channels, 16 x 16 pixels."""
    network = outline_model(
        "iresnet_18", embedding_size=3, image_size=16, width=0.0625, blocks=(1, 1, 1, 1)
    )
    assert isinstance(network, IResNet)
    macs = 16 * 16 * 4 * 27
    others = (2 + 1) * 4 * 256
    channels, side = 4, 16
    for out in (4, 8, 16, 32):
        half = side // 2
        macs += side**2 * out * channels * 9 + half**2 * out * out * 9 + half**2 * out * channels
        others += 2 * side**2 * channels + (2 + 1) * side**2 * out + 2 * 2 * half**2 * out
        channels, side = out, half
    macs += 32 * 3
    others += 2 * 32 + 2 * 3
    cost = measure_cost(network)
    assert (cost.macs, cost.paper_flops) == (macs, 2 * macs + others)


def test_pools_cost_nine_per_output_element() -> None:
    """Two genotypes that differ in one edge: a max pool in place of an identity."""
    with_skip = (
        ("dw_conv_3x3", 0), ("dw_conv_1x1", 1), ("dw_conv_3x3", 2), ("dw_conv_5x5", 0),
        ("dw_conv_3x3", 3), ("dw_conv_3x3", 0), ("dw_conv_3x3", 4), ("skip_connect", 0),
    )  # fmt: skip
    with_pool = (*with_skip[:7], ("avg_pool_3x3", 0))
    costs = []
    for normal in (with_skip, with_pool):
        reduce = [["max_pool_3x3", 0], ["max_pool_3x3", 1]] * 4
        genotype = {"normal": normal, "reduce": reduce}
        network = outline_model(
            "pocketnet_nano", image_size=32, channels=2, cells=4, genotype=genotype
        )
        costs.append(measure_cost(network))
    # With four cells only the first is normal: 2 channels, 16 x 16 pixels; the pool brings a BN.
    assert costs[1].macs == costs[0].macs
    assert costs[1].paper_flops - costs[0].paper_flops == (9 + 2) * 2 * 16 * 16
    assert costs[1].parameters - costs[0].parameters == 2 * 2


def test_the_network_stays_as_it_was() -> None:
    network = create_model("pocketnet_nano", image_size=32, channels=2, cells=4)
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert measure_cost(network) == measure_cost(network)
    assert network.training
    assert not any(module._forward_hooks for module in network.modules())
    torch.testing.assert_close(network.state_dict(), state)


def test_larger_images_cost_more() -> None:
    small, large = (measure_cost(outline_model("pocketnet_nano", image_size=s)) for s in (32, 64))
    assert large.macs > 3.5 * small.macs


def test_unknown_layers_are_not_passed_over() -> None:
    class Scaled(IResNet):
        def __init__(self) -> None:
            super().__init__(embedding_size=4, image_size=16, blocks=(1, 1, 1, 1), width=0.0625)
            self.upsample = nn.ConvTranspose2d(3, 3, 1)

    with pytest.raises(TypeError, match="does not know the layer ConvTranspose2d"):
        measure_cost(Scaled())
