"""The canvas of visible skin, and how the painters of eyes, brows, mouth and beard work on it."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from pocketface.synthetic.appearance import Appearance


@dataclass
class Canvas:
    """Visible points of the heads of a batch, one column for each fragment.

    `image` int32 (P,): which picture; the rest is float32. `place` holds (P,) each: `x`, `y`, `z`,
    the place on the unsculpted template in mm, y being the height at which the point's loop crosses
    the middle of the face, so that features follow the mesh wherever identity and expression bend
    it; `slit`: 0 above the mouth, 1 below, between in it; `beard`, `shadow`, `scalp`: how densely
    hair grows (full beard, shaven, on the head). `colour` holds `albedo` (3, P), the share of light
    sent back, `diffuse` (3, P), the light that arrives, `glint` (1, P), the light mirrored. `soft`:
    mm per pixel.
    """

    image: Tensor
    place: dict[str, Tensor]
    colour: dict[str, Tensor]
    soft: float

    def edge(self, inside: Tensor) -> Tensor:
        """Coverage of a shape from the distance inside its outline in mm: 0 to 1 over one pixel."""
        return (inside * (1 / self.soft) + 0.5).clamp_(0, 1)

    def seen(self) -> Tensor:
        """The light that leaves towards the viewer, linear, (3, P)."""
        return self.colour["albedo"] * self.colour["diffuse"] + self.colour["glint"]


@dataclass(frozen=True)
class Painter:
    """One step of painting: `where` it may change the canvas (bool (P,)), and how.

    `paint` sees only those fragments, with the columns named in `places` and `colours`; without a
    `where` it sees them all.
    """

    where: Callable[[Canvas, Appearance], Tensor] | None
    paint: Callable[[Canvas, Appearance], None]
    places: tuple[str, ...]
    colours: tuple[str, ...]

    def __call__(self, canvas: Canvas, look: Appearance) -> None:
        """Paint, and put the colours back on the canvas."""
        if self.where is None:
            self.paint(canvas, look)
            return
        chosen = self.where(canvas, look).nonzero().squeeze(1)
        part = Canvas(
            canvas.image.index_select(0, chosen),
            {name: canvas.place[name].index_select(0, chosen) for name in self.places},
            {name: canvas.colour[name].index_select(1, chosen) for name in self.colours},
            canvas.soft,
        )
        self.paint(part, look)
        for name in self.colours:
            canvas.colour[name].index_copy_(1, chosen, part.colour[name])


def blend(under: Tensor, over: Tensor, cover: Tensor) -> Tensor:
    """Lay a colour `over` (3, P) or (3, 1) on `under` (3, P) with coverage `cover` (P,)."""
    return ((over - under) * cover).add_(under)


def bump(d: Tensor) -> Tensor:
    """A smooth hill of height 1 at 0 that ends at |d| = 1: (1 - d^2)^2."""
    rest = (1 - d * d).clamp_(min=0)
    return rest * rest
