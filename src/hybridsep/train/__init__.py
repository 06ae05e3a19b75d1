"""Training: the step, the loop of one trial, checkpoints, and the loop over trials."""
