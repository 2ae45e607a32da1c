"""What happens over time: the effect with its ribbon, and the exposures against their plan."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from experiments.domain.inference.intervals import Interval
from experiments.domain.inference.plots import svg

_WIDTH, _HEIGHT = 860, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 836, 66, 326
_HUES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


@dataclass(frozen=True, slots=True)
class Look:
    """The estimate at one time, and its interval by then."""

    at: datetime
    value: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Exposed:
    """The units of each variant by one time, in the order of the variants."""

    at: datetime
    units: tuple[int, ...]


def cumulative(name: str, looks: Sequence[Look], *, percent: bool = True) -> str:
    """Draw an effect as it came to be known: the estimate of each look, and the ribbon that it may be in."""
    title = f"{name}: effect so far"
    if not looks:
        return svg.empty(title, "There are no results yet.")
    known = [k for k in looks if k.interval.bounded]
    y = _vertical([0.0, *(k.value for k in looks[-1:])], known)
    x = _horizontal([k.at for k in looks])
    marks = svg.ticks(y, most=8)
    form = svg.form_for(marks, percent=percent, signed=True)
    ribbon = [(x(k.at.timestamp()), y(k.interval.high)) for k in known]
    ribbon += [(x(k.at.timestamp()), y(k.interval.low)) for k in reversed(known)]
    places = [(x(k.at.timestamp()), y(k.value)) for k in looks]
    parts = [
        *_axes(x, y, marks, form, [looks[0].at, looks[-1].at]),
        svg.line((_LEFT, y(0)), (_RIGHT, y(0)), ink=svg.INK),
        svg.area(ribbon, kind="ribbon") if known else "",
        *(_reaches(x, y, known[0]) if len(known) == 1 else ()),
        svg.path(places, ink=svg.GOOD, kind="estimate"),
        svg.dot(*places[-1], ink=svg.GOOD),
        svg.text(_LEFT, 50, _said(looks, form), ink=svg.FAINT),
    ]
    return svg.drawing((_WIDTH, _HEIGHT), title, _said(looks, form), parts)


def exposures(
    variants: Sequence[str], seen: Sequence[Exposed], planned: Sequence[tuple[datetime, float]] = ()
) -> str:
    """Draw the units of each variant, and as a dashed line how many of all of them were planned for each."""
    title = "Exposed units against plan"
    if not seen:
        return svg.empty(title, "Nobody has been exposed yet.")
    each = [(at, units / max(1, len(variants))) for at, units in planned]
    x = _horizontal([*(s.at for s in seen), *(at for at, _ in each)])
    y = svg.scale(
        [0.0, *(float(max(s.units)) for s in seen), *(u for _, u in each)], _BOTTOM, _TOP, room=0.0
    )
    marks = svg.ticks(y)
    ends = sorted([seen[0].at, seen[-1].at, *(at for at, _ in each[-1:])])
    parts = [*_axes(x, y, marks, "{:,.0f}", [ends[0], ends[-1]]), *_planned(each, x, y)]
    for at, (variant, ink) in enumerate(zip(variants, _hues(len(variants)), strict=True)):
        places = [(x(s.at.timestamp()), y(s.units[at])) for s in seen]
        parts += [svg.path(places, ink=ink, kind="variant"), svg.dot(*places[-1], ink=ink)]
        parts += [svg.dot(_LEFT + 150 * (at % 5), 46 + 14 * (at // 5), ink=ink, kind="key")]
        parts += [
            svg.text(
                _LEFT + 10 + 150 * (at % 5),
                50 + 14 * (at // 5),
                svg.short(variant, 18),
                ink=svg.FAINT,
            )
        ]
    last = ", ".join(f"{v} {n:,}" for v, n in zip(variants, seen[-1].units, strict=True))
    said = f"Units exposed by {seen[-1].at:%Y-%m-%d %H:%M}: {last}."
    return svg.drawing((_WIDTH, _HEIGHT), title, said, parts)


def _reaches(x: svg.Scale, y: svg.Scale, look: Look) -> list[str]:
    """Return the interval of the only look that has one, of which no ribbon can be made."""
    at, low, high = x(look.at.timestamp()), y(look.interval.low), y(look.interval.high)
    ends = [svg.line((at - 6, v), (at + 6, v), ink=svg.GOOD, width=2) for v in (low, high)]
    return [svg.line((at, low), (at, high), ink=svg.BAND, width=3), *ends]


def _planned(each: Sequence[tuple[datetime, float]], x: svg.Scale, y: svg.Scale) -> list[str]:
    if not each:
        return []
    places = [(x(at.timestamp()), y(units)) for at, units in each]
    words = svg.text(_RIGHT, places[-1][1] - 8, "planned for each", anchor="end", ink=svg.FAINT)
    return [svg.path(places, ink=svg.FAINT, width=1.5, kind="plan", dashed=True), words]


def _hues(count: int) -> list[str]:
    return [_HUES[at % len(_HUES)] for at in range(count)]


def _vertical(always: list[float], known: Sequence[Look]) -> svg.Scale:
    """Return a scale for the ribbon, whose first, very wide looks are cut off at four times its last."""
    if not known:
        return svg.scale(always, _BOTTOM, _TOP)
    last = known[-1].interval
    reach = 4 * max(last.high - last.low, 1e-12)
    middle = (last.high + last.low) / 2
    ends = [v for k in known for v in (k.interval.low, k.interval.high)]
    kept = [min(max(v, middle - reach), middle + reach) for v in ends]
    return svg.scale([*always, *kept], _BOTTOM, _TOP)


def _horizontal(times: Sequence[datetime]) -> svg.Scale:
    """Return a scale for times; a single one is in the middle."""
    stamps = [at.timestamp() for at in times]
    low, high = min(stamps), max(stamps)
    return svg.Scale(*((low, high) if high > low else (low - 1, low + 1)), _LEFT, _RIGHT)


def _axes(
    x: svg.Scale, y: svg.Scale, marks: Sequence[float], form: str, ends: Sequence[datetime]
) -> list[str]:
    """Return lines and numbers across, and the first and the last day below; one day is said once."""
    last = [(ends[-1], "end")] if ends[-1].date() > ends[0].date() else []
    days = [(ends[0], "start" if ends[0] < ends[-1] else "middle"), *last]
    return [
        *(svg.line((_LEFT, y(v)), (_RIGHT, y(v))) for v in marks),
        *(
            svg.text(_LEFT - 8, y(v) + 4, svg.shown(v, form), anchor="end", ink=svg.FAINT)
            for v in marks
        ),
        *(
            svg.text(
                x(at.timestamp()), _BOTTOM + 22, f"{at:%d %b %Y}", anchor=anchor, ink=svg.FAINT
            )
            for at, anchor in days
        ),
    ]


def _said(looks: Sequence[Look], form: str) -> str:
    last, finer = looks[-1], form.replace(".0%", ".1%")
    if not last.interval.bounded:
        return f"At {last.at:%Y-%m-%d %H:%M} the interval is not bounded yet."
    value, low, high = (
        svg.shown(v, finer) for v in (last.value, last.interval.low, last.interval.high)
    )
    return f"At {last.at:%Y-%m-%d %H:%M} the effect is {value}, between {low} and {high}."
