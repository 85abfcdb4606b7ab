"""`sapo-lite data fetch`: a published suite in the cache folder, where `find_suite` looks for it."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import httpx

from sapo_lite.data.download import UnfitFileError, Watch, client_for, download
from sapo_lite.data.published import BASE_URL, PublishedFile, blob_id, published_files
from sapo_lite.data.suite import fetched_folder
from sapo_lite.errors import DataError
from sapo_lite.support.disk import writing_to
from sapo_lite.support.lock import HeldError, owned
from sapo_lite.support.messages import many
from sapo_lite.support.progress import Meter, Progress
from sapo_lite.types import abbreviated

_NAMED = 5  # files that an error names
_KILOBYTE = 1000
_LARGE = 2_000_000  # bytes from which on a file has a progress bar of its own


class Fetched(NamedTuple):
    """A suite's folder, and how many of its files were there and how many came."""

    folder: Path
    kept: int
    fetched: int


def fetch_suite(
    suite: str, progress: Progress, *, tasks: Sequence[str] = (), base_url: str = BASE_URL
) -> Fetched:
    """Fetch the missing files of a suite, or of some of its tasks; check all of them.

    suite: "SUPERNI" or "TRACE"
    tasks: names as in a recipe; none means all
    base_url: web address of the folder that holds SUPERNI/ and TRACE/

    Raises:
        DataError: an unknown task; a file here differs from the published one; the server cannot be used, or
            lacks files.
    """
    files = published_files(suite, tasks)
    if (root := fetched_folder()) is None:
        raise DataError(
            "Fetched data are kept in the home folder, and there is none. Name a folder that can be written "
            "to in SAPO_LITE_CACHE."
        )
    with client_for(base_url) as client, writing_to(root), _locked(root):
        if missing := _missing(files, root, progress):
            progress.stage(f"fetching {suite}")
            if unfit := _fetch(missing, client, base_url.rstrip("/"), root, progress):
                raise _incomplete(suite, len(files), unfit)
    return Fetched(root / suite, len(files) - len(missing), len(missing))


def _fetch(
    files: Sequence[PublishedFile], client: httpx.Client, base_url: str, root: Path, progress: Progress
) -> list[UnfitFileError]:
    """Fetch files. Returns what is wrong with single ones; raises DataError where going on makes no sense."""
    unfit = []
    with progress.work("files", len(files), "files") as meter:
        for file in files:
            url = f"{base_url}/{file.path}"
            try:
                with _watched(file, progress) as watch:
                    download(client, url, root / file.path, file.blob, watch=watch, notify=progress.notice)
            except UnfitFileError as error:
                if not file.task:  # without the instructions, the address is wrong
                    raise
                unfit.append(error)
            meter.advance(note=file.path)
    return unfit


def _incomplete(suite: str, expected: int, unfit: Sequence[UnfitFileError]) -> DataError:
    listed = "".join(f"\n  {fault}" for fault in unfit[:_NAMED])
    more = f"\n  and {len(unfit) - _NAMED} more" if len(unfit) > _NAMED else ""
    return DataError(
        f"{suite}: expected {many(expected, 'file')}, found {expected - len(unfit)}. These are kept; a run "
        f"that needs one of the others stops:{listed}{more}"
    )


@contextlib.contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Hold the lock of the fetched data. Raises DataError if another process does."""
    root.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(owned(root / ".lock"))
        except HeldError as error:
            fix = error.elsewhere or "Wait for it."
            raise DataError(
                f"{root} is in use by another `sapo-lite data fetch` ({error.who}). {fix}"
            ) from None
        yield


def _missing(files: Sequence[PublishedFile], root: Path, progress: Progress) -> list[PublishedFile]:
    """The files that are not here. Raises DataError, which names those with other content."""
    progress.stage("checking what is here")
    here = [file for file in files if (root / file.path).exists()]
    differ = [str(root / file.path) for file in here if blob_id(root / file.path) != file.blob]
    if differ:
        raise DataError(
            f"Expected the published content, found another ({many(len(differ), 'file')}):\n"
            + "\n".join(f"  {path}" for path in differ)
            + "\nDelete them to fetch them again, or keep them elsewhere and pass that folder as --data."
        )
    return [file for file in files if file not in here]


@contextlib.contextmanager
def _watched(file: PublishedFile, progress: Progress) -> Iterator[Watch]:
    """A progress bar in kilobytes for what a server sends of a file, if that is much."""
    with contextlib.ExitStack() as bars:
        meter: Meter | None = None
        reached = 0

        def watch(come: int, size: int | None) -> None:
            nonlocal meter, reached
            if size is None or size < _LARGE:
                return
            kilobytes = come // _KILOBYTE
            if meter is None or kilobytes < reached:  # a new try begins
                bars.close()
                meter = bars.enter_context(progress.work(_short(file), size // _KILOBYTE, "kB"))
                reached = 0
            meter.advance(kilobytes - reached)
            reached = kilobytes

        yield watch


def _short(file: PublishedFile) -> str:
    """Such as "task195 train"."""
    return f"{abbreviated(file.task)} {Path(file.path).stem}".strip()
