"""The yardstick of bench/train.py takes the very step that ours takes."""

import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from lightning_fabric import Fabric

from pocketface.models import create_model
from pocketface.models.weights import save_weights
from pocketface.preprocessing import Preprocessing
from pocketface.train.loop import Trainer

BENCH = Path(__file__).parents[2] / "bench"
TEACHER = {"blocks": [1, 2, 1, 1], "width": 0.125}


@pytest.fixture
def yardstick(monkeypatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCH))
    monkeypatch.delitem(sys.modules, "naive_train", raising=False)
    import naive_train

    return naive_train


@pytest.mark.parametrize("taught", [False, True])
def test_two_steps_have_equal_losses_gradients_and_weights(
    tmp_path, tiny_recipe, yardstick, taught
):
    sections = {
        "head": {"kind": "arcface", "scale": 64, "margin": 0.5},
        "augment": {"mirror": False, "shift": 0, "brightness": 0, "contrast": 0},
        "optimiser": {"weight_decay": 5e-4, "clip_norm": 5},
    }
    distill = None
    if taught:
        teacher = create_model("iresnet_18", embedding_size=16, image_size=32, **TEACHER)
        path = tmp_path / "teacher.safetensors"
        usual = Preprocessing(image_size=32)
        save_weights(teacher, path, preprocessing=usual, data="none", licence="none")
        distill = {"teacher": str(path)}
    trainer = Trainer(
        tiny_recipe(distill=distill, **sections), tmp_path, Fabric(accelerator="cpu"), quiet=True
    )
    trainer.step.train_mode()
    trainer.step.set_rate(0.01)
    ours = trainer.step.objective
    network = yardstick.NaivePocketNet(2, 4, 32, 16)
    network.load_state_dict(ours.backbone.state_dict())
    head = yardstick.NaiveArcFace(16, 6)
    head.load_state_dict(ours.head.state_dict())
    naive_teacher = None
    if taught:
        naive_teacher = yardstick.NaiveIResNet(TEACHER["blocks"], 32, 16, width=8)
        naive_teacher.load_state_dict(teacher.state_dict())
    naive = yardstick.NaiveStep(network, head, naive_teacher, 0.01)
    for loaded in list(trainer.loader.epoch(0))[:2]:
        values = trainer.step(loaded)
        inputs = (loaded.images.permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
        loss = naive(inputs.contiguous(), loaded.labels)
        assert float(values["loss"]) == pytest.approx(float(loss), rel=1e-4)
        for name, parameter in network.named_parameters():
            own = ours.backbone.get_parameter(name).grad
            scale = float(parameter.grad.abs().max())
            assert torch.allclose(own, parameter.grad, rtol=0, atol=1e-3 * scale + 1e-5), name
        assert torch.allclose(ours.head.kernel.grad, head.kernel.grad, rtol=1e-3, atol=1e-4)
    for name, value in network.state_dict().items():
        own = ours.backbone.state_dict()[name]
        assert torch.allclose(own.float(), value.float(), rtol=1e-3, atol=1e-4), name
