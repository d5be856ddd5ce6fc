"""What is seen in rendered pictures, and where."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketface.errors import DataError
from pocketface.synthetic.head import template_head
from pocketface.synthetic.nuisance import Nuisance, NuisanceRanges, Spread
from pocketface.synthetic.population import Population
from pocketface.synthetic.pose import bend, landmark_corners, place
from pocketface.synthetic.rasterise import SUBPIXEL, Fragments, rasterise
from pocketface.synthetic.render import Rendered, render
from pocketface.synthetic.skin import skin_places

CPU = torch.device("cpu")
CLEAR = {"blur": 0.45, "noise": 0.0, "jpeg": 98.0, "resolution": 112.0}
"""A picture without faults."""

ANY_POSE = NuisanceRanges(
    yaw=Spread(0, 50, -90, 90), pitch=Spread(0, 12, -30, 30), roll=Spread(0, 15, -45, 45)
)


def draw(seed: int, people: int, ranges: NuisanceRanges | None = None) -> Rendered:
    population = Population(seed)
    return render(
        [population.person(i) for i in range(people)],
        [population.nuisance(i, 0, ranges) for i in range(people)],
    )


def visible_skin(seed: int, now: Nuisance, size: int = 112) -> tuple[Fragments, np.ndarray]:
    """The visible points of a bare head, and each one's place on the template, (3, P)."""
    who = Population(seed).person(0)
    posed = place(bend([who], [now], CPU), [now], size)
    triangles = torch.from_numpy(template_head().triangles.astype(np.int32))
    depth = ((300 - posed.camera[:, 2]) / 600).float()
    (seen,) = rasterise(
        torch.round(posed.pixel * SUBPIXEL).int(),
        depth,
        triangles,
        torch.zeros(len(triangles), dtype=torch.int32),
        1,
        size,
    )
    places = skin_places(CPU)
    table = torch.stack([places.x, places.y, places.z])[:, None]
    return seen, seen.interpolate(table).numpy()


def test_shapes_and_types() -> None:
    batch = draw(1, 3)
    assert batch.images.shape == (3, 112, 112, 3)
    assert batch.images.dtype == np.uint8
    assert batch.landmarks.shape == (3, 5, 2)
    assert batch.landmarks.dtype == np.float32
    assert batch.pose.shape == (3, 3)
    assert batch.mask.shape == (3, 112, 112)


@pytest.mark.parametrize("size", [48, 112, 160, 224])
def test_sizes_show_the_same_picture(size: int) -> None:
    who = [Population(1).person(i) for i in range(2)]
    now = [Nuisance(**CLEAR)] * 2
    small, usual = render(who, now, size), render(who, now, 112)
    assert small.images.shape == (2, size, size, 3)
    np.testing.assert_allclose(small.landmarks * 112 / size, usual.landmarks, atol=1e-3)
    for a, b in zip(small.images, usual.images, strict=True):
        cells = 16
        coarse = [
            im.reshape(cells, s // cells, cells, s // cells, 3).mean(axis=(1, 3))
            for im, s in ((a, size), (b, 112))
        ]
        assert np.abs(coarse[0] - coarse[1]).mean() < 4


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_landmarks_lie_on_the_rendered_face(seed: int) -> None:
    """Within 2 pixels of the face, whatever the pose and the expression."""
    batch = draw(seed, 4, ANY_POSE)
    for mask, points in zip(batch.mask, batch.landmarks, strict=True):
        row, column = np.nonzero(mask)
        for x, y in points:
            if not (0 <= x < 112 and 0 <= y < 112):
                continue
            assert np.hypot(column + 0.5 - x, row + 0.5 - y).min() <= 2


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    yaw=st.floats(-35, 35),
    jaw=st.floats(0, 1),
    smile=st.floats(0, 1),
)
def test_landmarks_lie_on_their_own_features(
    seed: int, yaw: float, jaw: float, smile: float
) -> None:
    """The visible point of the skin that belongs to a landmark is within 2 pixels of it."""
    now = Nuisance(yaw=yaw, jaw=jaw, smile=smile)
    who = Population(seed).person(0)
    landmarks = place(bend([who], [now], CPU), [now], 112).landmarks[0].numpy().T
    seen, found = visible_skin(seed, now)
    corners, weights = landmark_corners()
    places = skin_places(CPU)
    for k, (x, y) in enumerate(landmarks):
        own = [float((weights[k] * v.numpy()[corners[k]]).sum()) for v in (places.x, places.y)]
        nearest = np.argmin((found[0] - own[0]) ** 2 + (found[1] - own[1]) ** 2)
        pixel = int(seen.pixel[nearest])
        assert np.hypot(pixel % 112 + 0.5 - x, pixel // 112 + 0.5 - y) <= 2, k


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000), side=st.sampled_from([-1, 1]))
def test_the_far_half_is_hidden_at_a_full_profile(seed: int, side: int) -> None:
    """At yaw 90 the nose hides the far eye and cheek: the depth buffer holds."""
    seen, found = visible_skin(seed, Nuisance(yaw=90.0 * side))
    # Turned to the viewer's right, the half on the viewer's left (x < 0) is towards the viewer.
    far = found[0] * side
    eye = (np.abs(far - 31.5) < 10) & (np.abs(found[1]) < 8) & (found[2] > 40)
    cheek = (far > 25) & (np.abs(found[1] + 40) < 20) & (found[2] > 20)
    assert not eye.any()
    assert not cheek.any()
    near_eye = (np.abs(far + 31.5) < 12) & (np.abs(found[1]) < 8) & (found[2] > 40)
    assert near_eye.sum() > 10
    # Both halves are seen from the front.
    _, front = visible_skin(seed, Nuisance())
    for half in (-1, 1):
        assert ((np.abs(front[0] * half - 31.5) < 10) & (np.abs(front[1]) < 8)).sum() > 60
    assert len(seen.pixel) > 2000


def test_nothing_hidden_shines_through() -> None:
    """Each visible point is the nearest of the mesh on its ray, against a search over triangles."""
    now = Nuisance(yaw=70.0, distance=900.0)
    who = Population(8).person(0)
    posed = place(bend([who], [now], CPU), [now], 48)
    seen, _ = visible_skin(8, now, 48)
    triangles = template_head().triangles
    xy, z = posed.pixel[0].numpy().T, posed.camera[0, 2].numpy()

    def cross(p: np.ndarray, q: np.ndarray) -> np.ndarray:
        return p[..., 0] * q[..., 1] - p[..., 1] * q[..., 0]

    sides = [xy[triangles[:, k]] for k in range(3)]
    triangles = triangles[cross(sides[1] - sides[0], sides[2] - sides[0]) < -1e-9]
    a, b, c = (xy[triangles[:, k]] for k in range(3))
    area = cross(b - a, c - a)
    wrong = 0
    for k in range(0, len(seen.pixel), 7):
        pixel = int(seen.pixel[k])
        point = np.array([pixel % 48 + 0.5, pixel // 48 + 0.5])
        w = np.stack([cross(b - point, c - point), cross(c - point, a - point)]) / area
        w = np.concatenate([w, 1 - w.sum(axis=0, keepdims=True)])
        hit = (w > 1e-3).all(axis=0)
        if not hit.any():
            continue
        front = (w * z[triangles].T).sum(axis=0)[hit].max()
        shown = float((seen.weights[:, k].numpy() * z[seen.corners[:, k].numpy()]).sum())
        wrong += front - shown > 3  # mm; one depth stands for a whole triangle
    assert wrong <= 1


def test_people_differ_more_than_pictures_taken_alike() -> None:
    population = Population(6)
    people = [population.person(i) for i in range(12)]
    now = Nuisance(**CLEAR)
    faces = render(people, [now] * 12).images[:, 30:105, 25:87].astype(float)
    distance = np.abs(faces[:, None] - faces[None]).mean(axis=(2, 3, 4))
    assert distance[~np.eye(12, dtype=bool)].min() > 4


@pytest.mark.parametrize(
    ("change", "rows", "columns"),
    [
        ({"jaw": 0.8}, slice(85, 105), slice(40, 72)),
        ({"blink": 1.0}, slice(46, 58), slice(30, 82)),
        ({"gaze_x": 1.0}, slice(46, 58), slice(30, 82)),
        ({"mask": 1.0}, slice(68, 105), slice(30, 82)),
        ({"glasses_change": 1.0, "glasses_draw": 0.95}, slice(42, 62), slice(25, 87)),
        ({"hat": 0.6}, slice(0, 20), slice(25, 87)),
        ({"age": 75.0}, slice(20, 112), slice(20, 92)),
        ({"makeup": 1.0}, slice(85, 100), slice(40, 72)),
    ],
)
def test_each_circumstance_shows_where_it_should(
    change: dict[str, float], rows: slice, columns: slice
) -> None:
    population = Population(11)
    # A clean-shaven woman without spectacles.
    who = next(
        p
        for p in map(population.person, range(50))
        if p["dimorphism"] < -0.5 and p["habit_glasses"] < 0
    )
    before = Nuisance(**CLEAR)
    images = render([who, who], [before, before.but(**change)]).images.astype(int)
    difference = np.abs(images[0] - images[1])
    inside = difference[rows, columns].mean()
    assert inside > 3
    if "age" not in change:
        outside = difference.copy()
        outside[rows, columns] = 0
        assert inside > 2 * outside.mean()


def test_light_comes_from_where_it_says() -> None:
    who = Population(1).person(0)
    lamp = np.array([[0.9, 0.0, 0.44], [0, 0, 1], [0, 0, 1]])
    power = np.array([[1.2] * 3, [0.0] * 3, [0.0] * 3])
    right = Nuisance(light_from=lamp, light_colour=power, sky=np.full(3, 0.05), **CLEAR)
    left = right.but(light_from=lamp * [-1, 1, 1])
    images = render([who, who], [right, left]).images.astype(float)
    halves = images[:, 60:100, 25:50].mean(axis=(1, 2, 3)), images[:, 60:100, 62:87].mean((1, 2, 3))
    assert halves[1][0] > halves[0][0] + 20
    assert halves[0][1] > halves[1][1] + 20


def test_mistakes_are_named() -> None:
    who, now = Population(1).person(0), Nuisance()
    with pytest.raises(DataError, match="multiple of 16, got 100"):
        render([who], [now], 100)
    with pytest.raises(DataError, match="got 1 identities and 2 nuisances"):
        render([who], [now, now])
    with pytest.raises(DataError, match="got 0 identities"):
        render([], [])
