"""Ollama: a Modelfile for each task, which puts the trained wording around plain input.

Grammar of Modelfiles and templates: Ollama's documents modelfile.md and template.md. A value in three
quotation marks ends at the next three; a template is one of Go's text/template.
"""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from sapo_lite.errors import SapoLiteError
from sapo_lite.prompts.sources.ollama_server import resolve_host
from sapo_lite.run.export.prompts import Around
from sapo_lite.support.http import is_here
from sapo_lite.support.offline import ASKED, is_forbidden

_ANSWER = 600.0  # s, for one answer; the first also loads the model

# What acts in a template, or ends its quotation: any brace, since an action may follow it, and quotes.
_ACTING = re.compile(r'\{+|"{2,}|\A"|"\Z')


def modelfile(source: str, around: Around, stop: Sequence[str], *, most: int, context: int) -> str:
    """Text of a Modelfile.

    source: file or folder of the model, relative to the Modelfile
    most: tokens of an answer
    context: tokens of a prompt and its answer

    Answers are greedy, as in the tests of the run. Ollama lowers the chance of tokens that were there before,
    unless it is told not to.
    """
    before, after = _as_template(around.before), _as_template(around.after)
    lines = [
        f"FROM {source}",
        f'TEMPLATE """{before}{{{{ .Prompt }}}}{after}"""',
        "PARAMETER temperature 0",
        "PARAMETER repeat_penalty 1",
        f"PARAMETER num_predict {most}",
        f"PARAMETER num_ctx {context}",
        *(f"PARAMETER stop {_value(text)}" for text in stop),
    ]
    return "\n".join(lines) + "\n"


def _as_template(text: str) -> str:
    """The text as a template that gives it again: what would act stands as a string in an action.

    So do characters that Ollama leaves out as it reads a Modelfile: all that are not printed, such as a
    no-break space.
    """
    acting = _ACTING.sub(lambda found: _string(found[0]), text)
    return "".join(c if c.isprintable() or c in "\n\t" else _string(c) for c in acting)


def _string(text: str) -> str:
    """An action that gives the text."""
    escaped = "".join(_escaped(character) for character in text)
    return '{{ "' + escaped + '" }}'


def _escaped(character: str) -> str:
    if character == '"':
        return '\\"'
    return character if character.isprintable() else f"\\U{ord(character):08x}"


def _value(text: str) -> str:
    return f'"""{text}"""' if '"' in text or "\n" in text else f'"{text}"'


def model_name(run: str, task: str) -> str:
    """Name of a task's model in Ollama: `lab-mood`."""
    return re.sub(r"[^a-z0-9._-]+", "-", f"{run}-{task}".lower()).strip("-._")


def create_command(name: str, file: str) -> str:
    return f"ollama create {name} -f {file}"


def require_ollama() -> Path:
    """The program of Ollama. Raises SapoLiteError if it is not there."""
    if (program := shutil.which("ollama")) is None:
        raise SapoLiteError(
            "--create: expected the program ollama on the PATH, found none. Install Ollama, or leave out "
            "--create and type the printed command on the machine that has it."
        )
    return Path(program)


def create(folder: Path, name: str, file: str) -> None:
    """Create a model in Ollama from a Modelfile in a folder. Raises SapoLiteError if Ollama refuses it."""
    command = [str(require_ollama()), "create", name, "-f", file]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        said = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        reason = said[-1][:300] if said else f"exit status {done.returncode}"
        raise SapoLiteError(f"{create_command(name, file)} failed in {folder}: {reason}")


def require_reachable() -> str:
    """Address of the server. Raises SapoLiteError if it is on another machine and work is offline."""
    url = resolve_host(None)
    if is_forbidden(url):
        raise SapoLiteError(
            f"--create: Ollama at {url} is on another machine, and {ASKED} forbids to connect there. Leave "
            "one of them out."
        )
    return url


def ask(url: str, name: str, text: str) -> str:
    """The answer of a model in Ollama to plain input. Raises SapoLiteError if there is none."""
    import httpx

    asked = {"model": name, "prompt": text, "stream": False}
    try:
        found = httpx.post(
            f"{url}/api/generate",
            json=asked,
            timeout=_ANSWER,
            trust_env=not is_here(url),
            follow_redirects=False,
        )
        return str(found.raise_for_status().json()["response"]).strip()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError) as error:
        raise SapoLiteError(
            f"Ollama at {url} did not answer as {name}: {type(error).__name__}: {error}"
        ) from None
