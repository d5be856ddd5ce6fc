"""What schemathesis sends where the service's description says a file: pictures, whole and harmed.

Read by the `schemathesis` command (SCHEMATHESIS_HOOKS); it is no test itself. Real photographs are
among them where the real data is.
"""

import os
from pathlib import Path

import schemathesis
from hypothesis import strategies as st
from service_made import encoded, photo, pixels_of

DATA = Path(os.environ.get("POCKETFACE_DATA", Path(__file__).parents[3] / "shared" / "data"))
REAL = sorted((DATA / "photos").glob("*/*.jpg"), key=lambda path: path.stat().st_size)[:4]

WHOLE = [
    *(path.read_bytes() for path in REAL),
    *(photo(person, faces=faces) for person in (1, 2, 3) for faces in (0, 1, 2)),
    *(encoded(pixels_of(1), kind) for kind in ("JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM")),
    encoded(pixels_of(1)[10:122, 10:122]),
]


@st.composite
def harmed(draw: st.DrawFn) -> bytes:
    """A picture with a part overwritten, cut out, or its end missing."""
    data = draw(st.sampled_from(WHOLE))
    start = draw(st.integers(0, 400) | st.integers(0, len(data)))
    end = draw(st.integers(start, start + 40) | st.just(len(data)))
    return data[:start] + draw(st.binary(max_size=40)) + data[end:]


schemathesis.openapi.format("binary", st.sampled_from(WHOLE) | harmed() | st.binary(max_size=200))
