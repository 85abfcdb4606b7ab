"""A first contact with a GPU, in one command.

    python -m benchmarks.gpu.first_contact --carried FOLDER --out RESULTS --seconds 800

From the root of a clone, on the machine with the GPU. FOLDER is one of those that `prepare` has made; without
it, the packages must be installed, and no real model is trained. Results are in RESULTS as they come, and in
one archive there. What has an outcome is not done again: the command may be given several times, each with
another FOLDER. README.md in benchmarks/gpu lists what is done. `--tiny` does the same with tiny models, on a
CPU.
"""

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

from benchmarks.gpu.first_contact.carried import install_wheels, keep, real_model, tasks
from benchmarks.gpu.first_contact.plan import Place, plan
from benchmarks.gpu.first_contact.runner import ARCHIVE, Runner
from benchmarks.gpu.first_contact.summary import summary

ROOT = Path(__file__).resolve().parents[3]
RESERVE = 5.0  # seconds for what comes after the last job


def main() -> int:
    options = _options()
    home: Path = options.home.absolute()
    home.mkdir(parents=True, exist_ok=True)
    if options.carried:
        keep(options.carried, home)
    site = install_wheels(home)
    place = Place(
        results=options.out.absolute(),
        models=(options.models or _roomy(home)).absolute(),
        generated=home / "generated",
        real=real_model(home),
        data=tasks(home),
        tiny=options.tiny,
    )
    place.models.mkdir(parents=True, exist_ok=True)
    names = {job.name for job in plan(replace(place, real=home))}
    if unknown := set(options.only or ()) - names:
        raise SystemExit(f"--only {' '.join(sorted(unknown))}: expected some of {', '.join(sorted(names))}")
    if place.real is None:
        print(f"no real model: not all its parts have been brought to {home}")
    jobs = [job for job in plan(place) if not options.only or job.name in options.only]
    runner = Runner(place.results, options.seconds - RESERVE, _environment(home, site))
    complete = runner.run(jobs)
    print(summary(place.results, runner.outcomes))
    if jobs:
        print(f"all of it: {place.results / ARCHIVE}")
    return 0 if complete else 1


def _environment(home: Path, site: Path | None) -> dict[str, str]:
    """Of the jobs: the carried packages first, nothing from the network, caches in one place."""
    paths = [*([str(site)] if site else []), str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "PYTHONUNBUFFERED": "1",
        "HF_HUB_OFFLINE": "1",
        "XDG_CACHE_HOME": str(home / "cache"),
        "TORCHINDUCTOR_CACHE_DIR": str(home / "inductor"),
        "TRITON_CACHE_DIR": str(home / "triton"),
    }


def _roomy(home: Path) -> Path:
    """Folder of the models: in shared memory, where they are read fastest, if it has room for 40 GB."""
    memory = Path("/dev/shm")
    if memory.is_dir():
        found = os.statvfs(memory)
        if found.f_bavail * found.f_frsize > 40e9:
            return memory / "sapo-lite-first-contact"
    return home / "models"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu.first_contact",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--carried", type=Path, metavar="FOLDER", help="made by benchmarks.gpu.first_contact.prepare")
    add("--out", type=Path, required=True, metavar="RESULTS", help="where results are written")
    add("--home", type=Path, default=Path("/tmp/first-contact"), help="what is kept between commands")
    add("--models", type=Path, help="folder for models that are written (shared memory, or in --home)")
    add("--seconds", type=float, default=800.0, help="after which everything is ended (800)")
    add("--only", nargs="+", metavar="JOB", help="these jobs alone")
    add("--tiny", action="store_true", help="tiny models, on a CPU")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
