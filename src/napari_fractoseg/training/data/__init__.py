"""From labelled images to patches: held-out pixels, sampling, augmentation."""
