"""The machine on which something was measured, and how busy it was."""

import os
import platform
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

_INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "neon")
"""Instructions that decide how fast convolutions are, as the system names them."""

BUSY = 0.5
"""Waiting or running programs for each core above which figures are called disturbed."""


class Machine(BaseModel):
    """What a latency belongs to.

    Attributes:
        processor: its name as the system tells it.
        cores: that this process may use.
        instructions: those of its vector instructions that matter to convolutions.
        memory: bytes; None where the system does not tell.
        system: operating system and architecture.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    processor: str
    cores: int = Field(gt=0)
    instructions: tuple[str, ...] = ()
    memory: int | None = None
    system: str

    def __str__(self) -> str:
        cores = "1 core" if self.cores == 1 else f"{self.cores} cores"
        known = f", {' '.join(self.instructions)}" if self.instructions else ""
        return f"{self.processor}, {cores}{known}; {self.system}"


def describe_machine() -> Machine:
    """The machine that this runs on."""
    told = _cpuinfo()
    flags = set(told.get("flags", told.get("Features", "")).split())
    flags |= {"neon"} & ({"neon"} if "asimd" in flags else set())
    return Machine(
        processor=told.get("model name") or platform.processor() or platform.machine(),
        cores=cores(),
        instructions=tuple(name for name in _INSTRUCTIONS if name in flags),
        memory=_memory(),
        system=f"{platform.system()} {platform.machine()}",
    )


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def load() -> float | None:
    """Running and waiting programs, a mean over the last minute; None where it is not told."""
    try:
        return round(os.getloadavg()[0], 2)
    except (AttributeError, OSError):
        return None


def _cpuinfo() -> dict[str, str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in lines)
    return {name.strip(): value.strip() for name, _, value in pairs}


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
