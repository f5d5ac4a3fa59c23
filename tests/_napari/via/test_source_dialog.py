from napari_fractoseg._napari.via.source_dialog import SourceDialog
from napari_fractoseg.annotations.options import LENIENT


def test_the_options_are_those_that_are_shown(qtbot):
    dialog = SourceDialog(LENIENT)
    qtbot.addWidget(dialog)
    assert dialog.options() == LENIENT
    dialog.all_as.value = " intergranular "
    dialog.attribute.value = "mode"
    chosen = dialog.options()
    assert (chosen.all_as, chosen.attribute, chosen.several) == ("intergranular", "mode", "first")
    assert "whatever they say" in dialog.all_as.native.toolTip()
