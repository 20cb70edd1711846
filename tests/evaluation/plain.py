"""Every protocol that is ours, or carries no project's name, as plain loops: the oracles of test_plain.py.

Nothing of handdata is used here. Points are (N, 21, D) with NaN where missing. Values are (N, 21) or (N):
NaN where there is no label, infinity where there is a label and no prediction, which is wrong in every share and area
and left out of every mean.
"""

from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np
from scipy.spatial.transform import Rotation

WRIST, MIDDLE_MCP, MIDDLE_PIP = 0, 9, 10
SIGMA = 0.05


# ------------------------------------------------------------------------------------------------ sums


def known(values):
    return [v for v in np.ravel(values) if not np.isnan(v)]


def mean(values):
    found = [v for v in known(values) if np.isfinite(v)]
    return sum(found) / len(found)


def median(values):
    return float(np.median([v for v in known(values) if np.isfinite(v)]))


def mean_of_keypoints(values):
    columns = [column for column in np.transpose(values) if any(np.isfinite(v) for v in known(column))]
    return mean([mean(column) for column in columns])


def window(values, low, high):
    """Return the area under the share of labels within t, over t from low to high, divided by high - low: exact."""
    areas = [(high - max(v, low)) / (high - low) if v < high else 0.0 for v in known(values)]
    return sum(areas) / len(areas)


def grid(values, thresholds):
    found = known(values)
    shares = [sum(v <= t for v in found) / len(found) for t in thresholds]
    area = sum((a + b) / 2 for a, b in pairwise(shares))
    return area / (len(thresholds) - 1)


def root_of_mean_square(values):
    return mean([v**2 for v in known(values)]) ** 0.5


def score(lacks):
    """Return 1 minus the mean of what is lacking, all of it where nothing was predicted."""
    return 1 - sum(min(v, 1.0) for v in known(lacks)) / len(known(lacks))


# ------------------------------------------------------------------------------------------------ distances


def distance(one, other):
    off = float(np.sqrt(np.sum((np.asarray(one, float) - np.asarray(other, float)) ** 2)))
    return np.inf if np.isnan(off) else off


def there(*points):
    return bool(np.isfinite(points).all())


def distances(truth, annotated, said):
    """Return (N, 21); a sample whose `said` is None has no labels."""
    values = np.full(annotated.shape, np.nan)
    for i, k in np.argwhere(annotated):
        if said[i] is not None and there(truth[i][k]):
            values[i, k] = distance(truth[i][k], said[i][k])
    return values


def depth_errors(truth, annotated, said):
    """Return two lists: how far the middle MCP's depth is off, and as a part of it."""
    rows = [i for i in range(len(truth)) if annotated[i][MIDDLE_MCP] and there(truth[i][MIDDLE_MCP])]
    depths = [(truth[i][MIDDLE_MCP][2], said[i][MIDDLE_MCP][2]) for i in rows]
    off = [np.inf if np.isnan(s) else abs(s - t) for t, s in depths]
    return off, [o / t for o, (t, _) in zip(off, depths, strict=True)]


# ------------------------------------------------------------------------------------------------ alignments


def on_point(truth, said, point, scales):
    """Return each prediction times its scale, its point on the true one; None where the truth lacks that point."""
    return [
        (s - s[point]) * scale + t[point] if there(t[point]) and scale is not None else None
        for t, s, scale in zip(truth, said, scales, strict=True)
    ]


def true_scales(truth, said, scale_mm, *, is_normalised):
    """Return the known scale of a normalised pose, else true by predicted length of a bone."""
    scales = []
    for t, s, given in zip(truth, said, scale_mm, strict=True):
        bones = [(a, b) for a, b in ((WRIST, MIDDLE_MCP), (MIDDLE_MCP, MIDDLE_PIP)) if there(t[a], t[b])]
        ratios = [np.linalg.norm(t[a] - t[b]) / np.linalg.norm(s[a] - s[b]) for a, b in bones]
        ratios = [given] * bool(is_normalised and np.isfinite(given)) + ratios
        some = [ratio for ratio in ratios if np.isfinite(ratio)]
        scales.append(some[0] if some else np.nan if bones or np.isfinite(given) else None)
    return scales


def best_scales(truth, annotated, said):
    """Return the least-squares scale of each pose about its middle MCP."""
    scales = []
    for t, labels, s in zip(truth, annotated, said, strict=True):
        both = [k for k in range(21) if labels[k] and there(t[k], t[MIDDLE_MCP], s[k], s[MIDDLE_MCP])]
        a, b = (np.array([p[k] - p[MIDDLE_MCP] for k in both]).reshape(-1, 3) for p in (s, t))
        scales.append(float((a * b).sum() / (a * a).sum()) if (a * a).sum() > 0 else np.nan)
    return scales


def fitted(truth, annotated, said, *, is_scaled):
    """Return each prediction after the best proper rotation, shift and, if asked for, scale."""
    moved = []
    for t, labels, s in zip(truth, annotated, said, strict=True):
        labelled = [k for k in range(21) if labels[k] and there(t[k])]
        both = [k for k in labelled if there(s[k])]
        if len(labelled) < 3:
            moved.append(None)
        elif len(both) < 3:
            moved.append(np.full((21, 3), np.nan))
        else:
            a, b = s[both] - s[both].mean(0), t[both] - t[both].mean(0)
            turn = Rotation.align_vectors(b, a)[0]
            scale = (b * turn.apply(a)).sum() / (a * a).sum() if is_scaled else 1.0
            turned = turn.apply(np.nan_to_num(s - s[both].mean(0))) * scale + t[both].mean(0)
            moved.append(np.where(np.isfinite(s), turned, np.nan))
    return moved


def by_centroid(truth, annotated, said):
    """Return each prediction with the centroid and mean radius of its labelled keypoints those of the truth."""
    moved = []
    for t, labels, s in zip(truth, annotated, said, strict=True):
        labelled = [k for k in range(21) if labels[k] and there(t[k])]
        both = [k for k in labelled if there(s[k])]
        if len(labelled) < 2:
            moved.append(None)
        elif len(both) < 2:
            moved.append(np.full((21, 3), np.nan))
        else:
            centre, own = t[both].mean(0), s[both].mean(0)
            radius, of_own = (np.linalg.norm(p[both] - c, axis=1).mean() for p, c in ((t, centre), (s, own)))
            moved.append((s - own) * radius / of_own + centre)
    return moved


# ------------------------------------------------------------------------------------------------ scores of a sample


def f_lacks(truth, annotated, said, near):
    """Return 1 minus the harmonic mean of the shares of predicted and of labelled points that have a neighbour."""
    lacks = []
    for t, labels, s in zip(truth, annotated, said, strict=True):
        labelled = [k for k in range(21) if s is not None and labels[k] and there(t[k])]
        given = [k for k in labelled if there(s[k])]
        if not labelled:
            lacks.append(np.nan)
        elif not given:
            lacks.append(np.inf)
        else:
            precision = mean([any(distance(s[a], t[b]) < near for b in labelled) for a in given])
            recall = mean([any(distance(s[a], t[b]) < near for a in given) for b in labelled])
            both = precision + recall
            lacks.append(1 - (2 * precision * recall / both if both else 0.0))
    return lacks


def oks_lacks(truth, annotated, said, boxes):
    lacks = []
    for t, labels, s, (left, top, right, bottom) in zip(truth, annotated, said, boxes, strict=True):
        labelled = [k for k in range(21) if labels[k] and there(t[k])]
        given = [k for k in labelled if there(s[k])]
        area = (right - left) * (bottom - top)
        if not labelled or not area > 0:
            lacks.append(np.nan)
        elif not given:
            lacks.append(np.inf)
        else:
            similar = [np.exp(-(distance(t[k], s[k]) ** 2) / (2 * area * (2 * SIGMA) ** 2)) for k in given]
            lacks.append(1 - sum(similar) / len(labelled))
    return lacks


def overlap_lacks(true, said):
    """Return 1 - intersection over union of boxes; None is no box."""
    lacks = []
    for a, b in zip(true, said, strict=True):
        if a is None or not there(a):
            lacks.append(np.nan)
        elif b is None or not there(b):
            lacks.append(np.inf)
        else:
            wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
            common = max(wide, 0) * max(high, 0)
            areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
            lacks.append(1 - common / (areas - common))
    return lacks


def extents(points, annotated):
    """Return the boxes round the labelled keypoints, a pixel wide at least; None where one of them is missing."""
    boxes = []
    for uv, labels in zip(points, annotated, strict=True):
        chosen = uv[labels]
        whole = len(chosen) and there(chosen)
        boxes.append(np.array([*chosen.min(0), *(chosen.max(0) + 1)]) if whole else None)
    return boxes


# ------------------------------------------------------------------------------------------------ motion


def threes(sequence, camera, side, frame, labelled):
    """Return (before, at, after) of every labelled frame with neighbours at the most frequent step of its track."""
    tracks = defaultdict(list)
    for i, key in enumerate(zip(sequence, camera, side, strict=True)):
        if labelled[i].any():
            tracks[key].append(i)
    found = []
    for rows in tracks.values():
        at = {int(frame[i]): i for i in rows}
        numbers = sorted(at)
        steps = Counter(b - a for a, b in pairwise(numbers))
        step = min(steps, key=lambda s: (-steps[s], s)) if steps else 0
        follows = {a for a, b in pairwise(numbers) if b - a == step}
        found += [(at[n - step], at[n], at[n + step]) for n in numbers if n in follows and n - step in follows]
    return found


def second_differences(rows, said, true, labels):
    """Return three lists: of the error, of the prediction, of the labels."""
    error, motion, own = [], [], []
    for a, b, c in rows:
        for k in range(21):
            if labels[a][k] and labels[b][k] and labels[c][k]:
                given, real = (p[a][k] - 2 * p[b][k] + p[c][k] for p in (said, true))
                error.append(distance(given, real))
                motion.append(distance(given, np.zeros(len(given))))
                own.append(distance(real, np.zeros(len(real))))
    return error, motion, own
