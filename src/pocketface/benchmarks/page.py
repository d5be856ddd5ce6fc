"""A result as one HTML page that needs no other file: table, curves, worst cases."""

from collections.abc import Mapping, Sequence
from html import escape

from pocketface.benchmarks.cases import Case, CaseGroup, thumbnail
from pocketface.benchmarks.comparison import Comparison
from pocketface.benchmarks.result import Result, Row
from pocketface.benchmarks.style import STYLE, png_address


def page(
    result: Result,
    figures: Mapping[str, bytes],
    cases: Sequence[CaseGroup],
    comparison: Comparison | None = None,
) -> str:
    """The page's HTML; `figures` are PNG files by file name, put inside the page."""
    model = result.model
    title = escape(f"{model.name} on {result.benchmark}")
    size = "" if model.parameters is None else f", {model.parameters:,} parameters"
    measured, *others = result.sentences()
    curves = "\n".join(
        f"<img src='{png_address(content)}' alt='{escape(figure_title(name))}'>"
        for name, content in figures.items()
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{title}</h1>
<p>{escape(measured)}</p>
<p class="faint">Network: {escape(model.architecture)}, {model.embedding_size} numbers per
embedding{size}; fingerprint {model.fingerprint[:12]}.</p>
{_table("Value", result.rows())}
{"".join(_remark(text) for text in others)}
{"" if comparison is None else _against(comparison)}
<h2>Curves</h2>
<div class="figures">
{curves}
</div>
{"".join(_section(group) for group in cases)}
</body>
</html>
"""


def figure_title(name: str) -> str:
    """What a picture's file name says of it: 'roc.png' is 'roc'."""
    return name.removesuffix(".png").replace("_", " ")


def _table(value: str, rows: list[Row]) -> str:
    body = "\n".join(
        f"<tr><td>{escape(row.figure)}</td><td class='number'>{row.value}</td>"
        f"<td class='number'>{row.interval}</td><td>{escape(row.remark)}</td></tr>"
        for row in rows
    )
    return f"""<div class="scroll"><table>
<thead><tr><th>Figure</th><th>{value}</th><th>Interval</th><th>Remark</th></tr></thead>
<tbody>
{body}
</tbody>
</table></div>"""


def _against(comparison: Comparison) -> str:
    return f"""<h2>Against {escape(comparison.second)}</h2>
<p class="faint">{escape(comparison.sentence())}</p>
{_table("Difference", comparison.rows())}"""


def _remark(sentence: str) -> str:
    kind = "warning" if sentence.startswith("Warning:") else "faint"
    return f"<p class='{kind}'>{escape(sentence)}</p>\n"


def _section(group: CaseGroup) -> str:
    wrong = sum(case.wrong for case in group.cases)
    cards = "\n".join(_card(case, group.error) for case in group.cases)
    return f"""<h2>{escape(group.title)}</h2>
<p class="faint">{wrong} of these {len(group.cases)} are {escape(group.error)}.</p>
<div class="pairs">
{cards}
</div>
"""


def _card(case: Case, error: str) -> str:
    names = [escape(line) for line in case.caption.splitlines()]
    images = "".join(
        f"<img src='{thumbnail(pixels)}' alt='{names[min(number, len(names) - 1)]}'>"
        for number, pixels in enumerate(case.images)
    )
    pictures = f"<div class='two'>{images}</div>" if images else ""
    verdict = f" <span class='wrong'>{escape(error)}</span>" if case.wrong else ""
    return (
        f"<figure>{pictures}"
        f"<figcaption><b>{case.similarity:.3f}</b>{verdict}<br>{'<br>'.join(names)}"
        "</figcaption></figure>"
    )
