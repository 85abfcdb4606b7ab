"""One interface to the sources `ollama` and `openai`, for tests of both chat protocols."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from loopback import LoopbackServer
from ollama_server import FakeOllama
from openai_server import FakeOpenAI
from sapo_lite.errors import ParaphraseError
from sapo_lite.prompts.make import make_pools
from sapo_lite.prompts.pool import Pool, Rejection
from sapo_lite.prompts.sources.openers import SourceContext
from sapo_lite.recipe import ParaphraseConfig
from sapo_lite.report.plain import PlainDisplay
from sapo_lite.types import Candidate, Task

TASK = Task("task273_europarl", "SUPERNI", 'Is it right? Say "yes" or "no".', "", ("yes", "no"), "en", (), ())
GOOD = "If right, say yes, else no."
OTHER = "Reply with yes for a correct text and with no for a wrong one."


class RecordingDisplay(PlainDisplay):
    """Keeps notices and bars. `on_answer` is called with the number of candidates after every answer."""

    def __init__(self, on_answer: Callable[[int], None] = lambda candidates: None) -> None:
        self.notices: list[str] = []
        self.meters: list[tuple[str, int, str, list[int]]] = []
        self._on_answer = on_answer

    def stage(self, title: str) -> None: ...

    @contextmanager
    def work(self, label: str, total: int, unit: str) -> Iterator[Any]:
        steps: list[int] = []
        self.meters.append((label, total, unit, steps))

        class Steps:
            def advance(self, amount: int = 1, note: str = "") -> None:
                steps.append(amount)

        yield Steps()

    def pool(
        self, task: str, candidates: Sequence[Candidate], rejected: Sequence[Rejection], wanted: int
    ) -> None:
        self._on_answer(len(candidates))

    def notice(self, text: str) -> None:
        self.notices.append(text)


@dataclass(frozen=True)
class ChatProtocol:
    """One protocol: its fake server, the key of a recipe that names its address, its routes.

    `last` is the route that ends every run, even one cut short; None if there is none.
    """

    backend: str
    server: Callable[..., LoopbackServer]
    address: str
    chat: str
    last: str | None

    def make(
        self,
        server: LoopbackServer,
        *tasks: Task,
        progress: RecordingDisplay | None = None,
        seed: int = 0,
        fresh: bool = False,
        pull: bool = False,
        **changes: Any,
    ) -> tuple[list[Pool], list[str]]:
        """Pools of the tasks (of TASK if none is named), and all notices."""
        settings: dict[str, Any] = {"backend": self.backend, "model": "tiny", self.address: server.url}
        settings |= {"count": 2, "attempts": 2, "timeout": 5.0}
        progress = progress or RecordingDisplay()
        around = SourceContext(progress, seed=seed, fresh=fresh, pull=pull)
        return make_pools(
            tasks or (TASK,), ParaphraseConfig(**(settings | changes)), around
        ), progress.notices

    def error(self, server: LoopbackServer, **changes: Any) -> ParaphraseError:
        with pytest.raises(ParaphraseError) as caught:
            self.make(server, **changes)
        return caught.value

    def failure(self, server: LoopbackServer, **changes: Any) -> str:
        return str(self.error(server, **changes))

    def name(self, server: LoopbackServer) -> str:
        """What messages call the server."""
        return f"Ollama at {server.url}" if self.backend == "ollama" else server.url

    def ended(self, server: LoopbackServer) -> bool:
        return self.last is None or server.routes[-1] == self.last


OLLAMA = ChatProtocol("ollama", FakeOllama, "host", FakeOllama.chat_route, "POST /api/generate")
OPENAI = ChatProtocol("openai", FakeOpenAI, "base_url", FakeOpenAI.chat_route, None)
PROTOCOLS = [OLLAMA, OPENAI]


def elsewhere(instruction: str, name: str = "task141") -> Task:
    return Task(name, "SUPERNI", instruction, "", (), "en", (), ())


def saved(cache: Path) -> list[str]:
    """The answers in all files of the cache."""
    files = [json.loads(path.read_text(encoding="utf-8")) for path in cache.rglob("*.json")]
    return [answer for file in files for answer in file["answers"].values()]


def first_style(body: dict[str, Any]) -> bool:
    """Whether a call is that of candidate 0."""
    return "plain everyday words" in body["messages"][0]["content"]


def second_style(body: dict[str, Any]) -> bool:
    """Whether a call is that of candidate 1."""
    return "formal" in body["messages"][0]["content"]
