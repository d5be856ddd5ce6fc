"""Two gloo processes on the CPU against one process that does the work of both."""

import signal
import time

import pytest
import torch
from lightning_fabric import Fabric
from torchrun import finish, start, write

from pocketface.models.normalise import normalise
from pocketface.models.weights import load_backbone
from pocketface.train.augment import augment
from pocketface.train.checkpoint import load_checkpoint
from pocketface.train.loader import FaceLoader, Share
from pocketface.train.log import read_metrics
from pocketface.train.loop import Trainer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_one_step_of_two_processes_is_the_mean_of_the_halves(tmp_path, tiny_content, tiny_recipe):
    # 30 images in one step of 2 x 15.
    sections = {"batch_size": 15, "epochs": 1, "optimiser": {"clip_norm": 1.0}}
    run = tmp_path / "run"
    finish(start(write(tmp_path / "r.yaml", tiny_content(**sections)), run))
    recipe = tiny_recipe(**sections)
    plain = Trainer(recipe, tmp_path, Fabric(accelerator="cpu", devices=1), quiet=True)
    backbone, head = plain.backbone.train(), plain.step.objective.head
    everything = [*backbone.parameters(), head.kernel]
    losses, gradients = [], []
    statistics: dict[str, torch.Tensor] = {}
    for rank in (1, 0):  # the statistics that stay are the first process's
        loader = FaceLoader(
            plain.faces,
            image_size=32,
            global_batch=30,
            seed=recipe.seed,
            augment=recipe.augment,
            share=Share(rank, 2),
            in_memory=True,
        )
        if rank == 0:
            backbone.load_state_dict(statistics, strict=False)
        else:
            statistics = {name: value.clone() for name, value in backbone.named_buffers()}
        (loaded,) = loader.epoch(0)
        pixels = augment(loaded.images, loaded.plan, recipe.augment)
        loss = head(backbone(normalise(pixels, plain.preprocessing)), loaded.labels)
        losses.append(float(loss.detach()))
        gradients.append(torch.autograd.grad(loss, everything))
    (row,) = read_metrics(run)
    assert losses[0] != pytest.approx(losses[1], rel=1e-3)
    assert row["loss"] == pytest.approx(sum(losses) / 2, rel=1e-5)
    mean = [(one + two) / 2 for one, two in zip(*gradients, strict=True)]
    norm = torch.stack([g.square().sum() for g in mean[:-1]]).sum().sqrt()
    assert row["gradient_norm"] == pytest.approx(float(norm), rel=1e-4)
    rate = 0.1 * 30 / 8
    assert row["learning_rate"] == pytest.approx(rate)
    bound = min(1.0, 1.0 / float(norm))
    with torch.no_grad():
        for parameter, gradient in zip(everything, mean, strict=True):
            held = gradient * (1.0 if parameter is head.kernel else bound)
            parameter -= rate * (held + 5e-4 * parameter)
    got, card = load_backbone(run / "last.safetensors")
    for name, value in got.state_dict().items():
        own = backbone.state_dict()[name]
        assert torch.allclose(value.float(), own.float(), rtol=1e-4, atol=1e-5), name
    saved = load_checkpoint(run / "last.ckpt").states["head"]["kernel"]
    assert torch.allclose(saved, head.kernel, rtol=1e-4, atol=1e-6)
    assert card.embedding_size == 16


def test_two_processes_stop_together_and_go_on(tmp_path, tiny_content):
    recipe = write(tmp_path / "r.yaml", tiny_content(batch_size=4, epochs=12))
    finish(start(recipe, tmp_path / "whole"))
    run = tmp_path / "run"
    # Torchrun sends SIGTERM to the decoding processes too.
    options = ["--set", "data.in_memory=false", "--set", "data.workers=1"]
    process = start(recipe, run, *options)
    deadline = time.monotonic() + 200
    while not (run / "metrics.jsonl").exists() or len(read_metrics(run)) < 2:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=200)
    assert process.returncode != 0
    assert "is saved" in " ".join(said.split())
    position = load_checkpoint(run / "last.ckpt").position
    assert 0 < position.step < 36
    finish(start(recipe, run, "--resume"))
    ours, theirs = (path / "last.safetensors" for path in (run, tmp_path / "whole"))
    assert ours.read_bytes() == theirs.read_bytes()


@pytest.mark.parametrize(
    ("distill", "model", "state", "same"),
    [
        ({"loss": "ekd"}, {}, "distillation", ["teacher_thresholds"]),
        ({"projection": "pca"}, {"embedding_size": 8}, "projection", ["basis", "kept"]),
        ({"projection": "centred"}, {}, "projection", ["mean"]),
        (
            {"loss": "angular", "projection": "learned", "multi_step": True},
            {"embedding_size": 24, "options": {"channels": 4, "cells": 4}},
            "distillation",
            [],
        ),
        ({"loss": "adadistill"}, {}, "distillation", []),
    ],
)
def test_two_processes_are_taught_as_one(
    tmp_path, tiny_content, tiny_recipe, train_run, teacher_run, distill, model, state, same
):
    sections = {"distill": {"teacher": str(teacher_run), **distill}, "model": model, "epochs": 2}
    content = tiny_content(**sections, batch_size=4)
    finish(start(write(tmp_path / "r.yaml", content), tmp_path / "two"))
    one = train_run(tiny_recipe(**sections, batch_size=8), tmp_path / "one").run
    halves, whole = (load_checkpoint(run / "last.ckpt") for run in (tmp_path / "two", one))
    assert halves.position.step == whole.position.step == 6
    # What comes from the teacher alone is the same; batch norm makes the student's part differ.
    for name in same:
        assert torch.allclose(halves.states[state][name], whole.states[state][name], atol=1e-5)
    before = load_checkpoint(tmp_path / "two" / "checkpoints" / "step_000000003.ckpt").states[state]
    for name, value in whole.states[state].items():
        got = halves.states[state][name]
        assert got.shape == value.shape
        assert torch.isfinite(got.float()).all()
        if name.endswith(("kernel", "mappings.stage_1.0.weight", "thresholds")):
            assert not torch.equal(got, before[name])
