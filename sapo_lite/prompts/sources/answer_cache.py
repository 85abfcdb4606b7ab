"""A chat model as a source whose answers are saved in the cache folder.

    ~/.cache/sapo-lite/paraphrases/task195-ollama-qwen3-8b-3f0c9a12be77.json
        source     model, digest and options that made the answers
        task       its id and instruction, for a human reader
        answers    by request: a hash of the request's text and its seed

The same seed and temperature may give another answer with another version of a server; a saved answer stays.
An interrupted run continues after the last saved answer. If all are saved, no server is needed.
"""

import contextlib
import hashlib
import json
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from sapo_lite.errors import ParaphraseError
from sapo_lite.prompts.pool import Rejection
from sapo_lite.prompts.sources.chat_prompt import (
    between_markers,
    fixed_request,
    paraphrase_request,
    read_answer,
)
from sapo_lite.support.files import write_json
from sapo_lite.support.leftovers import remove_old_leftovers
from sapo_lite.support.lock import exclusive
from sapo_lite.support.shipped import cache_folder
from sapo_lite.support.strict_json import writable
from sapo_lite.types import Task, abbreviated


class Call(NamedTuple):
    """One request to a chat model, and the seed of its answer."""

    request: str
    seed: int


Answers = Generator[str | Rejection, None, None]
Keep = Callable[[Call, str], None]


class ChatModel(Protocol):
    """A model that answers a user turn. It is opened at the first call."""

    def identity(self) -> dict[str, Any]:
        """All that determines its answers besides the call: "source", "model", options; no host, no key."""
        ...

    def digest(self) -> str | None:
        """Hash of the weights behind the model's name, within seconds; None if that is impossible."""
        ...

    def complete(self, calls: Sequence[Call], keep: Keep) -> Answers:
        """Yield the answers in order; `keep` gets each as soon as it is there, from any thread.

        Closing the generator ends the running calls.

        Raises:
            ParaphraseError: the model cannot work at all.
        """
        ...


def paraphrases_folder() -> Path:
    """The folder of saved answers.

    Raises:
        ParaphraseError: the user has no home folder, as in some containers.
    """
    try:
        return cache_folder() / "paraphrases"
    except RuntimeError:
        raise ParaphraseError(
            "Paraphrases are kept in the home folder, and there is none. Name a folder that can be written "
            "to in SAPO_LITE_CACHE."
        ) from None


class _Memory:
    """Saved answers about one task, and their file. `source` is the model and the options that made them.

    replaces: whether the first answer replaces what the file holds
    """

    def __init__(self, path: Path, source: dict[str, Any], task: Task, *, replaces: bool = False) -> None:
        self.path = path
        self.source = source
        self.answers: dict[str, str] = {}
        self._task = task
        self._joins = not replaces

    def load(self) -> None:
        """Load the file's answers."""
        digest, self.answers = self._saved()
        if self.answers:
            self.source = {**self.source, "digest": digest}

    def _saved(self) -> tuple[str | None, dict[str, str]]:
        """Digest and answers in the file; a damaged file has none."""
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            saved = json.loads(self.path.read_text(encoding="utf-8"))
            digest, answers = saved["source"].get("digest"), saved["answers"].items()
            return digest, {key: writable(text) for key, text in answers if isinstance(text, str)}
        return None, {}

    def keep(self, key: str, answer: str) -> None:
        """Save an answer, beside those that other processes have saved meanwhile.

        Raises:
            ParaphraseError: the file cannot be written.
        """
        task = {"id": self._task.id, "instruction": self._task.instruction}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if not self.path.exists():
                remove_old_leftovers(self.path.parent)
            with exclusive(self.path.parent):
                digest, saved = self._saved()
                if self._joins and digest == self.source.get("digest"):
                    self.answers.update({k: text for k, text in saved.items() if k not in self.answers})
                self._joins = True
                self.answers[key] = answer
                write_json(self.path, {"source": self.source, "task": task, "answers": self.answers})
        except OSError as error:
            raise ParaphraseError(
                f"{self.path}: paraphrases are kept here, and the file cannot be written ({error.strerror}). "
                "Name a folder that can be written to in SAPO_LITE_CACHE."
            ) from None


class RememberedModel:
    """A source of paraphrases from a chat model, called `name` in the recipe.

    With `unlike`, requests show the paraphrases accepted so far and ask for something different. With
    `fixed`, they are the same every time, and the paraphrase is the part of the answer between markers.
    `fresh` ignores answers of earlier runs. `notify` is called if the model has changed.
    """

    generated = True

    def __init__(
        self,
        model: ChatModel,
        name: str,
        *,
        seed: int,
        unlike: bool = False,
        fixed: bool = False,
        fresh: bool = False,
        notify: Callable[[str], None] = lambda notice: None,
    ) -> None:
        self._model = model
        self._name = name
        self._seed = seed
        self._unlike = unlike
        self._fixed = fixed
        self._fresh = fresh
        self._notify = notify
        self._memories: dict[str, _Memory] = {}

    def answers(self, task: Task, numbers: range, taken: Sequence[str]) -> Iterator[str | Rejection]:
        """Saved answers, and calls for the missing ones; every new answer is saved at once."""
        memory = self._memory(task)
        calls = [self._call(task, number, taken if self._unlike else ()) for number in numbers]
        unknown = [call for call in calls if _key(call) not in memory.answers]

        def keep(call: Call, answer: str) -> None:
            if answer.strip():  # an empty one is not saved, so that another run asks again
                memory.source["digest"] = self._model.digest()
                memory.keep(_key(call), writable(answer))

        with contextlib.closing(self._model.complete(unknown, keep)) as new_answers:
            for call in calls:
                answer = next(new_answers, None) if call in unknown else memory.answers[_key(call)]
                if answer is None:
                    return
                yield answer if isinstance(answer, Rejection) else self._text(answer)

    def _text(self, answer: str) -> str:
        text = read_answer(answer)
        return between_markers(text) if self._fixed else text

    def _call(self, task: Task, number: int, taken: Sequence[str]) -> Call:
        # Every call has its own seed: the same seed would repeat a rejected text.
        digest = hashlib.sha256(f"{self._seed}/{task.id}/{number}".encode()).digest()
        seed = int.from_bytes(digest[:4], "big") >> 1  # Ollama's seeds are 32-bit, and signed
        request = fixed_request(task) if self._fixed else paraphrase_request(task, number, taken)
        return Call(request, seed)

    def _memory(self, task: Task) -> _Memory:
        if task.id not in self._memories:
            self._memories[task.id] = self._recalled(task)
        return self._memories[task.id]

    def _recalled(self, task: Task) -> _Memory:
        """Saved answers about the task from the same model, not from another one with the same name."""
        identity = self._model.identity()
        memory = _Memory(self._path(task, identity), identity, task, replaces=self._fresh)
        if self._fresh:
            return memory
        memory.load()
        before = memory.source.get("digest")
        now = self._model.digest() if before else None
        if now and before != now:
            self._notify(
                f"{task.name}: {self._name} has changed since its paraphrases were saved: asking again"
            )
            return _Memory(memory.path, identity, task)
        if memory.answers:
            self._notify(f"{task.name}: paraphrases of an earlier run are used again ({memory.path})")
        return memory

    def _path(self, task: Task, identity: dict[str, Any]) -> Path:
        """The file of this model's answers about the task; the same settings give the same file."""
        key_fields = json.dumps([identity, task.id, task.instruction, task.labels], sort_keys=True)
        # The id and not the key, which depends on the sequence. Short, since a file name may have 255 bytes.
        name = f"{abbreviated(task.id)}-{identity['source']}-{identity['model']}"
        name = re.sub(r"[^A-Za-z0-9_.-]+", "-", name)[:100]
        digest = hashlib.sha256(key_fields.encode()).hexdigest()
        return paraphrases_folder() / f"{name}-{digest[:12]}.json"


def _key(call: Call) -> str:
    return hashlib.sha256(f"{call.seed}/{call.request}".encode()).hexdigest()[:16]
