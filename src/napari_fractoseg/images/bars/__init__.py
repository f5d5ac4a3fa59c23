"""The info bar of images: found in the metadata or in the rows, or given by the user."""
