"""Executors for the runs of a comparison.

do_all.py      the loop: each item as soon as it is ready, by any executor
local.py       processes of this machine
on_ray.py      nodes of a Ray cluster (cell_files.py: their files are fetched)
on_slurm.py    jobs on a shared disk, through submitit
elsewhere.py   what the last two share: a thread waits for a cell, which goes on if its machine is lost
place.py       what --on names
"""
