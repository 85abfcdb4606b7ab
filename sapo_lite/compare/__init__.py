"""Runs beside each other: a grid of strategies, adapters and seeds that is run or reused, and its statistics.

    grid.py         which cells there are, and the recipe and the command of each
    sharing.py      what equal runs copy from each other instead of doing it again
    places.py       where the cells are; work.py: how much they are; plan.py: both, for a whole grid
    cells.py        runs one; workers.py: many, in processes; progress.py, live.py: what is seen meanwhile
    runs.py         finished runs, read back, and which of them can be compared
    findings.py     groups over seeds, differences, what stands out (statistics.py)
    comparison.py   all of it; tables.py, export.py: in four forms
    request.py      the command line; command.py: what it does with a recipe

Of these, only what runs a grid brings torch.
"""
