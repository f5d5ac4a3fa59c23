"""Answers of a point count, and the file that keeps them."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_fractoseg.audit.plan import plan_points
from napari_fractoseg.audit.points import PointCount, answer_text, plane_index, plane_text
from napari_fractoseg.classes import DEFAULT_SCHEME, ClassScheme, FractureClass
from napari_fractoseg.errors import ClassSchemeError, OptionError, OutputExistsError

LABELS = {"s1": np.tile(np.array([1, 2, 3, 0], np.uint8), (8, 2)), "s2": np.ones((2, 6, 6), int)}


def made(n_points=12, design="random", seed=1):
    return plan_points(LABELS, n_points=n_points, design=design, seed=seed)


def at(minute):
    return datetime(2026, 1, 2, 3, minute, tzinfo=UTC)


def assert_same(one, other):
    pd.testing.assert_frame_equal(one.points, other.points, check_dtype=False)
    assert one.plan() == other.plan()


def test_points_are_answered_in_the_order_of_visiting():
    count = made(3)
    assert count.operators == ()
    assert count.next_point("Ada") == 1
    count = count.answered(1, "i", "Ada", time=at(0)).answered(3, "?", "Ada", time=at(1))
    assert count.next_point("Ada") == 2
    count = count.answered(2, "t | i", "Ada", time=at(2))
    assert count.next_point("Ada") is None
    assert count.answers("Ada") == {1: "intergranular", 2: "intergranular|transgranular", 3: "?"}
    assert count.points["time_Ada"].tolist()[0] == "2026-01-02T03:00:00+00:00"
    assert count.next_point("Ben") == 1
    assert count.answers("Ben") == {}
    names = {point: [c.name for c in classes] for point, classes in count.classes_at("Ada")}
    assert names == {1: ["intergranular"], 2: ["intergranular", "transgranular"]}


def test_an_answer_is_changed_and_taken_back():
    count = made(3).answered(1, "i", "Ada")
    assert count.answered(1, "background", "Ada").answers("Ada") == {1: "background"}
    assert count.answered(1, "", "Ada").next_point("Ada") == 1
    assert count.answers("Ada") == {1: "intergranular"}, "the point count before is as it was"


@pytest.mark.parametrize("answer", ["x", "i|x", "i|i", "i|t|background", "|", "i|", "??", "i|?"])
def test_what_is_no_answer_is_refused(answer):
    with pytest.raises(OptionError, match=r"is no answer\. Use a class \(intergranular, "):
        answer_text(answer, DEFAULT_SCHEME)


def test_points_operators_and_designs_that_are_not_there_are_refused():
    count = made(3)
    with pytest.raises(OptionError, match=r"no point 4; the points are numbered 1 to 3"):
        count.answered(4, "i", "Ada")
    with pytest.raises(OptionError, match="no name"):
        count.answered(1, "i", "  ")
    with pytest.raises(OptionError, match=r"'square' is not known\. Use grid, stratified, random"):
        made(design="square")


@pytest.mark.parametrize("name", ["a|b", "?"])
def test_classes_that_look_like_other_answers_are_refused(name):
    scheme = ClassScheme("s", (FractureClass(1, name, "#ff0000"),))
    with pytest.raises(ClassSchemeError, match="Rename them"):
        plan_points(np.ones((4, 4), int), scheme, n_points=2)


def test_planes_are_called_by_their_numbers():
    assert [plane_text(index) for index in ((), (0,), (11,), (0, 4))] == ["", "1", "12", "1 5"]
    for index in ((), (0,), (11,), (0, 4)):
        assert plane_index(plane_text(index)) == index


def test_a_point_is_found_where_the_table_says():
    count = made()
    for row in count.points.itertuples():
        place = count.place(row.point)
        assert (place.image, place.row_px, place.column_px) == (
            row.image,
            row.row_px,
            row.column_px,
        )
        labels = LABELS[place.image][place.index]
        value = labels[place.row_px, place.column_px]
        assert DEFAULT_SCHEME.by_value(value).name == row.stratum
    assert {count.place(p).index for p in count.points["point"]} <= {(), (0,), (1,)}


def test_a_file_is_read_as_it_was_written(tmp_path):
    count = made(design="grid").answered(1, "i|t", "Ada", time=at(1)).answered(2, "?", "Ben, =1+1")
    path = count.write(tmp_path / "points.csv")
    assert_same(PointCount.read(path), count)


texts = st.text(max_size=8)


@settings(max_examples=30, deadline=None)
@given(
    operators=st.lists(texts.filter(lambda t: t.strip()), min_size=1, max_size=3),
    image=texts,
    name=texts.filter(lambda t: t.strip() and "|" not in t and t.strip() != "?"),
)
def test_any_names_survive_the_file(tmp_path_factory, operators, image, name):
    try:
        scheme = ClassScheme("s", (FractureClass(1, name, "#ff0000"),))
    except ClassSchemeError:
        return
    count = plan_points({image: np.ones((3, 3), int)}, scheme, n_points=3, design="random")
    for operator in operators:
        try:
            count = count.answered(1, scheme.names[0], operator, time=at(1))
        except OptionError:  # nothing of the name is left that could be shown
            return
    path = count.write(tmp_path_factory.mktemp("points") / "points.csv")
    found = PointCount.read(path)
    assert_same(found, count)
    assert found.answers(operators[-1]) == {1: scheme.names[0]}
    assert len(pd.read_csv(path)) == 3


def test_other_programs_read_the_file_without_options(tmp_path):
    scheme = ClassScheme("s", (FractureClass(1, "=HYPERLINK(1)", "#ff0000"),))
    count = plan_points({"+a": np.ones((4, 4), int)}, scheme, n_points=4, design="random", seed=2)
    table = pd.read_csv(count.answered(1, scheme.names[0], "Ada").write(tmp_path / "p.csv"))
    assert table.columns.tolist() == [
        "point", "image", "plane", "row_px", "column_px", "stratum", "answer_Ada", "time_Ada",
        "plan",
    ]  # fmt: skip
    assert table["image"].tolist() == ["'+a"] * 4
    assert table["answer_Ada"][0] == "'=HYPERLINK(1)"


def test_a_file_that_a_spreadsheet_program_saved_is_read(tmp_path):
    count = made().answered(1, "i|t", "Ada, B.", time=at(1))
    path = count.write(tmp_path / "points.csv")
    table = pd.read_csv(path).sample(frac=1, random_state=1)  # planes become 1.0, rows change
    table.to_csv(path, sep=";", index=False, encoding="utf-8-sig")
    assert_same(PointCount.read(path), count)


def test_aliases_that_others_wrote_are_the_classes(tmp_path):
    path = made(2).write(tmp_path / "points.csv")
    pd.read_csv(path).assign(answer_Cy=["i", "T|I"]).to_csv(path, index=False)
    found = PointCount.read(path)
    assert found.operators == ("Cy",)
    assert found.answers("Cy") == {1: "intergranular", 2: "intergranular|transgranular"}


@pytest.mark.parametrize(
    ("column", "row", "value", "message"),
    [
        ("point", 1, 1, "point 1 is there twice"),
        ("point", 1, "x", "row 3: point is 'x'"),
        ("row_px", 0, -1, "row 2: row_px is '-1', and not a whole number from 0"),
        ("column_px", 0, 1.5, "row 2: column_px is '1.5'"),
        ("row_px", 0, "inf", "row 2: row_px is 'inf'"),
        ("column_px", 0, "nan", "row 2: column_px is 'nan'"),
        ("plane", 0, "0", "row 2: plane is '0', and not a whole number from 1"),
        ("stratum", 1, "river", "point 2: the stratum 'river' is not one of the plan"),
        ("answer_Ada", 1, "river", "point 2: 'river' is no answer"),
        ("plan", 0, "", "has 0 plans"),
        ("plan", 1, "{}", "has 2 plans"),
        ("plan", 0, "{}", "cannot be read: there is no 'format'"),
        ("plan", 0, '{"format": 2}', "written by a newer version"),
        ("plan", 0, "[1", "the plan of the points cannot be read"),
    ],
)
def test_wrong_cells_are_told(tmp_path, column, row, value, message):
    path = made(4).answered(1, "i", "Ada").write(tmp_path / "points.csv")
    table = pd.read_csv(path, dtype=object, keep_default_na=False)
    table.loc[row, column] = value
    table.to_csv(path, index=False)
    with pytest.raises(OptionError) as told:
        PointCount.read(path)
    assert message in str(told.value)
    assert "points.csv" in str(told.value)


def test_what_cannot_be_shown_of_foreign_files_is_escaped(tmp_path):
    path = made(2).write(tmp_path / "points.csv")
    table = pd.read_csv(path).assign(image="\x1b[31m", **{"answer_ \x07Cy": ["i", ""]})
    table.to_csv(path, index=False)
    found = PointCount.read(path)
    assert found.images == (r"\x1b[31m",)
    assert found.operators == (r"\x07Cy",)
    assert found.answers("\x07Cy") == {1: "intergranular"}


def test_a_plan_of_an_unknown_design_is_told_with_its_file(tmp_path):
    path = made(2).write(tmp_path / "points.csv")
    path.write_text(path.read_text().replace('""random""', '""square""'))
    with pytest.raises(OptionError, match=r"points\.csv: The design 'square' is not known"):
        PointCount.read(path)


def test_files_that_are_no_points_are_told(tmp_path):
    path = tmp_path / "points.csv"
    for text, message in (
        ("image,specimen\na,b\n", "no column point, plane, row_px, column_px, stratum, plan"),
        ("", "cannot be read as a file of points"),
        ("point,image,plane,row_px,column_px,stratum,plan\n", "has no points"),
        ("point,image,plane,row_px,column_px,stratum,answer_A,answer_A ,plan\n", "twice: answer_A"),
        ("point,image,plane,row_px,column_px,stratum,answer_,plan\n1,a,,0,0,b,,\n", "no operator"),
    ):
        path.write_text(text)
        with pytest.raises(OptionError, match=message):
            PointCount.read(path)
    with pytest.raises(OptionError, match="No such file"):
        PointCount.read(tmp_path / "nothing.csv")


def test_a_new_plan_replaces_no_file(tmp_path):
    path = made().answered(1, "i", "Ada").write(tmp_path / "points.csv")
    before = path.read_bytes()
    with pytest.raises(OutputExistsError, match="12 points of another plan"):
        made(seed=2).write(path)
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(OutputExistsError, match="not a file of these points"):
        made().write(tmp_path / "other.csv")
    assert path.read_bytes() == before
    made(seed=2).write(path, overwrite=True)
    assert PointCount.read(path).operators == ()


def test_answers_that_others_saved_meanwhile_are_kept(tmp_path):
    path = made().write(tmp_path / "points.csv")
    ada = PointCount.read(path).answered(1, "i", "Ada", time=at(1))
    ben = PointCount.read(path).answered(1, "t", "Ben", time=at(2))
    ada.write(path)
    ben.write(path)
    ada.answered(1, "", "Ada", time=at(3)).answered(2, "?", "Ada", time=at(4)).write(path)
    found = PointCount.read(path)
    assert found.answers("Ada") == {2: "?"}
    assert found.answers("Ben") == {1: "transgranular"}
    ada.write(path)  # older than what is there
    assert PointCount.read(path).answers("Ada") == {2: "?"}
    with pytest.raises(OptionError, match="two different plans"):
        made(seed=2).joined(found)
