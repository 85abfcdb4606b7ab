"""The colours of the terminal, by what they mean. They can be read on light and on dark grounds.

Where a terminal has 256 colours, these are fixed ones of middle lightness, with a contrast of 3.8 or more to
white and to black, and 3.4 to dark grey: yellow, cyan and green of its own sixteen cannot be read on white.
With NO_COLOR, rich leaves bold, dim and italic; so a colour never says what words or signs do not.
"""

from rich.theme import Theme

GOOD = "color(64)"  # green
CARE = "color(166)"  # orange
BAD = "color(196)"  # red
ACTIVE = "color(165)"  # purple: what the program is doing, or what stands out from its neighbours
ORIGINAL = ACTIVE

# What rich colours by itself. The part of a bar that is not filled must not be stronger than the filled one.
THEME = Theme(
    {
        "bar.back": "dim",
        "bar.complete": ACTIVE,
        "bar.finished": GOOD,
        "bar.pulse": ACTIVE,
        "progress.download": "",
        "progress.elapsed": "",
        "progress.remaining": "",
        "progress.data.speed": "",
        "progress.spinner": ACTIVE,
    }
)
