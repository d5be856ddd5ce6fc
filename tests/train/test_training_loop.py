"""What a run leaves, what it says, and how it fails."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from PIL import Image

from pocketface.card import read_card
from pocketface.data import FolderFaces
from pocketface.distill import FaceBatch, MultiStepTeacher, Outputs
from pocketface.errors import DataError, RecipeError, TrainingError, WeightsError
from pocketface.models import create_model
from pocketface.models.weights import load_backbone, save_weights
from pocketface.preprocessing import Preprocessing
from pocketface.train.checkpoint import load_checkpoint
from pocketface.train.launch import carry_out
from pocketface.train.log import read_metrics
from pocketface.train.loop import Trainer
from pocketface.train.run import refuse_existing
from pocketface.train.validation import Validator


def trainer_of(recipe, run: Path) -> Trainer:
    return Trainer(recipe, run, Fabric(accelerator="cpu", devices=1), quiet=True)


@pytest.mark.usefixtures("every_step")
@pytest.mark.parametrize("kind", ["arcface", "cosface"])
def test_a_few_epochs_lower_the_loss(tmp_path, tiny_recipe, train_run, kind):
    recipe = tiny_recipe(epochs=8, head={"kind": kind, "scale": 16, "margin": 0.2})
    train_run(recipe, tmp_path / "run")
    losses = [row["loss"] for row in read_metrics(tmp_path / "run")]
    assert len(losses) == 24
    assert np.mean(losses[-3:]) < 0.75 * np.mean(losses[:3])


@pytest.mark.usefixtures("picture")
def test_what_a_run_leaves(tmp_path, tiny_recipe, train_run, tiny_people):
    recipe = tiny_recipe(data={"licence": "CC0"})
    run = tmp_path / "run"
    result = train_run(recipe, run)
    assert (result.position.step, result.position.epoch, result.position.images) == (9, 3, 72)
    assert sorted(path.name for path in run.iterdir() if "tfevents" not in path.name) == [
        "checkpoints",
        "figures",
        "last.ckpt",
        "last.json",
        "last.safetensors",
        "metrics.jsonl",
        "recipe.yaml",
    ]
    backbone, card = load_backbone(run / "last.safetensors")
    saved = load_checkpoint(run / "last.ckpt").states["backbone"]
    for name, tensor in backbone.state_dict().items():
        assert torch.equal(tensor, saved[name]), name
    assert card.architecture == "pocketnet_nano"
    assert card.embedding_size == 16
    assert card.preprocessing == Preprocessing(image_size=32)
    assert card.licence == "CC0"
    assert "30 images of 6 people: people" in card.data
    assert FolderFaces(tiny_people).fingerprint()[:12] in card.data
    assert card.notes == "epoch 3 of 3, seed 0"


def test_rows_of_the_log(tmp_path, tiny_recipe, train_run):
    recipe = tiny_recipe(epochs=2, schedule={"kind": "step", "milestones": [1]})
    train_run(recipe, tmp_path / "run")
    rows = read_metrics(tmp_path / "run")
    assert [row["step"] for row in rows] == [3, 6]  # the ends of the epochs
    assert [row["epoch"] for row in rows] == [1.0, 2.0]
    assert [row["learning_rate"] for row in rows] == pytest.approx([0.1, 0.01])
    for row in rows:
        assert row["loss"] == pytest.approx(row["loss/margin"])
        assert row["images_per_second"] > 0
        assert 0 <= row["loader_wait"] <= 1
        assert row["gradient_norm"] > 0


def test_a_row_is_the_mean_of_its_steps(tmp_path, tiny_recipe, train_run, monkeypatch):
    train_run(tiny_recipe(epochs=2), tmp_path / "coarse")
    monkeypatch.setattr("pocketface.train.loop.LOG_EVERY", 1)
    train_run(tiny_recipe(epochs=2), tmp_path / "fine")
    coarse, fine = (read_metrics(tmp_path / name) for name in ("coarse", "fine"))
    assert [row["step"] for row in fine] == [1, 2, 3, 4, 5, 6]
    for name in ("loss", "loss/margin", "gradient_norm"):
        for number, row in enumerate(coarse):
            steps = [step[name] for step in fine[3 * number : 3 * number + 3]]
            assert row[name] == pytest.approx(sum(steps) / 3, rel=1e-5)


def test_a_run_depends_on_nothing_but_recipe_and_seed(tmp_path, tiny_recipe, train_run):
    torch.manual_seed(1)
    one = train_run(tiny_recipe(epochs=1), tmp_path / "one").run
    torch.manual_seed(2)
    two = train_run(tiny_recipe(epochs=1), tmp_path / "two").run
    unread = train_run(tiny_recipe(epochs=1, data={"in_memory": False}), tmp_path / "unread").run
    other = train_run(tiny_recipe(epochs=1, seed=1), tmp_path / "other").run
    weights = [(run / "last.safetensors").read_bytes() for run in (one, two, unread, other)]
    assert weights[0] == weights[1] == weights[2]
    assert weights[0] != weights[3]


def test_milestones_are_the_weights_at_the_end_of_each_epoch(teacher_run):
    kept = sorted((teacher_run / "milestones").glob("*.safetensors"))
    assert [path.stem for path in kept] == ["epoch_0001", "epoch_0002", "epoch_0003"]
    for number, path in enumerate(kept, 1):
        card = read_card(path)
        assert card is not None
        assert card.notes == f"epoch {number} of 3, seed 7"
    assert kept[2].read_bytes() == (teacher_run / "last.safetensors").read_bytes()
    assert len({path.read_bytes() for path in kept}) == 3


def test_validation_keeps_the_best_and_the_last(tmp_path, tiny_recipe, train_run, tiny_pairs):
    recipe = tiny_recipe(epochs=5, validation=tiny_pairs, milestones=True)
    run = tmp_path / "run"
    result = train_run(recipe, run)
    rows = [row for row in read_metrics(run) if "accuracy/mean" in row]
    means = [row["accuracy/mean"] for row in rows]
    assert len(means) == 5
    assert all(row["accuracy/tiny"] == row["accuracy/mean"] for row in rows)
    assert result.position.best_accuracy == max(means)
    best = means.index(max(means)) + 1
    milestone = run / "milestones" / f"epoch_{best:04d}.safetensors"
    assert (run / "best.safetensors").read_bytes() == milestone.read_bytes()
    card = read_card(run / "best.safetensors")
    assert card is not None
    assert card.notes.startswith(f"epoch {best} of 5")
    assert result.validation == {"tiny": means[-1], "mean": means[-1]}
    assert load_checkpoint(run / "last.ckpt").position.best_accuracy == max(means)


def test_the_first_of_equally_good_weights_stays_the_best(
    tmp_path, tiny_recipe, train_run, tiny_pairs, monkeypatch
):
    accuracies = iter([0.5, 0.7, 0.7, 0.6])
    monkeypatch.setattr(Validator, "measure", lambda self, backbone: {"mean": next(accuracies)})
    train_run(tiny_recipe(epochs=4, validation=tiny_pairs), tmp_path / "run")
    card = read_card(tmp_path / "run" / "best.safetensors")
    assert card is not None
    assert card.notes.startswith("epoch 2 of 4")


def test_in_multi_step_distillation_each_epoch_has_its_milestone(
    tmp_path, tiny_recipe, train_run, teacher_run, monkeypatch
):
    seen = []
    real = MultiStepTeacher.targets

    def spy(self: MultiStepTeacher, batch: FaceBatch) -> Outputs:
        seen.append(self.current)
        return real(self, batch)

    monkeypatch.setattr(MultiStepTeacher, "targets", spy)
    recipe = tiny_recipe(epochs=6, distill={"teacher": str(teacher_run), "multi_step": True})
    train_run(recipe, tmp_path / "run")
    assert seen == [milestone for milestone in (0, 0, 1, 1, 2, 2) for _ in range(3)]


def test_validation_every_other_epoch_and_at_the_end(tmp_path, tiny_recipe, train_run, tiny_pairs):
    recipe = tiny_recipe(validation={**tiny_pairs, "every_epochs": 2})
    train_run(recipe, tmp_path / "run")
    rows = read_metrics(tmp_path / "run")
    assert [row["step"] for row in rows if "accuracy/mean" in row] == [6, 9]


def test_validation_does_not_touch_the_training(tmp_path, tiny_recipe, train_run, tiny_pairs):
    plain = train_run(tiny_recipe(), tmp_path / "plain").run
    measured = train_run(tiny_recipe(validation=tiny_pairs), tmp_path / "measured").run
    weights = [(run / "last.safetensors").read_bytes() for run in (plain, measured)]
    assert weights[0] == weights[1]


def test_two_pair_sets_of_one_name_are_refused(tmp_path, tiny_recipe, tiny_pairs):
    recipe = tiny_recipe(validation={**tiny_pairs, "pairs": tiny_pairs["pairs"] * 2})
    with pytest.raises(RecipeError, match=r"different names.*Got tiny, tiny"):
        trainer_of(recipe, tmp_path / "run")


@pytest.mark.parametrize(
    ("every", "what"), [(1, "weights hold numbers that are not finite"), (2, "the loss is nan")]
)
def test_a_run_that_diverges_stops_and_its_checkpoint_is_good(
    tmp_path, tiny_recipe, train_run, monkeypatch, every, what
):
    # Steps 1 to 3 are sound, and saved. In the fourth the rate is beyond all measure: its loss is
    # still finite, its weights are not.
    real = Trainer._set_rate

    def spoil(self: Trainer) -> float:
        rate = real(self)
        if self.position.step == 3:
            self.step.set_rate(1e38)
        return rate

    monkeypatch.setattr(Trainer, "_set_rate", spoil)
    monkeypatch.setattr("pocketface.train.loop.LOG_EVERY", every)
    minutes = 1e-9 if every == 1 else 10.0
    recipe = tiny_recipe(optimiser={"clip_norm": 0}, checkpoint_minutes=minutes)
    with pytest.raises(TrainingError) as caught:
        train_run(recipe, tmp_path / "run")
    assert what in str(caught.value)
    assert "learning_rate (now 0.1)" in str(caught.value)
    assert "clip_norm (now none)" in str(caught.value)
    checkpoint = load_checkpoint(tmp_path / "run" / "last.ckpt")
    assert checkpoint.position.step == 3
    assert all(
        torch.isfinite(tensor).all()
        for part in ("backbone", "head")
        for tensor in checkpoint.states[part].values()
    )
    assert not (tmp_path / "run" / "last.safetensors").exists()
    assert all(math.isfinite(row["loss"]) for row in read_metrics(tmp_path / "run"))


def test_weights_that_diverge_in_the_last_step_of_an_epoch_are_not_kept(
    tmp_path, tiny_recipe, train_run, monkeypatch
):
    monkeypatch.setattr(Trainer, "_set_rate", lambda self: self.step.set_rate(1e38) or 1e38)
    recipe = tiny_recipe(optimiser={"clip_norm": 0}, batch_size=30, milestones=True)
    with pytest.raises(TrainingError, match="at step 1"):
        train_run(recipe, tmp_path / "run")
    assert not (tmp_path / "run" / "milestones").exists()
    assert load_checkpoint(tmp_path / "run" / "last.ckpt").position.step == 0


def test_fine_tuning_starts_from_the_given_weights(tmp_path, tiny_recipe, teacher_run, train_run):
    init = teacher_run / "last.safetensors"
    trainer = trainer_of(tiny_recipe(model={"init": str(init)}), tmp_path / "run")
    given, _ = load_backbone(init)
    for name, tensor in trainer.backbone.state_dict().items():
        assert torch.equal(tensor, given.state_dict()[name]), name
    run = train_run(tiny_recipe(model={"init": str(init)}, epochs=1), tmp_path / "tuned").run
    assert (run / "last.safetensors").read_bytes() != init.read_bytes()


def test_fine_tuning_keeps_the_preprocessing_of_the_card(tmp_path, tiny_recipe, train_run):
    odd = Preprocessing(image_size=32, channel_order="bgr", mean=(0.1, 0.2, 0.3))
    model = tiny_recipe().model
    backbone = create_model(model.architecture, embedding_size=16, image_size=32, **model.options)
    save_weights(backbone, tmp_path / "w.safetensors", preprocessing=odd, data="", licence="")
    recipe = tiny_recipe(model={"init": str(tmp_path / "w.safetensors")}, epochs=1)
    run = train_run(recipe, tmp_path / "run").run
    card = read_card(run / "last.safetensors")
    assert card is not None
    assert card.preprocessing == odd


def test_weights_of_another_network_are_refused_before_the_run_begins(
    tmp_path, tiny_recipe, teacher_run, train_run
):
    recipe = tiny_recipe(
        model={"init": str(teacher_run / "last.safetensors"), "embedding_size": 32}
    )
    with pytest.raises(WeightsError, match="of another shape"):
        train_run(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_existing_run_is_refused_before_the_data_are_read(
    tmp_path, tiny_recipe, teacher_run, train_run
):
    recipe = tiny_recipe(data={"train": [str(tmp_path / "nowhere")]})
    with pytest.raises(RecipeError, match="holds a run already"):
        train_run(recipe, teacher_run)
    with pytest.raises(DataError, match="nowhere"):
        train_run(recipe, tmp_path / "run")
    refuse_existing(tmp_path / "run")


def test_no_data_at_all(tmp_path, tiny_recipe):
    with pytest.raises(RecipeError, match=r"names no training images. Give them with --data"):
        trainer_of(tiny_recipe(data={"train": []}), tmp_path / "run")


def test_a_single_person_cannot_be_told_from_anyone(tmp_path, tiny_recipe):
    names = tmp_path / "people.txt"
    names.write_text("Person_01")
    with pytest.raises(DataError, match=r"has 1 person, and .* at least two"):
        trainer_of(tiny_recipe(data={"people": str(names)}, batch_size=4), tmp_path / "run")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"test": ["Person_01"]}', "must hold a list of names"),
        ("[1, 2]", "must hold a list of names"),
        ("[]", "must hold a list of names"),
        ("[", "is not JSON"),
        ('["Person_01", "Nobody"]', "Nobody"),
    ],
)
def test_a_list_of_people_that_is_none(tmp_path, tiny_recipe, content, message):
    (tmp_path / "people.json").write_text(content)
    with pytest.raises(DataError, match=message):
        trainer_of(tiny_recipe(data={"people": str(tmp_path / "people.json")}), tmp_path / "run")
    with pytest.raises(DataError, match="no list of people at"):
        trainer_of(tiny_recipe(data={"people": str(tmp_path / "none.json")}), tmp_path / "run")


def test_people_can_be_chosen_and_sources_joined(tmp_path, tiny_recipe, tiny_people):
    names = tmp_path / "people.json"
    names.write_text(json.dumps({"train": ["Person_01", "Person_04"], "test": ["Person_02"]}))
    trainer = trainer_of(tiny_recipe(data={"people": str(names)}), tmp_path / "run")
    assert list(trainer.faces.people) == ["Person_01", "Person_04"]
    assert trainer.step.objective.head.kernel.shape == (16, 2)
    both = tiny_recipe(data={"train": [str(tiny_people)] * 2})
    assert trainer_of(both, tmp_path / "run").step.objective.head.kernel.shape == (16, 12)


@pytest.mark.parametrize("in_memory", [True, False])
def test_faults_of_the_data_are_told_by_name(tmp_path, tiny_recipe, tiny_people, capsys, in_memory):
    people = tmp_path / "people"
    shutil.copytree(tiny_people, people)
    (people / "Person_00" / "notes.txt").write_text("no image")
    (people / "Person_02" / "Person_02_0004.png").write_bytes(b"broken")
    Image.new("L", (20, 30)).save(people / "Person_03" / "Person_03_0001.png")
    recipe = tiny_recipe(data={"train": [str(people)], "in_memory": in_memory}, batch_size=6)
    carry_out(recipe, tmp_path / "run", device="cpu")
    said = capsys.readouterr().err
    assert "left out of the data: 1, first Person_00/notes.txt: not an image" in said
    assert said.count("left out: Person_02/Person_02_0004.png") == 1
    assert said.count("left out: Person_03/Person_03_0001.png") == 1


def test_mixed_precision_trains_and_its_weights_are_float32(tmp_path, tiny_recipe, train_run):
    run = train_run(tiny_recipe(precision="bf16-mixed", epochs=1), tmp_path / "run").run
    backbone, _ = load_backbone(run / "last.safetensors")
    assert all(
        tensor.dtype in (torch.float32, torch.int64) for tensor in backbone.state_dict().values()
    )


@pytest.mark.parametrize("device", ["abacus", "cuda"])
def test_a_device_that_is_not_there(tmp_path, tiny_recipe, device):
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine has one")
    with pytest.raises(RecipeError, match=f"device '{device}' with precision '32-true' cannot"):
        carry_out(tiny_recipe(), tmp_path / "run", device=device, quiet=True)
    assert not (tmp_path / "run").exists()
