"""Writers of the forms that a run can leave in. Each fills an empty folder."""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

from sapo_lite.errors import RunFolderError
from sapo_lite.model.chat import ChatFormat
from sapo_lite.model.chat_frame import ChatFrame
from sapo_lite.model.chat_template import FILE as TEMPLATE
from sapo_lite.model.hub import TOKENIZER_FILES, is_hub_name, locate_model
from sapo_lite.model.tokenizer import load_chat_format
from sapo_lite.run import paths
from sapo_lite.run.answering import load_answers
from sapo_lite.run.export import llama_cpp, ollama
from sapo_lite.run.export.prompts import around_prompt, stop_texts, without_bos, write_prompts
from sapo_lite.run.export.verify import context_of
from sapo_lite.run.snapshot import Snapshot
from sapo_lite.support.progress import Progress

MERGED = "merged"
_ADAPTER_CONFIG = "adapter_config.json"
_WEIGHTS = "adapter_model.safetensors"


def chat_of(snapshot: Snapshot) -> ChatFormat:
    """The chat format of the run. No weights are read."""
    chat: ChatFormat = load_chat_format(snapshot.model).with_frame(ChatFrame(**snapshot.frame))
    return chat


def base_name(snapshot: Snapshot) -> str:
    """Name of the base model that holds on other machines, if it is on the hub; else its absolute folder."""
    name = snapshot.model.name
    return name if is_hub_name(name) else str(locate_model(name).absolute())


def write_adapter(folder: Path, snapshot: Snapshot, chat: ChatFormat) -> None:
    """A standard PEFT adapter, the tokenizer and `prompts.json`."""
    assert snapshot.adapter is not None  # checked by `export`
    shutil.copyfile(snapshot.adapter / _WEIGHTS, folder / _WEIGHTS)
    settings = json.loads((snapshot.adapter / _ADAPTER_CONFIG).read_text(encoding="utf-8"))
    settings["base_model_name_or_path"] = base_name(snapshot)
    text = json.dumps(settings, indent=2, sort_keys=True) + "\n"
    (folder / _ADAPTER_CONFIG).write_text(text, encoding="utf-8")
    _write_tokenizer(folder, snapshot)
    write_prompts(folder, snapshot, chat, base_name(snapshot))


def write_for_the_hub(folder: Path, snapshot: Snapshot, chat: ChatFormat) -> None:
    """The adapter, and the results of the run."""
    write_adapter(folder, snapshot, chat)
    results = snapshot.run / paths.RESULTS
    if not results.is_file():
        raise RunFolderError(f"{snapshot.run}: --to hub: expected a finished run, found an unfinished one")
    shutil.copyfile(results, folder / paths.RESULTS)


def write_merged(folder: Path, snapshot: Snapshot, chat: ChatFormat, progress: Progress) -> None:
    """The whole model in 16 bits, the tokenizer and `prompts.json`."""
    from sapo_lite.model import merging
    from sapo_lite.model.memory import free_memory
    from sapo_lite.support.disk import in_words

    backbone = load_answers(snapshot, progress).backbone
    plan = merging.merge_plan(backbone)
    progress.stage(
        f"merging into {in_words(plan.size)} of 16-bit weights, of which {in_words(plan.largest)} at a time "
        "are in memory beside the model"
    )
    with progress.work("merging", len(plan.shards), "shards") as meter:
        merging.write_merged(backbone, folder, meter.advance)
    del backbone
    free_memory()
    _write_tokenizer(folder, snapshot)
    write_prompts(folder, snapshot, chat, base_name(snapshot))


def write_gguf(folder: Path, snapshot: Snapshot, chat: ChatFormat, quant: str, progress: Progress) -> Path:
    """A GGUF file and `prompts.json`. Returns the file."""
    merged = folder / MERGED
    merged.mkdir()
    write_merged(merged, snapshot, chat, progress)
    gguf = (
        folder
        / f"{ollama.model_name(str(snapshot.binding.recipe['name']), str(snapshot.number))}-{quant}.gguf"
    )
    progress.stage(f"converting to GGUF ({quant})")
    llama_cpp.convert(merged, gguf, quant)
    shutil.rmtree(merged)
    write_prompts(folder, snapshot, chat, base_name(snapshot))
    return gguf


def write_for_ollama(
    folder: Path, snapshot: Snapshot, chat: ChatFormat, quant: str, progress: Progress
) -> Path:
    """A Modelfile for each task, beside a GGUF file or, without llama.cpp's converter, merged weights.

    Returns the file or the folder of the weights.
    """
    if llama_cpp.converter() is None:
        source = folder / MERGED
        source.mkdir()
        write_merged(source, snapshot, chat, progress)
        progress.notice(
            "llama.cpp's converter was not found: the Modelfiles name merged weights, which Ollama converts"
        )
        write_prompts(folder, snapshot, chat, base_name(snapshot))
    else:
        source = write_gguf(folder, snapshot, chat, quant, progress)
    for key in snapshot.learned:
        around = around_prompt(chat, snapshot.tasks[key], snapshot.prompts[key])
        text = ollama.modelfile(
            f"./{source.name}",
            without_bos(chat.tokenizer, around),
            stop_texts(chat),
            most=snapshot.max_new_tokens,
            context=context_of(snapshot),
        )
        (folder / modelfile_name(key)).write_text(text, encoding="utf-8")
    return source


def modelfile_name(key: str) -> str:
    return f"Modelfile.{key}"


def _write_tokenizer(folder: Path, snapshot: Snapshot) -> None:
    """The files of the base model's tokenizer; a chat template that is not the model's own replaces it."""
    located = locate_model(snapshot.model.name)
    for file in _files(located, TOKENIZER_FILES):
        shutil.copyfile(file, folder / file.name)
    if template := snapshot.model.template_file():
        settings_file = folder / "tokenizer_config.json"
        settings = json.loads(settings_file.read_text(encoding="utf-8"))
        settings.pop("chat_template", None)  # programs differ in which of two they read
        settings_file.write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        shutil.copyfile(template, folder / TEMPLATE)


def _files(folder: Path, patterns: Iterable[str]) -> list[Path]:
    return sorted({file for pattern in patterns for file in folder.glob(pattern) if file.is_file()})
