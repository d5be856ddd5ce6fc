"""The `pocketface` command: a table from names to functions, and the printing of errors."""

import sys

import typer
from rich.console import Console
from rich.markup import escape

from pocketface.cli import (
    align,
    calibrate,
    compare,
    data,
    demo,
    detector,
    embed,
    enroll,
    evaluate,
    export,
    gallery,
    identify,
    models,
    profile,
    search,
    serve,
    table,
    train,
    verify,
)
from pocketface.errors import PocketFaceError, StoppedError

app = typer.Typer(
    name="pocketface",
    help="Face-recognition networks of about one million parameters.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("demo")(demo.demo)
app.command("models")(models.models)
app.command("train")(train.train)
app.command("distill")(train.distill)
app.command("search")(search.search)
app.command("compare")(compare.compare)
app.command("evaluate")(evaluate.evaluate)
app.command("table")(table.table)
app.command("align")(align.align)
app.command("embed")(embed.embed)
app.command("calibrate")(calibrate.calibrate)
app.command("verify")(verify.verify)
app.command("enroll")(enroll.enroll)
app.command("identify")(identify.identify)
app.command("serve")(serve.serve)
app.command("export")(export.export)
app.command("profile")(profile.profile)
app.add_typer(data.app, name="data")
app.add_typer(detector.app, name="detector")
app.add_typer(gallery.app, name="gallery")


def main() -> None:
    """Run the command line; a user's mistake prints one message and ends with exit code 2."""
    try:
        app()
    except StoppedError as stopped:
        Console(stderr=True).print(str(stopped), highlight=False, markup=False)
        sys.exit(130)
    except PocketFaceError as error:
        Console(stderr=True).print(f"[bold red]error:[/] {escape(str(error))}", highlight=False)
        sys.exit(2)
    except KeyboardInterrupt:
        Console(stderr=True).print("stopped by Ctrl-C")
        sys.exit(130)
