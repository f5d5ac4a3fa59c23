"""Learning: training data, patches, losses, the trainer, and honest figures."""
