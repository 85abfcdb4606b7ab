"""What equal runs copy from each other instead of doing it again.

Four things come out the same, byte by byte, and are copied where settings, data, model and file of
candidates are the same:

- the candidates: neither strategy nor adapter has a part in them.
- the zero-shot stage: nothing is trained (a LoRA whose B is zero adds exactly 0). The seed has a part in it
  by the candidates only: inputs are cut to fit the longest, and some are tested with.
- the losses of the first task's candidates, which are measured in that same state: by a race, or in full.
- the whole first stage, with one strategy, between methods that are the same as long as there is no past.

All but the first need equal candidates, which are compared. tests/compare/test_compare_runs.py and
tests/benchmarks/test_evidence.py compare such runs with ones that copied nothing.
"""

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from sapo_lite.compare.times import note_copied
from sapo_lite.learning.methods import METHODS, trains
from sapo_lite.prompts.sources import SOURCES, kind_of
from sapo_lite.prompts.strategies import strategy_of
from sapo_lite.recipe import flat
from sapo_lite.recipe.needs import needs_of
from sapo_lite.run import paths
from sapo_lite.run.binding import is_run, read_binding
from sapo_lite.run.stage_folder import Stage

Item = TypeVar("Item")


def has_piece(run: Path, piece: str) -> bool:
    """Whether others can copy the piece from a run: the stage that has it is finished."""
    return _finished(run, piece) is not None


def _finished(run: Path, piece: str) -> Path | None:
    """The stage that has the piece, if it is finished."""
    first = piece in ("losses", "first stage")
    stage = paths.first_stage(run) if first else run / paths.ZERO_SHOT
    return stage if stage is not None and Stage(stage).done else None


def pieces(recipe: Mapping[str, Any]) -> dict[str, str]:
    """What runs of a resolved recipe have that others may have, too: by name, with all it depends on."""
    settings = flat(recipe)
    name, method = settings.pop("prompt.strategy"), settings.pop("adapter.method")
    settings.pop("name")
    count, held_out = settings["paraphrase.count"], settings["paraphrase.held_out"]
    needs, how = needs_of(recipe["prompt"], method, count, held_out), METHODS[method]
    seeded = needs.candidates and not _from_files(settings["paraphrase.backend"])
    pool = needs.candidates
    found: dict[str, Any] = {"zero-shot": {**settings, "seed": seeded and settings["seed"], "pool": pool}}
    if pool:
        found["candidates"] = settings
    if groups := how.groups(settings["sequence.tasks"]):
        found["first stage"] = {**_read_by(method, settings), "as": [name, how.first_like or method]}
        if needs.losses:
            raced = settings["scoring.race"] and strategy_of(recipe["prompt"]).races
            found["losses"] = {**settings, "as": [raced, groups[0]]}
    return {piece: json.dumps(all_of_it, sort_keys=True) for piece, all_of_it in found.items()}


def _from_files(backend: Sequence[str]) -> bool:
    """Whether all candidates are what files say, whatever the seed."""
    return all(SOURCES[kind_of(name)].reads_a_file for name in backend)


def _read_by(method: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings less those of the section `adapter` that a method does not read while it has no past."""
    alike = METHODS[method].first_like or method
    own = set(METHODS[alike].settings)
    others = {f"adapter.{key}" for other in METHODS.values() for key in other.settings if key not in own}
    return {key: value for key, value in settings.items() if key not in others}


def sources_of(recipes: Mapping[Item, Mapping[str, Any]]) -> dict[Item, dict[str, Item]]:
    """By run, in the order in which runs begin, and by piece: the run that the piece is copied from."""
    first: dict[tuple[str, str], Item] = {}
    found = {}
    for item, recipe in recipes.items():
        own = pieces(recipe).items()
        found[item] = {piece[0]: first[piece] for piece in own if piece in first}
        if _is_source(recipe):
            first = dict.fromkeys(own, item) | first
    return found


def _is_source(recipe: Mapping[str, Any]) -> bool:
    """Not if nothing is trained: the first stage is then the last, which may hold more."""
    return trains(recipe["adapter"]["method"])


def copy_pieces(path: Path, sources: Iterable[Path]) -> None:
    """Copy into the run folder `path`, bound to its recipe, what other folders have that it would have.

    What is there already stays. Nothing is copied from runs that were not begun. What the copied pieces took
    in the other runs is written down.
    """
    common = {source: _in_common(source, path) for source in sources if source != path}
    for source, names in common.items():
        if "candidates" in names and _copy(source / paths.CANDIDATES, path / paths.CANDIDATES):
            note_copied(path, source, "candidates")
    # An earlier call may have made its own, and not every source makes the same ones again.
    ours = _pools(path)
    common = {source: names for source, names in common.items() if _pools(source) == ours}
    for source, names in common.items():
        for piece in ("zero-shot", "first stage"):
            stage = _finished(source, piece) if piece in names else None
            if stage is not None and _copy(stage, path / stage.name):
                note_copied(path, source, piece)
    # Last: a whole stage would not be copied over its losses.
    for source, names in common.items():
        stage = paths.first_stage(source)
        if "losses" in names and stage is not None:
            copied = [_copy(losses, path / losses.relative_to(source)) for losses in paths.losses(stage)]
            if any(copied):
                note_copied(path, source, "losses")


def _in_common(source: Path, path: Path) -> set[str]:
    if not is_run(source):
        return set()
    theirs, ours = read_binding(source), read_binding(path)
    read_alike = (theirs.data, theirs.inputs) == (ours.data, ours.inputs)
    if not read_alike or not _is_source(theirs.recipe):
        return set()
    return {piece for piece, _ in pieces(theirs.recipe).items() & pieces(ours.recipe).items()}


def _pools(run: Path) -> dict[str, bytes]:
    """The files of candidates, by name."""
    return {file.name: file.read_bytes() for file in paths.pools(run)}


def _copy(source: Path, target: Path) -> bool:
    """Copy a folder or a file, never half, and say whether it was. One that is there already stays."""
    if target.exists() or not source.exists():
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    if source.is_dir():
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(source, partial, ignore=shutil.ignore_patterns(paths.USAGE))  # of the other run
    else:
        shutil.copy2(source, partial)
    partial.rename(target)
    return True
