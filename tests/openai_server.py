"""A real HTTP server on loopback that speaks OpenAI's chat completions as far as sapo-lite uses them."""

import itertools
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from loopback import Call, LoopbackServer
from replies import Answer, Drip, Fail, Json, Replies, Reply, Response, Slow, Trouble

__all__ = ["NO_CHOICES", "Answer", "Drip", "Fail", "FakeOpenAI", "Json", "Reply", "Slow", "Trouble"]

PREFIX = "/v1"
KEYS = "https://platform.openai.com/account/api-keys"

# `type` and `code` of errors, by status.
USUAL = {
    401: ("invalid_request_error", "invalid_api_key"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
}

NO_CHOICES = Json(
    {"id": "chatcmpl-0", "object": "chat.completion", "created": 1772610739, "model": "tiny", "choices": []}
)


class FakeOpenAI(LoopbackServer):
    """Answers chat calls with `replies` in turn, then with a new good paraphrase each time.

    `url` is the base URL, prefix and all. With a `key`, calls that do not bear it are refused, and the
    refusal quotes the ends of what they bear. It has `models`, `model` alone if none are named, and says
    `files` of each, as llama.cpp and vLLM do in fields of their own. It does not stream: stream=true is
    refused.
    """

    chat_route = f"POST {PREFIX}/chat/completions"

    def __init__(
        self,
        replies: Replies = (),
        *,
        model: str = "tiny",
        models: Iterable[str] | None = None,
        key: str | None = None,
        files: Mapping[str, Any] | None = None,
        troubles: Mapping[str, Reply] | None = None,
    ) -> None:
        super().__init__(replies, troubles)
        self.url += PREFIX
        self.files = dict(files or {})
        self.model = model
        self.models = [model] if models is None else list(models)
        self.key = key
        self._numbers = itertools.count(1)

    def _respond(self, call: Call) -> Response | Callable[[Answer], Response]:
        if refusal := self._refusal(call):
            return refusal
        if call.route == f"GET {PREFIX}/models":
            more = {"object": "model", "created": 1686935002, "owned_by": "openai", **self.files}
            return Response(({"object": "list", "data": [{"id": name, **more} for name in self.models]},))
        if call.route != self.chat_route:
            error = f"Invalid URL ({call.route})"
            return self._failure(Fail(404, error, type="invalid_request_error", code=""))
        model = call.body.get("model")
        if model not in self.models:
            error = f"The model `{model}` does not exist or you do not have access to it."
            return self._failure(Fail(404, error))
        if call.body.get("stream"):
            return self._failure(Fail(400, "This server does not stream.", param="stream"))
        number = next(self._numbers)
        return lambda answer: _completion(model, number, answer)

    def _refusal(self, call: Call) -> Response | None:
        if self.key is None or call.headers.get("authorization") == f"Bearer {self.key}":
            return None
        given = call.headers.get("authorization", "").removeprefix("Bearer").strip()
        if not given:
            error = (
                "You didn't provide an API key. You need to provide your API key in an Authorization header "
                "using Bearer auth (i.e. Authorization: Bearer YOUR_KEY), or as the password field (with "
                "blank username) if you're accessing the API from your browser and are prompted for a "
                f"username and password. You can obtain an API key from {KEYS}."
            )
            return self._failure(Fail(401, error, code=""))
        error = f"Incorrect API key provided: {_masked(given)}. You can find your API key at {KEYS}."
        return self._failure(Fail(401, error))

    def _failure(self, fail: Fail) -> Response:
        """An error body; an empty `code` or `param` is null in it."""
        other = "server_error" if fail.status >= 500 else "invalid_request_error"
        kind, code = USUAL.get(fail.status, (other, None))
        error = {
            "message": fail.error,
            "type": kind if fail.type is None else fail.type,
            "param": fail.param or None,
            "code": (code if fail.code is None else fail.code) or None,
        }
        headers = () if fail.retry_after is None else (("Retry-After", fail.retry_after),)
        return Response(({"error": error},), status=fail.status, headers=headers)


def _completion(model: str, number: int, answer: Answer) -> Response:
    message: dict[str, Any] = {"role": "assistant", "content": answer.text, "refusal": None}
    if answer.thinking:
        message["reasoning_content"] = answer.thinking  # not OpenAI's own, but of servers like it
    thought, said = (len((text or "").split()) for text in (answer.thinking, answer.text))
    completion = {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": answer.reason}],
        "usage": {
            "prompt_tokens": 40,
            "completion_tokens": thought + said,
            "total_tokens": 40 + thought + said,
            "completion_tokens_details": {"reasoning_tokens": thought},
        },
        "system_fingerprint": "fp_44709d6fcb",
    }
    return Response((completion,))


def _masked(key: str) -> str:
    """The key as errors quote it: its ends alone, or all of a short one."""
    return key if len(key) <= 12 else key[:8] + "*" * (len(key) - 12) + key[-4:]
