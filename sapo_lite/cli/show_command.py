"""`sapo-lite show`."""

import sys

from sapo_lite.cli.options import RunPath
from sapo_lite.cli.terminal import wide_console


def show(run: RunPath) -> None:
    """Print the summary of a run, of an unfinished one as far as it is. No model is loaded."""
    from sapo_lite.run.folder import read_usage
    from sapo_lite.run.overview import read_overview

    found, usage = read_overview(run), read_usage(run)
    stdout = wide_console(sys.stdout)
    if found.results is not None:
        from sapo_lite.report.run_summary import summary

        stdout.print(summary(found.results, usage, run))
        return
    from sapo_lite.report.looking_view import unfinished_run
    from sapo_lite.run.read_run import read_stages

    stdout.print(unfinished_run(found, read_stages(run), usage))
