"""Tables of fields: what is independent in them, and areas of their modes."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

__all__ = ["PICTURE", "Units", "modes_px", "pixel_areas"]

PICTURE = ["image", "plane"]


@dataclass(frozen=True)
class Units:
    """What the independent observations are."""

    name: str
    keys: tuple[str, ...]
    scope: str = ""
    are_grouped: bool = True

    @classmethod
    def of(cls, table: pd.DataFrame) -> Units:
        """Return what is independent in a table of fields."""
        has_specimens = bool((table["specimen"] != "").any())
        if table["specimen"].nunique() > 1:
            return cls("specimens", ("specimen",))
        n_pictures = len(table[PICTURE].drop_duplicates())
        if n_pictures == 1:
            return cls("fields", (*PICTURE, "field"), "within this image only")
        name = "planes" if n_pictures > table["image"].nunique() else "images"
        scope = "within this specimen only" if has_specimens else ""
        return cls(name, tuple(PICTURE), scope, has_specimens)


def pixel_areas(table: pd.DataFrame) -> pd.Series[float]:
    """Return the area of a pixel of each field; 1 unless all pixel sizes are known."""
    if "analysed_um2" not in table or table["analysed_um2"].isna().any():
        return pd.Series(1.0, table.index)
    return table["analysed_um2"] / table["analysed_px"].clip(lower=1)


def modes_px(table: pd.DataFrame, modes: list[str]) -> pd.Series[int]:
    """Return the number of pixels of each field that show a fracture mode."""
    return table[[f"area_px_{mode}" for mode in modes]].sum(axis=1)
