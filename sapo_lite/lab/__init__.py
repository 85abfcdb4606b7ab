"""The lab: a small generated world in which the whole method runs in minutes, offline.

`world` generates the tasks, `wordings` writes their instructions in hundreds of ways, and
`build` writes both to `data/lab/` in the layout of the published benchmarks.

To add a task, give it three things and build again:

1. in `world.py`, a function from a `random.Random` to an `Example`, listed in `TASKS`;
2. in `wordings.py`, its entry in `PHRASINGS`: what the input is called, and at least one core
   phrase of each form (the first imperative becomes the task's original instruction);
3. in `tests/test_lab.py`, a checker that finds the answer in another way than the generator.
"""
