"""The check of an export: stored answers of the run are asked again from what was exported."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from sapo_lite.model.chat import ChatFormat
from sapo_lite.run.export import llama_cpp, ollama
from sapo_lite.run.export.prompts import Around, around_prompt, stop_texts, without_bos
from sapo_lite.run.snapshot import Snapshot
from sapo_lite.support.progress import Progress

if TYPE_CHECKING:
    from sapo_lite.model.backbone import Backbone


@dataclass(frozen=True)
class StoredAnswer:
    """An answer of the stage to a test row.

    instruction: that the row was asked with
    text: the input, cut as it was for the run
    """

    task: str
    instruction: str
    text: str
    answer: str


@dataclass(frozen=True)
class Agreement:
    """How many stored answers the export gives again.

    by: what answered
    other: rows with another answer, and that answer
    """

    by: str
    asked: int
    other: tuple[tuple[StoredAnswer, str], ...]

    @property
    def equal(self) -> int:
        return self.asked - len(self.other)

    def __str__(self) -> str:
        return f"{self.equal} of {self.asked} stored answers are given again, by {self.by}"


def stored_answers(snapshot: Snapshot, count: int) -> list[StoredAnswer]:
    """At most `count` answers of the stage, as many of each task that was learned as there are."""
    by_task = []
    for key in snapshot.learned:
        instruction, rows = snapshot.stored_rows(snapshot.tasks[key])
        by_task.append([StoredAnswer(key, instruction, row.input, row.answer) for row in rows])
    in_turn = chain.from_iterable(zip_longest(*by_task))
    return [row for row in in_turn if row is not None][:count]


def compared(rows: Sequence[StoredAnswer], answers: Sequence[str], by: str) -> Agreement:
    pairs = zip(rows, answers, strict=True)
    return Agreement(by, len(rows), tuple((row, found) for row, found in pairs if row.answer != found))


def by_transformers(
    snapshot: Snapshot, rows: Sequence[StoredAnswer], backbone: "Backbone", folder: Path, progress: Progress
) -> Agreement:
    """Ask a loaded model. The texts of the prompts are tokenised by the exported tokenizer as they stand.

    folder: that was exported
    """
    from sapo_lite.model.files import read_tokenizer
    from sapo_lite.model.generation import generate

    tokenizer = read_tokenizer(folder, str(folder))
    texts = [_around(backbone.chat, snapshot, row).put(row.text) for row in rows]
    prompts = [tokenizer(text, add_special_tokens=False).input_ids for text in texts]
    with progress.work("verifying", len(rows), "answers") as meter:
        answers = generate(
            backbone,
            prompts,
            max_new_tokens=snapshot.max_new_tokens,
            batch_size=snapshot.batch_size,
            on_done=meter.advance,
        )
    return compared(rows, answers, "transformers")


def by_llama_cpp(
    snapshot: Snapshot, rows: Sequence[StoredAnswer], chat: ChatFormat, gguf: Path, progress: Progress
) -> Agreement:
    """Ask llama.cpp's server, on the CPU."""
    most, stop = snapshot.max_new_tokens, stop_texts(chat)
    with llama_cpp.server(gguf, context_of(snapshot)) as complete:

        def ask(row: StoredAnswer) -> str:
            around = without_bos(chat.tokenizer, _around(chat, snapshot, row))
            return complete(around.put(row.text), most, stop)

        return _one_by_one(rows, ask, f"llama.cpp with {gguf.name}", progress)


def by_ollama(
    rows: Sequence[StoredAnswer], names: Mapping[str, str], url: str, progress: Progress
) -> Agreement:
    """Ask the models in Ollama, given by task, which put the wording around the input by themselves."""
    return _one_by_one(rows, lambda row: ollama.ask(url, names[row.task], row.text), "Ollama", progress)


def _one_by_one(
    rows: Sequence[StoredAnswer], ask: Callable[[StoredAnswer], str], by: str, progress: Progress
) -> Agreement:
    answers = []
    with progress.work("verifying", len(rows), "answers") as meter:
        for row in rows:
            answers.append(ask(row))
            meter.advance()
    return compared(rows, answers, by)


def _around(chat: ChatFormat, snapshot: Snapshot, row: StoredAnswer) -> Around:
    return around_prompt(chat, snapshot.tasks[row.task], row.instruction)


def context_of(snapshot: Snapshot) -> int:
    """Tokens of a prompt and its answer at most."""
    return snapshot.model.max_source_tokens + snapshot.max_new_tokens
