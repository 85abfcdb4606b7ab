"""model.chat_template: base models without a template, templates of ours and of files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
from test_conversation import saved
from tokenizers import pre_tokenizers, processors
from transformers import AutoModelForCausalLM, ByT5Tokenizer

from conversations import CHATML, LLAMA2, byte_level, sentencepiece
from sapo_lite.errors import RecipeError, RenderError, RunFolderError
from sapo_lite.leaderboard.from_disk import load as load_scored
from sapo_lite.leaderboard.score_files import score_files
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.chat import ChatFormat
from sapo_lite.model.chat_template import use_template
from sapo_lite.model.load import load_backbone
from sapo_lite.prompts.sources.backbone import OwnModel
from sapo_lite.recipe import ModelConfig, ParaphraseConfig, Recipe, load_recipe
from sapo_lite.run.inputs import inputs_of
from sapo_lite.run.progress import Silent
from sapo_lite.types import TrainingRow
from small import LAB, small_run
from tiny import make_task

TASK = make_task()
ROW = TrainingRow("Say it.", "film", "yes")
MARKED = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n{}<|im_end|>"
BY_EOS = "<|im_start|>user\n{}</s>\n<|im_start|>assistant\n{}</s>"


def as_gpt2() -> Any:
    """GPT-2's split, in which line ends before a word are tokens of their own; no mark of a turn."""
    tokenizer = byte_level(None, eos_token="<|endoftext|>", bos_token="<|endoftext|>")
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return tokenizer


def with_bos() -> Any:
    """A tokenizer that begins its texts with a bos_token."""
    tokenizer = byte_level(None, bos_token="<|User|>")
    special = [("<|User|>", tokenizer.bos_token_id)]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<|User|> $A", special_tokens=special
    )
    return tokenizer


def config(template: str = "model", **settings: Any) -> ModelConfig:
    given = {"name": "x", "chat_template": template, "quantization": "none", "dtype": "float32"}
    return ModelConfig(**{**given, "loader": "transformers", "max_source_tokens": 200, **settings})


def used(tokenizer: Any, template: str) -> ChatFormat:
    use_template(tokenizer, config(template))
    return ChatFormat(tokenizer, 400, 24)


@pytest.mark.parametrize(
    ("make", "template", "conversation", "ends"),
    [
        (lambda: byte_level(None), "chatml", MARKED, ["<|im_end|>"]),
        (lambda: sentencepiece(""), "chatml", BY_EOS, ["</s>"]),
        (lambda: sentencepiece("", legacy=True), "chatml", BY_EOS, ["</s>"]),
        (as_gpt2, "chatml", MARKED, ["<|im_end|>"]),
        (with_bos, "chatml", "<|User|>" + MARKED, ["<|im_end|>"]),
        (lambda: byte_level(None), "none", "{}\n{}<|im_end|>", ["<|im_end|>"]),
        (lambda: sentencepiece(""), "none", "{}\n{}</s>", ["</s>"]),
        (lambda: sentencepiece("", legacy=True), "none", "{}\n{}</s>", ["</s>"]),
        (as_gpt2, "none", "{}\n{}<|endoftext|>", ["<|endoftext|>"]),
        (with_bos, "none", "<|User|>{}\n{}<|im_end|>", ["<|im_end|>"]),
    ],
)
def test_a_base_model_is_used_without_new_tokens(
    make: Callable[[], Any], template: str, conversation: str, ends: list[str]
) -> None:
    tokenizer = make()
    size = len(tokenizer)
    own = used(tokenizer, template)
    assert own.frame.conversation("Do.", "yes") == conversation.format("Do.", "yes")
    assert sorted(tokenizer.convert_ids_to_tokens(sorted(own.stop_ids))) == ends
    assert len(tokenizer) == size
    (row,) = own.encode(TASK, [ROW])
    (prompt,) = own.encode_prompts(TASK, ROW.instruction, [ROW.input])
    assert list(row.ids[: row.answer_start]) == prompt
    assert own.decode(row.answer_ids) == "yes"


def test_a_model_with_a_template_may_be_given_another() -> None:
    own = used(sentencepiece(LLAMA2), "none")
    assert own.frame.conversation("Do.", "yes") == "Do.\nyes</s>"
    assert "[INST]" in used(sentencepiece(LLAMA2), "model").frame.before


def test_a_file_is_the_template(tmp_path: Path) -> None:
    (tmp_path / "mine.jinja").write_text(CHATML.replace("m.role", "m.role|upper") + "\n", encoding="utf-8")
    own = used(byte_level(None), str(tmp_path / "mine.jinja"))
    assert own.frame.before == "<|im_start|>USER\n"


def test_a_base_model_is_refused_with_the_setting_that_helps(tmp_path: Path) -> None:
    with pytest.raises(RenderError) as refusal:
        load_backbone(config(name=str(saved(byte_level(None), tmp_path))))
    assert str(refusal.value) == (
        f"The tokenizer of {tmp_path} has no chat template. Expected an instruct model (Qwen3, "
        "Llama-3.1-Instruct, ...): name the instruct variant, or, for a base model, set model.chat_template "
        '(score: --chat-template) to "chatml", "none" or a file.'
    )


def test_a_tokenizer_without_an_end_is_refused() -> None:
    with pytest.raises(RenderError, match=r'"none": expected a tokenizer with an eos_token, which ends'):
        used(byte_level(None, eos_token=None), "none")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.jinja").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(RenderError, match=r"mine\.jinja: cannot be read as UTF-8 text"):
        used(byte_level(None), str(tmp_path / "mine.jinja"))


# --- in a recipe


def with_template(folder: Path, template: str, content: str | None = None) -> Recipe:
    """The lab's recipe with this template, in a folder that may hold it."""
    recipe = folder / "own.toml"
    text = (Path(__file__).resolve().parents[2] / "recipes" / "lab.toml").read_text(encoding="utf-8")
    recipe.write_text(text.replace("[model]\n", f'[model]\nchat_template = "{template}"\n'), encoding="utf-8")
    if content is not None:
        (folder / template).write_text(content, encoding="utf-8")
    return load_recipe(str(recipe))


def test_a_name_that_is_none_is_a_fault_of_the_recipe() -> None:
    with pytest.raises(RecipeError) as refusal:
        load_recipe("lab", ["model.chat_template=chatm"])
    assert (
        'model.chat_template: expected "model", "chatml" or "none", or a file such as "chat.jinja", found '
        '"chatm"; did you mean "chatml"?'
    ) in str(refusal.value)


def test_a_file_is_looked_for_beside_the_recipe(tmp_path: Path) -> None:
    recipe = with_template(tmp_path, "mine.jinja", CHATML)
    assert recipe.model.template_file() == tmp_path / "mine.jinja"
    (tmp_path / "mine.jinja").unlink()
    with pytest.raises(RecipeError, match=r'model\.chat_template: no file "mine\.jinja"; looked in '):
        recipe.model.template_file()
    assert with_template(tmp_path, "none").model.template_file() is None


def test_a_file_is_an_input_of_the_run(tmp_path: Path) -> None:
    name = "the chat template mine.jinja"
    before = inputs_of(with_template(tmp_path, "mine.jinja", CHATML))
    after = inputs_of(with_template(tmp_path, "mine.jinja", CHATML + " "))
    assert before[name].keys() == {"content"}
    assert before[name] != after[name]
    assert name not in inputs_of(with_template(tmp_path, "chatml"))


def test_the_answers_of_the_backbone_as_a_paraphraser_depend_on_the_template(tmp_path: Path) -> None:
    def identity(template: str, content: str | None = None) -> dict[str, Any]:
        model = with_template(tmp_path, template, content).model
        return OwnModel(ParaphraseConfig(), model, lambda: pytest.fail("loaded")).identity()

    found = [identity("model"), identity("none"), identity("a.jinja", "a"), identity("a.jinja", "b")]
    assert len({json.dumps(one) for one in found}) == 4
    assert "chat_template" not in found[0]["options"]  # answers of earlier versions stay valid


@pytest.mark.slow
def test_a_run_takes_its_template_along(tmp_path: Path) -> None:
    template = tmp_path / "mine.jinja"
    template.write_text("{{ 'hello ' }}" + CHATML, encoding="utf-8")
    settings = [LAB, f"model.chat_template={template}", "training.epochs=1"]
    small_run(tmp_path / "run", *settings)
    assert json.loads((tmp_path / "run/chat.json").read_text())["before"].startswith("hello ")
    adapter = tmp_path / "run/02-odd_one_out/adapter"
    assert (adapter / "chat_template.jinja").read_text() == template.read_text()
    loaded = load_scored("lab", adapter=adapter)
    assert loaded.tokenizer.chat_template == template.read_text()
    assert loaded.settings["chat_template"] == str(adapter / "chat_template.jinja")
    template.write_text(CHATML, encoding="utf-8")
    (tmp_path / "run/results.json").unlink()
    with pytest.raises(RunFolderError, match=r"the chat template .*mine\.jinja has changed \(content\)"):
        small_run(tmp_path / "run", *settings)


# --- in `score`


def scored(folder: Path, model: Path, **options: Any) -> Any:
    (folder / "examples.csv").write_text("text,label\nfilm,yes\njoy,no\n", encoding="utf-8")
    (folder / "prompts.txt").write_text("Say it.\nIs it?\n", encoding="utf-8")
    files = folder / "examples.csv", folder / "prompts.txt"
    return score_files(str(model), *files, progress=Silent(lambda _: None), **options)


def test_score_takes_a_template(tmp_path: Path) -> None:
    model = saved(byte_level(None), tmp_path / "model")
    (tmp_path / "mine").write_text(CHATML, encoding="utf-8")
    by_name = scored(tmp_path, model, chat_template="chatml")
    by_file = scored(tmp_path, model, chat_template=str(tmp_path / "mine"))
    plain = scored(tmp_path, model, chat_template="none")
    assert by_name.board.rows == by_file.board.rows != plain.board.rows
    assert json.loads(plain.to_json())["chat_template"] == "none"
    with pytest.raises(RenderError) as refusal:
        scored(tmp_path, model, chat_template="chatlm")
    assert str(refusal.value) == (
        '--chat-template: expected "model", "chatml" or "none" or a file, found no file "chatlm"; did you '
        'mean "chatml"?'
    )


def test_a_template_that_is_named_goes_before_that_of_the_adapter(
    make_backbone: Callable[..., Backbone], tmp_path: Path
) -> None:
    model = make_backbone("qwen3").config.name
    lora = peft.LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=["q_proj"])
    peft.get_peft_model(AutoModelForCausalLM.from_pretrained(model), lora).save_pretrained(tmp_path)
    (tmp_path / "chat_template.jinja").write_text(CHATML + "{# mine #}", encoding="utf-8")
    assert load_scored(model, tmp_path).tokenizer.chat_template.endswith("{# mine #}")
    assert "think" in load_scored(model, tmp_path, chat_template="model").tokenizer.chat_template


def test_a_python_tokenizer_may_have_a_template_of_ours() -> None:
    own = used(ByT5Tokenizer(), "chatml")
    assert own.frame.conversation("Do.", "yes") == BY_EOS.format("Do.", "yes")
