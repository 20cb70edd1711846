"""Follow hands from picture to picture: found by a detector, then each looked for where it was last. No torch here.

A hand is in one of two states. *Seen*: the model is shown a square about where its keypoints were, moved by their last
motion, and is confident. *Followed*: it is not; for at most ten pictures an image tracker carries the box on and the
model is asked there, until it is confident again or the hand is lost. The detector looks for further hands on every
picture while there are fewer than wanted, and every thirtieth picture it must confirm those there are: one that it does
not see on four pictures running, or on two while it is sure of a hand elsewhere, is let go.
"""

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from handdata.geometry import iou
from handdata.model.spots import Detector, Spot
from handdata.pictures.crops import meets_picture, scale_about_center, share_of_smaller
from handdata.shards.hand import Hand
from handdata.track.carry import Carry, ImageTracker, image_tracker
from handdata.track.course import Course
from handdata.track.smooth import HandSmoother, Smoothed, Smoother

Image = NDArray[np.uint8]
Pose = Callable[[Image, Sequence[NDArray[np.float64]], Sequence[str]], list[Hand]]

MARGIN = 0.25  # of the extent of the keypoints, on each side of them
SURE = 0.5  # score of a spot that begins a hand
PROPOSED, SEEN = 0.2, 0.45  # of one that the model is asked about, and its confidence if that is to begin a hand
SECOND = 0.55  # of one beside or on a hand that is followed; from 0.65 on true new ones are lost (docs/video.md)
PROVEN = 0.5  # confidence that a hand must once have reached before less than SEEN is enough for it
TRIED = 2  # spots on a picture that are asked about beyond the hands to follow
APART = 0.3  # overlap of boxes below which two hands are two
SAME = 0.6  # overlap of boxes beyond which two hands are one
ONE_HAND = 0.2  # distance of two answers, in sides of their boxes, below which they are of one hand
COVERED = 0.5  # overlap of two answers where one in doubt is of the other's hand
WITHIN = 0.8  # share of the smaller of two boxes in the other, beyond which it lies in it
MOST_FOLLOWED = 10  # pictures that a hand is carried on without the model's confidence
AGAIN = 0.1  # confidence beyond the least that ends it
CHECK_EVERY, MOST_MISSED = 30, 4  # pictures between the detector's confirmations, and how many may fail running
MISSED_FOR_OTHERS = 2  # and how many if the detector is sure of a hand elsewhere
WIDER = 1.4  # of a detector's box that a new hand is looked at in too: its boxes may hold a fist without its fingers
ASK_FIRST, ASK_EVERY, VOTES = 5, 10, 5  # pictures on which the side is asked for: the first, then every so many


@dataclass(frozen=True, kw_only=True)
class TrackedHand:
    """One hand in one picture of a video.

    Attributes:
        track: number of the hand, from 0; a hand that was lost comes back under a new one.
        state: "seen", or "followed" where the model is not confident.
        confidence: presence times the median peak of the model's maps, 0..1.
        hand: what the model found, in px of the picture.
        smoothed: its points, smoothed over time.
    """

    track: int
    state: Literal["seen", "followed"]
    confidence: float
    hand: Hand
    smoothed: Smoothed


Follow = Callable[[Image, float], list[TrackedHand]]  # a picture and its time: what is asked of a tracker


@dataclass
class _Track:
    number: int
    side: str
    box: NDArray[np.float64]  # where to look next
    smoother: Smoother
    votes: deque[str] = field(default_factory=lambda: deque(maxlen=VOTES))
    age: int = 0
    followed: int = 0
    missed: int = 0
    middle: NDArray[np.float64] | None = None  # of the last keypoints
    good: tuple[Image, NDArray[np.float64]] | None = None  # the last picture that the model was confident on
    carry: Carry | None = None
    course: Course = field(default_factory=Course)
    hidden: int = 0  # pictures running that another hand is in front
    proven: bool = False  # the model was once sure of it
    likely: bool = False  # its spot alone does not say that it is a hand
    lost: bool = False

    @property
    def is_settled(self) -> bool:
        """Say whether it has been there for long enough to have a course."""
        return self.middle is not None and self.age >= ASK_FIRST


class Tracker:
    """Follows up to `most_hands` hands.

    Args:
        detector: finds hands in a whole picture, boxes 1.25 times the square round the keypoints.
        pose: (picture, boxes, sides) -> a hand each, with `presence` and `peaks`; a side may be "auto".
        most_hands: to follow.
        least_confidence: below which the model does not see a hand.
        side: "left" or "right" for every hand, or "auto" to ask the model.
        smoother: makes what smooths one hand, once for each track.
        carrier: the image tracker, (picture, box) -> (next picture -> box or None), or None for a box that is no good.

    Example:
        >>> import numpy as np
        >>> Tracker(lambda image: [], lambda image, boxes, sides: [])(np.zeros((120, 160, 3), np.uint8), 0.0)
        []
    """

    def __init__(
        self,
        detector: Detector,
        pose: Pose,
        *,
        most_hands: int = 2,
        least_confidence: float = 0.25,
        side: str = "auto",
        smoother: Callable[[], Smoother] = HandSmoother,
        carrier: ImageTracker | None = None,
    ) -> None:
        self._detector, self._pose, self._smoother = detector, pose, smoother
        self._carrier = carrier or image_tracker()
        self._most, self._least, self._side = most_hands, least_confidence, side
        self._tracks: list[_Track] = []
        self._begun = 0
        self._shown: dict[int, int] = {}  # what was begun -> its number among those that were ever answered
        self._pictures = 0
        self._spots: list[Spot] | None = None  # of the picture, if the detector has looked at it

    def __call__(self, image: Image, seconds: float) -> list[TrackedHand]:
        """Look at the next picture of a video.

        Args:
            image: (H, W, 3) uint8 RGB.
            seconds: the clock.

        Returns:
            The hands that are there, in the order in which they first appeared.
        """
        due = [track for track in self._tracks if track.missed or self._pictures % CHECK_EVERY == 0]
        self._spots = None
        if len(self._tracks) < self._most or due:
            self._spots = self._detector(image)
            self._confirm(due, self._spots)
            self._begin(self._spots)
        self._pictures += 1
        for track in self._tracks:
            if track.carry is not None:
                self._carry_on(track, image)
        self._drop()
        found = self._look(image, seconds)
        self._drop()
        kept = [one for one in found if any(track.number == one.track for track in self._tracks)]
        return [replace(one, track=self._shown.setdefault(one.track, len(self._shown))) for one in kept]

    def _confirm(self, due: Sequence[_Track], spots: Sequence[Spot]) -> None:
        """Let go of hands that the detector does not see on several pictures running; sooner if it sees others."""
        for track in due:
            unseen = track.carry is not None  # then only a spot that alone says hand confirms it
            there = any(iou(spot.box_xyxy, track.box) >= APART for spot in spots if spot.score >= SURE or not unseen)
            self._count(track, spots, missed=not there)
        self._drop()

    def _count(self, track: _Track, spots: Sequence[Spot], *, missed: bool) -> None:
        """Count whether a track is missed, and let go of it after a few times running."""
        track.missed = track.missed + 1 if missed else 0
        track.lost |= track.missed >= (MISSED_FOR_OTHERS if self._elsewhere(spots) else MOST_MISSED)

    def _elsewhere(self, spots: Sequence[Spot]) -> list[Spot]:
        """Return the hands that the detector is sure of apart from those that are followed."""
        return [spot for spot in spots if spot.score >= SURE and self._is_apart(spot)]

    def _is_apart(self, spot: Spot) -> bool:
        return all(iou(spot.box_xyxy, track.box) < APART for track in self._tracks)

    def _begin(self, spots: Sequence[Spot]) -> None:
        free = 0 if len(self._tracks) >= self._most else self._most + TRIED - len(self._tracks)
        for spot in [spot for spot in spots if spot.score >= PROPOSED and self._is_apart(spot)][:free]:
            if self._is_apart(spot):
                side = spot.side if self._side == "auto" else self._side
                likely = spot.score < SURE
                self._tracks.append(_Track(self._begun, side, spot.box_xyxy, self._smoother(), likely=likely))
                self._begun += 1

    def _carry_on(self, track: _Track, image: Image) -> None:
        """Move the box with the image tracker."""
        box = track.carry(image) if track.carry is not None else None
        track.followed += 1
        if box is None or track.followed > MOST_FOLLOWED:
            track.lost = True
        else:
            track.box = box

    def _look(self, image: Image, seconds: float) -> list[TrackedHand]:
        """Show the model where each hand should be."""
        if not self._tracks:
            return []
        height, width = image.shape[:2]
        for track in self._tracks:
            track.lost |= not (np.isfinite(track.box).all() and meets_picture(track.box, width, height))
        self._drop()
        asked = [self._asked(track) for track in self._tracks]
        hands = self._pose(image, [track.box for track in self._tracks], asked) if self._tracks else []
        self._look_wider(image, hands, asked)
        self._look_at_spots(image, hands, asked)
        found, behind = [], self._behind(hands)
        for track, hand, side in zip(list(self._tracks), hands, asked, strict=True):
            if track.number in behind or (track.hidden and confidence_of(hand) < self._least):
                self._pass_behind(track)
                continue
            track.hidden = 0
            if side == "auto":
                track.votes.append(hand.side)
                track.side = Counter(track.votes).most_common(1)[0][0]
            confidence = confidence_of(hand)
            self._judge(track, hand, confidence, image)
            if not track.lost:
                side_px = float(hand.crop_box[2] - hand.crop_box[0])
                smoothed = track.smoother(hand.keypoints_2d, hand.keypoints_3d_normalized, side_px, hand.side, seconds)
                state: Literal["seen", "followed"] = "seen" if track.carry is None else "followed"
                found.append(
                    TrackedHand(track=track.number, state=state, confidence=confidence, hand=hand, smoothed=smoothed)
                )
            track.age += 1
        self._part()
        self._let_go_of_more_than_asked({one.track: one.confidence for one in found})
        return found

    def _let_go_of_more_than_asked(self, confidence: Mapping[int, float]) -> None:
        """Keep the hands that were there, then the new ones that the model is surest of."""
        alive = [track for track in self._tracks if not track.lost]
        alive.sort(key=lambda track: (track.age == 1, -confidence.get(track.number, 0.0) if track.age == 1 else 0.0))
        for track in alive[self._most :]:
            track.lost = True

    def _look_wider(self, image: Image, hands: list[Hand], asked: Sequence[str]) -> None:
        """Put in place of a new hand what the model sees in a wider box, if it is surer of that."""
        new = [i for i, track in enumerate(self._tracks) if track.age == 0]
        boxes = {i: scale_about_center(self._tracks[i].box, WIDER) for i in new}
        self._look_again(image, hands, asked, boxes)

    def _look_at_spots(self, image: Image, hands: list[Hand], asked: Sequence[str]) -> None:
        """Put in place of a doubtful hand what the model sees where the detector finds it, if it is surer of that."""
        doubtful = [i for i, track in enumerate(self._tracks) if track.age and confidence_of(hands[i]) < SEEN]
        if not doubtful:
            return
        spots = self._detector(image) if self._spots is None else self._spots
        places = {i: self._spot_of(i, spots) for i in doubtful}
        self._look_again(image, hands, asked, {i: box for i, box in places.items() if box is not None})
        elsewhere = self._elsewhere(spots)
        if not elsewhere:
            return
        for i in doubtful:
            if confidence_of(hands[i]) < self._least:
                self._count(self._tracks[i], spots, missed=True)
        least = min(doubtful, key=lambda i: confidence_of(hands[i]))
        if len(self._tracks) == self._most and confidence_of(hands[least]) < self._least + AGAIN:
            (other,) = self._pose(image, [elsewhere[0].box_xyxy], [self._side])
            self._tracks[least].lost |= confidence_of(other) >= SEEN  # which is begun on the next picture

    def _look_again(
        self, image: Image, hands: list[Hand], asked: Sequence[str], boxes: Mapping[int, NDArray[np.float64]]
    ) -> None:
        """Put in place of hands, by number, what the model sees in other boxes, where it is surer of that."""
        if not boxes:
            return
        for i, hand in zip(boxes, self._pose(image, list(boxes.values()), [asked[i] for i in boxes]), strict=True):
            if confidence_of(hand) > confidence_of(hands[i]):
                hands[i] = hand

    def _spot_of(self, number: int, spots: Sequence[Spot]) -> NDArray[np.float64] | None:
        """Return the box of the spot that lies best on a track, and better on it than on any other."""
        overlaps = np.array([[iou(spot.box_xyxy, track.box) for track in self._tracks] for spot in spots])
        own = [j for j in range(len(spots)) if overlaps[j, number] >= APART and overlaps[j].argmax() == number]
        return spots[max(own, key=lambda j: overlaps[j, number])].box_xyxy if own else None

    def _behind(self, hands: Sequence[Hand]) -> set[int]:
        """Return the tracks that the model answers with the hand of another: the two cross, and that one is in front.

        Of two the one is behind whose course led elsewhere: where the answers agree, or lie on each other and the model
        doubts that one. New tracks are left out: they may be of one hand.
        """
        answers = [_box_of(hand.keypoints_2d) for hand in hands]
        settled = [i for i, track in enumerate(self._tracks) if track.is_settled]
        found = set()
        for i, j in combinations(settled, 2):
            side = float(np.mean([box[2] - box[0] for box in (answers[i][0], answers[j][0])]))
            is_one = np.abs(answers[i][1] - answers[j][1]).max() < ONE_HAND * side
            behind = max(j, i, key=lambda k: np.abs(answers[k][1] - self._tracks[k].course.ahead).max())
            if is_one or (confidence_of(hands[behind]) < SECOND and lie_on(answers[i][0], answers[j][0], COVERED)):
                found.add(self._tracks[behind].number)
        return found

    def _pass_behind(self, track: _Track) -> None:
        """Move a hand on that another one covers; after ten pictures it is let go."""
        track.hidden, track.carry, track.followed = track.hidden + 1, None, 0
        track.age += 1
        track.lost |= track.hidden > MOST_FOLLOWED
        track.course.go_on()
        half = (track.box[2:] - track.box[:2]) / 2
        track.middle = track.course.place
        track.box = np.concatenate([track.middle - half, track.middle + half])

    def _asked(self, track: _Track) -> str:
        """Return the side that the model is told, or "auto" on the pictures where it is asked."""
        ask = track.age < ASK_FIRST or track.age % ASK_EVERY == 0
        return "auto" if self._side == "auto" and ask else track.side

    def _judge(self, track: _Track, hand: Hand, confidence: float, image: Image) -> None:
        """Settle the state of a hand, and where to look for it on the next picture."""
        judged = track.likely or np.isfinite(hand.presence)  # the model says whether a new hand is one
        least = SEEN if judged and not track.proven else self._least
        if judged and track.good is None and any(other.good is not None and other.age > 1 for other in self._tracks):
            least = SECOND
        track.proven |= confidence >= PROVEN
        if confidence >= least + (AGAIN if track.carry is not None else 0):
            box, middle = _box_of(hand.keypoints_2d)
            motion = np.zeros(2) if track.middle is None else (middle - track.middle) / (1 + track.followed)
            track.course.see(middle, 1 + track.followed)
            track.middle, track.carry, track.followed = middle, None, 0
            track.good = image, box
            track.box = box + np.tile(motion, 2)
        elif track.good is None or (judged and not track.proven):
            track.lost = True  # what the detector saw is no hand to the model
        elif track.carry is None:
            track.carry = self._carrier(*track.good)
            moved = None if track.carry is None else track.carry(image)
            track.lost |= track.carry is None
            track.box = track.box if moved is None else moved

    def _part(self) -> None:
        """Let go of a new hand that is one of the others; of two settled ones one passes behind the other."""
        for i, track in enumerate(self._tracks):
            others = (older for older in self._tracks[:i] if not (older.lost or older.hidden))
            track.lost |= not track.is_settled and any(iou(track.box, older.box) > SAME for older in others)

    def _drop(self) -> None:
        self._tracks = [track for track in self._tracks if not track.lost]


def confidence_of(hand: Hand) -> float:
    """Return the confidence of a hand, 0..1; 1 of a model that does not say."""
    known = hand.confidence
    return 1.0 if np.isnan(known) else known


def lie_on(a: NDArray[np.float64], b: NDArray[np.float64], most_overlap: float) -> bool:
    """Return whether two boxes overlap by more, or the smaller lies in the other: two answers may be of one hand."""
    return bool(iou(a, b) > most_overlap or share_of_smaller(a, b) > WITHIN)


def _box_of(uv: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the square about the keypoints with its margin, and its middle."""
    low, high = uv.min(0) + 0.5, uv.max(0) + 0.5
    middle, half = (low + high) / 2, (0.5 + MARGIN) * max(float((high - low).max()), 1.0)
    return np.concatenate([middle - half, middle + half]), middle
