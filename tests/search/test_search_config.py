"""The settings of a search: the paper's, ours, and what is refused."""

from typing import Any

import pytest
import torch

from pocketface.errors import RecipeError
from pocketface.search.config import SearchConfig, make_config
from pocketface.search.supernet import Supernet


def test_the_defaults_are_the_papers() -> None:
    config = make_config()
    assert config == SearchConfig()
    assert vars(config.supernet) == {
        "image_size": 112,
        "channels": 16,
        "cells": 8,
        "hidden": 512,
        "groups": 128,
        "embedding_size": 128,
    }
    weights, architecture = config.weights, config.architecture
    assert (weights.learning_rate, weights.last_rate, weights.clip_norm) == (0.1, 0.004, 5)
    assert (weights.momentum, weights.weight_decay) == (0.9, 3e-4)
    assert (architecture.learning_rate, architecture.weight_decay) == (1.2e-3, 1e-3)
    assert (architecture.beta1, architecture.beta2, architecture.scale) == (0.5, 0.999, 1e-3)
    assert architecture.order == "second"
    assert (config.epochs, config.batch_size, config.head) == (50, 128, None)
    assert config.supernet.image_size + 2 * config.margin == 128


@pytest.mark.parametrize("preset", ["paper", "small"])
def test_a_preset_is_a_network_that_can_be_built(preset: str) -> None:
    with torch.device("meta"):
        Supernet(**vars(make_config(preset).supernet))


def test_a_change_leaves_the_rest_of_its_section_and_the_preset_alone() -> None:
    changed = make_config("small", {"supernet.cells": 6, "epochs": 3, "head.kind": "cosface"})
    assert (changed.supernet.cells, changed.supernet.channels, changed.epochs) == (6, 8, 3)
    assert changed.head is not None
    assert changed.head.kind == "cosface"
    assert make_config("small").supernet.cells == 5


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"epoch": 3}, "epoch: no such key; did you mean 'epochs'"),
        ({"supernet.widths": 3}, "supernet.widths: no such key; .*Allowed: cells, channels"),
        ({"supernet.groups": 100}, "multiple of groups"),
        ({"weights.last_rate": 0.2}, "last_rate must not be above learning_rate"),
        ({"architecture.warm_up_epochs": 50}, "less than epochs"),
        ({"architecture.order": "third"}, "architecture.order"),
        ({"data.unlabelled": ["somewhere"]}, "labelled images only"),
    ],
)
def test_what_is_not_allowed_is_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        make_config("paper", changes)


def test_a_value_is_no_section() -> None:
    with pytest.raises(RecipeError, match="'epochs' is a value"):
        make_config("small", {"epochs.more": 3})


def test_an_unknown_preset_is_named() -> None:
    with pytest.raises(RecipeError, match="unknown preset 'large'"):
        make_config("large")
