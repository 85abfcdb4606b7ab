"""Metrics of the user, module:function: where they are found, and what is refused."""

from dataclasses import replace
from pathlib import Path

import pytest

from sapo_lite.errors import RecipeError
from sapo_lite.evaluation.metrics import METRICS, TASK_METRIC, mean_scores
from sapo_lite.evaluation.own_metrics import shown_name, with_metrics
from sapo_lite.recipe import load_recipe
from sapo_lite.run.binding import changed_inputs
from sapo_lite.run.inputs import inputs_of
from sapo_lite.types import Example, Task
from tiny import make_task

SAME_LENGTH = "def same_length(answer, reference, labels):\n    return len(answer) == len(reference)\n"


def task_with(metric: str) -> Task:
    return replace(make_task(1), metric=metric, test=(Example("", "ab"), Example("", "abc")))


def checked(metric: str, folder: Path) -> Task:
    (task,) = with_metrics([task_with(metric)], list(METRICS), folder)
    return task


def refused(metric: str, folder: Path) -> str:
    with pytest.raises(RecipeError) as caught:
        checked(metric, folder)
    return str(caught.value)


def test_a_function_beside_the_recipe_is_a_metric(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(SAME_LENGTH)
    task = checked("mine:same_length", tmp_path)
    scores = mean_scores(["xy", "xy"], task)
    assert scores[TASK_METRIC] == 50
    assert list(scores) == [*METRICS, TASK_METRIC]
    assert shown_name(task.metric) == "mine:same_length"


def test_a_function_in_the_working_directory_or_of_a_package_is_a_metric(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "mine.py").write_text(SAME_LENGTH)
    monkeypatch.chdir(tmp_path)
    assert shown_name(checked("tools.mine:same_length", tmp_path / "elsewhere").metric) == "mine:same_length"
    assert checked("sapo_lite.evaluation.metrics:exact_match", tmp_path) == task_with(
        "sapo_lite.evaluation.metrics:exact_match"
    )


def test_a_changed_metric_is_a_changed_input(tmp_path: Path) -> None:
    recipe, file = load_recipe("lab"), tmp_path / "mine.py"
    file.write_text(SAME_LENGTH)
    task = checked("mine:same_length", tmp_path)
    before = inputs_of(recipe, [task])
    file.write_text(SAME_LENGTH + "\n")
    assert before["the metric of task195"]["name"] == "mine:same_length"
    assert changed_inputs(before, inputs_of(recipe, [task])) == [
        "the metric of task195 has changed (content)"
    ]
    other = changed_inputs(before, inputs_of(recipe, [task_with("accuracy")]))
    assert other == ["the metric of task195 has changed (name, content)"]


@pytest.mark.parametrize(
    ("metric", "code", "said"),
    [
        ("rogueL", "", 'or module:function, found "rogueL"; did you mean "rougeL"?'),
        ("mine:", "", 'or module:function, found "mine:"'),
        ("no_such_module_here:score", "", "found ModuleNotFoundError: No module named 'no_such_module_here'"),
        ("broken:score", "def score(:", 'expected the module of "broken:score", found SyntaxError'),
        ("empty:score", "", 'labels that returns a number from 0 to 1 as "empty:score", found nothing'),
        ("number:score", "score = 1", 'as "number:score", found 1'),
        (
            "two:score",
            "def score(a, b): return 1",
            '"two:score": expected a function of prediction',
        ),
        ("percent:score", "def score(*given): return 100", 'from 0 to 1, found 100 for the answer "ab"'),
        ("nan:score", "def score(*given): return float('nan')", "expected a number from 0 to 1, found nan"),
        ("text:score", "def score(*given): return 'good'", 'expected a number from 0 to 1, found "good"'),
        ("bug:score", "def score(*given): return given[9]", "found IndexError: tuple index out of range"),
    ],
)
def test_what_is_no_metric_is_refused_before_the_run(
    metric: str, code: str, said: str, tmp_path: Path
) -> None:
    if not metric.startswith("no_such"):
        (tmp_path / f"{metric.partition(':')[0]}.py").write_text(code)
    text = refused(metric, tmp_path)
    assert text.startswith("metric of task195: ")
    assert said in text


def test_all_faulty_metrics_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        with_metrics([task_with("rouge"), task_with("acuracy")], list(METRICS), tmp_path)
    assert len(str(caught.value).splitlines()) == 2
