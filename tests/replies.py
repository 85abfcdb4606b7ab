"""Replies of the fake model servers, and their form on the wire."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any


@dataclass(frozen=True)
class Answer:
    """What the model says and thinks, and why it stopped: "stop", or "length" when cut off."""

    text: str | None
    thinking: str = ""
    reason: str = "stop"


@dataclass(frozen=True)
class Json:
    """A success with this JSON value as the whole body, whatever it is."""

    value: Any


@dataclass(frozen=True)
class Raw:
    """These bytes as the whole body."""

    body: bytes
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Fail:
    """An HTTP error with the server's JSON body. Ollama's has the text alone, OpenAI's all but the status."""

    status: int
    error: str
    retry_after: str | None = None  # sent as a header
    type: str | None = None  # None: what is usual for the status; so is `code`
    code: str | None = None
    param: str | None = None


class Trouble(Enum):
    """Ways not to answer, or not to the end."""

    DROP = "the connection is closed without an answer"
    HANG = "nothing is ever sent"
    GARBAGE = "a success that is not JSON"
    CUT = "half of the body, then the connection breaks"
    STALL = "half of the body, then silence"


@dataclass(frozen=True)
class MidStreamError:
    """Half of the stream, then a last line {"error": ...}; HTTP 500 if nothing is streamed."""

    error: str


@dataclass(frozen=True)
class Slow:
    """The reply after a pause."""

    reply: "Reply"
    seconds: float


@dataclass(frozen=True)
class Drip:
    """The text, but the body comes a byte at a time with pauses of so many seconds in between."""

    text: str
    seconds: float


Reply = str | Answer | Json | Raw | Fail | Trouble | MidStreamError | Slow | Drip
# A call by content may also be answered with None: as if the script were over.
Replies = Iterable[Reply] | Callable[[dict[str, Any]], Reply | None]


@dataclass(frozen=True)
class Response:
    """What goes over the wire. `effect` is run just before the last byte, unless it never comes to that."""

    parts: tuple[Any, ...]  # JSON values, lines if streamed; bytes are sent as they are
    streamed: bool = False
    status: int = 200
    content_type: str = "application/json; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()
    effect: Callable[[], None] = lambda: None
    pause: float = 0.0
    drip: float = 0.0
    trouble: Trouble | None = None

    def pieces(self) -> list[bytes]:
        """The body as it is written: at least two pieces, or no more than the lines of a stream."""
        data = [part if isinstance(part, bytes) else _dump(part) for part in self.parts]
        if self.streamed:
            data = [line + b"\n" for line in data]
        whole = b"".join(data)
        if self.drip:
            data = [bytes([byte]) for byte in whole]
        elif not self.streamed:
            data = [whole[: len(whole) // 2], whole[len(whole) // 2 :]]
        if self.streamed:
            data = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in data]
            data[-1] += b"0\r\n\r\n"
        return data


def carry_out(
    reply: Reply, say: Callable[[Answer], Response], usual: Answer, failure: Callable[[Fail], Response]
) -> Response:
    """The response for a reply. `say` makes one of an answer, and of `usual` where a text is to be cut."""
    match reply:
        case str():
            return say(Answer(reply))
        case Answer():
            return say(reply)
        case Json():
            return Response((reply.value,))
        case Raw():
            return Response((reply.body,), status=reply.status, headers=reply.headers)
        case Fail():
            return failure(reply)
        case Slow():
            return replace(carry_out(reply.reply, say, usual, failure), pause=reply.seconds)
        case Drip():
            return replace(say(Answer(reply.text)), drip=reply.seconds)
        case Trouble.GARBAGE:
            return Response((b"<html>hello</html>",), content_type="text/html")
        case Trouble():
            return replace(say(usual), trouble=reply)
    sound = say(usual)
    if not sound.streamed:
        return failure(Fail(500, reply.error))
    half = sound.parts[: len(sound.parts) // 2]
    return Response((*half, {"error": reply.error}), streamed=True, content_type=sound.content_type)


def _dump(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
