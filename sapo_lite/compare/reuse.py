"""Reuse: pieces of finished work that equivalent runs copy from each other instead of computing them again.

If settings, data, model and file of candidates are equal, four pieces are equal byte by byte, and copied:

- "candidates": they depend neither on the strategy nor on the adapter.
- "zero-shot", the stage before any training: a LoRA whose B is zero adds exactly 0. It depends on the seed
  only through the candidates: inputs are cut to fit the longest one, and held-out ones are tested.
- "losses" (or another indicator) of candidates, measured with the untrained adapter, by a race or in full:
  of the first task's, or of all tasks' where prompt.state is "base".
- "first stage", all of it, with the same strategy, between methods that are equal without earlier tasks, if
  they are tested with the prompts of the same other run, or of none.

All but the first also need equal candidates, which are compared. tests/compare/test_compare_runs.py and
tests/benchmarks/test_studies.py compare such runs with runs that copied nothing.
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
from sapo_lite.run.binding import Binding, Inputs, is_run, read_binding
from sapo_lite.run.faults import faults
from sapo_lite.run.inputs import OTHER_RUN
from sapo_lite.run.stage_folder import Stage
from sapo_lite.support.checked_json import is_whole

Item = TypeVar("Item")


def has_piece(run: Path, piece: str) -> bool:
    """Whether the piece can be copied from a run: its stage is finished."""
    return _finished(run, piece) is not None


def _finished(run: Path, piece: str) -> Path | None:
    """Folder of the stage that holds the piece, if that stage is finished."""
    first = piece in ("losses", "first stage")
    stage = paths.first_stage(run) if first else run / paths.ZERO_SHOT
    return stage if stage is not None and Stage(stage).done else None


def pieces(recipe: Mapping[str, Any]) -> dict[str, str]:
    """Pieces of a run that other runs can copy: name -> all settings that the piece depends on, as JSON.

    Two runs have a piece in common if both the name and these settings are equal.
    """
    settings = flat(recipe)
    name, method = settings.pop("prompt.strategy"), settings.pop("adapter.method")
    settings.pop("name")
    other = settings.pop("evaluation.other_run")  # decides tests of what is learned, so the first stage alone
    always = settings.pop("paraphrase.always")
    count, held_out = settings["paraphrase.count"], settings["paraphrase.held_out"]
    needs, how = needs_of(recipe["prompt"], method, count, held_out), METHODS[method]
    pool = needs.candidates or (always and count + held_out > 0)
    seeded = pool and not _from_files(settings["paraphrase.backend"])
    found: dict[str, Any] = {"zero-shot": {**settings, "seed": seeded and settings["seed"], "pool": pool}}
    if pool:
        found["candidates"] = settings
    if groups := how.groups(settings["sequence.tasks"]):
        found["first stage"] = {**_read_by(method, settings), "as": [name, how.first_like or method, other]}
        strategy = strategy_of(recipe["prompt"])
        if needs.choice and strategy.compares:
            of = groups if settings["prompt.state"] == "base" else groups[0]
            found["losses"] = {**settings, "as": [settings["scoring.race"] and strategy.races, of]}
    return {piece: json.dumps(all_of_it, sort_keys=True) for piece, all_of_it in found.items()}


def _from_files(backend: Sequence[str]) -> bool:
    """Whether all candidates are read from files, so that the seed does not change them."""
    return all(SOURCES[kind_of(name)].reads_a_file for name in backend)


def _read_by(method: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings without those of `[adapter]` that the method does not read in the first stage."""
    alike = METHODS[method].first_like or method
    own = set(METHODS[alike].settings)
    others = {f"adapter.{key}" for other in METHODS.values() for key in other.settings if key not in own}
    return {key: value for key, value in settings.items() if key not in others}


def sources_of(recipes: Mapping[Item, Mapping[str, Any]]) -> dict[Item, dict[str, Item]]:
    """For each run, the earlier run that it can copy each piece from.

    recipes: resolved recipes by run, in the order in which the runs start
    """
    first: dict[tuple[str, str], Item] = {}
    found = {}
    for item, recipe in recipes.items():
        own = pieces(recipe).items()
        found[item] = {piece[0]: first[piece] for piece in own if piece in first}
        if _is_source(recipe):
            first = dict.fromkeys(own, item) | first
    return found


def _is_source(recipe: Mapping[str, Any]) -> bool:
    """Whether pieces are copied from runs of a recipe: not if it trains nothing, because its zero-shot stage
    is then the last one, which may also hold the robustness answers."""
    return trains(recipe["adapter"]["method"])


def copy_pieces(path: Path, sources: Iterable[Path]) -> None:
    """Copy the pieces that the run in folder `path` has in common with other runs into its folder.

    path: folder of a run that is bound to its recipe; its existing files are kept
    sources: folders of other runs; those without a run are skipped

    The seconds that a copied piece took in the other run are written to copied.json.
    """
    common = {source: _in_common(source, path) for source in sources if source != path}
    for source, names in common.items():
        if "candidates" in names and _copy(source / paths.CANDIDATES, path / paths.CANDIDATES):
            note_copied(path, source, "candidates")
    # This run may have made its own candidates before, and not every source repeats its paraphrases.
    ours = _pools(path)
    common = {source: names for source, names in common.items() if _pools(source) == ours}
    for source, names in common.items():
        for piece in ("zero-shot", "first stage"):
            stage = _finished(source, piece) if piece in names else None
            if stage is not None and _copy(stage, path / stage.name):
                note_copied(path, source, piece)
    # Losses come last: if they were there, the whole stage would not be copied over them.
    for source, names in common.items():
        folder = paths.scored(source)
        if "losses" in names and folder is not None:
            copied = [_copy(file, path / file.relative_to(source)) for file in paths.measured(folder)]
            if any(copied):
                note_copied(path, source, "losses")


def _in_common(source: Path, path: Path) -> set[str]:
    if not is_run(source):
        return set()
    theirs, ours = read_binding(source), read_binding(path)
    read, other = zip(*(_inputs(binding) for binding in (theirs, ours)), strict=True)
    if theirs.data != ours.data or read[0] != read[1] or not _is_source(theirs.recipe):
        return set()
    found = {piece for piece, _ in pieces(theirs.recipe).items() & pieces(ours.recipe).items()}
    return found if other[0] == other[1] else found - {"first stage"}


def _inputs(binding: Binding) -> tuple[Inputs, dict[str, str] | None]:
    """The inputs of a run, and those that are the prompts of another run."""
    inputs = dict(binding.inputs)
    return inputs, inputs.pop(OTHER_RUN, None)


def _pools(run: Path) -> dict[str, bytes]:
    """Contents of the files of candidates, by name of file."""
    return {file.name: file.read_bytes() for file in paths.pools(run)}


def _copy(source: Path, target: Path) -> bool:
    """Copy a folder or a file by way of a temporary name. Returns whether it was copied.

    An existing target is kept, and what is damaged is not copied.
    """
    if target.exists() or not source.exists() or not _whole(source):
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


def _whole(source: Path) -> bool:
    """Whether a folder of a run, or a file in one, is as the run wrote it."""
    if source.is_dir():
        return not faults(Stage(source))
    return is_whole(source, Stage(source.parent).place_of(source.stem))
