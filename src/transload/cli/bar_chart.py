"""A bar chart as SVG: one bar a line, its label before it and its value behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

LABEL_WIDTH, BAR_WIDTH, VALUE_WIDTH = 260, 400, 90
LINE_HEIGHT, TOP = 22, 34


@dataclass(frozen=True)
class Bar:
    """One bar; `value` is not negative."""

    label: str
    value: float


def draw_bars(title: str, bars: Sequence[Bar]) -> str:
    """The chart as a document. Bars begin at zero."""
    largest = max((bar.value for bar in bars), default=0.0) or 1.0
    width, height = LABEL_WIDTH + BAR_WIDTH + VALUE_WIDTH, TOP + LINE_HEIGHT * len(bars) + 10
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="13">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="10" y="20" font-weight="bold">{escape(title)}</text>',
    ]
    for index, bar in enumerate(bars):
        y = TOP + index * LINE_HEIGHT
        length = BAR_WIDTH * bar.value / largest
        lines += [
            f'<text x="{LABEL_WIDTH - 8}" y="{y + 14}" text-anchor="end">{escape(bar.label)}</text>',
            f'<rect x="{LABEL_WIDTH}" y="{y + 2}" width="{length:.1f}" height="16" fill="#4878a8"/>',
            f'<text x="{LABEL_WIDTH + length + 6:.1f}" y="{y + 14}">{bar.value:.4g}</text>',
        ]
    return "\n".join([*lines, "</svg>"]) + "\n"
