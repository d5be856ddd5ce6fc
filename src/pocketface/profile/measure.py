"""Profiling networks: every variant opened in a process of its own, then run in turns."""

import datetime
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import pocketface
from pocketface.benchmarks.published_table import EXACT_MFLOPS
from pocketface.profile.latency import latency_of
from pocketface.profile.layers import Layers
from pocketface.profile.machine import describe_machine, load
from pocketface.profile.network_layers import count_macs, measure_layers
from pocketface.profile.predict import predict_all
from pocketface.profile.process import Worker
from pocketface.profile.result import Measurement, ModelProfile, Prediction, Profile
from pocketface.profile.runtimes import TORCH, runtime_version
from pocketface.profile.subject import Subject
from pocketface.profile.turns import Series, take_turns

Tell = Callable[[str, float, float], None]
"""Told what is being done, how much of it is done, and how much there is to do."""

_LAYER_SECONDS = 3.0
"""How long the layers of one network are timed."""


@dataclass(frozen=True)
class Plan:
    """What is to be measured of each network: every runtime with all threads and batches.

    Attributes:
        seconds: for the turns of all variants together; opening them comes on top.
        layers: whether the time of each layer is told too.
        table: a latency table, from which PocketNets are to be predicted.
    """

    runtimes: Sequence[str]
    threads: Sequence[int] = (1,)
    batches: Sequence[int] = (1,)
    seconds: float = 30.0
    layers: bool = False
    table: Path | None = None


@dataclass(frozen=True)
class _Variant:
    """One network in one runtime, with so many threads and images at once."""

    subject: Subject
    runtime: str
    threads: int
    batch: int

    @property
    def key(self) -> str:
        return f"{self.subject.name} {self.runtime} {self.threads} {self.batch}"


def profile(
    subjects: Sequence[Subject], plan: Plan, generator: np.random.Generator, tell: Tell
) -> Profile:
    """Measure all `subjects`; Ctrl-C during the turns leaves what is measured until then.

    Raises WeightsError where a runtime cannot run a file; RecipeError for a latency table that
    cannot be read or lacks an operation.
    """
    disturbance = load()
    variants, notes = _variants(subjects, plan)
    predictions = {} if plan.table is None else predict_all(subjects, plan.table)
    layers: dict[str, Layers] = {}
    if plan.layers:
        for place, subject in enumerate(subjects):
            if subject.runtime is not None:
                continue
            tell("timing layers", place, len(subjects))
            layers[subject.name] = measure_layers(subject, plan.threads[0], _LAYER_SECONDS)
    measured, seconds, stopped = _measure(variants, plan.seconds, generator, tell)
    models = tuple(
        _model(
            subject,
            [found for variant, found in measured if variant.subject is subject],
            layers.get(subject.name),
            predictions.get(subject.name),
            notes[subject.name],
        )
        for subject in subjects
    )
    return Profile(
        version=pocketface.__version__,
        created=datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        machine=describe_machine(),
        load=disturbance,
        seconds=seconds,
        stopped=stopped,
        models=models,
    )


def _variants(
    subjects: Sequence[Subject], plan: Plan
) -> tuple[list[_Variant], dict[str, tuple[str, ...]]]:
    """What can be measured, and for each network why the rest cannot."""
    variants, notes = [], {}
    for subject in subjects:
        told: dict[str, None] = {}
        own = subject.runtime
        for runtime in plan.runtimes if own is None else [own]:
            for threads in plan.threads:
                for batch in plan.batches:
                    if subject.job(runtime, threads, batch) is not None:
                        variants.append(_Variant(subject, runtime, threads, batch))
                    elif runtime == TORCH:
                        told["torch runs weights files, not ONNX files."] = None
                    else:
                        told[f"The file takes {subject.batch} image(s) at once, not {batch}."] = (
                            None
                        )
        if plan.layers and own is not None:
            told["Layers are timed in ONNX files only."] = None
        notes[subject.name] = tuple(told)
    return variants, notes


def _measure(
    variants: Sequence[_Variant], seconds: float, generator: np.random.Generator, tell: Tell
) -> tuple[list[tuple[_Variant, Measurement]], float, bool]:
    """Open a worker for each variant, one after the other, and let them run in turns."""
    workers: list[tuple[_Variant, Worker]] = []
    series: dict[str, Series] = {}
    begin, stopped = time.monotonic(), False
    with ExitStack() as stack:
        try:
            for place, variant in enumerate(variants):
                tell("opening networks", place, len(variants))
                job = variant.subject.job(variant.runtime, variant.threads, variant.batch)
                assert job is not None
                workers.append((variant, stack.enter_context(Worker(job))))
            begin = time.monotonic()
            turns = {variant.key: worker.turn for variant, worker in workers}
            if turns:
                series, stopped = take_turns(
                    turns,
                    seconds,
                    generator,
                    lambda gone, rounds: tell(_rounds(rounds), min(gone, seconds), seconds),
                )
        except KeyboardInterrupt:
            stopped = True
        gone = time.monotonic() - begin
    return (
        [
            (variant, _measurement(variant, worker, series[variant.key]))
            for variant, worker in workers
            if variant.key in series and series[variant.key].turns
        ],
        gone,
        stopped,
    )


def _rounds(rounds: int) -> str:
    return "measuring" if rounds == 0 else f"measuring, {rounds} round{'s' * (rounds > 1)}"


def _measurement(variant: _Variant, worker: Worker, series: Series) -> Measurement:
    return Measurement(
        runtime=variant.runtime,
        version=runtime_version(variant.runtime),
        threads=variant.threads,
        batch=variant.batch,
        latency=latency_of(series, variant.batch),
        load_ms=1e3 * worker.opened.load_seconds,
        peak_memory=worker.opened.peak_memory,
    )


def _model(
    subject: Subject,
    measurements: Sequence[Measurement],
    layers: Layers | None,
    prediction: Prediction | None,
    notes: tuple[str, ...],
) -> ModelProfile:
    cost = subject.cost
    published = EXACT_MFLOPS.get((subject.architecture, subject.parameters or 0))
    mflops = None if cost is None else cost.paper_flops / 1e6
    # Of another image size it is another network.
    known = published is not None and mflops is not None and abs(mflops - published) < 0.01
    return ModelProfile(
        name=subject.name,
        source=subject.source,
        architecture=subject.architecture,
        embedding_size=subject.embedding_size,
        image_size=subject.image_size,
        parameters=subject.parameters,
        macs=count_macs(subject) if cost is None else cost.macs,
        counted="file" if cost is None else "network",
        paper_mflops=mflops,
        published_mflops=published if known else None,
        bytes=_bytes_of(subject.file),
        fingerprints=tuple(sorted(subject.fingerprints)),
        measurements=tuple(measurements),
        layers=layers,
        prediction=prediction,
        notes=notes,
    )


def _bytes_of(file: Path) -> int:
    """Of the file and of the weights beside a description."""
    beside = [file.with_suffix(".bin")] if file.suffix in (".xml", ".param") else []
    return sum(path.stat().st_size for path in [file, *beside])
