"""What is believed of the effect: the posterior, with the part in which the treatment is better."""

from math import isfinite

from experiments.domain.inference.plots import svg
from experiments.domain.inference.posterior import Belief
from experiments.domain.inference.special import normal_pdf

_WIDTH, _HEIGHT = 720, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 690, 70, 258
_POINTS = 121


def posterior(name: str, belief: Belief, *, more_is_better: bool = True) -> str:
    """Draw the posterior of the difference; the filled part is where the treatment is better."""
    title = f"{name}: what to believe of the difference"
    if not isfinite(belief.deviation) or belief.deviation <= 0:
        return svg.empty(title, "There is nothing to believe yet.")
    values = [belief.mean + belief.deviation * (8 * i / (_POINTS - 1) - 4) for i in range(_POINTS)]
    x = svg.scale([0.0, *values], _LEFT, _RIGHT, room=0.02)
    y = svg.Scale(0.0, normal_pdf(0.0) * 1.05, _BOTTOM, _TOP)
    curve = [(v, normal_pdf((v - belief.mean) / belief.deviation)) for v in values]
    edge = [(0.0, normal_pdf(belief.mean / belief.deviation))]
    better = [(v, d) for v, d in curve if (v > 0 if more_is_better else v < 0)]
    if 0 < len(better) < len(curve):
        better = edge + better if more_is_better else better + edge
    marks = svg.ticks(x)
    parts = [
        _filled(better, x, y),
        svg.path([(x(v), y(d)) for v, d in curve], ink=svg.GOOD, kind="density"),
        svg.line((_LEFT, _BOTTOM), (_RIGHT, _BOTTOM), ink=svg.FAINT),
        svg.line((x(0), _TOP), (x(0), _BOTTOM), ink=svg.INK, dashed=True),
        svg.line(
            (x(belief.interval.low), _BOTTOM),
            (x(belief.interval.high), _BOTTOM),
            ink=svg.INK,
            width=4,
        ),
        *(
            svg.text(
                x(v),
                _BOTTOM + 20,
                svg.shown(v, svg.form_for(marks, signed=True)),
                anchor="middle",
                ink=svg.FAINT,
            )
            for v in marks
        ),
        svg.text(_LEFT, 50, said := _said(belief, more_is_better=more_is_better), ink=svg.FAINT),
        svg.text(
            (_LEFT + _RIGHT) / 2,
            _BOTTOM + 42,
            "difference to control",
            anchor="middle",
            ink=svg.FAINT,
        ),
    ]
    return svg.drawing((_WIDTH, _HEIGHT), title, said, parts)


def _filled(better: list[tuple[float, float]], x: svg.Scale, y: svg.Scale) -> str:
    if not better:
        return ""
    outline = [(x(v), y(d)) for v, d in better]
    return svg.area([(outline[0][0], y(0)), *outline, (outline[-1][0], y(0))], kind="better")


def _said(belief: Belief, *, more_is_better: bool) -> str:
    chance = belief.chance if more_is_better else 1 - belief.chance
    low, high = belief.interval.low, belief.interval.high
    return f"Better with a chance of {chance:.1%}; the difference is between {low:+.4g} and {high:+.4g}."
