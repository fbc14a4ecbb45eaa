"""A figure over time that plays: what is yet to come is veiled, and a line moves on with the time.

Animated by the picture's own styles, without scripts. On paper, and where people asked for less motion, the
whole figure stands still.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

__all__ = ["Playing"]

RESTS = 0.9
"""Share of a round in which time goes on; for the rest the whole figure is seen."""

STYLE = """<style>
@keyframes veil {{ from {{ transform: scaleX(1); }} {rests}%, to {{ transform: scaleX(0); }} }}
@keyframes now {{ from {{ transform: none; }} {rests}%, to {{ transform: translateX(var(--way)); }} }}
.veil {{ transform-box: fill-box; transform-origin: right; animation: veil {seconds:g}s linear infinite; }}
.now {{ animation: now {seconds:g}s linear infinite; }}
@media (prefers-reduced-motion: reduce) {{ .veil, .now {{ display: none; }} }}
@media print {{ .veil, .now {{ display: none; }} }}
</style>
"""


@final
@dataclass(frozen=True)
class Playing:
    """Which panels of a figure play.

    Args:
        panels: those whose horizontal axis is the time, from one end to the other.
        seconds: how long a round lasts.
    """

    panels: Sequence[Axes]
    seconds: float = 9.0

    def over(self, svg: str, figure: Figure) -> str:
        """Return a picture with veils and lines over its panels.

        Args:
            svg: the figure's, laid out as it is now.
            figure: the figure.
        """
        width, height = (72.0 * float(inches) for inches in figure.get_size_inches())
        paper = to_hex(figure.get_facecolor())
        parts = [STYLE.format(rests=round(100 * RESTS), seconds=self.seconds)]
        for ax in self.panels:
            place = ax.get_position()
            left, top = place.x0 * width, (1.0 - place.y1) * height
            wide, high = place.width * width, place.height * height
            ink = to_hex(ax.yaxis.label.get_color())
            parts.append(
                f'<rect class="veil" x="{left:.2f}" y="{top:.2f}" width="{wide:.2f}" height="{high:.2f}" '
                f'fill="{paper}" fill-opacity="0.9"/>\n'
                f'<line class="now" x1="{left:.2f}" x2="{left:.2f}" y1="{top:.2f}" y2="{top + high:.2f}" '
                f'stroke="{ink}" stroke-width="1.2" style="--way: {wide:.2f}px"/>\n'
            )
        end = svg.rindex("</svg>")
        return f"{svg[:end]}<g>\n{''.join(parts)}</g>\n{svg[end:]}"
