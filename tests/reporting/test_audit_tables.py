"""Tables of a point count in a report."""

import numpy as np

from napari_fractoseg.audit.files import audit_of
from napari_fractoseg.audit.plan import plan_points
from napari_fractoseg.reporting.audit_tables import audit_tables


def test_the_fractions_of_the_labels_are_those_of_their_areas():
    labels = np.ones((100, 100), np.uint8)
    labels[:30] = 2
    labels[0, :50] = 3  # of so little area that no point is there
    count = plan_points(labels, n_points=40, design="random", seed=1)
    for point in count.points.itertuples():
        count = count.answered(point.point, point.stratum, "Ada")
    assert set(count.points["stratum"]) == {"intergranular", "transgranular"}
    (table,) = (t for t in audit_tables(audit_of(count).to_dict()) if "Corrected" in t.title)
    column = table.columns.index("by the labels")
    assert [row[column].replace("\u00a0", " ") for row in table.rows] == [
        "70.0 %", "29.5 %", "0.50 %",
    ]  # fmt: skip
