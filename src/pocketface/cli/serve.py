"""`pocketface serve`: verification, identification and enrolment over HTTP, with a page."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pocketface.cli.detector import DetectorOption
from pocketface.cli.foreign import (
    ArchitectureOption,
    MeanOption,
    OrderOption,
    SizeOption,
    StdOption,
)
from pocketface.cli.photographs import QualityOption, WeightsOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pocketface.detect.recognise import Recogniser
    from pocketface.embedding import Embedder

_LISTEN = "Where it listens"
_BOUNDS = "What one request may ask"


def serve(
    weights: WeightsOption,
    gallery: Annotated[
        str | None,
        typer.Option(
            "--gallery",
            "-g",
            envvar="POCKETFACE_GALLERY",
            help="The gallery's file, or one in Milvus, made where it is missing; without one "
            "nobody is enrolled.",
            show_envvar=True,
            metavar="PATH",
        ),
    ] = None,
    detector: DetectorOption = None,
    far: Annotated[
        float, typer.Option("--far", help="False accept rate of the card's threshold to use.")
    ] = 1e-3,
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", help="A similarity of your own, instead of the card's."),
    ] = None,
    min_quality: QualityOption = "off",
    host: Annotated[
        str, typer.Option("--host", help="Address to listen at.", rich_help_panel=_LISTEN)
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", help="0 takes any free one.", rich_help_panel=_LISTEN)
    ] = 8008,
    token: Annotated[
        str | None,
        typer.Option(
            "--token",
            envvar="POCKETFACE_TOKEN",
            show_envvar=True,
            help="What requests must carry; required beyond loopback.",
            rich_help_panel=_LISTEN,
        ),
    ] = None,
    open_page: Annotated[
        bool, typer.Option("--open", help="Open the page in a browser.", rich_help_panel=_LISTEN)
    ] = False,
    threads: Annotated[
        int | None,
        typer.Option(
            "--threads",
            help="Requests worked on at once, a thread each.",
            show_default="all cores",
            rich_help_panel=_BOUNDS,
        ),
    ] = None,
    waiting: Annotated[
        int,
        typer.Option(
            "--waiting", help="Requests that may wait; the next get 503.", rich_help_panel=_BOUNDS
        ),
    ] = 16,
    max_body_mb: Annotated[
        float, typer.Option("--max-body-mb", help="Megabytes.", rich_help_panel=_BOUNDS)
    ] = 20,
    max_pixels: Annotated[
        int,
        typer.Option("--max-pixels", help="Pixels of a photograph.", rich_help_panel=_BOUNDS),
    ] = 50_000_000,
    seconds: Annotated[
        float,
        typer.Option(
            "--seconds", help="For the body to come, and for the answer.", rich_help_panel=_BOUNDS
        ),
    ] = 30,
    size: SizeOption = None,
    order: OrderOption = None,
    mean: MeanOption = None,
    std: StdOption = None,
    architecture: ArchitectureOption = None,
) -> None:
    """Compare, identify and enrol faces over HTTP, and on a page for a browser.

    It listens on this machine alone. For any other --host a token is required; the connection is
    not encrypted, so put a server that speaks TLS in front of it. No photograph is kept.
    """
    from pocketface.errors import MissingExtraError

    try:
        import fastapi  # noqa: F401 - said before anything is loaded
        import python_multipart  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("The service", "serve") from error

    from pocketface.cli.foreign import load_weights
    from pocketface.gallery.opening import begin_gallery
    from pocketface.service.address import address_of, listen
    from pocketface.service.app import create_app
    from pocketface.service.bounds import Bounds
    from pocketface.service.decision import decision_for
    from pocketface.service.engine import Engine
    from pocketface.service.server import serve as serve_until_stopped

    bounds = Bounds(
        threads=threads if threads is not None else os.cpu_count() or 1,
        waiting=waiting,
        body_bytes=round(max_body_mb * 1e6),
        pixels=max_pixels,
        seconds=seconds,
    )
    listener = listen(host, port, token)
    try:
        embedders = [
            load_weights(
                weights,
                size=size,
                order=order,
                mean=mean,
                std=std,
                architecture=architecture,
                threads=1,
            )
            for _ in range(bounds.threads)
        ]
        people = None if gallery is None else begin_gallery(gallery, embedders[0], weights.name)
        flip = None if people is None else people.maker.flip
        decision = decision_for(embedders[0].card, far, threshold, flip)
        recognisers = _recognisers(embedders, decision.flip, detector, min_quality)
        engine = Engine(recognisers, decision, bounds, model=weights.name, gallery=people)
        app = create_app(engine, token)
        address = address_of(listener)
        limit = decision.limit
        typer.echo(f"PocketFace serves {weights.name} at {address}")
        if limit is None:
            typer.echo(
                "No threshold is known for it, so similarities are told and nothing is decided. "
                "Give --threshold, or measure one: pocketface calibrate --help"
            )
        else:
            typer.echo(f"One person from a similarity of {limit.similarity:.4f} on.")
        if people is None:
            typer.echo("Without --gallery nobody can be enrolled or identified.")
        else:
            stats = people.stats()
            typer.echo(f"{gallery}: {stats.people:,} people, {stats.templates:,} templates.")
        if token is not None:
            typer.echo("Every request needs the header: Authorization: Bearer TOKEN")
        typer.echo("Open the address in a browser; /openapi.json describes it for programs.")
        typer.echo("Ctrl-C ends it.")
        if open_page:
            import webbrowser

            webbrowser.open(address)
        serve_until_stopped(app, listener)
        typer.echo("Ended.")
    finally:
        listener.close()


def _recognisers(
    embedders: "Sequence[Embedder]", flip: bool, detector: Path | None, min_quality: str
) -> "list[Recogniser]":
    """One for each embedder, with a detector of its own that is there before the first request."""
    from pocketface.detect.detector_file import find_detector
    from pocketface.detect.quality import parse_limits
    from pocketface.detect.recognise import Recogniser
    from pocketface.detect.yunet import YuNet, import_opencv

    # A thread for each request: OpenCV's own would only take turns with those of the others.
    import_opencv().setNumThreads(1)
    limits, path = parse_limits(min_quality), find_detector(detector)

    def recogniser(embedder: "Embedder") -> Recogniser:
        yunet = YuNet(path)
        return Recogniser(embedder, lambda: yunet, flip=flip, limits=limits)

    return [recogniser(embedder) for embedder in embedders]
