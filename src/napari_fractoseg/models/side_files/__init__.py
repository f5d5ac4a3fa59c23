"""What a model folder keeps beside the weights: its rehearsal sample and how its images look."""
