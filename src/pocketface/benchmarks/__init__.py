"""The protocols, their metrics and reports."""

from pocketface.benchmarks.pair_benchmark import PairBenchmark
from pocketface.benchmarks.pair_result import PairResult

__all__ = ["PairBenchmark", "PairResult"]
