"""Downloads from a real server on loopback that goes wrong in every way that is handled."""

import gzip
import hashlib
import socket
import ssl
from collections.abc import Iterable
from pathlib import Path

import pytest

from file_server import FileServer, Odd
from sapo_lite.data import download as module
from sapo_lite.data.download import UnfitFileError, client_for, download
from sapo_lite.data.published import blob_id
from sapo_lite.errors import DataError

TLS = ssl.create_default_context()
CONTENT = bytes(range(256)) * 40
SIZE = len(CONTENT)
BLOB = hashlib.sha1(b"blob %d\0" % SIZE + CONTENT, usedforsecurity=False).hexdigest()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BACKOFF", (0.0, 0.0, 0.0))
    # Loading certificates for every client takes longer than anything else here.
    monkeypatch.setattr(ssl, "create_default_context", lambda **_: TLS)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


class Fetch:
    """A download of CONTENT into `file`, with what was said and seen on the way."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "suite" / "train.json"
        self.part = folder / "suite" / "train.json.part"
        self.notices: list[str] = []
        self.seen: list[tuple[int, int | None]] = []
        self.url = ""

    def begun(self, content: bytes) -> None:
        self.part.parent.mkdir(exist_ok=True)
        self.part.write_bytes(content)

    def __call__(self, script: Iterable[Odd] = ()) -> FileServer:
        with FileServer({"f": CONTENT}, script) as server, client_for(server.url) as client:
            self.url = f"{server.url}/f"
            watch = lambda come, size: self.seen.append((come, size))  # noqa: E731
            download(client, self.url, self.file, BLOB, watch=watch, notify=self.notices.append)
        assert self.file.read_bytes() == CONTENT
        assert not self.part.exists()
        return server

    def error(self, script: Iterable[Odd]) -> str:
        """The one sentence that ends it, without the address; no file appears."""
        with pytest.raises(DataError) as caught:
            self(script)
        assert not self.file.exists()
        return str(caught.value).replace(self.url, "URL")


@pytest.fixture
def fetch(tmp_path: Path) -> Fetch:
    return Fetch(tmp_path)


def test_the_id_of_a_file_is_that_of_git(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"hello\n")
    assert blob_id(path) == "ce013625030ba8dba906f756967f9e9ca394464a"  # git hash-object


def test_a_sound_server_is_asked_once(fetch: Fetch) -> None:
    assert fetch().ranges == [None]
    assert fetch.notices == []
    assert fetch.seen[-1] == (SIZE, SIZE)


def test_a_part_of_an_earlier_command_is_continued(fetch: Fetch) -> None:
    fetch.begun(CONTENT[:1000])
    assert fetch().ranges == ["bytes=1000-"]
    assert fetch.seen[-1] == (SIZE - 1000, SIZE - 1000)


def test_a_part_that_is_whole_needs_no_server(fetch: Fetch) -> None:
    fetch.begun(CONTENT)
    assert fetch().asked == []


CUT = Odd(sent=1000)
RECOVERED: dict[str, tuple[list[Odd], list[str | None]]] = {
    "cut in the middle": ([CUT], [None, "bytes=1000-"]),
    "cut twice": ([CUT, Odd(sent=500)], [None, "bytes=1000-", "bytes=1500-"]),
    "cut before the first byte": ([Odd(sent=0)], [None, None]),
    "announces more than there is": ([Odd(announced=SIZE + 5)], [None]),
    "announces less than there is": ([Odd(announced=SIZE - 5)], [None, None]),
    "announces nothing": ([Odd(announced=-1)], [None]),
    "length is no number": ([Odd(announced=-7)], [None, None]),
    "ignores ranges": ([CUT, Odd(ranges=False)], [None, "bytes=1000-"]),
    "continues elsewhere": (
        [CUT, Odd(206, {"Content-Range": f"bytes 0-{SIZE - 1}/{SIZE}"}, CONTENT)],
        [None, "bytes=1000-", None],
    ),
    "does not say where it continues": ([CUT, Odd(206, {}, CONTENT[1000:])], [None, "bytes=1000-", None]),
    "wrong bytes": ([Odd(body=b"x" * SIZE)], [None, None]),
    "wrong bytes, then the rest": ([Odd(body=b"x" * SIZE, sent=1000)], [None, "bytes=1000-", None]),
    "a page instead of the file": ([Odd(body=b"<html>Log in</html>")], [None, None]),
    "compressed": ([Odd(body=gzip.compress(CONTENT), headers={"Content-Encoding": "gzip"})], [None]),
    "not what it says it is": ([Odd(headers={"Content-Encoding": "gzip"})], [None, None]),
    "too many requests": ([Odd(429, {"Retry-After": "0"})], [None, None]),
    "busy for a moment": ([Odd(503, {"Retry-After": "0.01"}), Odd(502)], [None, None, None]),
    "busy until a date that is past": (
        [Odd(503, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"})],
        [None, None],
    ),
    "an error of a moment": ([Odd(500), Odd(520), Odd(529)], [None] * 4),
    "moved": ([Odd(302, {"Location": "/f"}), Odd(308, {"Location": "f"})], [None] * 3),
}


@pytest.mark.parametrize("case", RECOVERED)
def test_a_server_in_trouble_is_asked_again_for_what_is_missing(case: str, fetch: Fetch) -> None:
    script, ranges = RECOVERED[case]
    assert fetch(script).ranges == ranges
    assert len(fetch.notices) <= len(ranges)


@pytest.mark.parametrize("sent", [0, 1000])
def test_a_server_that_stalls_is_given_up_and_asked_for_the_rest(
    sent: int, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SILENCE", 0.5)
    assert fetch([Odd(sent=sent, stalls=True)]).ranges[:2] == [None, f"bytes={sent}-" if sent else None]
    assert fetch.notices[0] == f"{fetch.url}: the server sent nothing for 0.5 s; asking again"


def test_a_server_that_announces_more_and_stalls_has_sent_the_file(
    fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SILENCE", 0.5)
    assert fetch([Odd(announced=SIZE + 5, stalls=True)]).ranges == [None]


def test_a_part_longer_than_the_file_is_thrown_away(fetch: Fetch) -> None:
    fetch.begun(CONTENT + b"more")
    assert fetch().ranges == [f"bytes={SIZE + 4}-", None]


def test_a_file_without_end_is_refused(fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST", SIZE + 10)
    endless = Odd(body=CONTENT * 100, announced=-1, stalls=True)
    assert "twice" in fetch.error([endless, endless])


def test_wrong_content_is_refused_the_second_time_and_deleted(fetch: Fetch) -> None:
    found = hashlib.sha1(b"blob 3\0abc", usedforsecurity=False).hexdigest()
    message = fetch.error([Odd(body=b"abc")] * 9)
    assert message == f"URL: expected a file with git blob id {BLOB}, found {found}, twice"
    assert not fetch.part.exists()


AGAIN = "What came is kept: give the same command again later, and it goes on from there."
FINAL: dict[str, tuple[list[Odd], str]] = {
    "not there": ([Odd(404)], "URL: no such file there (HTTP 404)"),
    "no longer there": ([Odd(410)], "URL: no such file there (HTTP 410)"),
    "not allowed": ([Odd(403)], "URL: expected a file, found HTTP 403 Forbidden."),
    "nothing": ([Odd(204)], "URL: expected a file, found HTTP 204 No Content."),
    "nowhere": ([Odd(302)], "URL: expected a file, found HTTP 302 Found."),
    "always busy": ([Odd(503)] * 9, f"URL: the server is busy (HTTP 503), in 4 tries. {AGAIN}"),
    "always cut": ([Odd(sent=10)] * 9, f"URL: the server broke the connection, in 4 tries. {AGAIN}"),
    "busy for an hour": (
        [Odd(429, {"Retry-After": "3600"})],
        f"URL: the server is busy (HTTP 429) and asks to wait 3600 s. {AGAIN}",
    ),
    "to no address": (
        [Odd(302, {"Location": "data:,x"})],
        "URL: expected a file, found a redirect to no web address.",
    ),
    "in circles": ([Odd(302, {"Location": "/f"})] * 9, "URL: expected a file, found more than 5 redirects."),
}
FINAL |= {
    f"to {place}": (
        [Odd(302, {"Location": place})],
        f'URL: redirects to "{place}", which is not followed: expected a web address.',
    )
    for place in ("file:///etc/passwd", "ftp://127.0.0.1/f")
}


@pytest.mark.parametrize("case", FINAL)
def test_what_will_not_change_ends_it_with_a_sentence(case: str, fetch: Fetch) -> None:
    script, sentence = FINAL[case]
    assert fetch.error(script) == sentence


def test_a_server_that_is_not_there_is_said(fetch: Fetch) -> None:
    with socket.socket() as listener:  # bound and not listening: nobody else can take it meanwhile
        listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/f"
        with client_for(url) as client, pytest.raises(DataError) as caught:
            download(client, url, fetch.file, BLOB)
    assert str(caught.value) == f"{url}: the server cannot be reached, in 4 tries. {AGAIN}"


def test_what_came_before_it_was_given_up_is_continued_by_the_next_command(fetch: Fetch) -> None:
    fetch.error([CUT, *[Odd(503)] * 9])
    assert fetch.part.read_bytes() == CONTENT[:1000]
    assert fetch().ranges == ["bytes=1000-"]


def test_what_came_before_ctrl_c_is_continued_by_the_next_command(fetch: Fetch) -> None:
    def interrupt(come: int, size: int | None) -> None:
        raise KeyboardInterrupt

    with (
        FileServer({"f": CONTENT}, [Odd(sent=1000, stalls=True)]) as server,
        client_for(server.url) as client,
        pytest.raises(KeyboardInterrupt),
    ):
        download(client, f"{server.url}/f", fetch.file, BLOB, watch=interrupt)
    assert fetch.part.read_bytes() == CONTENT[:1000]
    assert fetch().ranges == ["bytes=1000-"]


def test_only_a_missing_or_a_wrong_file_is_a_fault_of_that_file(fetch: Fetch) -> None:
    for script, unfit in (([Odd(404)], True), ([Odd(body=b"x")] * 2, True), ([Odd(503)] * 9, False)):
        with pytest.raises(DataError) as caught:
            fetch(script)
        assert isinstance(caught.value, UnfitFileError) == unfit


def test_encryption_is_not_given_up_on_the_way() -> None:
    import httpx

    at = httpx.URL("https://a.example/x")
    assert module._redirected(at, "//b.example/y") == httpx.URL("https://b.example/y")
    with pytest.raises(DataError, match="not followed"):
        module._redirected(at, "http://a.example/x")


@pytest.mark.parametrize(
    "address",
    ["", "127.0.0.1:8000", "file:///data", "ftp://x", "http://", "http://a:b@x/", "http://x/?token=1"],
)
def test_what_is_no_address_of_a_mirror_is_refused(address: str) -> None:
    with (
        pytest.raises(DataError, match=r"--base-url .*: expected the address of a folder"),
        client_for(address),
    ):
        pass


def test_a_proxy_that_cannot_be_used_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "gopher://127.0.0.1:9")
    with (
        pytest.raises(DataError, match="cannot be used to reach http://gpu-box"),
        client_for("http://gpu-box"),
    ):
        pass
    with client_for("http://127.0.0.1:1"):  # not asked for this machine
        pass
