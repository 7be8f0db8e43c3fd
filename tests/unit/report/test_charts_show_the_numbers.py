"""Charts: every byte is in one layer, and every layer is inside the picture."""

from __future__ import annotations

import random
import re
from xml.etree import ElementTree

import pytest

from cacheadmin.report.page.charts import layers
from cacheadmin.report.page.renderer import area_chart, share_bar
from tests.support.facts import DAY, HOUR, NOW
from tests.support.overviews import HOSTILE

SVG = re.compile(r"<svg class=\"chart\".*?</svg>", re.DOTALL)


def drawn(chart: str) -> ElementTree.Element:
    found = SVG.search(chart)
    assert found is not None
    return ElementTree.fromstring(found.group())


def test_layers_are_the_largest_and_one_for_all_the_rest() -> None:
    parts = [{f"p{number}": number * 10 for number in range(1, 12)}, {"p1": 500}]
    found = layers([700, 510], parts, "others")
    assert [one.name for one in found] == ["p1", "p11", "p10", "p9", "p8", "p7", "p6", "others"]
    assert [sum(one.values[moment] for one in found) for moment in (0, 1)] == [700, 510]
    assert [one.colour for one in found] == list(range(8))


def test_shared_files_that_count_twice_leave_no_negative_rest() -> None:
    found = layers([90, 100], [{"a": 60, "b": 60}, {"a": 60, "b": 40}], "others")
    assert [one.name for one in found] == ["a", "b"]


@pytest.mark.parametrize("seed", range(12))
def test_everything_is_drawn_inside_the_picture(seed: int) -> None:
    dice = random.Random(seed)
    times = sorted({NOW - dice.randrange(400 * DAY) for _ in range(dice.randint(2, 40))})
    scale = dice.choice((0, 1, 3, 4097, 2**41))
    parts = [{name: dice.randrange(scale + 1) for name in HOSTILE} for _ in times]
    totals = [sum(moment.values()) for moment in parts]
    picture = drawn(area_chart("chart", HOSTILE[0], times, layers(totals, parts, "others")))
    _, _, width, height = map(float, str(picture.get("viewBox")).split())
    for path in picture.iter("path"):
        for x, y in re.findall(r"(-?[\d.]+) (-?[\d.]+)", str(path.get("d"))):
            assert 0 <= float(x) <= width
            assert 0 <= float(y) <= height


def test_heights_are_in_proportion_to_the_bytes() -> None:
    picture = drawn(area_chart("c", "t", [NOW, NOW + DAY], layers([10, 40], [{}, {}], "all")))
    (path,) = picture.iter("path")
    (_, first), (_, last), (_, base), _ = re.findall(r"([\d.]+) ([\d.]+)", str(path.get("d")))
    assert (float(base) - float(last)) / (float(base) - float(first)) == pytest.approx(4, rel=0.01)


def test_a_chart_says_what_it_shows_in_words() -> None:
    picture = drawn(area_chart("c", "Sizes", [NOW, NOW + DAY], layers([1, 2], [{}, {}], "all")))
    told = "".join(picture.itertext())
    assert picture.get("aria-labelledby") == "c-title c-told"
    assert "Sizes" in told
    assert "from 1 B to 2 B" in told


def test_days_are_named_by_date_and_hours_by_time() -> None:
    found = layers([1, 2], [{}, {}], "all")
    assert re.search(r">\d{4}-\d\d-\d\d</text>", area_chart("c", "t", [NOW, NOW + 9 * DAY], found))
    assert re.search(r">\d\d:\d\d</text>", area_chart("c", "t", [NOW, NOW + 9 * HOUR], found))


def test_shares_beyond_the_whole_stay_in_their_bar() -> None:
    assert 'class="s0" width="100"' in share_bar(7.5)
    assert 'class="s2" width="0"' in share_bar(-1.0, 2)
