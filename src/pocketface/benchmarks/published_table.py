"""What the papers print in their table of small networks, to set beside one's own figures.

Accuracy in per cent on the pair sets; TAR at FAR 1e-4 on IJB-B and IJB-C; verification TAR at FAR
1e-6 on MegaFace, R with the refined lists. Printed in arXiv 2108.10710 and in the other networks'
own papers.
"""

from dataclasses import dataclass

COLUMNS = (
    "LFW",
    "CALFW",
    "CPLFW",
    "CFP-FP",
    "AgeDB-30",
    "IJB-B",
    "IJB-C",
    "MegaFace",
    "MegaFace(R)",
)
"""The columns of figures, in the papers' order."""


@dataclass(frozen=True)
class TableRow:
    """One network: millions of parameters, MFLOPs, and figures in per cent by column.

    None, or a column left out, is what nobody published or measured.
    """

    name: str
    parameters_m: float | None
    mflops: float | None
    figures: dict[str, float]


_PRINTED = """
PocketNetS-128        | 0.92  587.11 99.58 95.48 89.63 94.21 96.10 89.44 91.62 90.54 92.23
PocketNetS-256        | 0.99  587.24 99.66 95.50 88.93 93.34 96.35 89.31 91.33 91.77 93.50
PocketNetM-128        | 1.68 1099.02 99.65 95.67 90.00 95.07 96.78 90.63 92.63 92.45 94.17
PocketNetM-256        | 1.75 1099.15 99.58 95.63 90.03 95.66 97.17 90.74 92.70 92.75 94.40
MobileFaceNet (2.0 M) | 2.0   933    99.7  95.2  89.22 96.9  97.6  92.8  94.7  95.2  96.8
MobileFaceNet         | 0.99  439.8  99.55 -     -     -     96.07 -     -     90.16 92.59
VarGFaceNet           | 5.0  1022    99.85 95.15 88.55 98.50 98.15 92.9  94.7  93.9  95.6
ShuffleFaceNet 1.5x   | 2.6   577.5  99.7  95.05 88.50 96.9  97.3  92.3  94.3  93.0  94.6
MixFaceNet-XS         | 1.04  161.9  99.60 -     -     -     95.85 88.48 90.73 89.40 91.04
EdgeFace-XS           | 1.77  154    99.73 95.28 91.82 94.37 96.00 92.67 94.85 -     -
EdgeFace-XXS          | 1.24   94.72 99.57 94.83 90.27 93.63 94.92 -     -     -     -
"""


def _read(line: str) -> TableRow:
    name, numbers = line.split("|")
    parameters, mflops, *figures = numbers.split()
    known = zip(COLUMNS, figures, strict=True)
    return TableRow(
        name.strip(),
        float(parameters),
        float(mflops),
        {column: float(figure) for column, figure in known if figure != "-"},
    )


PUBLISHED = tuple(_read(line) for line in _PRINTED.strip().splitlines())
"""The rows, in the papers' order."""

BARS = (
    TableRow("arcface_torch mbf, MS1MV2", None, 450.0, {"IJB-C": 93.61}),
    TableRow("arcface_torch mbf, Glint360K", None, 450.0, {"IJB-C": 95.04}),
    TableRow("GhostFaceNetV1-1.3-2", None, 60.0, {"IJB-C": 93.45}),
    TableRow("FaceLiVTv2-XS", None, 90.0, {"LFW": 99.63}),
)
"""Small networks of later work, which the papers' table does not have; their own published figures,
MFLOPs as they count them."""

NAMES = {
    "pocketnet_s_128": "PocketNetS-128",
    "pocketnet_s_256": "PocketNetS-256",
    "pocketnet_m_128": "PocketNetM-128",
    "pocketnet_m_256": "PocketNetM-256",
}
"""The row in `PUBLISHED` of each network in the registry that is exactly the published one."""

EXACT_MFLOPS = {
    ("pocketnet_s_128", 925_632): 587.11,
    ("pocketnet_s_256", 991_424): 587.24,
    ("pocketnet_m_128", 1_686_656): 1099.02,
    ("pocketnet_m_256", 1_752_448): 1099.15,
}
"""Published MFLOPs by name in the registry and exact number of parameters."""
