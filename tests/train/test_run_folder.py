"""When a run may be begun, and when it may go on."""

import pytest

from pocketface.errors import RecipeError, WeightsError
from pocketface.train import run as runs
from pocketface.train.checkpoint import Checkpoint, Position, save_checkpoint
from pocketface.train.recipe import load_recipe


def begun(run, recipe):
    runs.begin(run, recipe)
    save_checkpoint(run, Checkpoint({}, Position(step=4), recipe.model_dump(mode="json")))


def test_begin_writes_the_whole_recipe(tmp_path, tiny_recipe):
    recipe = tiny_recipe(seed=5)
    runs.begin(tmp_path / "a" / "run", recipe)
    assert load_recipe(str(tmp_path / "a" / "run" / "recipe.yaml")) == recipe


@pytest.mark.parametrize(
    "sign", ["last.ckpt", "last.safetensors", "best.safetensors", "milestones"]
)
def test_begin_refuses_a_folder_that_holds_a_run(tmp_path, tiny_recipe, sign):
    (tmp_path / sign).touch()
    with pytest.raises(RecipeError, match=rf"holds a run already \({sign}\).*--resume.*--out"):
        runs.begin(tmp_path, tiny_recipe())
    assert not (tmp_path / "recipe.yaml").exists()


def test_begin_refuses_a_run_whose_newest_checkpoint_was_removed(tmp_path, tiny_recipe):
    begun(tmp_path, tiny_recipe())
    for path in (tmp_path / "checkpoints").iterdir():
        path.unlink()
    with pytest.raises(RecipeError, match="holds a run already"):
        runs.begin(tmp_path, tiny_recipe())


def test_a_run_that_was_killed_before_its_first_checkpoint_can_be_begun_again(
    tmp_path, tiny_recipe
):
    runs.begin(tmp_path, tiny_recipe())
    with pytest.raises(WeightsError, match="without --resume"):
        runs.resume(tmp_path, tiny_recipe())
    runs.begin(tmp_path, tiny_recipe())


def test_resume_finds_the_newest_checkpoint_or_the_one_that_is_named(tmp_path, tiny_recipe):
    recipe = tiny_recipe()
    begun(tmp_path, recipe)
    first = (tmp_path / "last.ckpt").resolve()
    save_checkpoint(tmp_path, Checkpoint({}, Position(step=8), recipe.model_dump(mode="json")))
    assert runs.resume(tmp_path, recipe).position.step == 8
    assert runs.resume(tmp_path, recipe, first).position.step == 4


def test_resume_with_another_recipe_lists_the_differences(tmp_path, tiny_recipe):
    begun(tmp_path, tiny_recipe())
    other = tiny_recipe(seed=9, optimiser={"learning_rate": 0.5})
    with pytest.raises(RecipeError) as caught:
        runs.resume(tmp_path, other)
    text = str(caught.value)
    assert "seed: 9 here, 0 there" in text
    assert "optimiser.learning_rate: 0.5 here, 0.1 there" in text
    assert "--out" in text
    assert "epochs" not in text


def test_what_does_not_touch_the_outcome_may_change(tmp_path, tiny_recipe):
    begun(tmp_path, tiny_recipe())
    other = tiny_recipe(data={"workers": 3, "in_memory": False}, checkpoint_minutes=1.0)
    assert runs.resume(tmp_path, other).position.step == 4


def test_other_batches_are_refused_with_both_values(tmp_path):
    ours = {"global batch": 8, "images": 30, "labels": "ab"}
    runs.refuse_other_batches(tmp_path, ours, dict(ours))
    with pytest.raises(RecipeError) as caught:
        runs.refuse_other_batches(tmp_path, ours, {"global batch": 16, "images": 30})
    assert "global batch: 8 here, 16 there" in str(caught.value)
    assert "labels: ab here, None there" in str(caught.value)
    assert "images:" not in str(caught.value)


def test_milestones_are_counted_from_one(tmp_path):
    assert runs.milestone_path(tmp_path, 1).name == "epoch_0001.safetensors"
