"""Options of a segmentation, described once for Python, command line and reference pages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from napari_fractoseg.bar_option import AUTO as AUTO_BAR
from napari_fractoseg.bar_option import BarChoice
from napari_fractoseg.images.calibration.by_hand import EdgeChoice
from napari_fractoseg.inference.magnification import AUTO, ScaleChoice
from napari_fractoseg.inference.precision import Precision
from napari_fractoseg.models import DEFAULT_MODEL
from napari_fractoseg.options import described

__all__ = ["SegmentSettings"]


@described
@dataclass(frozen=True)
class SegmentSettings:
    """Options of a segmentation of files: model, device, outputs and tiles."""

    model: Annotated[
        str | Path, Field(description="'default', the name of a model, or a model folder.")
    ] = DEFAULT_MODEL
    device: Annotated[str, Field(description="auto, cpu, cuda, cuda:1 or mps.")] = "auto"
    channel: Annotated[
        str | None,
        Field(description="Name or number (from 0) of the channel, of images with several."),
    ] = None
    zarr: Annotated[
        bool,
        Field(description="Write OME-Zarr instead of TIFF. Results of zarr images always are."),
    ] = False
    overlay: Annotated[
        bool, Field(description="Also write pictures of the class colours over the image (PNG).")
    ] = False
    palette: Annotated[
        Literal["standard", "colour-blind-safe"] | None,
        Field(
            description="Colours of the classes (default: those of the model). Those of "
            "colour-blind-safe are told apart by colour-blind readers."
        ),
    ] = None
    confidence: Annotated[
        bool,
        Field(
            description="Also keep the probability of the class that was chosen, 0 to 1. How far "
            "it can be believed is in the README of the model."
        ),
    ] = False
    margin: Annotated[
        bool,
        Field(
            description="Also keep by how much the class that was chosen is more probable than "
            "the next one: near 0 where two classes are alike."
        ),
    ] = False
    flips: Annotated[
        bool | None,
        Field(
            description="Average the image and its mirror images, which takes four times as long "
            "(default: as the model's card says)."
        ),
    ] = None
    tile_px: Annotated[
        int | None,
        Field(
            ge=32,
            description="Edge of the tiles in which an image is computed, in pixels (default: as "
            "the memory allows, and smaller if it runs out). Small ones take longer, and one label "
            "in ten thousand may change.",
        ),
    ] = None
    max_memory_gb: Annotated[
        float | None,
        Field(
            ge=0.1,
            description="Memory of a tile in each process (default: half of what is free).",
        ),
    ] = None
    precision: Annotated[
        Precision,
        Field(
            description="Of the network's numbers; auto: half on CUDA devices, where the model "
            "gives the same with it."
        ),
    ] = "auto"
    name: Annotated[
        str | None,
        Field(
            description="What the results of a single image are named by, instead of the image: "
            "the labels are NAME.zarr, the reports NAME_run.json and NAME_fractions.csv."
        ),
    ] = None
    exclude_bar: BarChoice = AUTO_BAR
    pixel_size_um: EdgeChoice = None
    scale: Annotated[
        ScaleChoice,
        Field(
            description="How many image pixels stand for one pixel of the images that the model "
            "learnt from, 0.125 to 16: 2 if yours show the same at twice the size, which then are "
            "seen at half of it. auto: by the pixel sizes, where both are known and differ by "
            "more than 1.5; none: as they are. Labels are on the grid of the image all the same."
        ),
    ] = AUTO
    familiarity: Annotated[
        bool,
        Field(
            description="Tell of each image whether it looks like what the model learnt, if the "
            "model knows that; the reports say where it does not."
        ),
    ] = True
