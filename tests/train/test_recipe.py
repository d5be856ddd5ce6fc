"""Recipes: the paper's to the letter, and clear words on what is not allowed."""

from pathlib import Path

import pytest
import yaml

from pocketface.distill import EmbeddingConfig
from pocketface.errors import RecipeError
from pocketface.train.recipe import (
    Recipe,
    differences,
    dump_recipe,
    load_recipe,
    save_recipe,
    shipped_recipes,
)
from pocketface.train.schedule import learning_rate

PAPERS = [f"pocketnet_{size}_{width}" for size in "sm" for width in (128, 256)]
TEACHERS = {"iresnet_100_128": 128, "iresnet_100_256": 256}


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_shipped_recipe_can_be_used(name):
    recipe = load_recipe(name)
    again = yaml.safe_load(dump_recipe(recipe))
    assert Recipe.model_validate(again) == recipe


def test_the_papers_networks_and_their_teachers_are_shipped():
    assert {*PAPERS, *TEACHERS, "pocketnet_nano", "iresnet_nano"} <= set(shipped_recipes())


@pytest.mark.parametrize("name", [*PAPERS, *TEACHERS])
def test_the_papers_recipe_to_the_letter(name):
    recipe = load_recipe(name)
    assert recipe.epochs == 26
    assert recipe.batch_size == 128
    assert recipe.precision == "32-true"
    optimiser = recipe.optimiser
    assert (optimiser.learning_rate, optimiser.reference_batch) == (0.1, 512)
    assert (optimiser.momentum, optimiser.weight_decay, optimiser.clip_norm) == (0.9, 5e-4, 5.0)
    assert (recipe.head.kind, recipe.head.scale, recipe.head.margin) == ("arcface", 64.0, 0.5)
    assert recipe.schedule.kind == "step"
    assert recipe.schedule.milestones == (7, 13, 19, 24)
    assert (recipe.schedule.factor, recipe.schedule.warm_up_epochs) == (0.1, 0)
    augment = recipe.augment
    assert augment.mirror
    assert (augment.shift, augment.brightness, augment.contrast, augment.erase) == (0, 0, 0, 0)
    assert recipe.distill is None


@pytest.mark.parametrize("name", [*PAPERS, *TEACHERS])
def test_the_papers_learning_rate_in_every_epoch(name):
    recipe = load_recipe(name)
    rates = [
        learning_rate(
            recipe.optimiser,
            recipe.schedule,
            progress=float(epoch) + half,
            epochs=recipe.epochs,
            global_batch=4 * recipe.batch_size,
        )
        for epoch in range(recipe.epochs)
        for half in (0.0, 0.999)
    ]
    expected = [0.1] * 7 + [0.01] * 6 + [0.001] * 6 + [1e-4] * 5 + [1e-5] * 2
    assert rates[::2] == pytest.approx(expected, rel=1e-12)
    assert rates[1::2] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("name", "size"), TEACHERS.items())
def test_teachers_have_the_students_embedding_and_keep_their_milestones(name, size):
    recipe = load_recipe(name)
    assert recipe.model.architecture == "iresnet_100"
    assert recipe.model.embedding_size == size
    assert recipe.milestones


@pytest.mark.parametrize("name", PAPERS)
def test_a_papers_recipe_builds_the_network_of_its_name(name):
    assert load_recipe(name).model.architecture == name


def test_the_papers_distillation_is_the_default():
    distill = load_recipe("pocketnet_s_128", {"distill.teacher": "run"}).distill
    assert distill == EmbeddingConfig(teacher=Path("run"), weight=100.0, loss="embedding")
    assert not distill.multi_step


def test_changes_by_dotted_keys():
    recipe = load_recipe(
        "pocketnet_s_128",
        {
            "optimiser.learning_rate": 0.05,
            "epochs": 40,
            "data.train": ["a", "b"],
            "model.options": {"genotype": "cifar10"},
            "schedule": {"kind": "cosine"},
        },
    )
    assert recipe.optimiser.learning_rate == 0.05
    assert recipe.optimiser.momentum == 0.9
    assert recipe.epochs == 40
    assert recipe.data.train == (Path("a"), Path("b"))
    assert recipe.model.options == {"genotype": "cifar10"}
    assert recipe.schedule.kind == "cosine"


def test_a_section_that_a_saved_recipe_leaves_empty_can_be_filled(tmp_path):
    path = tmp_path / "recipe.yaml"
    save_recipe(load_recipe("pocketnet_nano"), path)
    assert "distill: null" in path.read_text()
    recipe = load_recipe(
        str(path), {"distill.teacher": "t", "distill.preprocessing.image_size": 64}
    )
    assert recipe.distill is not None
    assert recipe.distill.preprocessing.image_size == 64


def test_a_value_is_no_section():
    with pytest.raises(RecipeError, match=r"'epochs.last' cannot be set: 'epochs' is a value"):
        load_recipe("pocketnet_nano", {"epochs.last": 3})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epoch": 3}, r"epoch: no such key; did you mean 'epochs'\? Allowed: .*batch_size"),
        ({"optimiser.lr": 0.1}, r"optimiser.lr: no such key; .*Allowed: clip_norm, learning_rate"),
        ({"schedule.factors": 0.1}, r"schedule.factors: no such key; did you mean 'factor'\?"),
        ({"distill.teacher": "t", "distill.wieght": 1}, r"distill.wieght: .*mean 'weight'\?"),
        ({"epochs": 0}, r"epochs: .*greater than or equal to 1 \(got 0\)"),
        ({"batch_size": 1}, r"batch_size: .*\(got 1\)"),
        ({"precision": "bf16-true"}, r"precision: .*'32-true', '16-mixed' or 'bf16-mixed'"),
        ({"head.kind": "softmax"}, r"head.kind: .*'arcface' or 'cosface' \(got 'softmax'\)"),
        ({"head.margin": 2}, r"head.margin: .*\(got 2\)"),
        ({"schedule.kind": "exponential"}, r"schedule: .*'step', 'cosine'"),
        ({"seed": -1}, r"seed: .*\(got -1\)"),
        ({"distill.weight": 1}, r"distill.teacher: Field required"),
        ({"model.options": {"weights": "x"}}, r"weights cannot be set here: use .*model.init"),
        ({"data.train": "folder"}, r"data.train: .*\(got 'folder'\)"),
        (
            {"epochs": 2, "schedule.warm_up_epochs": 2},
            r"recipe: .*warm_up_epochs must be less than epochs \(2\). Got 2.0 instead",
        ),
        (
            {"head.sharded": True, "precision": "16-mixed"},
            r"recipe: head.sharded cannot be trained with precision: 16-mixed. Set .*bf16-mixed",
        ),
    ],
)
def test_what_is_not_allowed_is_named_with_what_is(changes, message):
    with pytest.raises(RecipeError, match=message):
        load_recipe("pocketnet_s_128", changes)


def test_all_faults_of_a_recipe_are_told_at_once():
    with pytest.raises(RecipeError) as caught:
        load_recipe("pocketnet_nano", {"epochs": 0, "seed": -1, "nonsense": 1})
    assert [key for key in ("epochs:", "seed:", "nonsense:") if key in str(caught.value)] == [
        "epochs:",
        "seed:",
        "nonsense:",
    ]


def test_an_unknown_recipe_names_the_nearest():
    with pytest.raises(RecipeError, match=r"no recipe 'pocketnet_s_12'.*mean 'pocketnet_s_128'\?"):
        load_recipe("pocketnet_s_12")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"model: [", "is not YAML"),
        (b"- one\n- two\n", "must hold keys and values. Got list"),
        (b"", "must hold keys and values. Got NoneType"),
        (b"\xff\xfe\x00", "is not a text file"),
    ],
)
def test_a_file_that_is_no_recipe(tmp_path, content, message):
    path = tmp_path / "r.yaml"
    path.write_bytes(content)
    with pytest.raises(RecipeError, match=message):
        load_recipe(str(path))


def test_differences_name_each_key_with_both_values():
    ours = load_recipe("pocketnet_s_128", {"seed": 3, "data.train": ["a"]})
    theirs = load_recipe("pocketnet_s_128", {"optimiser.learning_rate": 0.2, "data.train": ["a"]})
    assert differences(ours, theirs) == [
        "optimiser.learning_rate: 0.1 here, 0.2 there",
        "seed: 3 here, 0 there",
    ]
    assert differences(ours, ours) == []


def test_a_distilling_recipe_differs_from_a_plain_one():
    plain = load_recipe("pocketnet_nano")
    taught = load_recipe("pocketnet_nano", {"distill.teacher": "t"})
    assert "distill.teacher: None here, 't' there" in differences(plain, taught)
