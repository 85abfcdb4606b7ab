"""The `self` source: the backbone paraphrases its own instructions. No second model, no download."""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sapo_lite.model.hub import is_hub_name, locate_model
from sapo_lite.prompts.sources.answer_cache import Answers, Call, Keep

if TYPE_CHECKING:
    from collections.abc import Callable

    from sapo_lite.model.backbone import Backbone
    from sapo_lite.recipe import ModelConfig, ParaphraseConfig

MAX_NEW_TOKENS = 512


class OwnModel:
    """The backbone as a chat model; `load` gives it when it is first needed."""

    def __init__(
        self, config: "ParaphraseConfig", model: "ModelConfig", load: "Callable[[], Backbone]"
    ) -> None:
        self._config = config
        self._settings = model
        self._load = load

    def identity(self) -> dict[str, Any]:
        model = self._settings
        return {
            "source": "self",
            "model": model.name,
            "options": {
                "quantization": model.quantization,
                "dtype": model.dtype,
                "temperature": self._config.temperature,
            },
        }

    def digest(self) -> str | None:
        """Of the names, sizes and times of a local folder's files; a hub name is a model by itself."""
        if is_hub_name(self._settings.name):
            return None
        files = sorted(path for path in locate_model(self._settings.name).iterdir() if path.is_file())
        told = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
        return hashlib.sha256(repr(told).encode()).hexdigest()

    def complete(self, calls: Sequence[Call], keep: Keep) -> Answers:
        from sapo_lite.model.generation import sample

        size = self._config.parallel
        for batch in (calls[start : start + size] for start in range(0, len(calls), size)):
            backbone = self._load()
            answers = sample(
                backbone,
                [backbone.chat.encode_turn(call.request) for call in batch],
                seeds=[call.seed for call in batch],
                temperature=self._config.temperature,
                max_new_tokens=MAX_NEW_TOKENS,
            )
            for call, answer in zip(batch, answers, strict=True):
                keep(call, answer)
            yield from answers
