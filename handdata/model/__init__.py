"""The models: networks, weights and read-outs; applying one needs nothing of training."""
