"""The files that a comparison leaves: JSON for programs, tables, pictures and a page for people."""

from collections.abc import Sequence
from pathlib import Path

from pocketface import atomic
from pocketface.compare.curves import curves_png
from pocketface.compare.findings import Findings
from pocketface.compare.markup import latex, markdown
from pocketface.compare.page import page
from pocketface.compare.picture import comparison_png
from pocketface.compare.plan import PlannedRun

PICTURE = "compare.png"
CURVES = "curves.png"


def publish(out: Path, findings: Findings, planned: Sequence[PlannedRun], design: str) -> Path:
    """Write `compare.json`, `.md`, `.tex`, `.html` and `figures/*.png`; gives the page's path.

    `design` is the text of the YAML file; it is kept as `design.yaml`.
    """
    drawn = {
        PICTURE: comparison_png(findings),
        CURVES: curves_png(findings, planned),
    }
    figures = {name: content for name, content in drawn.items() if content is not None}
    for name, content in figures.items():
        atomic.write_bytes(out / "figures" / name, content)
    for name, text in (
        ("design.yaml", design),
        ("compare.json", findings.model_dump_json(indent=1) + "\n"),
        ("compare.md", markdown(findings, list(figures))),
        ("compare.tex", latex(findings)),
        ("compare.html", page(findings, figures, design)),
    ):
        atomic.write_text(out / name, text)
    return out / "compare.html"
