"""Does prompt choice before training matter? Two studies: in the lab, and with SmolLM2 on published data.

    python -m benchmarks.evidence lab --jobs 2
    python -m benchmarks.evidence smollm2 --data FOLDER --jobs 2 --limit-minutes 120
    python -m benchmarks.evidence lab --tune      settings to try, on tuning seeds
    python -m benchmarks.evidence --report        write the documents from the raw results

A study can be stopped at any time; the same command goes on. benchmarks/evidence/README.md has the rest.
"""

import argparse
import os
import sys
import time
from pathlib import Path

from rich.console import Console

from benchmarks.evidence.items import KINDS
from benchmarks.evidence.programme import RESULTS, STUDIES, Study, read_settings, settings_file
from sapo_lite.errors import RecipeError, SapoLiteError
from sapo_lite.recipe.seeds import seed_list
from sapo_lite.support.messages import many

OUT = Path("runs/evidence")


def main(arguments: list[str] | None = None) -> int:
    options = _options().parse_args(arguments)
    console = Console(file=sys.stderr)
    try:
        if options.report:
            from benchmarks.evidence.report import write_documents

            for written in write_documents(options.results or RESULTS, options.docs):
                console.print(f"wrote {written}", highlight=False)
        elif options.study is None:
            raise RecipeError(f"expected a study, {' or '.join(STUDIES)}, or --report; found neither")
        else:
            _run(options, console)
    except SapoLiteError as error:
        console.print(f"error: {error}", markup=False, highlight=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("\ninterrupted: the same command goes on where it stopped", highlight=False)
        return 130
    return 0


def _run(options: argparse.Namespace, console: Console) -> None:
    path = options.settings or settings_file(options.study)
    out, results = options.out or OUT / options.study, options.results or RESULTS / options.study
    study = Study(options.study, read_settings(path), out, results, options.data)
    os.environ["OMP_NUM_THREADS"] = "1"  # read when a worker imports torch
    from benchmarks.evidence.raw import freeze
    from benchmarks.evidence.tuning import tune
    from benchmarks.evidence.work import make_plan, run_all

    if options.tune:
        tune(study, options.jobs, console)
        return
    limit = time.time() + 60 * options.limit_minutes if options.limit_minutes else float("inf")
    seeds = seed_list(options.seeds) if options.seeds else None
    items = study.items(seeds, options.only)
    if not items:
        raise RecipeError(
            f"--seeds {options.seeds}: the study has no {options.only or 'items'} of these seeds"
        )
    freeze(study, path.read_text(encoding="utf-8"))
    if late := run_all(make_plan(study, items, limit), options.jobs, console):
        console.print(
            f"{many(late, 'item')} left after {options.limit_minutes:g} minutes: the same command goes on"
        )


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.evidence",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("study", nargs="?", choices=STUDIES)
    add("--jobs", type=int, default=1, help="processes, of one thread each (%(default)s)")
    add("--only", choices=list(KINDS), help="a part of the study")
    add("--seeds", metavar="0-9", help="some of the study's seeds")
    add("--limit-minutes", type=float, metavar="M", help="start nothing new after so many minutes")
    add("--data", type=Path, metavar="FOLDER", help="folder that holds the published suites")
    add("--out", type=Path, metavar="FOLDER", help=f"run folders ({OUT}/STUDY)")
    add("--tune", action="store_true", help="execute what the settings name to be tried, on tuning seeds")
    add("--report", action="store_true", help="write the documents from the raw results; run nothing")
    add("--results", type=Path, metavar="FOLDER", help="raw results (benchmarks/evidence/results/STUDY)")
    add("--docs", type=Path, default=Path("docs"), metavar="FOLDER", help="of the documents (%(default)s)")
    add("--settings", type=Path, metavar="FILE", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
