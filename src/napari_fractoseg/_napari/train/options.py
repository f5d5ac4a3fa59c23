"""Fold "Advanced" of the training dock, with choices that are rarely changed."""

from __future__ import annotations

from functools import partial
from typing import Any

from magicgui.widgets import Container
from qtpy.QtWidgets import QWidget
from superqt import QCollapsible

from napari_fractoseg._napari.widgets.options import choice_of, number_of, tick_of
from napari_fractoseg.training.plan import TrainingPlan
from napari_fractoseg.training.presets import FINE_TUNING, NEW_NETWORK

__all__ = ["TrainingOptions"]

_ENCODERS = (
    "resnet18",
    "resnet34",
    "resnet50",
    "mobilenet_v2",
    "efficientnet-b0",
    "efficientnet-b3",
    "densenet121",
    "se_resnext50_32x4d",
    "vgg16_bn",
    "tu-tf_efficientnet_lite0",
    "tu-convnext_tiny",
)
_ENCODER_WEIGHTS = (
    ("nothing (random)", "none"),
    ("photographs (ImageNet)", "imagenet"),
    ("micrographs (NASA MicroNet)", "micronet"),
    ("photographs, then micrographs", "imagenet-micronet"),
)
_REDUCTIONS = (("full", 1), ("half", 2), ("a quarter", 4))
_RATES = tuple((f"{rate:g}", rate) for rate in (1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2))
_SPLITS = (
    ("automatic", "auto"),
    ("whole images", "images"),
    ("blocks of images", "blocks"),
    ("none", "none"),
)
_SUGGESTED = "as suggested"
_PATCHES = ((_SUGGESTED, None), *((f"{n} px", n) for n in (128, 192, 256, 384, 512)))
_PATCHES_IN_A_STEP = ((_SUGGESTED, None), *((str(n), n) for n in (1, 2, 4, 8, 16, 32)))


class TrainingOptions(QCollapsible):
    """Closed fold with network, optimiser, patches, validation and seed of a training.

    Entries that are not set are those of the preset.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Advanced", parent, expandedIcon="▾", collapsedIcon="▸")
        self._is_new = False
        choice = partial(choice_of, TrainingPlan)
        self.encoder = choice("encoder", "Encoder", _ENCODERS)
        self.encoder_weights = choice("encoder_weights", "Encoder knows", _ENCODER_WEIGHTS)
        self.reduction = choice("reduction", "Resolution", _REDUCTIONS, value=NEW_NETWORK.reduction)
        self.optimiser = choice("optimiser", "Optimiser")
        self.learning_rate = choice("learning_rate", "Learning rate", ((_SUGGESTED, None), *_RATES))
        self.patch_px = choice("patch_px", "Patch", _PATCHES)
        self.batch_size = choice("batch_size", "Patches in a step", _PATCHES_IN_A_STEP)
        self.split = choice("split", "Validation", _SPLITS)
        self.augmentation = number_of(
            TrainingPlan, "augmentation", "Variation", FINE_TUNING.augmentation, step=0.1
        )
        self.seed = number_of(TrainingPlan, "seed", "Seed", 0)
        self.stay_close = tick_of(TrainingPlan, "stay_close", "Stay close to the parent", True)
        widgets = [
            *(self.encoder, self.encoder_weights, self.reduction, self.optimiser),
            *(self.learning_rate, self.patch_px, self.batch_size, self.split),
            *(self.augmentation, self.seed, self.stay_close),
        ]
        self._form = Container(widgets=widgets, labels=True)
        self._form.margins = (0, 0, 0, 0)
        self.addWidget(self._form.native)
        self.layout().setContentsMargins(0, 0, 0, 0)

    def for_start(self, is_new: bool) -> None:
        """Show the choices for a new network, with an encoder to choose, or for fine-tuning."""
        if is_new != self._is_new:
            self.augmentation.value = (NEW_NETWORK if is_new else FINE_TUNING).augmentation
        self._is_new = is_new
        for choice in (self.encoder, self.encoder_weights, self.reduction):
            choice.visible = is_new
        self.stay_close.visible = not is_new

    def chosen(self) -> dict[str, Any]:
        """Return entries of `TrainingPlan` that were chosen; None for those of the preset."""
        chosen = {
            "optimiser": self.optimiser.value,
            "learning_rate": self.learning_rate.value,
            "patch_px": self.patch_px.value,
            "batch_size": self.batch_size.value,
            "augmentation": self.augmentation.value,
            "split": self.split.value,
            "seed": self.seed.value,
        }
        if self._is_new:
            of_network = {
                "encoder": self.encoder.value,
                "encoder_weights": self.encoder_weights.value,
                "reduction": self.reduction.value,
            }
            return chosen | of_network
        return chosen if self.stay_close.value else chosen | {"stay_close": 0.0}
