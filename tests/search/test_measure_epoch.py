"""Measured at the end of an epoch, against plain loops; which epoch is chosen."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric

from pocketface.search.architecture import ArchitectureWeights
from pocketface.search.collapse import CollapseConfig
from pocketface.search.config import SearchConfig
from pocketface.search.history import EpochRecord, History
from pocketface.search.loop import Searcher
from pocketface.search.measure_epoch import measure_epoch, top1


@pytest.fixture(scope="module")
def searcher(tiny_search: Callable[..., SearchConfig], tmp_path_factory) -> Searcher:
    run: Path = tmp_path_factory.mktemp("measured")
    fabric = Fabric(accelerator="cpu", devices=1)
    made = Searcher(tiny_search(), run, fabric, quiet=True)
    for training, held_out in made.halves.epoch(0):
        made.step(training, held_out)
    return made


def test_top1_is_that_of_a_plain_loop(searcher):
    network, weights = searcher.step.network, searcher.step.architecture.softmax()
    loader = searcher.halves.loaders["architecture"]
    right = 0
    network.eval()
    for pixels, label in zip(loader.memory, loader.labels, strict=True):
        image = (torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255 - 0.5) / 0.5
        embedding = network.supernet(image, *weights)
        scores = embedding @ network.classifier.weight.T + network.classifier.bias
        right += int(scores.argmax()) == label
    network.train()
    assert top1(searcher.step, searcher.halves, "architecture") == right / 18
    assert 0 < right < 18
    few = top1(searcher.step, searcher.halves, "architecture", 5)
    assert few * 5 == pytest.approx(round(few * 5))


def test_measuring_leaves_the_networks_as_they_were(searcher):
    before = copy.deepcopy(searcher.step.states())
    config = searcher.config
    record = measure_epoch(searcher.step, searcher.halves, searcher.target, config, 0)
    again = measure_epoch(searcher.step, searcher.halves, searcher.target, config, 0)
    assert record == again
    assert searcher.step.network.training
    for name in ("network", "architecture"):
        for key, tensor in searcher.step.states()[name].items():
            assert torch.equal(tensor, before[name][key]), key
    other = measure_epoch(searcher.step, searcher.halves, searcher.target, config, 1)
    assert replace(other, eigenvalue=0) == replace(record, eigenvalue=0)


def record(accuracy: float, skips: int = 0) -> EpochRecord:
    return EpochRecord(
        top1_weights=1 - accuracy,
        top1_architecture=accuracy,
        skips_normal=skips,
        skips_reduce=0,
        pools_normal=0,
        pools_reduce=0,
        entropy_normal=1.0,
        entropy_reduce=1.0,
        eigenvalue=1.0,
        parameters=1,
        macs=1,
    )


def history_of(*records: EpochRecord) -> History:
    weights = ArchitectureWeights(generator=torch.Generator().manual_seed(0))
    history = History(weights)
    for each in records:
        with torch.no_grad():
            weights.normal += 1
        history.add(each, weights)
    return history


def test_the_best_epoch_is_that_of_the_other_half_and_of_equals_the_later():
    history = history_of(record(0.9), record(0.3), record(0.5), record(0.5), record(0.4))
    assert history.best(kept=5, warm_up=0) == 1
    assert history.best(kept=5, warm_up=1) == 4
    assert history.best(kept=3, warm_up=1) == 3


def test_skips_of_the_warm_up_end_nothing():
    config = CollapseConfig(stop="skips", skip_limit=2)
    history = history_of(record(0.1, 3), record(0.1, 1), record(0.2, 1))
    assert history.sound(config, warm_up=1) is None
    assert history.sound(config, warm_up=0) is None
    history = history_of(record(0.1, 3), record(0.1, 1), record(0.2, 4))
    assert history.sound(config, warm_up=1) == 2


def test_a_history_is_restored_whole(tmp_path):
    history = history_of(record(0.1), record(0.2, 3))
    torch.save(history.states(), tmp_path / "states")
    other = history_of()
    other.restore(torch.load(tmp_path / "states", weights_only=True))
    assert other.records == history.records
    for ours, theirs in zip(other.alphas(), history.alphas(), strict=True):
        assert ours.shape == (3, 14, 8)
        assert (ours == theirs).all()
    assert torch.equal(other.raw("normal", 2), other.raw("normal", 0) + 1 + 1)
    assert record(0.1).metrics()["top1/architecture"] == 0.1
