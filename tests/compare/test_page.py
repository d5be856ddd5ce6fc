"""What people get to see: tables, sentences, picture and page, of findings that are made up."""

import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from pretended import REAL, TITLES, pretend

from browser import look
from pocketface.compare.curves import curves_png
from pocketface.compare.findings import Findings
from pocketface.compare.markup import latex, markdown
from pocketface.compare.page import page
from pocketface.compare.picture import comparison_png
from pocketface.compare.publish import publish
from pocketface.compare.text import explanations, result_table, runs_table, short_table, statements

NAME = "LFW, open set"


@pytest.fixture(scope="module")
def findings() -> Findings:
    return pretend(
        REAL, titles=TITLES, fixed={"raw pixels": 68.37, "MobileFaceNet": 88.9}, teacher=89.43
    )


class Rows(HTMLParser):
    """The class and the cells of each row of a page's tables."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[str, list[str]]] = []
        self.depth = 0

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append((dict(attrs).get("class") or "", []))
        if tag in ("td", "th"):
            self.rows[-1][1].append("")
            self.depth = 1

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.depth = 0

    def handle_data(self, data):
        if self.depth:
            self.rows[-1][1][-1] += data


def test_verdicts_of_a_made_up_comparison(findings):
    verdicts = {d.arm: d.verdict for d in findings.differences}
    assert verdicts == {
        "foreign": "noise",
        "multi_step": "noise",
        "angular": "higher",
        "heavy": "lower",
        "rank": "higher",
        "late": "too few seeds",
    }
    # Holm's first factor is the number of differences that could be tested.
    angular = next(d for d in findings.differences if d.arm == "angular")
    p_values = sorted(d.p for d in findings.differences if d.p is not None)
    assert len(p_values) == 5
    assert angular.p_holm == pytest.approx(angular.p * (5 - p_values.index(angular.p)), abs=1e-6)


def test_seeds_agree_but_other_people_might_not():
    close = {"LFW": {"a": [80.0, 80.5, 81.0], "b": [80.03, 80.54, 81.05]}}
    (found,) = pretend(close).differences
    assert found.low is not None
    assert found.low > 0
    assert found.people_low is not None
    assert found.people_low < 0
    assert found.verdict == "these people only"


def test_the_table_says_what_the_figures_are(findings):
    table = result_table(findings, NAME)
    rows = {line.cells[0]: line for line in table.lines}
    assert len(rows) == 7 + 1 + 2
    baseline = rows["pocketnet_nano alone"]
    values = [86.33, 86.77, 86.57, 86.40, 86.62]
    assert baseline.cells[1:4] == (f"{np.mean(values):.2f} %", f"{np.std(values, ddof=1):.2f}", "5")
    assert baseline.cells[-1] == "baseline"
    noise = rows[TITLES["foreign"]]
    assert noise.kind == "noise"
    assert noise.cells[4] == "+0.30"
    assert noise.cells[5] == "-0.13 to +0.74"
    assert noise.cells[8] == "noise"
    assert rows["raw pixels"].cells[-1] == "fixed"
    assert rows["teacher (seed 0)"].kind == "beside"
    assert [len(line.cells) for line in table.lines] == [len(table.head)] * 10
    assert short_table(findings, NAME).head == (*table.head[:6], "verdict")
    assert len(runs_table(findings).lines) == 7 * 5 + 1


def test_each_difference_in_a_sentence(findings):
    said = {line.cells[1].split(" against")[0]: line.cells for line in statements(findings)}
    verdict, text = said[TITLES["foreign"]]
    assert verdict == "noise"
    assert text.endswith("over 5 seeds. If it is real, about 8 seeds would show it.")
    assert said["begun last"][1].endswith("2 of its seeds can be compared.")
    assert said["EKD"][0] == "higher"


def test_which_interval_is_which_is_said(findings):
    text = "\n".join(explanations(findings))
    assert "over seeds: Student's interval" in text
    assert "over people: 1,000 bootstrap replicates that draw people" in text
    assert "corrected after Holm for the 6 arms" in text
    assert "shared by all seeds: teacher" in text
    one = "\n".join(explanations(pretend({"LFW": {"a": [80, 81, 82], "b": [81, 82, 84]}})))
    assert "with one difference there is none to correct" in one
    assert "shared" not in one


def test_markdown_and_latex(findings):
    text = markdown(findings, ["compare.png"])
    rows = [line for line in text.splitlines() if line.startswith("|")]
    widths = {line.replace("\\|", "").count("|") for line in rows if "LFW" not in line}
    assert widths <= {10, 7, 6}
    assert "![compare](figures/compare.png)" in text
    assert "Unfinished: 3 of 36 runs" in text
    assert "## LFW, open set: accuracy" in text
    table = latex(findings)
    assert r"pocketnet\_nano alone & 86.54 \% & 0.18 & 5" in table
    assert table.count(r"\textcolor{gray}{noise}") == 2
    body = [line for line in table.splitlines() if line.endswith(r"\\")]
    assert {len(re.findall(r"(?<!\\)&", line)) for line in body} == {8}


def test_noise_looks_like_noise_on_the_page(findings):
    text = page(findings, {"compare.png": b"png"}, "title: <x>\n")
    parser = Rows()
    parser.feed(text)
    by_kind: dict[str, list[str]] = {}
    for kind, cells in parser.rows:
        if len(cells) == 9:
            by_kind.setdefault(kind, []).append(cells[0])
    assert by_kind["noise"] == [TITLES["foreign"], TITLES["multi_step"]]
    assert by_kind["higher"] == [TITLES["angular"], "EKD"]
    assert by_kind["lower"] == ["weight 2,000"]
    assert by_kind["few"] == ["begun last"]
    assert by_kind["plain"] == ["pocketnet_nano alone"]
    assert by_kind["beside"] == ["teacher (seed 0)", "raw pixels", "MobileFaceNet"]
    assert text.count("<span class='pill noise'>noise</span>") == 4  # above, and in the table
    assert "Ways to distil &lt;on real faces&gt;" in text
    assert "title: &lt;x&gt;" in text
    assert "http" not in text  # nothing is fetched from anywhere


def test_a_page_before_anything_is_measured():
    nothing = pretend({"LFW": {"a": [np.nan], "b": [np.nan]}})
    assert comparison_png(nothing) is None
    text = page(nothing, {}, "x")
    assert "nothing is measured yet" in text
    assert "0 of 2 runs done" in text
    assert markdown(nothing, [])
    assert latex(nothing)


def test_the_baseline_may_be_the_one_that_lags():
    lagging = pretend({"LFW": {"a": [np.nan, 80.0], "b": [81.0, 82.0]}}, baseline="a")
    (found,) = lagging.differences
    assert found.seeds == (1,)
    assert found.mean == pytest.approx(0.02)
    none = pretend({"LFW": {"a": [np.nan, np.nan], "b": [81.0, 82.0]}}, baseline="a")
    assert none.differences == ()
    assert result_table(none, "LFW").lines[0].cells[-1] == "the baseline is not done"
    assert comparison_png(none) is not None


def colours(content: bytes) -> set[tuple[int, int, int]]:
    pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(np.uint32)
    packed = np.unique(pixels @ np.array([1 << 16, 1 << 8, 1], np.uint32))
    return {(c >> 16, c >> 8 & 255, c & 255) for c in packed.tolist()}


def test_only_what_is_real_has_a_colour_in_the_picture(findings):
    green, orange, grey = (0, 158, 115), (213, 94, 0), (154, 154, 154)
    found = comparison_png(findings)
    assert found is not None
    assert {green, orange, grey} <= colours(found)
    noise = comparison_png(pretend({"LFW": {"a": [80, 81, 82], "b": [81, 80, 82.5]}}))
    assert noise is not None
    assert grey in colours(noise)
    assert not {green, orange} & colours(noise)


@pytest.mark.parametrize("sets", [1, 3])
def test_the_picture_grows_with_what_it_shows(sets):
    arms = {f"arm_{number}": [80.0, 81.0, 80.5 + number] for number in range(4)}
    found = comparison_png(pretend({f"set {number}": arms for number in range(sets)}))
    assert found is not None
    width, height = Image.open(io.BytesIO(found)).size
    assert width == 1430
    assert height == int(130 * (0.3 + sets * (1.25 + 4 * 0.46)))


def test_what_a_finished_comparison_leaves(whole, content, write, tmp_path, pictures):
    """All files, from real logs."""
    from pocketface.compare.design_file import read_design
    from pocketface.compare.plan import plan_runs

    out, findings, _ = whole
    planned = plan_runs(read_design(write(content())), out)
    target = publish(tmp_path / "x", findings, planned, "title: a\n")
    left = {path.relative_to(tmp_path / "x").as_posix() for path in (tmp_path / "x").rglob("*")}
    assert left == {
        *["compare.json", "compare.md", "compare.tex", "compare.html", "design.yaml"],
        *["figures", "figures/compare.png", "figures/curves.png"],
    }
    assert Findings.model_validate_json((tmp_path / "x/compare.json").read_text()) == findings
    assert target.read_text().count("data:image/png") == 2
    curves = curves_png(findings, planned)
    assert curves is not None
    blue, orange = (0, 114, 178), (213, 94, 0)
    # The lines are drawn with some transparency over white.
    for colour in (blue, orange):
        paler = tuple(round(0.8 * value + 0.2 * 255) for value in colour)
        near = [
            c for c in colours(curves) if max(abs(a - b) for a, b in zip(c, paler, strict=True)) < 3
        ]
        assert near


@pytest.fixture
def pictures() -> None:
    """Asks for pictures, which other tests do without."""


@pytest.mark.slow
@pytest.mark.parametrize("width", [420, 1280])
def test_the_page_fits_the_window(findings, tmp_path, width):
    picture = comparison_png(findings)
    assert picture is not None
    target = tmp_path / "compare.html"
    target.write_text(page(findings, {"compare.png": picture}, "title: x\n"))
    seen = look(target, tmp_path, width)
    assert (seen.images, seen.broken, seen.overflow) == (1, 0, 0)
    assert seen.screenshot[:400].std() > 10
