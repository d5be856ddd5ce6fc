"""Text in a LaTeX table."""

from collections.abc import Sequence

_ESCAPED = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
}


def latex_text(text: str) -> str:
    """`text` with the letters escaped that LaTeX would take for its own."""
    return "".join(_ESCAPED.get(letter, letter) for letter in text)


def latex_line(cells: Sequence[str]) -> str:
    """A line of a tabular with these texts in its cells."""
    return f"{' & '.join(map(latex_text, cells))} \\\\"
