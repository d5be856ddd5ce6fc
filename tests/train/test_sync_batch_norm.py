"""Batch statistics of all processes: names and numbers outside of training stay; CPUs refuse."""

import pytest
import torch
from torch import nn

from pocketface.errors import RecipeError
from pocketface.models import Backbone, create_model
from pocketface.models.weights import load_backbone, save_weights
from pocketface.preprocessing import Preprocessing
from pocketface.train.launch import carry_out
from pocketface.train.sync_batch_norm import synchronise

MODELS = {
    "pocketnet_nano": {"channels": 4},
    "iresnet_18": {"width": 0.125},
    "mobilefacenet": {},
}
GPU = torch.device("cuda")  # of which nothing but the name is asked here


def network(name: str) -> Backbone:
    generator = torch.Generator().manual_seed(0)
    return create_model(name, image_size=32, embedding_size=8, generator=generator, **MODELS[name])


@pytest.mark.parametrize("name", MODELS)
def test_names_weights_and_what_is_exported_stay(name, tmp_path):
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    plain = network(name)
    plain.train()(images)
    states = {key: value.clone() for key, value in plain.state_dict().items()}
    names = [key for key, _ in plain.named_parameters()]
    expected = plain.eval()(images)
    layers = sum(isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) for module in plain.modules())

    together = synchronise(plain, GPU)
    found = [module for module in together.modules() if isinstance(module, nn.SyncBatchNorm)]
    assert len(found) == layers > 0
    assert [key for key, _ in together.named_parameters()] == names
    assert list(together.state_dict()) == list(states)
    assert all(torch.equal(value, states[key]) for key, value in together.state_dict().items())
    assert torch.equal(together.eval()(images), expected)

    path = tmp_path / "net.safetensors"
    save_weights(together, path, preprocessing=Preprocessing(image_size=32), data="", licence="")
    again, _ = load_backbone(path)
    assert not any(isinstance(module, nn.SyncBatchNorm) for module in again.modules())
    assert torch.equal(again.eval()(images), expected)


def test_a_cpu_is_refused_by_name_before_the_run_begins(tmp_path, tiny_recipe):
    with pytest.raises(RecipeError, match=r"needs CUDA GPUs: .* 'cpu'. Set sync_batch_norm: fal"):
        carry_out(tiny_recipe(sync_batch_norm=True), tmp_path / "run", device="cpu", quiet=True)
    assert not (tmp_path / "run").exists()


def gradients(halves: list[torch.Tensor]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Of a process's half, by the mean over the processes; the sum of squares is the loss."""
    rank = torch.distributed.get_rank()
    backbone = synchronise(network("pocketnet_nano"), GPU).to("cuda").double()
    embeddings = backbone(halves[rank].to("cuda"))
    embeddings.square().sum().backward()
    found = {}
    for name, parameter in backbone.named_parameters():
        assert parameter.grad is not None
        torch.distributed.all_reduce(parameter.grad)
        found[name] = parameter.grad.cpu()
    return embeddings.detach().cpu(), found


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
def test_two_processes_on_one_gpu_are_one_that_has_the_whole_batch(two_processes):
    generator = torch.Generator().manual_seed(2)
    images = torch.randn(8, 3, 32, 32, generator=generator, dtype=torch.float64)
    plain = network("pocketnet_nano").to("cuda").double()
    expected = plain(images.to("cuda"))
    expected.square().sum().backward()
    (first, ours), (second, theirs) = two_processes(gradients, [images[:3], images[3:]])
    assert torch.allclose(torch.cat([first, second]), expected.detach().cpu())
    for name, parameter in plain.named_parameters():
        assert torch.allclose(ours[name], parameter.grad.cpu()), name
        assert torch.equal(ours[name], theirs[name])
