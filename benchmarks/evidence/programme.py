"""The programme of a study: its items in order, and the settings of each.

A study is a settings file beside this module: `lab.toml`, `smollm2.toml`.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.evidence.draws import Draw, draw_lab, draw_order, without_candidates
from benchmarks.evidence.items import (
    ADAPTER,
    BASELINE,
    CELLS,
    KINDS,
    METHOD,
    Crossed,
    Item,
    Probe,
    Run,
    Side,
)
from sapo_lite.errors import RecipeError
from sapo_lite.recipe import Recipe, load_recipe
from sapo_lite.recipe.seeds import seed_list
from sapo_lite.support.files import read_json, write_json
from sapo_lite.support.shipped import shipped

HERE = Path(__file__).resolve().parent
STUDIES = ("lab", "smollm2")
RESULTS = HERE / "results"


@dataclass(frozen=True)
class Variant:
    """A named set of settings (`[[variant]]`).

    adapters: those that it runs on; None for all of the study
    recipe: another recipe than that of the study. Then it is only probed: its runs go as far as a probe needs
    """

    name: str
    strategy: str
    set: tuple[str, ...] = ()
    adapters: tuple[str, ...] | None = None
    recipe: str | None = None


@dataclass(frozen=True)
class Setup:
    """All that makes a run: recipe, settings on top of it, data, and its folder."""

    folder: Path
    spec: str
    overrides: tuple[str, ...]
    data: Path | None

    @cached_property
    def recipe(self) -> Recipe:
        return load_recipe(self.spec, self.overrides)


@dataclass(frozen=True)
class Study:
    """A study, and where it works.

    out: run folders and drawn data
    results: raw results
    data: folder with the suites of published data
    """

    name: str
    settings: Mapping[str, Any]
    out: Path
    results: Path
    data: Path | None = None

    @cached_property
    def variants(self) -> dict[str, Variant]:
        return {
            table["name"]: Variant(
                name=table["name"],
                strategy=table["strategy"],
                set=tuple(table.get("set", ())),
                adapters=tuple(table["adapters"]) if "adapters" in table else None,
                recipe=table.get("recipe"),
            )
            for table in self.settings["variant"]
        }

    @property
    def seeds(self) -> tuple[int, ...]:
        return seed_list(self.settings["seeds"])

    @property
    def tuning_seeds(self) -> tuple[int, ...]:
        return seed_list(self.settings["tuning_seeds"])

    def items(self, seeds: Sequence[int] | None = None, only: str | None = None) -> list[Item]:
        """All items, seed by seed, so that an early end leaves whole comparisons; pairs come last.

        seeds: only those of these seeds
        only: "runs", "probes" or "crossed"
        """
        found = [*self._by_seed(), *self._pairs()]
        kinds = Item if only is None else KINDS[only]
        return [item for item in found if isinstance(item, kinds) and (seeds is None or item.seed in seeds)]

    def _by_seed(self) -> Iterator[Item]:
        probes = list(self._probes())
        crossed = seed_list(self.settings["crossed"]["sequences"]) if "crossed" in self.settings else ()
        for seed in dict.fromkeys((*self.seeds, *(probe.seed for probe in probes))):
            if seed in self.seeds:
                yield from self._runs(seed)
            if seed in crossed:
                yield Crossed(seed, "sequence")
            yield from (probe for probe in probes if probe.seed == seed)

    def _runs(self, seed: int) -> Iterator[Run]:
        for adapter in self.settings["adapters"]:
            for variant in self.variants.values():
                on = variant.adapters or self.settings["adapters"]
                if variant.recipe is None and adapter in on:
                    yield Run(variant.name, adapter, seed)

    def _probes(self) -> Iterator[Probe]:
        for table in self.settings.get("probe", ()):
            variant = self.variants[table["variant"]]
            for seed in seed_list(table["seeds"]):
                for learned in table["after"]:
                    tag, orders = table.get("tag", ""), table["orders"]
                    yield Probe(seed, learned, variant.name, variant.strategy, orders, tag)

    def _pairs(self) -> Iterator[Crossed]:
        if "crossed" in self.settings:
            yield from (Crossed(seed, "pair") for seed in seed_list(self.settings["crossed"]["pairs"]))

    def needs(self, item: Item) -> list[Run]:
        """Runs that must be finished before an item starts: it reads their folders."""
        if isinstance(item, Crossed):
            if item.kind == "pair":
                return []
            return [Run(variant, ADAPTER, item.seed) for variant in (METHOD, BASELINE)]
        if isinstance(item, Probe):
            return [item.run] if self.variants[item.variant].recipe is None else []
        return [other] if (other := self._other(item)) else []

    @property
    def _tests_with_other(self) -> bool:
        """Whether runs are also tested with the prompts that the method chose (evaluation.other_run)."""
        return bool(self.settings["other_run"])

    def _other(self, run: Run) -> Run | None:
        """The run whose prompts are a kind of test of this one, if there are any."""
        adapters = self.variants[METHOD].adapters or self.settings["adapters"]
        if not self._tests_with_other or run.variant == METHOD or run.adapter not in adapters:
            return None
        return None if self.variants[run.variant].recipe else Run(METHOD, run.adapter, run.seed)

    def folder(self, item: Item) -> Path:
        kind = next(name for name, cls in KINDS.items() if isinstance(item, cls))
        return self.out / kind / item.name

    def draw(self, item: Item) -> Draw:
        """What the item's seed draws; data of the lab are written where they are missing."""
        pair = isinstance(item, Crossed) and item.kind == "pair"
        if "lab" in self.settings:
            seed = f"pair/{item.seed}" if pair else str(item.seed)
            count = 2 if pair else None
            return draw_lab(self.settings["lab"], seed, self._lab_folder(item.seed, pair), count)
        spec = self._spec(item)
        tasks = load_recipe(spec).sequence.tasks
        candidates = self._candidates() if spec == self.settings["recipe"] else None
        return draw_order(tasks, item.seed, self.data, candidates)

    def _lab_folder(self, seed: int, pair: bool) -> Path:
        return self.out / "data" / (f"pair-{seed}" if pair else str(seed))

    def _spec(self, item: Item) -> str:
        variant = self.variants.get(item.variant) if isinstance(item, Run | Probe) else None
        return (variant and variant.recipe) or self.settings["recipe"]

    def _candidates(self) -> Path | None:
        """The shipped candidates with the study's held-out wordings behind them, one file of both."""
        files = self.settings.get("candidates")
        if files is None:
            return None
        path = self.out / "candidates.json"
        shown, unseen = read_json(shipped("data") / files["file"]), read_json(HERE / files["unseen"])
        texts = {task: [*own, *unseen[task]] for task, own in shown.items()}
        if not path.exists() or read_json(path) != texts:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, texts)
        return path

    def setup(self, run: Run, extra: Sequence[str] = ()) -> Setup:
        """The run of a variant; `extra` are settings to try on tuning seeds, after those of the variant."""
        other = [self.folder(need) for need in self.needs(run)]
        return self._setup(self.folder(run), run, self.draw(run), self.variants[run.variant], other, extra)

    def _setup(
        self,
        folder: Path,
        item: Item,
        draw: Draw,
        variant: Variant,
        other: Sequence[Path] = (),
        extra: Sequence[str] = (),
    ) -> Setup:
        overrides = [
            *self.settings["settings"],
            f"seed={item.seed}",
            f"sequence.draw={item.seed}",
            *draw.settings(),
            f"prompt.strategy={variant.strategy}",
            f"adapter.method={item.adapter if isinstance(item, Run) else ADAPTER}",
            *variant.set,
            *(f"evaluation.other_run={path}" for path in other),
            *extra,
        ]
        return Setup(folder, self._spec(item), tuple(overrides), draw.data)

    def cells(self, item: Crossed) -> dict[tuple[Side, Side], Setup]:
        """The runs of a crossed design, by the wordings of the old tasks and of the last one.

        A task on the side "sapo" is learned with the candidate that SAPO chooses in the state of this very
        cell. One on the side "original" has no other candidate to choose. So (sapo, sapo) is the run of
        `sapo`, (original, original) that of `fixed`, and of a sequence both are those of the study.
        """
        draw, folder = self.draw(item), self.folder(item)
        found: dict[tuple[Side, Side], Setup] = {}
        for old, new in CELLS:
            if old == new and item.kind == "sequence":
                found[old, new] = self.setup(Run(METHOD if old == "sapo" else BASELINE, ADAPTER, item.seed))
                continue
            variant = self.variants[BASELINE if old == new == "original" else METHOD]
            other = [found["sapo", "sapo"].folder] if found and self._tests_with_other else []
            mixed = []
            if old != new:
                path = folder / f"candidates-{old}-{new}.json"
                originals = draw.tasks[:-1] if old == "original" else draw.tasks[-1:]
                without_candidates(draw, originals, path, self.settings["lab"]["held_out"])
                mixed = [f"paraphrase.path={path}"]
            found[old, new] = self._setup(folder / f"{old}-{new}", item, draw, variant, other, mixed)
        return found


def settings_file(study: str) -> Path:
    return HERE / f"{study}.toml"


def read_settings(path: Path) -> dict[str, Any]:
    """The settings of a study. Raises RecipeError if its variants lack what the programme builds on."""
    settings = tomllib.loads(path.read_text(encoding="utf-8"))
    names = [variant["name"] for variant in settings["variant"]]
    needed = [METHOD, BASELINE, *(probe["variant"] for probe in settings.get("probe", ()))]
    if missing := [name for name in needed if name not in names]:
        raise RecipeError(
            f"{path}: expected the variants {', '.join(dict.fromkeys(needed))}, found no {', '.join(missing)}"
        )
    if names[0] != METHOD:
        raise RecipeError(
            f"{path}: expected {METHOD} as the first variant, since others are tested with what it chose, "
            f"found {names[0]}"
        )
    return settings
