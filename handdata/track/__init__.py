"""Hands through time: a tracker over a detector and a model, smoothing, and videos in and out."""
