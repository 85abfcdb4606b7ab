"""The `ollama` source: a chat model on an Ollama server.

The model is unloaded at the end, since the backbone needs the same GPU memory. The run continues only when
the server no longer lists the model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from sapo_lite.errors import ParaphraseError
from sapo_lite.prompts.sources.answer_cache import Answers, Call, Keep
from sapo_lite.prompts.sources.chat_prompt import MAX_TOKENS, cut_answer
from sapo_lite.prompts.sources.concurrent import (
    BusyError,
    InFlight,
    UnreadableError,
    passing_failure,
)
from sapo_lite.prompts.sources.ollama_server import OllamaServer, resolve_host
from sapo_lite.support.bounded_http import GARBAGE
from sapo_lite.support.http import PASSING
from sapo_lite.support.offline import ASKED, is_offline

if TYPE_CHECKING:
    import ollama

    from sapo_lite.prompts.pool import Rejection
    from sapo_lite.recipe import ParaphraseConfig
    from sapo_lite.support.progress import Meter, Progress

NUM_CTX = 8192  # tokens; by default the server silently cuts long requests

_CLOUD_TAG = re.compile(r":(?:[^:/]*-)?cloud$", flags=re.IGNORECASE)


@contextmanager
def ollama_model(
    config: ParaphraseConfig, model: str, progress: Progress, *, pull: bool
) -> Iterator[OllamaModel]:
    """The model, unloaded at the end if it was called. With `pull`, a missing model is downloaded.

    Raises:
        ParaphraseError: the model cannot be used.
    """
    if _CLOUD_TAG.search(model) and not config.allow_cloud:
        raise ParaphraseError(
            f'The model "{model}" runs in Ollama\'s cloud, which would be sent your instructions: choose a '
            "local model, or allow it with paraphrase.allow_cloud = true."
        )
    if is_offline() and (pull or _CLOUD_TAG.search(model)):
        what = "--pull lets Ollama download" if pull else "Ollama's cloud runs"
        raise ParaphraseError(f'{what} the model "{model}", and {ASKED} forbids that. Leave one of them out.')
    chat = OllamaModel(config, model, progress, pull=pull)
    try:
        yield chat
    except BaseException:
        chat.unload(wait=False)  # the run is over, so do not wait for the memory
        raise
    if trouble := chat.unload():
        progress.notice(trouble)


class OllamaModel:
    """One model on one server. Nothing is sent before the first call."""

    def __init__(self, config: ParaphraseConfig, model: str, progress: Progress, *, pull: bool) -> None:
        self._server = OllamaServer(resolve_host(config.host), config.timeout)
        self._model = model
        self._config = config
        self._progress = progress
        self._may_pull = pull
        self._options = {
            "temperature": config.temperature,
            "num_ctx": NUM_CTX,
            "num_predict": MAX_TOKENS,
        }
        self._think: bool | None = False
        self._calls = InFlight(
            self._ask,
            f"Ollama at {self._server.url}",
            check=self._check,
            parallel=config.parallel,
            timeout=config.timeout,
            deadline=config.deadline,
        )
        self._digest: tuple[str | None] | None = None

    def identity(self) -> dict[str, Any]:
        return {"source": "ollama", "model": self._model, "options": self._options}

    def digest(self) -> str | None:
        if self._digest is None:
            self._digest = (self._server.digest(self._model),)
        return self._digest[0]

    def complete(self, calls: Sequence[Call], keep: Keep) -> Answers:
        return self._calls.answers(calls, keep)

    def unload(self, *, wait: bool = True) -> str | None:
        """Free the memory of a model that was called. Returns a notice if that failed."""
        return self._server.unload(self._model, wait=wait) if self._calls.started else None

    def _check(self) -> None:
        """Raise ParaphraseError unless the server answers and has the model."""
        self._server.version()
        if self._server.has(self._model):
            return
        if not self._may_pull:
            raise self._server.missing(self._model)
        self._pull()
        self._digest = None

    def _pull(self) -> None:
        """Download the model, with a progress bar in megabytes for each layer."""
        reached: dict[str, int] = {}
        with ExitStack() as bars:
            meters: dict[str, Meter] = {}
            for layer, done, total in self._server.pull(self._model):
                if layer not in meters:
                    bar = self._progress.work(f"pulling {self._model}", _megabytes(total), "MB")
                    meters[layer] = bars.enter_context(bar)
                meters[layer].advance(_megabytes(done) - reached.get(layer, 0))
                reached[layer] = _megabytes(done)

    async def _ask(self, call: Call) -> str | Rejection:
        """One streamed call: an early end closes the connection, so the server stops too."""
        import httpx
        import ollama

        think = self._think
        try:
            return await self._stream(call, think)
        except httpx.TimeoutException:
            raise TimeoutError from None
        except httpx.DecodingError:
            raise UnreadableError from None
        except (ConnectionError, httpx.RequestError):
            raise BusyError("broke the connection") from None
        except ollama.ResponseError as error:
            if think is None or error.status_code != 400 or "think" not in str(error.error).lower():
                raise self._failure(error) from None
            self._think = None  # some models reject even think=False
            return await self._ask(call)
        except GARBAGE:
            raise UnreadableError from None

    def _failure(self, error: ollama.ResponseError) -> Exception:
        """The error of a call that the server did not answer: one to try again after, or a final one."""
        said = " ".join(str(error.error).split())
        if error.status_code == -1:
            return BusyError(f'broke off ("{said}")')
        if error.status_code in PASSING:
            return passing_failure(error.status_code, said)
        return self._server.refusal(self._model, error)

    async def _stream(self, call: Call, think: bool | None) -> str | Rejection:
        text, done, reason = "", False, None
        async with self._server.client(self._config.timeout) as client:
            parts = await client.chat(
                self._model,
                [{"role": "user", "content": call.request}],
                stream=True,
                think=think,
                options={**self._options, "seed": call.seed},
            )
            async for part in parts:
                text += part.message.content or ""
                done, reason = bool(part.done), part.done_reason
        if not done:
            raise ConnectionError  # the stream ended before the answer
        return cut_answer(text) if reason == "length" else text


def _megabytes(size: int) -> int:
    """Size in megabytes, rounded up: the smallest layer has one."""
    return -(-size // 10**6)
