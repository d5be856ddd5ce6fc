"""1, 2, 3 and 4 processes against one that takes the same slices, and a run that changes over."""

import itertools
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric

from pocketface.distill import FaceBatch
from pocketface.distill.teacher import Outputs
from pocketface.models.normalise import normalise
from pocketface.models.weights import load_backbone
from pocketface.train.augment import augment
from pocketface.train.checkpoint import load_checkpoint
from pocketface.train.launch import carry_out
from pocketface.train.log import read_metrics
from pocketface.train.loop import Trainer
from pocketface.train.recipe import Recipe
from pocketface.train.schedule import learning_rate
from pocketface.train.step import TrainingStep

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.usefixtures("every_step"),
]

BATCH = 20  # of 48 images: 2 steps in each of 3 epochs
STEPS = 6
GENTLE = {"learning_rate": 0.005, "reference_batch": BATCH, "clip_norm": 2.0}


@pytest.fixture(scope="session")
def people(tmp_path_factory, coarse_people) -> Path:
    """Enough for slices of five images: with two, batch statistics make much of roundings."""
    return coarse_people(
        tmp_path_factory.mktemp("elastic") / "people", people=6, images=8, size=32, noise=25.0
    )


def slices(count: int, world: int) -> list[slice]:
    """What each process takes of a batch: 20 for three processes are 6, 7 and 7."""
    ends = [rank * count // world for rank in range(world + 1)]
    return [slice(first, end) for first, end in itertools.pairwise(ends)]


def plainly(recipe: Recipe, folder: Path, worlds: Sequence[int]) -> tuple[list[float], Any]:
    """Train in one process, step by step with the slices of `worlds` processes.

    Each slice goes through the network alone, and so has batch statistics of its own; the losses
    are those of all embeddings together. The running statistics that stay are the first slice's.
    Gives the losses, and the objective as it is in the end.
    """
    trainer = Trainer(recipe, folder, Fabric(accelerator="cpu", devices=1), True, BATCH)
    objective, teacher = trainer.step.objective.train(), trainer.step.teacher
    backbone = objective.backbone
    names = [name for name, _ in backbone.named_parameters()]
    inner = [parameter for _, parameter in backbone.named_parameters()]
    outer = [objective.head.kernel]
    sgd = torch.optim.SGD([*inner, *outer], lr=0.1, momentum=0.9, weight_decay=5e-4)
    losses = []
    steps = [
        (epoch + step / 2, loaded)
        for epoch in range(recipe.epochs)
        for step, loaded in enumerate(trainer.loader.epoch(epoch))
    ]
    for world, (progress, loaded) in zip(worlds, steps, strict=True):
        pixels = augment(loaded.images, loaded.plan, recipe.augment)
        inputs = normalise(pixels, trainer.preprocessing)
        embeddings, statistics = [], []
        for rows in slices(BATCH, world):
            statistics.append({name: kept.clone() for name, kept in backbone.named_buffers()})
            everything = dict(zip(names, inner, strict=True)) | statistics[-1]
            embeddings.append(torch.func.functional_call(backbone, everything, inputs[rows]))
        together = torch.cat(embeddings)
        loss = objective.head(together, loaded.labels)
        if teacher is not None:
            batch = FaceBatch(
                pixels, loaded.labels, loaded.indices, torch.from_numpy(loaded.plan.mirrored)
            )
            terms = objective.distillation(Outputs(together), teacher.targets(batch), loaded.labels)
            loss = loss + sum(terms.values())
        sgd.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(inner, recipe.optimiser.clip_norm)
        sgd.param_groups[0]["lr"] = learning_rate(
            recipe.optimiser, recipe.schedule, progress=progress, epochs=3, global_batch=BATCH
        )
        sgd.step()
        backbone.load_state_dict(statistics[0], strict=False)
        losses.append(float(loss.detach()))
    return losses, objective


def assert_as_plainly(run: Path, losses: list[float], objective: Any, worlds: list[int]) -> None:
    rows = read_metrics(run)
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    assert [row["processes"] for row in rows] == worlds
    assert [row["loss"] for row in rows] == pytest.approx(losses, rel=1e-5)
    backbone, _ = load_backbone(run / "last.safetensors")
    for name, value in backbone.state_dict().items():
        own = objective.backbone.state_dict()[name]
        assert torch.allclose(value.float(), own.float(), rtol=1e-5, atol=1e-5), name
    saved = load_checkpoint(run / "last.ckpt")
    assert torch.allclose(saved.states["head"]["kernel"], objective.head.kernel, atol=1e-5)
    assert saved.position.images == BATCH * STEPS
    assert saved.global_batch == BATCH


@pytest.fixture
def lesson(tiny_recipe, people, teacher_run) -> Callable[[str | None, int], Recipe]:
    def make(loss: str | None, world: int) -> Recipe:
        return tiny_recipe(
            batch_size=BATCH // world,
            optimiser=GENTLE,
            data={"train": [str(people)]},
            distill=loss and {"teacher": str(teacher_run), "loss": loss},
        )

    return make


@pytest.mark.parametrize("world", [1, 2, 4])
def test_processes_are_the_slices_of_one(tmp_path, lesson, in_processes, world):
    recipe = lesson(None, world)
    run = tmp_path / "run"
    said = in_processes(world, lambda rank: carry_out(recipe, run, device="cpu", quiet=True))
    assert said == [""] * world
    worlds = [world] * STEPS
    assert_as_plainly(run, *plainly(recipe, tmp_path, worlds), worlds)


@pytest.mark.parametrize(
    ("loss", "sharded"), [(None, False), (None, True), ("embedding", False), ("relational", False)]
)
def test_a_run_goes_on_with_any_number_of_processes(
    tmp_path, lesson, in_processes, monkeypatch, loss, sharded
):
    plain = lesson(loss, 2)
    head = plain.head.model_copy(update={"sharded": sharded})
    recipe = plain.model_copy(update={"head": head})
    run = tmp_path / "run"
    stages = [(2, 1), (4, 2), (1, 1), (3, None)]
    real = TrainingStep.learn

    def sit(world: int, steps: int | None) -> list[str]:
        """Train with so many processes, of which the last is told to stop in its step `steps`."""

        def work(rank: int) -> None:
            done = 0

            def learn(self, ready):
                nonlocal done
                done += 1
                if done == steps and rank == world - 1:
                    os.kill(os.getpid(), signal.SIGTERM)
                return real(self, ready)

            monkeypatch.setattr(TrainingStep, "learn", learn)
            carry_out(recipe, run, device="cpu", quiet=True, resume="auto")

        return in_processes(world, work)

    for world, steps in stages:
        said = sit(world, steps)
        if steps is None:
            assert said == [""] * world
        else:
            assert all(f"StoppedError: stopped; {run} is saved" in words for words in said), said
    worlds = [2, 4, 4, 1, 3, 3]
    assert_as_plainly(run, *plainly(plain, tmp_path, worlds), worlds)
