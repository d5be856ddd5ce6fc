"""Small networks as files, and profiles that nobody had to measure."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pocketface.models import create_model
from pocketface.models.weights import save_weights
from pocketface.preprocessing import Preprocessing
from pocketface.profile.latency import latency_of
from pocketface.profile.machine import Machine
from pocketface.profile.result import Measurement, ModelProfile, Profile
from pocketface.profile.turns import Run, Series

torch.set_num_threads(1)

MACHINE = Machine(processor="a machine", cores=2, system="Linux x86_64")


@pytest.fixture(scope="session")
def small_weights(tmp_path_factory) -> Path:
    """The weights file of a PocketNet of 32 pixels."""
    network = create_model(
        "pocketnet_nano",
        image_size=32,
        embedding_size=16,
        cells=4,
        generator=torch.Generator().manual_seed(0),
    )
    path = tmp_path_factory.mktemp("small") / "small.safetensors"
    save_weights(
        network, path, preprocessing=Preprocessing(image_size=32), data="noise", licence="CC0"
    )
    return path


@pytest.fixture
def measurement() -> Callable[..., Measurement]:
    """A measurement of two turns; `ms` is the clock's median, `cpu` the processor's."""

    def give(
        ms: float = 8.0,
        cpu: float | None = None,
        runtime: str = "onnxruntime",
        threads: int = 1,
        batch: int = 1,
    ) -> Measurement:
        used = (ms if cpu is None else cpu) * batch / 1e3
        turn = [Run(factor * ms * batch / 1e3, used) for factor in (0.9, 1.0, 1.1)]
        return Measurement(
            runtime=runtime,
            version="1.0",
            threads=threads,
            batch=batch,
            latency=latency_of(Series([turn, turn]), batch),
            load_ms=20.0,
            peak_memory=30_000_000,
        )

    return give


@pytest.fixture
def model(measurement) -> Callable[..., ModelProfile]:
    """The profile of PocketNetS-128, or with other facts."""

    def give(**facts: object) -> ModelProfile:
        usual: dict[str, object] = {
            "name": "pocketnet_s_128",
            "source": "registry",
            "architecture": "pocketnet_s_128",
            "embedding_size": 128,
            "image_size": 112,
            "parameters": 925_632,
            "macs": 283_541_120,
            "counted": "network",
            "paper_mflops": 587.110016,
            "published_mflops": 587.11,
            "bytes": 3_774_140,
            "measurements": (measurement(),),
        }
        return ModelProfile.model_validate(usual | facts)

    return give


@pytest.fixture
def profile_of() -> Callable[..., Profile]:
    """A profile of these models."""

    def give(*models: ModelProfile, **facts: object) -> Profile:
        usual: dict[str, object] = {
            "version": "0",
            "created": "2026-01-01T00:00:00+00:00",
            "machine": MACHINE,
            "load": 0.0,
            "seconds": 1.0,
            "stopped": False,
            "models": models,
        }
        return Profile.model_validate(usual | facts)

    return give
