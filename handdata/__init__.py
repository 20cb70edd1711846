"""handdata: hand-pose datasets as one schema, and what is needed to train, score and report on them."""

__version__ = "0.1.0"
