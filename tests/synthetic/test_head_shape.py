"""The template, its modes, and where landmarks come to lie."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketface.synthetic.anatomy import average_face
from pocketface.synthetic.head import template_head
from pocketface.synthetic.modes import IDENTITY_SHAPE, jaw_weight, mode_matrix
from pocketface.synthetic.nuisance import Nuisance
from pocketface.synthetic.population import Population
from pocketface.synthetic.pose import (
    TEMPLATE_112,
    bend,
    landmark_corners,
    place,
    rotation_matrix,
)
from pocketface.synthetic.sculpt import Push, displacement
from pocketface.synthetic.surface import light_field

CPU = torch.device("cpu")


def test_the_template_is_symmetric() -> None:
    for shape in (template_head().base, average_face()):
        mirrored = shape * [-1, 1, 1]
        distance = np.abs(shape[:, None] - mirrored[None]).sum(axis=2).min(axis=1)
        assert distance.max() < 1e-6


def test_the_average_face_has_human_measures() -> None:
    corners, weights = landmark_corners()
    eyes_left, eyes_right, nose, mouth_left, mouth_right = (
        average_face()[corners] * weights[..., None]
    ).sum(axis=1)
    assert 60 < eyes_right[0] - eyes_left[0] < 66
    assert 46 < mouth_right[0] - mouth_left[0] < 56
    assert 68 < eyes_left[1] - mouth_left[1] < 78
    assert 15 < nose[2] - mouth_left[2] < 40


def test_triangles_face_outwards() -> None:
    head, shape = template_head(), average_face()
    skull = head.triangles[head.triangles.max(axis=1) < head.rows * head.columns]
    a, b, c = (shape[skull[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    middle = (a + b + c) / 3
    large = np.linalg.norm(normal, axis=1) > 1
    out = middle * [1, 0, 1]
    facing = (normal * out).sum(axis=1)[large & (np.abs(middle[:, 1]) < 60)]
    assert (facing > 0).mean() > 0.97


def test_sums_of_modes_are_exact() -> None:
    """A product of rounded modes and coefficients loses nothing, whatever the order of its sums."""
    modes = mode_matrix("identity")
    assert len(modes) == len(IDENTITY_SHAPE)
    np.testing.assert_array_equal(modes * 2**20, np.round(modes * 2**20))
    who = Population(1).person(0).shape
    forward, backward = who @ modes, (who[::-1] @ modes[::-1])
    np.testing.assert_array_equal(forward, backward)
    plain = sum(c * mode[:300] for c, mode in zip(who, modes, strict=True))
    np.testing.assert_array_equal(forward[:300], plain)


def test_every_identity_mode_is_seen_in_the_face() -> None:
    for name, mode in zip(IDENTITY_SHAPE, mode_matrix("identity"), strict=True):
        moved = np.linalg.norm(mode.reshape(3, -1), axis=0)
        assert moved.max() > 0.5, name


def test_pushes_mirror() -> None:
    base, lower = template_head().base, template_head().lower
    both = displacement(base, lower, [Push((30, 0, 85), (10, 10, 60), (1, 2, 3))])
    right = displacement(base, lower, [Push((30, 0, 85), (10, 10, 60), (1, 2, 3), side=1)])
    left = displacement(base, lower, [Push((30, 0, 85), (10, 10, 60), (1, 2, 3), side=-1)])
    np.testing.assert_allclose(both, right + left, atol=1e-5)
    peak = np.argmax(right[:, 2])
    np.testing.assert_allclose(base[peak, :2], [30, 0], atol=4)
    assert right[peak, 0] > 0
    assert left[np.argmax(left[:, 2]), 0] < 0


def test_the_jaw_opens_the_mouth_only() -> None:
    head, weight = template_head(), jaw_weight()
    rows = weight[: head.rows * head.columns].reshape(head.rows, head.columns)
    middle = head.columns // 2
    lips = np.flatnonzero(
        np.diff(head.lower[: head.rows * head.columns : head.columns].astype(int))
    )
    assert rows[lips[0], middle] < 0.01
    assert rows[lips[0] + 1, middle] > 0.85
    assert (weight[head.base[:, 1] > -30] < 0.02).all()


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    yaw=st.floats(-90, 90),
    pitch=st.floats(-30, 30),
    roll=st.floats(-40, 40),
    size=st.sampled_from([112, 224]),
)
def test_alignment_is_the_best_similarity(
    seed: int, yaw: float, pitch: float, roll: float, size: int
) -> None:
    """No other similarity brings the five landmarks nearer to the template."""
    who, now = Population(seed).person(0), Nuisance(yaw=yaw, pitch=pitch, roll=roll)
    posed = place(bend([who], [now], CPU), [now], size)
    target = TEMPLATE_112 * size / 112
    source = posed.landmarks[0].numpy().T
    # Once aligned, the best further similarity is none at all.
    ones, none = np.ones(5), np.zeros(5)
    matrix = np.concatenate(
        [
            np.stack([source[:, 0], -source[:, 1], ones, none], axis=1),
            np.stack([source[:, 1], source[:, 0], none, ones], axis=1),
        ]
    )
    found = np.linalg.lstsq(matrix, target.T.reshape(-1), rcond=None)[0]
    np.testing.assert_allclose(found, [1, 0, 0, 0], atol=1e-6 * size)


def test_people_have_faces_that_the_template_fits() -> None:
    """Frontal landmarks lie a few pixels from the template: people differ, all are people."""
    people = [Population(seed).person(0) for seed in range(40)]
    frontal = [Nuisance()] * len(people)
    posed = place(bend(people, frontal, CPU), frontal, 112)
    away = posed.landmarks.numpy().transpose(0, 2, 1) - TEMPLATE_112
    residuals = np.sqrt((away**2).sum(axis=(1, 2)) / 5)
    assert residuals.mean() < 2.5
    assert residuals.max() < 5


def test_roll_is_taken_out_by_alignment_and_kept_in_a_loose_crop() -> None:
    who = Population(1).person(0)
    straight, tilted = Nuisance(), Nuisance(roll=30.0)
    shape = bend([who, who], [straight, tilted], CPU)
    aligned = place(shape, [straight, tilted], 112).landmarks
    torch.testing.assert_close(aligned[0], aligned[1], atol=1e-6, rtol=0)
    loose = place(shape, [straight, tilted], 112, aligned=False).landmarks
    across = (loose[:, :, 1] - loose[:, :, 0]).numpy()
    # Clockwise: the eye on the viewer's right is lower, y points down.
    angles = np.degrees(np.arctan2(across[:, 1], across[:, 0]))
    np.testing.assert_allclose(angles[1] - angles[0], 30, atol=0.5)


def test_angles_turn_the_way_they_say() -> None:
    ahead = np.array([0.0, 0.0, 1.0])
    assert (rotation_matrix(30, 0, 0) @ ahead)[0] > 0.4
    assert (rotation_matrix(0, 30, 0) @ ahead)[1] > 0.4
    assert (rotation_matrix(0, 0, 30) @ np.array([1.0, 0, 0]))[1] < -0.4


def test_light_reaches_the_forehead_but_not_below_the_nose() -> None:
    field = light_field()
    base = template_head().base
    forehead = np.argmin(((base - [0, 50, 95]) ** 2).sum(axis=1))
    below_nose = np.argmin(((base - [6, -50, 92]) ** 2).sum(axis=1))
    assert field.open[forehead] > 0.95
    assert field.open[below_nose] < 0.9
    above = field.directions[:, 1] > 0.75
    assert field.visible[above, forehead].mean() > field.visible[above, below_nose].mean() + 0.3
