"""The probe: one task learned with each of its candidates, every time from the same state.

    plan.py         the runs of all seeds and their states; execution.py: all of it, with the time left
    run.py          the probes of one run
    state.py        a state, and one training from it; trainings.py: what is measured around it
    clusters.py     near-equal candidates
    results.py      probe.json
    effects.py      outcomes, tests of loss against them, the choice by loss (correlation.py: the statistics)

Only state.py and trainings.py import torch.
"""
