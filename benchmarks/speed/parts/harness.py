"""lm-evaluation-harness on the same requests, by its HF backend, if it is installed (extra `harness`)."""

import copy
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from sapo_lite.model.backbone import Backbone
from sapo_lite.model.chat import EncodedRow

ABSENT = "lm-evaluation-harness is not installed, and was left out: pip install 'sapo-lite[harness]'"


def installed() -> bool:
    return find_spec("lm_eval") is not None


class Harness:
    """Its model of a backbone.

    With batches of "auto" size it would first try 64 rows of the longest length five times over, which takes
    longer than the requests: it is given a size.
    """

    def __init__(self, backbone: Backbone, batch_size: int) -> None:
        from lm_eval.models.huggingface import HFLM

        self._model: Any = HFLM(
            pretrained=backbone.model,
            tokenizer=copy.deepcopy(backbone.tokenizer),
            batch_size=batch_size,
            add_bos_token=False,
        )

    def nll(self, rows: Sequence[EncodedRow]) -> list[float]:
        """Summed answer loss of each row, in nats. The rows are tokenised already."""
        requests = [(("", ""), list(row.ids[: row.answer_start]), list(row.answer_ids)) for row in rows]
        found = self._model._loglikelihood_tokens(requests, disable_tqdm=True)
        return [-loglikelihood for loglikelihood, _ in found]

    def answers(self, prompts: Sequence[str], new_tokens: int) -> list[str]:
        """Greedy answers to prompts, as text."""
        from lm_eval.api.instance import Instance

        settings = {"until": [], "max_gen_toks": new_tokens, "do_sample": False}
        requests = [
            Instance(request_type="generate_until", doc={}, arguments=(prompt, settings), idx=number)
            for number, prompt in enumerate(prompts)
        ]
        return [text.strip() for text in self._model.generate_until(requests, disable_tqdm=True)]
