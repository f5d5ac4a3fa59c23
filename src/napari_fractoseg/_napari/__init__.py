"""The napari plugin: the only package that knows napari, Qt and magicgui."""
