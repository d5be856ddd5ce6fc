"""A profile as one HTML page that needs no other file."""

from collections.abc import Mapping
from html import escape

from pocketface.benchmarks.style import STYLE, png_address
from pocketface.profile.result import ModelProfile, Profile
from pocketface.profile.text import (
    LEGEND,
    Table,
    about,
    facts,
    kinds_table,
    latency_table,
    layers_sentence,
    remarks,
    slowest_table,
)

_MORE_STYLE = """
.wide img { width: 100%; height: auto; }
td.number, th.number { text-align: right; padding-right: 1rem; }
"""


def page(result: Profile, pictures: Mapping[str, bytes]) -> str:
    """The page's HTML; `pictures` are PNG files by name."""
    names = ", ".join(model.name for model in result.models)
    title = escape(f"Profile of {names}")
    warnings = "".join(f"<p class='warning'>{escape(text)}</p>\n" for text in result.warnings())
    images = "".join(
        f"<div class='wide'><img src='{png_address(content)}' alt='{escape(name)}'></div>\n"
        for name, content in pictures.items()
    )
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
<p class="faint">{escape(about(result))} {escape(result.created.replace("T", " "))}</p>
{warnings}{"".join(_section(model) for model in result.models)}
<p class="faint">{escape(LEGEND)}</p>
{images}</body>
</html>
"""


def _section(model: ModelProfile) -> str:
    measured = _table(latency_table(model)) if model.measurements else ""
    told = "".join(f"<p>{escape(text)}</p>" for text in remarks(model))
    layers = ""
    if model.layers is not None:
        layers = (
            f"<h2>Layers of {escape(model.name)}</h2>"
            f"<p class='faint'>{escape(layers_sentence(model.layers))}</p>"
            f"{_table(kinds_table(model.layers))}{_table(slowest_table(model.layers))}"
        )
    return f"<h2>{escape(model.name)}</h2><p>{escape(facts(model))}</p>{measured}{told}{layers}"


def _table(table: Table) -> str:
    def row(cells: tuple[str, ...], tag: str) -> str:
        first, *rest = map(escape, cells)
        numbers = "".join(f"<{tag} class='number'>{cell}</{tag}>" for cell in rest)
        return f"<tr><{tag}>{first}</{tag}>{numbers}</tr>"

    body = "\n".join(row(cells, "td") for cells in table.rows)
    return (
        f"<div class='scroll'><table><thead>{row(table.head, 'th')}</thead>"
        f"<tbody>\n{body}\n</tbody></table></div>"
    )
