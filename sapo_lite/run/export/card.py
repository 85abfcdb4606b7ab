"""The model card of an export: what it is, how to ask it, R, data, licence, and how it was made."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from sapo_lite import __version__
from sapo_lite.errors import RunFolderError
from sapo_lite.evaluation.metrics import TASK_METRIC
from sapo_lite.evaluation.own_metrics import shown_name
from sapo_lite.model.hub import is_hub_name
from sapo_lite.run import paths
from sapo_lite.run.export import Form
from sapo_lite.run.export.snippets import Exported, fenced, snippet
from sapo_lite.run.export.verify import Agreement
from sapo_lite.run.snapshot import Snapshot
from sapo_lite.support.files import read_json
from sapo_lite.support.foreign_text import visible
from sapo_lite.support.messages import markdown, number

FILE = "README.md"
# How the model comes from its base, in the hub's words, and the library that loads it.
_RELATIONS: dict[Form, tuple[str, str | None]] = {
    "adapter": ("adapter", "peft"),
    "hub": ("adapter", "peft"),
    "merged": ("finetune", "transformers"),
    "gguf": ("quantized", None),
    "ollama": ("quantized", None),
}
_FRONT = re.compile(r"\A---\n(.*?)\n---\n", flags=re.DOTALL)


def write_card(folder: Path, snapshot: Snapshot, of: Exported, agreement: Agreement | None) -> None:
    """Write the card, over an earlier one."""
    parts = [*_parts(snapshot, of, agreement)]
    (folder / FILE).write_text(_front(snapshot, of) + "\n\n".join(parts) + "\n", encoding="utf-8")


def _front(snapshot: Snapshot, of: Exported) -> str:
    """The block that the hub reads."""
    recipe = snapshot.binding.recipe
    content: dict[str, Any] = {}
    if licence := base_licence(of.located):
        content["license"] = licence
    relation, library = _RELATIONS[of.form]
    if is_hub_name(of.base):  # the hub refuses others
        content |= {"base_model": of.base, "base_model_relation": relation}
    content["pipeline_tag"] = "text-generation"
    if library:
        content["library_name"] = library
    if languages := sorted({task.language for task in snapshot.tasks.values()}):
        content["language"] = languages
    content["tags"] = [
        *("sapo-lite", "continual-learning", "lora"),
        recipe["adapter"]["method"],
        f"prompt-{recipe['prompt']['strategy']}",
    ]
    return f"---\n{yaml.safe_dump(content, allow_unicode=True, sort_keys=False)}---\n\n"


def base_licence(located: Path) -> str | None:
    """The licence that the card of the base model names, if it is on this disk."""
    try:
        found = _FRONT.match((located / FILE).read_text(encoding="utf-8"))
        content = yaml.safe_load(found[1]) if found else None
    except (OSError, ValueError, yaml.YAMLError):
        return None
    licence = content.get("license") if isinstance(content, dict) else None
    return licence if isinstance(licence, str) else None


def _parts(snapshot: Snapshot, of: Exported, agreement: Agreement | None) -> Iterator[str]:
    recipe = snapshot.binding.recipe
    learned = ", ".join(snapshot.tasks[key].name for key in snapshot.learned)
    yield f"# {visible(recipe['name'])}, after {visible(snapshot.label)}"
    method, wording = recipe["adapter"], recipe["prompt"]["strategy"]
    yield (
        f"`{visible(recipe['model']['name'])}`, trained by sapo-lite {__version__} on "
        f"{len(snapshot.learned)} of {len(snapshot.tasks)} tasks in this order: {visible(learned)}. "
        f"Wording of the instructions: `{wording}`; adapter: `{method['method']}`, rank {method['rank']}; "
        f"seed {recipe['seed']}."
    )
    yield "## How to ask it\n\n" + _usage(snapshot, of)
    yield "## Tasks\n\n" + _tasks(snapshot)
    yield "## Results\n\n" + _scores(snapshot)
    yield "## Check\n\n" + _check(agreement)
    yield "## How it was made\n\n" + _made(snapshot, of)


def _usage(snapshot: Snapshot, of: Exported) -> str:
    about = (
        "`prompts.json` has for every task the texts before and after an input. The model was trained on "
        "them: answers to other wordings are worse. It was tested with greedy decoding."
    )
    language, text = snippet(of, snapshot)
    return f"{about}\n\n{fenced(text, language)}"


def _tasks(snapshot: Snapshot) -> str:
    parts = []
    for key, task in snapshot.tasks.items():
        state = "learned" if key in snapshot.learned else "not learned yet, so with its own wording"
        labels = f"; labels: {', '.join(task.labels)}" if task.labels else ""
        about = f"**{visible(task.name)}** ({state}; {shown_name(task.metric)}{visible(labels)})"
        parts.append(f"{about}\n\n{fenced(visible(snapshot.prompts[key]))}")
    return "\n\n".join(parts)


def _scores(snapshot: Snapshot) -> str:
    """R up to the stage, in percent."""
    records = [(stage, stage.record) for stage in snapshot.stages[: snapshot.number + 1] if stage.record]
    kind = next(iter(records[0][1].scores))
    rows = [
        [f"{stage.number} {stage.name}", *(number(own[TASK_METRIC], 1) for own in record.scores[kind])]
        for stage, record in records
    ]
    names = [f"{task.name} ({shown_name(task.metric)})" for task in snapshot.tasks.values()]
    about = f"Scores in percent after each stage, tested with {kind} prompts on test rows of the run."
    return f"{about}\n\n{markdown(['after stage', *names], rows)}"


def _check(agreement: Agreement | None) -> str:
    if agreement is None:
        return "Not checked: answers that the run has stored were not asked again from these files."
    return f"{agreement}."


def _made(snapshot: Snapshot, of: Exported) -> str:
    recipe, binding = snapshot.binding.recipe, snapshot.binding
    data = ", ".join(visible(name) for name in binding.data)
    commit = "".join(f", {what} {value}" for what, value in _identity(snapshot).items())
    licence = base_licence(of.located) or "see the base model"
    lines = [
        f"- Base: `{visible(recipe['model']['name'])}`, loaded with quantization "
        f"`{recipe['model']['quantization']}`{commit}",
        f"- Data: {visible(recipe['sequence']['suite'])}: {data}; at most "
        f"{recipe['sequence']['train_examples']} training rows of each task",
        f"- Licence: {licence}, as of the base model; the data have their own",
    ]
    try:
        versions = read_json(snapshot.run / paths.ENVIRONMENT, "")
        packages = ", ".join(f"{name} {version}" for name, version in versions["packages"].items())
        lines.append(f"- Software: Python {versions['python']}, {packages}; computed in {versions['dtype']}")
    except (OSError, RunFolderError, KeyError, TypeError, AttributeError):
        pass  # environment.json is for people, and may be gone
    settings = json.dumps(recipe, indent=1, ensure_ascii=False)
    return "\n".join(lines) + "\n\nAll settings:\n\n" + fenced(visible(settings), "json")


def _identity(snapshot: Snapshot) -> dict[str, str]:
    """The commit of the base model on the hub, where it is known."""
    name = snapshot.binding.recipe["model"]["name"]
    found = snapshot.binding.inputs.get(f"the model {name}", {})
    return {"commit": found["commit"]} if "commit" in found else {}
