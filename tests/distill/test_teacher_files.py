"""A teacher's files are looked for before a run starts, and a missing one is named."""

from pathlib import Path

import pytest

from pocketface.distill import teacher_files
from pocketface.distill.embedding import EmbeddingConfig
from pocketface.errors import RecipeError


def make_run(folder: Path, kept: list[int], recipe: str | None = "epochs: 4\n") -> Path:
    (folder / "milestones").mkdir(parents=True)
    for number in kept:
        (folder / "milestones" / f"epoch_{number:04d}.safetensors").touch()
        (folder / "milestones" / f"epoch_{number:04d}.json").touch()
    if recipe is not None:
        (folder / "recipe.yaml").write_text(recipe)
    return folder


def files(teacher: Path, multi_step: bool) -> list[Path]:
    return teacher_files(EmbeddingConfig(teacher=teacher, multi_step=multi_step))


def test_a_weights_file_teaches_alone(tmp_path):
    weights = tmp_path / "teacher.onnx"
    weights.touch()
    assert files(weights, False) == [weights]


def test_a_runs_last_weights_teach_alone(tmp_path):
    run = make_run(tmp_path / "run", [1, 2])
    (run / "last.safetensors").touch()
    assert files(run, False) == [run / "last.safetensors"]


def test_milestones_in_the_order_of_the_epochs(tmp_path):
    run = make_run(tmp_path / "run", [3, 1, 4, 2])
    found = files(run, True)
    assert [path.stem for path in found] == [f"epoch_{n:04d}" for n in range(1, 5)]


def test_a_run_that_says_nothing_of_its_epochs_teaches_with_what_it_has(tmp_path):
    assert len(files(make_run(tmp_path / "run", [1, 2, 3], recipe=None), True)) == 3


def test_other_files_beside_the_milestones_do_not_matter(tmp_path):
    run = make_run(tmp_path / "run", [1, 2], recipe="epochs: 2")
    (run / "milestones" / "epoch_best.safetensors").touch()
    (run / "milestones" / "epoch_0003.safetensors.tmp-77").touch()
    assert len(files(run, True)) == 2


@pytest.mark.parametrize(
    ("kept", "missing"),
    [
        ([1, 2, 4], "epoch_0003.safetensors"),
        ([2, 3, 4], "epoch_0001.safetensors"),
        ([1, 2, 3], "epoch_0004.safetensors"),  # the recipe says four
    ],
)
def test_a_missing_milestone_is_named(tmp_path, kept, missing):
    run = make_run(tmp_path / "run", kept)
    with pytest.raises(RecipeError, match=f"lacks milestones/{missing}"):
        files(run, True)


def test_many_missing_milestones_are_counted(tmp_path):
    run = make_run(tmp_path / "run", [1], recipe="epochs: 26")
    with pytest.raises(RecipeError) as caught:
        files(run, True)
    assert "epoch_0002" in str(caught.value)
    assert "epoch_0006" in str(caught.value)
    assert "and 20 more" in str(caught.value)


def test_a_teacher_that_is_not_there(tmp_path):
    with pytest.raises(RecipeError, match=r"nowhere does not exist. Give a weights file"):
        files(tmp_path / "nowhere", False)


def test_a_run_without_last_weights(tmp_path):
    with pytest.raises(RecipeError, match=r"lacks last.safetensors.*--resume"):
        files(make_run(tmp_path / "run", [1]), False)


def test_a_file_cannot_teach_in_steps(tmp_path):
    weights = tmp_path / "teacher.safetensors"
    weights.touch()
    with pytest.raises(
        RecipeError, match=r"needs the folder .* Got the file .*teacher.safetensors"
    ):
        files(weights, True)


def test_a_run_without_milestones(tmp_path):
    with pytest.raises(RecipeError, match="milestones: true"):
        files(make_run(tmp_path / "run", []), True)


@pytest.mark.parametrize("recipe", ["epochs: [", "- a\n- b\n", "epochs: many\n", "epochs: null\n"])
def test_a_broken_recipe_of_the_teacher_is_named(tmp_path, recipe):
    run = make_run(tmp_path / "run", [1, 2], recipe=recipe)
    with pytest.raises(RecipeError, match=r"recipe.yaml does not say how many epochs"):
        files(run, True)
