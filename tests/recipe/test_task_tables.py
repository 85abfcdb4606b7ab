"""The tables [[sequence.task]] of a recipe: settings, faults with their lines, overrides."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sapo_lite.errors import RecipeError
from sapo_lite.recipe import SequenceConfig, TaskConfig, differences, flat, load_recipe
from sapo_lite.recipe.toml_lines import line_numbers
from shop import RECIPE, write_shop

TASK = """\
[[sequence.task]]
name = "a"
file = "a.csv"
instruction = "Say it ."
"""


def recipe_of(tables: str, sequence: str = "") -> str:
    return f'[model]\nname = "lab"\n{sequence}{tables}[paraphrase]\nbackend = "builtin"\n'


def faults(spec: str | Path, *overrides: str) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        load_recipe(spec, overrides)
    return str(caught.value).splitlines()


def test_tasks_are_learned_in_the_order_of_their_tables(tmp_path: Path) -> None:
    sequence = load_recipe(write_shop(tmp_path)).sequence
    assert sequence.tasks == ("tickets", "reviews", "questions")
    tickets, reviews, questions = sequence.task
    assert (tickets.labels, reviews.labels, questions.labels) == ("auto", ("1", "2"), None)
    assert (tickets.test, reviews.test, questions.test) == (0.2, 10, None)


def test_tasks_can_be_chosen_and_ordered_by_an_override(tmp_path: Path) -> None:
    recipe = load_recipe(write_shop(tmp_path), ["sequence.tasks=['questions','tickets']"])
    assert recipe.sequence.tasks == ("questions", "tickets")


def test_paths_are_relative_to_the_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_shop(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    task = load_recipe(path).sequence.task[0]
    assert (task.path("tickets.csv"), task.path("/tmp/x.csv")) == (
        tmp_path / "tickets.csv",
        Path("/tmp/x.csv"),
    )


def test_every_fault_of_every_table_is_reported_at_once_with_its_line(
    write_recipe: Callable[..., str],
) -> None:
    spec = write_recipe("""\
        [model]
        name = "lab"
        [sequence]
        suite = "x"
        missing_train = "dev"
        tasks = ["Tikets"]
        [[sequence.task]]
        name = "tickets"
        fil = "tickets.csv"
        input = "{subject}\\n{body"
        metric = "exact_mach"
        test = 1.5
        labels = "automatic"
        [[sequence.task]]
        name = "Tickets"
        train = "a.csv"
        instruction = 3
        watch = "yes"
        test = 0.1
        [[sequence.task]]
        file = "a"
        train = "b"
        instruction = ""
        epochs = 3
        zz = 3
        labels = ["a", "a"]
        [paraphrase]
        backend = "builtin"
        """)
    alone = "expected nothing beside [[sequence.task]], since it belongs to a suite"
    columns = 'expected a column, or a template over columns such as "{subject}\\n{body}"'
    assert faults(spec, "sequence.tasks=['Tikets']") == [
        f'x.toml, line 4: sequence.suite: {alone}, found "x"',
        f'x.toml, line 5: sequence.missing_train: {alone}, found "dev"',
        "x.toml, line 7: sequence.task[1].instruction: expected a text in quotes, found nothing",
        'x.toml, line 9: sequence.task[1].fil: no such key; did you mean "file"?',
        f"x.toml, line 10: sequence.task[1].input: {columns}, found a single {{ at character 11; write {{{{ "
        "for a brace",
        "x.toml, line 11: sequence.task[1].metric: " + fault_of_a_metric("exact_mach", "exact_match"),
        "x.toml, line 12: sequence.task[1].test: expected a share such as 0.2, a number of rows, or a file, "
        "found 1.5",
        'x.toml, line 13: sequence.task[1].labels: expected "auto", or a list of different labels, such as '
        '["yes", "no"], found "automatic"',
        'x.toml, line 15: sequence.task[2].name: expected another name than "tickets" (x.toml, line 8), '
        'found "Tickets"',
        "x.toml, line 17: sequence.task[2].instruction: expected a text in quotes, found 3",
        'x.toml, line 18: sequence.task[2].watch: expected true or false, found "yes"',
        "x.toml, line 19: sequence.task[2].test: expected a file beside train (file is for one that is split)"
        ", found 0.1",
        "x.toml, line 20: sequence.task[3].name: expected a text in quotes, found nothing",
        "x.toml, line 22: sequence.task[3].train: expected either file, to be split, or train and test, "
        "found both file and train",
        "x.toml, line 24: sequence.task[3].epochs: no such key; did you mean training.epochs or "
        "rewrite.epochs?",
        "x.toml, line 25: sequence.task[3].zz: no such key; [[sequence.task]] takes "
        + ", ".join(TaskConfig.model_fields),
        'x.toml, line 26: sequence.task[3].labels: expected "auto", or a list of different labels, such as '
        '["yes", "no"], found "a" twice',
        "--set sequence.tasks=['Tikets']: sequence.tasks: expected names of [[sequence.task]], found "
        '"Tikets"; did you mean "Tickets"?',
    ]


def fault_of_a_metric(found: str, meant: str) -> str:
    description = TaskConfig.model_fields["metric"].description
    return f'expected {description}, found "{found}"; did you mean "{meant}"?'


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        (
            'name = "b"\ninstruction = ""\n',
            "line 8: sequence.task[2].file: expected a file of examples, found nothing",
        ),
        (
            'name = "b"\ninstruction = ""\nfile = "b.csv"\ninput = "no column {{}}"\n',
            "line 12: sequence.task[2].input: expected a column, or a template over columns such as "
            '"{subject}\\n{body}", found a text that names no column in braces',
        ),
        (
            'name = "b"\ninstruction = ""\nfile = "b.csv"\nlanguage = "En"\n',
            'line 12: sequence.task[2].language: expected a language code such as "en" or "zh", found "En"',
        ),
    ],
)
def test_a_fault_of_one_table_is_on_its_line(
    write_recipe: Callable[..., str], table: str, fault: str
) -> None:
    spec = write_recipe(recipe_of(f"{TASK}\n[[sequence.task]]\n{table}"))
    assert faults(spec) == [f"x.toml, {fault}"]


@pytest.mark.parametrize("other", ["A", "a", "\u212b"])
def test_names_that_differ_in_case_or_unicode_form_only_are_refused(
    write_recipe: Callable[..., str], other: str
) -> None:
    first = "\u00e5" if other == "\u212b" else "a"
    two = TASK.replace('"a"', f'"{first}"') + TASK.replace('"a"', f'"{other}"')
    assert faults(write_recipe(recipe_of(two)))[0].startswith(
        f'x.toml, line 8: sequence.task[2].name: expected another name than "{first}" (x.toml, line 4)'
    )


def test_something_must_be_learned(write_recipe: Callable[..., str]) -> None:
    assert faults(write_recipe(recipe_of(TASK + "watch = true\n"))) == [
        "x.toml, line 3: sequence.task: expected a task that is learned, found only tasks with watch = true"
    ]


def test_tables_of_tasks_are_tables(write_recipe: Callable[..., str]) -> None:
    for written, found in (("3", "3"), ("[]", "an empty list"), ('{name = "x"}', "{...}")):
        (fault, *_) = faults(write_recipe(recipe_of("", f"[sequence]\ntask = {written}\n")))
        assert fault == f"x.toml, line 4: sequence.task: expected tables [[sequence.task]], found {found}"


def test_tables_in_one_line_are_read_and_faults_name_that_line(write_recipe: Callable[..., str]) -> None:
    inline = '[sequence]\ntask = [{name = "a", file = "a.csv", instruction = "Say it ."}]\n'
    assert load_recipe(write_recipe(recipe_of("", inline))).sequence.tasks == ("a",)
    (fault,) = faults(write_recipe(recipe_of("", inline.replace("file", "fil"))))[:1]
    assert fault == 'x.toml, line 4: sequence.task[1].fil: no such key; did you mean "file"?'


def test_a_table_cannot_be_changed_by_an_override(write_recipe: Callable[..., str]) -> None:
    spec = write_recipe(recipe_of(TASK))
    advice = "edit [[sequence.task]] in the recipe; --set sequence.tasks chooses and orders tasks by name"
    for key in ("sequence.task", "sequence.task[1].file", "sequence.task.a.file"):
        assert faults(spec, f"{key}=x") == [f"--set {key}=x: {key}: {advice}"]


def test_the_resolved_recipe_has_every_setting_of_every_task(tmp_path: Path) -> None:
    resolved = load_recipe(write_shop(tmp_path)).resolved()
    assert flat(resolved)["sequence.task[2].test"] == 10
    other = load_recipe(write_shop(tmp_path, RECIPE.replace("test = 10", "test = 12"))).resolved()
    assert differences(resolved, other) == ["sequence.task[2].test: 10 in the run, 12 in the recipe"]


def test_a_recipe_of_a_suite_resolves_without_tables(write_recipe: Callable[..., str]) -> None:
    assert "task" not in load_recipe(write_recipe()).resolved()["sequence"]


def test_tasks_can_be_named_from_python() -> None:
    task = TaskConfig(name="a", file="a.csv", instruction="Say it .")
    assert SequenceConfig(task=(task,)).tasks == ("a",)


def test_lines_of_arrays_of_tables_are_counted_one_by_one() -> None:
    text = "[[a.b]]\nx = 1\n[[a.b]]\nx = 2\n[c]\nx = 3\n"
    assert line_numbers(text) == {
        "a.b[1]": 1, "a.b[1].x": 2, "a.b[2]": 3, "a.b[2].x": 4, "c": 5, "c.x": 6,
    }  # fmt: skip
