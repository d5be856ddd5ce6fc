"""The page of a comparison: one HTML file on which noise looks like noise."""

from collections.abc import Mapping
from html import escape

from pocketface.benchmarks.style import STYLE, png_address
from pocketface.compare.findings import Findings
from pocketface.compare.text import (
    Table,
    cost_table,
    explanations,
    heading,
    result_table,
    runs_table,
    standing,
    statements,
)

_MORE_STYLE = """
.wide { overflow-x: auto; }
.wide img { width: 100%; min-width: 44rem; height: auto; }
tr.noise td, tr.few td { color: #8a8a8a; }
tr.beside td { color: var(--faint); }
tr.higher td { background: #eef7f1; }
tr.lower td { background: #fdf3f2; }
tr.people td { background: #fbf6e6; }
td.number, th.number { text-align: right; padding-right: 1rem; }
.pill { display: inline-block; padding: .05rem .55rem; border-radius: 1rem; font-size: .82rem;
  white-space: nowrap; border: 1px solid transparent; }
.pill.higher { background: #1b6e3c; color: #fff; }
.pill.lower { background: var(--wrong); color: #fff; }
.pill.people { background: #8a6100; color: #fff; }
.pill.noise, .pill.few { background: #f3f3f3; color: #777; border-color: #ddd; }
ul.verdicts { list-style: none; padding: 0; }
ul.verdicts li { margin: .3rem 0; }
pre { background: #f6f6f4; padding: .75rem 1rem; border-radius: .5rem; overflow-x: auto;
  font-size: .82rem; line-height: 1.5; }
"""


def page(findings: Findings, figures: Mapping[str, bytes], design: str) -> str:
    """The page's HTML; `figures` are PNG files by name, `design` the text of the YAML file."""
    title = escape(findings.title)
    seeds = ", ".join(map(str, findings.seeds))
    results = "".join(
        f"<h2>{escape(heading(findings, name))}</h2>"
        f"{_table(result_table(findings, name), verdicts=True)}"
        for name in findings.benchmarks
    )
    said = "".join(
        f"<li>{_pill(line.cells[0], line.kind)} {escape(line.cells[1])}</li>"
        for line in statements(findings)
    )
    picture, *others = [
        f"<div class='wide'><img src='{png_address(content)}' alt='{escape(name)}'></div>"
        for name, content in figures.items()
    ] or [""]
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{STYLE}{_MORE_STYLE}</style>
</head>
<body>
<h1>{title}</h1>
<p class="faint">{len([a for a in findings.arms if not a.prepared])} arms, seeds {seeds};
{findings.done} of {len(findings.runs)} runs done.</p>
{_remarks(findings)}
{f"<ul class='verdicts'>{said}</ul>" if said else ""}
{picture}
{results}
<h2>How to read it</h2>
{"".join(f"<p>{escape(text)}</p>" for text in explanations(findings))}
<h2>Cost</h2>
{_table(cost_table(findings))}
{"<h2>Training</h2>" if others else ""}
{"".join(others)}
<h2>Every run</h2>
<p class="faint">In brackets: 95 % over people of this one network.</p>
{_table(runs_table(findings))}
<h2>The design</h2>
<pre>{escape(design)}</pre>
</body>
</html>
"""


def _remarks(findings: Findings) -> str:
    texts = [text for text in (standing(findings), *findings.warnings) if text is not None]
    return "".join(
        f"<p class='{'faint' if text.startswith('Arms see') else 'warning'}'>{escape(text)}</p>"
        for text in texts
    )


def _table(table: Table, *, verdicts: bool = False) -> str:
    last = len(table.head) - 1
    head = "".join(
        f"<th{_number(place, last, verdicts)}>{escape(name)}</th>"
        for place, name in enumerate(table.head)
    )
    rows = []
    for line in table.lines:
        cells = []
        for place, cell in enumerate(line.cells):
            judged = verdicts and place == last and line.kind not in ("plain", "beside")
            text = _pill(cell, line.kind) if judged else escape(cell)
            cells.append(f"<td{_number(place, last, verdicts)}>{text}</td>")
        rows.append(f"<tr class='{line.kind}'>{''.join(cells)}</tr>")
    body = "\n".join(rows) or f"<tr><td colspan='{last + 1}'>nothing is measured yet</td></tr>"
    return f"""<div class="scroll"><table>
<thead><tr>{head}</tr></thead>
<tbody>
{body}
</tbody>
</table></div>"""


def _pill(verdict: str, kind: str) -> str:
    return f"<span class='pill {kind}'>{escape(verdict)}</span>"


def _number(place: int, last: int, verdicts: bool) -> str:
    plain = place == 0 or (verdicts and place == last)
    return "" if plain else " class='number'"
