"""Which labels show the same instant from several cameras, where nothing says so: one hand, moved rigidly."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

_PROBED = 12  # distances by which candidates are found, spread over the 210


def same_instants(xyz_N213: NDArray[np.float64], tolerance_mm: float) -> NDArray[np.intp]:
    """Number the instants: hands whose distances between all their points agree are one hand seen twice.

    Args:
        xyz_N213: (N, 21, 3) mm, each in the frame of its own camera.
        tolerance_mm: of each of the 210 distances.

    Returns:
        (N,) the smallest row of each row's instant.
    """
    a, b = np.triu_indices(xyz_N213.shape[1], 1)
    distances = np.linalg.norm(xyz_N213[:, a] - xyz_N213[:, b], axis=-1).astype(np.float32)
    some = distances[:, np.linspace(0, len(a) - 1, _PROBED).astype(int)]
    pairs = cKDTree(some).query_pairs(tolerance_mm, p=np.inf, output_type="ndarray")
    if len(pairs):
        pairs = pairs[(np.abs(distances[pairs[:, 0]] - distances[pairs[:, 1]]) <= tolerance_mm).all(axis=1)]
    count = len(xyz_N213)
    graph = coo_matrix((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    _, labels = connected_components(graph, directed=False)
    _, first = np.unique(labels, return_index=True)
    return np.asarray(first[labels], np.intp)
