"""The labels of a rendered picture against methods that share no code with the renderer."""

import cv2
import numpy as np
import pytest
import trimesh

from handdata.skeleton import FINGER_OF, LEFT, NUM_KEYPOINTS, RIGHT
from handdata.synth.frame import HIDDEN_BY_OTHER, HIDDEN_BY_SELF, OUTSIDE, VISIBLE, project_world
from handdata.synth.hand import load_hand
from handdata.synth.keypoints import label_points, rotation_centres
from handdata.synth.render import build_surface, render_view
from handdata.synth.scene import Scene
from handdata.synth.visibility import tolerance
from tests.synth.made_pictures import make
from tests.synth.rays import first_hits


def pixels(made):
    return project_world(made.labels(), made.camera)


def in_picture(made):
    uv = np.rint(pixels(made))
    return (uv >= 0).all(1) & (uv[:, 0] < made.camera.width) & (uv[:, 1] < made.camera.height)


def bare_hand(made):
    """The same picture without its object."""
    scene = Scene(**{**vars(made.scene), "solid": None})
    return render_view(scene, build_surface(scene, (made.camera,)), made.camera)


def winding_numbers(points, triangles):
    """How often a closed surface goes round each point, by solid angles (Van Oosterom & Strackee 1983)."""
    result = []
    for point in points:
        a, b, c = np.moveaxis(triangles - point, 1, 0)
        la, lb, lc = (np.linalg.norm(x, axis=1) for x in (a, b, c))
        volume = np.einsum("ij,ij->i", a, np.cross(b, c))
        rest = la * lb * lc + (a * b).sum(1) * lc + (b * c).sum(1) * la + (c * a).sum(1) * lb
        result.append(np.arctan2(volume, rest).sum() / (2 * np.pi))
    return np.array(result)


def test_projection_is_opencvs(pictures):
    for made in pictures:
        ours = pixels(made)
        theirs = cv2.projectPoints(made.labels(), np.zeros(3), np.zeros(3), made.camera.K, None)[0][:, 0]
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_keypoints_lie_inside_the_silhouette(pictures):
    hits = []
    for made in pictures:
        inside = in_picture(made)
        column, row = np.rint(pixels(made)[inside]).astype(int).T
        hits.append(bare_hand(made).mask[row, column] == 1)
    assert np.concatenate(hits).mean() >= 0.997


@pytest.mark.parametrize("side", [LEFT, RIGHT])
def test_keypoints_lie_inside_the_closed_mesh(side):
    inside = []
    for index in range(8):
        made = make(index, side=side)
        hand = made.surface.faces[made.surface.part > 0]
        inside.append(winding_numbers(made.labels(), made.surface.vertices[hand]))
    assert np.concatenate(inside).min() > 0.5  # flesh that overlaps at a bent joint counts twice


def test_depth_is_what_rays_hit(pictures):
    errors = []
    for made in pictures[:24:2]:
        row, column = (axis.ravel() for axis in np.mgrid[3 : made.camera.height : 11, 3 : made.camera.width : 11])
        rays = np.stack([column, row, np.ones(len(row))], 1) @ np.linalg.inv(made.camera.K).T
        depth, _ = first_hits(made.surface, rays)
        ours = made.view.depth[row, column]
        assert (np.isfinite(depth) == (ours > 0)).mean() > 0.998
        both = np.isfinite(depth) & (ours > 0)
        errors.append(np.abs(depth - ours)[both])
    error = np.concatenate(errors)
    assert np.median(error) < 5e-5  # mm
    assert np.quantile(error, 0.995) < 1e-2


def test_visibility_is_what_rays_hit(pictures):
    agree = []
    for made in pictures:
        labels, hand = made.labels(), made.scene.hands[0]
        depth, triangle = first_hits(made.surface, labels)
        own = (triangle >= 0) & (made.surface.part[triangle] > 0)
        expected = np.where(own, labels[:, 2] - depth <= tolerance(hand.scale), labels[:, 2] < depth)
        agree.append(made.view.visible[0] == (expected & in_picture(made)))
    assert np.concatenate(agree).mean() >= 0.99


def test_every_reason_occurs_and_visible_means_visible(pictures):
    reasons = np.concatenate([made.view.reason[0] for made in pictures])
    visible = np.concatenate([made.view.visible[0] for made in pictures])
    assert {VISIBLE, HIDDEN_BY_SELF, HIDDEN_BY_OTHER} <= set(reasons.tolist())
    np.testing.assert_array_equal(visible, reasons == VISIBLE)
    assert 0.4 < visible.mean() < 0.9
    outside = np.concatenate([~in_picture(made) for made in pictures])
    np.testing.assert_array_equal(reasons == OUTSIDE, outside)


def test_a_visible_keypoint_lies_on_its_own_finger(pictures):
    hits = []
    for made in pictures:
        chosen = made.view.visible[0] & in_picture(made) & (np.array(FINGER_OF) >= 0)
        chosen[1::4] = False  # knuckles lie on the border to the palm
        column, row = np.rint(pixels(made)[chosen]).astype(int).T
        part = made.view.part[row, column].astype(int) - 1
        seen = part >= 0
        hits.append((part // 3 == np.array(FINGER_OF)[chosen])[seen])
    assert np.concatenate(hits).mean() > 0.95


def test_mask_part_and_depth_tell_the_same_story(pictures):
    for made in pictures:
        view = made.view
        np.testing.assert_array_equal(view.mask > 0, view.depth > 0)
        np.testing.assert_array_equal(view.mask == 1, view.part > 0)
        assert view.part.max() <= 17
    assert {2} <= set(np.concatenate([np.unique(made.view.mask) for made in pictures]).tolist())


@pytest.mark.parametrize("coarse", [True, False])
def test_hand_mesh_is_closed_and_wound_outwards(coarse):
    mesh = load_hand().mesh(coarse=coarse)
    solid = trimesh.Trimesh(mesh.rest, mesh.faces, process=False)
    assert solid.is_watertight
    assert solid.is_winding_consistent
    assert solid.volume > 0
    assert len(mesh.faces) == (3734 if coarse else 14780)


@pytest.mark.parametrize("side", [LEFT, RIGHT])
def test_either_hand_is_wound_outwards(side):
    surface = make(1, side=side).surface
    a, b, c = np.moveaxis(surface.vertices[surface.faces[surface.part > 0]], 1, 0)
    assert np.einsum("ij,ij->i", a - surface.vertices[0], np.cross(b - a, c - a)).sum() > 0


def test_left_hand_is_the_right_one_mirrored():
    left, right = make(2, side=LEFT).scene, make(2, side=RIGHT).scene
    np.testing.assert_array_equal(left.setting.person.beta, right.setting.person.beta)
    lengths = [np.linalg.norm(np.diff(s.hands[0].centres, axis=0), axis=1) for s in (left, right)]
    np.testing.assert_allclose(*lengths, atol=1e-9)

    def thumb_side(scene):  # of the palm's plane: positive for one hand, negative for the other
        wrist, index, little, thumb = scene.hands[0].centres[[0, 5, 17, 2]]
        return np.linalg.det(np.stack([index - wrist, little - wrist, thumb - wrist]))

    flat = load_hand()
    rest = flat.joints[[flat.joint[name] for name in ("wrist", "f21", "f51", "f12")]]
    sign = np.sign(np.linalg.det(rest[1:] - rest[0]))
    assert np.sign(thumb_side(right)) == sign
    assert np.sign(thumb_side(left)) == -sign


def test_labels_of_the_two_conventions_ride_on_the_same_bones():
    hand = load_hand()
    centres = rotation_centres(hand, hand.joints)
    rigged, annotated = (label_points(centres, name) for name in ("rigged", "annotated"))
    np.testing.assert_allclose(rigged[[0, 4, 8]], centres[[0, 4, 8]])
    for moved in (rigged, annotated):
        shift = np.linalg.norm(moved - centres, axis=1)
        assert shift.max() == shift[1] < 25  # mm; the CMC moves most
        assert shift[[5, 9, 13, 17]].min() > 2
    assert rigged.shape == (NUM_KEYPOINTS, 3)
