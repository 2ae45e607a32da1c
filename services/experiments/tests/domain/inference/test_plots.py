"""The pictures, by their structure: what is drawn, what is said, and that they stand alone."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import inf
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.domain.inference import moments
from experiments.domain.inference.analysis import analysed
from experiments.domain.inference.intervals import EVERYTHING, Interval
from experiments.domain.inference.judgement import judged
from experiments.domain.inference.plans import Method, MetricPlan, Plan
from experiments.domain.inference.plots import svg
from experiments.domain.inference.plots.bell import posterior
from experiments.domain.inference.plots.courses import Exposed, Look, cumulative, exposures
from experiments.domain.inference.plots.forest import forest
from experiments.domain.inference.posterior import UNKNOWN, Belief

SVG = "{http://www.w3.org/2000/svg}"
DAY = datetime(2026, 5, 1, tzinfo=UTC)


def looks(count=20):
    return [
        Look(
            DAY + timedelta(days=k),
            0.05 + 0.1 / (k + 1),
            Interval(0.05 - 0.8 / (k + 1), 0.05 + 1.0 / (k + 1)),
        )
        for k in range(count)
    ]


def drawn(text):
    """Parse a picture, and hold it to what every picture must be."""
    root = ET.fromstring(text)
    width, height = (float(v) for v in root.get("viewBox").split()[2:])
    assert root.get("role") == "img"
    assert [root.find(f"{SVG}{part}").get("id") for part in ("title", "desc")] == root.get(
        "aria-labelledby"
    ).split()
    assert root.find(f"{SVG}desc").text
    assert "nan" not in re.sub(r">[^<]*<", "><", text).lower()
    assert "inf" not in re.sub(r">[^<]*<", "><", text).lower()
    assert "href" not in text
    assert "url(" not in text
    for node in root.iter():
        for name, limit in (
            ("x", width),
            ("x1", width),
            ("x2", width),
            ("cx", width),
            ("y", height),
            ("y1", height),
            ("cy", height),
        ):
            assert 0 <= float(node.get(name, 0)) <= limit
    return root


def kinds(root, name):
    return [
        n
        for n in root.iter()
        if n.get("class") == name or (n.get("class") or "").startswith(f"{name} ")
    ]


def test_a_forest_has_a_row_for_each_comparison(lab):
    plan = lab.plan(lab.signup, lab.revenue, lab.latency)
    found = analysed(plan, lab.observed(lift=0.1, n=40_000))
    root = drawn(forest(found, judged(plan, found, speaks=True)))
    rows = kinds(root, "row")
    assert len(rows) == 3
    assert [len(row.findall(f"{SVG}circle")) for row in rows] == [1, 1, 1]
    assert rows[0].find(f"{SVG}title").text.startswith("signup of treatment: +10.0%  (+")
    assert rows[0].find(f"{SVG}circle").get("fill") == svg.GOOD
    assert rows[2].find(f"{SVG}circle").get("fill") == svg.PLAIN


def test_a_forest_has_no_colour_before_its_method_may_be_heard(lab):
    found = analysed(lab.plan(method=Method.FIXED), lab.observed(lift=0.1, n=40_000))
    early = judged(lab.plan(method=Method.FIXED), found, speaks=False)
    row = kinds(drawn(forest(found, early)), "row")[0]
    assert row.find(f"{SVG}circle").get("fill") == svg.PLAIN


def test_a_forest_shows_the_estimate_inside_its_interval(lab):
    found = analysed(lab.plan(), lab.observed(lift=0.1, n=40_000))
    row = kinds(drawn(forest(found, judged(lab.plan(), found, speaks=True))), "row")[0]
    whisker, estimate = row.find(f"{SVG}line"), row.find(f"{SVG}circle")
    assert float(whisker.get("x1")) < float(estimate.get("cx")) < float(whisker.get("x2"))


def test_a_forest_says_what_is_not_known(lab):
    found = analysed(lab.plan(), lab.observed(n=10))
    root = drawn(forest(found, judged(lab.plan(), found, speaks=True)))
    assert len(kinds(root, "row")) == 2
    assert not [n for row in kinds(root, "row") for n in row.findall(f"{SVG}circle")]
    assert "not yet known" in root.find(f"{SVG}desc").text


def test_names_are_escaped_and_shortened(lab):
    evil = MetricPlan(key='<script>alert("1")</script> & a name that does not end')
    arms = {evil.key: (moments.valued(1000, 1.0, 900.0), moments.valued(1000, 1.1, 900.0))}
    plan = lab.plan(evil, method=Method.FIXED)
    found = analysed(plan, lab.observed(metrics=arms))
    text = forest(found, judged(plan, found, speaks=True))
    assert "<script" not in text
    assert "…" in text
    drawn(text)


def test_a_course_has_a_ribbon_around_its_estimate():
    root = drawn(cumulative("signup", looks()))
    (ribbon,), (estimate,) = kinds(root, "ribbon"), kinds(root, "estimate")
    assert len(ribbon.get("points").split()) == 40
    assert len(estimate.get("points").split()) == 20
    assert "between +1" in root.find(f"{SVG}desc").text.replace("  ", " ")
    assert "01 May 2026" in [n.text for n in root.iter(f"{SVG}text")]


def test_a_course_begins_where_the_interval_is_bounded():
    early = replace(looks()[0], interval=EVERYTHING)
    (ribbon,) = kinds(drawn(cumulative("signup", [early, *looks()[1:]])), "ribbon")
    assert len(ribbon.get("points").split()) == 38
    alone = drawn(cumulative("signup", [early]))
    assert not kinds(alone, "ribbon")
    assert "not bounded" in alone.find(f"{SVG}desc").text


def test_exposures_have_a_line_for_each_variant_and_a_dashed_plan():
    seen = [Exposed(DAY + timedelta(days=k), (100 * k, 98 * k, 55 * k)) for k in range(8)]
    root = drawn(
        exposures(("control", "b", "c"), seen, [(DAY, 0.0), (DAY + timedelta(days=14), 4500.0)])
    )
    assert len(kinds(root, "variant")) == len(kinds(root, "key")) == 3
    assert kinds(root, "plan")[0].get("stroke-dasharray")
    assert "control 700, b 686, c 385" in root.find(f"{SVG}desc").text
    assert not kinds(drawn(exposures(("control", "b"), [Exposed(DAY, (1, 0))])), "plan")


def test_a_posterior_is_filled_where_the_treatment_is_better():
    belief = Belief(0.3, 0.1, 0.9987, 0.0, 0.3, Interval(0.1, 0.5))
    root = drawn(posterior("revenue", belief))
    (better,), (density,) = kinds(root, "better"), kinds(root, "density")
    assert len(better.get("points").split()) > 100
    assert len(density.get("points").split()) == 121
    assert "99.9%" in root.find(f"{SVG}desc").text
    worse = drawn(posterior("revenue", belief, more_is_better=False))
    assert "0.1%" in worse.find(f"{SVG}desc").text
    assert not kinds(drawn(posterior("revenue", replace(belief, mean=-9.0, chance=0.0))), "better")


@pytest.mark.parametrize(
    "text",
    [
        forest([], judged(Plan(metrics=()), [], speaks=True)),
        cumulative("x", []),
        exposures(("a", "b"), []),
        posterior("x", UNKNOWN),
    ],
)
def test_nothing_is_drawn_before_there_is_data(text):
    root = drawn(text)
    assert not list(root.iter(f"{SVG}polyline"))
    assert re.search("yet", root.find(f"{SVG}desc").text)


@given(st.floats(-1e15, 1e15), st.floats(-1e15, 1e15))
def test_ticks_are_round_and_on_the_scale(a, b):
    scale = svg.scale([a, b], 0, 100)
    found = svg.ticks(scale)
    if scale.high - scale.low > 1e-9 * max(abs(a), abs(b)):
        assert 1 <= len(found) <= 13
        assert all(-0.5 <= scale(t) <= 100.5 for t in found)


def test_a_scale_needs_no_values():
    scale = svg.scale([inf], 0, 100)
    assert 0 <= scale(0.0) <= 100
    assert svg.shown(-0.0, "{:+.1f}") == "0.0"


def test_all_pictures_of_huge_and_tiny_numbers_stay_on_their_paper():
    for size in (1e-12, 1e15):
        wide = [
            replace(
                k,
                value=k.value * size,
                interval=Interval(k.interval.low * size, k.interval.high * size),
            )
            for k in looks()
        ]
        drawn(cumulative("x", wide, percent=False))
        drawn(posterior("x", Belief(size, size, 0.8, 0.0, 0.0, Interval(-size, 3 * size))))


def test_a_single_look_stands_in_the_middle_with_its_reach_and_one_day():
    root = drawn(cumulative("m", looks(1)))
    spot = next(it for it in root.iter(f"{SVG}circle"))
    reach = [it for it in root.iter(f"{SVG}line") if it.get("x1") == it.get("x2") == spot.get("cx")]
    assert float(spot.get("cx")) == pytest.approx(460)
    assert len(reach) == 1
    assert "".join(root.itertext()).count("01 May 2026") == 1


def test_a_dark_page_gets_dark_paper():
    style = next(ET.fromstring(svg.empty("t", "why")).iter(f"{SVG}style")).text
    assert style.startswith("@media (prefers-color-scheme: dark){")
    assert f'[fill="{svg.PAPER}"]{{fill:#0d1117}}' in style


def test_long_names_say_that_something_is_left_out():
    assert (svg.short("green", 5), svg.short("greener", 5)) == ("green", "gree…")
