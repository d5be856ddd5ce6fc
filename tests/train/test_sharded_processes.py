"""Runs of several processes with a sharded head against runs whose head is whole."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric

from pocketface.train.checkpoint import load_checkpoint
from pocketface.train.launch import carry_out
from pocketface.train.log import read_metrics
from pocketface.train.loop import Trainer
from pocketface.train.recipe import Recipe

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.usefixtures("every_step"),
]

GENTLE = {"learning_rate": 0.005, "reference_batch": 18, "clip_norm": 2.0}


@pytest.fixture(scope="session")
def people(tmp_path_factory, coarse_people) -> Path:
    return coarse_people(
        tmp_path_factory.mktemp("sharded") / "people", people=7, images=8, size=32, noise=25.0
    )


@pytest.fixture
def lesson(tiny_recipe, people) -> Callable[..., Recipe]:
    def make(world: int, **head: Any) -> Recipe:
        return tiny_recipe(
            batch_size=18 // world,
            epochs=2,
            optimiser=GENTLE,
            head=head,
            data={"train": [str(people)]},
        )

    return make


def momentum(run: Path) -> torch.Tensor:
    state = load_checkpoint(run / "last.ckpt").states["head_optimiser"]["state"]
    found: torch.Tensor = state[0]["momentum_buffer"]
    return found


@pytest.mark.parametrize("world", [2, 3])
def test_where_nothing_is_sampled_it_is_the_whole_head_s_run(tmp_path, lesson, in_processes, world):
    runs = [tmp_path / "whole", tmp_path / "part"]

    def train(rank: int) -> None:
        for sharded, run in enumerate(runs):
            carry_out(lesson(world, sharded=bool(sharded)), run, device="cpu", quiet=True)

    assert in_processes(world, train) == [""] * world
    for one, two in zip(*map(read_metrics, runs), strict=True):
        assert one["loss"] == pytest.approx(two["loss"], rel=1e-5)
    one, two = (load_checkpoint(run / "last.ckpt").states for run in runs)
    for part in ("backbone", "head"):
        for name, value in one[part].items():
            assert torch.allclose(value.float(), two[part][name].float(), rtol=1e-5, atol=1e-5)
    assert torch.allclose(*map(momentum, runs), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("sample", [1.0, 0.5])
def test_a_checkpoint_of_two_processes_is_taken_over_by_any_number(
    tmp_path, lesson, in_processes, sample
):
    """Saved again from there, it is the same to the bit."""
    run = tmp_path / "run"
    recipe = lesson(2, sharded=True, sample=sample)
    said = in_processes(2, lambda rank: carry_out(recipe, run, device="cpu", quiet=True))
    assert said == ["", ""]
    wanted = load_checkpoint(run / "last.ckpt")
    assert wanted.states["head"]["kernel"].shape == (16, 7)
    assert float(momentum(run).abs().max()) > 0

    def save_again(rank: int) -> None:
        fabric = Fabric(accelerator="cpu", devices=world, strategy="ddp" if world > 1 else "auto")
        fabric.launch()
        trainer = Trainer(recipe, run, fabric, True, wanted.global_batch)
        trainer.restore(load_checkpoint(run / "last.ckpt"))
        trainer.run = tmp_path / f"again-{world}"
        trainer.save()

    for world in (1, 3):
        assert in_processes(world, save_again) == [""] * world
        again = load_checkpoint(tmp_path / f"again-{world}" / "last.ckpt")
        assert torch.equal(again.states["head"]["kernel"], wanted.states["head"]["kernel"])
        assert torch.equal(momentum(tmp_path / f"again-{world}"), momentum(run))


def test_a_sampled_run_goes_on_with_another_number(tmp_path, lesson, in_processes):
    """It draws the same; batch statistics of other slices move the weights a little."""
    run = tmp_path / "run"
    recipe = lesson(2, sharded=True, sample=0.5)
    kernels = []
    for world in (2, 3, 1):
        middle = run / "checkpoints" / "step_000000003.ckpt"
        options = {"resume": True, "checkpoint": middle} if kernels else {}

        def train(rank: int, options: dict[str, Any] = options) -> None:
            carry_out(recipe, run, device="cpu", quiet=True, **options)

        assert in_processes(world, train) == [""] * world
        kernels.append(load_checkpoint(run / "last.ckpt").states["head"]["kernel"])
    moved = kernels[0] - load_checkpoint(middle).states["head"]["kernel"]
    for kernel in kernels[1:]:
        assert float((kernel - kernels[0]).norm()) < 0.1 * float(moved.norm())
