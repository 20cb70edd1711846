"""Hands of many people in many poses before a camera, labelled without a picture."""

import numpy as np

from handdata.skeleton import LEFT
from handdata.synth.frame import Camera
from handdata.synth.hand import load_hand
from handdata.synth.keypoints import keypoint_bones, label_points
from handdata.synth.kinematics import carry, forward
from handdata.synth.place import draw_orientation, stand_at
from handdata.synth.pose import body_of, sample_pose
from handdata.synth.scene import arm_direction
from handdata.synth.shapes import MIRROR

K = np.array([[617.173, 0, 315.453], [0, 617.173, 242.259], [0, 0, 1]])  # of SynthHands


def made_hands(count):
    """(N, 21, 3) mm: left hands of many people in many poses, 300 to 800 mm away, anywhere in 640 x 480."""
    camera, model, found = Camera(name="color", K=K, width=640, height=480), load_hand(), []
    for index in range(count):
        rng = np.random.default_rng([11, index])
        body = body_of(model, *model.sample_shape(rng))
        angles = sample_pose(rng, body)
        turn = draw_orientation(rng, arm_direction(body, LEFT, angles), "front")
        points = label_points(body.centres, "annotated")
        posed = carry(forward(model, body.skeleton, angles[None]), keypoint_bones(), points)[0] @ (turn @ MIRROR).T
        posed = posed - posed[0]
        wrist = stand_at(camera, rng.random(2), rng.uniform(300, 800), posed.mean(0), 95.0 * body.scale)
        found.append(posed + wrist)
    return np.array(found)
