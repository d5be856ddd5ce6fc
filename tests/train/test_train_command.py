"""`train` and `distill` as they are typed."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from pocketface.cli.main import app
from pocketface.distill import AngularConfig
from pocketface.errors import RecipeError, WeightsError
from pocketface.train.checkpoint import load_checkpoint
from pocketface.train.recipe import load_recipe


@pytest.fixture
def place(tmp_path, monkeypatch, tiny_content) -> Path:
    """An empty folder to work in, with the tiny recipe, one epoch long."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tiny_content(epochs=1)))
    return tmp_path


def call(*arguments: object) -> tuple[str, str]:
    """Run the command; errors are raised as they are, `main` would print them."""
    words = [str(argument) for argument in (*arguments, "--device", "cpu")]
    outcome = CliRunner().invoke(app, words, catch_exceptions=False)
    assert outcome.exit_code == 0, outcome.stderr
    return outcome.stdout, outcome.stderr


def test_train_says_what_it_wrote_and_what_comes_next(place):
    out, err = call("train", "tiny.yaml")
    assert "wrote runs/tiny/last.safetensors" in out
    assert "next: pocketface evaluate runs/tiny/last.safetensors PAIRS" in out
    assert (place / "runs" / "tiny" / "last.safetensors").is_file()
    assert "30 images of 6 people" in err
    assert "1 epochs of 3 steps of 8 images on cpu" in err


def test_quiet_and_json(place):
    out, err = call("train", "tiny.yaml", "--out", "run", "--json")
    answer = json.loads(out)
    assert err == ""
    assert answer.pop("seconds") > 0
    assert answer == {
        "run": "run",
        "weights": "run/last.safetensors",
        "steps": 3,
        "images": 24,
        "validation": {},
    }
    out, err = call("train", "tiny.yaml", "--out", "other", "--quiet")
    assert out.startswith("wrote")
    assert err == ""


def test_options_become_the_recipe_that_the_run_keeps(place, tiny_people, tiny_pairs, teacher_run):
    init = teacher_run / "last.safetensors"
    (place / "names.txt").write_text("Person_00\nPerson_03\n\nPerson_05\n")
    call(
        *["train", "tiny.yaml", "--out", "run", "--seed", 4, "--epochs", 2],
        *["--data", tiny_people, "--people", "names.txt", "--init", init, "--quiet"],
        *["--validate", tiny_pairs["pairs"][0], "--images", tiny_pairs["images"]],
        *["--set", "optimiser.learning_rate=0.01", "--set", "augment={mirror: false}"],
        *["--set", "batch_size=5"],
    )
    recipe = load_recipe("run/recipe.yaml")
    assert (recipe.seed, recipe.epochs, recipe.batch_size) == (4, 2, 5)
    assert recipe.data.train == (tiny_people,)
    assert recipe.data.people == Path("names.txt")
    assert recipe.model.init == init
    assert recipe.validation.images == Path(tiny_pairs["images"])
    assert recipe.optimiser.learning_rate == 0.01
    assert not recipe.augment.mirror
    assert load_checkpoint(place / "run" / "last.ckpt").position.step == 2 * 3
    # What the run keeps can be given again.
    out, _ = call("train", "run/recipe.yaml", "--out", "run", "--resume", "--json")
    assert json.loads(out)["steps"] == 6


def test_resume_needs_a_run_and_a_run_needs_resume(place):
    with pytest.raises(WeightsError, match=r"no checkpoint at run/last.ckpt"):
        call("train", "tiny.yaml", "--out", "run", "--resume")
    call("train", "tiny.yaml", "--out", "run", "--quiet")
    with pytest.raises(RecipeError, match="run holds a run already"):
        call("train", "tiny.yaml", "--out", "run")
    with pytest.raises(RecipeError, match="seed: 1 here, 0 there"):
        call("train", "tiny.yaml", "--out", "run", "--resume", "--seed", 1)


def test_auto_resume_begins_and_goes_on(place):
    first, _ = call("train", "tiny.yaml", "--out", "run", "--auto-resume", "--json")
    assert json.loads(first)["steps"] == 3
    weights = place / "run" / "last.safetensors"
    before = weights.stat().st_mtime_ns
    again, _ = call("train", "tiny.yaml", "--out", "run", "--auto-resume", "--json")
    assert json.loads(again)["steps"] == 3
    # There was nothing left to do.
    assert weights.stat().st_mtime_ns == before
    with pytest.raises(RecipeError, match="seed: 1 here, 0 there"):
        call("train", "tiny.yaml", "--out", "run", "--auto-resume", "--seed", 1)
    checkpoint = ["--checkpoint", "run/last.ckpt"]
    with pytest.raises(RecipeError, match=r"--auto-resume .* newest checkpoint"):
        call("train", "tiny.yaml", "--out", "run", "--auto-resume", *checkpoint)


def test_checkpoint_means_resume(place):
    call("train", "tiny.yaml", "--out", "run", "--quiet")
    first = "run/checkpoints/step_000000000.ckpt"
    before = (place / "run" / "last.safetensors").read_bytes()
    (place / "run" / "last.safetensors").unlink()
    out, _ = call("train", "tiny.yaml", "--out", "run", "--checkpoint", first, "--json")
    assert json.loads(out)["steps"] == 3
    assert (place / "run" / "last.safetensors").read_bytes() == before


def test_distill_alone_and_in_steps(place, teacher_run):
    last = teacher_run / "last.safetensors"
    call(
        *["distill", "tiny.yaml", "--out", "one", "--teacher", last, "--quiet"],
        *["--weight", 30, "--cache", "cache"],
    )
    distill = load_recipe("one/recipe.yaml").distill
    assert distill is not None
    assert (distill.teacher, distill.weight, distill.cache) == (last, 30.0, Path("cache"))
    assert not distill.multi_step
    assert len(list((place / "cache").glob("*/shard_00000.npy"))) == 1
    card = json.loads((place / "one" / "last.json").read_text())
    assert card["notes"].endswith(f"taught by {last}")
    call(*["distill", "tiny.yaml", "--out", "two", "--teacher", teacher_run, "--multi-step"])
    distill = load_recipe("two/recipe.yaml").distill
    assert distill is not None
    assert distill.multi_step
    assert distill.weight == 100.0


def test_a_cache_can_be_filled_without_training(place, teacher_run):
    words = ["distill", "tiny.yaml", "--teacher", teacher_run, "--cache-only"]
    out, _ = call(*words, "--multi-step", "--cache", "cache")
    assert out == "full: cache\n"
    assert len(list((place / "cache").glob("*/shard_00000.npy"))) == 3
    assert not (place / "runs").exists()
    assert json.loads(call(*words, "--cache", "cache", "--json")[0]) == {"cache": "cache"}
    with pytest.raises(RecipeError, match=r"no cache to fill: .* with --cache"):
        call(*words)


def test_distill_by_another_loss(place, teacher_run):
    call(
        *["distill", "tiny.yaml", "--out", "run", "--teacher", teacher_run, "--quiet"],
        *["--loss", "angular", "--weight", 3, "--set", "distill.stage_weights=[0, 0, 0, 2]"],
    )
    distill = load_recipe("run/recipe.yaml").distill
    assert isinstance(distill, AngularConfig)
    assert (distill.weight, distill.stage_weights) == (3.0, (0, 0, 0, 2))
    with pytest.raises(RecipeError, match=r"distill: .*'triplet'.*'adadistill', 'angular'"):
        call("distill", "tiny.yaml", "--teacher", teacher_run, "--loss", "triplet")


def test_distill_on_unlabelled_images_with_another_embedding_size(place, teacher_run, tiny_people):
    (place / "empty.yaml").write_text(
        (place / "tiny.yaml")
        .read_text()
        .replace(f"- {tiny_people}", "")
        .replace("train:", "train: []")
    )
    call(
        *["distill", "empty.yaml", "--out", "run", "--teacher", teacher_run, "--quiet"],
        *["--unlabelled", tiny_people, "--projection", "pca", "--set", "model.embedding_size=8"],
    )
    recipe = load_recipe("run/recipe.yaml")
    assert recipe.data.unlabelled == (tiny_people,)
    assert recipe.distill is not None
    assert recipe.distill.projection == "pca"
    with pytest.raises(RecipeError, match=r"There is no teacher"):
        call("train", "tiny.yaml", "--set", f"data.unlabelled=[{tiny_people}]")


def test_distill_describes_a_foreign_teacher(place, tiny_onnx):
    tiny_onnx(place / "foreign.onnx", size=32, dimension=16)
    call(
        *["distill", "tiny.yaml", "--teacher", "foreign.onnx", "--cache", "cache", "--quiet"],
        *["--set", "distill.preprocessing={image_size: 32, mean: [0.5, 0.5, 0.5]}"],
    )
    distill = load_recipe("runs/tiny/recipe.yaml").distill
    assert distill is not None
    assert distill.preprocessing is not None
    assert distill.preprocessing.image_size == 32


def test_distill_without_a_teacher(place):
    with pytest.raises(RecipeError, match=r"no teacher: give --teacher .* pocketface train"):
        call("distill", "tiny.yaml")
    with pytest.raises(RecipeError, match="the teacher nowhere does not exist"):
        call("distill", "tiny.yaml", "--teacher", "nowhere")
    assert not (place / "runs").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs", r"--set takes KEY=VALUE.* Got 'epochs'"),
        ("=3", r"--set takes KEY=VALUE.* Got '=3'"),
        ("epochs=[", r"the value in --set epochs=\[ is not YAML"),
        ("epoch=3", r"epoch: no such key; did you mean 'epochs'"),
        ("epochs=three", r"epochs: .*\(got 'three'\)"),
        ("model.architecture=pocketnet_xs", "Unknown model 'pocketnet_xs'"),
    ],
)
def test_changes_that_cannot_be_made(place, text, message):
    with pytest.raises(RecipeError, match=message):
        call("train", "tiny.yaml", "--set", text)
    assert not (place / "runs").exists()
