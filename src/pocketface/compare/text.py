"""The findings in words and tables of plain text, for the page, the files and the screen."""

from typing import Literal, NamedTuple

from pocketface.benchmarks.result import Estimate
from pocketface.compare.findings import DifferenceFound, Findings
from pocketface.compare.seeds import FEWEST

Kind = Literal["plain", "higher", "lower", "people", "noise", "few", "beside"]
"""How a row is to look: what is real stands out, noise is grey, what is beside is quiet."""

_KINDS: dict[str, Kind] = {
    "higher": "higher",
    "lower": "lower",
    "these people only": "people",
    "noise": "noise",
    "too few seeds": "few",
}

BASELINE = "baseline"

_LEFT_OUT = ("p, Holm", "95 % over people")


class Line(NamedTuple):
    """A row of a table."""

    cells: tuple[str, ...]
    kind: Kind = "plain"


class Table(NamedTuple):
    """A table; the first column holds names, the others numbers but for the last of a result."""

    head: tuple[str, ...]
    lines: list[Line]


def heading(findings: Findings, benchmark: str) -> str:
    """A benchmark and its figure that is compared: 'LFW: accuracy'."""
    return f"{benchmark}: {figure_name(findings, benchmark)}".removesuffix(": ")


def figure_name(findings: Findings, benchmark: str) -> str:
    """The figure that is compared, as it stands within a sentence; empty while none is known."""
    figure = findings.benchmarks[benchmark]
    return figure[:1].lower() + figure[1:] if figure[1:2].islower() else figure


def result_table(findings: Findings, benchmark: str) -> Table:
    """Each arm on one benchmark: mean and spread, and the difference from the baseline."""
    differences = {d.arm: d for d in findings.differences if d.benchmark == benchmark}
    lines = []
    for mean in findings.means:
        if mean.benchmark != benchmark:
            continue
        cells = [
            findings.title_of(mean.arm),
            _percent(mean.mean),
            _sd(mean.sd),
            str(len(mean.seeds)),
        ]
        difference = differences.get(mean.arm)
        if difference is not None:
            p = difference.p_holm
            cells += [
                _points(difference.mean),
                _interval(difference.low, difference.high),
                "" if p is None else f"{p:.3f}" if p >= 0.001 else "< 0.001",
                _interval(difference.people_low, difference.people_high),
                difference.verdict,
            ]
            lines.append(Line(tuple(cells), _KINDS[difference.verdict]))
        else:
            word = BASELINE if mean.arm == findings.baseline else "the baseline is not done"
            lines.append(Line((*cells, "", "", "", "", word)))
    lines += [_beside(name, value, word) for name, value, word in _besides(findings, benchmark)]
    head = ("arm", "mean", "sd", "seeds", "difference", "95 % over seeds", "p, Holm")
    return Table((*head, "95 % over people", "verdict"), lines)


def short_table(findings: Findings, benchmark: str) -> Table:
    """The result without the columns that a terminal has no room for."""
    whole = result_table(findings, benchmark)
    chosen = [whole.head.index(name) for name in whole.head if name not in _LEFT_OUT]
    return Table(
        tuple(whole.head[place] for place in chosen),
        [Line(tuple(line.cells[place] for place in chosen), line.kind) for line in whole.lines],
    )


def cost_table(findings: Findings) -> Table:
    """What one run of each arm costs."""
    lines = []
    for arm in findings.arms:
        minutes = "" if arm.seconds is None else f"{arm.seconds / 60:.1f}"
        lines.append(
            Line(
                (
                    f"{arm.title} (prepared)" if arm.prepared else arm.title,
                    f"{arm.parameters:,}",
                    f"{arm.macs / 1e6:,.1f}",
                    f"{arm.images:,}",
                    minutes,
                    f"{arm.finished} of {arm.runs}",
                ),
                "beside" if arm.prepared else "plain",
            )
        )
    head = ("arm", "parameters", "million MACs", "images a run", "minutes a run", "runs done")
    return Table(head, lines)


def runs_table(findings: Findings) -> Table:
    """Every run, with the interval of its figure over test people."""
    lines = []
    for run in findings.runs:
        end = run.finished
        cells = [findings.title_of(run.arm), str(run.seed)]
        cells += [
            _estimate(run.figures[b]) if b in run.figures else "-" for b in findings.benchmarks
        ]
        cells += ["-", "-"] if end is None else [f"{end.images:,}", f"{end.seconds:,.0f}"]
        lines.append(Line(tuple(cells), "beside" if run.prepared else "plain"))
    return Table(("arm", "seed", *findings.benchmarks, "images", "seconds"), lines)


def statements(findings: Findings) -> list[Line]:
    """What each difference amounts to: the verdict, and a sentence."""
    found = []
    for difference in findings.differences:
        place = f" on {difference.benchmark}" if len(findings.benchmarks) > 1 else ""
        words = (
            f"{findings.title_of(difference.arm)} against {findings.title_of(findings.baseline)}"
            f"{place}: {_points(difference.mean)} points"
        )
        count = len(difference.seeds)
        if difference.low is not None and count >= FEWEST:
            words += f", {_interval(difference.low, difference.high)} over {count} seeds"
        words += f".{_advice(difference)}"
        found.append(Line((difference.verdict, words), _KINDS[difference.verdict]))
    return found


def explanations(findings: Findings) -> list[str]:
    """How to read the intervals and verdicts."""
    others = len({d.arm for d in findings.differences})
    drawn = " and ".join(sorted(set(findings.drawn.values()))) or "people"
    found = [
        "Differences are in percentage points, taken seed by seed against "
        f"{findings.title_of(findings.baseline)} and then averaged.",
        "95 % over seeds: Student's interval of the mean difference, n - 1 degrees of freedom. It "
        "answers: would other seeds, on these very test images, give the same?",
        f"95 % over people: {findings.replicates:,} bootstrap replicates that draw {drawn} of the "
        "test set with replacement, for both arms alike. It answers: would these very networks "
        "differ alike on other people? It knows nothing of seeds.",
    ]
    if others > 1:
        found.append(
            f"p is that of the paired t test, corrected after Holm for the {others} arms that are "
            "held against the baseline on one benchmark: the intervals are not corrected, so one "
            "may leave out 0 while its p stays above 0.05. Each benchmark is corrected for itself."
        )
    else:
        found.append(
            "p is that of the paired t test; with one difference there is none to correct."
        )
    found.append(
        "Verdicts: noise, if the corrected p is at least 0.05; these people only, if seeds agree "
        f"but the interval over people holds 0; too few seeds, below {FEWEST} or where all "
        "differences are the same number; else higher or lower."
    )
    shared = [arm.title for arm in findings.arms if arm.prepared and arm.runs == 1]
    if shared:
        found.append(
            f"Trained once and shared by all seeds: {', '.join(shared)}. No interval says what "
            "another one would have done."
        )
    found.append(
        "Seconds are those of the training steps, over all sittings; opening data, filling caches "
        "and measuring are not among them."
    )
    return found


def standing(findings: Findings) -> str | None:
    """A sentence on what is still to be done, or None."""
    left = len(findings.runs) - findings.done
    if not left:
        return None
    return (
        f"Unfinished: {left} of {len(findings.runs)} runs are still to be done; figures may move."
    )


def _besides(findings: Findings, benchmark: str) -> list[tuple[str, Estimate, str]]:
    found = [
        (f"{findings.title_of(run.arm)} (seed {run.seed})", run.figures[benchmark], "prepared")
        for run in findings.runs
        if run.prepared and benchmark in run.figures
    ]
    found += [
        (name, figures[benchmark], "fixed")
        for name, figures in findings.fixed.items()
        if benchmark in figures
    ]
    return found


def _beside(name: str, value: Estimate, word: str) -> Line:
    ends = "" if value.low is None else f"{100 * value.low:.2f} to {100 * (value.high or 0):.2f} %"
    return Line((name, _percent(value.value), "", "", "", "", "", ends, word), "beside")


def _advice(difference: DifferenceFound) -> str:
    """What would make more of a difference that is not told apart."""
    match difference.verdict:
        case "noise":
            needed = difference.seeds_needed
            if needed is None or needed <= len(difference.seeds):
                return ""
            return f" If it is real, about {needed} seeds would show it."
        case "too few seeds":
            return f" {len(difference.seeds)} of its seeds can be compared."
        case "these people only":
            return " Seeds agree, but on other test people it might be otherwise."
        case _:
            return ""


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _sd(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.2f}"


def _points(share: float) -> str:
    return f"{100 * share:+.2f}"


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{_points(low)} to {_points(high)}"


def _estimate(value: Estimate) -> str:
    if value.low is None or value.high is None:
        return _percent(value.value)
    return f"{_percent(value.value)} ({100 * value.low:.2f} to {100 * value.high:.2f})"
