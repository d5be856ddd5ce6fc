"""Whole runs with a sharded head, in one process, against runs whose head is whole."""

import pytest
import torch

from pocketface.errors import RecipeError
from pocketface.train.checkpoint import load_checkpoint
from pocketface.train.log import read_metrics
from pocketface.train.recipe import parse_recipe

SHARDED = {"head": {"sharded": True}}
SAMPLED = {"head": {"sharded": True, "sample": 0.5}}


def same_states(one, two, tolerance: float) -> None:
    """Networks and momentum of two checkpoints."""
    for part in ("backbone", "head"):
        assert one.states[part].keys() == two.states[part].keys()
        for name, value in one.states[part].items():
            other = two.states[part][name]
            assert value.shape == other.shape
            assert torch.allclose(value.float(), other.float(), rtol=tolerance, atol=tolerance)
    ours, theirs = (each.states["head_optimiser"]["state"] for each in (one, two))
    assert ours.keys() == theirs.keys() == {0}
    ours, theirs = ours[0]["momentum_buffer"], theirs[0]["momentum_buffer"]
    assert ours.shape == theirs.shape == one.states["head"]["kernel"].shape
    assert torch.allclose(ours, theirs, rtol=tolerance, atol=tolerance)


def test_where_nothing_is_sampled_it_is_the_whole_head_s_run(
    tmp_path, tiny_recipe, train_run, every_step
):
    whole = train_run(tiny_recipe(), tmp_path / "whole").run
    part = train_run(tiny_recipe(**SHARDED), tmp_path / "part").run
    for one, two in zip(read_metrics(whole), read_metrics(part), strict=True):
        assert one["loss"] == pytest.approx(two["loss"], rel=1e-5)
        assert one["gradient_norm"] == pytest.approx(two["gradient_norm"], rel=1e-4)
    one, two = (load_checkpoint(run / "last.ckpt") for run in (whole, part))
    same_states(one, two, 1e-5)
    assert two.states["head"]["kernel"].shape == (16, 6)


def test_a_run_may_go_on_with_its_head_sharded_and_back(tmp_path, tiny_recipe, train_run):
    whole = train_run(tiny_recipe(), tmp_path / "whole").run
    run = train_run(tiny_recipe(), tmp_path / "run").run
    after_one = run / "checkpoints" / "step_000000006.ckpt"
    train_run(tiny_recipe(**SHARDED), run, resume=True, checkpoint=after_one)
    last = load_checkpoint(run / "last.ckpt")
    same_states(load_checkpoint(whole / "last.ckpt"), last, 1e-5)
    again = run / "checkpoints" / "step_000000006.ckpt"
    train_run(tiny_recipe(), run, resume=True, checkpoint=again)
    same_states(load_checkpoint(whole / "last.ckpt"), load_checkpoint(run / "last.ckpt"), 1e-5)


def test_a_sampled_run_that_is_resumed_draws_the_same(tmp_path, tiny_recipe, train_run):
    recipe = tiny_recipe(**SAMPLED)
    whole = train_run(recipe, tmp_path / "whole").run
    wanted = (whole / "last.safetensors").read_bytes()
    earlier = whole / "checkpoints" / "step_000000006.ckpt"
    before = load_checkpoint(whole / "last.ckpt")
    train_run(recipe, whole, resume=True, checkpoint=earlier)
    assert (whole / "last.safetensors").read_bytes() == wanted
    after = load_checkpoint(whole / "last.ckpt")
    assert torch.equal(before.states["head"]["kernel"], after.states["head"]["kernel"])
    other = train_run(tiny_recipe(**SHARDED), tmp_path / "other").run
    assert (other / "last.safetensors").read_bytes() != wanted


def test_another_sample_is_another_recipe(tmp_path, tiny_recipe, train_run):
    train_run(tiny_recipe(epochs=1, **SAMPLED), tmp_path / "run")
    with pytest.raises(RecipeError, match=r"head.sample: 1.0 here, 0.5 there"):
        train_run(tiny_recipe(epochs=1, **SHARDED), tmp_path / "run", resume=True)


def test_a_sharded_head_can_be_inherited(tmp_path, tiny_recipe, train_run):
    run = train_run(tiny_recipe(epochs=1, **SAMPLED), tmp_path / "teacher").run
    distill = {"teacher": str(run), "loss": "inherited"}
    student = train_run(tiny_recipe(epochs=1, distill=distill), tmp_path / "student").run
    kernel = load_checkpoint(student / "last.ckpt").states["distillation"]["classifier.kernel"]
    assert torch.equal(kernel, load_checkpoint(run / "last.ckpt").states["head"]["kernel"])


def test_beside_a_teacher_s_loss_with_parameters(tmp_path, tiny_recipe, train_run, teacher_run):
    """The centres are not the optimiser's only parameter, nor its first."""
    distill = {"teacher": str(teacher_run), "projection": "learned"}
    # At the fixture's rate other roundings grow a hundredfold in six steps.
    sections = {
        "distill": distill,
        "model": {"embedding_size": 8},
        "epochs": 2,
        "optimiser": {"learning_rate": 0.001},
    }
    whole = train_run(tiny_recipe(**sections), tmp_path / "whole").run
    part = train_run(tiny_recipe(**sections, **SHARDED), tmp_path / "part").run
    one, two = (load_checkpoint(run / "last.ckpt") for run in (whole, part))
    for name in ("head", "projection"):
        for key, value in one.states[name].items():
            assert torch.allclose(value, two.states[name][key], rtol=1e-5, atol=1e-5)
    ours, theirs = (each.states["head_optimiser"]["state"] for each in (one, two))
    assert len(ours) > 1
    for number, state in ours.items():
        own, other = state["momentum_buffer"], theirs[number]["momentum_buffer"]
        assert torch.allclose(own, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("loss", ["adadistill", "inherited"])
def test_a_loss_that_takes_the_head_s_place_is_refused(tiny_content, teacher_run, loss):
    content = tiny_content(distill={"teacher": str(teacher_run), "loss": loss}, **SHARDED)
    with pytest.raises(RecipeError, match=rf"head.sharded needs a head, and distill.loss {loss}"):
        parse_recipe(content, "r.yaml")
