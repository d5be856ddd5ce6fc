"""One step: which gradients are clipped, and that the numbers are those of a plain loop."""

import copy
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric

from pocketface.distill import EmbeddingDistillation, Outputs
from pocketface.errors import RecipeError
from pocketface.models.normalise import normalise
from pocketface.train.augment import augment
from pocketface.train.loop import Trainer
from pocketface.train.objective import Objective


def trainer_of(recipe, run: Path) -> Trainer:
    trainer = Trainer(recipe, run, Fabric(accelerator="cpu", devices=1), quiet=True)
    trainer.step.train_mode()
    trainer.step.set_rate(0.1)
    return trainer


def parameters(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in module.named_parameters()}


def test_the_bound_holds_for_the_backbone_alone(tmp_path, tiny_recipe, monkeypatch):
    trainer = trainer_of(tiny_recipe(), tmp_path)
    clipped: list[set[int]] = []
    real = torch.nn.utils.clip_grad_norm_

    def spy(parameters, max_norm, **options):
        parameters = list(parameters)
        clipped.append({id(parameter) for parameter in parameters})
        assert max_norm == 5.0
        return real(parameters, max_norm, **options)

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", spy)
    trainer.step(next(trainer.loader.epoch(0)))
    backbone = {id(parameter) for parameter in trainer.backbone.parameters()}
    assert clipped == [backbone]


def test_a_tiny_bound_holds_the_backbone_still_and_not_the_head(tmp_path, tiny_recipe):
    recipe = tiny_recipe(optimiser={"clip_norm": 1e-12, "weight_decay": 0.0})
    trainer = trainer_of(recipe, tmp_path)
    objective = trainer.step.objective
    before = parameters(objective.backbone), parameters(objective.head)
    values = trainer.step(next(trainer.loader.epoch(0)))
    assert float(values["gradient_norm"]) > 1e-3
    for name, value in objective.backbone.named_parameters():
        assert torch.allclose(value, before[0][name], rtol=0, atol=1e-12), name
    assert (objective.head.kernel - before[1]["kernel"]).abs().max() > 1e-4


def test_without_a_bound_no_norm_is_taken(tmp_path, tiny_recipe):
    trainer = trainer_of(tiny_recipe(optimiser={"clip_norm": 0}), tmp_path)
    assert "gradient_norm" not in trainer.step(next(trainer.loader.epoch(0)))


@pytest.mark.parametrize("taught", [False, True])
def test_two_steps_equal_sgd_written_out(tmp_path, tiny_recipe, teacher_run, taught):
    distill = {"teacher": str(teacher_run / "last.safetensors"), "weight": 40.0} if taught else None
    recipe = tiny_recipe(distill=distill, optimiser={"clip_norm": 0.5, "weight_decay": 0.01})
    theirs = trainer_of(recipe, tmp_path)
    ours = trainer_of(recipe, tmp_path)
    teacher = theirs.step.teacher
    backbone, head = ours.step.objective.backbone, ours.step.objective.head
    momentum: dict[torch.nn.Parameter, torch.Tensor] = {}
    for loaded in list(theirs.loader.epoch(0))[:2]:
        values = theirs.step(loaded)
        pixels = augment(loaded.images, loaded.plan, recipe.augment)
        inputs = normalise(pixels, ours.preprocessing)
        embeddings = backbone(inputs)
        loss = margin = head(embeddings, loaded.labels)
        if taught:
            with torch.no_grad():
                targets = teacher.backbone(inputs)
            terms = EmbeddingDistillation(40.0)(
                Outputs(embeddings), Outputs(targets), loaded.labels
            )
            assert float(values["loss/embedding"]) == pytest.approx(
                float(terms["embedding"].detach()), rel=1e-5
            )
            loss = margin + terms["embedding"]
            cosine = torch.nn.functional.cosine_similarity(embeddings, targets).mean()
            assert float(values["cosine_to_teacher"]) == pytest.approx(
                float(cosine.detach()), abs=1e-5
            )
        assert float(values["loss"]) == pytest.approx(float(loss.detach()), rel=1e-5)
        assert float(values["loss/margin"]) == pytest.approx(float(margin.detach()), rel=1e-5)
        everything = [*backbone.parameters(), head.kernel]
        gradients = dict(zip(everything, torch.autograd.grad(loss, everything), strict=True))
        norm = torch.stack([gradients[p].square().sum() for p in backbone.parameters()]).sum()
        norm = norm.sqrt()
        assert float(values["gradient_norm"]) == pytest.approx(float(norm), rel=1e-4)
        assert norm > 0.5
        with torch.no_grad():
            for parameter in everything:
                gradient = gradients[parameter]
                if parameter is not head.kernel:
                    gradient = gradient * 0.5 / (norm + 1e-6)
                gradient = gradient + 0.01 * parameter
                before = momentum.get(parameter)
                momentum[parameter] = gradient if before is None else 0.9 * before + gradient
                parameter -= 0.1 * momentum[parameter]
    for name, value in theirs.step.objective.state_dict().items():
        own = ours.step.objective.state_dict()[name]
        assert torch.allclose(value.float(), own.float(), rtol=1e-3, atol=1e-5), name


def test_the_teacher_stays_as_it_is(tmp_path, tiny_recipe, teacher_run):
    distill = {"teacher": str(teacher_run / "last.safetensors")}
    trainer = trainer_of(tiny_recipe(distill=distill), tmp_path)
    teacher = trainer.step.teacher.backbone
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    for loaded in trainer.loader.epoch(0):
        trainer.step(loaded)
    assert not teacher.training
    for name, value in teacher.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_states_are_taken_over_whole(tmp_path, tiny_recipe):
    one, two = trainer_of(tiny_recipe(), tmp_path), trainer_of(tiny_recipe(seed=3), tmp_path)
    first, second = list(one.loader.epoch(0))[:2]
    one.step(first)
    two.step.restore(copy.deepcopy(one.step.states()))
    assert float(one.step(second)["loss"]) == float(two.step(second)["loss"])
    for name, value in one.step.objective.state_dict().items():
        assert torch.equal(value, two.step.objective.state_dict()[name]), name


def test_only_the_training_pass_is_compiled(tmp_path, tiny_recipe, monkeypatch):
    compiled = []

    def spy(function, **options):
        compiled.append((function, options))
        return function

    monkeypatch.setattr(torch, "compile", spy)
    trainer_of(tiny_recipe(), tmp_path)
    assert not compiled
    trainer = trainer_of(tiny_recipe(compile=True), tmp_path)
    assert compiled == [(trainer.backbone.forward_stages, {"dynamic": False})]
    graphs = Objective(trainer.backbone, trainer.step.objective.head, compiled="graphs")
    assert compiled[1:] == [
        (graphs.backbone.forward_stages, {"dynamic": False, "mode": "reduce-overhead"})
    ]


def test_graphs_are_for_gpus(tmp_path, tiny_recipe):
    with pytest.raises(RecipeError, match=r"compile: graphs needs a CUDA GPU.*cpu.*compile: true"):
        trainer_of(tiny_recipe(compile="graphs"), tmp_path)


@pytest.mark.parametrize("wrong", ["graph", "max-autotune", 2, None])
def test_a_wrong_compile_names_what_is_allowed(tiny_recipe, wrong):
    with pytest.raises(RecipeError, match=r"compile: .*False, True or 'graphs'.*got "):
        tiny_recipe(compile=wrong)


def test_without_a_compiler_compile_is_refused(tmp_path, tiny_recipe, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(RecipeError, match=r"C\+\+ compiler.*g\+\+.*compile: false"):
        trainer_of(tiny_recipe(compile=True), tmp_path)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # torch's own, in its compiler
@pytest.mark.parametrize("blocks", [False, True])
def test_a_compiled_step_is_the_plain_step(tmp_path, tiny_recipe, teacher_run, blocks):
    """The same losses and gradients under the same names, as near to float64's as plain ones."""
    distill = {
        "teacher": str(teacher_run / "last.safetensors"),
        "loss": "angular",
        "stage_weights": [float(blocks)] * 4,
    }
    # Four blocks, for each kernel is a second of the C++ compiler's.
    network = {
        "architecture": "iresnet_18",
        "options": {"blocks": [1, 1, 1, 1], "width": 0.125},
    }
    recipe = tiny_recipe(distill=distill, model=network)
    plain = trainer_of(recipe, tmp_path)
    compiled = trainer_of(tiny_recipe(distill=distill, model=network, compile=True), tmp_path)
    exact = copy.deepcopy(plain.step.objective).double()
    loaded = next(plain.loader.epoch(0))
    pixels = augment(loaded.images, loaded.plan, plain.recipe.augment)
    inputs = normalise(pixels, plain.preprocessing)
    with torch.no_grad():
        teacher = Outputs(*plain.step.teacher.backbone.forward_stages(inputs))
    found = []
    for objective in (exact, plain.step.objective, compiled.step.objective):
        kind = objective.head.kernel.dtype
        targets = Outputs(
            teacher.embeddings.to(kind), tuple(map_.to(kind) for map_ in teacher.stages)
        )
        terms, cosine = objective(inputs.to(kind), loaded.labels, targets)
        sum(terms.values()).backward()
        values = {name: float(value.detach()) for name, value in terms.items()}
        gradients = {
            name: value.grad.double()
            for name, value in objective.named_parameters()
            if value.grad is not None
        }
        found.append((values | {"cosine": float(cosine)}, gradients))
    (wanted, true), (_, ours), (got, theirs) = found
    assert got == pytest.approx(wanted, rel=1e-5)
    assert list(theirs) == list(ours) == list(true)
    learning = plain.backbone.named_parameters(prefix="backbone")
    assert {name for name, value in learning if value.requires_grad} < true.keys()
    # Over all of them: a bias before a batch norm has no gradient but rounding.
    whole = sum((value**2).sum() for value in true.values()) ** 0.5
    rounding = sum(((ours[name] - value) ** 2).sum() for name, value in true.items()) ** 0.5
    assert rounding < 1e-4 * whole
    for name, value in true.items():
        assert (theirs[name] - value).norm() < 5 * rounding, name
    states = plain.step.states()["backbone"], compiled.step.states()["backbone"]
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        assert torch.allclose(states[1][name], value, rtol=1e-5, atol=1e-6), name
    for trainer in (plain, compiled):
        trainer.step.objective.zero_grad()
    for loaded in list(plain.loader.epoch(0))[:2]:
        wanted, got = plain.step(loaded), compiled.step(loaded)
        assert wanted.keys() == got.keys()
        for name, value in wanted.items():
            assert float(got[name]) == pytest.approx(float(value), rel=1e-3), name
