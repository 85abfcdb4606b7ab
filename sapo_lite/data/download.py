"""Download of one file, whose content is known by its git blob id: whatever a server sends is checked.

train.json.part    what came so far; the next try, or the next command, asks for the rest
train.json         the whole file, right byte for byte
"""

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx

from sapo_lite.data.published import blob_id
from sapo_lite.errors import DataError
from sapo_lite.support.http import PASSING, is_here, retry_after
from sapo_lite.support.messages import quoted
from sapo_lite.support.offline import VARIABLE, is_forbidden

SILENCE = 30.0  # s without a byte, after which a connection is given up
CONNECT_TIMEOUT = 10.0  # s
BACKOFF = (0.5, 1.0, 2.0, 4.0)  # s, pauses before the second try and the following ones
LONGEST_PAUSE = 60.0  # s that a server may ask to wait
LARGEST = 100 * 2**20  # bytes: GitHub takes no larger file
REDIRECTS = 5

# Called as bytes come: (bytes of this answer so far, all that it announces or None).
Watch = Callable[[int, int | None], None]


class UnfitFileError(DataError):
    """The server lacks this one file, or has another in its place."""


class _PassingError(Exception):
    """A try has failed, and another may succeed; the text goes behind the server's name."""

    def __init__(self, trouble: str, pause: float = 0.0) -> None:
        super().__init__(trouble)
        self.pause = pause


@contextlib.contextmanager
def client_for(base_url: str) -> Iterator[httpx.Client]:
    """A client for downloads below `base_url`, which is checked.

    Raises:
        DataError: it is no web address, or the proxy of the environment cannot be used.
    """
    try:
        url = httpx.URL(base_url)
        usable = url.scheme in ("http", "https") and url.host and not (url.userinfo or url.query)
    except (httpx.InvalidURL, UnicodeError):
        usable = False
    if not usable:
        raise DataError(
            f"--base-url {base_url}: expected the address of a folder that holds SUPERNI/ and TRACE/, "
            "such as http://127.0.0.1:8000, without a password or a question mark."
        )
    if is_forbidden(base_url):
        raise DataError(
            f"{base_url} is on another machine, and {VARIABLE} forbids to connect there. Unset it for this "
            "command, or name a mirror on this machine with --base-url."
        )
    try:
        # Compressed answers could not be continued.
        client = httpx.Client(
            timeout=httpx.Timeout(SILENCE, connect=CONNECT_TIMEOUT),
            trust_env=not is_here(base_url),
            headers={"Accept-Encoding": "identity"},
        )
    except (ImportError, ValueError) as error:  # a SOCKS proxy without its package, an unknown kind of proxy
        raise DataError(
            f"The proxy in your environment cannot be used to reach {base_url}: {error}"
        ) from None
    with client:
        yield client


def download(
    client: httpx.Client,
    url: str,
    file: Path,
    blob: str,
    *,
    watch: Watch = lambda come, size: None,
    notify: Callable[[str], None] = lambda notice: None,
) -> None:
    """Fetch `url` into `file`, continuing its `.part`; the file appears only with a content of the id `blob`.

    Other content is deleted and asked for once more. A failure that may pass is tried again four times.

    Raises:
        UnfitFileError: the server lacks the file, or twice sent another.
        DataError: the server cannot be reached, refuses, or goes on failing; what came is kept.
    """
    part = file.with_name(f"{file.name}.part")
    doubted = False
    for pause in (*BACKOFF, None):
        trouble = None if _is_whole(part, blob) else _try(client, url, part, watch)
        if _is_whole(part, blob):  # also after trouble: some servers announce more than there is
            part.replace(file)
            return
        if trouble is None:
            trouble = _doubt(url, part, blob, doubted)
            doubted = True
        if pause is None:
            raise DataError(f"{url}: the server {trouble}, in {len(BACKOFF) + 1} tries. {_AGAIN}")
        if trouble.pause > LONGEST_PAUSE:
            raise DataError(f"{url}: the server {trouble} and asks to wait {trouble.pause:.0f} s. {_AGAIN}")
        notify(f"{url}: the server {trouble}; asking again")
        time.sleep(max(pause, trouble.pause))


_AGAIN = "What came is kept: give the same command again later, and it goes on from there."


def _is_whole(part: Path, blob: str) -> bool:
    return part.is_file() and blob_id(part) == blob


def _doubt(url: str, part: Path, blob: str, doubted: bool) -> _PassingError:
    """Delete wrong content. Raises UnfitFileError if there was some before."""
    found = blob_id(part)
    part.unlink()
    if doubted:
        raise UnfitFileError(f"{url}: expected a file with git blob id {blob}, found {found}, twice")
    return _PassingError("sent another file than the published one")


def _try(client: httpx.Client, url: str, part: Path, watch: Watch) -> _PassingError | None:
    """Append to `part` what is missing. Returns the trouble that cut it short and may pass.

    Raises:
        DataError: an answer that will not change.
    """
    try:
        _receive(client, url, part, watch)
    except _PassingError as trouble:
        return trouble
    except httpx.InvalidURL:  # the client reads the address of a redirect before it is followed
        raise DataError(f"{url}: expected a file, found a redirect to no web address.") from None
    except (httpx.ConnectError, httpx.ConnectTimeout):
        return _PassingError("cannot be reached")
    except httpx.TimeoutException:
        return _PassingError(f"sent nothing for {client.timeout.read:g} s")
    except (httpx.TransportError, httpx.DecodingError):
        return _PassingError("broke the connection")
    return None


def _receive(client: httpx.Client, url: str, part: Path, watch: Watch) -> None:
    have = part.stat().st_size if part.is_file() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    with _opened(client, url, headers) as answer:
        _check(answer, url, part, have)
        length = answer.headers.get("Content-Length")
        size = int(length) if length else None
        part.parent.mkdir(parents=True, exist_ok=True)
        # A server that does not know ranges sends all of it again.
        with part.open("ab" if answer.status_code == 206 else "wb") as file:
            come = 0
            for piece in answer.iter_bytes():
                file.write(piece)
                come += len(piece)
                watch(come, size)
                if file.tell() > LARGEST:
                    break
            file.flush()
            os.fsync(file.fileno())


@contextlib.contextmanager
def _opened(client: httpx.Client, url: str, headers: dict[str, str]) -> Iterator[httpx.Response]:
    """The answer behind all redirects. Raises DataError if there are too many, or unsafe ones."""
    at = httpx.URL(url)
    for _ in range(REDIRECTS + 1):
        with client.stream("GET", at, headers=headers) as answer:
            if not answer.has_redirect_location:
                yield answer
                return
            at = _redirected(at, answer.headers["Location"])
    raise DataError(f"{url}: expected a file, found more than {REDIRECTS} redirects.")


def _redirected(at: httpx.URL, location: str) -> httpx.URL:
    # Any host will do, since the content is checked. Encryption is not given up on the way.
    with contextlib.suppress(httpx.InvalidURL, UnicodeError):
        to = at.join(location)
        if to.host and to.scheme in (("https",) if at.scheme == "https" else ("http", "https")):
            return to
    raise DataError(f"{at}: redirects to {quoted(location)}, which is not followed: expected a web address.")


def _check(answer: httpx.Response, url: str, part: Path, have: int) -> None:
    """Raise unless the answer is the file, or its part from `have` on."""
    status = answer.status_code
    if status in PASSING:
        raise _PassingError(f"is busy (HTTP {status})", retry_after(answer.headers.get("Retry-After")))
    if status in (404, 410):
        raise UnfitFileError(f"{url}: no such file there (HTTP {status})")
    start = re.match(r"bytes +([0-9]+)-", answer.headers.get("Content-Range", ""))
    other = status == 206 and (start is None or int(start[1]) != have)
    if status == 416 or other:  # there is nothing behind `have`, so what is here is not the file's beginning
        part.unlink(missing_ok=True)
        raise _PassingError("did not go on where the last try ended")
    if status not in (200, 206):
        raise DataError(f"{url}: expected a file, found HTTP {status} {answer.reason_phrase}".rstrip() + ".")
