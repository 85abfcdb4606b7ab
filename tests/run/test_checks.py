"""Findings about the examples of a run."""

from dataclasses import replace

from sapo_lite.data.tasks import load_sequence
from sapo_lite.recipe import SequenceConfig
from sapo_lite.run.checks import as_notices, findings_of_cuts, findings_of_examples
from sapo_lite.types import Example, Task


def lab(*tasks: str) -> list[Task]:
    return load_sequence(SequenceConfig(suite="lab", tasks=tasks, train_examples=40, test_examples=12))


def test_inputs_cut_for_the_model_are_findings_of_their_task_and_split() -> None:
    whole = lab("oldest", "mood")
    cut = replace(whole[1], train=tuple(Example(e.input[:-9], e.answer) for e in whole[1].train))
    assert findings_of_cuts(whole, whole) == []
    (finding,) = findings_of_cuts(whole, [whole[0], cut])
    assert (finding.task, finding.split, finding.level) == ("mood", "train", "caution")
    assert finding.text == "40 of 40 train inputs are cut at their end"


def test_labels_that_are_one_to_the_tasks_metric_are_found_at_the_start() -> None:
    (task,) = lab("mood")
    rows = [Example(e.input, {"bright": "relate", "dark": "related"}[e.answer]) for e in task.train]
    own = replace(task, labels=("relate", "related"), train=tuple(rows), test=tuple(rows[:12]))
    notice = 'mood: labels are one and the same to the metric (rougeL): "relate" and "related"'
    assert notice in as_notices(findings_of_examples([replace(own, metric="rougeL")]))
    exact = findings_of_examples([replace(own, metric="exact_match")])
    assert "confused by the metric" not in [finding.kind for finding in exact]
