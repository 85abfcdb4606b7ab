"""Plots as SVG: well-formed, every value at its place on the scale, texts escaped."""

import xml.etree.ElementTree as ElementTree
from itertools import pairwise

import pytest

from sapo_lite.report.svg import Panel, Points, figure, ticks

SVG = "{http://www.w3.org/2000/svg}"


def drawn(*panels: Panel, columns: int = 1, label_width: int = 0) -> ElementTree.Element:
    return ElementTree.fromstring(figure(panels, columns, label_width))


def numbers(elements: list[ElementTree.Element], key: str) -> list[float]:
    return [float(element.attrib[key]) for element in elements]


def tick_positions(svg: ElementTree.Element) -> dict[float, float]:
    """By number below the x axis, its pixel."""
    texts = [t for t in svg.iter(f"{SVG}text") if t.get("y") == "150.0"]
    return {float(t.text or ""): float(t.attrib["x"]) for t in texts}


def test_ticks_are_round_numbers_within_the_bounds() -> None:
    assert ticks(0, 100) == [0, 20, 40, 60, 80, 100]
    assert ticks(-0.03, 0.09) == [0.0, 0.05]
    assert ticks(3, 3) == [3]


def test_points_stand_where_the_axes_say() -> None:
    svg = drawn(Panel("t", "x", "y", [Points([(0, 1), (5, 2), (10, 3)], colour=1)]))
    circles = list(svg.iter(f"{SVG}circle"))
    at = tick_positions(svg)
    xs, ys = numbers(circles, "cx"), numbers(circles, "cy")
    assert xs == pytest.approx([at[0], (at[0] + at[10]) / 2, at[10]], abs=0.1)
    assert all(lower > higher for lower, higher in pairwise(ys))  # y grows upwards
    assert {circle.get("fill") for circle in circles} == {"#d95f02"}


def test_intervals_reach_from_low_to_high_at_their_row() -> None:
    panel = Panel(
        "t", "x", points=[Points([(2, 0), (4, 1)])], intervals=[(0, 4, 0), (2, 8, 1)], rows=["a", "b"]
    )
    svg, at = drawn(panel), tick_positions(drawn(panel))
    lines = [p.attrib["d"] for p in svg.iter(f"{SVG}path") if p.get("stroke") == "#222"]
    found = [[float(part) for part in line[1:].replace("H", " ").split()] for line in lines]
    heights = numbers(list(svg.iter(f"{SVG}circle")), "cy")
    assert found[0] == pytest.approx([at[0], heights[0], at[4]], abs=0.1)
    assert found[1] == pytest.approx([at[2], heights[1], at[8]], abs=0.1)


def test_panels_stand_row_by_row_and_make_room_for_names() -> None:
    panel = Panel("t", "x", points=[Points([(0, 0)])], rows=["a name"])
    svg = drawn(*[panel] * 3, columns=2, label_width=70)
    assert svg.get("viewBox") == "0 0 628 368"
    places = [group.get("transform") for group in svg.iter(f"{SVG}g")]
    assert places == ["translate(0,0)", "translate(314,0)", "translate(0,184)"]
    (name, *_) = [text for text in svg.iter(f"{SVG}text") if text.text == "a name"]
    assert float(name.attrib["x"]) == 108.0


def test_texts_are_escaped() -> None:
    texts = [t.text for t in drawn(Panel("a < b & c", '"x"', "<y>", rows=["<r>"])).iter(f"{SVG}text")]
    assert texts[0] == "a < b & c"
    assert {'"x"', "<y>", "<r>"} <= set(texts)


@pytest.mark.parametrize("xy", [[], [(3.0, 3.0)], [(3.0, 3.0), (3.0, 3.0)]])
def test_a_panel_without_spread_is_drawn(xy: list[tuple[float, float]]) -> None:
    circles = list(drawn(Panel("t", "x", "y", [Points(xy)])).iter(f"{SVG}circle"))
    assert len(circles) == len(xy)
    assert all(44 <= cx <= 230 for cx in numbers(circles, "cx"))
