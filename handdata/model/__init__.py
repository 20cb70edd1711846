"""The models: networks, weights and read-outs; applying one needs no training code."""
