"""What is enrolled, and under which name: one person's face, and nobody else's."""

import numpy as np
import numpy.typing as npt

from pocketface.errors import GalleryError
from pocketface.gallery.gallery import Gallery, person_name
from pocketface.service.answers import Candidate, Limit
from pocketface.service.looking import Looked
from pocketface.service.refusal import RefusedError, refusal_of


def name_of(text: str) -> str:
    """A person's name. Raises RefusedError (422) as `person_name`, and for no part of a path."""
    try:
        name = person_name(text)
    except GalleryError as error:
        raise refusal_of(error, 422, "1 to 200 characters that can be printed.") from error
    if name in (".", ".."):  # clients take these out of an address before they send it
        raise RefusedError(
            422, f"The name is {name!r}.", "Any other name.", "Write the name out, or add a word."
        )
    return name


def enrollable(looked: Looked, *, largest: bool) -> tuple[int, str]:
    """The place of the face to enrol, and why that one.

    Raises RefusedError (422) where there is none, there are several and not the `largest` is asked
    for, or it is below the limits.
    """
    place, why = looked.chosen()
    photo = looked.photo
    if len(looked.faces) > 1 and not largest:
        raise RefusedError(
            422,
            f"{photo.name}: {len(photo.faces)} faces.",
            "One face, since another person's would be enrolled under this name.",
            "Cut the photograph to one face, or ask for the largest of them (largest=true).",
        )
    faults = looked.faces[place].faults
    if faults:
        raise RefusedError(
            422,
            f"{photo.name}: {'; '.join(faults)}.",
            "A face within the limits that the service was started with (--min-quality).",
            "Take a better photograph.",
        )
    return place, why


def resembling(
    gallery: Gallery, person: str, embeddings: npt.NDArray[np.floating], limit: Limit | None
) -> list[Candidate]:
    """Other people whom these faces would be taken for, each with the highest similarity.

    One person under two names is looked for so; nobody is found where no limit is known.
    """
    if limit is None:
        return []
    best: dict[str, float] = {}
    for matches in gallery.search(embeddings, 3):
        for match in matches:
            if match.person != person and match.similarity >= limit.similarity:
                best[match.person] = max(match.similarity, best.get(match.person, -1.0))
    order = sorted(best.items(), key=lambda item: (-item[1], item[0]))
    return [Candidate(person=name, similarity=similarity) for name, similarity in order]
