"""All metrics of all treatments in one view: the relative lift with its interval, one row each."""

from collections.abc import Sequence

from experiments.domain.inference.analysis import Comparison
from experiments.domain.inference.intervals import Interval
from experiments.domain.inference.judgement import Judgement
from experiments.domain.inference.plots import svg

_WIDTH, _ROW, _TOP, _FOOT = 860, 30, 74, 48
_LEFT, _RIGHT = 250, 620
_INKS = {"better": svg.GOOD, "worse": svg.BAD, "harmed": svg.BAD}


def forest(found: Sequence[Comparison], judgement: Judgement) -> str:
    """Draw the lifts by the method that decides, in the colours of what it says; an unbounded one is said in words."""
    title = "Lift over control, by metric"
    if not found:
        return svg.empty(title, "There are no results yet.")
    spans = [c.deciding(judgement.plan.method).lift for c in found]
    known = [v for s in spans if s.bounded for v in (s.low, s.high)]
    x = svg.scale([0.0, *known], _LEFT, _RIGHT)
    marks = svg.ticks(x)
    bottom = _TOP + _ROW * len(found)
    rows = [
        _row((c, judgement.state(c)), s, x, _TOP + _ROW * (i + 0.5))
        for i, (c, s) in enumerate(zip(found, spans, strict=True))
    ]
    parts = [
        *(svg.line((x(v), _TOP), (x(v), bottom)) for v in marks),
        svg.line((x(0), _TOP - 4), (x(0), bottom), ink=svg.INK),
        *(
            svg.text(
                x(v),
                bottom + 18,
                svg.shown(v, svg.form_for(marks, percent=True, signed=True)),
                anchor="middle",
                ink=svg.FAINT,
            )
            for v in marks
        ),
        svg.text(
            (_LEFT + _RIGHT) / 2, bottom + 38, "relative to control", anchor="middle", ink=svg.FAINT
        ),
        _legend(),
        *rows,
    ]
    said = "; ".join(_words(c, s) for c, s in zip(found, spans, strict=True))
    return svg.drawing((_WIDTH, bottom + _FOOT), title, said + ".", parts)


def _row(judged: tuple[Comparison, str], span: Interval, x: svg.Scale, y: float) -> str:
    c, state = judged
    label = svg.text(16, y + 4, _name(c))
    if not span.bounded or c.contrast.lift is None:
        parts = [label, svg.text(_RIGHT + 20, y + 4, "not yet known", ink=svg.FAINT)]
        return svg.group("row unknown", parts, said=_words(c, span))
    ink = _INKS.get(state, svg.PLAIN)
    parts = [
        label,
        svg.line((x(span.low), y), (x(span.high), y), ink=ink, width=3),
        *(svg.line((x(v), y - 5), (x(v), y + 5), ink=ink, width=2) for v in (span.low, span.high)),
        svg.dot(x(c.contrast.lift), y, ink=ink, radius=5),
        svg.text(_RIGHT + 20, y + 4, _numbers(c, span), ink=ink),
    ]
    return svg.group("row", parts, said=_words(c, span))


def _name(c: Comparison) -> str:
    """Return metric and variant, the longer of them shortened so that both can be told."""
    variant = svg.short(c.variant, max(16, 33 - len(c.metric.key)))
    return f"{svg.short(c.metric.key, 33 - len(variant))} · {variant}"


def _numbers(c: Comparison, span: Interval) -> str:
    return f"{c.contrast.lift or 0.0:+.1%}  ({span.low:+.1%} to {span.high:+.1%})"


def _words(c: Comparison, span: Interval) -> str:
    said = _numbers(c, span) if span.bounded else "not yet known"
    return f"{c.metric.key} of {c.variant}: {said}"


def _legend() -> str:
    spots = ((svg.GOOD, "better"), (svg.BAD, "worse"), (svg.PLAIN, "not told from no effect"))
    places = (_LEFT, _LEFT + 80, _LEFT + 152)
    return svg.group(
        "legend",
        [
            svg.dot(at, 50, ink=ink) + svg.text(at + 10, 54, words, ink=svg.FAINT)
            for at, (ink, words) in zip(places, spots, strict=True)
        ],
    )
