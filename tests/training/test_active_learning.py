import numpy as np

from napari_fractoseg.training.active_learning import Suggestion, spread, suggest_places


def surface(shape=(200, 300)):
    """Labels of two classes, sure everywhere but in two spots."""
    labels = np.ones(shape, np.uint8)
    labels[:, 150:] = 2
    confidence = np.full(shape, 0.99, np.float32)
    confidence[80:120, 80:120] = 0.5
    confidence[80:120, 200:240] = 0.7
    return labels, confidence


def test_the_least_sure_places_come_first():
    labels, confidence = surface()
    places = suggest_places(labels, confidence, np.zeros(labels.shape, bool), size_px=40, count=2)
    assert [p.value for p in places] == [1, 2]
    assert [(round(p.row, -1), round(p.column, -1)) for p in places] == [(100, 100), (100, 220)]
    assert places[0].confidence < places[1].confidence


def test_painted_places_are_left_out():
    labels, confidence = surface()
    painted = np.zeros(labels.shape, bool)
    painted[70:130, 70:130] = True
    (place,) = suggest_places(labels, confidence, painted, size_px=40, count=1)
    assert place.value == 2


def test_places_do_not_overlap_and_lie_inside():
    rng = np.random.default_rng(0)
    labels = np.ones((150, 170), np.uint8)
    confidence = rng.random(labels.shape, dtype=np.float32)
    places = suggest_places(labels, confidence, np.zeros(labels.shape, bool), size_px=30)
    assert len(places) > 3
    for i, one in enumerate(places):
        assert 15 <= one.row <= 135
        assert 15 <= one.column <= 155
        for other in places[:i]:
            assert max(abs(one.row - other.row), abs(one.column - other.column)) >= 30


def test_a_sure_model_has_no_places():
    labels = np.ones((100, 100), np.uint8)
    sure = np.ones((100, 100), np.float32)
    assert suggest_places(labels, sure, np.zeros((100, 100), bool)) == []


def test_turns_go_round_images_and_classes():
    def place(image, value, confidence):
        return Suggestion(image, (), 0, 0, 10, value, confidence)

    many = [place("a", 1, 0.1 + i / 100) for i in range(5)]
    ordered = spread([*many, place("a", 2, 0.8), place("b", 1, 0.9)], count=4)
    assert [(p.image, p.value) for p in ordered] == [("a", 1), ("a", 2), ("b", 1), ("a", 1)]
