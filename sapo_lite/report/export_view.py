"""What `export` prints at its end."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from sapo_lite.report.colours import CARE
from sapo_lite.report.tables import shorten
from sapo_lite.support.disk import in_words
from sapo_lite.support.messages import many

if TYPE_CHECKING:
    from sapo_lite.run.export.export import Export
    from sapo_lite.run.snapshot import Snapshot


def export_view(made: "Export", snapshot: "Snapshot") -> RenderableType:
    """Folder, files, agreement with stored answers, and lines to type next."""
    return Group(*_lines(made, snapshot))


def _lines(made: "Export", snapshot: "Snapshot") -> Iterator[RenderableType]:
    files = sorted(path for path in made.folder.rglob("*") if path.is_file())
    size = sum(path.stat().st_size for path in files)
    yield Text(
        f"{made.form} of {snapshot.label}: {many(len(files), 'file')}, {in_words(size)}, in {made.folder}",
        style="bold",
    )
    if made.agreement is None:
        yield Text("not verified")
    else:
        yield Text(str(made.agreement), style="" if not made.agreement.other else CARE)
        for row, found in made.agreement.other[:3]:
            yield Text(
                f"  {row.task}: {shorten(row.text, 60)}: expected {shorten(row.answer, 40)}, found "
                f"{shorten(found, 40)}"
            )
    for name in made.created.values():
        yield Text(f"created in Ollama: {name}")
    for command in made.commands:
        yield Text(f"  {command}")
