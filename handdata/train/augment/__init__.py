"""Augmentation: a batch of canvases to the input of the network, labels alongside."""
