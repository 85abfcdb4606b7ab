"""Lines of a model card that ask the export, for its form."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from sapo_lite.run.export import Form
from sapo_lite.run.snapshot import Snapshot

_SHELL = {
    "ollama": "ollama create NAME -f Modelfile.TASK   # once for each task\nollama run NAME 'an input'",
    "gguf": r"""llama-server -m FILE
# BEFORE and AFTER: those of the task's "prompt" in prompts.json
curl localhost:8080/completion -d \
  '{"prompt": "BEFORE an input AFTER", "temperature": 0, "n_predict": MOST}'""",
}
_IN_4_BITS = """\
four_bit = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True)
"""
_PYTHON = """\
import json
from pathlib import Path

IMPORTS

FOLDER = "."  # of this file
tokenizer = AutoTokenizer.from_pretrained(FOLDER)
LOADING
task = json.loads(Path(FOLDER, "prompts.json").read_text())["tasks"][TASK]
text = task["prompt"]["before"] + "an input" + task["prompt"]["after"]
ids = tokenizer(text, add_special_tokens=False, return_tensors="pt").to(model.device)
answer = model.generate(**ids, max_new_tokens=MOST, do_sample=False)[0, ids.input_ids.shape[1]:]
print(tokenizer.decode(answer, skip_special_tokens=True).strip())"""


@dataclass(frozen=True)
class Exported:
    """What a card is about.

    base: name of the base model
    located: its folder on this disk
    file: of a GGUF; "" for other forms
    """

    form: Form
    base: str
    located: Path
    file: str = ""


def snippet(of: Exported, snapshot: Snapshot) -> tuple[str, str]:
    """Language and text of lines that ask the task that was learned last."""
    most, task = str(snapshot.max_new_tokens), json.dumps(snapshot.learned[-1])
    if of.form in _SHELL:
        return "sh", _SHELL[of.form].replace("FILE", of.file).replace("MOST", most)
    imports, loading = _merged() if of.form == "merged" else _adapter(of.base, snapshot)
    text = _PYTHON.replace("IMPORTS", imports).replace("LOADING", loading)
    return "python", text.replace("MOST", most).replace("[TASK]", f"[{task}]")


def _merged() -> tuple[str, str]:
    return (
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        'model = AutoModelForCausalLM.from_pretrained(FOLDER, dtype="auto")',
    )


def _adapter(base: str, snapshot: Snapshot) -> tuple[str, str]:
    """Imports, and lines that load the base in the number of bits that the adapter was trained with."""
    in_4_bits = snapshot.binding.recipe["model"]["quantization"] == "nf4"
    more, option = (", BitsAndBytesConfig", ", quantization_config=four_bit") if in_4_bits else ("", "")
    return (
        f"from peft import PeftModel\nfrom transformers import AutoModelForCausalLM, AutoTokenizer{more}",
        (_IN_4_BITS if in_4_bits else "")
        + f'model = AutoModelForCausalLM.from_pretrained({json.dumps(base)}, dtype="auto"{option})\n'
        "model = PeftModel.from_pretrained(model, FOLDER)",
    )


def fenced(text: str, language: str = "") -> str:
    """A block of code that no text within it ends."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"
