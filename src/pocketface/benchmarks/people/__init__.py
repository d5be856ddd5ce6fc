"""Your own people, a folder each: looked over, then measured 1:1 and 1:N with a threshold.

The protocol is ours. What is left out, which pairs are compared and who is enrolled depend on the
images and a seed, never on the network: so two networks can be compared on them.
"""

from pocketface.benchmarks.people.benchmark import PeopleBenchmark

__all__ = ["PeopleBenchmark"]
