"""`pocketface gallery copy`: a gallery into another, of one file or in Milvus."""

from typing import Annotated, Literal

import typer

from pocketface.cli.photographs import GalleryOption


def copy(
    gallery: GalleryOption,
    to: Annotated[
        str,
        typer.Option("--to", help="A file, milvus:people.db or http://host:19530; made if new."),
    ],
    index: Annotated[
        Literal["FLAT", "HNSW", "IVF_FLAT"] | None,
        typer.Option(
            "--index",
            help="How a new gallery in Milvus is searched; FLAT is exact, the others are quicker "
            "and miss some: see gallery check.",
            show_default="FLAT",
        ),
    ] = None,
) -> None:
    """Add all templates of a gallery to another; what is there is passed over.

    A stopped copy to Milvus goes on when it is begun again. Aligned faces are not copied. The
    token for a server comes from POCKETFACE_MILVUS_TOKEN.
    """
    from pocketface.cli.progress import images_progress
    from pocketface.errors import RecipeError, StoppedError
    from pocketface.gallery.transfer import copy_gallery
    from pocketface.gallery.where import gallery_at

    if to == gallery:
        raise RecipeError(f"--to is the gallery itself, {to}. Name another.")
    try:
        with (
            gallery_at(gallery) as source,
            gallery_at(to, source.maker, index=index) as target,
            images_progress("Copying") as progress,
        ):
            added = copy_gallery(source, target, progress)
            stats = target.stats()
    except KeyboardInterrupt:
        raise StoppedError("Stopped. Run the same command to go on.") from None
    typer.echo(
        f"{added:,} templates added. {to}: {stats.people:,} people, {stats.templates:,} templates."
    )
