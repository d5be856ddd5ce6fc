"""From a recipe's words to a teacher: live, cached, in steps; and the same answers from each."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from lightning_fabric import Fabric
from PIL import Image

from pocketface.card import ModelCard
from pocketface.data import FolderFaces, decode_rgb
from pocketface.distill import (
    CachedTeacher,
    FaceBatch,
    LiveTeacher,
    MultiStepTeacher,
)
from pocketface.distill.embedding import EmbeddingConfig
from pocketface.embedding.load import load_embedder
from pocketface.embedding.onnx_embedder import OnnxEmbedder
from pocketface.embedding.self_description import SelfDescription
from pocketface.embedding.torch_embedder import TorchEmbedder
from pocketface.errors import RecipeError, StoppedError, WeightsError
from pocketface.models import create_model
from pocketface.models.weights import load_backbone
from pocketface.preprocessing import Preprocessing
from pocketface.train.augment import AugmentConfig, augment
from pocketface.train.loader import FaceImages, FaceLoader
from pocketface.train.teachers import create_teacher

USUAL = {"image_size": 32, "mean": [0.5] * 3, "std": [0.5] * 3}


def create(faces, size=16, **config):
    fabric = Fabric(accelerator="cpu", devices=1)
    return create_teacher(
        EmbeddingConfig(**config), faces, embedding_size=size, fabric=fabric, quiet=True
    )


def batches(faces, epochs: int = 2, side: int = 32):
    """What the loop would show a teacher, augmented by the mirror alone."""
    config = AugmentConfig()
    loader = FaceLoader(
        faces, image_size=side, global_batch=8, seed=0, augment=config, in_memory=True
    )
    for epoch in range(epochs):
        for loaded in loader.epoch(epoch):
            yield FaceBatch(
                augment(loaded.images, loaded.plan, config),
                loaded.labels,
                loaded.indices,
                torch.from_numpy(loaded.plan.mirrored),
            )


def assert_float16_close(cached: torch.Tensor, live: torch.Tensor) -> None:
    # Half a unit in the last of float16's 11 binary digits, and float32's own rounding.
    assert torch.allclose(cached, live, rtol=2**-11 + 1e-5, atol=1e-4)


def forbid(monkeypatch) -> None:
    """No network may be asked from now on."""

    def forbidden(self, images):
        raise AssertionError("the teacher was asked")

    monkeypatch.setattr(LiveTeacher, "look", forbidden)


def small_shards(monkeypatch) -> None:
    """Eight images in each shard: four shards for the tiny people."""
    monkeypatch.setattr("pocketface.distill.cache.images_per_shard", lambda images: 8)


@pytest.fixture
def last(teacher_run) -> Path:
    return teacher_run / "last.safetensors"


def test_a_live_teacher_gives_what_its_network_gives(tiny_faces, last):
    teacher = create(tiny_faces, teacher=last)
    assert isinstance(teacher, LiveTeacher)
    assert not any(parameter.requires_grad for parameter in teacher.backbone.parameters())
    backbone, card = load_backbone(last)
    embedder = TorchEmbedder(backbone, card.preprocessing)
    for batch in batches(tiny_faces, 1):
        got = teacher.targets(batch).embeddings
        assert not got.requires_grad
        assert np.allclose(got.numpy(), embedder.embed(batch.images.numpy()), atol=1e-5)


def test_a_cached_teacher_gives_what_the_live_one_gives(tiny_faces, last, tmp_path):
    live = create(tiny_faces, teacher=last)
    cached = create(tiny_faces, teacher=last, cache=tmp_path)
    assert isinstance(cached, CachedTeacher)
    mirrored = 0
    for batch in batches(tiny_faces):
        assert_float16_close(cached.targets(batch).embeddings, live.targets(batch).embeddings)
        mirrored += int(batch.mirrored.sum())
    assert 5 < mirrored < 43


def test_a_second_run_pays_no_teacher(tiny_faces, last, tmp_path, monkeypatch):
    create(tiny_faces, teacher=last, cache=tmp_path)

    forbid(monkeypatch)
    teacher = create(FolderFaces(tiny_faces.root), teacher=last, cache=tmp_path)
    assert isinstance(teacher, CachedTeacher)


def test_a_stopped_filling_says_what_is_kept_and_goes_on(tiny_faces, last, tmp_path, monkeypatch):
    small_shards(monkeypatch)
    real, asked = LiveTeacher.look, []

    def look(self, images):
        asked.append(len(images))
        if len(asked) == 4:
            raise KeyboardInterrupt
        return real(self, images)

    monkeypatch.setattr(LiveTeacher, "look", look)
    with pytest.raises(StoppedError, match=r"1 of 4 parts .* The same command goes on"):
        create(tiny_faces, teacher=last, cache=tmp_path)
    create(tiny_faces, teacher=last, cache=tmp_path)
    assert sum(asked[4:]) == 2 * (30 - 8)


def test_milestones_look_at_images_that_are_decoded_once(
    tiny_faces, teacher_run, tmp_path, monkeypatch
):
    small_shards(monkeypatch)
    real, decoded = FaceImages.read_into, []

    def read_into(self, index, out):
        decoded.append(index)
        return real(self, index, out)

    monkeypatch.setattr(FaceImages, "read_into", read_into)
    create(tiny_faces, teacher=teacher_run, multi_step=True, cache=tmp_path, teacher_batch=5)
    assert sorted(decoded) == list(range(30))
    assert len(list(tmp_path.glob("*/shard_00003.npy"))) == 3
    # What one lacks is decoded for that one; nobody else is opened.
    next(iter(tmp_path.glob("*/shard_00001.npy"))).unlink()
    decoded.clear()
    create(tiny_faces, teacher=teacher_run, multi_step=True, cache=tmp_path)
    assert sorted(decoded) == list(range(8, 16))


def test_a_broken_part_is_told_of_and_made_again(tiny_faces, last, tmp_path, monkeypatch, capsys):
    small_shards(monkeypatch)
    create(tiny_faces, teacher=last, cache=tmp_path)
    path = next(iter(tmp_path.glob("*/shard_00002.npy")))
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    config, fabric = EmbeddingConfig(teacher=last, cache=tmp_path), Fabric(accelerator="cpu")
    create_teacher(config, tiny_faces, embedding_size=16, fabric=fabric)
    assert "broken parts of the cache, which are made again: 1" in capsys.readouterr().err
    assert path.read_bytes() == content


def test_mixed_precision_has_a_cache_of_its_own(tiny_faces, last, tmp_path):
    create(tiny_faces, teacher=last, cache=tmp_path)
    mixed = create(tiny_faces, teacher=last, cache=tmp_path, teacher_precision="bf16-mixed")
    assert len(list(tmp_path.iterdir())) == 2
    assert len(list(tmp_path.glob("*-bf16-mixed"))) == 1
    live = create(tiny_faces, teacher=last, teacher_precision="bf16-mixed")
    plain = create(tiny_faces, teacher=last)
    for batch in batches(tiny_faces, 1):
        wanted = live.targets(batch).embeddings
        assert wanted.dtype == torch.float32
        # Images come in other batches to a cache's teacher: a rounding of 8 binary digits.
        assert torch.allclose(mixed.targets(batch).embeddings, wanted, rtol=0.05, atol=0.05)
        assert not torch.equal(wanted, plain.targets(batch).embeddings)


def test_a_live_teachers_precision_is_the_recipes_unless_it_says_another(tiny_faces, last):
    fabric = Fabric(accelerator="cpu", devices=1)
    for own, wanted in ((None, "bf16-mixed"), ("32-true", "32-true")):
        config = EmbeddingConfig(teacher=last, teacher_precision=own)
        teacher = create_teacher(
            config, tiny_faces, embedding_size=16, fabric=fabric, precision="bf16-mixed"
        )
        assert teacher.precision == wanted


def test_what_a_live_teacher_gives_can_be_kept_for_a_gradient(tiny_faces, last):
    teacher = create(tiny_faces, teacher=last, loss="embedding")
    batch = next(batches(tiny_faces))
    student = torch.zeros(8, 16, requires_grad=True)
    (student * teacher.targets(batch).embeddings).sum().backward()
    assert student.grad.abs().max() > 0


def test_the_cache_knows_other_weights_and_other_data(tiny_faces, teacher_run, tmp_path):
    create(tiny_faces, teacher=teacher_run / "last.safetensors", cache=tmp_path)
    create(tiny_faces, teacher=teacher_run / "milestones/epoch_0001.safetensors", cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    changed = tmp_path / "people"
    shutil.copytree(tiny_faces.root, changed)
    image = next(iter(sorted(changed.rglob("*.png"))))
    Image.new("RGB", (64, 64)).save(image)
    create(FolderFaces(changed), teacher=teacher_run / "last.safetensors", cache=tmp_path / "c")
    assert len(list((tmp_path / "c").iterdir())) == 1
    names = {path.name for path in (tmp_path / "c").iterdir()}
    assert not names & {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize("first", [True, False])
def test_images_that_cannot_be_used_do_not_shift_the_others(tiny_faces, last, tmp_path, first):
    root = tmp_path / "people"
    shutil.copytree(tiny_faces.root, root)
    images = sorted(root.rglob("*.png"))
    images[0 if first else 7].write_bytes(b"broken")
    Image.new("RGB", (40, 64)).save(images[12])
    Image.new("RGB", (48, 48), "red").save(images[13])  # of another size, but good
    faces = FolderFaces(root)
    live = create(faces, teacher=last)
    cached = create(faces, teacher=last, cache=tmp_path / "cache")
    seen = 0
    for batch in batches(faces, 4):
        assert_float16_close(cached.targets(batch).embeddings, live.targets(batch).embeddings)
        seen += len(batch.labels)
    assert seen < 4 * 24


def test_multi_step_follows_the_milestones_live_and_cached(tiny_faces, teacher_run, tmp_path):
    live = create(tiny_faces, teacher=teacher_run, multi_step=True)
    cached = create(tiny_faces, teacher=teacher_run, multi_step=True, cache=tmp_path)
    assert isinstance(live, MultiStepTeacher)
    assert isinstance(cached, MultiStepTeacher)
    assert len(list(tmp_path.iterdir())) == 3
    batch = next(batches(tiny_faces))
    for epoch in range(3):
        single = create(
            tiny_faces, teacher=teacher_run / f"milestones/epoch_{epoch + 1:04d}.safetensors"
        )
        live.at_epoch(epoch, 3)
        cached.at_epoch(epoch, 3)
        expected = single.targets(batch).embeddings
        assert torch.equal(live.targets(batch).embeddings, expected)
        assert_float16_close(cached.targets(batch).embeddings, expected)


def test_an_onnx_teacher_teaches_from_a_cache(tiny_faces, tiny_onnx, tmp_path):
    path = tiny_onnx(tmp_path / "foreign.onnx", size=32, dimension=16)
    cached = create(tiny_faces, teacher=path, cache=tmp_path / "c", preprocessing=USUAL)
    embedder = OnnxEmbedder(path, Preprocessing(**USUAL))
    for batch in batches(tiny_faces, 1):
        expected = torch.from_numpy(embedder.embed(batch.images.numpy()))
        assert_float16_close(cached.targets(batch).embeddings, expected)


def test_an_exported_file_teaches_without_a_card(tiny_faces, tiny_onnx, tmp_path):
    path = tiny_onnx(tmp_path / "exported.onnx", size=32, dimension=16)
    card = ModelCard(
        architecture="foreign",
        embedding_size=16,
        preprocessing=Preprocessing(**USUAL),
        sha256="0",
    )
    model = onnx.load(str(path))
    description = SelfDescription(version="0", card=card)
    onnx.helper.set_model_props(model, description.to_metadata())
    onnx.save(model, str(path))
    cached = create(tiny_faces, teacher=path, cache=tmp_path / "c")
    embedder = load_embedder(path)
    for batch in batches(tiny_faces, 1):
        expected = torch.from_numpy(embedder.embed(batch.images.numpy()))
        assert_float16_close(cached.targets(batch).embeddings, expected)


def test_the_cache_shows_a_teacher_the_images_as_they_are_stored(tiny_faces, tiny_onnx, tmp_path):
    # The student looks at 16 pixels, the teacher at 32 of the 64 that are there.
    path = tiny_onnx(tmp_path / "foreign.onnx", size=32, dimension=16)
    cached = create(tiny_faces, teacher=path, cache=tmp_path / "c", preprocessing=USUAL)
    embedder = load_embedder(path, Preprocessing(**USUAL))
    for batch in batches(tiny_faces, 1, side=16):
        stored = [decode_rgb(tiny_faces.encoded(int(i)), "") for i in batch.indices]
        faces = [p[:, ::-1] if m else p for p, m in zip(stored, batch.mirrored, strict=True)]
        expected = embedder.embed(np.ascontiguousarray(np.stack(faces)))
        got = cached.targets(batch).embeddings.numpy()
        # Mirrored before or after it is made smaller: a pixel may be rounded otherwise.
        assert np.abs(got - expected).max() < 0.02 * np.abs(expected).max()


def test_a_state_dict_teaches_once_it_is_described(tiny_faces, tmp_path):
    network = create_model("iresnet_18", embedding_size=512, image_size=32)
    torch.save(network.state_dict(), tmp_path / "backbone.pth")
    described = {"preprocessing": USUAL, "architecture": "iresnet_18"}
    teacher = create(tiny_faces, 512, teacher=tmp_path / "backbone.pth", **described)
    assert isinstance(teacher, LiveTeacher)
    assert teacher.targets(next(batches(tiny_faces))).embeddings.shape == (8, 512)
    with pytest.raises(RecipeError, match=r"no card .* --set 'distill.preprocessing="):
        create(tiny_faces, 512, teacher=tmp_path / "backbone.pth")
    with pytest.raises(RecipeError, match=r"Name it: --set distill.architecture=NAME"):
        create(tiny_faces, 512, teacher=tmp_path / "backbone.pth", preprocessing=USUAL)


def test_an_onnx_teacher_without_a_cache_is_refused(tiny_faces, tiny_onnx, tmp_path):
    path = tiny_onnx(tmp_path / "foreign.onnx", dimension=16)
    with pytest.raises(RecipeError, match=r"foreign.onnx is an ONNX file.*with --cache"):
        create(tiny_faces, teacher=path, preprocessing=USUAL)


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("multi_step", [False, True])
def test_a_teacher_of_another_embedding_size_is_refused_before_it_works(
    tiny_faces, teacher_run, tmp_path, monkeypatch, cached, multi_step
):
    forbid(monkeypatch)
    cache = tmp_path if cached else None
    with pytest.raises(RecipeError, match=r"of 16 numbers, the student of 32. Set model.embedd"):
        create(tiny_faces, 32, teacher=teacher_run, multi_step=multi_step, cache=cache)


def test_a_description_beside_a_card_is_refused(tiny_faces, last):
    with pytest.raises(WeightsError, match="has a card"):
        create(tiny_faces, teacher=last, preprocessing=USUAL)


@pytest.mark.parametrize("fault", ["changed", "card gone"])
def test_a_broken_milestone_is_found_before_the_run(tiny_faces, teacher_run, tmp_path, fault):
    run = tmp_path / "run"
    shutil.copytree(teacher_run, run, symlinks=True)
    path = run / "milestones" / "epoch_0002.safetensors"
    if fault == "changed":
        path.write_bytes(path.read_bytes() + b"x")
    else:
        path.with_suffix(".json").unlink()
    with pytest.raises((RecipeError, WeightsError), match="epoch_0002"):
        create(tiny_faces, teacher=run, multi_step=True)
