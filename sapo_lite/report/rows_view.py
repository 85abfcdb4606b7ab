"""Rows of a task as the model will read them."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from sapo_lite.model.chat import user_turn
from sapo_lite.report.colours import CARE
from sapo_lite.support.foreign_text import visible
from sapo_lite.support.messages import quoted
from sapo_lite.types import Example, Task


def rows_view(
    task: Task, split: str, count: int, rows: Sequence[Example], read: Sequence[str | None]
) -> RenderableType:
    """The user turns and answers of rows.

    count: number of rows of the split
    read: what is left of the rows' inputs where the recipe cuts them; None if that is not known
    """
    about = [f"{len(rows)} of {count:,} {split} rows", f"metric {task.metric}", f"language {task.language}"]
    about += [f"labels {', '.join(map(quoted, task.labels))}"] * bool(task.labels)
    parts: list[Text] = [Text(f"{task.name}: {'; '.join(about)}", style="bold")]
    for number, (row, kept) in enumerate(zip(rows, read, strict=True), start=1):
        text = row.input if kept is None else kept
        parts += [
            Text(f"── row {number}", style="dim"),
            Text(visible(user_turn(task, task.instruction, text))),
        ]
        if len(text) < len(row.input):
            cut = f"{len(text):,} of {len(row.input):,} characters are read (model.max_source_tokens)"
            parts.append(Text(f"── cut: {cut}", style=CARE))
        parts += [Text("── answer", style="dim"), Text(visible(row.answer))]
    return Group(*parts, Text())
