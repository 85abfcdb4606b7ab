"""Raw results: one JSON file for each finished item, small enough for the repository.

    runs/VARIANT-ADAPTER-SEED.json     results.json of a run
    probes/SEED-after-K[-TAG]-STATE.json   probe.json of a probe
    crossed/SEED-KIND.json             results.json of four runs
    settings.toml                      the settings of all of these
    about.json                         machines and versions, all settings, and seconds of every item
    tried.json                         what was tried on tuning seeds

No text of a data row may enter these files: of the texts in the results of a run, only instructions stay.
Numbers have seven digits. Scores are in percent, losses in nats per answer token, seconds of CPU time.
"""

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.evidence.items import ADAPTER, BASELINE, Item, Run
from benchmarks.evidence.programme import Study
from benchmarks.speed.scoring.clock import machine
from sapo_lite.errors import RecipeError
from sapo_lite.evaluation.metrics import TASK_METRIC
from sapo_lite.recipe import flat
from sapo_lite.support.files import read_json, write_json

METRICS = (TASK_METRIC, "rougeL", "exact_match")
SETTINGS, ABOUT = "settings.toml", "about.json"

# Parts of results.json that may quote data rows: emptied, not left out, so that the rest is read as ever.
_QUOTING: dict[str, Any] = {"findings": [], "notices": [], "rewriting": {}}
# Settings that may change while results are there: items are added, the rest changes no result.
_FREE = ("seeds", "notes", "rates", "crossed", "tuning")

# Settings of one run alone, by seed, variant and adapter.
_DRAWN = (
    *("name", "seed", "sequence.tasks", "sequence.draw", "paraphrase.path"),
    *("prompt.strategy", "adapter.method", "evaluation.other_run"),
)


def without_rows(results: Mapping[str, Any]) -> dict[str, Any]:
    """Contents of a results.json without what may quote data rows or name folders of a machine.

    Of the metrics, those of METRICS stay; of the size of an update, the sum over layers.
    """
    tables = {
        key: {kind: {m: by_metric[m] for m in METRICS if m in by_metric} for kind, by_metric in table.items()}
        for key in ("matrices", "metrics", "retention")
        if (table := results.get(key)) is not None
    }
    updates = {lesson: {**size, "layers": {}} for lesson, size in results.get("updates", {}).items()}
    return {**results, **_QUOTING, **tables, "updates": updates}


def write_piece(study: Study, item: Item, content: Mapping[str, Any]) -> None:
    """Write the raw results of an item, whole or not at all."""
    path = study.results / item.file
    path.parent.mkdir(parents=True, exist_ok=True)
    write_compact(path, content)


def write_compact(path: Path, content: Any) -> None:
    """Write JSON with rounded numbers, and lists of numbers on one line: people read these files, too."""
    text = json.dumps(_rounded(content), indent=1, ensure_ascii=False)
    # Texts hold no bare line breaks.
    text = re.sub(r"\[\n([-+\d.,\seE]+?)\n\s*\]", lambda found: f"[{' '.join(found[1].split())}]", text)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text + "\n", encoding="utf-8")
    partial.replace(path)


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return float(f"{value:.7g}") if isinstance(value, float) else value


def freeze(study: Study, text: str) -> None:
    """Keep the settings beside the results; later calls must have the same.

    text: of the settings file

    Raises:
        RecipeError: there are results of other settings.
    """
    path = study.results / SETTINGS
    if path.exists():
        before = tomllib.loads(path.read_text(encoding="utf-8"))
        if changed := _changed(before, study.settings):
            raise RecipeError(
                f"{study.results} holds results of other settings:\n  " + "\n  ".join(changed) + "\n"
                "Restore the settings, or move these results away to make all of them again."
            )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """A line for each setting that has changed. Variants and probes may be added, not changed."""
    old, new = _by_key(before), _by_key(now)
    return [
        f"{key}: {value!r} in the results, {new.get(key)!r} now"
        for key, value in old.items()
        if new.get(key) != value
    ]


def _by_key(settings: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: value for key, value in settings.items() if key not in (*_FREE, "variant", "probe")}
    found |= {f"variant {variant['name']}": variant for variant in settings["variant"]}
    for probe in settings.get("probe", ()):
        found["row orders of the probe " + probe.get("tag", "") + probe["variant"]] = probe["orders"]
    return found


def note(study: Study, item: Item, seconds: float) -> None:
    """Enter an item that has just finished, and this machine, in about.json."""
    path = study.results / ABOUT
    about = read_json(path) if path.exists() else {"environments": [], "seconds": {}}
    about["settings"] = shared_settings(study)
    if (here := _environment()) not in about["environments"]:
        about["environments"].append(here)
    about["seconds"][item.file] = round(seconds, 1)
    write_json(path, about)


def shared_settings(study: Study) -> dict[str, Any]:
    """All settings of the baseline with the recipe's and the defaults, without those that seeds draw."""
    recipe = study.setup(Run(BASELINE, ADAPTER, study.seeds[0])).recipe
    return {key: value for key, value in flat(recipe.resolved()).items() if key not in _DRAWN}


def _environment() -> dict[str, str]:
    """Processor and versions, without names of hosts or folders."""
    from sapo_lite import __version__

    return {**machine(), "sapo-lite": __version__}
