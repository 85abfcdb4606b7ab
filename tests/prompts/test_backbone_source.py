"""The `self` source: the backbone is sampled as it should be, and paraphrases as well as it can."""

import io
import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from scipy.stats import chisquare

from kept import value_of
from sapo_lite.data.tasks import load_sequence
from sapo_lite.errors import ParaphraseError
from sapo_lite.learning.methods import METHODS
from sapo_lite.model import generation
from sapo_lite.model.backbone import Backbone
from sapo_lite.model.generation import TOP_K, _drawn, generate, sample
from sapo_lite.model.load import load_backbone
from sapo_lite.prompts.make import make_pools
from sapo_lite.prompts.pool import Pool, Rejection, tally
from sapo_lite.prompts.sources import backbone as source
from sapo_lite.prompts.sources.answer_cache import Call
from sapo_lite.prompts.sources.backbone import MAX_NEW_TOKENS, OwnModel
from sapo_lite.prompts.sources.openers import SourceContext
from sapo_lite.recipe import ModelConfig, ParaphraseConfig, load_recipe
from sapo_lite.report.plain import PlainDisplay
from sapo_lite.run import prepare
from sapo_lite.types import Task
from small import small_run
from tiny import FAMILIES, adapter_config, fill_blocks

MAKE = Callable[..., Backbone]
LIMIT = 12
TURNS = [
    "Decide whether the sentiment of the text is positive or negative.",
    "Decide whether the text is a joy.",
    "No.",
    "请判断下面这段文本的情感是积极还是消极。",
    "Decide whether the sentiment of the text is positive or negative. Directly output only the label.",
]
families = pytest.mark.parametrize("family", FAMILIES)


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAPO_LITE_CACHE", str(tmp_path / "cache"))


def turns(backbone: Backbone, texts: Sequence[str] = TURNS) -> list[list[int]]:
    return [backbone.chat.encode_turn(text) for text in texts]


def endless(backbone: Backbone) -> Backbone:
    """The backbone, whose answers are token ids and are never ended by a token."""
    backbone.chat.decode = list  # type: ignore[method-assign, assignment]
    backbone.causal_lm.generation_config.eos_token_id = None
    backbone.tokenizer.eos_token_id = None
    backbone.chat.stop_ids = frozenset()
    return backbone


def drawn(
    backbone: Backbone,
    prompts: Sequence[list[int]],
    seeds: Sequence[int],
    *,
    temperature: float = 1.5,
    limit: int = LIMIT,
) -> list[Any]:
    answers = sample(backbone, prompts, seeds=seeds, temperature=temperature, max_new_tokens=limit)
    return [text for text, _ in answers]


def next_logits(backbone: Backbone, prompt: list[int]) -> torch.Tensor:
    """Of the token that follows the prompt, from a plain forward pass."""
    with backbone.inference():
        logits: torch.Tensor = backbone.causal_lm(input_ids=torch.tensor([prompt])).logits[0, -1].float()
    return logits


# --- drawing


@families
def test_the_same_seed_gives_the_same_answer_and_another_seed_another(
    make_backbone: MAKE, family: str
) -> None:
    backbone = endless(make_backbone(family))
    prompts = turns(backbone)[:1] * 6
    first = drawn(backbone, prompts, [0, 1, 2, 3, 4, 5])
    assert drawn(backbone, prompts, [0, 1, 2, 3, 4, 5]) == first
    assert len(set(map(tuple, first))) == 6
    assert drawn(backbone, prompts, [5, 5, 2**31 - 1, 0, 0, 1])[:5:3] == [first[5], first[0]]


@pytest.mark.slow
@families
def test_an_answer_does_not_depend_on_the_batch_it_is_in(make_backbone: MAKE, family: str) -> None:
    backbone = endless(make_backbone(family))
    prompts, seeds = turns(backbone), [11, 12, 13, 14, 15]
    together = drawn(backbone, prompts, seeds)
    alone = [drawn(backbone, [prompt], [seed])[0] for prompt, seed in zip(prompts, seeds, strict=True)]
    assert together == alone
    order = [3, 0, 4, 1]
    shuffled = drawn(backbone, [prompts[i] for i in order], [seeds[i] for i in order])
    assert shuffled == [alone[i] for i in order]


@families
def test_rows_that_end_leave_the_draws_of_the_others_as_they_are(make_backbone: MAKE, family: str) -> None:
    backbone = endless(make_backbone(family))
    prompts, seeds = turns(backbone), [21, 22, 23, 24, 25]
    whole = drawn(backbone, prompts, seeds)
    backbone.causal_lm.generation_config.eos_token_id = ends = [whole[0][0], whole[1][3], whole[2][7]]
    cut = [answer[: next((n for n, t in enumerate(answer) if t in ends), None)] for answer in whole]
    assert len({len(answer) for answer in cut}) > 2
    assert drawn(backbone, prompts, seeds) == cut


@pytest.mark.slow
def test_an_answer_ends_with_the_turn(make_backbone: MAKE) -> None:
    backbone = make_backbone("llama")
    backbone.chat.decode = list  # type: ignore[method-assign, assignment]
    head = backbone.causal_lm.get_output_embeddings().weight
    with torch.no_grad():
        head.copy_(0.01 * head)  # nearly all tokens are about as likely
    answers = drawn(backbone, turns(backbone)[:1] * 40, range(40), limit=100)
    stops = generation.stop_tokens(backbone)
    assert not stops.intersection(token for answer in answers for token in answer)
    assert len({len(answer) for answer in answers}) > 5


@families
def test_a_temperature_of_zero_is_greedy(make_backbone: MAKE, family: str) -> None:
    backbone = make_backbone(family)
    greedy = generate(backbone, turns(backbone), max_new_tokens=LIMIT, batch_size=8)
    assert len(set(greedy)) > 2
    assert drawn(backbone, turns(backbone), range(5), temperature=0.0) == greedy
    assert drawn(backbone, turns(backbone), range(5), temperature=1e-6) == greedy


def test_of_equally_likely_tokens_a_temperature_of_zero_takes_the_same_as_greedy(make_backbone: MAKE) -> None:
    backbone = endless(make_backbone("llama"))
    torch.nn.init.zeros_(backbone.causal_lm.get_output_embeddings().weight)
    greedy = generate(backbone, turns(backbone), max_new_tokens=3, batch_size=8)
    assert drawn(backbone, turns(backbone), range(5), temperature=0.0, limit=3) == greedy


def test_only_the_likeliest_tokens_are_drawn(make_backbone: MAKE, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = endless(make_backbone("qwen3"))
    [prompt] = turns(backbone, TURNS[:1])
    for top_k in (1, 3):
        monkeypatch.setattr(generation, "TOP_K", top_k)
        answers = drawn(backbone, [prompt] * 60, range(60), temperature=50.0, limit=1)
        best = next_logits(backbone, prompt).topk(top_k).indices.tolist()
        assert {token for (token,) in answers} == set(best)


def test_a_small_vocabulary_has_fewer_than_the_likeliest(make_backbone: MAKE) -> None:
    pick = _drawn([0, 1], 1.0)
    assert pick(torch.tensor([[0.0, 99.0], [99.0, 0.0]]), [0, 1]).tolist() == [1, 0]


def fits(counts: Counter[int], logits: torch.Tensor, temperature: float) -> float:
    """p-value of the counts under softmax(logits / temperature) over the TOP_K likeliest tokens."""
    best = logits.double().topk(TOP_K)
    chances = (best.values / temperature).softmax(0).tolist()
    draws = counts.total()
    ids = best.indices.tolist()
    assert set(counts) <= set(ids)
    # Tokens that are too rare for the test are one cell.
    cells = [(counts[i], draws * p) for i, p in zip(ids, chances, strict=True) if draws * p >= 8]
    rest = (draws - sum(seen for seen, _ in cells), draws - sum(expected for _, expected in cells))
    if rest[1] >= 8:
        cells.append(rest)
    assert len(cells) > 4
    seen, expected = zip(*cells, strict=True)
    total = sum(expected)
    return float(chisquare(seen, [e * sum(seen) / total for e in expected]).pvalue)


@pytest.mark.slow
@families
@pytest.mark.parametrize("temperature", [0.6, 1.0, 2.0])
def test_first_tokens_over_many_seeds_follow_the_softmax(
    make_backbone: MAKE, family: str, temperature: float
) -> None:
    backbone = endless(make_backbone(family))
    [prompt] = turns(backbone, TURNS[:1])
    counts: Counter[int] = Counter()
    for start in range(0, 4000, 500):
        seeds = range(start, start + 500)
        answers = drawn(backbone, [prompt] * 500, seeds, temperature=temperature, limit=1)
        counts.update(token for (token,) in answers)
    logits = next_logits(backbone, prompt)
    assert fits(counts, logits, temperature) > 1e-3
    assert fits(counts, logits, temperature * 2) < 1e-6  # the test can tell


@pytest.mark.slow
def test_later_tokens_of_one_seed_follow_the_softmax() -> None:
    logits = 2 * torch.randn(1, 300, generator=torch.Generator().manual_seed(0))
    for dtype in (torch.float32, torch.bfloat16):
        pick = _drawn([7], 0.8)
        counts = Counter(int(pick(logits.to(dtype), [0])) for _ in range(5000))
        assert fits(counts, logits.to(dtype)[0], 0.8) > 1e-3


def test_rows_draw_from_generators_of_their_own() -> None:
    logits = torch.randn(3, 100, generator=torch.Generator().manual_seed(0))
    whole, part = _drawn([1, 2, 3], 1.0), _drawn([1, 2, 3], 1.0)
    steps = [whole(logits, [0, 1, 2]).tolist() for _ in range(20)]
    left = [part(logits[[0, 2]], [0, 2]).tolist() for _ in range(20)]
    assert left == [[first, last] for first, _, last in steps]


# --- what is left behind


def state(backbone: Backbone) -> dict[str, tuple[bool, torch.Tensor]]:
    return {name: (p.requires_grad, p.detach().clone()) for name, p in backbone.model.named_parameters()}


@pytest.mark.slow
@pytest.mark.parametrize("training", [True, False])
def test_mode_adapter_and_randomness_are_left_as_they_were(make_backbone: MAKE, training: bool) -> None:
    backbone = endless(make_backbone("qwen3"))
    adapter = METHODS["lorainc"].build(backbone, adapter_config(dropout=0.5), tasks=2, checkpointing=False)
    fill_blocks(adapter, 1)
    adapter.open_block(1, seed=0)
    backbone.model.train(training)
    before, randomness = state(backbone), torch.get_rng_state()
    answers = drawn(backbone, turns(backbone), range(5))
    assert backbone.model.training is training
    assert drawn(backbone, turns(backbone), range(5)) == answers  # without dropout
    assert torch.equal(torch.get_rng_state(), randomness)
    after = state(backbone)
    assert all(
        grad == after[name][0] and torch.equal(value, after[name][1])
        for name, (grad, value) in before.items()
    )
    assert all(parameter.grad is None for parameter in backbone.model.parameters())


def test_the_adapter_takes_part(make_backbone: MAKE) -> None:
    backbone = endless(make_backbone("qwen3"))
    plain = drawn(backbone, turns(backbone), range(5))
    fill_blocks(METHODS["lorainc"].build(backbone, adapter_config(), tasks=1, checkpointing=False), 1)
    assert drawn(backbone, turns(backbone), range(5)) != plain


def test_the_mode_is_restored_after_a_failed_answer(
    make_backbone: MAKE, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = make_backbone("qwen3")
    backbone.model.train()

    def fail(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(generation, "generate_cached", fail)
    with pytest.raises(KeyboardInterrupt):
        drawn(backbone, turns(backbone), range(5))
    assert backbone.model.training


@pytest.mark.slow
@families
def test_the_models_own_generate_is_sampled_alike(
    make_backbone: MAKE, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    backbone = make_backbone(family)
    greedy = generate(backbone, turns(backbone), max_new_tokens=LIMIT, batch_size=8)
    monkeypatch.setattr(backbone, "fused", True)
    # On a card, its generator is put back as well.
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: torch.tensor(0))
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: None)
    randomness = torch.get_rng_state()
    assert drawn(backbone, turns(backbone), range(5), temperature=0.0) == greedy
    answers = drawn(backbone, turns(backbone), range(5))
    assert drawn(backbone, turns(backbone)[::-1], range(4, -1, -1)) == answers[::-1]
    assert drawn(backbone, turns(backbone), range(5, 10)) != answers
    assert torch.equal(torch.get_rng_state(), randomness)
    monkeypatch.setattr(generation, "TOP_K", 1)
    assert drawn(backbone, turns(backbone), range(5), temperature=9.0) == greedy


# --- as a source

ANSWERS = 8
REVIEWS = Task(
    "reviews",
    "",
    "You are given a review that a customer has written about a product. Your task is to decide whether the "
    "customer would buy it again, and to say why.",
    "",
    (),
    "en",
    (),
    (),
)
LAB = load_recipe("lab", ["model.loader=transformers"])


@pytest.fixture(scope="module")
def lab() -> Backbone:
    """The embedded backbone."""
    return load_backbone(LAB.model)


def pools(
    load: Callable[[], Backbone], *, shown: io.StringIO | None = None, seed: int = 0, **settings: Any
) -> list[Pool]:
    """Of the lab's tasks, with two paraphrases and two attempts for each by default."""
    config = ParaphraseConfig(**{"backend": "self", "count": 2, "attempts": 2, "minimum": 0} | settings)
    progress = PlainDisplay(Console(file=shown or io.StringIO(), width=200))
    tasks = load_sequence(LAB.sequence, None)
    return make_pools(tasks, config, SourceContext(progress, seed=seed, own=(LAB.model, load)))


def unloadable() -> Backbone:
    pytest.fail("the backbone was loaded")


def test_calls_go_out_in_batches_and_the_backbone_is_loaded_when_it_is_needed(
    make_backbone: MAKE, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = make_backbone("qwen3")
    batches: list[dict[str, Any]] = []

    def said(backbone: Backbone, prompts: Sequence[list[int]], **options: Any) -> list[tuple[str, bool]]:
        batches.append({"prompts": list(prompts), **options})
        return [(f"answer to {seed}", True) for seed in options["seeds"]]

    monkeypatch.setattr(generation, "sample", said)
    config = ParaphraseConfig(backend="self", parallel=2, temperature=0.7)
    calls = [Call(text, seed) for seed, text in enumerate(TURNS)]
    assert list(OwnModel(config, backbone.config, unloadable).complete([], lambda call, answer: None)) == []
    answers = OwnModel(config, backbone.config, lambda: backbone).complete(calls, lambda call, answer: None)
    assert batches == []
    assert list(answers) == [f"answer to {seed}" for seed in range(5)]
    assert [batch["seeds"] for batch in batches] == [[0, 1], [2, 3], [4]]
    assert [prompt for batch in batches for prompt in batch["prompts"]] == turns(backbone)
    assert {(batch["temperature"], batch["max_new_tokens"]) for batch in batches} == {(0.7, MAX_NEW_TOKENS)}


def test_answers_depend_on_the_backbone_and_how_it_is_loaded() -> None:
    def identity(**settings: Any) -> dict[str, Any]:
        config = ParaphraseConfig(backend="self", temperature=settings.pop("temperature", 0.6))
        return OwnModel(config, ModelConfig(**{"name": "lab"} | settings), unloadable).identity()

    assert identity() == {
        "source": "self",
        "model": "lab",
        "options": {"quantization": "nf4", "dtype": "auto", "temperature": 0.6},
    }
    others = [{"name": "x"}, {"quantization": "none"}, {"dtype": "float32"}, {"temperature": 0.5}]
    assert all(identity(**other) != identity() for other in others)


def test_what_it_says_is_a_candidate_from_self(lab: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    def said(
        backbone: Backbone, prompts: Sequence[list[int]], *, seeds: list[int], **_: Any
    ) -> list[tuple[str, bool]]:
        words = "look over what is here then pick and say the right one of these".split()
        texts = [" ".join(random.Random(seed).sample(words, 9)) for seed in seeds]
        return [(f"{text} , yes or no , bright or dark , from 1 to 3", True) for text in texts]

    monkeypatch.setattr(generation, "sample", said)
    made = pools(lambda: lab)
    assert [len(pool.texts) for pool in made] == [2] * len(made)
    assert {candidate.origin for pool in made for candidate in pool.candidates} == {"original", "self"}
    # What it has said once is kept: no backbone is needed for it again.
    assert pools(unloadable) == made


def test_an_answer_that_reaches_the_limit_in_mid_sentence_is_rejected_and_not_kept(
    lab: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(backbone: Backbone, prompts: Sequence[list[int]], **_: Any) -> list[tuple[str, bool]]:
        texts = ["Look at all of it, and then pick the", "Say which of them is oldest."]
        return [(text, False) for text, _ in zip(texts, prompts, strict=True)]

    monkeypatch.setattr(generation, "sample", said)
    kept: list[str] = []
    model = OwnModel(ParaphraseConfig(backend="self"), LAB.model, lambda: lab)
    answers = model.complete([Call("a", 0), Call("b", 1)], lambda call, answer: kept.append(answer))
    cut = Rejection("Look at all of it, and then pick the", "cut off at the limit of length")
    assert list(answers) == [cut, "Say which of them is oldest."]
    assert kept == ["Say which of them is oldest."]


def test_it_needs_a_backbone_to_speak_of() -> None:
    [task, *_] = load_sequence(LAB.sequence, None)
    around = SourceContext(PlainDisplay(Console(file=io.StringIO())))
    with pytest.raises(ParaphraseError) as caught:
        make_pools([task], ParaphraseConfig(backend="self"), around)
    assert str(caught.value) == 'paraphrase.backend "self" is the model of a recipe: name one.'


@pytest.mark.slow
def test_the_embedded_backbone_is_too_small_to_paraphrase_and_the_original_stands_alone(
    lab: Backbone,
) -> None:
    shown = io.StringIO()
    made = pools(lambda: lab, shown=shown)
    for pool in made:
        assert len(pool.candidates) == 1
        reasons = {rejection.reason for rejection in pool.rejected}
        assert all(reason == "answers the task" or reason.endswith(" missing") for reason in reasons)
        notice = f"0 of the 2 paraphrases asked for; not accepted: {tally(pool.rejected)}."
        assert pool.notice == f"{pool.task}: {notice}"
        assert f"note: {pool.notice}" in shown.getvalue()
    assert pools(unloadable) == made
    with pytest.raises(ParaphraseError, match=r"0 of the 2 paraphrases asked for; .* paraphrase.minimum = 1"):
        pools(unloadable, minimum=1)


@pytest.mark.slow
@pytest.mark.real_model
def test_smollm2_paraphrases_though_badly(smollm2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "MAX_NEW_TOKENS", 40)
    model = ModelConfig(name=str(smollm2), quantization="none", dtype="float32")
    config = ParaphraseConfig(backend="self", count=ANSWERS, attempts=1, minimum=0, parallel=ANSWERS)
    display = PlainDisplay(Console(file=io.StringIO()))
    [pool] = make_pools([REVIEWS], config, SourceContext(display, own=(model, lambda: load_backbone(model))))
    assert len(pool.texts) + len(pool.rejected) == ANSWERS
    assert pool.texts  # how many are good: docs/paraphrasing.md
    assert {candidate.origin for candidate in pool.candidates[1:]} == {"self"}


@pytest.mark.slow
def test_a_run_with_self_loads_the_backbone_once_and_goes_on_with_the_originals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[str] = []

    def load(config: ModelConfig) -> Backbone:
        loads.append(config.name)
        return load_backbone(config)

    monkeypatch.setattr(prepare, "load_backbone", load)
    settings = ["paraphrase.backend=self", "paraphrase.minimum=0", "paraphrase.attempts=1"]
    results, shown = small_run(tmp_path / "run", "model.name=lab", *settings, "training.epochs=1")
    assert loads == ["lab"]
    assert "paraphrasing with self" in shown
    for name in ("oldest", "odd_one_out"):
        assert f"note: {name}: 0 of the 3 paraphrases asked for" in shown
        saved = value_of(tmp_path / "run/candidates" / f"{name}.json")
        assert [candidate["origin"] for candidate in saved["candidates"]] == ["original"]
        assert len(saved["rejected"]) == 3
    assert value_of(tmp_path / "run/01-oldest/stage.json")["choices"]["oldest"]["chosen"]["index"] == 0
    assert {wording.index for wording in results.chosen.values()} == {0}
