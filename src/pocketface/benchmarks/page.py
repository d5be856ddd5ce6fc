"""A result as one HTML page that needs no other file: figures, table, hardest pairs."""

from html import escape

from pocketface.benchmarks.hardest import HardPair, hardest_pairs, thumbnail
from pocketface.benchmarks.pair_result import PairResult
from pocketface.benchmarks.style import STYLE, png_address
from pocketface.benchmarks.summary import interval_sentence, set_sentence, summary_rows
from pocketface.data.pairs import PairSet

_SHOWN = 8
"""Hardest pairs of each kind on the page."""


def page(result: PairResult, pairs: PairSet, roc_png: bytes, scores_png: bytes) -> str:
    """The page's HTML. `result` must carry its scores; the PNG files are put inside."""
    false_matches, false_rejections = hardest_pairs(result, pairs, _SHOWN)
    title = escape(f"{result.model.name} on {result.benchmark}")
    model = result.model
    size = "" if model.parameters is None else f", {model.parameters:,} parameters"
    rows = "\n".join(
        f"<tr><td>{escape(row.figure)}</td><td class='number'>{row.value}</td>"
        f"<td class='number'>{row.interval}</td><td>{escape(row.remark)}</td></tr>"
        for row in summary_rows(result)
    )
    silences = "".join(f"<p class='faint'>{escape(text)}</p>" for text in result.not_measured)
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
<p>{escape(set_sentence(result))}</p>
<p class="faint">Network: {escape(model.architecture)}, {model.embedding_size} numbers per
embedding{size}; fingerprint {model.fingerprint[:12]}.</p>
<div class="scroll"><table>
<thead><tr><th>Figure</th><th>Value</th><th>Interval</th><th>Remark</th></tr></thead>
<tbody>
{rows}
</tbody>
</table></div>
<p class="faint">{escape(interval_sentence(result))}</p>
{silences}
<h2>Curves</h2>
<div class="figures">
<img src="{png_address(roc_png)}" alt="ROC: true accept rate over false accept rate">
<img src="{png_address(scores_png)}" alt="Similarities of pairs of one person and of two people">
</div>
{_section("Most similar pairs of two people", "taken for one person", false_matches, pairs)}
{_section("Least similar pairs of one person", "taken for two people", false_rejections, pairs)}
</body>
</html>
"""


def _section(title: str, error: str, chosen: list[HardPair], pairs: PairSet) -> str:
    wrong = sum(pair.wrong for pair in chosen)
    cards = "\n".join(_card(pair, error, pairs) for pair in chosen)
    return f"""<h2>{title}</h2>
<p class="faint">{wrong} of these {len(chosen)} are {error} at their fold's threshold.</p>
<div class="pairs">
{cards}
</div>"""


def _card(pair: HardPair, error: str, pairs: PairSet) -> str:
    names = [escape(pairs.names[image]) for image in (pair.left, pair.right)]
    images = "".join(
        f"<img src='{thumbnail(pairs, image)}' alt='{name}'>"
        for image, name in zip((pair.left, pair.right), names, strict=True)
    )
    verdict = f" <span class='wrong'>{error}</span>" if pair.wrong else ""
    return (
        f"<figure><div class='two'>{images}</div>"
        f"<figcaption><b>{pair.similarity:.3f}</b>{verdict}<br>{names[0]}<br>{names[1]}</figcaption></figure>"
    )
