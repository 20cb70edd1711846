"""How a hand moves through a sequence: waypoints joined at realistic speed, and a wrist that wanders.

Everything is a function of time: a waypoint has its own random numbers, so that any frame can be rendered on its own.
"""

import zlib
from dataclasses import dataclass

import numpy as np

from handdata.synth.frame import Motion
from handdata.synth.grasp import Grasp
from handdata.synth.kinematics import HAND, WRIST, rotation
from handdata.synth.mesh import Floats
from handdata.synth.pose import COUNTING, Body, constrain, free_pose, hand_angles, sample_pose, sample_wrist

MOVING = 0.6  # share of the time between waypoints spent moving; the rest is held
SECONDS = {"random": (0.7, 1.2), "count": (0.8, 1.1), "swipe": (0.9, 1.4), "grasp": (0.8, 1.3)}
OPEN_KEYS, CLOSED_KEYS = ("spread", "sphere", "relaxed"), ("pinch", "small_cylinder", "tripod", "beak", "lateral")
SWIPE_KEYS = ("together", "flat", "spread", "relaxed")
NOISE_DEG = 3.0  # nobody makes the same gesture twice
TURN_DEG = {"random": 26.0, "count": 11.0, "swipe": 14.0, "grasp": 24.0}  # how far the wrist turns either way
REACH = {"random": 0.8, "count": 0.45, "swipe": 1.0, "grasp": 0.7}  # share of the room that is wandered through
WANDER_HZ = np.array([0.11, 0.23, 0.41])
WANDER_SHARE = np.array([0.55, 0.3, 0.15])
SWIPE_HZ = 0.5
LOOSEN = 0.3  # a holding hand opens at most this far


@dataclass(frozen=True)
class Instant:
    """A hand at one time: (24,) angles, (3, 3) turn to be applied after the base one, place 0..1, closeness 0..1."""

    angles: Floats
    turn: Floats
    place: Floats
    nearness: float


@dataclass(frozen=True)
class Choreography:
    """One hand's motion; `seed` and time decide everything."""

    motion: Motion
    body: Body
    grasp: Grasp | None
    seed: tuple[int, ...]
    seconds: float
    phases: Floats  # (6, 3) of the wandering of three turns, place x, place y, distance

    def at(self, seconds: float) -> Instant:
        """Return the hand at a time."""
        wander = self._wander(seconds)
        reach = REACH[self.motion]
        if self.motion == "swipe":
            wander[3] = np.sin(2 * np.pi * SWIPE_HZ * seconds + self.phases[3, 0])
        turn = np.eye(3)
        for axis, degrees in enumerate(wander[:3] * TURN_DEG[self.motion]):
            turn = turn @ rotation(np.eye(3)[axis], np.asarray(degrees))
        return Instant(
            angles=self._gesture(seconds) if self.grasp is None else self._held(self.grasp, seconds),
            turn=turn,
            place=0.5 + 0.5 * reach * wander[3:5],
            nearness=float(0.5 + 0.5 * wander[5]),
        )

    def _wander(self, seconds: float) -> Floats:
        """Return (6,) smooth values within -1..1."""
        waves = np.sin(2 * np.pi * WANDER_HZ * seconds + self.phases)
        result: Floats = np.clip(1.35 * waves @ WANDER_SHARE, -1, 1)
        return result

    def _gesture(self, seconds: float) -> Floats:
        step, share = divmod(seconds / self.seconds, 1.0)
        x = min(share / MOVING, 1.0)
        eased = x * x * x * (10 - 15 * x + 6 * x * x)  # least jerk
        angles = (1 - eased) * self._waypoint(int(step)) + eased * self._waypoint(int(step) + 1)
        return free_pose(self.body, angles)

    def _held(self, grasp: Grasp, seconds: float) -> Floats:
        """Loosen the grip now and then, finger by finger."""
        angles = grasp.angles.copy()
        loose = np.clip(np.sin(1.7 * seconds + self.phases[:4].sum(1)), 0, 1) * LOOSEN
        for row in (slice(0, 4), slice(4, 8), slice(8, 12)):
            angles[row] *= 1 - loose
        rng = np.random.default_rng(self.seed)
        angles[WRIST] = sample_wrist(rng, 1)[0] * np.sin(0.9 * seconds + self.phases[0, 1])
        return angles

    def _waypoint(self, number: int) -> Floats:
        rng = np.random.default_rng([*self.seed, number])
        if self.motion == "random":
            return sample_pose(rng, self.body)
        if self.motion == "count":
            key = COUNTING[number % len(COUNTING)]
        elif self.motion == "swipe":
            key = SWIPE_KEYS[rng.integers(len(SWIPE_KEYS))]
        else:
            keys = CLOSED_KEYS if number % 2 else OPEN_KEYS
            key = keys[rng.integers(len(keys))]
        angles = hand_angles(key)
        angles[HAND] += rng.normal(0, NOISE_DEG, HAND.stop)
        angles[WRIST] = sample_wrist(rng, 1)[0] * 0.4
        result: Floats = constrain(angles[None])[0]
        return result


def choreograph(motion: Motion, body: Body, grasp: Grasp | None, seed: tuple[int, ...]) -> Choreography:
    """Plan a hand's motion from a seed."""
    rng = np.random.default_rng([*seed, zlib.crc32(b"motion")])
    return Choreography(
        motion=motion,
        body=body,
        grasp=grasp,
        seed=seed,
        seconds=rng.uniform(*SECONDS[motion]),
        phases=rng.uniform(0, 2 * np.pi, (6, 3)),
    )
