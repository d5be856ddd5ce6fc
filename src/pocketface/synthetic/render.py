"""People and moments to pictures: the one way through all the parts."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pocketface.errors import DataError
from pocketface.synthetic import beard, brows, degrade, eyes, glasses, hair, lighting, mouth, skin
from pocketface.synthetic.appearance import Appearance, describe
from pocketface.synthetic.backdrop import backdrop
from pocketface.synthetic.head import template_head
from pocketface.synthetic.identity import Identity
from pocketface.synthetic.nuisance import Nuisance
from pocketface.synthetic.paint import Canvas, paint_within
from pocketface.synthetic.pose import Posed, bend, place
from pocketface.synthetic.rasterise import SUBPIXEL, Fragments, rasterise
from pocketface.synthetic.surface import head_normals, light_field, shadow

HEAD, HAIR_FRONT, HAIR_BACK, GLASSES = range(4)
LAYERS = 4
_NEAR, _FAR = -260.0, 340.0


@dataclass(frozen=True)
class Rendered:
    """A batch of pictures and what is known about them.

    `images` uint8 (N, H, W, 3) RGB, as decoded from `files`, the JPEG files (N); `landmarks`
    float32 (N, 5, 2): left eye, right eye, nose, mouth corners (left is the viewer's), x and y in pixels
    from the image's corner; `pose` float32 (N, 3): yaw, pitch, roll in degrees; `skin` bool (N, H, W):
    where the head itself is seen, whatever lies before it.
    """

    images: NDArray[np.uint8]
    files: list[bytes]
    landmarks: NDArray[np.float32]
    pose: NDArray[np.float32]
    skin: NDArray[np.bool_]


def render(
    identities: Sequence[Identity],
    nuisances: Sequence[Nuisance],
    size: int = 112,
    *,
    aligned: bool = True,
    device: str | torch.device = "cpu",
) -> Rendered:
    """Picture each person under the nuisance of the same position.

    `size`: height and width, a multiple of 16; `aligned`: crop by the five landmarks to the
    112-pixel template, else a loose crop of the whole head. The bytes do not depend on how pictures are
    batched. Raises DataError for another size or lists of different lengths.
    """
    if size < 16 or size % 16:
        raise DataError(f"size must be a multiple of 16, got {size}; 112 is the usual one.")
    if len(identities) != len(nuisances) or not identities:
        raise DataError(
            f"render needs one nuisance for each identity, got {len(identities)} identities and "
            f"{len(nuisances)} nuisances."
        )
    where = torch.device(device)
    with torch.inference_mode():
        look = describe(identities, nuisances, where)
        posed = place(bend(identities, nuisances, where), nuisances, size, aligned=aligned)
        soft = (200.0 if aligned else 330.0) / size
        linear, covered = _picture(look, posed, nuisances, size, soft)
        shown = degrade.soften(degrade.develop(linear, nuisances), nuisances)
        pixels = degrade.to_bytes(degrade.add_noise(shown, nuisances)).cpu().numpy()
    files = degrade.compress(list(pixels), nuisances)
    return Rendered(
        images=degrade.decompress(files),
        files=files,
        landmarks=posed.landmarks.transpose(1, 2).cpu().numpy().astype(np.float32),
        pose=np.array([[n.yaw, n.pitch, n.roll] for n in nuisances], dtype=np.float32),
        skin=covered.cpu().numpy(),
    )


def _picture(
    look: Appearance, posed: Posed, nuisances: Sequence[Nuisance], size: int, soft: float
) -> tuple[Tensor, Tensor]:
    """Linear colour float32 (N, 3, H, W) and where the head is seen, bool (N, H, W)."""
    device = posed.shape.device
    count = len(nuisances)
    places = skin.skin_places(device)
    lamps = lighting.lamp_directions(nuisances, posed.projection.rotation)
    head_lit = lighting.light(
        head_normals(posed.camera.float()), shadow(lamps, device), _openness(device), look, skin=True
    )
    shell = hair.shell(posed.shape, look)
    shell_camera = posed.projection.turn(shell.points)
    one = torch.ones(1, device=device)
    shell_lit = lighting.light(
        hair.shell_normals(shell_camera), one.expand(1, 3, 1), 0.8 * one, look, skin=False
    )
    strip_camera = posed.projection.turn(glasses.strip(posed.shape))
    strip_lit = lighting.light(
        glasses.strip_normals(strip_camera), one.expand(1, 3, 1), one, look, skin=False
    )
    cameras = torch.cat([posed.camera, shell_camera, strip_camera], dim=2)
    pixel = torch.cat(
        [posed.pixel, posed.projection.to_pixels(shell_camera), posed.projection.to_pixels(strip_camera)], dim=2
    )
    triangles, layer, facing = _scene(device)
    fragments = rasterise(
        torch.round(pixel * SUBPIXEL).to(torch.int32),
        ((_FAR - cameras[:, 2]) * (1 / (_FAR - _NEAR))).float(),
        triangles,
        layer,
        facing,
        LAYERS,
        size,
    )
    area = size * size
    parts = _split(fragments, area)
    canvas = backdrop(nuisances, size, device).permute(1, 0, 2, 3).reshape(3, count * area)
    depth = torch.full((count * area,), 2.0, device=device)
    head_pixels, head_fragments = parts[HEAD]
    depth.index_copy_(0, head_pixels, head_fragments.depth)

    vertices = posed.shape.shape[2]
    shell_count = shell.points.shape[2]
    shell_table = torch.stack([*shell_lit.diffuse, *shell_lit.glint, shell.inside, shell.along, shell.around])
    path, height = glasses.strip_places(device)
    strip_table = torch.stack(
        [*strip_lit.diffuse, *strip_lit.glint, path.expand(count, -1), height.expand(count, -1)]
    )
    _lay_hair(canvas, depth, parts[HAIR_BACK], shell_table, vertices, look, soft, area, 0.45)
    colour = _paint_head(look, places, head_lit, head_fragments, head_pixels, soft, area)
    canvas.index_copy_(1, head_pixels, colour)
    _lay_glasses(canvas, depth, parts[GLASSES], strip_table, vertices + shell_count, look, soft, area)
    _lay_hair(canvas, depth, parts[HAIR_FRONT], shell_table, vertices, look, soft, area, 1.0)
    picture = canvas.view(3, count, size, size).permute(1, 0, 2, 3).contiguous()
    return picture, (depth < 2.0).view(count, size, size)


def _paint_head(
    look: Appearance,
    places: skin.SkinPlaces,
    lit: lighting.Lit,
    fragments: Fragments,
    pixels: Tensor,
    soft: float,
    area: int,
) -> Tensor:
    """The colour of every visible point of the heads, linear, (3, P)."""
    full, shaven = skin.beard_growth(look, places)
    albedo = skin.skin_colour(look, places)
    rows = [
        *albedo,
        *lit.diffuse,
        *(lit.glint * (look["shine"] * places.oily)),
        *(v.expand_as(full) for v in (places.x, places.y, places.z, places.slit)),
        *(full, shaven, hair.scalp(look, places)),
    ]
    values = _interpolate_from(fragments, torch.stack(rows), 0)
    image = torch.div(pixels, area, rounding_mode="floor")
    canvas = Canvas(
        image, *values[9:16], albedo=values[0:3], diffuse=values[3:6], glint=values[6:9], soft=soft
    )
    skin.paint_marks(canvas, look)
    paint_within(canvas, canvas.shadow > 0.02, beard.paint_shadow, look)
    paint_within(canvas, canvas.z > 20, skin.paint_lines, look)
    paint_within(canvas, mouth.near_mouth(canvas), mouth.paint_mouth, look)
    paint_within(canvas, canvas.beard > 0.02, beard.paint_beard, look)
    paint_within(canvas, canvas.scalp > 0.02, beard.paint_scalp, look)
    paint_within(canvas, brows.near_brows(canvas), brows.paint_brows, look)
    paint_within(canvas, eyes.near_eyes(canvas), eyes.paint_eyes, look)
    paint_within(canvas, canvas.y < -120, _dress, look)
    return canvas.colour()


def _dress(canvas: Canvas, look: Appearance) -> None:
    """Clothes from the collar down."""
    (collar,) = look.at(canvas.image, "collar")
    cover = canvas.edge(-138 - 28 * collar - 0.10 * canvas.z - canvas.y)
    canvas.albedo = canvas.albedo + (look.colour_at(canvas.image, "clothes") - canvas.albedo) * cover
    canvas.glint = canvas.glint * (1 - cover)


def _lay_hair(
    canvas: Tensor,
    depth: Tensor,
    part: tuple[Tensor, Fragments],
    table: Tensor,
    first: int,
    look: Appearance,
    soft: float,
    area: int,
    bright: float,
) -> None:
    """Lay one side of the hair shells over the canvas (3, N * H * W) where nothing hides it."""
    pixels, fragments = part
    values = _interpolate_from(fragments, table, first)
    image = torch.div(pixels, area, rounding_mode="floor")
    cover, albedo = hair.strands(look, image, *values[6:9], soft)
    cover = cover * (fragments.depth <= depth.index_select(0, pixels))
    colour = albedo * values[0:3] * bright + values[3:6] * (0.10 + 0.5 * albedo)
    under = canvas.index_select(1, pixels)
    canvas.index_copy_(1, pixels, under + (colour - under) * cover)


def _lay_glasses(
    canvas: Tensor,
    depth: Tensor,
    part: tuple[Tensor, Fragments],
    table: Tensor,
    first: int,
    look: Appearance,
    soft: float,
    area: int,
) -> None:
    """Lay spectacles over the canvas (3, N * H * W) where nothing hides them."""
    pixels, fragments = part
    values = _interpolate_from(fragments, table, first)
    image = torch.div(pixels, area, rounding_mode="floor")
    cover, albedo, shine = glasses.frame(look, image, values[6], values[7], soft)
    visible = (fragments.depth <= depth.index_select(0, pixels)).float()
    under = canvas.index_select(1, pixels)
    colour = under + (albedo * values[0:3] - under) * (cover * visible)
    canvas.index_copy_(1, pixels, colour + values[3:6] * (0.5 * shine * visible))


def _interpolate_from(fragments: Fragments, table: Tensor, first: int) -> Tensor:
    """Interpolate a part's own vertex table (C, N, v), whose vertices begin at `first` in the scene."""
    total = _scene_vertices()
    image = torch.div(fragments.corners, total, rounding_mode="floor")
    local = fragments.corners - image * total - first + image * table.shape[2]
    return Fragments(fragments.pixel, local, fragments.weights, fragments.depth).interpolate(table)


def _split(fragments: Fragments, area: int) -> list[tuple[Tensor, Fragments]]:
    """Fragments of each layer and their positions in a flat (N, H, W) image."""
    plane = torch.div(fragments.pixel, area, rounding_mode="floor")
    layer = plane % LAYERS
    position = fragments.pixel - plane * area + torch.div(plane, LAYERS, rounding_mode="floor") * area
    parts = []
    for k in range(LAYERS):
        chosen = (layer == k).nonzero().squeeze(1)
        parts.append(
            (
                position.index_select(0, chosen),
                Fragments(
                    fragments.pixel.index_select(0, chosen),
                    fragments.corners.index_select(1, chosen),
                    fragments.weights.index_select(1, chosen),
                    fragments.depth.index_select(0, chosen),
                ),
            )
        )
    return parts


@cache
def _scene_vertices() -> int:
    triangles = (template_head().triangles, hair.shell_triangles(), glasses.strip_triangles())
    return int(sum(t.max() + 1 for t in triangles))


@cache
def _scene(device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Triangles of head, hair (twice: outside and inside) and spectacles; their layers and facing."""
    head = template_head().triangles
    shell = hair.shell_triangles() + head.max() + 1
    strip = glasses.strip_triangles() + shell.max() + 1
    triangles = np.concatenate([head, shell, shell, strip])
    sizes = [len(head), len(shell), len(shell), len(strip)]
    layer = np.repeat([HEAD, HAIR_FRONT, HAIR_BACK, GLASSES], sizes)
    facing = np.repeat([1, 1, -1, 1], sizes)
    return tuple(torch.as_tensor(v, device=device) for v in (triangles, layer, facing))  # type: ignore[return-value]


@cache
def _openness(device: torch.device) -> Tensor:
    return torch.as_tensor(light_field().open.astype(np.float32), device=device)
