"""The result of a run in the forms that people use: adapter, merged weights, GGUF, Ollama, the hub."""

from typing import Literal

Form = Literal["adapter", "merged", "gguf", "ollama", "hub"]
