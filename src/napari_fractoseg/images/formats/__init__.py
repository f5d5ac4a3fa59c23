"""File formats of images; each reader returns one array with its axes and channels."""
