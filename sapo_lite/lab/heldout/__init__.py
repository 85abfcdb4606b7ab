"""The tasks of continual learning; no backbone was pretrained on them.

To add one, write a function from a `random.Random` to an `Example` in the module it fits, and decorate
it with a `Phrasing`: at least six core phrases from the most familiar to the rarest, the first an
imperative, which becomes the task's original instruction. Build (`python -m sapo_lite.lab.build`), and
give tests/lab/lab_checkers.py a checker that finds the answer in another way than the generator.
"""

from sapo_lite.lab.heldout import choosing, judging, writing
from sapo_lite.lab.heldout.task import TASKS, LabTask

__all__ = ["TASKS", "LabTask", "choosing", "judging", "writing"]
