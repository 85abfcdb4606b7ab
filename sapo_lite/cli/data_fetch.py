"""`sapo-lite data fetch`."""

from typing import Annotated

import typer

from sapo_lite.cli.options import Plain
from sapo_lite.cli.terminal import show, working
from sapo_lite.errors import DataError
from sapo_lite.support.messages import many, one_of, quoted

_Suite = Annotated[str, typer.Argument(metavar="superni|trace", help="The published suite.")]
_Tasks = Annotated[
    list[str] | None,
    typer.Option("--task", metavar="TASK", help="Fetch this task only; repeatable.", show_default="all"),
]
_BaseUrl = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Address of a mirror: of the folder that holds SUPERNI/ and TRACE/.",
        show_default="the published repository at a fixed commit",
    ),
]


def fetch(suite: _Suite, task: _Tasks = None, base_url: _BaseUrl = None, plain: Plain = False) -> None:
    """Fetch a published suite into the cache folder, every file checked; then --data is not needed."""
    from sapo_lite.data.fetch import fetch_suite
    from sapo_lite.data.published import BASE_URL, SUITES

    name = suite.upper()
    if name not in SUITES:
        choices = one_of(known.lower() for known in SUITES)
        raise DataError(f"data fetch: expected {choices}, found {quoted(suite)}.")
    with working("data fetch", plain, then="the same command goes on where it stopped") as progress:
        done = fetch_suite(name, progress, tasks=task or (), base_url=base_url or BASE_URL)
    files = many(done.kept + done.fetched, "file")
    show(
        f"{done.folder}: {files} as published, {done.fetched} of them new. Recipes find them without --data."
    )
