"""Figures of the service in Prometheus's text format, version 0.0.4.

Paths are those of the routes, never what a client sent: a person's name stays out of the figures,
and nobody can make them grow without end.
"""

from collections import defaultdict
from pathlib import Path

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the histogram, seconds."""

METHODS = ("GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "PATCH")


class Metrics:
    """Counters of one process; used on the event loop alone."""

    def __init__(self) -> None:
        self.in_flight = 0
        self._requests: dict[tuple[str, str, int], int] = defaultdict(int)
        self._counts: dict[str, list[int]] = defaultdict(lambda: [0] * (len(BUCKETS) + 1))
        self._seconds: dict[str, float] = defaultdict(float)

    def add(self, method: str, path: str, status: int, seconds: float) -> None:
        """Count a request that was answered; `path` is a route's."""
        self._requests[method if method in METHODS else "other", path, status] += 1
        self._counts[path][sum(seconds > bound for bound in BUCKETS)] += 1
        self._seconds[path] += seconds

    def text(self, gauges: dict[str, tuple[str, float]]) -> str:
        """All figures; `gauges` are further ones: name to help and value."""
        lines = [
            "# HELP pocketface_requests_total Requests answered.",
            "# TYPE pocketface_requests_total counter",
        ]
        for (method, path, status), count in sorted(self._requests.items()):
            labels = f'method="{method}",path="{path}",status="{status}"'
            lines.append(f"pocketface_requests_total{{{labels}}} {count}")
        lines += [
            "# HELP pocketface_request_seconds From a request's head to the end of its answer.",
            "# TYPE pocketface_request_seconds histogram",
        ]
        for path, counts in sorted(self._counts.items()):
            below = 0
            for bound, count in zip((*BUCKETS, "+Inf"), counts, strict=True):
                below += count
                labels = f'path="{path}",le="{bound}"'
                lines.append(f"pocketface_request_seconds_bucket{{{labels}}} {below}")
            lines.append(f'pocketface_request_seconds_sum{{path="{path}"}} {self._seconds[path]!r}')
            lines.append(f'pocketface_request_seconds_count{{path="{path}"}} {below}')
        everything = {
            "pocketface_requests_in_flight": ("Requests under way.", self.in_flight),
            **gauges,
        }
        for name, (words, value) in everything.items():
            lines += [f"# HELP {name} {words}", f"# TYPE {name} gauge", f"{name} {value!r}"]
        return "\n".join(lines) + "\n"


def resident_bytes() -> int | None:
    """Memory that the process holds, where the system tells it (Linux)."""
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmRSS:"):
                return 1024 * int(line.split()[1])
    except (OSError, ValueError):
        pass
    return None
