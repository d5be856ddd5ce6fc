"""The report of IJB: the fixed schema, the text, the pictures, the page and the table's row."""

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image
from plain_ijb import run
from pydantic import ValidationError

from pocketface.benchmarks.ijb import IjbResult
from pocketface.benchmarks.ijb.figures import figures
from pocketface.benchmarks.report import (
    Measurement,
    read_any_report,
    read_report,
    write_report,
)
from pocketface.benchmarks.result import Estimate
from pocketface.errors import DataError

FILES = [
    "figures/cmc.png",
    "figures/det.png",
    "figures/roc.png",
    "figures/tpir.png",
    "replicates.npz",
    "report.html",
    "report.json",
    "report.md",
    "table.md",
    "table.tex",
]


@pytest.fixture(scope="module")
def done(drawn_sets, pattern_embedder, tmp_path_factory):
    work = tmp_path_factory.mktemp("work")
    return run(drawn_sets / "IJBC", pattern_embedder(), work, replicates=40)


@pytest.fixture
def written(done, tmp_path):
    measured = Measurement(done.result, figures(done.result), done.cases, done.replicates)
    write_report(tmp_path / "report", measured)
    return tmp_path / "report"


def test_the_folder_holds_every_part(written):
    files = [path for path in written.rglob("*") if path.is_file()]
    assert sorted(path.relative_to(written).as_posix() for path in files) == FILES


def test_the_report_reads_back_as_the_result(done, written):
    assert read_report(written / "report.json", IjbResult) == done.result
    assert read_any_report(written / "report.json") == done.result


def test_the_schema_is_fixed(done, written):
    content = json.loads((written / "report.json").read_text())
    assert (content["kind"], content["format"]) == ("ijb", 2)
    assert set(content["verification"][0]) == {"far", "measured_far", "tar", "similarity"}
    assert set(content["identification"]["points"][0]) == {"fpir", "tpir", "galleries"}
    assert set(content["identification"]["ranks"][0]) == {"rank", "rate", "galleries"}
    for wrong in (
        {**content, "surprise": 1},
        {**content, "format": 3},
        {**content, "identification": {**content["identification"], "surprise": 1}},
        {name: value for name, value in content.items() if name != "roc"},
    ):
        with pytest.raises(ValidationError):
            IjbResult.model_validate(wrong)
        (written / "report.json").write_text(json.dumps(wrong))
        with pytest.raises(DataError, match="is not a report"):
            read_any_report(written / "report.json")


def test_rows_give_value_interval_and_what_stands_behind_it(done):
    rows = {row.figure: row for row in done.result.rows()}
    names = list(done.result.figures())
    parts = names[6:]
    assert list(rows) == [*names, *(f"{n}, G1" for n in parts), *(f"{n}, G2" for n in parts)]
    point = done.result.verification[3]
    row = rows["TAR at FAR 0.001"]
    assert row.value == f"{100 * point.tar.value:.3f} %"
    assert row.interval == f"{100 * point.tar.low:.2f} to {100 * point.tar.high:.2f} %"
    assert row.remark == (
        f"same person if similarity is at least {point.similarity:.4f}; FAR there "
        f"{point.measured_far.value:.3g}"
    )
    assert rows["TPIR at FPIR 0.01"].remark == "mean of the galleries"
    assert rows["Rank 5"].remark == "all galleries together"
    one = done.result.identification.points[1].galleries["G2"]
    assert rows["TPIR at FPIR 0.01, G2"] == (
        "TPIR at FPIR 0.01, G2",
        f"{100 * one.value:.3f} %",
        f"{100 * one.low:.2f} to {100 * one.high:.2f} %",
        "",
    )


def test_low_rates_are_warned_about(done):
    text = done.result.sentences()
    warned = [line.split(" rests on")[0] for line in text if line.startswith("Warning:")]
    # 1,520 pairs of two people, 31 probes without a mate in the smaller part.
    assert warned == [
        *(f"Warning: TAR at FAR {far}" for far in ("1e-06", "1e-05", "0.0001", "0.001")),
        *(f"Warning: TPIR at FPIR {fpir}" for fpir in ("0.1", "0.01", "0.001")),
    ]
    many = done.result.model_copy(update={"impostor_pairs": 10**8})
    assert not [line for line in many.sentences() if "TAR at FAR" in line]
    assert any("N1D1F1" in line for line in text)
    assert any("N0D1F1" in line for line in text)
    assert any("draw identities" in line and "galleries stay" in line for line in text)


def test_a_figure_that_no_threshold_gives_is_said(done):
    first, *rest = done.result.verification
    points = (first.model_copy(update={"similarity": None}), *rest)
    rows = done.result.model_copy(update={"verification": points}).rows()
    assert rows[0].remark == "no threshold gives it"


def test_the_papers_column_is_filled_by_the_whole_set_only(done):
    tar = 100 * done.result.verification[2].tar.value
    assert done.result.paper_columns() == {"IJBC": tar}
    whole = {"pairs": 15_658_489}
    assert done.result.model_copy(update=whole).paper_columns() == {"IJB-C": tar}
    other = {"pairs": 8_010_270, "protocol": "ijbb", "benchmark": "b"}
    assert done.result.model_copy(update=other).paper_columns() == {"IJB-B": tar}
    mixed = {"pairs": 8_010_270, "benchmark": "b"}
    assert done.result.model_copy(update=mixed).paper_columns() == {"b": tar}


def test_the_tables_row(done, written):
    tar = 100 * done.result.verification[2].tar.value
    assert (written / "table.md").read_text() == (
        "| Model | Params (M) | MFLOPs | IJBC |\n|---|---|---|---|\n"
        f"| model | - | - | {tar:.2f} |\n"
    )
    assert f"model & - & - & {tar:.2f} \\\\" in (written / "table.tex").read_text()


def ink(png):
    picture = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    return picture.shape, {
        name: int((np.abs(picture - colour).sum(axis=2) < 30).sum())
        for name, colour in {"curve": (0, 114, 178), "mark": (213, 94, 0)}.items()
    }


def test_pictures_show_the_curve_and_the_marked_figures_with_intervals(done):
    shown = {name: ink(png) for name, png in figures(done.result).items()}
    assert list(shown) == ["roc.png", "det.png", "tpir.png", "cmc.png"]
    for shape, colours in shown.values():
        assert shape == (630, 960, 3)
        assert colours["curve"] > 1500
    bare = {
        "verification": tuple(
            point.model_copy(update={"tar": Estimate(value=point.tar.value)})
            for point in done.result.verification
        )
    }
    without = ink(figures(done.result.model_copy(update=bare))["roc.png"])[1]["mark"]
    assert 0 < without < shown["roc.png"][1]["mark"]
    no_search = {"identification": None}
    assert list(figures(done.result.model_copy(update=no_search))) == ["roc.png", "det.png"]


def test_the_page_needs_no_other_file_and_shows_every_picture(written):
    page = (written / "report.html").read_text()
    images = re.findall(r"src='data:image/(\w+);base64,([^']+)'", page)
    assert len(images) == page.count("<img") == 4 + 2 * 8 * 2
    for kind, content in images:
        picture = Image.open(io.BytesIO(base64.b64decode(content)))
        picture.load()
        assert picture.format == kind.upper()
    assert "http" not in re.sub(r"base64,[^']+", "", page)
    for text in ("Most similar pairs of two people", "taken for two people", "class='warning'"):
        assert text in page


def test_a_full_disk_leaves_the_older_report_whole(done, written, monkeypatch):
    before = (written / "report.json").read_bytes()
    other = done.result.model_copy(update={"benchmark": "other"})

    def full(target, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pocketface.atomic.write_bytes", full)
    with pytest.raises(DataError, match="cannot be written: No space left"):
        write_report(written, Measurement(other, figures(other), done.cases))
    assert (written / "report.json").read_bytes() == before
    assert not list(written.rglob("*.tmp-*"))
