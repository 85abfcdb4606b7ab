"""The `ollama` backend: paraphrases from a chat model on an Ollama server, one call each.

The client has no time-out of its own (a hang of hours is on record): here every call has one, and all
calls of a run share a deadline. At the end the model is unloaded, since on one card its memory is the
backbone's, and the run goes on only when the server no longer lists it.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sapo_lite.errors import ParaphraseError
from sapo_lite.paraphrase.address import resolve_host
from sapo_lite.paraphrase.pool import Rejection, Supply
from sapo_lite.paraphrase.request import paraphrase_request, read_answer
from sapo_lite.types import Task

if TYPE_CHECKING:
    from collections.abc import Callable

    import ollama

    from sapo_lite.recipe import ParaphraseConfig

HEALTH_TIMEOUT = 5.0  # s, for calls that make no text
BACKOFF = (0.5, 1.0, 2.0, 4.0)  # s, pauses before the second try and the following ones
UNLOAD_LIMIT = 30.0  # s
UNLOAD_POLL = 0.2  # s between looks at /api/ps
# Tokens. Ample for an instruction and its paraphrase, and for the thoughts of a model that cannot be
# told not to think. The context must be named: by default the server cuts long requests in silence.
NUM_CTX = 8192
NUM_PREDICT = 2048

_CLOUD_TAG = re.compile(r":(?:[^:/]*-)?cloud$", flags=re.IGNORECASE)

# What the client lets through when a body is not what it expects: bad JSON and failed validation
# (ValueError), JSON that is no object (TypeError, or AttributeError from ResponseError itself).
_GARBAGE = (ValueError, TypeError, AttributeError)


class _DeadlineReachedError(Exception):
    """`paraphrase.deadline` is over. Never leaves this module."""


@contextmanager
def ollama_supply(config: ParaphraseConfig, seed: int, notify: Callable[[str], None]) -> Iterator[Supply]:
    """A checked server, to be asked for paraphrases; unloads the model at the end.

    Raises ParaphraseError if the server does not answer, or does not have the model.
    """
    server = OllamaServer(config, seed)
    server.check()
    try:
        yield server.paraphrases
    except BaseException:
        server.unload(wait=False)  # the run is over, and nobody waits for the memory
        raise
    if trouble := server.unload():
        notify(trouble)


class OllamaServer:
    """One model on one server. The deadline of `config.deadline` seconds starts on construction."""

    def __init__(self, config: ParaphraseConfig, seed: int) -> None:
        if config.model is None:
            raise ParaphraseError('paraphrase.backend = "ollama" needs a paraphrase.model.')
        self.url = resolve_host(config.host)
        self.model = config.model
        self._config = config
        self._seed = seed
        self._ends = time.monotonic() + config.deadline
        self._think: bool | None = False

    def check(self) -> None:
        """Raise ParaphraseError, within seconds, unless the server is there and has the model."""
        import httpx
        import ollama

        if _CLOUD_TAG.search(self.model):
            raise ParaphraseError(
                f'The model "{self.model}" runs in Ollama\'s cloud, and sapo-lite sends no data away: '
                "choose a local model as paraphrase.model."
            )
        try:
            version = httpx.get(f"{self.url}/api/version", timeout=HEALTH_TIMEOUT)
        except (httpx.RequestError, httpx.InvalidURL, UnicodeError):
            raise ParaphraseError(
                f"No Ollama server answers at {self.url}. Start it with: ollama serve "
                "(or name another server in paraphrase.host or OLLAMA_HOST)."
            ) from None
        if not version.is_success or '"version"' not in version.text:
            raise ParaphraseError(
                f"{self.url} answers, but not as an Ollama server (HTTP {version.status_code} for "
                "/api/version). Correct paraphrase.host or OLLAMA_HOST."
            )
        try:
            with self._client(HEALTH_TIMEOUT) as client:
                client.show(self.model)
        except ollama.ResponseError as error:
            raise self._refusal(error) from None
        except (ConnectionError, httpx.RequestError) as error:
            raise ParaphraseError(
                f"The Ollama server at {self.url} does not say whether it has {self.model} "
                f"({type(error).__name__}). Restart it with: ollama serve"
            ) from None
        except _GARBAGE:
            pass  # a success whose details this client version cannot read: the model is there

    def paraphrases(self, task: Task) -> Iterator[str | Rejection]:
        """Paraphrases of the task's instruction until the deadline, a call for each one taken.

        Raises ParaphraseError if the server is lost or refuses to run the model.
        """
        for attempt in itertools.count():
            try:
                yield self._paraphrase(task, attempt)
            except _DeadlineReachedError:
                yield Rejection("", f"paraphrase.deadline of {self._config.deadline:g} s reached")
                return

    def unload(self, *, wait: bool = True) -> str | None:
        """Have the server drop the model and wait until it has. Returns a notice if it has not.

        Never raises for a server that is gone: a run does not fail for it.
        """
        import httpx
        import ollama

        try:
            with self._client(HEALTH_TIMEOUT) as client:
                client.generate(self.model, keep_alive=0)
                if not wait or self._is_gone(client):
                    return None
            trouble = f"still lists it {UNLOAD_LIMIT:g} s later"
        except (ConnectionError, httpx.RequestError):
            trouble = "does not answer"
        except (ollama.ResponseError, *_GARBAGE) as error:
            trouble = f"answered: {error}"
        return (
            f"Ollama at {self.url} was asked to unload {self.model} and {trouble}. "
            f"If memory is short, free it with: ollama stop {self.model}"
        )

    def _paraphrase(self, task: Task, attempt: int) -> str | Rejection:
        """One call: the text between the markers, "" for an empty answer, or why there is none."""
        import httpx

        # Its own seed for every attempt: the same one would repeat a rejected text.
        digest = hashlib.sha256(f"{self._seed}/{task.id}/{attempt}".encode()).digest()
        seed = int.from_bytes(digest[:4], "big") >> 1  # Ollama's seeds are 32-bit, and signed
        try:
            answer = self._chat(paraphrase_request(task, attempt), seed)
        except httpx.TimeoutException:
            self._time_left()  # raises if it was the deadline that cut the call short
            return Rejection("", f"no answer within {self._config.timeout:g} s")
        except _GARBAGE:
            return Rejection("", "unreadable answer")
        if not answer.strip():
            return ""
        text = read_answer(answer)
        return Rejection(answer, "no text between <START> and </START>") if text is None else text

    def _chat(self, request: str, seed: int) -> str:
        """The model's answer, tried again while the server is busy or breaks the connection."""
        import httpx
        import ollama

        for pause in (0.0, *BACKOFF):
            time.sleep(min(pause, self._time_left()))
            try:
                return self._chat_once(request, seed)
            except httpx.TimeoutException:
                raise
            except (ConnectionError, httpx.RequestError):
                trouble = "broke the connection"
            except ollama.ResponseError as error:
                if error.status_code != 503:
                    raise self._refusal(error) from None
                trouble = "was busy (HTTP 503)"
        raise ParaphraseError(
            f"Ollama at {self.url} {trouble} {len(BACKOFF) + 1} times in a row. "
            "See that it runs (ollama ps), then start the run again."
        )

    def _chat_once(self, request: str, seed: int) -> str:
        import ollama

        try:
            with self._client(min(self._config.timeout, self._time_left())) as client:
                response = client.chat(
                    self.model,
                    [{"role": "user", "content": request}],
                    think=self._think,
                    options={
                        "temperature": self._config.temperature,
                        "seed": seed,
                        "num_ctx": NUM_CTX,
                        "num_predict": NUM_PREDICT,
                    },
                )
        except ollama.ResponseError as error:
            refuses_think = error.status_code == 400 and "think" in str(error.error).lower()
            if self._think is None or not refuses_think:
                raise
            self._think = None  # some models do not take even think=False: not sent from here on
            return self._chat_once(request, seed)
        return response.message.content or ""

    def _client(self, timeout: float) -> ollama.Client:
        """A client whose calls end after `timeout` seconds (it takes no time-out by call)."""
        import ollama

        return ollama.Client(host=self.url, timeout=timeout)

    def _time_left(self) -> float:
        """Seconds until the deadline; raises _DeadlineReachedError after it."""
        left = self._ends - time.monotonic()
        if left <= 0:
            raise _DeadlineReachedError
        return left

    def _is_gone(self, client: ollama.Client) -> bool:
        """Whether the server drops the model from its list within UNLOAD_LIMIT seconds."""
        name = self.model if ":" in self.model.rpartition("/")[2] else f"{self.model}:latest"
        give_up = time.monotonic() + UNLOAD_LIMIT
        while any(name.lower() == (loaded.model or "").lower() for loaded in client.ps().models):
            if time.monotonic() > give_up:
                return False
            time.sleep(UNLOAD_POLL)
        return True

    def _refusal(self, error: ollama.ResponseError) -> ParaphraseError:
        """The server's refusal in plain words."""
        if error.status_code == 404:
            return ParaphraseError(
                f'The Ollama server at {self.url} does not have the model "{self.model}". '
                f"Fetch it there with: ollama pull {self.model}"
            )
        return ParaphraseError(
            f'Ollama at {self.url} cannot run "{self.model}" (HTTP {error.status_code}): {error.error}'
        )
