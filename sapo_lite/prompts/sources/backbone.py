"""The `self` source: the backbone paraphrases its own instructions. No second model, no download."""

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sapo_lite.model.identity import model_identity
from sapo_lite.prompts.sources.answer_cache import Answers, Call, Keep
from sapo_lite.prompts.sources.chat_prompt import cut_answer
from sapo_lite.support.files import sha256

if TYPE_CHECKING:
    from collections.abc import Callable

    from sapo_lite.model.backbone import Backbone
    from sapo_lite.recipe import ModelConfig, ParaphraseConfig

MAX_NEW_TOKENS = 512


class OwnModel:
    """The backbone as a chat model; `load` loads it at its first use."""

    def __init__(
        self, config: "ParaphraseConfig", model: "ModelConfig", load: "Callable[[], Backbone]"
    ) -> None:
        self._config = config
        self._settings = model
        self._load = load

    def identity(self) -> dict[str, Any]:
        model = self._settings
        options: dict[str, Any] = {
            "quantization": model.quantization,
            "dtype": model.dtype,
            "temperature": self._config.temperature,
        }
        if model.chat_template != "model":
            file = model.template_file()
            options["chat_template"] = sha256(file) if file else model.chat_template
        return {"source": "self", "model": model.name, "options": options}

    def digest(self) -> str | None:
        """Hash of the files of a local folder, or of the commit on the hub."""
        if found := model_identity(self._settings.name):
            return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()
        return None

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
            read = [answer if ended else cut_answer(answer) for answer, ended in answers]
            for call, answer in zip(batch, read, strict=True):
                if isinstance(answer, str):
                    keep(call, answer)
            yield from read
