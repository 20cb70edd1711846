"""Meshes as arrays: one Catmull-Clark step as a sparse matrix, triangles, normals, closing a rim."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def catmull_clark(quads: Ints, num_vertices: int) -> tuple[sparse.csr_matrix, Ints]:
    """Subdivide a quad mesh once.

    Args:
        quads: (Q, 4) vertex indices; the mesh may have a rim, whose rule is that of a cubic curve.
        num_vertices: V of the mesh.

    Returns:
        (V + E + Q, V) matrix from old to new vertices (moved vertices, edge points, face points, in this order), and
        the (4 Q, 4) new quads.

    Source:
        Catmull & Clark, Recursively generated B-spline surfaces, 1978.
    """
    ends = np.sort(np.stack([quads, np.roll(quads, -1, 1)], -1).reshape(-1, 2), 1)
    edges, edge_of, uses = np.unique(ends, axis=0, return_inverse=True, return_counts=True)
    edge_of = edge_of.reshape(-1, 4)
    num_quads, num_edges = len(quads), len(edges)
    on_rim = uses == 1

    face_points = _matrix(np.repeat(np.arange(num_quads), 4), quads.ravel(), 0.25, (num_quads, num_vertices))
    midpoints = _matrix(np.repeat(np.arange(num_edges), 2), edges.ravel(), 0.5, (num_edges, num_vertices))
    faces_of_edge = _matrix(edge_of.ravel(), np.repeat(np.arange(num_quads), 4), 1.0, (num_edges, num_quads))
    edge_points = (
        sparse.diags(np.where(on_rim, 1.0, 0.5)) @ midpoints
        + sparse.diags(np.where(on_rim, 0.0, 0.25)) @ faces_of_edge @ face_points
    )
    vertex_points = _vertex_rule(quads, edges, on_rim, midpoints, face_points, num_vertices)

    face_index = num_vertices + num_edges + np.arange(num_quads)
    edge_index = num_vertices + edge_of
    corners = [np.stack([quads[:, k], edge_index[:, k], face_index, edge_index[:, (k - 1) % 4]], 1) for k in range(4)]
    return sparse.vstack([vertex_points, edge_points, face_points]).tocsr(), np.concatenate(corners)


def _vertex_rule(
    quads: Ints,
    edges: Ints,
    on_rim: NDArray[np.bool_],
    midpoints: sparse.csr_matrix,
    face_points: sparse.csr_matrix,
    num_vertices: int,
) -> sparse.csr_matrix:
    edges_at = _matrix(edges.ravel(), np.repeat(np.arange(len(edges)), 2), 1.0, (num_vertices, len(edges)))
    faces_at = _matrix(quads.ravel(), np.repeat(np.arange(len(quads)), 4), 1.0, (num_vertices, len(quads)))
    rim_edges_at = edges_at @ sparse.diags(on_rim.astype(float))
    num_faces = np.maximum(_row_sums(faces_at), 1)
    num_edges = np.maximum(_row_sums(edges_at), 1)
    num_rim = _row_sums(rim_edges_at)
    inner = (
        sparse.diags(1 / num_faces**2) @ faces_at @ face_points
        + sparse.diags(2 / num_faces / num_edges) @ edges_at @ midpoints
        + sparse.diags((num_faces - 3) / num_faces)
    )
    rim = (
        sparse.diags(np.full(num_vertices, 0.5)) + sparse.diags(0.5 / np.maximum(num_rim, 1)) @ rim_edges_at @ midpoints
    )
    at_rim = num_rim > 0
    return sparse.diags((~at_rim).astype(float)) @ inner + sparse.diags(at_rim.astype(float)) @ rim


def _matrix(rows: Ints, columns: Ints, value: float, shape: tuple[int, int]) -> sparse.csr_matrix:
    return sparse.csr_matrix((np.full(len(rows), value), (rows, columns)), shape)


def _row_sums(matrix: sparse.csr_matrix) -> Floats:
    return np.asarray(matrix.sum(1), float).ravel()


def triangles_of(quads: Ints) -> Ints:
    """Split (Q, 4) quads into (2 Q, 3) triangles of the same winding."""
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


def rim_edges(faces: Ints) -> Ints:
    """Return the (N, 2) directed edges of (F, 3) triangles that no neighbour shares."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    num_vertices = int(faces.max()) + 1
    forward, backward = edges @ [num_vertices, 1], edges @ [1, num_vertices]
    return edges[~np.isin(forward, backward)]


def incidence(faces: NDArray[Any], num_vertices: int) -> sparse.csr_matrix:
    """Return the (V, F) matrix that adds up at each vertex what its triangles carry."""
    columns = np.repeat(np.arange(len(faces)), 3)
    ones = np.ones(len(columns), np.float64)
    return sparse.csr_matrix((ones, (np.asarray(faces).ravel(), columns)), (num_vertices, len(faces)))


def face_normals(vertices: Floats, faces: NDArray[Any]) -> Floats:
    """Return (F, 3) normals as long as twice the triangles' areas; by the right-hand rule."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return cross(b - a, c - a)


def vertex_normals(vertices: Floats, faces: NDArray[Any], faces_at: sparse.csr_matrix) -> Floats:
    """Return (V, 3) unit normals, neighbours weighted by area; `faces_at` is `incidence(faces, V)`."""
    return unit(np.asarray(faces_at @ face_normals(vertices, faces)))


def cross(a: NDArray[Any], b: NDArray[Any]) -> Floats:
    """Cross product of (..., 3) arrays, several times faster than `np.cross`."""
    result = np.empty(np.broadcast_shapes(a.shape, b.shape), np.result_type(a, b))
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        result[..., i] = a[..., j] * b[..., k] - a[..., k] * b[..., j]
    return result


def unit(vectors: NDArray[Any]) -> NDArray[Any]:
    """Scale (..., 3) vectors to length 1; zero stays zero."""
    lengths = np.sqrt(np.einsum("...i,...i->...", vectors, vectors))
    result: NDArray[Any] = vectors / np.maximum(lengths, 1e-12)[..., None]
    return result
