"""A few shapes as SVG text, and an axis with round numbers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from math import ceil, floor, isfinite, log10

INK, FAINT, GRID, PAPER = "#1b1f24", "#6a737d", "#d8dee4", "#ffffff"
GOOD, BAD, PLAIN, BAND = "#0072b2", "#d55e00", "#57606a", "#56b4e9"
# Who reads on a dark page gets dark paper; whatever shows pictures without styles shows them as they are drawn.
_DARK = {INK: "#e6edf3", FAINT: "#9da7b1", GRID: "#30363d", PAPER: "#0d1117"} | {
    GOOD: "#58a6ff",
    BAD: "#ff9a57",
    PLAIN: "#9da7b1",
}
_STYLE = "".join(
    f'[{of}="{light}"]{{{of}:{dark}}}' for light, dark in _DARK.items() for of in ("fill", "stroke")
)
_FONT = "system-ui, sans-serif"
Place = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Scale:
    """From values to places along a line."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the place of a value, kept within the line."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def scale(values: Iterable[float], start: float, end: float, *, room: float = 0.06) -> Scale:
    """Return a scale on which all finite values have a place, with some room around them."""
    known = [v for v in values if isfinite(v)] or [0.0]
    low, high = min(known), max(known)
    spread = (high - low) or abs(high) or 1.0
    return Scale(low - room * spread, high + room * spread, start, end)


def ticks(scale: Scale, most: int = 6) -> list[float]:
    """Return round values along a scale: 1, 2 or 5 times a power of ten apart."""
    rough = (scale.high - scale.low) / most
    power = 10.0 ** floor(log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9))
    first = ceil(scale.low / step - 1e-9)
    last = floor(scale.high / step + 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


def shown(value: float, form: str) -> str:
    """Write a value, zero without a sign."""
    return form.format(value) if value else form.format(0.0).lstrip("+")


def form_for(values: Sequence[float], *, percent: bool = False, signed: bool = False) -> str:
    """Return a format with as many digits as neighbouring ticks need."""
    step = min((abs(b - a) for a, b in pairwise(values)), default=1.0)
    digits = max(0, -floor(log10(step * (100 if percent else 1)) + 1e-9)) if step > 0 else 0
    sign = "+" if signed else ","
    return f"{{:{sign}.{digits}%}}" if percent else f"{{:{sign}.{digits}f}}"


def short(name: str, most: int) -> str:
    """Return a name of at most so many characters, and that something is left out."""
    return name if len(name) <= most else name[: most - 1] + "…"


def text(
    x: float, y: float, words: str, *, anchor: str = "start", ink: str = INK, size: int = 12
) -> str:
    """Return a line of text."""
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} fill="{ink}" font-size="{size}">{escape(words)}</text>'


def line(
    start: Place, end: Place, *, ink: str = GRID, width: float = 1, dashed: bool = False
) -> str:
    """Return a straight line."""
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    places = f'x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}"'
    return f'<line {places} stroke="{ink}" stroke-width="{width}"{dash}/>'


def path(
    points: Sequence[Place],
    *,
    ink: str = INK,
    width: float = 2,
    kind: str = "line",
    dashed: bool = False,
) -> str:
    """Return a line through points."""
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    return f'<polyline class="{kind}" points="{places}" fill="none" stroke="{ink}" stroke-width="{width}"{dash}/>'


def area(
    points: Sequence[Place],
    *,
    ink: str = BAND,
    opacity: float = 0.3,
    kind: str = "area",
) -> str:
    """Return a filled area."""
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polygon class="{kind}" points="{places}" fill="{ink}" fill-opacity="{opacity}"/>'


def dot(x: float, y: float, *, ink: str = INK, radius: float = 4, kind: str = "point") -> str:
    """Return a dot."""
    return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{ink}"/>'


def group(kind: str, parts: Iterable[str], *, said: str = "") -> str:
    """Return shapes that belong together; `said` is shown on hover and read aloud."""
    title = f"<title>{escape(said)}</title>" if said else ""
    return f'<g class="{kind}">{title}{"".join(parts)}</g>'


def drawing(size: tuple[int, int], title: str, said: str, parts: Iterable[str]) -> str:
    """Return the whole picture, which scales to the width it is given."""
    width, height = size
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-labelledby="title desc" font-family="{_FONT}">'
    )
    paper = f'<rect width="{width}" height="{height}" fill="{PAPER}"/>'
    names = f'<title id="title">{escape(title)}</title><desc id="desc">{escape(said)}</desc>'
    style = f"<style>@media (prefers-color-scheme: dark){{{_STYLE}}}</style>"
    return f"{head}{names}{style}{paper}{text(16, 26, title, size=15)}{''.join(parts)}</svg>\n"


def empty(title: str, why: str) -> str:
    """Return the picture of nothing yet, which says so."""
    return drawing((720, 120), title, why, [text(16, 70, why, ink=FAINT, size=13)])
