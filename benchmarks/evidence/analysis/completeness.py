"""Which raw results the settings of a study ask for, and which of them are there."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sapo_lite.recipe.seeds import seed_list


def missing_files(folder: Path, settings: Mapping[str, Any]) -> dict[str, list[str]]:
    """Names of raw results that are not there yet, by part ("runs", "probes", "crossed")."""
    return {
        part: [name for name in names if not (folder / part / f"{name}.json").exists()]
        for part, names in expected_files(settings).items()
    }


def expected_files(settings: Mapping[str, Any]) -> dict[str, list[str]]:
    """Names of all raw results of a study, by part."""
    crossed = settings.get("crossed", {})
    return {
        "runs": list(_runs(settings)),
        "probes": list(_probes(settings)),
        "crossed": [
            f"{seed}-{kind}"
            for kind in ("sequence", "pair")
            for seed in (seed_list(crossed[f"{kind}s"]) if f"{kind}s" in crossed else ())
        ],
    }


def _runs(settings: Mapping[str, Any]) -> Iterator[str]:
    for variant in settings["variant"]:
        if "recipe" in variant:  # it is only probed
            continue
        for adapter in variant.get("adapters", settings["adapters"]):
            for seed in seed_list(settings["seeds"]):
                yield f"{variant['name']}-{adapter}-{seed}"


def _probes(settings: Mapping[str, Any]) -> Iterator[str]:
    strategies = {variant["name"]: variant["strategy"] for variant in settings["variant"]}
    for probe in settings.get("probe", ()):
        for seed in seed_list(probe["seeds"]):
            for learned in probe["after"]:
                parts = [str(seed), "after", str(learned), probe.get("tag", ""), strategies[probe["variant"]]]
                yield "-".join(filter(None, parts))
