"""The canvas of visible skin, and how the painters of eyes, brows, mouth and beard work on it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pocketface.synthetic.appearance import Appearance
from pocketface.synthetic.rasterise import Fragments


@dataclass
class Canvas:
    """Visible points of the heads of a batch, one column for each fragment.

    `image` int32 (P,): which picture; the rest is float32. `place` holds (P,) each: `x`, `y`, `z`,
    the place on the unsculpted template in mm, y being the height at which the point's loop crosses
    the middle of the face, so that features follow the mesh wherever identity and expression bend
    it; for the painters that ask for them `slit`: 0 above the mouth, 1 below, between in it; and
    `beard`, `shadow`, `scalp`: how densely hair grows (full beard, shaven, on the head). `colour`
    holds `albedo` (3, P), the share of light sent back, `diffuse` (3, P), the light that arrives,
    `glint` (1, P), the light mirrored. `soft`: mm per pixel. `fragments` and `vertices`: where
    places that only a few fragments need are interpolated from, (N, V) each.
    """

    image: Tensor
    place: dict[str, Tensor]
    colour: dict[str, Tensor]
    soft: float
    fragments: Fragments
    vertices: dict[str, Tensor]

    def edge(self, inside: Tensor) -> Tensor:
        """Coverage of a shape from the distance inside its outline in mm: 0 to 1 over one pixel."""
        return (inside * (1 / self.soft) + 0.5).clamp_(0, 1)

    def part(self, chosen: Tensor, places: Sequence[str], colours: Sequence[str]) -> "Canvas":
        """A canvas of the fragments number `chosen` int64 (p,) with these columns."""
        place = {
            name: self.place[name].index_select(0, chosen) for name in places if name in self.place
        }
        wanted = [name for name in places if name not in self.place]
        if wanted:
            table = torch.stack([self.vertices[name] for name in wanted])
            found = self.fragments.subset(chosen).interpolate(table)
            place |= dict(zip(wanted, found, strict=True))
        colour = {name: self.colour[name].index_select(1, chosen) for name in colours}
        image = self.image.index_select(0, chosen)
        return Canvas(image, place, colour, self.soft, self.fragments, self.vertices)

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
        part = canvas.part(chosen, self.places, self.colours)
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
