"""IJB-B and IJB-C: templates, the 1:1 and the 1:N protocol."""

from pocketface.benchmarks.ijb.benchmark import IjbBenchmark
from pocketface.benchmarks.ijb.result import IjbResult

__all__ = ["IjbBenchmark", "IjbResult"]
