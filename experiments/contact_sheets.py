"""Draw the contact sheets of docs/synthetic.md.

    python experiments/contact_sheets.py --out docs/pictures

One person across circumstances, one circumstance at a time, many people in one pose, the pairs of
each set as they are, and textures.
"""

import argparse
import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
from difficulty import CIRCUMSTANCES, pairs_at
from PIL import Image, ImageDraw, ImageFont

from pocketface import atomic
from pocketface.synthetic import FRONTAL, Identity, Nuisance, Population
from pocketface.synthetic.render import render
from pocketface.synthetic.sets.blocks import plan_stream
from pocketface.synthetic.sets.circumstances import PAIRS
from pocketface.synthetic.textures import draw_texture
from pocketface.synthetic.textures import picture as picture_of
from pocketface.synthetic.textures.patterns import KINDS
from pocketface.synthetic.textures.texture import stream

Image8 = npt.NDArray[np.uint8]

SEED = 2026
_LABEL = 16
_SIDE = 112
_PLAIN = {"age": 40.0, "blur": 0.5, "noise": 1.0, "resolution": 112.0, "hat": 0.0, "grey": 0.0}


def sheet(rows: list[tuple[str, list[tuple[str, Image8]]]]) -> bytes:
    """Rows of faces, each with a title and labels; a JPEG file."""
    width = max(len(row) for _, row in rows) * _SIDE
    height = len(rows) * (_SIDE + 2 * _LABEL)
    picture = Image.new("RGB", (width, height), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(11)
    for number, (title, row) in enumerate(rows):
        top = number * (_SIDE + 2 * _LABEL)
        draw.text((3, top + 2), title, "black", font)
        for column, (label, face) in enumerate(row):
            picture.paste(Image.fromarray(face), (column * _SIDE, top + _LABEL))
            draw.text((column * _SIDE + 3, top + _LABEL + _SIDE + 1), label, "#555555", font)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def faces(people: list[Identity], moments: list[Nuisance]) -> list[Image8]:
    """One picture of each."""
    return list(render(people, moments, _SIDE).images)


def one_person() -> bytes:
    """The same two people under one change at a time."""
    population = Population(SEED)
    changes: list[tuple[str, dict[str, object]]] = [
        ("as they are", {}),
        ("yaw 45", {"yaw": 45.0}),
        ("yaw -80", {"yaw": -80.0}),
        ("pitch 20", {"pitch": 20.0}),
        ("smile", {"smile": 1.0, "jaw": 0.35}),
        ("open mouth", {"jaw": 1.0}),
        ("raised brow", {"brow_raise": 1.0}),
        ("closed eyes", {"blink": 1.0}),
    ]
    others: list[tuple[str, dict[str, object]]] = [
        ("age 70", {"age": 70.0}),
        ("glasses", {"glasses_change": 1.0, "glasses_draw": 0.4}),
        ("mask", {"mask": 1.0}),
        ("hat", {"hat": 0.6}),
        ("camera at 0.5 m", {"distance": 500.0}),
        ("blur", {"blur": 3.0}),
        ("noise", {"noise": 14.0}),
        ("JPEG 20", {"jpeg": 20.0}),
    ]
    rows = []
    for person in (3, 5):
        who = population.person(person)
        plain = population.nuisance(person, 0, FRONTAL).but(
            **_PLAIN, smile=0.0, jaw=0.0, blink=0.0, yaw=0.0, pitch=0.0, roll=0.0
        )
        for part in (changes, others):
            moments = [plain.but(**change) for _, change in part]
            taken = faces([who] * len(part), moments)
            labels = [label for label, _ in part]
            rows.append((f"person {person}", list(zip(labels, taken, strict=True))))
    return sheet(rows)


def many_people() -> bytes:
    """Different people under one and the same circumstances."""
    population = Population(SEED)
    moment = population.nuisance(0, 0, FRONTAL).but(
        **_PLAIN, smile=0.2, jaw=0.0, blink=0.0, yaw=12.0, pitch=0.0, roll=0.0
    )
    people = [population.person(i) for i in range(32)]
    taken = [(str(i), face) for i, face in enumerate(faces(people, [moment] * len(people)))]
    return sheet([("one pose, one light", taken[i : i + 8]) for i in range(0, len(taken), 8)])


def one_circumstance() -> bytes:
    """A pair of one person as each circumstance grows: the columns of the difficulty curves."""
    rows = []
    for name, circumstance in CIRCUMSTANCES.items():
        row: list[tuple[str, Image8]] = []
        for value in circumstance.values:
            images = pairs_at(SEED, 10, circumstance, value).images
            first, second = np.asarray(images[4]), np.asarray(images[14])
            row = row or [("first picture", first)]
            row.append((f"{name} {value:g}", second))
        rows.append((circumstance.title, row))
    return sheet(rows)


def pairs_of_sets() -> bytes:
    """Three pairs of one person and one of two people from each set."""
    population = Population(SEED)
    rows = []
    for name, kind in PAIRS.items():
        rng = plan_stream(SEED, name)
        people, moments = [], []
        for pair in range(4):
            for picture, side in enumerate(kind.sides(rng)):
                person = 100 + 2 * pair + picture * (pair == 3)
                people.append(population.person(person))
                moments.append(
                    population.nuisance(person, picture, side.ranges).but(**dict(side.fixed))
                )
        labels = ["one person", ""] * 3 + ["two people", ""]
        shown = list(zip(labels, faces(people, moments), strict=True))
        rows.append((f"{name}-like: {kind.title}", shown))
    return sheet(rows)


def textures() -> bytes:
    """Two images of a class of each kind, and two of one that is a figure with such a pattern."""
    columns = []
    for number in range(len(KINDS)):
        for label, which in (
            (f"{number}", number),
            (f"{number + len(KINDS)}", number + len(KINDS)),
        ):
            texture = draw_texture(SEED, which)
            images = [picture_of(texture, stream(SEED, "image", which, k), _SIDE) for k in (0, 1)]
            columns += list(zip((f"class {label}", ""), images, strict=True))
    kinds = [f"{a}, {b}" for a, b in zip([*KINDS][::2], [*KINDS][1::2], strict=True)]
    return sheet([(title, columns[8 * row : 8 * row + 8]) for row, title in enumerate(kinds)])


SHEETS = (one_person, many_people, one_circumstance, pairs_of_sets, textures)


def main() -> None:
    """Draw all sheets, or one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    parser.add_argument("--only", choices=[drawn.__name__ for drawn in SHEETS])
    args = parser.parse_args()
    for drawn in SHEETS:
        if args.only not in (None, drawn.__name__):
            continue
        path: Path = args.out / f"synthetic_{drawn.__name__}.jpg"
        atomic.write_bytes(path, drawn())
        print(path)


if __name__ == "__main__":
    main()
