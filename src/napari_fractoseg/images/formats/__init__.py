"""File formats of images: what a file holds, as one array with its axes and channels."""
