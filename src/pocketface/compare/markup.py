"""The findings as Markdown and as LaTeX."""

from collections.abc import Sequence

from pocketface.benchmarks.latex import latex_text
from pocketface.compare.findings import Findings
from pocketface.compare.text import (
    Line,
    Table,
    cost_table,
    explanations,
    heading,
    result_table,
    runs_table,
    standing,
    statements,
)


def markdown(findings: Findings, figures: Sequence[str]) -> str:
    """The whole as Markdown, with the pictures beside it."""
    lines = [f"# {findings.title}", ""]
    lines += [text for sentence in _openers(findings) for text in (sentence, "")]
    lines += [*(f"- **{line.cells[0]}**: {line.cells[1]}" for line in statements(findings)), ""]
    for benchmark in findings.benchmarks:
        lines += [
            f"## {heading(findings, benchmark)}",
            "",
            *_markdown_table(result_table(findings, benchmark)),
            "",
        ]
    lines += [f"![{name.removesuffix('.png')}](figures/{name})\n" for name in figures]
    lines += ["## How to read it", "", *(f"- {text}" for text in explanations(findings)), ""]
    lines += ["## Cost", "", *_markdown_table(cost_table(findings)), ""]
    lines += ["## Every run", "", *_markdown_table(runs_table(findings))]
    return "\n".join(lines) + "\n"


def _openers(findings: Findings) -> list[str]:
    return [text for text in (standing(findings), *findings.warnings) if text is not None]


def _markdown_table(table: Table) -> list[str]:
    rows = [table.head, *(line.cells for line in table.lines)]
    cells = [" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows]
    head, *body = [f"| {row} |" for row in cells]
    return [head, "|" + "---|" * len(table.head), *body]


def latex(findings: Findings) -> str:
    """The results as LaTeX tabulars, one a benchmark; noise is grey (package xcolor)."""
    parts = []
    for benchmark in findings.benchmarks:
        table = result_table(findings, benchmark)
        lines = [f"% {findings.title}: {heading(findings, benchmark)}".replace("\n", " ")]
        lines += [f"\\begin{{tabular}}{{l{'r' * (len(table.head) - 2)}l}}", "\\hline"]
        lines += [_latex_line(Line(table.head)), "\\hline", *map(_latex_line, table.lines)]
        parts.append("\n".join([*lines, "\\hline", "\\end{tabular}", ""]))
    return "\n".join(parts)


def _latex_line(line: Line) -> str:
    cells = [latex_text(cell) for cell in line.cells]
    if line.kind in ("noise", "few"):
        cells = [f"\\textcolor{{gray}}{{{cell}}}" if cell else "" for cell in cells]
    return f"{' & '.join(cells)} \\\\"
