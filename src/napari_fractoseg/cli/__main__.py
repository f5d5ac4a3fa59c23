"""Start of the command line by ``python -m napari_fractoseg.cli``."""

from napari_fractoseg.cli import main

if __name__ == "__main__":
    main()
