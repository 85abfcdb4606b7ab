"""What a seed draws: its tasks, their data, and the instructions to choose from.

    draw = draw_lab(settings, 3, Path("runs/evidence/lab/data/3"))

In the lab a seed draws tasks, original instructions and candidates anew. The original is drawn as the
candidates are, so that it is one of them. Whole core phrases are held out for the unseen wordings.
"""

import json
import random
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sapo_lite.errors import DataError
from sapo_lite.lab.grammar import hint, plainest
from sapo_lite.lab.heldout import TASKS
from sapo_lite.lab.wordings import PHRASINGS, SUFFIX, worded
from sapo_lite.prompts.gate import normalise
from sapo_lite.support.files import write_json
from sapo_lite.support.shipped import shipped

FAMILY_ROWS = 20  # test rows of each watched family
_TRIES = 10_000


@dataclass(frozen=True)
class Draw:
    """What all runs of a seed share.

    data: folder to search for the suite first
    candidates: file of candidates; None if the recipe names one or makes them
    cores: by task, number of the core phrase of every wording; empty outside of the lab
    """

    tasks: tuple[str, ...]
    data: Path | None
    candidates: Path | None
    watched: tuple[str, ...]
    cores: Mapping[str, Mapping[str, int]]

    def settings(self) -> list[str]:
        """Settings `section.key=value` of the draw."""
        found = [f"sequence.tasks={json.dumps(self.tasks)}"]
        if self.watched:
            found.append(f"sequence.watch={json.dumps(self.watched)}")
        if self.candidates is not None:
            found += ["paraphrase.backend=file", f"paraphrase.path={self.candidates}"]
        return found


@dataclass(frozen=True)
class Wordings:
    """Instructions of a lab task, and the numbers of their core phrases. The first is the original."""

    seen: Mapping[str, int]
    unseen: Mapping[str, int]

    @property
    def original(self) -> str:
        return next(iter(self.seen))

    @property
    def candidates(self) -> list[str]:
        """Without the original."""
        return list(self.seen)[1:]


def draw_wordings(task: str, seed: str, *, candidates: int, held_out: int, unseen_cores: int) -> Wordings:
    """Draw an original, `candidates` more wordings like it, and `held_out` ones of other core phrases.

    Core phrases and registers are uniform, as in `every_wording`. A core phrase that contains another one is
    not held out, nor is the other: they have wordings in common.

    Raises:
        DataError: the core phrases have fewer wordings.
    """
    rng = random.Random(f"evidence/{seed}/{task}")
    cores = list(range(len(PHRASINGS[task].cores)))
    rng.shuffle(cores)
    unseen = [core for core in cores if _stands_alone(task, core)][:unseen_cores]
    seen = [core for core in cores if core not in unseen]
    return Wordings(
        seen=_different(task, seen, 1 + candidates, rng), unseen=_different(task, unseen, held_out, rng)
    )


def _stands_alone(task: str, core: int) -> bool:
    """Whether a core phrase contains none of the task's others, and none of them contains it."""
    own, *others = (plainest(phrase) for phrase in _first(PHRASINGS[task].cores, core))
    return not any(own in other or other in own for other in others)


def _first(phrases: Sequence[str], place: int) -> list[str]:
    """The phrases, that at `place` first."""
    return [phrases[place], *phrases[:place], *phrases[place + 1 :]]


def _different(task: str, cores: Sequence[int], count: int, rng: random.Random) -> dict[str, int]:
    """`count` wordings that also differ without punctuation, since the gate of a run refuses those alike."""
    found: dict[str, int] = {}
    alike: set[str] = set()
    for _ in range(_TRIES):
        if len(found) == count:
            return found
        core = rng.choice(cores)
        text = worded(task, core, rng)
        if normalise(text) not in alike:
            alike.add(normalise(text))
            found[text] = core
    raise DataError(
        f"lab task {task!r}: expected {count} wordings of its core phrases {sorted(cores)}, found "
        f"{len(found)}; ask for fewer candidates"
    )


def draw_lab(settings: Mapping[str, Any], seed: str, folder: Path, count: int | None = None) -> Draw:
    """Draw tasks of the lab and write their data.

    settings: section [lab] of the study
    seed: of the draw, a text: those of runs and of pairs are different draws
    folder: gets the suite, in a folder `lab`, and the candidates; what it holds already is not written again
    count: number of tasks instead of that of the settings
    """
    tasks = random.Random(f"evidence/{seed}/tasks").sample(list(TASKS), count or settings["tasks"])
    sizes = {key: settings[key] for key in ("candidates", "held_out", "unseen_cores")}
    wordings = {task: draw_wordings(task, seed, **sizes) for task in tasks}
    if not folder.is_dir():
        _write_lab(folder, wordings, settings["watched"])
    return Draw(
        tasks=tuple(tasks),
        data=folder,
        candidates=folder / "candidates.json",
        watched=tuple(settings["watched"]),
        cores={task: {**found.seen, **found.unseen} for task, found in wordings.items()},
    )


def _write_lab(folder: Path, wordings: Mapping[str, Wordings], watched: Sequence[str]) -> None:
    """Write all files under a temporary name: the folder is complete once it exists."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    suite = partial / "lab"
    suite.mkdir(parents=True)
    index = {}
    for task, found in wordings.items():
        shutil.copytree(shipped("data") / "lab" / task, suite / task)
        index[task] = _entry(found.original, TASKS[task].labels)
    for name in watched:
        index[name] = _write_family(suite / name)
    write_json(suite / "instructions.json", index)
    texts = {task: [*found.candidates, *found.unseen] for task, found in wordings.items()}
    write_json(partial / "candidates.json", texts)
    partial.rename(folder)


def _entry(instruction: str, labels: Iterable[str]) -> dict[str, Any]:
    return {"instruction": instruction, "suffix": SUFFIX, "labels": list(labels)}


def _write_family(folder: Path) -> dict[str, Any]:
    """Write test rows of a family that the backbone was pretrained on. Returns its entry in the index."""
    from pretraining.families import FAMILIES

    family = FAMILIES[folder.name]
    rng = random.Random(f"evidence/{folder.name}")
    samples = [family.draw(rng) for _ in range(FAMILY_ROWS)]
    if any(sample.slots for sample in samples):
        raise DataError(
            f"lab.watched: expected families with one instruction, found {folder.name}, whose instruction "
            "changes with the input"
        )
    folder.mkdir()
    write_json(folder / "test.json", [{"sentence": s.input, "label": s.answer} for s in samples])
    labels = family.phrasing.labels
    wording = f"{plainest(family.phrasing.cores[0])} ."
    return _entry(f"{wording} {hint(labels)}" if labels else wording, labels)


def without_candidates(draw: Draw, tasks: Sequence[str], path: Path, held_out: int) -> Path:
    """Write the draw's candidates without those of some tasks, which keep only their held-out wordings.

    A run that chooses among these learns the tasks with their original instructions.
    """
    assert draw.candidates is not None
    texts = json.loads(draw.candidates.read_text(encoding="utf-8"))
    kept = {task: own[-held_out:] if task in tasks else own for task, own in texts.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, kept)
    return path


def draw_order(tasks: Sequence[str], seed: int, data: Path | None, candidates: Path | None) -> Draw:
    """A seed's order of tasks that all seeds share."""
    order = list(tasks)
    random.Random(f"evidence/{seed}").shuffle(order)
    return Draw(tuple(order), data, candidates, (), {})
