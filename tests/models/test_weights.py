import json
from pathlib import Path

import pytest
import torch

from pocketface.card import card_path, read_card, sha256_of
from pocketface.errors import WeightsError
from pocketface.models import Backbone, IResNet, create_model
from pocketface.models.genotype import CIFAR10
from pocketface.models.weights import load_backbone, save_weights
from pocketface.preprocessing import Preprocessing

WORDS = {"data": "20 photographs of 2 people", "licence": "Apache-2.0", "notes": "a test"}


def nano(seed: int = 0, **options: object) -> Backbone:
    small = {"image_size": 32, "channels": 2, "cells": 4, **options}
    return create_model("pocketnet_nano", generator=torch.Generator().manual_seed(seed), **small)


def thin() -> Backbone:
    return create_model("iresnet_34", image_size=32, embedding_size=6, width=0.125)


def edit_card(path: Path, **changes: object) -> None:
    content = json.loads(card_path(path).read_text())
    content.update(changes)
    card_path(path).write_text(json.dumps(content))


@pytest.fixture
def saved(tmp_path) -> Path:
    path = tmp_path / "model.safetensors"
    save_weights(nano(), path, preprocessing=Preprocessing(image_size=32), **WORDS)
    return path


@pytest.mark.parametrize("build", [lambda: nano(genotype=CIFAR10), nano, thin])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_round_trip(tmp_path, scramble, build, memory_format) -> None:
    network = build().to(memory_format=memory_format)
    scramble(network)
    path = tmp_path / "new folder" / "model.safetensors"
    preprocessing = Preprocessing(image_size=32, channel_order="bgr")
    card = save_weights(network, path, preprocessing=preprocessing, **WORDS)
    loaded, read = load_backbone(path)
    assert read == card == read_card(path)
    assert card.sha256 == sha256_of(path)
    assert card.architecture == network.architecture
    assert card.parameters == sum(p.numel() for p in network.parameters())
    assert card.embedding_size == network.embedding_size
    assert card.genotype == network.options.get("genotype")
    assert (card.data, card.licence, card.notes) == tuple(WORDS.values())
    assert type(loaded) is type(network)
    assert not loaded.training
    torch.testing.assert_close(loaded.state_dict(), network.state_dict(), rtol=0, atol=0)
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(loaded(images), network.eval()(images), rtol=1e-4, atol=1e-4)
    assert not list(path.parent.glob("*.tmp-*"))


def test_weights_and_card_can_be_read_by_the_same_people(saved: Path) -> None:
    assert saved.stat().st_mode == card_path(saved).stat().st_mode


def test_saving_does_not_touch_the_network(tmp_path) -> None:
    network = nano()
    parameter = next(network.parameters())
    save_weights(
        network, tmp_path / "a.safetensors", preprocessing=Preprocessing(image_size=32), **WORDS
    )
    assert network.training
    assert next(network.parameters()) is parameter
    assert parameter.requires_grad


def test_a_card_for_another_file_is_refused(saved: Path) -> None:
    other = saved.with_name("other.safetensors")
    save_weights(nano(seed=1), other, preprocessing=Preprocessing(image_size=32), **WORDS)
    other.replace(saved)
    with pytest.raises(WeightsError, match="describes a file with sha256"):
        load_backbone(saved)


def test_one_changed_byte_is_noticed(saved: Path) -> None:
    content = bytearray(saved.read_bytes())
    content[-1] ^= 1
    saved.write_bytes(content)
    with pytest.raises(WeightsError, match="was changed or copied without the other"):
        load_backbone(saved)


def test_without_a_card(saved: Path) -> None:
    card_path(saved).unlink()
    with pytest.raises(WeightsError, match=r"has no card model\.json beside it"):
        load_backbone(saved)
    with pytest.raises(WeightsError, match="There is no weights file"):
        load_backbone(saved.with_name("none.safetensors"))
    with pytest.raises(WeightsError, match="There is no weights file"):
        load_backbone(saved.parent)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "pocketnet_xl"}, "describes no network: Unknown model 'pocketnet_xl'"),
        ({"architecture": "foreign"}, "describes no network"),
        ({"options": {"stages": 3}}, "describes no network: pocketnet_nano has no option 'stages'"),
        ({"options": {"channels": "8"}}, "describes no network: channels must be"),
        ({"options": {"genotype": {"normal": 1}}}, "describes no network: A genotype holds"),
        ({"options": {"weights": "/etc/passwd"}}, "sets weights, which is no option"),
        ({"options": {"cells": 4}}, "contradicts itself"),
        ({"embedding_size": 64}, "contradicts itself"),
        ({"genotype": CIFAR10.to_dict()}, "contradicts itself"),
        ({"preprocessing": {"image_size": 48}}, "contradicts itself"),
    ],
)
def test_a_card_that_describes_another_network(saved: Path, changes: dict, message: str) -> None:
    edit_card(saved, **changes)
    with pytest.raises(WeightsError, match=message):
        load_backbone(saved)


def test_a_card_whose_network_does_not_fit_the_weights(saved: Path) -> None:
    options = {**nano().options, "channels": 4}
    edit_card(saved, options=options)
    with pytest.raises(WeightsError, match="does not fit pocketnet_nano"):
        load_backbone(saved)


def test_what_cannot_be_saved(tmp_path) -> None:
    right = Preprocessing(image_size=32)
    with pytest.raises(WeightsError, match=r"must end in \.safetensors"):
        save_weights(nano(), tmp_path / "a.pt", preprocessing=right, **WORDS)
    with pytest.raises(WeightsError, match="images of 112 pixels, but the network takes 32"):
        save_weights(nano(), tmp_path / "a.safetensors", preprocessing=Preprocessing(), **WORDS)
    direct = IResNet(embedding_size=4, image_size=32, blocks=(1, 1, 1, 1), width=0.0625)
    with pytest.raises(WeightsError, match="IResNet was not built by create_model"):
        save_weights(direct, tmp_path / "a.safetensors", preprocessing=right, **WORDS)
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_old_pair(saved: Path, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("pocketface.models.weights.save", fail)
    with pytest.raises(OSError, match="disk full"):
        save_weights(nano(seed=1), saved, preprocessing=Preprocessing(image_size=32), **WORDS)
    loaded, _ = load_backbone(saved)
    torch.testing.assert_close(loaded.state_dict(), nano().state_dict(), rtol=0, atol=0)


def test_loading_leaves_the_global_random_state_alone(saved: Path) -> None:
    before = torch.get_rng_state()
    load_backbone(saved)
    assert torch.equal(torch.get_rng_state(), before)
