"""What a finished search leaves in its folder: the genotype, pictures, and a summary in numbers."""

import shlex
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from pocketface import atomic
from pocketface.data import Faces
from pocketface.models.genotype import Genotype
from pocketface.search import run_folder
from pocketface.search.cell_drawing import draw_cells
from pocketface.search.collapse import pool_count, skip_count
from pocketface.search.config import SearchConfig
from pocketface.search.discretise import discretise
from pocketface.search.film_strip import film_strip
from pocketface.search.loop import Searched, write_alphas
from pocketface.search.search_curves import search_curves
from pocketface.search.target import Target
from pocketface.train.log import read_metrics
from pocketface.train.sources import describe_faces


class Summary(BaseModel):
    """The schema of `summary.json`.

    Attributes:
        run: the search's folder.
        epoch: from 1, the one that the cells are taken from.
        epochs: that the search made; `kept` of them could be chosen from, fewer than all where it
            stopped at collapse.
        steps: of the network's weights; `architecture_steps` of the architecture.
        seconds: that the search took, over all sittings.
        top1_weights, top1_architecture: accuracy at that epoch, on either half; `chance` by guess.
        skips, pools: edges of the two found cells together.
        strongest: whether the cells are the strongest ones; else the budget forbade these.
        recipe: that the network is for, with its `channels`, `cells`, `image_size` in pixels and
            `embedding_size`.
        parameters, macs: of the network; `milliseconds` by the latency table, where there is one.
        max_params, max_macs, max_latency_ms: the budget; None is no limit.
        data: in words, with the `fingerprint` of the faces and their `licence`.
        genotype: the cells.
        next: the command that trains the network.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    run: str
    epoch: int
    epochs: int
    kept: int
    steps: int
    architecture_steps: int
    seconds: float
    top1_weights: float
    top1_architecture: float
    chance: float
    skips: int
    pools: int
    strongest: bool
    recipe: str
    channels: int
    cells: int
    image_size: int
    embedding_size: int
    parameters: int
    macs: int
    milliseconds: float | None
    max_params: int | None
    max_macs: int | None
    max_latency_ms: float | None
    data: str
    fingerprint: str
    licence: str
    genotype: dict[str, Any]
    next: str


def write_outcome(
    searched: Searched, config: SearchConfig, target: Target, faces: Faces
) -> Summary:
    """Write all of it; gives what stands in `summary.json`.

    Raises:
        TrainingError: if the architecture weights of the chosen epoch are not finite.
    """
    run, history, chosen = searched.run, searched.history, searched.chosen
    genotype = target.cells(history.raw("normal", chosen), history.raw("reduce", chosen))
    genotype.save(run / run_folder.GENOTYPE)
    draw_cells(genotype, run / run_folder.CELLS)
    write_alphas(history, run)
    strip = film_strip(*history.alphas(), chosen)
    atomic.write_bytes(run / run_folder.FILM_STRIP, strip)
    curves = search_curves(read_metrics(run), chosen, len(faces.people))
    atomic.write_bytes(run / run_folder.CURVES, curves)
    summary = _summary(searched, config, target, faces, genotype)
    atomic.write_text(run / run_folder.SUMMARY, summary.model_dump_json(indent=1) + "\n")
    return summary


def _summary(
    searched: Searched, config: SearchConfig, target: Target, faces: Faces, genotype: Genotype
) -> Summary:
    history, chosen = searched.history, searched.chosen
    record = history.records[chosen - 1]
    strongest = discretise(history.raw("normal", chosen), history.raw("reduce", chosen))
    cost, shape, budget = target.costs.of(genotype), target.costs.shape, config.budget
    position = searched.position
    per_epoch = position.step // max(1, position.epoch)
    both = (*genotype.normal, *genotype.reduce)
    return Summary(
        run=str(searched.run),
        epoch=searched.chosen,
        epochs=position.epoch,
        kept=searched.kept,
        steps=position.step,
        architecture_steps=position.step - per_epoch * config.architecture.warm_up_epochs,
        seconds=position.seconds,
        top1_weights=record.top1_weights,
        top1_architecture=record.top1_architecture,
        chance=1 / len(faces.people),
        skips=skip_count(both),
        pools=pool_count(both),
        strongest=genotype == strongest,
        recipe=config.recipe,
        channels=shape.channels,
        cells=shape.cells,
        image_size=shape.image_size,
        embedding_size=shape.embedding_size,
        parameters=cost.parameters,
        macs=cost.macs,
        milliseconds=cost.milliseconds if target.costs.timed else None,
        max_params=budget.max_params,
        max_macs=budget.max_macs,
        max_latency_ms=budget.max_latency_ms,
        data=f"{describe_faces(faces)}: {', '.join(path.name for path in config.data.train)}",
        fingerprint=faces.fingerprint(),
        licence=config.data.licence,
        genotype=genotype.to_dict(),
        next=next_command(config, searched.run),
    )


def next_command(config: SearchConfig, run: Path) -> str:
    """The command that trains the found network on the same faces."""
    words = ["pocketface", "train", config.recipe]
    for path in config.data.train:
        words += ["--data", str(path)]
    if config.data.people is not None:
        words += ["--people", str(config.data.people)]
    words += ["--genotype", str(run / run_folder.GENOTYPE)]
    return shlex.join([*words, "--out", str(run.with_name(f"{run.name}_trained"))])
