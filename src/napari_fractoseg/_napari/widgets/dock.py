"""Base of the docks: they open as tabs, one of a kind, and scroll where they do not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from napari.plugins import menu_item_template
from npe2 import PluginManager
from qtpy.QtCore import QEvent, QObject, Qt, QTimer, Signal, Slot
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QDockWidget,
    QFrame,
    QMainWindow,
    QScrollArea,
    QScrollBar,
    QVBoxLayout,
    QWidget,
)

from napari_fractoseg._napari.plane_names import plane_overlay_of
from napari_fractoseg._napari.save.restorer import restorer_of
from napari_fractoseg._napari.widgets.run_queue import main_window

if TYPE_CHECKING:
    import napari.viewer

__all__ = ["Dock", "open_dock"]

_PLUGIN = "napari-fractoseg"
_MARGINS_PX = 6, 4, 6, 4
_SPACING_PX = 4
_LAID_OUT_AFTER_MS = 50
_LEAST_WIDTH_PX = 340

AnyDock = TypeVar("AnyDock", bound="Dock")


class Dock(QWidget):
    """Widget of a dock, with a column of widgets that scrolls where it is higher than the dock.

    Docks of this kind in one area of a window become tabs, whoever opens them and in whichever
    order; what the user arranges afterwards stays. If one of the same class is open already,
    that one comes to the front. The mouse wheel scrolls, and changes no choice and no number.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer in whose window the dock is.

    Attributes
    ----------
    column : QVBoxLayout
        Layout to add the widgets to, from top to bottom.
    area : QScrollArea
        Area that scrolls the column.
    """

    closed = Signal()
    """Signal that the user closed the dock; what it shows may go on."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.viewer = viewer
        restorer_of(viewer)
        plane_overlay_of(viewer)
        self._is_docked = self._is_twin = self._is_settled = False
        inner = QWidget()
        self.column = QVBoxLayout(inner)
        self.column.setContentsMargins(*_MARGINS_PX)
        self.column.setSpacing(_SPACING_PX)
        area = self.area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(inner)
        inner.installEventFilter(self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(area)
        self._wheel = _WheelScrolls(self)
        # napari gives a dock its place after the widget has its dock.
        self._settle_soon = QTimer(self, singleShot=True, interval=0)
        self._settle_soon.timeout.connect(self._settle)
        self._wanted: QWidget | None = None
        # What was just shown has its place a little later.
        self._scroll_soon = QTimer(self, singleShot=True, interval=_LAID_OUT_AFTER_MS)
        self._scroll_soon.timeout.connect(self._scroll)

    def bring_into_view(self, widget: QWidget) -> None:
        """Scroll so far that a widget of the column is seen, once it has its place."""
        self._wanted = widget
        self._scroll_soon.start()

    @Slot()
    def _scroll(self) -> None:
        if self._wanted is not None:
            self.area.ensureWidgetVisible(self._wanted, 0, 0)

    # ---- its place in the window --------------------------------------------------------

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802 - Qt's name
        """Find its place when it is put into a dock; tell that it is closed when taken out."""
        super().changeEvent(event)
        if event is None or event.type() != QEvent.Type.ParentChange:
            return
        was_docked, self._is_docked = self._is_docked, isinstance(self.parent(), QDockWidget)
        if self._is_docked:
            self._settle_soon.start()
        elif was_docked and not self._is_twin:
            self.closed.emit()

    @Slot()
    def _settle(self) -> None:
        """Become a tab beside the other docks of ours, or give way to one of the same class."""
        window, dock = main_window(self), self.parent()
        if not isinstance(window, QMainWindow) or not isinstance(dock, QDockWidget):
            return
        # Of docks that were opened at once, each joins those that have their place.
        others = [x for x in window.findChildren(Dock) if x is not self and x._is_settled]
        twins = [other for other in others if type(other) is type(self)]
        if twins:
            self._is_twin = True
            self.viewer.window.remove_dock_widget(self)
            twins[0].come_to_front()
            return
        self._is_settled = True
        for other in others:
            beside = other.parent()
            if isinstance(beside, QDockWidget) and _are_neighbours(window, beside, dock):
                window.tabifyDockWidget(beside, dock)
                self.come_to_front()
                return

    def come_to_front(self) -> None:
        """Show the dock, as the uppermost of its tabs."""
        dock = self.parent()
        if isinstance(dock, QDockWidget):
            dock.show()
            dock.raise_()

    # ---- its width ----------------------------------------------------------------------

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802 - Qt's name
        """Make the dock so wide that nothing is cut off.

        The width is known when the dock is shown in its window's style.
        """
        super().showEvent(event)
        self._widen()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802 - Qt's name
        """Make the dock wider when its column needs more room than before."""
        if event is not None and event.type() == QEvent.Type.LayoutRequest and self.isVisible():
            self._widen()
        return super().eventFilter(watched, event)

    def _widen(self) -> None:
        """Give the area the width of its column, with or without a scroll bar.

        The dock has no least width of its own: Qt would take it for the area's.
        """
        inner, bar = self.area.widget(), self.area.verticalScrollBar()
        if inner is not None and bar is not None:
            needed = (
                inner.minimumSizeHint().width()
                + bar.sizeHint().width()
                + 2 * self.area.frameWidth()
            )
            self.area.setMinimumWidth(max(_LEAST_WIDTH_PX, needed))


def _are_neighbours(window: QMainWindow, first: QDockWidget, second: QDockWidget) -> bool:
    is_docked = not first.isFloating() and not second.isFloating()
    return is_docked and window.dockWidgetArea(first) == window.dockWidgetArea(second)


def open_dock(
    viewer: napari.viewer.Viewer, kind: type[AnyDock], title: str, beside: QWidget
) -> AnyDock:
    """Return the dock of a class that is open in a window, or open one, and bring it to the front.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Viewer that the dock is for.
    kind : type of Dock
        Class of the dock.
    title : str
        Title of the dock in the plugin's menu.
    beside : QWidget
        Widget in the same window.
    """
    found: list[AnyDock] = main_window(beside).findChildren(kind)
    if found:
        found[0].come_to_front()
        return found[0]
    dock = kind(viewer)
    # By this name napari's menu finds the dock, and opens no second one.
    plugin = PluginManager.instance().get_manifest(_PLUGIN).display_name
    viewer.window.add_dock_widget(dock, name=menu_item_template.format(plugin, title))
    return dock


class _WheelScrolls(QObject):
    """Filter of the events of a dock, by which the wheel scrolls it whatever is below the mouse.

    Lists of choices and boxes with numbers would take the wheel and change their value. The
    filter watches all widgets of the dock, also those that are added later.
    """

    def __init__(self, dock: QWidget) -> None:
        super().__init__(dock)
        # A child is not yet what it will be when Qt tells that it was added.
        self._soon = QTimer(self, singleShot=True, interval=0)
        self._soon.timeout.connect(self._watch_all)
        dock.installEventFilter(self)
        self._soon.start()

    @Slot()
    def _watch_all(self) -> None:
        dock = self.parent()
        for widget in [] if dock is None else dock.findChildren(QWidget):
            widget.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802 - Qt's name
        """Pass the wheel on to the parent of what would change by it."""
        if event is None:
            return False
        if event.type() == QEvent.Type.ChildAdded:
            self._soon.start()
        elif event.type() == QEvent.Type.Wheel and _has_a_value(watched):
            event.ignore()
            return True
        return False


def _has_a_value(widget: QObject | None) -> bool:
    """Tell whether the wheel would change what a widget says, rather than scroll."""
    return isinstance(widget, QComboBox | QAbstractSpinBox | QAbstractSlider) and not isinstance(
        widget, QScrollBar
    )
