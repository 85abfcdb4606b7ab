"""Programs of llama.cpp: its converter, its quantiser and its server, which answers on the CPU.

They are looked for in the folders of SAPO_LITE_LLAMA_CPP (a clone of llama.cpp, or several folders as in
PATH) and then on the PATH. The converter is not copied into sapo-lite: it changes with every new model.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from sapo_lite.errors import SapoLiteError

VARIABLE = "SAPO_LITE_LLAMA_CPP"
# Formats that the converter itself writes; llama-quantize makes all others from F16.
WRITTEN = ("f32", "f16", "bf16", "q8_0")
_CONVERTERS = ("convert_hf_to_gguf.py", "convert-hf-to-gguf", "convert_hf_to_gguf")
_WITHIN = ("", "build/bin", "bin")
_START = 120.0  # s, for a server to load a model
_ANSWER = 600.0  # s, for one answer


def find(program: str) -> Path | None:
    """Path of a program of llama.cpp, or None."""
    for folder in filter(None, os.environ.get(VARIABLE, "").split(os.pathsep)):
        for within in _WITHIN:
            path = Path(folder).expanduser() / within / program
            if path.is_file():
                return path
    found = shutil.which(program)
    return None if found is None else Path(found)


def converter() -> list[str] | None:
    """Command of the converter without arguments, or None. A script runs in this Python, which has torch."""
    for name in _CONVERTERS:
        if path := find(name):
            return [sys.executable, str(path)] if path.suffix == ".py" else [str(path)]
    return None


def require_converter() -> list[str]:
    """Like `converter`. Raises SapoLiteError if there is none."""
    if (found := converter()) is None:
        raise SapoLiteError(
            f"--to gguf: expected llama.cpp's converter, {_CONVERTERS[0]}, found none. Set {VARIABLE} to the "
            "folder of a clone of llama.cpp, or put the script on the PATH; or export --to ollama, which can "
            "read merged weights."
        )
    return found


def require_quantiser(kind: str) -> None:
    """Raises SapoLiteError if llama-quantize is needed for a format and is not there."""
    if kind not in WRITTEN and find("llama-quantize") is None:
        raise SapoLiteError(
            f"--quant {kind}: expected llama.cpp's program llama-quantize, found none. Put it on the PATH, "
            f"set {VARIABLE} to its folder, or choose one of {', '.join(WRITTEN)}."
        )


def convert(model: Path, gguf: Path, kind: str) -> None:
    """Write a model's folder as a GGUF file in a format, such as "f16", "q8_0" or "q4_k_m".

    Raises:
        SapoLiteError: a program of llama.cpp failed; the message has its last line.
    """
    first = gguf if kind in WRITTEN else gguf.with_name(f".{gguf.stem}.f16.gguf")
    try:
        written = kind if kind in WRITTEN else "f16"
        _run([*require_converter(), str(model), "--outfile", str(first), "--outtype", written])
        if first != gguf:
            _run([str(find("llama-quantize")), str(first), str(gguf), kind.upper()])
    finally:
        if first != gguf:
            first.unlink(missing_ok=True)


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        said = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        program = next(Path(word).name for word in command if Path(word).name != Path(sys.executable).name)
        raise SapoLiteError(
            f"{program} failed: {_reason(said)}. It may not know this kind of model or tokenizer: update "
            "llama.cpp, or export --to merged."
        )


def _reason(lines: Sequence[str]) -> str:
    """The line of an error, else the last one."""
    errors = [line for line in lines if "Error" in line or "error" in line]
    return (errors or list(lines) or ["it said nothing"])[-1][:300].rstrip(".")


@contextlib.contextmanager
def server(gguf: Path, context: int) -> Iterator[Callable[[str, int, Sequence[str]], str]]:
    """Context with a function that answers a text greedily: (text, tokens at most, texts to stop at).

    The text is tokenised by llama.cpp, with the file's own tokenizer.

    context: tokens of a prompt and its answer

    Raises:
        SapoLiteError: there is no llama-server, or it does not start.
    """
    program = find("llama-server")
    if program is None:
        raise SapoLiteError(
            f"expected llama.cpp's program llama-server on the PATH or in a folder of {VARIABLE}, found none"
        )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = [str(program), "--model", str(gguf), "--host", "127.0.0.1", "--port", str(port)]
    arguments += ["--ctx-size", str(context), "--parallel", "1", "--n-gpu-layers", "0"]
    arguments += ["--cache-type-k", "f32", "--cache-type-v", "f32"]  # the file's rounding alone is to be seen
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(running, url)
            yield lambda text, most, stop: _complete(url, text, most, stop)
        finally:
            running.terminate()


def _wait(running: "subprocess.Popen[bytes]", url: str) -> None:
    import httpx

    end = time.monotonic() + _START
    while running.poll() is None and time.monotonic() < end:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{url}/health", trust_env=False).is_success:
                return
        time.sleep(0.1)
    raise SapoLiteError(f"llama-server did not load the model (exit status {running.poll()})")


def _complete(url: str, text: str, most: int, stop: Sequence[str]) -> str:
    import httpx

    asked = {"prompt": text, "n_predict": most, "temperature": 0.0, "stop": list(stop), "cache_prompt": False}
    try:
        found = httpx.post(f"{url}/completion", json=asked, timeout=_ANSWER, trust_env=False)
        return str(found.raise_for_status().json()["content"]).strip()
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise SapoLiteError(f"llama-server did not answer: {type(error).__name__}: {error}") from None
