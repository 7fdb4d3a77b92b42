"""Plots as inline SVG, written by hand: colours are the page's CSS variables, so they follow light, dark and paper.

Coordinates are rounded to a tenth of a pixel; nothing depends on fonts, time or the machine, so the bytes do not either.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH, HEIGHT = 460, 300
LEFT, RIGHT, TOP, BOTTOM = 58, 16, 34, 46
CHARACTER = 6.6
"""Pixels that a character of a label takes, about."""

Numbers = Iterable[float]


@dataclass(frozen=True, slots=True)
class Axis:
    """A scale from low to high. log: decades; then low is above 0."""

    label: str
    low: float
    high: float
    ticks: tuple[float, ...]
    words: Callable[[float], str]
    log: bool = False

    def part(self, value: float) -> float:
        """The position of `value`, 0 to 1; values beyond an end are on it."""
        value = min(max(value, self.low), self.high)
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def log_ticks(low: float, high: float) -> tuple[float, ...]:
    """Decades between the ends; with 2 and 5 between them if the decades are few; four even parts if that is still little."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if len(decades) <= 4 else (1,)
    ticks = [step * 10.0**decade for decade in decades for step in steps]
    inside = tuple(tick for tick in ticks if low <= tick <= high)
    if len(inside) > 2:
        return inside
    even = (float(f"{low * (high / low) ** part:.2g}") for part in (0.0, 1 / 3, 2 / 3, 1.0))
    return tuple(sorted({tick for tick in even if low <= tick <= high}))


def even_ticks(high: float, most: int = 5) -> tuple[float, ...]:
    """Round numbers from 0 up to at most `high`, in no more than `most` steps."""
    step = 10.0 ** math.floor(math.log10(high / most)) if high > 0 else 1.0
    step = next(step * factor for factor in (1, 2, 5, 10, 20) if high / (step * factor) <= most)
    return tuple(step * n for n in range(math.floor(high / step + 1e-9) + 1))


class Plot:
    """One chart. Styles are class names of the page: c1, c2, c3 for colours; line, dash, area, dots for shapes."""

    def __init__(self, x: Axis, y: Axis, width: int = WIDTH, height: int = HEIGHT) -> None:
        self.x, self.y, self.width, self.height = x, y, width, height
        self._shapes: list[str] = []
        self._legend: list[tuple[str, str]] = []

    def key(self, style: str, words: str) -> None:
        """An entry of the legend."""
        self._legend.append((style, words))

    def line(self, xs: Numbers, ys: Numbers, style: str) -> None:
        """Straight from point to point."""
        self._path(self._points(xs, ys), f"line {style}")

    def steps(self, edges: Sequence[float], heights: Sequence[float], style: str) -> None:
        """A histogram's outline: heights[i] from edges[i] to edges[i + 1], down to the axis at both ends."""
        xs = [edge for edge in edges for _ in (0, 1)]
        ys = [self.y.low, *(height for height in heights for _ in (0, 1)), self.y.low]
        self._path(self._points(xs, ys), style)

    def bars(self, spans: Iterable[tuple[float, float]], heights: Numbers, style: str) -> None:
        """Upright bars, spans on x."""
        for (start, end), height in zip(spans, heights, strict=True):
            left, top, right = self._x(start), self._y(height), self._x(end)
            self._shapes.append(
                f'<rect class="bar {style}" x="{left:.1f}" y="{top:.1f}" width="{max(0.5, right - left):.1f}" '
                f'height="{max(0.0, self._y(self.y.low) - top):.1f}"/>'
            )

    def dots(self, xs: Numbers, ys: Numbers, style: str) -> None:
        """Many points, as one path of dots."""
        path = "".join(f"M{self._x(x):.1f} {self._y(y):.1f}h0" for x, y in zip(xs, ys, strict=True))
        self._shapes.append(f'<path class="dots {style}" d="{path}"/>')

    def marker(self, x: float, y: float, style: str) -> None:
        """One point that counts."""
        self._shapes.append(f'<circle class="marker {style}" cx="{self._x(x):.1f}" cy="{self._y(y):.1f}" r="5"/>')

    def whisker(self, x: float, low: float, high: float, style: str) -> None:
        """An interval on y."""
        self._path([f"{self._x(x):.1f} {self._y(v):.1f}" for v in (low, high)], f"whisker {style}")

    def threshold(self, x: float, words: str) -> None:
        """A dashed upright with its name."""
        at, inner = self._x(x), self.width - RIGHT
        self._path([f"{at:.1f} {TOP}", f"{at:.1f} {self.height - BOTTOM}"], "rule")
        end = at + 4 + CHARACTER * len(words) > inner
        anchor, shift = ("end", -4) if end else ("start", 4)
        self._shapes.append(f'<text x="{at + shift:.1f}" y="{TOP + 11}" text-anchor="{anchor}">{escape(words)}</text>')

    def level(self, y: float) -> None:
        """A dashed level line."""
        at = self._y(y)
        self._path([f"{LEFT} {at:.1f}", f"{self.width - RIGHT} {at:.1f}"], "rule")

    def svg(self, alternative: str) -> Markup:
        """The chart. alternative: what it shows, for a reader who cannot see it."""
        return wrapped(self.width, self.height, [*self._frame(), *self._shapes, *self._key_row()], alternative)

    def _x(self, value: float) -> float:
        return LEFT + self.x.part(value) * (self.width - LEFT - RIGHT)

    def _y(self, value: float) -> float:
        return self.height - BOTTOM - self.y.part(value) * (self.height - TOP - BOTTOM)

    def _points(self, xs: Numbers, ys: Numbers) -> list[str]:
        points = [f"{self._x(x):.1f} {self._y(y):.1f}" for x, y in zip(xs, ys, strict=True)]
        return [point for n, point in enumerate(points) if n == 0 or point != points[n - 1]]

    def _path(self, points: list[str], style: str) -> None:
        self._shapes.append(f'<path class="{style}" d="M{"L".join(points)}"/>')

    def _frame(self) -> list[str]:
        right, floor = self.width - RIGHT, self.height - BOTTOM
        parts = []
        for tick in self.y.ticks:
            at = self._y(tick)
            parts.append(f'<path class="grid" d="M{LEFT} {at:.1f}H{right}"/>')
            parts.append(f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{escape(self.y.words(tick))}</text>')
        for tick in self.x.ticks:
            at = self._x(tick)
            parts.append(f'<path class="grid" d="M{at:.1f} {floor}v4"/>')
            # one word to a line where there are several
            for line, word in enumerate(self.x.words(tick).split(" ", 1)):
                y = floor + 17 + 12 * line
                parts.append(f'<text x="{at:.1f}" y="{y}" text-anchor="middle">{escape(word)}</text>')
        parts.append(f'<path class="axis" d="M{LEFT} {floor}H{right}"/>')
        middle = (LEFT + right) / 2
        parts.append(
            f'<text class="label" x="{middle:.0f}" y="{self.height - 8}" text-anchor="middle">{escape(self.x.label)}</text>'
        )
        upright = (TOP + floor) / 2
        parts.append(
            f'<text class="label" transform="translate(14 {upright:.0f}) rotate(-90)" text-anchor="middle">'
            f"{escape(self.y.label)}</text>"
        )
        return parts

    def _key_row(self) -> list[str]:
        parts, at = [], float(LEFT)
        for style, words in self._legend:
            parts.append(f'<path class="key {style}" d="M{at:.1f} 16h18"/>')
            parts.append(f'<text x="{at + 23:.1f}" y="20">{escape(words)}</text>')
            at += 23 + CHARACTER * len(words) + 14
        return parts


def wrapped(width: int, height: int, parts: Iterable[str], alternative: str) -> Markup:
    """An SVG image with its alternative text."""
    return Markup(  # noqa: S704  (every text in `parts` went through escape)
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(alternative)}">{"".join(parts)}</svg>'
    )


def ranking(rows: Sequence[tuple[str, float, str]], style: str, alternative: str) -> Markup:
    """Horizontal bars from 0, label above each: (label, value, value in words), the longest first."""
    step, width = 36, WIDTH
    longest = max([value for _, value, _ in rows] + [1e-12])
    parts = []
    for row, (label, value, words) in enumerate(rows):
        top, length = row * step + 6, max(0.0, value) / longest * (width - 80)
        parts.append(f'<text x="0" y="{top + 10}">{escape(label)}</text>')
        parts.append(f'<rect class="bar {style}" x="0" y="{top + 15}" width="{max(1.0, length):.1f}" height="11"/>')
        parts.append(f'<text class="value" x="{max(1.0, length) + 6:.1f}" y="{top + 25}">{escape(words)}</text>')
    return wrapped(width, max(1, len(rows)) * step + 6, parts, alternative)
