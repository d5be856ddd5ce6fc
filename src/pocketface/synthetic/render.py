"""People and moments to pictures: the one way through all the parts."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pocketface.errors import DataError
from pocketface.synthetic import (
    beard,
    brows,
    cloth,
    degrade,
    eyes,
    glasses,
    hair,
    lighting,
    lines,
    mouth,
    skin,
)
from pocketface.synthetic.appearance import Appearance, describe
from pocketface.synthetic.backdrop import backdrop
from pocketface.synthetic.head import template_head
from pocketface.synthetic.identity import Identity
from pocketface.synthetic.nuisance import Nuisance
from pocketface.synthetic.paint import Canvas
from pocketface.synthetic.pose import Posed, bend, place
from pocketface.synthetic.rasterise import HIDDEN, SUBPIXEL, Fragments, rasterise
from pocketface.synthetic.surface import head_normals, light_field, shadow

HEAD, HAIR_FRONT, HAIR_BACK, GLASSES = range(4)
LAYERS = 4
_AT_ONCE = {"cpu": 16}  # what stays in a core's cache; a GPU takes more
_NEAR, _FAR = -260.0, 340.0
_RAGGED = 9.0  # mm: strands never reach farther out of the hair's outline
_HAIR_BIAS = 2.0 / (_FAR - _NEAR)  # hair that lies on the skin must not sink into it


@dataclass(frozen=True)
class Rendered:
    """A batch of pictures and what is known about them.

    `images` uint8 (N, H, W, 3) RGB, after the JPEG file that they went through; `landmarks` float32
    (N, 5, 2): left eye, right eye, nose, mouth corners (left is the viewer's), x and y in pixels
    from the image's corner; `pose` float32 (N, 3): yaw, pitch, roll in degrees; `mask` bool (N, H,
    W): where the head is, whatever hair or spectacles lie before it.
    """

    images: NDArray[np.uint8]
    landmarks: NDArray[np.float32]
    pose: NDArray[np.float32]
    mask: NDArray[np.bool_]


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
    112-pixel template, else a loose crop of the whole head. The bytes do not depend on how pictures
    are batched. Raises DataError for another size or lists of different lengths.
    """
    if size < 16 or size % 16:
        raise DataError(f"size must be a multiple of 16, got {size}; 112 is the usual one.")
    if len(identities) != len(nuisances) or not identities:
        raise DataError(
            f"render needs one nuisance for each identity, got {len(identities)} identities and "
            f"{len(nuisances)} nuisances."
        )
    where = torch.device(device)
    at_once = _AT_ONCE.get(where.type, 128)
    batches = [
        _render_batch(identities[i : i + at_once], nuisances[i : i + at_once], size, aligned, where)
        for i in range(0, len(identities), at_once)
    ]
    if len(batches) == 1:
        return batches[0]
    return Rendered(
        *(np.concatenate([getattr(b, f.name) for b in batches]) for f in fields(Rendered))
    )


def _render_batch(
    identities: Sequence[Identity],
    nuisances: Sequence[Nuisance],
    size: int,
    aligned: bool,
    device: torch.device,
) -> Rendered:
    with torch.inference_mode():
        look = describe(identities, nuisances, device)
        posed = place(bend(identities, nuisances, device), nuisances, size, aligned=aligned)
        soft = (200.0 if aligned else 330.0) / size
        linear, mask = _picture(look, posed, nuisances, size, soft)
        shown = degrade.soften(degrade.develop(linear, nuisances), nuisances)
        pixels = degrade.to_bytes(degrade.add_noise(shown, nuisances)).cpu().numpy()
        landmarks = posed.landmarks.transpose(1, 2).cpu().numpy().astype(np.float32)
    return Rendered(
        images=degrade.through_jpeg(pixels, nuisances),
        landmarks=landmarks,
        pose=np.array([[n.yaw, n.pitch, n.roll] for n in nuisances], dtype=np.float32),
        mask=mask.cpu().numpy(),
    )


def _picture(
    look: Appearance, posed: Posed, nuisances: Sequence[Nuisance], size: int, soft: float
) -> tuple[Tensor, Tensor]:
    """Linear colour float32 (N, 3, H, W) and where the head is seen, bool (N, H, W)."""
    device = posed.shape.device
    count = len(nuisances)
    places = skin.skin_places(device)
    scalp = hair.scalp(look, places)
    shell = hair.shell(posed.shape, look)
    cameras = torch.cat(
        [
            posed.camera,
            posed.projection.turn(torch.cat([shell.points, glasses.strip(posed.shape)], dim=2)),
        ],
        dim=2,
    )
    first, second = posed.shape.shape[2], posed.shape.shape[2] + hair.shell_size()
    lit = _light(
        cameras, first, second, look, lighting.lamp_directions(nuisances, posed.projection.rotation)
    )
    depth = ((_FAR - cameras[:, 2]) * (1 / (_FAR - _NEAR))).float().clamp_(0, 1)
    depth[:, :first] += HIDDEN * scalp.buried
    depth[:, first:second] += HIDDEN * (shell.inside < -_RAGGED)
    depth[:, second:] += HIDDEN * (look["glasses"] == 0)
    pixel = torch.cat([posed.pixel, posed.projection.to_pixels(cameras[:, :, first:])], dim=2)
    position = torch.round(pixel * SUBPIXEL).to(torch.int32)
    head, front, back, spectacles = rasterise(position, depth, *_scene(device), LAYERS, size)
    canvas = backdrop(nuisances, size, device).permute(1, 0, 2, 3).reshape(3, -1)
    nearest = torch.full((canvas.shape[1],), 2.0, device=device)
    nearest.index_copy_(0, head.pixel, head.depth)
    shell_table = torch.stack(
        [
            *lit.diffuse[..., first:second],
            lit.glint[:, first:second],
            shell.inside,
            shell.along,
            shell.around,
        ]
    )
    _lay_hair(canvas, nearest, back, shell_table, first, look, soft, 0.45)
    canvas.index_copy_(1, head.pixel, _paint_head(look, places, scalp.roots, lit, head, soft))
    _lay_glasses(canvas, nearest, spectacles, lit, second, look, soft)
    _lay_hair(canvas, nearest, front, shell_table, first, look, soft, 1.0)
    picture = canvas.view(3, count, size, size).permute(1, 0, 2, 3).contiguous()
    return picture, (nearest < 2.0).view(count, size, size)


def _light(
    cameras: Tensor, first: int, second: int, look: Appearance, lamps: NDArray[np.float64]
) -> lighting.Lit:
    """Light heads, hair (from vertex `first`) and spectacles (from `second`) in one go."""
    points = cameras.float()
    normals = torch.cat(
        [
            head_normals(points[..., :first]),
            hair.shell_normals(points[..., first:second]),
            glasses.strip_normals(points[..., second:]),
        ],
        dim=2,
    )
    # Only the head shadows itself; hair is a little dimmer for its depth.
    arrives = torch.ones(lamps.shape[1], *normals[:, 0].shape, device=points.device)
    arrives[..., :first] = shadow(lamps, points.device).transpose(0, 1)
    openness, bleed = _surface_kinds(points.device)
    return lighting.light(normals, arrives, openness, bleed, look)


def _paint_head(
    look: Appearance,
    places: skin.SkinPlaces,
    roots: Tensor,
    lit: lighting.Lit,
    fragments: Fragments,
    soft: float,
) -> Tensor:
    """The colour of every visible point of the heads, linear, (3, P)."""
    vertices = roots.shape[1]
    full, shaven = skin.beard_growth(look, places)
    rows = [
        *skin.skin_colour(look, places),
        *lit.diffuse[..., :vertices],
        lit.glint[:, :vertices] * (look["shine"] * places.oily),
        *(v.expand_as(full) for v in (places.x, places.y, places.z)),
    ]
    values = fragments.interpolate(torch.stack(rows))
    canvas = Canvas(
        fragments.image,
        dict(zip("xyz", values[7:], strict=True)),
        {"albedo": values[0:3], "diffuse": values[3:6], "glint": values[6:7]},
        soft,
        fragments,
        {"slit": places.slit.expand_as(full), "beard": full, "shadow": shaven, "scalp": roots},
    )
    for painter in _PAINTERS:
        painter(canvas, look)
    return canvas.seen()


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
    cover, albedo = hair.strands(look, part.image, values[4], values[5], values[6], soft)
    cover = cover * (part.depth - _HAIR_BIAS <= nearest.index_select(0, part.pixel))
    colour = albedo * values[0:3] * bright + values[3] * (0.10 + 0.5 * albedo)
    under = canvas.index_select(1, part.pixel)
    canvas.index_copy_(1, part.pixel, under + (colour - under) * cover)


def _lay_glasses(
    canvas: Tensor,
    nearest: Tensor,
    part: Fragments,
    lit: lighting.Lit,
    first: int,
    look: Appearance,
    soft: float,
) -> None:
    """Lay spectacles over the canvas (3, N * H * W) where nothing hides them."""
    places = glasses.strip_places(canvas.device)
    glint = lit.glint[:, first:]
    table = torch.stack([*lit.diffuse[..., first:], glint, *(v.expand_as(glint) for v in places)])
    values = part.interpolate(table, first)
    cover, albedo, shine = glasses.frame(look, part.image, values[4], values[5], soft)
    visible = (part.depth <= nearest.index_select(0, part.pixel)).float()
    under = canvas.index_select(1, part.pixel)
    colour = under + (albedo * values[0:3] - under) * (cover * visible)
    canvas.index_copy_(1, part.pixel, colour + values[3] * (0.5 * shine * visible))


@cache
def _scene(device: torch.device) -> tuple[Tensor, Tensor]:
    """Triangles of head, hair (outside; inside of what falls) and spectacles; their layers."""
    first = len(template_head().base)
    second = first + hair.shell_size()
    parts = {
        HEAD: template_head().triangles,
        HAIR_FRONT: hair.shell_triangles() + first,
        HAIR_BACK: hair.falling_triangles()[:, ::-1] + first,
        GLASSES: glasses.strip_triangles() + second,
    }
    triangles = np.concatenate(list(parts.values())).astype(np.int32)
    layer = np.repeat(list(parts), [len(part) for part in parts.values()]).astype(np.int32)
    return torch.as_tensor(triangles, device=device), torch.as_tensor(layer, device=device)


@cache
def _surface_kinds(device: torch.device) -> tuple[Tensor, Tensor]:
    """How open to the sky each vertex of the scene is, and where it is skin, float32 (V,) each."""
    head = light_field().open
    strip = len(glasses.strip_places(device)[0])
    openness = np.concatenate([head**1.6, np.full(hair.shell_size(), 0.8), np.ones(strip)])
    bleed = np.arange(len(openness)) < len(head)
    return tuple(torch.as_tensor(v.astype(np.float32), device=device) for v in (openness, bleed))  # type: ignore[return-value]


_PAINTERS = (
    *(
        skin.BLOTCHES,
        skin.FRECKLES,
        skin.MOLES,
        lines.LINES,
        mouth.MOUTH,
        beard.BEARD,
        beard.SCALP,
    ),
    *(brows.BROWS, eyes.EYES, cloth.MASK, cloth.CLOTHES),
)
