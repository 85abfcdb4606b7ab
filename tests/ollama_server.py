"""A real HTTP server on loopback that speaks as much of Ollama's protocol as sapo-lite uses.

Routes, bodies, statuses and error texts follow Ollama's own server/routes.go.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from loopback import Call, LoopbackServer
from replies import Answer, Drip, Fail, Json, MidStreamError, Replies, Reply, Response, Slow, Trouble

__all__ = ["Answer", "Drip", "Fail", "FakeOllama", "Json", "MidStreamError", "Reply", "Slow", "Trouble"]

SIZE = 522_653_767
DETAILS = {
    "parent_model": "",
    "format": "gguf",
    "family": "qwen3",
    "families": ["qwen3"],
    "parameter_size": "751.63M",
    "quantization_level": "Q4_K_M",
}
MODIFIED = "2026-03-04T08:52:19.385406455+01:00"
MS = 1_000_000  # durations are in ns


class FakeOllama(LoopbackServer):
    """Answers chat calls with `replies` in turn, then with a new good paraphrase each time.

    It has `models`, `model` alone if none are named, and a pull can fetch those of `library`, likewise.
    `refuses_think`: any think setting is refused, as by servers of old; otherwise only think=True, by a
    model whose `capabilities` lack "thinking". After an unload a model stays in /api/ps for
    `polls_until_gone` looks. `digest` is that of `model`, and may be changed at any time, as may the
    other public attributes, which name models in full ("tiny:latest"); /api/ps lists `in_memory`.
    """

    chat_route = "POST /api/chat"

    def __init__(
        self,
        replies: Replies = (),
        *,
        model: str = "tiny:latest",
        models: Iterable[str] | None = None,
        library: Iterable[str] | None = None,
        capabilities: Iterable[str] = ("completion",),
        refuses_think: bool = False,
        polls_until_gone: int = 0,
        troubles: Mapping[str, Reply] | None = None,
    ) -> None:
        super().__init__(replies, troubles)
        self.model = _full(model)
        self.models = [self.model] if models is None else [_full(name) for name in models]
        self.library = [self.model] if library is None else [_full(name) for name in library]
        self.capabilities = list(capabilities)
        self.digest = _digest(self.model)
        self.version = "0.12.3"
        self.in_memory: list[str] = []
        self.polls_until_gone = polls_until_gone
        self.refuses_think = refuses_think
        self._looks_left: dict[str, int] = {}  # of models that are being unloaded

    @property
    def loaded(self) -> bool:
        """Whether a model is in memory."""
        return bool(self.in_memory)

    def _respond(self, call: Call) -> Response | Callable[[Answer], Response]:
        routes: dict[str, Callable[[dict[str, Any]], Response | Callable[[Answer], Response]]] = {
            "GET /": lambda _: Response((b"Ollama is running",), content_type="text/plain"),
            "GET /api/version": lambda _: Response(({"version": self.version},)),
            "GET /api/tags": lambda _: self._list(self.models, modified_at=MODIFIED),
            "GET /api/ps": lambda _: self._ps(),
            "POST /api/show": self._show,
            "POST /api/pull": self._pull,
            "POST /api/generate": self._generate,
            "POST /api/chat": self._chat,
        }
        if call.route not in routes:
            return Response((b"404 page not found",), status=404, content_type="text/plain")
        needs_model = call.route in ("POST /api/show", "POST /api/generate", "POST /api/chat")
        if needs_model and _full(call.body.get("model", "")) not in self.models:
            return self._failure(Fail(404, f"model '{call.body.get('model', '')}' not found"))
        return routes[call.route](call.body)

    def _failure(self, fail: Fail) -> Response:
        headers = () if fail.retry_after is None else (("Retry-After", fail.retry_after),)
        return Response(({"error": fail.error},), status=fail.status, headers=headers)

    # --- talking

    def _chat(self, body: dict[str, Any]) -> Response | Callable[[Answer], Response]:
        effect = partial(self._move, body)
        if not body.get("messages"):  # asks for no text, only to have the model there or gone
            done = {"done": True, "done_reason": _reason(body)}
            return Response((_said(body, {"content": ""}, done),), effect=effect)
        thinks = "thinking" in self.capabilities
        if (self.refuses_think and "think" in body) or (body.get("think") and not thinks):
            return self._failure(Fail(400, f'"{body["model"]}" does not support thinking'))
        self._load(_full(body["model"]))
        return lambda answer: self._talk(body, answer, effect if _reason(body) == "unload" else lambda: None)

    def _talk(self, body: dict[str, Any], answer: Answer, effect: Callable[[], None]) -> Response:
        """An answer, in the pieces of a stream or whole."""
        text = answer.text or ""
        end = {
            "done": True,
            "done_reason": answer.reason,
            "total_duration": 250 * MS,
            "load_duration": 100 * MS,
            "prompt_eval_count": 40,
            "prompt_eval_duration": 50 * MS,
            "eval_count": len((answer.thinking + text).split()) + 1,
            "eval_duration": 90 * MS,
        }
        if body.get("stream") is False:
            thought = {"thinking": answer.thinking} if answer.thinking else {}
            return Response((_said(body, {"content": text, **thought}, end),), effect=effect)
        pieces = [
            *({"content": "", "thinking": piece} for piece in _cut(answer.thinking)),
            *({"content": piece} for piece in _cut(text)),
        ]
        lines = [_said(body, piece, {"done": False}) for piece in pieces]
        return _stream(*lines, _said(body, {"content": ""}, end), effect=effect)

    # --- models

    def _list(self, names: Iterable[str], **more: Any) -> Response:
        entries = [
            {
                "name": name,
                "model": name,
                "size": SIZE,
                "digest": self.digest if name == self.model else _digest(name),
                "details": DETAILS,
                **more,
            }
            for name in names
        ]
        return Response(({"models": entries},))

    def _ps(self) -> Response:
        self._drop_leaving(count=True)
        expires_at = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
        return self._list(self.in_memory, expires_at=expires_at, size_vram=SIZE, context_length=8192)

    def _show(self, body: dict[str, Any]) -> Response:
        told = {
            "modelfile": f'# Modelfile generated by "ollama show"\nFROM {body["model"]}\n',
            "parameters": "temperature                    0.6",
            "template": "{{ .Prompt }}",
            "details": DETAILS,
            "model_info": {"general.architecture": "qwen3", "qwen3.context_length": 40960},
            "capabilities": self.capabilities,
            "modified_at": MODIFIED,
        }
        return Response((told,))

    def _generate(self, body: dict[str, Any]) -> Response:
        """Loading and unloading; no text is made here."""
        if body.get("prompt"):
            return self._failure(Fail(400, "this server makes text in /api/chat only"))
        told = {"model": body["model"], "created_at": _now(), "response": "", "done": True}
        return Response((told | {"done_reason": _reason(body)},), effect=partial(self._move, body))

    def _pull(self, body: dict[str, Any]) -> Response:
        """Two layers come down; the model is there once all of it has been sent."""
        name, streams = _full(body.get("model", "")), body.get("stream") is not False
        if name not in self.library:
            error = "pull model manifest: file does not exist"
            if not streams:
                return self._failure(Fail(500, error))
            return _stream({"status": "pulling manifest"}, {"error": error})
        lines: list[dict[str, Any]] = [{"status": "pulling manifest"}]
        for part, total in (("weights", SIZE), ("config", 490)):
            digest = _digest(name + part)
            layer = {"status": f"pulling {digest[:12]}", "digest": f"sha256:{digest}", "total": total}
            lines += [layer, layer | {"completed": total // 2}, layer | {"completed": total}]
        ends = ("verifying sha256 digest", "writing manifest", "success")
        lines += [{"status": status} for status in ends]
        effect = partial(self._add, name)
        return _stream(*lines, effect=effect) if streams else Response((lines[-1],), effect=effect)

    def _add(self, name: str) -> None:
        if name not in self.models:
            self.models.append(name)

    def _move(self, body: dict[str, Any]) -> None:
        """Load the model, or unload it where the call says so."""
        name = _full(body["model"])
        if _reason(body) == "load":
            self._load(name)
        elif name in self.in_memory:
            self._looks_left[name] = self.polls_until_gone
            self._drop_leaving(count=False)

    def _load(self, name: str) -> None:
        self._looks_left.pop(name, None)
        if name not in self.in_memory:
            self.in_memory.append(name)

    def _drop_leaving(self, *, count: bool) -> None:
        """Drop the models with no looks left; `count` makes this a look."""
        for name, looks in list(self._looks_left.items()):
            if looks == 0:
                del self._looks_left[name]
                self.in_memory = [left for left in self.in_memory if left != name]
            elif count:
                self._looks_left[name] -= 1


def _full(name: str) -> str:
    """The name with its tag, in lower case: Ollama leaves case aside too."""
    return (name if ":" in name.rpartition("/")[2] else f"{name}:latest").lower()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def _reason(body: dict[str, Any]) -> str:
    """What a call does to the memory, in the words of `done_reason`."""
    return "unload" if body.get("keep_alive") in (0, "0", "0s", "0m", "0h") else "load"


def _said(body: dict[str, Any], message: dict[str, str], more: dict[str, Any]) -> dict[str, Any]:
    told = {"model": body["model"], "created_at": _now(), "message": {"role": "assistant", **message}}
    return told | more


def _stream(*lines: dict[str, Any], effect: Callable[[], None] = lambda: None) -> Response:
    return Response(lines, streamed=True, content_type="application/x-ndjson", effect=effect)


def _cut(text: str) -> list[str]:
    """About five pieces, in which words and markers are cut through."""
    size = -(-len(text) // 5) or 1
    return [text[start : start + size] for start in range(0, len(text), size)]
