"""Does prompt choice before training matter, in the lab? Probes of transitions, and whole sequences.

    python -m benchmarks.evidence --jobs 2        the programme of settings.toml, on the reported seeds
    python -m benchmarks.evidence --report        write docs/evidence.md from the results
    python -m benchmarks.evidence --seeds 100-101 --set training.learning_rate=1e-3    tuning

It can be killed at any time; started again, it continues. Every run is one that `sapo-lite run` repeats; the
commands
are in the results. Settings are tuned on the tuning seeds only, where every setting that is tried is counted.
"""

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from benchmarks.evidence.programme import RESULTS, SETTINGS, make_programme, read_settings
from sapo_lite.errors import SapoLiteError
from sapo_lite.recipe.seeds import seed_list

OUT = Path("runs/evidence")


def main(arguments: list[str] | None = None) -> int:
    options = _options().parse_args(arguments)
    console = Console(file=sys.stderr)
    try:
        if options.report:
            from benchmarks.evidence.report import write_report

            written = write_report(options.results or RESULTS, options.docs, options.settings)
            console.print(f"wrote {written}", highlight=False)
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
    settings = read_settings(options.settings)
    programme = make_programme(
        settings,
        options.out or OUT,
        recipe=options.recipe,
        seeds=options.seeds,
        overrides=options.set,
        data=options.data,
        only=options.only,
    )
    tuning = set(programme.grid.seeds) <= set(seed_list(settings["tuning_seeds"]))
    os.environ["OMP_NUM_THREADS"] = "1"  # read when a worker imports torch
    import torch

    from benchmarks.evidence.raw import collect, count_settings
    from benchmarks.evidence.report import brief
    from benchmarks.evidence.work import make_plan, run_all

    torch.set_num_threads(1)  # as in the workers: results record the number of threads
    if tuning:
        count_settings(programme, options.results or RESULTS)
        if options.out is None:
            programme = replace(programme, out=OUT / f"tuning-{programme.grid.digest}")
    results = options.results or (programme.out / "results" if tuning else RESULTS)
    run_all(make_plan(programme), options.jobs, console)
    for path in collect(programme, results):
        console.print(f"wrote {path}", highlight=False)
    print(brief(results))


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.evidence",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--out", type=Path, metavar="FOLDER", help=f"run folders ({OUT}; tuning: tuning-... in it)")
    add("--recipe", metavar="NAME", help="another recipe than that of the settings; on seeds for tuning")
    add("--seeds", metavar="0-9", help="seeds instead of those of the settings")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting; on seeds for tuning")
    add("--only", choices=["probe", "sequences"])
    add("--jobs", type=int, default=1, help="processes, of one thread each (%(default)s)")
    add("--data", type=Path, metavar="FOLDER", help="folder that holds other suites than the lab")
    add("--settings", type=Path, default=SETTINGS, metavar="FILE", help=argparse.SUPPRESS)
    add("--results", type=Path, metavar="FOLDER", help="raw results (benchmarks/evidence/results)")
    add("--report", action="store_true", help="write the document from the raw results; run nothing")
    add("--docs", type=Path, default=Path("docs"), metavar="FOLDER", help="where to (%(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
