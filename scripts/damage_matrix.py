"""Damages every file of run folders, one at a time, gives the same command again, and counts what happens.

    python scripts/damage_matrix.py [--scenario NAME] [--sample N] [--seed S]

A run of two lab tasks is stopped in the training of the second one ("half"), before its results are written
("tested"), or not at all ("finished"). For each damage a process goes on with a copy of the folder:

    made again   it said which file was not as the run wrote it, and all files are those of an undisturbed run
    unread       nothing was said, and all files are those of an undisturbed run
    refused      an error of one sentence that names the file
    SILENT       other results, or other files
    TRACEBACK    any other exception

Finished folders are also read by `compare`. The last two outcomes make the exit code 1.
"""

import argparse
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from random_backbone import random_backbone
from sapo_lite.compare.read import read_folders
from sapo_lite.errors import SapoLiteError
from sapo_lite.recipe import load_recipe
from sapo_lite.run.pipeline import run as _imports_all  # noqa: F401
from sapo_lite.run.start import run_recipe

# With random weights: what is damaged is the same, and sooner made again.
SETTINGS = (
    f"model.name={random_backbone()}",
    *("model.loader=transformers", "sequence.tasks=['oldest','odd_one_out']", "sequence.train_examples=32"),
    *("sequence.test_examples=6", "scoring.score_examples=16", "paraphrase.count=3", "paraphrase.held_out=1"),
    *("training.epochs=3", "training.batch_size=16", "training.micro_batch_size=16"),
    *("training.checkpoint_every=1", "evaluation.prompts=all", "sequence.watch=['mood']"),
)
SCENARIOS = {
    "rescored": ("adapter.method=ewc", "prompt.rescore=epoch", "training.gradient_norm=true"),
    "base": ("adapter.method=olora", "prompt.state=base", "evaluation.robustness=1"),
    "rewritten": ("rewrite.enabled=true", "rewrite.policy=false"),
}
# Written, but never read back.
UNREAD = {".lock", "log.txt", "history.jsonl", "environment.json", "README.md"}
# What may differ between two equal runs.
VARYING = UNREAD | {"usage.json"}
_STOPPED = "02-odd_one_out/checkpoints/checkpoint-4/SHA256SUMS"

Damage = Callable[[Path, random.Random], bool]


def _half(file: Path, _: random.Random) -> bool:
    os.truncate(file, file.stat().st_size // 2)
    return True


def _empty(file: Path, _: random.Random) -> bool:
    os.truncate(file, 0)
    return True


def _bit(file: Path, rng: random.Random) -> bool:
    content = bytearray(file.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    file.write_bytes(content)
    return True


def _digit(file: Path, rng: random.Random) -> bool:
    if file.suffix != ".json":
        return False
    text = file.read_text(encoding="utf-8")
    places = [found.start() for found in re.finditer("[0-9]", text)]
    if not places:
        return False
    at = rng.choice(places)
    file.write_text(text[:at] + str((int(text[at]) + 1) % 10) + text[at + 1 :], encoding="utf-8")
    return True


def _of_json(change: Callable[[object, random.Random], object]) -> Damage:
    def damage(file: Path, rng: random.Random) -> bool:
        if file.suffix != ".json":
            return False
        file.write_text(
            json.dumps(change(json.loads(file.read_text(encoding="utf-8")), rng)), encoding="utf-8"
        )
        return True

    return damage


def _without_a_key(value: object, rng: random.Random) -> object:
    if isinstance(value, dict) and value:
        key = rng.choice(list(value))
        if isinstance(value[key], dict) and value[key] and rng.random() < 0.5:
            return value | {key: _without_a_key(value[key], rng)}
        return {other: item for other, item in value.items() if other != key}
    return value


def _delete(file: Path, _: random.Random) -> bool:
    file.unlink()
    return True


def _swap(file: Path, rng: random.Random) -> bool:
    """The file of the same name in another folder of the run, such as another stage."""
    run = next(parent for parent in file.parents if (parent / "recipe.json").exists())
    others = [p for p in sorted(run.rglob(file.name)) if p.read_bytes() != file.read_bytes()]
    if not others:
        others = [p for p in sorted(file.parent.glob(f"*{file.suffix}")) if p != file]
    if others:
        shutil.copy(rng.choice(others), file)
    return bool(others)


DAMAGES: dict[str, Damage] = {
    "half": _half,
    "empty": _empty,
    "bit": _bit,
    "digit": _digit,
    "shape": _of_json(lambda value, _: ["another", value] if isinstance(value, dict) else {"another": value}),
    "null": _of_json(lambda *_: None),
    "keyless": _of_json(_without_a_key),
    "delete": _delete,
    "swap": _swap,
}


@dataclass(frozen=True)
class Trial:
    """One damage to one file of a folder in one state.

    reader: "run" goes on with the run, "compare" reads the finished one
    """

    scenario: str
    state: str
    file: str
    damage: str
    reader: str = "run"


class Matrix:
    """Folders of one scenario in all states, and what becomes of damaged copies of them."""

    def __init__(self, scenario: str, scratch: Path) -> None:
        self.scenario, self.scratch = scenario, scratch
        self.recipe = load_recipe("lab", [*SETTINGS, *SCENARIOS[scenario]])
        self.states = {state: scratch / scenario / state for state in ("half", "tested", "finished")}
        self._make_states()

    def _make_states(self) -> None:
        half, tested, finished = self.states.values()
        half.parent.mkdir(parents=True, exist_ok=True)
        _stop_at(half, lambda: self._go_on(half), half / _STOPPED)
        shutil.copytree(half, finished)
        outcome, message = _apart(lambda: self._go_on(finished))
        assert outcome == "ended", message
        shutil.copytree(finished, tested)
        (tested / "results.json").unlink()

    def trials(self) -> Iterator[Trial]:
        """All that can be tried."""
        for state, folder in self.states.items():
            for file in sorted(path for path in folder.rglob("*") if path.is_file()):
                if file.name not in UNREAD:
                    name = file.relative_to(folder).as_posix()
                    for reader in ("run", "compare") if state == "finished" else ("run",):
                        yield from (Trial(self.scenario, state, name, kind, reader) for kind in DAMAGES)

    def outcome(self, trial: Trial) -> tuple[str, str] | None:
        """What happens, and what is said; None where the damage does not exist for the file."""
        copy = self.scratch / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.states[trial.state], copy)
        if not DAMAGES[trial.damage](copy / trial.file, random.Random(repr(trial))):
            return None
        if trial.reader == "compare":
            return self._compared(copy)
        outcome, said = _apart(lambda: self._go_on(copy))
        if outcome != "ended":
            return outcome, said
        alone = {"results.json"} if trial.state == "finished" else None  # nothing else of it is read
        if differing := _differing(self.states["finished"], copy, alone):
            return "SILENT", f"differ: {', '.join(differing)}"
        return ("made again" if "as the run wrote it" in said or "missing" in said else "unread"), said

    def _go_on(self, folder: Path) -> str:
        with warnings.catch_warnings(record=True) as notices:
            warnings.simplefilter("always")
            run_recipe(self.recipe, folder)
        return "; ".join(str(notice.message) for notice in notices)

    def _compared(self, copy: Path) -> tuple[str, str]:
        def read() -> str:
            (here,) = read_folders([copy])
            (there,) = read_folders([self.states["finished"]])
            same = repr(here).replace(str(copy), "") == repr(there).replace(str(self.states["finished"]), "")
            return "" if same else "differs"

        outcome, said = _apart(read)
        return ("SILENT" if said else "unread", said) if outcome == "ended" else (outcome, said)


def _differing(whole: Path, other: Path, alone: set[str] | None) -> list[str]:
    """Names of files that are not equal in two runs; `alone`: those to look at, if not all."""
    found = [{p.relative_to(f).as_posix(): p for p in f.rglob("*") if p.is_file()} for f in (whole, other)]
    names = alone or {name for files in found for name in files if Path(name).name not in VARYING}
    return sorted(
        name
        for name in names
        if any(name not in files for files in found) or len({files[name].read_bytes() for files in found}) > 1
    )


def _apart(work: Callable[[], str]) -> tuple[str, str]:
    """Do something in a forked process. Returns how it ended, and what it said."""
    reading, writing = os.pipe()
    if child := os.fork():
        os.close(writing)
        with os.fdopen(reading, encoding="utf-8") as pipe:
            found = pipe.read()
        _, status = os.waitpid(child, 0)
        if not found:
            return "TRACEBACK", f"the process ended with status {status}"
        outcome, said = json.loads(found)
        return outcome, said
    try:
        found = ["ended", work()]
    except SapoLiteError as error:
        found = ["refused", str(error)]
    except BaseException as error:
        found = ["TRACEBACK", f"{type(error).__name__}: {error}"]
    with os.fdopen(writing, "w", encoding="utf-8") as pipe:
        json.dump(found, pipe)
    os._exit(0)


def _stop_at(folder: Path, work: Callable[[], str], appears: Path) -> None:
    """Do something in a process that is killed once a file is there."""
    child = os.fork()
    if not child:
        work()
        os._exit(0)
    while not appears.exists():
        ended, status = os.waitpid(child, os.WNOHANG)
        assert not ended, f"ended with status {status} before {appears}"
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    (folder / ".lock").unlink(missing_ok=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--scenario", choices=SCENARIOS, action="append", help="repeat for several; default all"
    )
    parser.add_argument("--sample", type=int, help="so many damages of each scenario, drawn at random")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    counts: Counter[tuple[str, str]] = Counter()
    with tempfile.TemporaryDirectory() as scratch:
        for scenario in options.scenario or SCENARIOS:
            matrix = Matrix(scenario, Path(scratch))
            trials = list(matrix.trials())
            if options.sample:
                trials = random.Random(options.seed).sample(trials, min(options.sample, len(trials)))
            for number, trial in enumerate(trials, start=1):
                if (found := matrix.outcome(trial)) is None:
                    continue
                outcome, said = found
                counts[trial.damage, outcome] += 1
                if outcome.isupper():
                    print(f"{number}/{len(trials)} {trial}: {outcome} {said}", flush=True)
    outcomes = ("made again", "unread", "refused", "SILENT", "TRACEBACK")
    print(f"{'':10}" + "".join(f"{outcome:>12}" for outcome in outcomes))
    for damage in DAMAGES:
        print(f"{damage:10}" + "".join(f"{counts[damage, outcome]:12}" for outcome in outcomes))
    return int(any(outcome.isupper() for _, outcome in counts))


if __name__ == "__main__":
    sys.exit(main())
