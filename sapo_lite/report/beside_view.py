"""Answers of several stages to one text, side by side."""

from collections.abc import Mapping

from rich.table import Table


def beside(answers: Mapping[str, str]) -> Table:
    """A column of equal width for each stage. answers: by the stage's name"""
    table = Table(box=None, expand=True, padding=(0, 2, 0, 0), header_style="bold")
    for stage in answers:
        table.add_column(stage, ratio=1, overflow="fold")
    table.add_row(*answers.values())
    return table
