"""`pocketface gallery`: who is in a gallery, and its care."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pocketface.cli.foreign import (
    ArchitectureOption,
    MeanOption,
    OrderOption,
    SizeOption,
    StdOption,
    ThreadsOption,
)
from pocketface.cli.gallery_copy import copy
from pocketface.cli.photographs import GalleryOption, WeightsOption

app = typer.Typer(help="List, remove, export, check, copy, re-enrol people.", no_args_is_help=True)
app.command("copy")(copy)

JsonOption = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]

WRONG = 1
"""Exit code of `check` where something is wrong."""


@app.command("list")
def list_people(gallery: GalleryOption, as_json: JsonOption = False) -> None:
    """Name everybody, with the number of their templates."""
    import json

    from pocketface.gallery.where import gallery_at

    with gallery_at(gallery) as opened:
        people = opened.people()
    if as_json:
        typer.echo(json.dumps([{"name": who.name, "templates": who.templates} for who in people]))
        return
    width = max((len(who.name) for who in people), default=0)
    for who in people:
        typer.echo(f"{who.name:{width}}  {who.templates:,}")
    if not people:
        typer.echo(f"{gallery}: nobody is enrolled")


@app.command("remove")
def remove(
    names: Annotated[list[str], typer.Argument(help="Who is to be removed.")],
    gallery: GalleryOption,
) -> None:
    """Remove people with all their templates and kept faces; the numbers are overwritten."""
    from pocketface.gallery.where import gallery_at

    with gallery_at(gallery) as opened:
        for name in names:
            count = opened.remove(name)
            typer.echo(f"removed {name}: {count:,} template{'' if count == 1 else 's'}")


@app.command("export")
def export(
    gallery: GalleryOption,
    out: Annotated[Path, typer.Option("--out", "-o", help="The .npz file to write.")] = Path(
        "gallery.npz"
    ),
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file if it is there already.")
    ] = False,
) -> None:
    """Write all embeddings with names into a NumPy archive, as `embed` does; no picture."""
    from pocketface.errors import RecipeError
    from pocketface.gallery.export import export_archive
    from pocketface.gallery.where import gallery_at

    if out.suffix != ".npz":
        raise RecipeError(f"--out must end in .npz, got {out}.")
    if out.exists() and not overwrite:
        raise RecipeError(f"{out} is there already. Choose another --out, or add --overwrite.")
    with gallery_at(gallery) as opened:
        count = export_archive(opened, out)
    typer.echo(
        f"{count:,} templates: {out}\nRead them with numpy.load('{out}'): embeddings, names, "
        "labels, people, about."
    )


@app.command("check")
def check(
    gallery: GalleryOption,
    faces: Annotated[
        int,
        typer.Option("--faces", min=1, help="In Milvus: of so many faces the recall is measured."),
    ] = 100,
    as_json: JsonOption = False,
) -> None:
    """Look for damage: the file, every vector, photographs under two names, the search's block.

    In Milvus every template is read, and it is measured how many of the most similar people are
    found (recall).

    Exit code 0: all is well; 1: something is wrong; 2: an error.
    """
    import json

    from pocketface.gallery.milvus_address import is_milvus

    found, more = _audit_in_milvus(gallery, faces) if is_milvus(gallery) else _audit_file(gallery)
    if as_json:
        typer.echo(json.dumps({"gallery": gallery, "found": found, **more}))
    else:
        typer.echo("\n".join(found) if found else f"{gallery}: all is well")
        if more:
            at = ", ".join(f"recall@{k} {value:.4f}" for k, value in more["recall"].items())
            typer.echo(f"Index {more['index']}: {at}, of {more['faces']:,} faces.")
    if found:
        raise typer.Exit(WRONG)


def _audit_file(gallery: str) -> tuple[list[str], dict[str, Any]]:
    from pocketface.gallery.audit import audit

    return audit(Path(gallery)), {}


def _audit_in_milvus(gallery: str, faces: int) -> tuple[list[str], dict[str, Any]]:
    """What is wrong, and the index with its recall, where anybody is enrolled."""
    import numpy as np

    from pocketface.gallery.milvus_audit import audit_milvus
    from pocketface.gallery.milvus_gallery import MilvusGallery
    from pocketface.gallery.recall import measure_recall
    from pocketface.gallery.where import gallery_at

    with gallery_at(gallery) as opened:
        assert isinstance(opened, MilvusGallery)
        found = audit_milvus(opened)
        if not opened.people():
            return found, {}
        recall = measure_recall(opened, faces, np.random.default_rng(0))
        return found, {"index": opened.index.kind, "faces": recall.faces, "recall": recall.at}


@app.command("stats")
def stats(gallery: GalleryOption, as_json: JsonOption = False) -> None:
    """Say how large the gallery is, and which network made it."""
    import json

    from pocketface.gallery.where import gallery_at

    with gallery_at(gallery) as opened:
        size, maker, crops = opened.stats(), opened.maker, opened.keeps_crops
    answer = {
        "people": size.people,
        "templates": size.templates,
        "keeps_crops": crops,
        "crops": size.crops,
        "bytes": size.bytes,
        "model": maker.name,
        "fingerprint": maker.fingerprint,
        "embedding_size": maker.embedding_size,
        "flip": maker.flip,
        "preprocessing": maker.preprocessing.model_dump(mode="json"),
    }
    if as_json:
        typer.echo(json.dumps(answer))
        return
    kept = f"{size.crops:,} kept" if crops else "not kept"
    typer.echo(
        f"people         {size.people:,}\n"
        f"templates      {size.templates:,}\n"
        f"aligned faces  {kept}\n"
        f"on disk        {size.bytes / 1e6:,.1f} MB\n"
        f"made with      {maker.describe()}"
    )


@app.command("re-enroll")
def re_enroll(
    gallery: GalleryOption,
    weights: WeightsOption,
    flip: Annotated[
        bool | None,
        typer.Option(
            "--flip/--no-flip",
            help="Sum the embeddings of image and mirror.",
            show_default="as the card's thresholds",
        ),
    ] = None,
    threads: ThreadsOption = None,
    size: SizeOption = None,
    order: OrderOption = None,
    mean: MeanOption = None,
    std: StdOption = None,
    architecture: ArchitectureOption = None,
) -> None:
    """Embed all kept faces with another network, which the gallery belongs to then.

    It needs a gallery made with --keep-crops. A stopped run goes on; until the end the gallery
    stays what it was.
    """
    from pocketface.cli.foreign import load_weights
    from pocketface.cli.progress import images_progress
    from pocketface.errors import RecipeError, StoppedError
    from pocketface.gallery.milvus_address import is_milvus
    from pocketface.gallery.opening import usual_flip
    from pocketface.gallery.re_enrol import re_enrol

    if is_milvus(gallery):
        raise RecipeError(
            f"{gallery} keeps no aligned faces to embed anew. Re-enrol the gallery of one file "
            "that it was copied from, and copy that into another collection."
        )

    embedder = load_weights(
        weights,
        size=size,
        order=order,
        mean=mean,
        std=std,
        architecture=architecture,
        threads=threads,
    )
    summed = usual_flip(embedder.card) if flip is None else flip
    try:
        with images_progress("Embedding") as progress:
            count = re_enrol(Path(gallery), embedder, weights.name, flip=summed, progress=progress)
    except KeyboardInterrupt:
        raise StoppedError(
            f"Stopped; {gallery} is what it was. Run the same command to go on."
        ) from None
    typer.echo(f"{count:,} templates of {gallery} are made with {weights.name} now.")
