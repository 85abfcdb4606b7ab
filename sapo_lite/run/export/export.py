"""One export: from the folder of a run to a folder that was checked, and to models in Ollama."""

import gc
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sapo_lite.errors import RunFolderError, SapoLiteError
from sapo_lite.model.chat import ChatFormat
from sapo_lite.model.hub import is_hub_name, locate_model
from sapo_lite.model.memory import out_of_memory
from sapo_lite.run.export import Form, forms, llama_cpp, ollama, verify
from sapo_lite.run.export.card import write_card
from sapo_lite.run.export.snippets import Exported
from sapo_lite.run.export.verify import Agreement, StoredAnswer
from sapo_lite.run.snapshot import Snapshot
from sapo_lite.support.progress import Progress


@dataclass(frozen=True)
class Export:
    """A finished export.

    agreement: None if nothing was asked again
    created: names of models in Ollama, by task
    commands: lines to type next
    """

    folder: Path
    form: Form
    agreement: Agreement | None
    created: dict[str, str]
    commands: tuple[str, ...]


def export(
    snapshot: Snapshot,
    form: Form,
    out: Path,
    progress: Progress,
    *,
    quant: str | None = None,
    check: int = 50,
    create: bool = False,
) -> Export:
    """Write a stage of a run in one form to a new folder, ask stored answers again, and write the card.

    quant: number format of a GGUF file; F16 by default
    check: number of stored answers to ask again
    create: create the models in Ollama, too

    Raises:
        RunFolderError: the stage has no adapter, or the folder holds something.
        BackboneError, SapoLiteError: the model or a program cannot be used.
    """
    if quant and form not in ("gguf", "ollama"):
        raise SapoLiteError(f"--quant: expected --to gguf or --to ollama, found --to {form}")
    quant = (quant or "f16").lower()
    _require(snapshot, form, out, quant, create=create)
    chat = forms.chat_of(snapshot)
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        weights = _write(partial, snapshot, form, chat, quant, progress)
        if out.exists():
            out.rmdir()
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    of = Exported(form, forms.base_name(snapshot), locate_model(snapshot.model.name), weights)
    write_card(out, snapshot, of, None)
    names = {key: ollama.model_name(str(snapshot.binding.recipe["name"]), key) for key in snapshot.learned}
    created = names if create else {}
    for key, name in created.items():
        progress.stage(f"creating {name} in Ollama")
        ollama.create(out, name, forms.modelfile_name(key))
    rows = verify.stored_answers(snapshot, check)
    agreement = _verified(out, snapshot, form, chat, rows, weights, created, progress)
    write_card(out, snapshot, of, agreement)
    commands = [f"ollama run {name}" for name in created.values()] or _commands(form, out, names)
    return Export(out, form, agreement, created, tuple(commands))


def _require(snapshot: Snapshot, form: Form, out: Path, quant: str, *, create: bool) -> None:
    """Raises an error for what would fail later, after minutes."""
    if snapshot.adapter is None:
        raise RunFolderError(
            f"{snapshot.run}: {snapshot.label} has no adapter to export. Choose another --stage."
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunFolderError(f"{out} exists. Delete it, or choose a new or an empty folder for --out.")
    if create and form != "ollama":
        raise SapoLiteError(f"--create: expected --to ollama, found --to {form}")
    if create:
        ollama.require_ollama()
        ollama.require_reachable()
    if form == "gguf":
        llama_cpp.require_converter()
    if form == "gguf" or (form == "ollama" and llama_cpp.converter() is not None):
        llama_cpp.require_quantiser(quant)
    if form == "hub" and not is_hub_name(snapshot.model.name):
        raise SapoLiteError(
            "--to hub: expected a model of the Hugging Face hub under the adapter, found "
            f"{snapshot.model.name}, which others cannot load by that name. Export --to merged, with --push "
            "for the hub."
        )
    snapshot.require_same_model()


def _write(
    folder: Path, snapshot: Snapshot, form: Form, chat: ChatFormat, quant: str, progress: Progress
) -> str:
    """Write the form. Returns the name of its file or folder of weights; "" for the folder itself."""
    if form == "adapter":
        forms.write_adapter(folder, snapshot, chat)
    elif form == "hub":
        forms.write_for_the_hub(folder, snapshot, chat)
    elif form == "merged":
        forms.write_merged(folder, snapshot, chat, progress)
    elif form == "gguf":
        return forms.write_gguf(folder, snapshot, chat, quant, progress).name
    else:
        return forms.write_for_ollama(folder, snapshot, chat, quant, progress).name
    return ""


def _verified(
    out: Path,
    snapshot: Snapshot,
    form: Form,
    chat: ChatFormat,
    rows: Sequence[StoredAnswer],
    weights: str,
    names: dict[str, str],
    progress: Progress,
) -> Agreement | None:
    """Ask stored answers again; None, and a notice, where that is not possible here."""
    if not rows:
        return None
    progress.stage(f"asking {len(rows)} stored answers again")
    if names:
        # The wording of a Modelfile is the chosen one; a recipe may have had the original tested only.
        same = [row for row in rows if row.instruction == snapshot.prompts[row.task]]
        if not same:
            progress.notice("not verified: the run stored no answers under the chosen wordings")
            return None
        return verify.by_ollama(same, names, ollama.require_reachable(), progress)
    try:
        if weights.endswith(".gguf"):
            return verify.by_llama_cpp(snapshot, rows, chat, out / weights, progress)
        return _by_transformers(out / weights, snapshot, form, rows, progress)
    except (SapoLiteError, MemoryError, RuntimeError) as error:
        # What was exported is whole: in 16 bits it may be too large for this machine.
        if isinstance(error, RuntimeError) and not out_of_memory(error):
            raise
        progress.notice(f"not verified: what was exported could not be asked here ({error})")
        return None


def _by_transformers(
    folder: Path, snapshot: Snapshot, form: Form, rows: Sequence[StoredAnswer], progress: Progress
) -> Agreement:
    from sapo_lite.model.load import load_backbone
    from sapo_lite.run.answering import prepare_answers, put_adapter

    settings = snapshot.model
    if form in ("adapter", "hub"):
        backbone = load_backbone(settings)
        put_adapter(backbone, folder, "default")
    else:
        merged = {"name": str(folder.absolute()), "quantization": "none", "chat_template": "model"}
        backbone = load_backbone(settings.model_copy(update=merged))
    prepare_answers(backbone, snapshot, progress)
    found = verify.by_transformers(snapshot, rows, backbone, folder, progress)
    del backbone
    gc.collect()
    return found


def _commands(form: Form, out: Path, names: dict[str, str]) -> list[str]:
    if form != "ollama":
        return []
    return [ollama.create_command(name, str(out / forms.modelfile_name(key))) for key, name in names.items()]
