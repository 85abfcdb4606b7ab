"""Figures as files."""

import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sapo_lite.errors import SapoLiteError
from sapo_lite.report.figures.style import SETTINGS
from sapo_lite.run.paths import COMPARISON

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("svg", "pdf", "png")


def write_figures(folder: Path, out: Path) -> list[Path]:
    """Write the figures of the finished run or comparison in a folder, each in all FORMATS, into `out`.

    Returns the paths of the files.

    Raises:
        SapoLiteError: matplotlib is not installed, or there is no finished run or comparison.
    """
    try:
        import matplotlib
    except ImportError:
        raise SapoLiteError(
            "--figures: expected matplotlib, which draws them, found none. Install it: "
            'pip install "sapo-lite[figures]".'
        ) from None
    written = []
    with matplotlib.rc_context(SETTINGS), warnings.catch_warnings():
        # Fonts without Chinese signs: the file then has empty boxes, and nothing can be done about it here.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        for name, figure in _figures(folder):
            out.mkdir(parents=True, exist_ok=True)
            stem = re.sub(r"[^\w.-]", "_", name)
            for suffix in FORMATS:
                path = out / f"{stem}.{suffix}"
                # Without the time of writing, equal figures are equal files.
                when = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(suffix)
                figure.savefig(path, metadata=when, bbox_inches="tight")
                written.append(path)
    return written


def _figures(folder: Path) -> "Iterator[tuple[str, Figure]]":
    if (folder / COMPARISON).exists():
        from sapo_lite.compare.comparison import compare_folders
        from sapo_lite.report.figures.comparison_figures import comparison_figures

        return comparison_figures(compare_folders([folder], None))
    from sapo_lite.report.figures.run_figures import run_figures

    return run_figures(folder)
