"""What a paper says of its own networks, to set beside what we count."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """Figures as printed: parameters in millions, and the paper's MFLOPs for one image."""

    parameters_m: float
    mflops: float
    source: str


_POCKETNET = "arXiv 2108.10710"

PUBLISHED: dict[str, Published] = {
    "pocketnet_s_128": Published(0.92, 587.11, _POCKETNET),
    "pocketnet_s_256": Published(0.99, 587.24, _POCKETNET),
    "pocketnet_m_128": Published(1.68, 1099.02, _POCKETNET),
    "pocketnet_m_256": Published(1.75, 1099.15, _POCKETNET),
}
"""By the name in the registry; networks without published figures are not in it."""
