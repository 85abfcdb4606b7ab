"""Runs beside each other: a grid of strategies, adapters and seeds that is run or reused, and its statistics.

grid.py       which cells there are, and the recipe and command of each
sharing.py    what equal runs copy from each other instead of doing it again
places.py     where each cell is, and how far
cells.py      one cell; workers.py: many, in processes; work.py: how much that is
live.py       what is shown meanwhile
runs.py       finished runs, read back, and which of them can be compared
statistics.py, findings.py, output.py    means, differences, what stands out; tables in four formats
command.py    all of it in order
"""
