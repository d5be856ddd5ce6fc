"""The demo's page: what was made, how good it is, and every command that made it."""

import shlex
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pocketface import atomic
from pocketface.benchmarks.cases import thumbnail
from pocketface.benchmarks.pair_result import PairResult
from pocketface.benchmarks.result import Result
from pocketface.benchmarks.style import STYLE, png_address
from pocketface.data.pairs import PairSet
from pocketface.demo.examples import Example, choose_examples
from pocketface.demo.tradeoff import Measured, roc_overlay_png, tradeoff_png

_EXAMPLES = 4

_MORE_STYLE = """
pre { background: #f6f6f4; padding: .75rem 1rem; border-radius: .5rem; overflow-x: auto;
  font-size: .82rem; line-height: 1.7; }
.right { color: #1b6e3c; }
.wide img { width: 100%; height: auto; }
.narrow img { width: min(100%, 38rem); height: auto; }
.lead { font-size: 1.1rem; max-width: 46rem; }
.galleries { display: grid; grid-template-columns: repeat(auto-fit, minmax(19rem, 1fr));
  gap: 0 1.5rem; align-items: start; }
.galleries section { min-width: 0; }
.galleries td, .galleries th { font-size: .78rem; padding: .2rem .5rem .2rem 0; }
"""


@dataclass(frozen=True)
class Story:
    """All that the page tells.

    Attributes:
        networks: the measured networks, the student last.
        pixels: accuracy of raw pixels by set.
        results: the student's result by set of pairs.
        galleries: the student's results on IJB and MegaFace.
        pairs: the set `shown`, whose pairs are pictured.
        shown: its name.
        scores: float64 (P,), the student's similarities of those pairs.
        curves: pictures of training by title, PNG files.
        commands: every command that ran, as words, and its seconds.
    """

    networks: list[Measured]
    pixels: dict[str, float]
    results: dict[str, PairResult]
    galleries: list[Result]
    pairs: PairSet
    shown: str
    scores: npt.NDArray[np.float64]
    curves: dict[str, Path]
    commands: list[tuple[list[str], float]]


def write_page(target: Path, story: Story) -> Path:
    """Write the page, one HTML file that needs no other; gives its path."""
    student = story.networks[-1]
    gain = 100 * (student.accuracy[story.shown] - story.pixels[story.shown])
    curves = "".join(
        f"<p>{escape(title)}</p><img src='{png_address(path.read_bytes())}' alt='{escape(title)}'>"
        for title, path in story.curves.items()
    )
    roc = roc_overlay_png(
        {name: [(p.far, p.tar) for p in result.roc] for name, result in story.results.items()},
        f"{student.name} on each set",
    )
    text = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>PocketFace demo</title>
<style>{STYLE}{_MORE_STYLE}</style>
</head>
<body>
<h1>A face-recognition network, made in minutes</h1>
<p class="lead">{escape(student.name)} has {student.parameters:,} parameters and recognises
{100 * student.accuracy[story.shown]:.1f} % of the pairs of {escape(story.shown)} rightly,
{gain:+.1f} points against raw pixels. Nobody in its test sets was among its teachers' or its own
training people.</p>
<div class="scroll">{_table(story)}</div>
<h2>Accuracy against size and arithmetic</h2>
<div class="wide"><img src="{png_address(tradeoff_png(story.networks, story.pixels))}"
alt="Mean accuracy against parameters and multiply-accumulates"></div>
<h2>ROC</h2>
<div class="narrow"><img src="{png_address(roc)}" alt="ROC curves of the student"></div>
{_gallery_sections(story.galleries)}
<h2>Training</h2>
<div class="wide">{curves}</div>
{_example_sections(story)}
<h2>Every command</h2>
<p>Put your own folder of people in the place of the synthetic ones.</p>
<pre>{_commands(story.commands)}</pre>
</body>
</html>
"""
    atomic.write_text(target, text)
    return target


def _table(story: Story) -> str:
    sets = list(story.results)
    rows = [("raw pixels", "-", "-", story.pixels)]
    rows += [
        (network.name, f"{network.parameters:,}", f"{network.macs / 1e6:.1f}", network.accuracy)
        for network in story.networks
    ]
    head = "".join(f"<th>{escape(name)}</th>" for name in sets)
    body = "".join(
        f"<tr><td>{escape(name)}</td><td class='number'>{size}</td><td class='number'>{macs}</td>"
        + "".join(f"<td class='number'>{100 * accuracy[key]:.1f} %</td>" for key in sets)
        + "</tr>"
        for name, size, macs, accuracy in rows
    )
    return (
        "<table><thead><tr><th>Network</th><th>Parameters</th><th>MACs (M)</th>"
        f"{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def _gallery_sections(results: list[Result]) -> str:
    """The figures of IJB and MegaFace, a table each, with what they were measured on."""
    sections = []
    for result in results:
        body = "".join(
            f"<tr><td>{escape(row.figure)}</td><td class='number'>{escape(row.value)}</td>"
            f"<td class='number'>{escape(row.interval)}</td></tr>"
            for row in result.rows()
        )
        sections.append(
            f"<section><h2>{escape(result.benchmark)}</h2>"
            f"<p class='faint'>{escape(result.sentences()[0])}</p>"
            "<div class='scroll'><table><thead><tr><th>Figure</th><th>Value</th>"
            f"<th>Interval (95 %)</th></tr></thead><tbody>{body}</tbody></table></div></section>"
        )
    return f"<div class='galleries'>{''.join(sections)}</div>"


def _example_sections(story: Story) -> str:
    chosen = choose_examples(story.results[story.shown], story.scores, story.pairs, _EXAMPLES)
    kinds = (
        ("Rightly taken for one person", True, True),
        ("Rightly told apart", False, True),
        ("One person, taken for two", True, False),
        ("Two people, taken for one", False, False),
    )
    sections = []
    for title, same, verdict in kinds:
        cards = [e for e in chosen if e.same == same and e.right_verdict == verdict]
        inside = "".join(_card(example, story.pairs) for example in cards)
        inside = inside or "<p class='faint'>none</p>"
        sections.append(f"<h2>{title}</h2><div class='pairs'>{inside}</div>")
    return "".join(sections)


def _card(example: Example, pairs: PairSet) -> str:
    images = "".join(
        f"<img src='{thumbnail(pairs.pixels(image))}' alt='{escape(pairs.names[image])}'>"
        for image in (example.left, example.right)
    )
    word = "right" if example.right_verdict else "wrong"
    return (
        f"<figure><div class='two'>{images}</div><figcaption>"
        f"similarity <b>{example.similarity:.3f}</b> <span class='{word}'>{word}</span>"
        "</figcaption></figure>"
    )


def _commands(commands: list[tuple[list[str], float]]) -> str:
    return "\n".join(
        f"pocketface {escape(shlex.join(words))}   <span class='faint'># {seconds:.0f} s</span>"
        for words, seconds in commands
    )
