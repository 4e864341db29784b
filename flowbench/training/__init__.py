"""The training loop, its objectives, and the training of a whole cell."""
