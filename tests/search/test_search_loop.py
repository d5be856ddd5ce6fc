"""A whole search: what it logs, how it ends, and that a stopped one goes on as if it had not."""

import functools
import itertools
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from pocketface.errors import DataError, RecipeError, StoppedError, TrainingError
from pocketface.search import loop, run_folder
from pocketface.search.config import SearchConfig, make_config
from pocketface.search.history import EpochRecord
from pocketface.search.launch import carry_out
from pocketface.search.loop import Searcher, progress, rate_at
from pocketface.search.objective import SearchObjective
from pocketface.search.outcome import Summary
from pocketface.search.step import SearchStep
from pocketface.train.checkpoint import load_checkpoint
from pocketface.train.log import read_metrics

CLOCKED = ("images_per_second", "loader_wait")

EVERYTHING: dict[str, Any] = {
    "architecture.order": "second",
    "architecture.warm_up_epochs": 1,
    "head.kind": "arcface",
    "collapse.beta_decay": 5.0,
    "collapse.skip_dropout": 0.3,
    "budget.max_params": 250_000,
    "data.in_memory": False,
    "epochs": 2,
}
"""All that draws or remembers something."""


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They cost more than the rest of a tiny search, and have tests of their own."""
    monkeypatch.setattr("pocketface.search.outcome.draw_cells", lambda *given: None)
    for name in ("film_strip", "search_curves"):
        monkeypatch.setattr(f"pocketface.search.outcome.{name}", lambda *given: b"")


def search(config: SearchConfig, run: Path, **options: Any) -> Summary:
    return carry_out(config, run, device="cpu", quiet=True, **options)


def contents(run: Path) -> dict[str, Any]:
    """All that a search leaves and that no clock is in."""
    states = load_checkpoint(run / "last.ckpt").states
    with np.load(run / run_folder.ALPHAS) as file:
        alphas = {name: file[name] for name in file.files}
    rows = [
        {key: value for key, value in row.items() if key not in CLOCKED}
        for row in read_metrics(run)
    ]
    return {
        "genotype": (run / run_folder.GENOTYPE).read_bytes(),
        "network": states["network"],
        "architecture": states["architecture"],
        "velocity": states["weights_optimiser"]["state"][0]["momentum_buffer"],
        "alphas": alphas,
        "rows": rows,
        "config": (run / run_folder.CONFIG).read_bytes(),
    }


def assert_same(ours: Any, theirs: Any) -> None:
    if isinstance(theirs, dict):
        assert ours.keys() == theirs.keys()
        for key in theirs:
            assert_same(ours[key], theirs[key])
    elif isinstance(theirs, torch.Tensor):
        assert torch.equal(ours, theirs)
    elif isinstance(theirs, np.ndarray):
        assert np.array_equal(ours, theirs)
    else:
        assert ours == theirs


def stopping(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Send SIGTERM after so many steps from now."""
    count = itertools.count(1)
    call = SearchStep.__call__

    @functools.wraps(call)
    def counted(self: SearchStep, *given: Any, **named: Any) -> Any:
        values = call(self, *given, **named)
        if next(count) == step:
            os.kill(os.getpid(), signal.SIGTERM)
        return values

    monkeypatch.setattr(SearchStep, "__call__", counted)


@pytest.fixture(scope="module")
def rich_config(tiny_search: Callable[..., SearchConfig]) -> SearchConfig:
    return tiny_search(EVERYTHING)


def test_a_stopped_search_ends_as_one_that_was_not(rich_config, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "LOG_EVERY", 1)
    search(rich_config, tmp_path / "whole")
    whole = contents(tmp_path / "whole")
    run = tmp_path / "stopped"
    # In the middle of an epoch, after its last step, and again in the middle.
    for nth, steps in enumerate((2, 2, 2)):
        with monkeypatch.context() as patch:
            stopping(patch, steps)
            with pytest.raises(StoppedError, match="--resume"):
                search(rich_config, run, resume=nth > 0)
    assert load_checkpoint(run / "last.ckpt").position.step == 6
    assert not (run / run_folder.GENOTYPE).exists()
    search(rich_config, run, resume=True)
    assert_same(contents(run), whole)
    # What is finished is not done again.
    with monkeypatch.context() as patch:
        patch.setattr(SearchStep, "__call__", None)
        search(rich_config, run, resume=True)
    assert_same(contents(run), whole)


def test_lost_work_is_done_again_from_the_last_checkpoint(tiny_search, tmp_path, monkeypatch):
    config = tiny_search({"checkpoint_minutes": 1e-9, "epochs": 2})
    search(config, tmp_path / "whole")
    run = tmp_path / "killed"

    def killed(self: SearchStep, *given: Any, **named: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        stopping(patch, 6)
        with pytest.raises(StoppedError):
            search(config, run)
    with monkeypatch.context() as patch:
        patch.setattr(SearchStep, "__call__", killed)
        with pytest.raises(KeyboardInterrupt):
            search(config, run, resume=True)
    earlier = run / "checkpoints" / "step_000000005.ckpt"
    assert earlier.exists()
    search(config, run, checkpoint=earlier, resume=True)
    assert_same(contents(run), contents(tmp_path / "whole"))


def test_another_seed_gives_another_search(tiny_search, tmp_path):
    runs = [tmp_path / str(seed) for seed in range(2)]
    for seed, run in enumerate(runs):
        search(tiny_search({"seed": seed, "epochs": 1}), run)
    first, second = (contents(run)["alphas"]["normal"] for run in runs)
    assert not np.array_equal(first, second)


def test_what_is_logged(tiny_search, tmp_path):
    summary = search(tiny_search({"architecture.warm_up_epochs": 1}), tmp_path / "run")
    rows = read_metrics(tmp_path / "run")
    assert [row["step"] for row in rows] == [4, 4, 8, 8, 12, 12]
    steps, ends = rows[::2], rows[1::2]
    assert "architecture_loss" not in steps[0]
    for row in steps[1:]:
        assert {"loss", "architecture_loss", "gradient_norm", "learning_rate"} <= row.keys()
    assert [row["epoch"] for row in ends] == [1, 2, 3]
    for row in ends:
        assert 0 <= row["top1/weights"] <= 1
        assert row["top1/architecture"] * 18 == pytest.approx(round(row["top1/architecture"] * 18))
        assert row["skips/normal"] + row["pools/normal"] <= 8
        assert 0 < row["entropy/reduce"] <= np.log(8) + 1e-6
        assert row["macs"] > 0
        assert row["eigenvalue"] != 0
    assert summary.steps == 12
    assert summary.architecture_steps == 8
    with np.load(tmp_path / "run" / "alphas.npz") as alphas:
        assert alphas["normal"].shape == alphas["reduce"].shape == (4, 14, 8)
        # The architecture stands still in the warm-up, and then moves.
        assert np.array_equal(alphas["normal"][0], alphas["normal"][1])
        assert not np.array_equal(alphas["normal"][1], alphas["normal"][2])
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert SearchConfig.model_validate(config) == tiny_search({"architecture.warm_up_epochs": 1})


def test_a_collapse_ends_the_search_and_what_came_after_it_is_not_chosen(
    tiny_search, tmp_path, monkeypatch
):
    measure = loop.measure_epoch

    def measured(step: Any, halves: Any, target: Any, config: Any, epoch: int) -> EpochRecord:
        record = measure(step, halves, target, config, epoch)
        # Ever more skips, and ever better.
        return replace(record, skips_normal=epoch, top1_architecture=epoch / 10)

    monkeypatch.setattr(loop, "measure_epoch", measured)
    config = tiny_search({"epochs": 6, "collapse.stop": "skips", "collapse.skip_limit": 2})
    summary = search(config, tmp_path / "run")
    assert (summary.epochs, summary.kept, summary.epoch) == (3, 2, 2)
    assert search(config, tmp_path / "run", resume=True).model_dump(
        exclude={"seconds"}
    ) == summary.model_dump(exclude={"seconds"})


def test_a_search_that_diverges_says_so_and_keeps_what_was_before(
    tiny_search, tmp_path, monkeypatch
):
    call = SearchStep.__call__

    def broken(self: SearchStep, *given: Any, **named: Any) -> Any:
        values = call(self, *given, **named)
        with torch.no_grad():
            next(self.network.parameters()).mul_(float("nan"))
        return values

    monkeypatch.setattr(SearchStep, "__call__", broken)
    with pytest.raises(TrainingError, match=r"lower weights\.learning_rate \(now 0\.1\)"):
        search(tiny_search(), tmp_path / "run")
    weights = load_checkpoint(tmp_path / "run" / "last.ckpt").states["network"]
    assert all(bool(torch.isfinite(tensor).all()) for tensor in weights.values())


@pytest.mark.parametrize("in_memory", [True, False])
def test_images_that_cannot_be_read_are_told_once(
    tiny_search, tmp_path, coarse_people, capsys, in_memory
):
    people = coarse_people(tmp_path / "people", people=3, images=8)
    broken = sorted(people.rglob("*.png"))[:1]
    broken[0].write_bytes(b"no image")
    changes = {"data.train": [str(people)], "data.in_memory": in_memory, "epochs": 2}
    carry_out(tiny_search(changes), tmp_path / "run", device="cpu")
    said = capsys.readouterr().err
    assert said.count("left out: 1 images that cannot be read, such as Person_00/") == 1


def test_the_rate_falls_as_darts_lets_it():
    config = make_config("paper")
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([parameter], lr=0.1)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 50, eta_min=0.004)
    for epoch in range(50):
        assert rate_at(config, epoch) == pytest.approx(theirs.get_last_lr()[0])
        optimiser.step()
        theirs.step()


def test_ramps_reach_from_the_first_epoch_to_the_last(tiny_search):
    config = tiny_search({"epochs": 5})
    assert [progress(config, epoch) for epoch in range(5)] == [0, 0.25, 0.5, 0.75, 1]
    assert progress(tiny_search({"epochs": 1}), 0) == 0


def test_a_skip_connection_is_dropped_less_and_less(tiny_search, tmp_path):
    config = tiny_search({"collapse.skip_dropout": 0.5, "epochs": 3})
    fabric = loop.Fabric(accelerator="cpu", devices=1)
    searcher = Searcher(config, tmp_path / "run", fabric, quiet=True)
    parts = []
    for epoch in range(3):
        searcher.position.epoch = epoch
        scale = searcher._skip_scale(200)
        parts.append(0.0 if scale is None else float((scale == 0).float().mean()))
    assert parts == pytest.approx([0.5, 0.25, 0.0], abs=0.02)


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"batch_size": 19}, RecipeError, "half of the 36 images are 18, fewer than one batch"),
        (
            {"budget.max_params": 1000},
            RecipeError,
            r"no cells hold the budget.*more than the 1,000",
        ),
        ({"budget.max_latency_ms": 1.0}, RecipeError, "needs a latency table of the device"),
        ({"recipe": "mobilefacenet"}, RecipeError, "which has no cells to search"),
        ({"recipe": "pocketnets"}, RecipeError, "no recipe 'pocketnets'"),
        ({"data.train": ["nowhere"]}, DataError, "nowhere"),
    ],
)
def test_what_cannot_be_searched_is_said_before_anything_is_written(
    tiny_search, tmp_path, changes, error, said
):
    with pytest.raises(error, match=said):
        search(tiny_search(changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_one_person_alone_is_refused(tiny_search, tmp_path, coarse_people):
    alone = coarse_people(tmp_path / "alone", people=1, images=12)
    with pytest.raises(DataError, match="1 person"):
        search(tiny_search({"data.train": [str(alone)]}), tmp_path / "run")


def test_a_run_is_neither_begun_twice_nor_gone_on_with_otherwise(
    tiny_search, tmp_path, coarse_people
):
    run = tmp_path / "run"
    search(tiny_search({"epochs": 1}), run)
    with pytest.raises(RecipeError, match="holds a run already"):
        search(tiny_search({"epochs": 1}), run)
    with pytest.raises(RecipeError, match=r"begun with another search(.|\n)*epochs: 2 here, 1"):
        search(tiny_search({"epochs": 2}), run, resume=True)
    # Where the images lie is a setting; whose they are is seen.
    other = tiny_search({"epochs": 1, "data.workers": 3, "checkpoint_minutes": 1})
    search(other, run, resume=True)


@pytest.mark.parametrize(("order", "passes"), [("first", [1, 1]), ("second", [1, 1, 0, 0, 1])])
def test_under_mixed_precision_all_passes_are_rounded_but_those_that_are_subtracted(
    tiny_search, tmp_path, monkeypatch, order, passes
):
    found: list[int] = []
    forward = SearchObjective.forward

    def watched(self: SearchObjective, *given: Any) -> torch.Tensor:
        found.append(torch.is_autocast_enabled("cpu"))
        return forward(self, *given)

    monkeypatch.setattr(SearchObjective, "forward", watched)
    losses = {}
    for precision in ("32-true", "bf16-mixed"):
        # Four images, the fixture's batch, round by several parts of a hundred.
        config = tiny_search(
            {"precision": precision, "architecture.order": order, "batch_size": 16}
        )
        fabric = loop.Fabric(accelerator="cpu", devices=1)
        searcher = Searcher(config, tmp_path / "run", fabric, quiet=True)
        found.clear()
        losses[precision] = float(searcher.step(*next(searcher.halves.epoch(0)))["loss"])
        assert found == (passes if precision == "bf16-mixed" else [0] * len(passes))
    assert losses["bf16-mixed"] != losses["32-true"]
    assert losses["bf16-mixed"] == pytest.approx(losses["32-true"], rel=0.02)
