"""`sapo-lite chat`."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from sapo_lite.cli.options import Offline, Plain, RunPath, Stage, TaskName
from sapo_lite.cli.terminal import interruptible, show, wide_console, working
from sapo_lite.errors import RecipeError, SapoLiteError

if TYPE_CHECKING:
    from sapo_lite.run.answering import Answers
    from sapo_lite.run.snapshot import Snapshot
    from sapo_lite.types import Task

_Beside = Annotated[
    str | None,
    typer.Option(
        metavar="base|NUMBER",
        help="A second stage that answers the same text, or the model before any training.",
    ),
]
_HELP = "a line is an input; /task NAME changes the task, /prompt shows the whole text, /quit ends"


def chat(
    run: RunPath,
    task: TaskName = None,
    stage: Stage = None,
    beside: _Beside = None,
    offline: Offline = False,
    plain: Plain = False,
) -> None:
    """Ask the model of a run, with the wording of a task put around every line; two stages side by side."""
    from sapo_lite.run.snapshot import read_snapshot

    snapshot = read_snapshot(run, stage)
    others = [] if beside is None else [read_snapshot(run, _number(beside))]
    asked = snapshot.task(task)
    with working(f"chat {run.name}", plain, then="nothing was asked") as progress:
        from sapo_lite.run.answering import load_answers

        answers = load_answers(snapshot, progress, others)
    with interruptible("the end"):
        _Talk(answers, asked, [snapshot, *others]).go_on()


def _number(beside: str) -> int:
    if beside == "base":
        return 0
    if not beside.isdecimal():
        raise RecipeError(f"--beside: expected base, or the number of a stage, found {beside}")
    return int(beside)


@dataclass
class _Talk:
    """A conversation of single lines: each is asked by itself, since the run was trained and tested so."""

    answers: "Answers"
    task: "Task"
    stages: "Sequence[Snapshot]"

    def go_on(self) -> None:
        """Answer line by line, until the input ends."""
        snapshot = self.answers.snapshot
        show(f"{snapshot.label}, tasks: {', '.join(snapshot.tasks)}; {_HELP}", err=True)
        for line in self._lines():
            if line.split() == ["/quit"]:
                return
            try:
                self._take(line)
            except SapoLiteError as error:  # such as an unknown task: the next line may be better
                show(f"error: {error}", err=True)

    def _take(self, line: str) -> None:
        command, _, rest = line.partition(" ")
        snapshot, chat = self.answers.snapshot, self.answers.backbone.chat
        if command == "/task":
            self.task = snapshot.task(rest.strip() or None)
            show(f"now {self.task.name}", err=True)
        elif command == "/prompt":
            show(chat.prompt(self.task, snapshot.prompts[self.task.key], rest))
        else:
            given = {
                stage.label: self.answers.answer(self.task, [line], stage.number)[0] for stage in self.stages
            }
            self._show(given)

    def _show(self, given: dict[str, str]) -> None:
        """Answers by stage: one alone; several side by side on a terminal, else a line for each."""
        if len(given) == 1:
            show(*given.values())
        elif sys.stdout.isatty():
            from sapo_lite.report.beside_view import beside

            wide_console(sys.stdout).print(beside(given))
        else:
            for label, answer in given.items():
                show(f"{label}: {answer}")

    def _lines(self) -> Iterator[str]:
        """Lines that are not empty: typed behind the task's name, or from a pipe or file."""
        if not sys.stdin.isatty():
            yield from (line.rstrip("\n") for line in sys.stdin if line.strip())
            return
        import readline  # noqa: F401  lines can be edited and repeated

        while True:
            try:
                line = input(f"{self.task.name}> ")
            except EOFError:
                return
            if line.strip():
                yield line
