"""The canvas of visible skin that the painters of eyes, brows, mouth and beard work on."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from pocketface.synthetic.appearance import Appearance


@dataclass
class Canvas:
    """Visible points of the heads of a batch, float32, one column for each fragment.

    `image` int64 (P,): which picture; `x`, `y`, `z` (P,): place on the unsculpted template in mm, y being the
    height at which the point's loop crosses the middle of the face, so that features follow the
    mesh wherever identity and expression bend it; `slit` (P,): 0 above the mouth, 1 below, between in
    it; `beard`, `shadow`, `scalp` (P,): how densely hair grows (full beard, shaven, on the head); `albedo`, `diffuse`, `glint` (3, P): the share of
    light sent back, the light that arrives, the light mirrored; `soft`: mm per pixel.
    """

    image: Tensor
    x: Tensor
    y: Tensor
    z: Tensor
    slit: Tensor
    beard: Tensor
    shadow: Tensor
    scalp: Tensor
    albedo: Tensor
    diffuse: Tensor
    glint: Tensor
    soft: float

    def edge(self, inside: Tensor) -> Tensor:
        """Coverage of a shape from the distance inside its outline in mm: 0 to 1 over one pixel."""
        return (inside * (1 / self.soft) + 0.5).clamp(0, 1)

    def colour(self) -> Tensor:
        """The light that leaves towards the viewer, linear, (3, P)."""
        return self.albedo * self.diffuse + self.glint


def paint_within(canvas: Canvas, where: Tensor, painter: Callable[[Canvas, Appearance], None], look: Appearance) -> None:
    """Run `painter` on the fragments where the bool (P,) `where` holds, and put its colours back."""
    chosen = where.nonzero().squeeze(1)
    columns = {
        name: getattr(canvas, name).index_select(0, chosen)
        for name in ("image", "x", "y", "z", "slit", "beard", "shadow", "scalp")
    }
    colours = {
        name: getattr(canvas, name).index_select(1, chosen) for name in ("albedo", "diffuse", "glint")
    }
    part = Canvas(**columns, **colours, soft=canvas.soft)
    painter(part, look)
    for name in colours:
        getattr(canvas, name).index_copy_(1, chosen, getattr(part, name))


def blend(under: Tensor, over: Tensor, cover: Tensor) -> Tensor:
    """Lay a colour `over` (3, P) or (3, 1) on `under` (3, P) with coverage `cover` (P,)."""
    return under + (over - under) * cover


def bump(d: Tensor) -> Tensor:
    """A smooth hill of height 1 at 0 that ends at |d| = 1: (1 - d^2)^2."""
    rest = (1 - d * d).clamp(min=0)
    return rest * rest
