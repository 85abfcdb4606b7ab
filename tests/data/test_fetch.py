"""`sapo-lite data fetch`: a suite from a server on loopback into the cache folder, and its use by recipes."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from chat_sources import RecordingDisplay
from file_server import FileServer, Odd
from sapo_lite.data import download, published
from sapo_lite.data.fetch import Fetched, fetch_suite
from sapo_lite.data.published import SUITES, PublishedFile, blob_id, published_files
from sapo_lite.data.suite import fetched_folder
from sapo_lite.data.tasks import load_sequence
from sapo_lite.errors import DataError
from sapo_lite.recipe import SequenceConfig
from sapo_lite.support.lock import owned

TASKS = ("task002_quoref", "task195_sentiment")
ENTRY = {"instruction": "Say yes or no.", "suffix": "", "labels": ["yes", "no"]}
ROWS = [{"sentence": f"text {number}", "label": "yes"} for number in range(5)]
FILES = {"SUPERNI/instructions.json": json.dumps(dict.fromkeys(TASKS, ENTRY)).encode()} | {
    f"SUPERNI/{task}/{split}.json": json.dumps([{**row, "of": [task, split]} for row in ROWS]).encode()
    for task in TASKS
    for split in ("dev", "test", "train")
}


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The cache folder; FILES are the published suite, and tries follow at once."""
    monkeypatch.setenv("SAPO_LITE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SAPO_LITE_DATA", raising=False)
    monkeypatch.setattr(download, "BACKOFF", (0.0, 0.0))
    for path, content in FILES.items():
        (tmp_path / "published" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "published" / path).write_bytes(content)
    facts = tuple(PublishedFile(path, blob_id(tmp_path / "published" / path)) for path in FILES)
    monkeypatch.setattr(published, "all_files", lambda: facts)
    return tmp_path / "cache"


@pytest.fixture
def server(cache: Path) -> Iterator[FileServer]:
    with FileServer(FILES) as server:
        yield server


def fetch(server: FileServer, *tasks: str, progress: RecordingDisplay | None = None) -> Fetched:
    return fetch_suite("SUPERNI", progress or RecordingDisplay(), tasks=tasks, base_url=f"{server.url}/")


def failure(server: FileServer) -> list[str]:
    with pytest.raises(DataError) as caught:
        fetch(server)
    return str(caught.value).splitlines()


def here(cache: Path) -> dict[str, bytes]:
    """All files of the fetched data but the lock."""
    root = cache / "data"
    files = [path for path in root.rglob("*") if path.is_file() and path.name != ".lock"]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


# --- what is fetched


def test_a_suite_is_fetched_once_and_then_found_by_recipes(server: FileServer, cache: Path) -> None:
    assert fetch(server) == Fetched(cache / "data" / "SUPERNI", kept=0, fetched=7)
    assert here(cache) == FILES
    assert server.asked[0] == ("/SUPERNI/instructions.json", None)
    asked = len(server.asked)
    assert fetch(server) == Fetched(cache / "data" / "SUPERNI", kept=7, fetched=0)
    assert len(server.asked) == asked == 7
    [task] = load_sequence(SequenceConfig(suite="SUPERNI", tasks=("195",)), None)
    assert [example.input for example in task.train] == [row["sentence"] for row in ROWS]


def test_single_tasks_are_fetched_with_the_instructions(server: FileServer, cache: Path) -> None:
    assert fetch(server, "195").fetched == 4
    assert {path.split("/")[1] for path in here(cache)} == {"instructions.json", "task195_sentiment"}
    assert fetch(server, "task2", "195") == Fetched(cache / "data" / "SUPERNI", kept=4, fetched=3)


def test_the_count_of_files_is_shown_and_the_kilobytes_of_large_ones(
    server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sapo_lite.data import fetch as module

    monkeypatch.setattr(module, "_LARGE", 1)
    monkeypatch.setattr(module, "_KILOBYTE", 10)
    progress = RecordingDisplay()
    fetch(server, "195", progress=progress)
    assert [meter[:3] for meter in progress.meters][:2] == [
        ("files", 4, "files"),
        ("instructions", len(FILES["SUPERNI/instructions.json"]) // 10, "kB"),
    ]
    assert {meter[0] for meter in progress.meters[2:]} == {f"task195 {s}" for s in ("dev", "test", "train")}
    assert all(sum(steps) == total for _, total, _, steps in progress.meters)


def test_a_lost_connection_is_said_and_mended(server: FileServer, cache: Path) -> None:
    server.script = [Odd(), Odd(sent=100), Odd(503)]
    progress = RecordingDisplay()
    fetch(server, progress=progress)
    assert here(cache) == FILES
    assert server.asked[1:4] == [
        ("/SUPERNI/task002_quoref/dev.json", place) for place in (None, "bytes=100-", "bytes=100-")
    ]
    assert [notice.partition(": ")[2] for notice in progress.notices] == [
        "the server broke the connection; asking again",
        "the server is busy (HTTP 503); asking again",
    ]


# --- what goes wrong


def test_files_that_a_mirror_lacks_are_named_and_the_others_kept(server: FileServer, cache: Path) -> None:
    gone = [f"SUPERNI/task002_quoref/{split}.json" for split in ("dev", "train")]
    for path in gone:
        del server.files[path]
    assert failure(server) == [
        "SUPERNI: expected 7 files, found 5. These are kept; a run that needs one of the others stops:",
        *(f"  {server.url}/{path}: no such file there (HTTP 404)" for path in gone),
    ]
    assert here(cache).keys() == FILES.keys() - set(gone)
    server.files |= FILES
    assert fetch(server) == Fetched(cache / "data" / "SUPERNI", kept=5, fetched=2)


def test_a_mirror_without_the_suite_is_asked_once(server: FileServer) -> None:
    server.files.clear()
    assert failure(server) == [f"{server.url}/SUPERNI/instructions.json: no such file there (HTTP 404)"]
    assert len(server.asked) == 1


def test_a_server_that_goes_on_failing_ends_it(server: FileServer, cache: Path) -> None:
    server.script = [Odd(), *[Odd(503)] * 9]
    assert "the server is busy (HTTP 503), in 3 tries" in failure(server)[0]
    assert here(cache).keys() == {"SUPERNI/instructions.json"}


def test_files_that_differ_are_named_and_left_alone(server: FileServer, cache: Path) -> None:
    fetch(server, "195")
    changed = cache / "data/SUPERNI/task195_sentiment/train.json"
    changed.write_text("[]")
    asked = len(server.asked)
    assert failure(server) == [
        "Expected the published content, found another (1 file):",
        f"  {changed}",
        "Delete them to fetch them again, or keep them elsewhere and pass that folder as --data.",
    ]
    assert changed.read_text() == "[]"
    assert len(server.asked) == asked
    changed.unlink()
    fetch(server)
    assert here(cache) == FILES


def test_two_commands_do_not_write_into_the_same_files(server: FileServer, cache: Path) -> None:
    (cache / "data").mkdir(parents=True)
    who = f"process {os.getpid()} on this host"
    with owned(cache / "data/.lock"):
        assert failure(server) == [
            f"{cache}/data is in use by another `sapo-lite data fetch` ({who}). Wait for it."
        ]


def test_an_unknown_task_is_said_with_the_nearest(server: FileServer) -> None:
    with pytest.raises(DataError, match=r'Task "sentiment" is not in SUPERNI/instructions.json'):
        fetch(server, "sentiment")
    assert server.asked == []


def test_without_a_home_folder_the_variable_is_named(
    server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    from sapo_lite.data import suite

    monkeypatch.setattr(suite, "cache_folder", homeless)
    assert "SAPO_LITE_CACHE" in failure(server)[0]
    assert fetched_folder() is None


# --- the facts


def test_the_facts_list_both_suites_with_three_files_a_task() -> None:
    assert len(published_files("SUPERNI")) == 1 + 3 * 27
    assert len(published_files("TRACE")) == 1 + 3 * 7
    for suite in SUITES:
        first, *others = published_files(suite)
        assert first.path == f"{suite}/instructions.json"
        assert all(len(file.blob) == 40 and file.path.startswith(f"{suite}/{file.task}/") for file in others)


@pytest.mark.benchmarks_data
def test_the_facts_are_those_of_the_published_files(benchmarks: Path) -> None:
    files = [file for suite in SUITES for file in published_files(suite)]
    found = [file for file in files if (benchmarks / file.path).is_file()]
    assert found
    assert [file.blob for file in found] == [blob_id(benchmarks / file.path) for file in found]
