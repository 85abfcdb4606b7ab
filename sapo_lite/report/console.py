"""The console that all output for people goes through. Foreign text is shown there, and never obeyed."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from sapo_lite.report.colours import THEME
from sapo_lite.support.foreign_text import visible

if TYPE_CHECKING:
    from rich.live import Live


class ForeignConsole(Console):
    """A console that reads no markup and no emoji codes in texts, and shows control characters as signs.

    Whatever is printed passes `render`, a live display too. Escape codes are written later, from styles and
    from the segments of the display itself, which move the cursor.
    """

    def __init__(self, file: TextIO, **options: Any) -> None:
        super().__init__(file=file, markup=False, emoji=False, highlight=False, theme=THEME, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        if isinstance(renderable, Text) and (signs := visible(renderable.plain)) != renderable.plain:
            renderable = renderable.blank_copy(
                signs
            )  # before it is wrapped: signs are wider; without its styles
        for segment in super().render(renderable, options):
            text, style, control = segment
            yield segment if control else Segment(visible(text), style)


def print_above(live: "Live", *parts: RenderableType) -> None:
    """Print above a live display, under its lock.

    Rich itself holds the lock only while it reckons how many lines to go up. The display's own thread could
    then redraw it in another height, and the print would erase lines above, or leave a part of the display.
    """
    with live._lock:
        live.console.print(*parts)
