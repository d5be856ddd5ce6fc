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
from pocketface.synthetic.rasterise import HIDDEN, SUBPIXEL, Fragments, rasterise
from pocketface.synthetic.surface import head_normals, light_field, shadow

HEAD, HAIR_FRONT, HAIR_BACK, GLASSES = range(4)
LAYERS = 4
_NEAR, _FAR = -260.0, 340.0
_RAGGED = 9.0  # mm: strands never reach farther out of the hair's outline
_HAIR_BIAS = 2.0 / (_FAR - _NEAR)  # hair that lies on the skin must not sink into it


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
    depth = torch.cat(
        [
            _depth(posed.camera),
            _depth(shell_camera) + HIDDEN * (shell.inside < -_RAGGED),
            _depth(strip_camera) + HIDDEN * (look["glasses"] == 0),
        ],
        dim=1,
    )
    pixel = torch.cat(
        [posed.pixel, posed.projection.to_pixels(shell_camera), posed.projection.to_pixels(strip_camera)], dim=2
    )
    position = torch.round(pixel * SUBPIXEL).to(torch.int32)
    parts = rasterise(position, depth, *_scene(device), LAYERS, size)
    canvas = backdrop(nuisances, size, device).permute(1, 0, 2, 3).reshape(3, -1)
    nearest = torch.full((canvas.shape[1],), 2.0, device=device)
    nearest.index_copy_(0, parts[HEAD].pixel, parts[HEAD].depth)
    vertices = posed.shape.shape[2]
    shell_table = torch.stack([*shell_lit.diffuse, *shell_lit.glint, shell.inside, shell.along, shell.around])
    path, height = glasses.strip_places(device)
    strip_table = torch.stack(
        [*strip_lit.diffuse, *strip_lit.glint, path.expand(count, -1), height.expand(count, -1)]
    )
    _lay_hair(canvas, nearest, parts[HAIR_BACK], shell_table, vertices, look, soft, 0.45)
    canvas.index_copy_(1, parts[HEAD].pixel, _paint_head(look, places, head_lit, parts[HEAD], soft))
    _lay_glasses(canvas, nearest, parts[GLASSES], strip_table, vertices + shell.inside.shape[1], look, soft)
    _lay_hair(canvas, nearest, parts[HAIR_FRONT], shell_table, vertices, look, soft, 1.0)
    picture = canvas.view(3, count, size, size).permute(1, 0, 2, 3).contiguous()
    return picture, (nearest < 2.0).view(count, size, size)


def _depth(camera: Tensor) -> Tensor:
    """Depth of turned points (N, 3, P) for the rasteriser, float32 (N, P) in [0, 1]."""
    return ((_FAR - camera[:, 2]) * (1 / (_FAR - _NEAR))).float().clamp_(0, 1)


def _paint_head(
    look: Appearance, places: skin.SkinPlaces, lit: lighting.Lit, fragments: Fragments, soft: float
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
    values = fragments.interpolate(torch.stack(rows))
    canvas = Canvas(
        fragments.image, *values[9:16], albedo=values[0:3], diffuse=values[3:6], glint=values[6:9], soft=soft
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
    nearest: Tensor,
    part: Fragments,
    table: Tensor,
    first: int,
    look: Appearance,
    soft: float,
    bright: float,
) -> None:
    """Lay one side of the hair shells over the canvas (3, N * H * W) where nothing hides it."""
    values = part.interpolate(table, first)
    cover, albedo = hair.strands(look, part.image, *values[6:9], soft)
    cover = cover * (part.depth - _HAIR_BIAS <= nearest.index_select(0, part.pixel))
    colour = albedo * values[0:3] * bright + values[3:6] * (0.10 + 0.5 * albedo)
    under = canvas.index_select(1, part.pixel)
    canvas.index_copy_(1, part.pixel, under + (colour - under) * cover)


def _lay_glasses(
    canvas: Tensor, nearest: Tensor, part: Fragments, table: Tensor, first: int, look: Appearance, soft: float
) -> None:
    """Lay spectacles over the canvas (3, N * H * W) where nothing hides them."""
    values = part.interpolate(table, first)
    cover, albedo, shine = glasses.frame(look, part.image, values[6], values[7], soft)
    visible = (part.depth <= nearest.index_select(0, part.pixel)).float()
    under = canvas.index_select(1, part.pixel)
    colour = under + (albedo * values[0:3] - under) * (cover * visible)
    canvas.index_copy_(1, part.pixel, colour + values[3:6] * (0.5 * shine * visible))


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
    return (
        torch.as_tensor(triangles.astype(np.int32), device=device),
        torch.as_tensor(layer.astype(np.int32), device=device),
        torch.as_tensor(facing.astype(np.float32), device=device),
    )


@cache
def _openness(device: torch.device) -> Tensor:
    return torch.as_tensor(light_field().open.astype(np.float32), device=device)
