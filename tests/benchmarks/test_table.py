"""The papers' table: published rows as printed, own rows joined, Markdown and LaTeX."""

import json
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from pocketface.benchmarks.pair_benchmark import PairBenchmark
from pocketface.benchmarks.published_table import COLUMNS, PUBLISHED, TableRow
from pocketface.benchmarks.report import Measurement, read_any_report, write_report
from pocketface.benchmarks.table import known_mflops, latex_table, markdown_table, rows_of
from pocketface.cli.main import app
from pocketface.data.pairs import PairSet
from pocketface.embedding.pixels import PixelEmbedder
from pocketface.errors import DataError


def pair_set(seed=0):
    rng = np.random.default_rng(seed)
    images = list(rng.integers(0, 256, (40, 32, 32, 3), dtype=np.uint8))
    left = np.arange(20)
    return PairSet(images, left, left + 20, left % 2 == 0, [f"{i}.png" for i in range(40)], 2)


@pytest.fixture(scope="module")
def result():
    return PairBenchmark("own_pairs", pair_set()).run(PixelEmbedder(), replicates=0).result


def on(result, name, accuracy, pairs=6000, /, **model):
    value = result.accuracy.model_copy(update={"value": accuracy})
    about = result.model.model_copy(update=model)
    changed = {"benchmark": name, "accuracy": value, "pairs": pairs, "model": about}
    return result.model_copy(update=changed)


def test_the_published_rows_are_as_printed():
    assert len(PUBLISHED) == 11
    first = PUBLISHED[0]
    assert (first.name, first.parameters_m, first.mflops) == ("PocketNetS-128", 0.92, 587.11)
    assert list(first.figures.values()) == [
        99.58, 95.48, 89.63, 94.21, 96.10, 89.44, 91.62, 90.54, 92.23,
    ]  # fmt: skip
    gaps = {row.name: set(COLUMNS) - set(row.figures) for row in PUBLISHED}
    assert gaps["MobileFaceNet"] == {"CALFW", "CPLFW", "CFP-FP", "IJB-B", "IJB-C"}
    assert gaps["EdgeFace-XS"] == {"MegaFace", "MegaFace(R)"}
    assert not gaps["VarGFaceNet"]


@pytest.mark.parametrize(
    ("name", "pairs", "column"),
    [
        ("lfw", 6000, "LFW"),
        ("lfw_pairs", 6000, "LFW"),
        ("CFP_FP", 7000, "CFP-FP"),
        ("cfp_fp", 6000, "cfp_fp"),
        ("agedb_30", 6000, "AgeDB-30"),
        ("lfw", 600, "lfw"),
        ("office", 6000, "office"),
    ],
)
def test_a_set_fills_the_papers_column_only_if_it_is_that_set(result, name, pairs, column):
    assert on(result, name, 0.99, pairs).paper_columns() == {column: 99.0}


def test_reports_of_one_network_share_a_row(result):
    results = [
        on(result, "calfw", 0.9512),
        on(result, "lfw", 0.99583),
        on(result, "lfw", 0.991, name="other|one", fingerprint="b", parameters=1_234_567),
        on(result, "office", 0.5),
    ]
    rows = rows_of(results, {"b": 12.5})
    assert rows == [
        TableRow("model", None, None, {"CALFW": 95.12, "LFW": 99.583, "office": 50.0}),
        TableRow("other|one", 1.234567, 12.5, {"LFW": 99.1}),
    ]
    assert markdown_table(rows) == (
        "| Model | Params (M) | MFLOPs | LFW | CALFW | office |\n"
        "|---|---|---|---|---|---|\n"
        "| model | - | - | 99.58 | 95.12 | 50.00 |\n"
        "| other\\|one | 1.23 | 12.50 | 99.10 | - | - |\n"
    )
    assert latex_table([TableRow("a_b & 50%", 1.0, None, {"LFW": 99.5})]) == (
        "\\begin{tabular}{lrrr}\n\\hline\n"
        "Model & Params (M) & MFLOPs & LFW \\\\\n\\hline\n"
        "a\\_b \\& 50\\% & 1.00 & - & 99.50 \\\\\n\\hline\n\\end{tabular}\n"
    )
    with pytest.raises(DataError, match=r"95\.12 and 90\.00 for CALFW"):
        rows_of([*results, on(result, "calfw", 0.9)], {})


def test_mflops_are_known_of_exactly_the_published_networks(result):
    model = result.model.model_copy(
        update={"architecture": "pocketnet_s_128", "parameters": 925_632}
    )
    assert known_mflops(model) == 587.11
    assert known_mflops(model.model_copy(update={"parameters": 925_633})) is None
    assert known_mflops(result.model) is None


def test_the_command_joins_report_folders(tmp_path, result):
    for name in ("one", "two"):
        benchmark = on(result, "lfw" if name == "one" else "calfw", 0.9)
        written = write_report(tmp_path / name, Measurement(benchmark, {}, []))
        assert (tmp_path / name / "table.md") in written
        assert (tmp_path / name / "table.tex") in written
    arguments = ["table", str(tmp_path / "one"), str(tmp_path / "two" / "report.json")]
    found = CliRunner().invoke(app, arguments, catch_exceptions=False).stdout.splitlines()
    assert found[0].startswith("| Model | Params (M) | MFLOPs | LFW | CALFW | CPLFW |")
    assert found[2].startswith("| model | - | - | 90.00 | 90.00 | - |")
    assert found[3].startswith("| PocketNetS-128 | 0.92 | 587.11 | 99.58 |")
    assert len(found) == 2 + 1 + 11
    options = ["--latex", "--no-published"]
    found = CliRunner().invoke(app, [*arguments, *options], catch_exceptions=False).stdout
    assert found.startswith("\\begin{tabular}{lrrrr}")
    assert "PocketNet" not in found


def test_what_is_no_report_is_named(tmp_path, result):
    path = write_report(tmp_path / "one", Measurement(result, {}, []))[0].parent / "report.json"
    assert read_any_report(path) == result
    content = json.loads(path.read_text())
    for wrong in ({"kind": "other"}, [], content | {"kind": "pairs", "format": 3}):
        path.write_text(json.dumps(wrong))
        with pytest.raises(DataError, match=r"report\.json is not a report"):
            read_any_report(path)
    shutil.rmtree(tmp_path / "one")
    with pytest.raises(DataError, match="is not a report"):
        read_any_report(path)
