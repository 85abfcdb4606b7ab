"""Runs beside each other: a grid of strategies, adapters and seeds that is run or reused, and its statistics.

    grid.py         which cells there are, and the recipe and the command of each
    reuse.py        what runs copy from each other instead of computing it again (times.py: what it took)
    folders.py      the run folders of the cells; plan.py: how much work they are
    execution.py    runs the cells; executors/: many, in processes; progress.py: how far they are
    read.py         finished runs, read back, and which of them can be compared
    findings.py     groups over seeds, differences, what stands out (statistics.py)
    comparison.py   all of it

Of these, only what runs a grid brings torch. Tables and files of a comparison are drawn in report/.
"""
