"""Each way to distil, carried through the loop."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pocketface.data import FolderFaces, decode_rgb
from pocketface.distill import METHODS
from pocketface.embedding.load import load_embedder
from pocketface.embedding.resize import resize_faces
from pocketface.errors import RecipeError
from pocketface.heads import ArcFace
from pocketface.models.weights import load_backbone
from pocketface.train.checkpoint import load_checkpoint
from pocketface.train.inherit import inherit_head
from pocketface.train.launch import carry_out
from pocketface.train.log import read_metrics

pytestmark = pytest.mark.usefixtures("every_step")

WIDER = {"options": {"channels": 4, "cells": 4}}
"""A student whose stages have twice its teacher's widths."""


def state_at(run: Path, step: int) -> dict[str, torch.Tensor]:
    path = run / "checkpoints" / f"step_{step:09d}.ckpt"
    return load_checkpoint(path).states["distillation"]


def test_mappings_are_trained_kept_and_not_exported(tmp_path, tiny_recipe, train_run, teacher_run):
    distill = {"teacher": str(teacher_run), "loss": "angular", "stage_weights": [1, 0, 1, 2]}
    run = train_run(tiny_recipe(distill=distill, model=WIDER), tmp_path / "run").run
    rows = read_metrics(run)
    assert {"loss/margin", "loss/angular", "loss/stage_1", "loss/stage_3", "loss/stage_4"} == {
        name for name in rows[0] if name.startswith("loss/")
    }
    assert sum(row["loss/stage_4"] for row in rows[-3:]) < sum(
        row["loss/stage_4"] for row in rows[:3]
    )
    before, after = state_at(run, 6), state_at(run, 9)
    learnt = [name for name in after if name.endswith((".weight", ".bias"))]
    assert {name.split(".")[1] for name in learnt} == {"stage_1", "stage_3", "stage_4"}
    assert not any(torch.equal(before[name], after[name]) for name in learnt)
    backbone, _ = load_backbone(run / "last.safetensors")
    assert set(load_file(run / "last.safetensors")) == set(backbone.state_dict())


def test_blocks_follow_the_teacher_in_steps(tmp_path, tiny_recipe, train_run, teacher_run):
    distill = {"teacher": str(teacher_run), "loss": "angular", "multi_step": True}
    run = train_run(tiny_recipe(distill=distill), tmp_path / "run").run
    assert state_at(run, 9) == {}  # the same network: nothing to map
    rows = read_metrics(run)
    assert len(rows) == 9
    assert all(0 < row["loss/stage_2"] < 2 for row in rows)


def test_adadistill_needs_no_head(tmp_path, tiny_recipe, train_run, teacher_run):
    distill = {"teacher": str(teacher_run), "loss": "adadistill", "scale": 16}
    run = train_run(tiny_recipe(distill=distill, epochs=6), tmp_path / "run").run
    rows = read_metrics(run)
    assert {name for name in rows[0] if name.startswith("loss")} == {"loss", "loss/adadistill"}
    assert rows[0]["loss"] == pytest.approx(rows[0]["loss/adadistill"])
    assert sum(row["loss"] for row in rows[-3:]) < 0.8 * sum(row["loss"] for row in rows[:3])
    assert rows[-1]["cosine_to_teacher"] > rows[0]["cosine_to_teacher"]
    states = load_checkpoint(run / "last.ckpt").states
    assert states["head"] == states["head_optimiser"] == {}
    centres = states["distillation"]["classifier.kernel"]
    assert centres.shape == (16, 6)
    assert torch.allclose(centres.norm(dim=0), torch.ones(6))


def test_ekd_has_groups_in_its_batches_and_any_embedding_size(
    tmp_path, tiny_recipe, train_run, teacher_run
):
    distill = {"teacher": str(teacher_run), "loss": "ekd", "temperature": 0.2, "hardest": 10}
    recipe = tiny_recipe(distill=distill, model={"embedding_size": 24})
    assert recipe.balanced_share == 0.5
    run = train_run(recipe, tmp_path / "run").run
    rows = read_metrics(run)
    assert all(row["loss/ekd_positive"] > 0 for row in rows)
    assert "cosine_to_teacher" not in rows[0]
    state = load_checkpoint(run / "last.ckpt").states["distillation"]
    assert bool(state["started"])
    assert not torch.equal(state["student_thresholds"], state["teacher_thresholds"])


def test_relations_are_handed_on_whatever_the_embedding_size(
    tmp_path, tiny_recipe, train_run, teacher_run
):
    weights = {"distance_weight": 300, "angle_weight": 300}
    distill = {"teacher": str(teacher_run), "loss": "relational", **weights}
    still = {"mirror": False, "shift": 0, "brightness": 0, "contrast": 0}
    recipe = tiny_recipe(
        distill=distill, model={"embedding_size": 24}, batch_size=30, epochs=12, augment=still,
        optimiser={"learning_rate": 0.02},
    )  # fmt: skip
    rows = read_metrics(train_run(recipe, tmp_path / "run").run)
    for term in ("loss/distance", "loss/angle"):
        assert rows[-1][term] < 0.8 * rows[0][term]


def test_the_teachers_head_classifies_and_stays_as_it_is(
    tmp_path, tiny_recipe, train_run, teacher_run
):
    distill = {"teacher": str(teacher_run), "loss": "inherited", "weight": 100}
    run = train_run(tiny_recipe(distill=distill, epochs=6), tmp_path / "run").run
    rows = read_metrics(run)
    terms = {"loss/inherited", "loss/embedding"}
    assert {name for name in rows[0] if name.startswith("loss/")} == terms
    assert sum(row["loss"] for row in rows[-3:]) < 0.8 * sum(row["loss"] for row in rows[:3])
    theirs = load_checkpoint(teacher_run / "last.ckpt").states["head"]["kernel"]
    states = load_checkpoint(run / "last.ckpt").states
    assert torch.equal(states["distillation"]["classifier.kernel"], theirs)
    assert states["head"] == {}


def test_a_head_is_inherited_with_its_kind_scale_and_margin(tiny_faces, tiny_recipe, teacher_run):
    config = tiny_recipe(distill={"teacher": str(teacher_run), "loss": "inherited"}).distill
    head = inherit_head(config, tiny_faces)
    assert isinstance(head, ArcFace)
    assert (head.scale, head.margin) == (16, 0.2)


def test_a_head_that_cannot_be_inherited_is_refused_before_the_teacher_works(
    tmp_path, tiny_recipe, train_run, teacher_run, monkeypatch
):
    monkeypatch.setattr("pocketface.train.build.create_teacher", None)
    weights = {"teacher": str(teacher_run / "last.safetensors"), "loss": "inherited"}
    with pytest.raises(RecipeError, match=r"needs the folder of the teacher's run"):
        train_run(tiny_recipe(distill=weights), tmp_path / "run")
    names = tmp_path / "people.txt"
    names.write_text("Person_00\nPerson_03\nPerson_05\n")
    others = tiny_recipe(
        distill={"teacher": str(teacher_run), "loss": "inherited"}, data={"people": str(names)}
    )
    with pytest.raises(RecipeError, match=r"learnt other images .*: 30 images of 6 people"):
        train_run(others, tmp_path / "run")


def test_a_teacher_without_a_head_has_none_to_leave(tmp_path, tiny_recipe, train_run, teacher_run):
    distill = {"teacher": str(teacher_run), "loss": "adadistill"}
    headless = train_run(tiny_recipe(distill=distill, epochs=1), tmp_path / "teacher").run
    heir = tiny_recipe(distill={"teacher": str(headless), "loss": "inherited"})
    with pytest.raises(RecipeError, match=r"had no head of its own that could be inherited"):
        train_run(heir, tmp_path / "run")


@pytest.mark.parametrize("loss", ["embedding", "angular", "adadistill", "inherited"])
def test_a_learned_projection_joins_any_sizes_and_the_card_says_so(
    tmp_path, tiny_recipe, train_run, teacher_run, loss
):
    distill = {"teacher": str(teacher_run), "loss": loss, "projection": "learned"}
    recipe = tiny_recipe(distill=distill, model={"embedding_size": 24}, epochs=1)
    run = train_run(recipe, tmp_path / "run").run
    steps = [
        load_checkpoint(run / "checkpoints" / f"step_{n:09d}.ckpt").states["projection"]["matrix"]
        for n in (0, 3)
    ]
    assert steps[0].shape == (24, 16)
    assert not torch.equal(*steps)
    backbone, card = load_backbone(run / "last.safetensors")
    assert backbone.embedding_size == 24
    assert set(load_file(run / "last.safetensors")) == set(backbone.state_dict())
    assert "its 24 numbers were compared with the teacher's 16 through a learned" in card.notes
    if loss != "inherited":
        assert "cosine_to_teacher" in read_metrics(run)[0]


def teacher_directions(teacher_run, recipe) -> np.ndarray:
    """The teacher's own unit embeddings of all images, as the student sees them."""
    embedder = load_embedder(teacher_run / "last.safetensors")
    faces = FolderFaces(recipe.data.train[0])
    pixels = [resize_faces(decode_rgb(faces.encoded(i), "")[None], 32) for i in range(len(faces))]
    rows = embedder.embed(np.concatenate(pixels)).astype(np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("loss", ["embedding", "adadistill"])
def test_a_student_follows_the_principal_directions(
    tmp_path, tiny_recipe, train_run, teacher_run, loss, cached
):
    distill = {"teacher": str(teacher_run), "loss": loss, "projection": "pca"}
    if cached:
        distill["cache"] = str(tmp_path / "cache")
    recipe = tiny_recipe(distill=distill, model={"embedding_size": 6}, epochs=1)
    run = train_run(recipe, tmp_path / "run").run
    state = load_checkpoint(run / "last.ckpt").states["projection"]
    rows = teacher_directions(teacher_run, recipe)
    _, values, right = np.linalg.svd(rows)
    np.testing.assert_allclose(np.abs(state["basis"].numpy()), np.abs(right[:6].T), atol=5e-2)
    kept = (values[:6] ** 2).sum() / (values**2).sum()
    assert float(state["kept"]) == pytest.approx(kept, abs=1e-3)
    _, card = load_backbone(run / "last.safetensors")
    assert f"the 6 principal directions of the teacher's 16, which hold {kept:.1%}" in card.notes


def test_a_student_follows_its_teacher_less_the_mean(tmp_path, tiny_recipe, train_run, teacher_run):
    distill = {"teacher": str(teacher_run), "loss": "angular", "projection": "centred"}
    distill["stage_weights"] = [0, 0, 0, 0]
    recipe = tiny_recipe(distill=distill, epochs=1)
    run = train_run(recipe, tmp_path / "run").run
    mean = load_checkpoint(run / "last.ckpt").states["projection"]["mean"].numpy()
    np.testing.assert_allclose(mean, teacher_directions(teacher_run, recipe).mean(0), atol=1e-2)
    _, card = load_backbone(run / "last.safetensors")
    assert f"less their mean, which is {np.linalg.norm(mean):.2f} long" in card.notes


@pytest.mark.parametrize(
    ("size", "projection", "message"),
    [
        (12, None, r"of 16 numbers, the student of 12. Set .* --projection pca \(or learned\)"),
        (24, None, r"of 16 numbers, the student of 24. Set .* --projection learned"),
        (
            12,
            "centred",
            r"of 16 numbers, the student of 12. Set .* --projection pca \(or learned\)",
        ),
        (24, "pca", r"16 numbers, which have no 24 principal directions .* --projection learned"),
    ],
)
def test_sizes_that_nothing_joins_are_refused_before_the_run(
    tmp_path, tiny_recipe, train_run, teacher_run, size, projection, message
):
    distill = {"teacher": str(teacher_run), "projection": projection}
    recipe = tiny_recipe(distill=distill, model={"embedding_size": size})
    with pytest.raises(RecipeError, match=message):
        train_run(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("loss", METHODS)
def test_mixed_precision_distils_too(tmp_path, tiny_recipe, train_run, teacher_run, loss):
    distill = {"teacher": str(teacher_run), "loss": loss}
    recipe = tiny_recipe(distill=distill, model=WIDER, precision="bf16-mixed", epochs=1)
    run = train_run(recipe, tmp_path / "run").run
    rows = read_metrics(run)
    plain = train_run(recipe.model_copy(update={"precision": "32-true"}), tmp_path / "plain").run
    for name, value in read_metrics(plain)[0].items():
        if name.startswith("loss"):
            assert rows[0][name] == pytest.approx(value, rel=0.15, abs=0.05), name


@pytest.mark.parametrize("loss", ["embedding", "angular", "relational"])
def test_a_teacher_alone_speaks_of_unlabelled_images(
    tmp_path, tiny_recipe, train_run, teacher_run, tiny_people, capsys, loss
):
    recipe = tiny_recipe(
        distill={"teacher": str(teacher_run), "loss": loss},
        data={"train": [], "unlabelled": [str(tiny_people)]},
        epochs=1,
    )
    result = carry_out(recipe, tmp_path / "run", device="cpu")
    assert "), 30 images without identities, 1 epochs" in capsys.readouterr().err
    rows = read_metrics(result.run)
    assert not any("margin" in name for name in rows[0])
    states = load_checkpoint(result.run / "last.ckpt").states
    assert states["head"] == states["head_optimiser"] == {}
    _, card = load_backbone(result.run / "last.safetensors")
    assert card.data.startswith("30 images without identities: people (fingerprint ")


def test_unlabelled_images_join_those_of_people(
    tmp_path, tiny_recipe, train_run, teacher_run, tiny_people
):
    recipe = tiny_recipe(
        distill={"teacher": str(teacher_run)},
        data={"unlabelled": [str(tiny_people / f"Person_0{n}") for n in range(4)]},
        epochs=2,
    )
    run = train_run(recipe, tmp_path / "run").run
    rows = read_metrics(run)
    assert all({"loss/margin", "loss/embedding"} <= row.keys() for row in rows)
    states = load_checkpoint(run / "last.ckpt").states
    assert states["head"]["kernel"].shape == (16, 6)
    assert sum(row["loss/margin"] for row in rows) > 0
    _, card = load_backbone(run / "last.safetensors")
    assert card.data.startswith("30 images of 6 people and 20 without identities: people, Person")


def test_the_teachers_of_unlabelled_images_may_be_cached_onnx_files(
    tmp_path, tiny_recipe, train_run, tiny_people, tiny_onnx
):
    distill = {
        "teacher": str(tiny_onnx(tmp_path / "t.onnx", size=32, dimension=16)),
        "cache": str(tmp_path / "cache"),
        "preprocessing": {"image_size": 32, "mean": [0.4] * 3, "std": [0.2] * 3},
        "loss": "angular",
        "stage_weights": [0, 0, 0, 0],
        "weight": 30,
    }
    data = {"train": [], "unlabelled": [str(tiny_people)]}
    run = train_run(tiny_recipe(distill=distill, data=data), tmp_path / "run").run
    rows = read_metrics(run)
    assert rows[-1]["cosine_to_teacher"] > rows[0]["cosine_to_teacher"] + 0.1


@pytest.mark.parametrize(
    ("distill", "got"),
    [
        (None, "There is no teacher"),
        ({"loss": "ekd"}, "Got ekd"),
        ({"loss": "adadistill"}, "Got adadistill"),
        ({"loss": "inherited"}, "Got inherited"),
    ],
)
def test_who_needs_identities_has_no_use_for_unlabelled_images(tiny_recipe, distill, got):
    taught = distill and {"teacher": "t", **distill}
    with pytest.raises(RecipeError, match=rf"embedding, angular or relational\). {got}"):
        tiny_recipe(distill=taught, data={"unlabelled": ["folder"]})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": "angular", "cache": "c"}, r"distill: .*a cached teacher gives embeddings, not"),
        ({"loss": "angular", "teacher": "t.onnx"}, r"distill: .*gives no maps of its blocks"),
        ({"loss": "angular", "form": "l3"}, r"distill.form: .*'cosine', 'squared' or 'l2'"),
        ({"loss": "angular", "stage_weights": [1, 1]}, r"distill.stage_weights"),
        ({"loss": "angular", "wieght": 1}, r"distill.wieght: .*'weight'\? Allowed: .*stage_weigh"),
        ({"loss": "embedding", "form": "l2"}, r"distill.form: no such key; Allowed: [^f]*$"),
        ({"loss": "triplet"}, r"distill: .*'triplet' found using 'loss'.*'adadistill', 'angular'"),
    ],
)
def test_a_section_that_cannot_be_is_refused(tiny_recipe, changes, message):
    with pytest.raises(RecipeError, match=message):
        tiny_recipe(distill={"teacher": "t", **changes})
