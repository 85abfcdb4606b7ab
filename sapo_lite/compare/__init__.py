"""Comparisons of many runs: a grid of strategies, adapters and seeds, and its statistics.

    grid.py         the cells, and the recipe and the command of each
    reuse.py        pieces that runs copy from each other (times.py: the seconds these took)
    folders.py      the run folders of the cells; plan.py: their work
    execution.py    runs the cells (cells.py: one of them), and progress.py follows them
    executors/      where they run: in processes here, on Ray, or on Slurm
    read.py         reads finished runs, and checks which of them can be compared
    findings.py     groups over seeds, differences, significance (statistics.py)
    comparison.py   the comparison as one object

Only the modules that run a grid import torch. Tables and files of a comparison are written in report/.
"""
