"""MegaFace and refined MegaFace."""

from pocketface.benchmarks.megaface.benchmark import MegafaceBenchmark, MegafaceRun
from pocketface.benchmarks.megaface.result import MegafaceResult

__all__ = ["MegafaceBenchmark", "MegafaceResult", "MegafaceRun"]
