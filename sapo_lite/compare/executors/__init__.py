"""Executors for the runs of a comparison.

do_all.py      the loop: each item as soon as it is ready, by any executor
local.py       processes of this machine
on_ray.py      nodes of a Ray cluster (cell_files.py: their files are fetched)
on_slurm.py    jobs on a shared disk, through submitit
place.py       what --on names; threads.py: pools that wait for other machines
"""
