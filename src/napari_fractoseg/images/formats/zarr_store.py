"""Files of zarr arrays on a local disk."""

from __future__ import annotations

import stat
from typing import Any

from zarr.storage import LocalStore

__all__ = ["RegularFiles"]


class RegularFiles(LocalStore):  # type: ignore[misc]
    """Store that reads regular files only: pipes and devices would be waited for forever."""

    async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Any:
        """Return the content of a file; None if it is not there."""
        path = self.root / key
        try:
            mode = path.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise OSError(f"{key} in it is no file but a pipe or device")
        return await super().get(key, prototype, byte_range)
