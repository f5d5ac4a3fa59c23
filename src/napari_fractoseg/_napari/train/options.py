"""Fold "Advanced" of the training dock, with choices that are rarely changed."""

from __future__ import annotations

from typing import Any

from magicgui.widgets import CheckBox, ComboBox, Container, FloatSpinBox, SpinBox
from qtpy.QtWidgets import QWidget
from superqt import QCollapsible

from napari_fractoseg._napari.widgets.controls import narrow
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
_OPTIMISERS = ("adamw", "adam", "sgd", "rmsprop", "adadelta")
_SUGGESTED = "as suggested"


class TrainingOptions(QCollapsible):
    """Closed fold with network, optimiser, patches, validation and seed of a training.

    Entries that are not set are those of the preset.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Advanced", parent, expandedIcon="▾", collapsedIcon="▸")
        self._is_new = False
        self.encoder = ComboBox(
            label="Encoder",
            choices=_ENCODERS,
            tooltip="The part of a new network that looks for structures. Larger ones are slower "
            "and need more labels. vgg16_bn is what the paper used.",
        )
        self.encoder_weights = ComboBox(
            label="Encoder knows",
            choices=_ENCODER_WEIGHTS,
            tooltip="What the encoder has learnt before. These weights are fetched once, 10 to 500 "
            "MB.",
        )
        self.reduction = ComboBox(
            label="Resolution",
            choices=_REDUCTIONS,
            value=NEW_NETWORK.reduction,
            tooltip="What a new network looks at. Fracture surfaces are told apart at half the "
            "resolution, in a quarter of the time; precipitates and fine cracks want all of it.",
        )
        self.optimiser = ComboBox(
            label="Optimiser",
            choices=_OPTIMISERS,
            tooltip="How the network follows its errors. adadelta is what the paper used.",
        )
        self.learning_rate = ComboBox(
            label="Learning rate",
            choices=((_SUGGESTED, None), *_RATES),
            tooltip="How large the changes of a step are. Smaller is slower and safer.",
        )
        self.patch_px = ComboBox(
            label="Patch",
            choices=((_SUGGESTED, None), *((f"{n} px", n) for n in (128, 192, 256, 384, 512))),
            tooltip="Edge of the pieces that are learnt from, at the network's resolution. Larger "
            "ones show more surroundings and need more memory.",
        )
        self.batch_size = ComboBox(
            label="Patches in a step",
            choices=((_SUGGESTED, None), *((str(n), n) for n in (1, 2, 4, 8, 16, 32))),
            tooltip="More make the steps steadier, slower, and need more memory.",
        )
        self.augmentation = FloatSpinBox(
            label="Variation",
            value=FINE_TUNING.augmentation,
            min=0,
            max=2,
            step=0.1,
            tooltip="How much contrast, brightness, noise and blur are varied, so that the model "
            "copes with other settings of the microscope. 0 varies nothing.",
        )
        self.stay_close = CheckBox(
            text="Stay close to the parent",
            value=True,
            tooltip="Where nothing is painted, hold the model to what it said before, so that few "
            "strokes do not make it forget the rest.",
        )
        self.split = ComboBox(
            label="Validation",
            choices=_SPLITS,
            tooltip="What is held out to measure how good the model is: pixels it never learns "
            "from. Automatic: whole images from three on, else blocks of each image.",
        )
        self.seed = SpinBox(
            label="Seed",
            value=0,
            min=0,
            max=2**31 - 1,
            tooltip="The same seed repeats the same training on the CPU.",
        )
        narrow_boxes = (
            self.encoder,
            self.encoder_weights,
            self.reduction,
            self.optimiser,
            self.learning_rate,
            self.patch_px,
            self.batch_size,
            self.split,
        )
        for box in narrow_boxes:
            narrow(box)
        self._form = Container(
            widgets=[*narrow_boxes, self.augmentation, self.seed, self.stay_close], labels=True
        )
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
