"""What the peers compute, as plain loops in our words: the oracles of test_peers.py. Nothing of handdata is used here.

Conventions of every function: points are (N, 21, 3) or (N, 21, 2) with NaN where missing, in our order (wrist, then
each finger from its base to its tip). Where a peer has no word for it, a label without a prediction is wrong in every
share and left out of every mean.
"""

import numpy as np
from scipy.linalg import orthogonal_procrustes

WRIST, MIDDLE_MCP, MIDDLE_PIP = 0, 9, 10
TIPS = (4, 8, 12, 16, 20)


def mean(values):
    values = [value for value in values if np.isfinite(value)]
    return sum(values) / len(values)


def trapezoid(heights, thresholds):
    area = sum((heights[i] + heights[i + 1]) / 2 * (thresholds[i + 1] - thresholds[i]) for i in range(len(heights) - 1))
    return area / (thresholds[-1] - thresholds[0])


def distance(one, other):
    off = np.sqrt(np.sum((np.asarray(one, float) - np.asarray(other, float)) ** 2))
    return np.inf if np.isnan(off) else off


def length(one, other):
    """Return the length of a bone, NaN where an end is missing."""
    return float(np.linalg.norm(np.asarray(one, float) - np.asarray(other, float)))


def there(point):
    return np.isfinite(point).all()


class Lists:
    """hand3d's way to sum up, which Minimal-Hand and FreiHAND took over: a list of distances per keypoint."""

    def __init__(self):
        self.lists = [[] for _ in range(21)]

    def feed(self, truth, counts, said):
        for slot in range(len(truth)):
            if counts[slot]:
                self.lists[slot].append(distance(truth[slot], said[slot]))

    @property
    def used(self):
        return [values for values in self.lists if values]

    def mean(self):
        return mean([mean(values) for values in self.used if np.isfinite(values).any()])

    def median(self):
        return mean([float(np.median([v for v in values if np.isfinite(v)])) for values in self.used
                     if np.isfinite(values).any()])  # fmt: skip

    def area(self, thresholds):
        curves = [[sum(v <= t for v in values) / len(values) for t in thresholds] for values in self.used]
        return mean([trapezoid(curve, thresholds) for curve in curves])

    def pooled(self, thresholds):
        values = [value for of_keypoint in self.used for value in of_keypoint]
        return trapezoid([sum(v <= t for v in values) / len(values) for t in thresholds], thresholds)


def dominant(picture, is_left, visible):
    """Return the rows of each picture's dominant hand: the left one if strictly more of its keypoints are visible."""
    rows = []
    for name in sorted(set(picture)):
        here = [row for row in range(len(picture)) if picture[row] == name]
        if len(here) > 1:
            left, right = sorted(here, key=lambda row: not is_left[row])
            here = [left if (visible[left] == 1).sum() > (visible[right] == 1).sum() else right]
        rows += here
    return rows


# ------------------------------------------------------------------------------------------------ hand3d


def hand3d(truth, annotated, visible, said, palm, rows, *, rescale):
    """Return hand3d's lists: its palm in the wrist's place and as the root, of keypoints that are not occluded.

    The palm is the label where there is one (Stereo), else halfway between wrist and middle MCP; it is visible where
    one of them is. A prediction's palm is its own halfway point. hand3d multiplies its answer, in units of the middle
    finger's first phalanx, by the true length of that bone: `rescale`. Millimetres are fed as they are.
    """
    lists = Lists()
    for i in rows:
        t, s, counts = truth[i].astype(float), said[i].astype(float), annotated[i] & (visible[i] != 0)
        s[WRIST] = (s[WRIST] + s[MIDDLE_MCP]) / 2
        if there(palm[i]):
            t[WRIST], counts[WRIST] = palm[i], True
        else:
            t[WRIST] = (t[WRIST] + t[MIDDLE_MCP]) / 2
            seen = visible[i][WRIST] == 1 or visible[i][MIDDLE_MCP] == 1
            counts[WRIST] = annotated[i][WRIST] and annotated[i][MIDDLE_MCP] and seen
        if not there(t[WRIST]):
            continue
        if rescale:
            if not (there(t[MIDDLE_MCP]) and there(t[MIDDLE_PIP])):
                continue
            s = s * (length(t[MIDDLE_MCP], t[MIDDLE_PIP]) / length(s[MIDDLE_MCP], s[MIDDLE_PIP]))
        lists.feed(t - t[WRIST], counts, s - s[WRIST])
    return lists


HAND3D_THRESHOLDS = [i * 50 / 19 for i in range(20)][8:]


# ------------------------------------------------------------------------------------------------ Minimal-Hand


def minimal_hand_full(truth, annotated, said, rows):
    """Return Minimal-Hand's lists of full hands: middle MCP (its keypoint 9) as root, bone 0-9 as long as in truth."""
    lists = Lists()
    for i in rows:
        t, s = truth[i], said[i]
        if there(t[WRIST]) and there(t[MIDDLE_MCP]):
            scale = length(t[WRIST], t[MIDDLE_MCP]) / length(s[WRIST], s[MIDDLE_MCP])
            lists.feed(t - t[MIDDLE_MCP], annotated[i], (s - s[MIDDLE_MCP]) * scale)
    return lists


def minimal_hand_tips(truth, annotated, said):
    """Return Minimal-Hand's lists of fingertips: centroid and mean radius from truth, frames with one or none dropped.

    The labelled tips of a frame are packed together before they are fed, so a list holds each frame's first, second ..
    labelled tip, not one finger.
    """
    lists = Lists()
    for i in range(len(truth)):
        tips = [k for k in TIPS if annotated[i][k]]
        if len(tips) < 2:
            continue
        both = [k for k in tips if there(said[i][k])]
        packed = np.full((len(tips), 3), np.nan)
        centre = np.mean([truth[i][k] for k in both], axis=0) if len(both) > 1 else np.full(3, np.nan)
        if len(both) > 1:
            said_centre = np.mean([said[i][k] for k in both], axis=0)
            radius = mean([distance(truth[i][k], centre) for k in both])
            said_radius = mean([distance(said[i][k], said_centre) for k in both])
            packed = np.array([(said[i][k] - said_centre) * radius / said_radius + centre for k in tips])
        lists.feed([truth[i][k] for k in tips], [True] * len(tips), packed)
    return lists


MINIMAL_HAND_THRESHOLDS = [20 + i * 30 / 14 for i in range(15)]


# ------------------------------------------------------------------------------------------------ mmpose


def mmpose_pck(truth, annotated, said, unit, threshold):
    """Return the mean over keypoints of the share of labels nearer, in the sample's unit, than a threshold."""
    shares = []
    for k in range(21):
        passed = [distance(truth[i][k], said[i][k]) / unit[i] < threshold for i in range(len(truth)) if annotated[i][k]]
        if passed:
            shares.append(sum(passed) / len(passed))
    return mean(shares)


def mmpose_auc(truth, annotated, said):
    """Return the mean of PCK at 0/20, 1/20 .. 19/20 of 30 px."""
    unit = [30.0] * len(truth)
    return mean([mmpose_pck(truth, annotated, said, unit, step / 20) for step in range(20)])


def mmpose_epe(truth, annotated, said):
    """Return the mean over labels."""
    return mean([distance(truth[i][k], said[i][k]) for i, k in np.ndindex(annotated.shape) if annotated[i][k]])


# ------------------------------------------------------------------------------------------------ FreiHAND and others


def freihand_moved(truth, annotated, said):
    """Return hands after FreiHAND's alignment, in metres as there: norms plus 1e-8, a reflection is allowed.

    None where fewer than three points are labelled, NaN where fewer than three of them are predicted.
    """
    hands = []
    for i in range(len(truth)):
        labelled = [k for k in range(21) if annotated[i][k]]
        both = [k for k in labelled if there(said[i][k])]
        if len(labelled) < 3:
            hands.append(None)
            continue
        moved = np.full((21, 3), np.nan)
        if len(both) > 2:
            t, s = truth[i][both].astype(float) / 1000, said[i][both].astype(float) / 1000
            t_mean, s_mean = t.mean(0), s.mean(0)
            t_norm, s_norm = np.linalg.norm(t - t_mean) + 1e-8, np.linalg.norm(s - s_mean) + 1e-8
            R, scale = orthogonal_procrustes((t - t_mean) / t_norm, (s - s_mean) / s_norm)
            moved[both] = ((s - s_mean) / s_norm @ R.T * scale * t_norm + t_mean) * 1000
        hands.append(moved)
    return hands


def freihand_aligned(truth, annotated, said):
    """Return FreiHAND's lists after its alignment."""
    lists = Lists()
    for i, moved in enumerate(freihand_moved(truth, annotated, said)):
        if moved is not None:
            lists.feed(truth[i], annotated[i], moved)
    return lists


def freihand_f(truth, annotated, hands, near):
    """Return FreiHAND's F-score of points, mean over hands: 2 P R / (P + R), 0 where nothing is predicted."""
    scores = []
    for i, said in enumerate(hands):
        labelled = [k for k in range(21) if annotated[i][k] and there(truth[i][k])]
        if said is None or not labelled:
            continue
        given = [k for k in labelled if there(said[k])]
        to_truth = [min(distance(said[a], truth[i][b]) for b in labelled) for a in given]
        to_said = [min((distance(said[a], truth[i][b]) for a in given), default=np.inf) for b in labelled]
        precision = mean([d < near for d in to_truth]) if given else 0.0
        recall = mean([d < near for d in to_said])
        scores.append(2 * precision * recall / (precision + recall) if precision + recall else 0.0)
    return mean(scores)


FREIHAND_THRESHOLDS = [i * 50 / 99 for i in range(100)]


def as_given(truth, annotated, said):
    lists = Lists()
    for i in range(len(truth)):
        lists.feed(truth[i], annotated[i], said[i])
    return lists


def wrist_aligned(truth, annotated, said, *, scaled):
    """Return lists after the wrists were put together: InterHand's; `scaled` by wrist to middle MCP: HO-3D's."""
    lists = Lists()
    for i in range(len(truth)):
        t, s, scale = truth[i], said[i], 1.0
        if not there(t[WRIST]) or (scaled and not there(t[MIDDLE_MCP])):
            continue
        if scaled:
            scale = length(t[WRIST], t[MIDDLE_MCP]) / length(s[WRIST], s[MIDDLE_MCP])
        lists.feed(t - t[WRIST], annotated[i], (s - s[WRIST]) * scale)
    return lists


def interhand_mpjpe(truth, annotated, picture, is_left, said, *, shown):
    """Return the mean over the 42 keypoints of both hands: of all hands, those alone in their picture, or of pairs."""
    lists = {True: Lists(), False: Lists()}
    for i in range(len(truth)):
        pair = any(picture[j] == picture[i] and is_left[j] != is_left[i] for j in range(len(truth)))
        if not there(truth[i][WRIST]) or shown == ("single" if pair else "interacting"):
            continue
        lists[bool(is_left[i])].feed(truth[i] - truth[i][WRIST], annotated[i], said[i] - said[i][WRIST])
    means = [mean(values) for side in lists.values() for values in side.used if np.isfinite(values).any()]
    return mean(means)


def interhand_mrrpe(truth, picture, is_left, said):
    """Return the mean length of the error of the vector from the left wrist to the right one."""
    errors = []
    for left in range(len(truth)):
        for right in range(len(truth)):
            if picture[left] == picture[right] and is_left[left] and not is_left[right]:
                true, given = (points[right][WRIST] - points[left][WRIST] for points in (truth, said))
                if there(true):
                    errors.append(distance(true, given))
    return mean(errors)
