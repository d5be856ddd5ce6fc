"""`pocketface align`: a folder of photographs to a folder of aligned faces."""

from pathlib import Path
from typing import Annotated

import typer

from pocketface.cli.detector import DetectorOption

_NAMED = 10
"""How many photographs of a kind are named on the screen; align.txt names all."""


def align(
    folder: Annotated[
        Path, typer.Argument(help="A folder of photographs, best with a folder per person in it.")
    ],
    out: Annotated[
        Path, typer.Argument(help="The folder for the aligned faces, to make or go on.")
    ],
    detector: DetectorOption = None,
    min_quality: Annotated[
        str,
        typer.Option(
            "--min-quality",
            help="off, loose, normal, strict, or limits such as turn=45,eyes=30.",
        ),
    ] = "off",
    min_score: Annotated[
        float, typer.Option("--min-score", help="The lowest score of a face that counts.")
    ] = 0.6,
    working_size: Annotated[
        int,
        typer.Option("--working-size", help="Longer side at which faces are looked for, pixels."),
    ] = 640,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, help="Processes; one for each core if left out."),
    ] = None,
) -> None:
    """Find the face of each photograph and write it aligned, 112x112, in the same layout.

    Of several faces the largest is taken. OUT gets align.json and align.txt: what was not found,
    which face was taken and why, and what fell under --min-quality.

    A stopped run goes on.
    """
    import os
    from functools import partial

    from pocketface.cli.progress import images_progress
    from pocketface.detect.align_folder import Settings, align_folder
    from pocketface.detect.align_report import TEXT_NAME, summary_lines, write_report
    from pocketface.detect.detector_file import find_detector
    from pocketface.detect.quality import parse_limits
    from pocketface.detect.yunet import YuNet
    from pocketface.errors import DataError

    limits = parse_limits(min_quality)
    path = find_detector(detector)
    make = partial(YuNet, path, min_score=min_score, working_size=working_size)
    # Opened here once, so that a wrong file is told before any process starts.
    settings = Settings(make, (make().fingerprint, min_score, working_size), limits)
    with images_progress("Aligning") as progress:
        run = align_folder(
            folder, out, settings, workers=workers or os.cpu_count() or 1, progress=progress
        )
    try:
        write_report(run, out)
    except OSError as error:
        raise DataError(f"{out}: the report cannot be written: {error.strerror}.") from error
    typer.echo("\n".join(summary_lines(run, _NAMED)))
    typer.echo(f"the whole report: {out / TEXT_NAME}")
