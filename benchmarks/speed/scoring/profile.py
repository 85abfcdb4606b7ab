"""Profile of exact scoring: shares of matrix products, attention and the rest."""

from collections import Counter
from collections.abc import Sequence

from torch.profiler import ProfilerActivity, profile

from benchmarks.speed.scoring.clock import timed
from sapo_lite.model.backbone import Backbone
from sapo_lite.prompts.scoring import score
from sapo_lite.types import Candidate, Task, TrainingRow

# Operators by the beginnings of their names; those that are in none of these are "others".
KINDS = {
    "matrix products": ("mm", "addmm", "bmm", "matmul", "linear"),
    "attention": ("_scaled_dot_product", "scaled_dot_product", "_softmax"),
    "copies": ("copy_", "_to_copy", "cat", "clone", "index", "_index_put", "fill_", "masked_fill"),
}


def shares(
    backbone: Backbone, task: Task, candidates: Sequence[Candidate], examples: int
) -> dict[str, float]:
    """Shares of the time, 0 to 1, by kind.

    The profiler compares operators, but slows the code around them. So that time is divided among them, and
    tokenising, which is not an operator, is measured without the profiler.
    """
    whole = timed(lambda: score(backbone, task, candidates, examples=examples))[1].cpu
    tokenising = timed(lambda: _tokenise(backbone, task, candidates, examples))[1].cpu / whole
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        score(backbone, task, candidates, examples=examples)
    seconds: Counter[str] = Counter()
    for event in profiler.key_averages():
        seconds[_kind(event.key.removeprefix("aten::"))] += event.self_cpu_time_total
    operators = {kind: seconds[kind] / seconds.total() * (1 - tokenising) for kind in (*KINDS, "others")}
    return {**operators, "tokenising": tokenising}


def _kind(operator: str) -> str:
    return next((kind for kind, names in KINDS.items() if operator.startswith(names)), "others")


def _tokenise(backbone: Backbone, task: Task, candidates: Sequence[Candidate], examples: int) -> None:
    for candidate in candidates:
        rows = [TrainingRow(candidate.text, e.input, e.answer) for e in task.train[:examples]]
        backbone.chat.encode(task, rows)
