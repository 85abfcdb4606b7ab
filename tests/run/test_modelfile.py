"""Modelfiles against Ollama's grammar: what it reads from them is what the model was trained on."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelfiles import read, rendered
from sapo_lite.run.export.ollama import model_name, modelfile
from sapo_lite.run.export.prompts import Around


def round_trip(before: str, after: str, prompt: str = "an input") -> str:
    text = modelfile("./model.gguf", Around(before, after), ["<|im_end|>"], most=16, context=64)
    commands = dict(read(text))
    assert commands["FROM"] == "./model.gguf"
    assert commands["stop"] == "<|im_end|>"
    return rendered(commands["TEMPLATE"], prompt)


def test_a_modelfile_has_the_source_the_wording_and_greedy_answers() -> None:
    around = Around("<|im_start|>user\nSay yes or no.\n\nText:\n", "\n\nanswer :<|im_end|>\n")
    assert modelfile("./lab-2-f16.gguf", around, ["<|im_end|>", "</s>"], most=16, context=272) == (
        "FROM ./lab-2-f16.gguf\n"
        'TEMPLATE """<|im_start|>user\nSay yes or no.\n\nText:\n{{ .Prompt }}\n\nanswer :<|im_end|>\n"""\n'
        "PARAMETER temperature 0\n"
        "PARAMETER repeat_penalty 1\n"
        "PARAMETER num_predict 16\n"
        "PARAMETER num_ctx 272\n"
        'PARAMETER stop "<|im_end|>"\n'
        'PARAMETER stop "</s>"\n'
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ""),
        ('Say "yes" or "no".', ' answer in """marks"""'),
        ('"', '"'),
        ('x""', '""'),
        ("{{ .System }}{{- if .Prompt }}", "{{/* a comment */}}"),
        ("fill {", "} in"),
        ("{{{", "}}}"),
        ("# no comment\nFROM elsewhere\nTEMPLATE x\n", "\nPARAMETER stop y"),
        ("no\u00a0break, wide\u3000blank, none\u200b, turned \u202e", "\ttab\r\n"),
        ("情感：“好”", "积极 🙂"),
        ("back\\slash \\n \\", '\\"'),
        ("  spaces at both ends  ", "\n\n"),
    ],
)
def test_hostile_wordings_are_read_as_they_are(before: str, after: str) -> None:
    assert round_trip(before, after) == f"{before}an input{after}"


@settings(deadline=None)
@given(st.text(alphabet='ab "{}\\\n\u00a0.Prompt#', max_size=20), st.text(alphabet='"{} \n', max_size=9))
def test_any_wording_is_read_as_it_is(before: str, after: str) -> None:
    assert round_trip(before, after) == f"{before}an input{after}"


def test_an_input_is_no_part_of_the_template() -> None:
    assert round_trip("a ", " b", "{{ .System }} and '") == "a {{ .System }} and ' b"


def test_names_of_models_have_letters_that_ollama_takes() -> None:
    assert model_name("My Recipe", "mood") == "my-recipe-mood"
    assert model_name("lab", "-情感-") == "lab"
