"""A result as one HTML page that needs no other file: figures, table, hardest pairs."""

import base64
from html import escape

from pocketface.benchmarks.hardest import HardPair, hardest_pairs, thumbnail
from pocketface.benchmarks.pair_result import PairResult
from pocketface.benchmarks.summary import interval_sentence, set_sentence, summary_rows
from pocketface.data.pairs import PairSet

_SHOWN = 8
"""Hardest pairs of each kind on the page."""

_STYLE = """
:root { color-scheme: light; --ink: #222; --faint: #6a6a6a; --line: #e2e2e2; --wrong: #b3261e; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 2rem 1.25rem 4rem; color: var(--ink);
  background: #fff; font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; }
h2 { font-size: 1.15rem; margin: 2.25rem 0 .5rem; }
p { margin: .25rem 0; }
.faint { color: var(--faint); font-size: .9rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin-top: 1rem; }
th, td { text-align: left; padding: .4rem .75rem .4rem 0; border-bottom: 1px solid var(--line); }
th { font-weight: 600; font-size: .85rem; color: var(--faint); }
td.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 1rem; }
.figures img { width: 100%; height: auto; }
.pairs { display: grid; grid-template-columns: repeat(auto-fill, minmax(14.5rem, 1fr));
  gap: 1rem; }
figure { margin: 0; padding: .5rem; border: 1px solid var(--line); border-radius: .5rem; }
.two { display: grid; grid-template-columns: 1fr 1fr; gap: 4px; margin-bottom: .35rem; }
.two img { width: 100%; aspect-ratio: 1; object-fit: cover; border-radius: .25rem; }
figcaption { font-size: .8rem; overflow-wrap: anywhere; }
figcaption b { font-size: .9rem; font-variant-numeric: tabular-nums; }
.wrong { color: var(--wrong); }
"""


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
<style>{_STYLE}</style>
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
<img src="{_png_address(roc_png)}" alt="ROC: true accept rate over false accept rate">
<img src="{_png_address(scores_png)}" alt="Similarities of pairs of one person and of two people">
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


def _png_address(content: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(content).decode()
