"""3D labels of a depth sequence from a few clicked frames: references, lifting, propagation, joint optimisation."""
