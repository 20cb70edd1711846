"""Twenty-one keypoints per hand: a person places some, a model and the flow of the pictures propose the others."""
