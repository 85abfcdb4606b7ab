"""The `openai` source: a chat model behind any compatible `/v1/chat/completions` (vLLM, llama.cpp, ...).

The key is read from OPENAI_API_KEY at every call, and is never written to a file or a message.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sapo_lite.errors import ParaphraseError
from sapo_lite.prompts.sources.answer_cache import Answers, Call, Keep
from sapo_lite.prompts.sources.concurrent import BusyError, InFlight, UnreadableError
from sapo_lite.support.http import is_here

if TYPE_CHECKING:
    import httpx

    from sapo_lite.recipe import ParaphraseConfig

HEALTH_TIMEOUT = 3.0  # s
KEY = "OPENAI_API_KEY"
_BUSY = {408, 429, 502, 503, 504}
_INVALID = {400, 422}


class OpenAIModel:
    """One model at one endpoint. Nothing is sent before the first call."""

    def __init__(self, config: ParaphraseConfig, model: str) -> None:
        if config.base_url is None:
            raise ParaphraseError(
                'paraphrase.backend "openai" needs the address of its endpoint in paraphrase.base_url, such '
                "as http://127.0.0.1:8000/v1"
            )
        self.url = config.base_url.rstrip("/")
        self._model = model
        self._config = config
        self._options: dict[str, Any] = {"temperature": config.temperature}
        self._refused: set[str] = set()  # options that this model does not accept
        self._calls = InFlight(
            self._ask,
            self.url,
            check=self._check,
            parallel=config.parallel,
            timeout=config.timeout,
            deadline=config.deadline,
        )

    def identity(self) -> dict[str, Any]:
        return {"source": "openai", "url": self.url, "model": self._model, "options": self._options}

    def digest(self) -> str | None:
        return None  # the protocol has no hash of the weights

    def complete(self, calls: Sequence[Call], keep: Keep) -> Answers:
        return self._calls.answers(calls, keep)

    def _check(self) -> None:
        """Raise ParaphraseError, within seconds, if no server answers or the key is refused.

        Not every compatible server has this route, so other responses are ignored.
        """
        import httpx

        headers = _headers()
        try:
            answer = httpx.get(
                f"{self.url}/models",
                headers=headers,
                timeout=HEALTH_TIMEOUT,
                trust_env=not is_here(self.url),
            )
        except (httpx.RequestError, httpx.InvalidURL, UnicodeError):
            raise ParaphraseError(
                f"No server answers at {self.url}. Start it, or correct paraphrase.base_url."
            ) from None
        except (ImportError, ValueError) as error:  # a SOCKS proxy without its package, an invalid URL
            raise ParaphraseError(
                f"The proxy in your environment cannot be used to reach {self.url}: {error}"
            ) from None
        if answer.status_code in {401, 403}:
            raise self._key_refused(answer.status_code)

    async def _ask(self, call: Call) -> str:
        """Make one call. Raises the errors that `InFlight` handles."""
        import httpx

        options = {k: v for k, v in {**self._options, "seed": call.seed}.items() if k not in self._refused}
        message = {"role": "user", "content": call.request}
        body = {"model": self._model, "messages": [message], **options}
        settings: dict[str, Any] = {"headers": _headers(), "trust_env": not is_here(self.url)}
        try:
            async with httpx.AsyncClient(timeout=self._config.timeout, **settings) as client:
                answer = await client.post(f"{self.url}/chat/completions", json=body)
        except httpx.TimeoutException:
            raise TimeoutError from None
        except httpx.RequestError:
            raise BusyError("broke the connection") from None
        if answer.status_code in _BUSY:
            raise BusyError(f"was busy (HTTP {answer.status_code})", _pause(answer))
        if answer.status_code in _INVALID and (named := [name for name in options if name in answer.text]):
            self._refused.update(named)  # reasoning models accept no temperature, some servers no seed
            return await self._ask(call)
        if not answer.is_success:
            raise self._refusal(answer)
        try:
            text = answer.json()["choices"][0]["message"]["content"]
        except (ValueError, LookupError, TypeError):
            raise UnreadableError from None
        if not isinstance(text, str | None):
            raise UnreadableError
        return text or ""

    def _refusal(self, answer: httpx.Response) -> ParaphraseError:
        if answer.status_code in {401, 403}:
            return self._key_refused(answer.status_code)
        return ParaphraseError(
            f'{self.url} does not run "{self._model}" (HTTP {answer.status_code}): {_said(answer)}. '
            "Correct paraphrase.model or paraphrase.base_url."
        )

    def _key_refused(self, status: int) -> ParaphraseError:
        # Not the server's message: some servers repeat the key in it.
        which = f"the key in {KEY}" if _key() else f"calls without a key; set {KEY}"
        return ParaphraseError(f"{self.url} refuses {which} (HTTP {status}).")


def _key() -> str:
    """The key, or "". Raises ParaphraseError if it has invalid characters: httpx would quote it."""
    key = os.environ.get(KEY, "").strip()
    if not all("!" <= character <= "~" for character in key):
        raise ParaphraseError(f"The key in {KEY} has blanks or characters beyond ASCII in it: set it anew.")
    return key


def _headers() -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if (key := _key()) else {}


def _said(answer: httpx.Response) -> str:
    """The server's message on one line, without the key, which some servers repeat."""
    try:
        text = str(answer.json()["error"]["message"])
    except (ValueError, LookupError, TypeError):
        text = answer.text
    text = text.strip() or answer.reason_phrase
    if key := _key():
        text = text.replace(key, "***")
    return " ".join(text.split())[:300].rstrip(" .")


def _pause(answer: httpx.Response) -> float:
    """Seconds to wait as requested by a busy server; 0 if it gives none, or a date."""
    try:
        return min(60.0, float(answer.headers.get("Retry-After", 0)))
    except ValueError:
        return 0.0
