import itertools

from hypothesis import given
from hypothesis import strategies as st

from streamserver.capture.rows import Area, Rows, damaged_rows

coordinate = st.integers(-200, 400)
length = st.integers(0, 400)
areas = st.lists(st.builds(Area, coordinate, coordinate, length, length), max_size=12)
size = st.integers(2, 300)
gap = st.integers(0, 40)


def test_one_rectangle_becomes_its_even_rows() -> None:
    assert damaged_rows([Area(10, 101, 50, 20)], 640, 480) == [Rows(100, 22)]


def test_close_bands_are_read_as_one_and_far_ones_apart() -> None:
    near, far = Area(0, 0, 9, 10), Area(0, 20, 9, 10)
    assert damaged_rows([far, near], 640, 480, merge_gap=10) == [Rows(0, 30)]
    assert damaged_rows([far, near], 640, 480, merge_gap=8) == [Rows(0, 10), Rows(20, 10)]


def test_what_lies_beside_the_screen_is_nothing() -> None:
    assert damaged_rows([Area(640, 0, 10, 10), Area(0, 480, 10, 10), Area(-10, 0, 10, 10)], 640, 480) == []


def test_the_last_row_of_an_odd_screen_is_left_out() -> None:
    assert damaged_rows([Area(0, 0, 5, 5)], 5, 5) == [Rows(0, 4)]


@given(areas, size, size, gap)
def test_every_visible_damaged_row_is_read(areas: list[Area], width: int, height: int, gap: int) -> None:
    read = {row for band in damaged_rows(areas, width, height, gap) for row in range(band.first, band.end)}
    for area in areas:
        if area.x < width and area.x + area.width > 0 and area.width:
            rows = range(max(area.y, 0), min(area.y + area.height, height & ~1))
            assert read.issuperset(rows)


@given(areas, size, size, gap)
def test_bands_are_even_inside_sorted_and_apart(areas: list[Area], width: int, height: int, gap: int) -> None:
    bands = damaged_rows(areas, width, height, gap)
    for band in bands:
        assert band.first % 2 == 0
        assert band.height % 2 == 0
        assert 0 <= band.first < band.end <= height
    for upper, lower in itertools.pairwise(bands):
        assert lower.first - upper.end > gap


@given(areas, size, size)
def test_no_row_is_read_without_need(areas: list[Area], width: int, height: int) -> None:
    wanted = {row & ~1 for area in areas for row in range(max(area.y, 0), max(area.y + area.height, 0))}
    for band in damaged_rows(areas, width, height, merge_gap=0):
        assert all(row & ~1 in wanted for row in range(band.first, band.end))
