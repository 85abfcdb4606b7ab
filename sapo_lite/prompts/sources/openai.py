"""The `openai` source: a chat model behind any compatible `/v1/chat/completions` (vLLM, llama.cpp, ...).

The key is read from OPENAI_API_KEY at every call, and is never written to a file or a message.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
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
from sapo_lite.support.bounded_http import GARBAGE, client_options, within
from sapo_lite.support.http import PASSING, is_here, retry_after

if TYPE_CHECKING:
    import httpx

    from sapo_lite.prompts.pool import Rejection
    from sapo_lite.recipe import ParaphraseConfig

CONNECT_TIMEOUT = 3.0  # s
KEY = "OPENAI_API_KEY"
_INVALID = {400, 422}
_LONGEST_PAUSE = 60.0  # s that a server may ask to wait


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
        self._options: dict[str, Any] = {"temperature": config.temperature, "max_tokens": MAX_TOKENS}
        self._refused: set[str] = set()  # options that this model does not accept
        self._files: tuple[str | None] | None = None  # the digest, once the server was asked for it
        self._calls = InFlight(
            self._ask,
            self.url,
            check=self._check,
            parallel=config.parallel,
            timeout=config.timeout,
            deadline=config.deadline,
        )

    def key_in_clear(self) -> str | None:
        """A notice if the key will be sent over an unprotected connection to another machine."""
        if _key() and self.url.startswith("http:") and not is_here(self.url):
            return f"{self.url}: the key in {KEY} is sent there in clear, since the address is not https"
        return None

    def identity(self) -> dict[str, Any]:
        return {"source": "openai", "url": self.url, "model": self._model, "options": self._options}

    def digest(self) -> str | None:
        """Hash of what the server says of the model's files; the protocol has no hash of the weights.

        llama.cpp names their size and shape, vLLM their folder; of other servers it is None. It is None where
        no server answers, too: `_check`, which is called before anything is asked, says what is wrong.
        """
        import httpx

        if self._files is None:
            try:
                answer = self._list(CONNECT_TIMEOUT)
            except (
                ParaphraseError,
                TimeoutError,
                httpx.HTTPError,
                httpx.InvalidURL,
                ImportError,
                ValueError,
            ):
                return None
            self._files = (_files_digest(answer, self._model),)
        return self._files[0]

    def complete(self, calls: Sequence[Call], keep: Keep) -> Answers:
        return self._calls.answers(calls, keep)

    def _check(self) -> None:
        """Raise ParaphraseError if no server answers or the key is refused.

        Not every compatible server has this route, so other responses are ignored.
        """
        import httpx

        patience = max(CONNECT_TIMEOUT, self._config.timeout)  # some servers load a model before they answer
        try:
            answer = self._list(patience)
        except httpx.DecodingError:
            return  # a server answers; what it says here is not needed
        except (TimeoutError, httpx.ReadTimeout):
            raise ParaphraseError(
                f"{self.url} takes calls, and has not answered one to /models within "
                f"{patience:g} s (paraphrase.timeout). "
                "Try again when it has loaded its model, or start it anew."
            ) from None
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
        self._files = (_files_digest(answer, self._model),)

    def _list(self, patience: float) -> httpx.Response:
        """The answer to /models within `patience` seconds."""
        import httpx

        async def ask() -> httpx.Response:
            limit = httpx.Timeout(patience, connect=CONNECT_TIMEOUT)
            async with httpx.AsyncClient(timeout=limit, **client_options(self.url)) as client:
                return await client.get(f"{self.url}/models", headers=_headers())

        return within(patience, ask)

    async def _ask(self, call: Call) -> str | Rejection:
        """Make one call. Raises the errors that `InFlight` handles."""
        options: dict[str, Any] = {**self._options, "seed": call.seed}
        options = {name: value for name, value in options.items() if name not in self._refused}
        message = {"role": "user", "content": call.request}
        answer = await self._post({"model": self._model, "messages": [message], **options})
        if answer.is_success:
            return self._read(answer)
        if refused := _refused(answer, options):
            self._refused |= refused
            return await self._ask(call)
        raise self._failure(answer)

    async def _post(self, body: dict[str, Any]) -> httpx.Response:
        import httpx

        try:
            async with httpx.AsyncClient(timeout=self._config.timeout, **client_options(self.url)) as client:
                return await client.post(f"{self.url}/chat/completions", json=body, headers=_headers())
        except httpx.TimeoutException:
            raise TimeoutError from None
        except httpx.DecodingError:
            raise UnreadableError from None
        except httpx.RequestError:
            raise BusyError("broke the connection") from None

    def _read(self, answer: httpx.Response) -> str | Rejection:
        """The text of a success; an error in its place is raised."""
        try:
            body = answer.json()
        except GARBAGE:
            raise UnreadableError from None
        if isinstance(body, dict) and body.get("error"):
            if _is_out_of_quota(answer):
                raise self._no_credit(answer)
            raise BusyError(f'answered with an error ("{_said(answer)}")')
        try:
            choice = body["choices"][0]
            text = _without_key(_text(choice["message"]["content"]))
        except (LookupError, TypeError, AttributeError):
            raise UnreadableError from None
        return cut_answer(text) if choice.get("finish_reason") == "length" else text

    def _failure(self, answer: httpx.Response) -> Exception:
        """The error of an answer that is none: one to try again after, or a final one."""
        if _is_out_of_quota(answer):
            return self._no_credit(answer)
        if answer.status_code in PASSING:
            pause = min(_LONGEST_PAUSE, retry_after(answer.headers.get("Retry-After")))
            return passing_failure(answer.status_code, _said(answer), pause)
        return self._refusal(answer)

    def _refusal(self, answer: httpx.Response) -> ParaphraseError:
        if answer.status_code in {401, 403}:
            return self._key_refused(answer.status_code)
        return ParaphraseError(
            f'{self.url} does not run "{self._model}" (HTTP {answer.status_code}): {_said(answer)}. '
            "Correct paraphrase.model or paraphrase.base_url."
        )

    def _no_credit(self, answer: httpx.Response) -> ParaphraseError:
        return ParaphraseError(
            f'{self.url} does not run "{self._model}": {_said(answer)}. Add credit, or use another server.'
        )

    def _key_refused(self, status: int) -> ParaphraseError:
        # Not the server's message: some servers repeat the key in it.
        which = f"the key in {KEY}" if _key() else f"calls without a key; set {KEY}"
        return ParaphraseError(f"{self.url} refuses {which} (HTTP {status}).")


def _files_digest(answer: httpx.Response, model: str) -> str | None:
    """Hash of what a list of models says of this one's files; None if it says nothing of them."""
    try:
        listed = answer.json()["data"]
        # A server of one model may call it otherwise, and answers to any name.
        said = next((each for each in listed if each["id"] == model), listed[0] if len(listed) == 1 else {})
        shape = {name: value for name, value in (said.get("meta") or {}).items() if name in _SHAPE}
        facts = {**shape, **({"root": said["root"]} if said.get("root") else {})}
    except (LookupError, *GARBAGE):
        return None
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest() if facts else None


# Fields of llama.cpp's `meta` that depend on the file alone.
_SHAPE = ("ftype", "n_ctx_train", "n_embd", "n_params", "n_vocab", "size")


def _key() -> str:
    """The key, or "". Raises ParaphraseError if it has invalid characters: httpx would quote it."""
    key = os.environ.get(KEY, "").strip()
    if not all("!" <= character <= "~" for character in key):
        raise ParaphraseError(f"The key in {KEY} has blanks or characters beyond ASCII in it: set it anew.")
    return key


def _headers() -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if (key := _key()) else {}


def _refused(answer: httpx.Response, options: dict[str, Any]) -> set[str]:
    """The options of a call that the server's error is about.

    Reasoning models take no temperature and another name of max_tokens, some servers no seed.
    """
    return {name for name in options if name in answer.text} if answer.status_code in _INVALID else set()


def _text(content: Any) -> str:
    """The text of a message, which is one or a list of parts. Raises TypeError if it is something else."""
    if content is None:
        return ""
    if isinstance(content, list):  # other parts are thoughts, or what is no text
        parts = [{"text": part} if isinstance(part, str) else part for part in content]
        content = "".join(part["text"] for part in parts if part.get("type", "text") in _TEXTS)
    if not isinstance(content, str):
        raise TypeError
    return content


_TEXTS = {"text", "output_text"}


def _is_out_of_quota(answer: httpx.Response) -> bool:
    """Whether the account is out of credit: no pause will help."""
    try:
        error = answer.json()["error"]
        return "insufficient_quota" in (error.get("type"), error.get("code"))
    except (LookupError, *GARBAGE):
        return False


def _said(answer: httpx.Response) -> str:
    """The server's message on one line, without the key, which some servers repeat."""
    try:
        error = answer.json()["error"]
        text = error if isinstance(error, str) else str(error["message"])
    except (LookupError, *GARBAGE):
        text = answer.text
    return " ".join(_without_key(text.strip() or answer.reason_phrase).split())[:300].rstrip(" .")


def _without_key(text: str) -> str:
    return text.replace(key, "***") if (key := _key()) else text
