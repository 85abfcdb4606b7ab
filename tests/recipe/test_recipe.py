"""Recipes: accepted settings, paths, shipped recipes (refusals: test_recipe_faults.py)."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sapo_lite.errors import RecipeError
from sapo_lite.recipe import (
    AdapterConfig,
    ParaphraseConfig,
    SequenceConfig,
    describe,
    differences,
    flat,
    load_recipe,
    paraphrase_section,
    prompting,
    recipe_text,
    shipped_recipes,
)

SHIPPED = """
    lab lab_long lab_mixed ni_seq_c1 ni_seq_c1_12gb ni_seq_c1_4b ni_seq_c1_6gb ni_seq_c1_cpu
    ni_seq_c1_llama ni_seq_c1_llama_12gb ni_seq_c1_llama_6gb ni_seq_c1_llama_8gb ni_seq_c1_small_6gb
    ni_seq_c1_smollm2 ni_seq_g1 ni_seq_g1_smollm2 ni_seq_m1 trace trace_16gb trace_smollm2
""".split()


# --- what is accepted


@pytest.mark.parametrize("path", shipped_recipes(), ids=lambda path: path.stem)
def test_every_shipped_recipe_parses_and_says_what_it_is_for(path: Path) -> None:
    recipe = load_recipe(path.stem)
    assert recipe.name == path.stem
    assert describe(path).endswith(".")
    for words in (
        "# Run: ",
        "# Needs: ",
        "# Memory: ",
        "# Time: ",
        "prompt.strategy=fixed",
        "adapter.method=olora",
    ):
        assert words in recipe_text(path.stem)
    assert f"sapo-lite run {path.stem}" in recipe_text(path.stem)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_baselines_are_one_override_away(name: str) -> None:
    recipe = load_recipe(name, ["prompt.strategy=fixed", "adapter.method=olora"])
    assert (recipe.prompt.strategy, recipe.adapter.method) == ("fixed", "olora")


def test_the_shipped_recipes_are_these() -> None:
    assert [path.stem for path in shipped_recipes()] == SHIPPED


@pytest.mark.parametrize("name", ["ni_seq_c1", "ni_seq_g1", "ni_seq_m1", "trace"])
def test_the_published_recipes_carry_the_published_settings(name: str) -> None:
    recipe = load_recipe(name)
    assert (recipe.paraphrase.count, recipe.paraphrase.attempts, recipe.paraphrase.temperature) == (
        20,
        6,
        0.6,
    )
    assert (recipe.model.max_source_tokens, recipe.model.max_answer_tokens) == (1536, 128)
    assert (recipe.adapter.rank, recipe.adapter.alpha, recipe.adapter.dropout) == (8, 32, 0.1)
    assert recipe.adapter.target_modules == "auto"
    training = recipe.training
    assert (training.epochs, training.learning_rate, training.warmup, training.batch_size) == (
        10,
        1e-4,
        0.05,
        64,
    )
    examples = (recipe.sequence.train_examples, recipe.sequence.test_examples, recipe.scoring.score_examples)
    assert examples == ((3000, 3000, 1000) if name == "trace" else (1000, 1000, 250))


def test_what_a_recipe_leaves_out_takes_the_published_setting(write_recipe: Callable[..., str]) -> None:
    recipe = load_recipe(write_recipe())
    assert recipe.resolved() == {
        "name": "x",
        "seed": 0,
        "protocol": "corrected",
        "model": {
            "name": "lab",
            "quantization": "nf4",
            "dtype": "auto",
            "loader": "auto",
            "chat_template": "model",
            "max_source_tokens": 1536,
            "max_answer_tokens": 128,
            "max_instruction_tokens": None,
            "cut": "input",
            "answer_newline": False,
        },
        "sequence": {
            "suite": "SUPERNI",
            "tasks": ["195"],
            "train_examples": 1000,
            "test_examples": 1000,
            "draw": None,
            "watch": [],
            "missing_train": "error",
            "data": None,
        },
        "prompt": {
            "strategy": "sapo",
            "sampling": "uniform",
            "hold": 4,
            "hold_unit": "steps",
            "temperature": 0.2,
            "draws": 4,
            "top_k": 1,
            "rescore": "never",
            "state": "current",
            "indicator": "loss",
        },
        "paraphrase": {
            "backend": ["builtin"],
            "count": 20,
            "held_out": 0,
            "minimum": 1,
            "attempts": 6,
            "temperature": 0.6,
            "unlike": False,
            "request": "varied",
            "gate": True,
            "always": False,
            "model": None,
            "host": None,
            "base_url": None,
            "allow_cloud": False,
            "parallel": 4,
            "timeout": 120.0,
            "deadline": 3600.0,
            "path": None,
        },
        "scoring": {
            "score_examples": 250,
            "race": True,
            "reduction": "token_mean",
            "divided_scale": False,
            "drop_remainder": 0,
        },
        "adapter": {
            "method": "lorainc",
            "rank": 8,
            "alpha": 32,
            "dropout": 0.1,
            "target_modules": "auto",
            "penalty_weight": None,
            "fisher_examples": 100,
            "fisher_decay": 1.0,
            "replay_share": 0.1,
            "replay_rows": None,
            "replay_by": "similarity",
        },
        "training": {
            "epochs": 10,
            "learning_rate": 1e-4,
            "schedule": "cosine",
            "warmup": 0.05,
            "batch_size": 64,
            "micro_batch_size": 8,
            "pack": "auto",
            "gradient_checkpointing": True,
            "gradient_norm": False,
            "checkpoint_every": 0,
        },
        "evaluation": {
            "prompts": "both",
            "max_new_tokens": 128,
            "batch_size": 16,
            "robustness": 0,
            "threshold": 80.0,
            "matrix": False,
            "other_run": None,
            "exact_match": "strict",
        },
        "rewrite": {
            "enabled": False,
            "policy": "rl",
            "rollouts": 10,
            "temperature": 1.0,
            "diversity_weight": 0.1,
            "threshold": 0.5,
            "prompts": 512,
            "epochs": 1,
            "batch_size": 8,
            "learning_rate": 1e-5,
            "rank": 16,
            "alpha": 32,
        },
        "guard": {"max_drop": None, "unit": "points", "on": "warn"},
    }


def test_a_resolved_recipe_survives_json_without_a_difference(write_recipe: Callable[..., str]) -> None:
    resolved = load_recipe(write_recipe(), ["adapter.dropout=0", "training.learning_rate=3e-5"]).resolved()
    assert differences(json.loads(json.dumps(resolved)), resolved) == []


def test_bare_integers_are_task_ids(write_recipe: Callable[..., str]) -> None:
    assert load_recipe(write_recipe(), ["sequence.tasks=[195, 2, 'C-STANCE']"]).sequence.tasks == (
        "195",
        "2",
        "C-STANCE",
    )


def test_an_integer_serves_as_a_float_and_stays_equal(write_recipe: Callable[..., str]) -> None:
    assert load_recipe(write_recipe(), ["adapter.dropout=0"]).adapter.dropout == 0.0


def test_configs_are_built_in_code_too_and_are_frozen() -> None:
    adapter = AdapterConfig(rank=4, target_modules=("v_proj",))
    with pytest.raises(ValueError, match="frozen"):
        adapter.rank = 2  # type: ignore[misc]


def test_importing_recipes_imports_nothing_heavy() -> None:
    code = "import sapo_lite.recipe, sys; print({'torch', 'transformers', 'rich'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("set()\n", "")


# --- overrides


def test_overrides_are_toml_or_else_bare_text_and_the_last_one_wins(write_recipe: Callable[..., str]) -> None:
    overrides = ["seed=3", "adapter.method=olora", "training.epochs=4", "training.epochs=5"]
    overrides += ['model.name="a=b"', "prompt.strategy = random", "training.gradient_checkpointing=false"]
    recipe = load_recipe(write_recipe(), overrides)
    assert (recipe.seed, recipe.adapter.method, recipe.training.epochs) == (3, "olora", 5)
    assert (recipe.model.name, recipe.training.gradient_checkpointing) == ("a=b", False)


def test_an_override_repairs_a_fault_of_the_file(write_recipe: Callable[..., str]) -> None:
    assert load_recipe(write_recipe(more="[adapter]\nrank = 0\n"), ["adapter.rank=4"]).adapter.rank == 4


@pytest.mark.parametrize("override", ["prompt.strategy=fixed", "paraphrase.count=0"])
def test_a_backend_that_is_not_used_needs_nothing(write_recipe: Callable[..., str], override: str) -> None:
    recipe = load_recipe(write_recipe(), ["paraphrase.backend=ollama", override])
    assert not recipe.wants_candidates
    assert load_recipe("x.toml").wants_candidates


def test_what_is_never_trained_is_paraphrased_only_to_be_tested_with(
    write_recipe: Callable[..., str],
) -> None:
    assert not load_recipe(write_recipe(), ["adapter.method=zero"]).wants_candidates
    assert load_recipe("x.toml", ["adapter.method=zero", "paraphrase.held_out=2"]).wants_candidates
    assert load_recipe("x.toml", ["adapter.method=joint"]).wants_candidates


@pytest.mark.parametrize(
    ("backend", "names"),
    [
        ("ollama", ("ollama",)),
        ("'ollama/qwen3:8b'", ("ollama/qwen3:8b",)),
        ("'ollama/hf.co/user/Model-GGUF:Q4_K_M'", ("ollama/hf.co/user/Model-GGUF:Q4_K_M",)),
        ("['builtin', 'self', 'file']", ("builtin", "self", "file")),
        ("['ollama/a', 'ollama/b', 'ollama', 'openai/a']", ("ollama/a", "ollama/b", "ollama", "openai/a")),
    ],
)
def test_sources_are_one_name_or_a_list(
    write_recipe: Callable[..., str], backend: str, names: tuple[str, ...]
) -> None:
    more = 'model = "m"\npath = "c.json"\nbase_url = "http://127.0.0.1:8000/v1"\n'
    recipe = load_recipe(write_recipe(more=more), [f"paraphrase.backend={backend}"])
    assert recipe.paraphrase.backend == names
    assert recipe.resolved()["paraphrase"]["backend"] == list(names)


@pytest.mark.parametrize(
    "settings",
    [
        ["backend=ollama", "model=qwen3:8b"],
        ["backend='ollama/qwen3:8b'"],
        ["backend=['ollama/a', 'builtin']"],
        ["backend=openai", "model=m", "base_url=https://api.example.com/v1"],
        ["backend='openai/m'", "base_url=http://[::1]:8000"],
        ["backend=self"],
        ["backend=builtin", "minimum=20"],
        ["backend=self", "minimum=0"],
        ["backend=file", "path=c.json"],
        ["backend=ollama", "count=0"],
        ["count=0", "minimum=5"],
        ["temperature=0"],
    ],
    ids=" ".join,
)
def test_a_source_needs_no_more_than_it_uses(write_recipe: Callable[..., str], settings: list[str]) -> None:
    recipe = load_recipe(write_recipe(), [f"paraphrase.{setting}" for setting in settings])
    assert recipe.wants_candidates == ("count=0" not in settings)


def test_a_minimum_counts_only_where_candidates_are_wanted(write_recipe: Callable[..., str]) -> None:
    recipe = load_recipe(write_recipe(), ["paraphrase.minimum=50", "prompt.strategy=fixed"])
    assert recipe.paraphrase.minimum > recipe.paraphrase.count


@pytest.mark.parametrize(
    ("settings", "held_out"),
    [
        ([], 3),
        (["paraphrase.count=400"], 50),
        (["paraphrase.count=1"], 1),
        (["paraphrase.count=0"], 0),
        (["paraphrase.held_out=0"], 0),
        (["paraphrase.held_out=7", "paraphrase.count=8"], 7),
        (["prompt.sampling=adversarial", "paraphrase.count=9"], 2),
        (["prompt.strategy=sapo"], 0),
    ],
)
def test_paft_holds_out_one_paraphrase_for_eight_unless_the_recipe_says_otherwise(
    write_recipe: Callable[..., str], settings: list[str], held_out: int
) -> None:
    recipe = load_recipe(write_recipe(), ["prompt.strategy=paft", *settings])
    assert recipe.paraphrase.held_out == held_out
    assert recipe.paraphrase.wanted == recipe.paraphrase.count + held_out


def test_strategies_may_differ_by_settings_of_their_own(write_recipe: Callable[..., str]) -> None:
    for settings in (
        ["strategy=paft", "sampling=importance", "temperature=1.5"],
        ["strategy=paft", "sampling=adversarial", "draws=2", "hold=1"],
        ["strategy=sapo", "top_k=3", "hold=8"],
        ["strategy=sapo", "rescore=epoch"],
        ["strategy=sapo", "top_k=3", "state=base"],
        ["strategy=paft", "sampling=importance", "state=base"],
        ["strategy=worst", "indicator=accuracy", "state=base"],
        ["strategy=sapo", "indicator=length"],
    ):
        resolved = load_recipe(write_recipe(), [f"prompt.{setting}" for setting in settings]).resolved()
        for setting in settings:
            key, value = setting.split("=")
            assert str(resolved["prompt"][key]) == value


def test_the_section_stands_alone_for_a_command() -> None:
    config = paraphrase_section({"backend": ["ollama/a", "builtin"], "count": 3, "unlike": True})
    assert (config.backend, config.count, config.unlike) == (("ollama/a", "builtin"), 3, True)
    assert config.model_dump() == ParaphraseConfig(**config.model_dump()).model_dump()
    assert paraphrase_section({"model": "m"}).backend == ("ollama",)


# --- paths


def test_a_candidates_file_is_sought_beside_the_recipe_then_shipped_then_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_recipe: Callable[..., str]
) -> None:
    recipe = load_recipe(write_recipe(more='path = "c.json"\n'))
    beside, data, here = tmp_path, tmp_path / "data", tmp_path / "here"
    for folder in (beside, data, here):
        folder.mkdir(exist_ok=True)
        (folder / "c.json").write_text("{}")
    monkeypatch.setattr(prompting, "shipped", lambda kind: tmp_path / kind)
    monkeypatch.chdir(here)
    for folder in (beside, data, here):
        assert recipe.paraphrase.candidates_file() == folder / "c.json"
        (folder / "c.json").unlink()
    with pytest.raises(RecipeError) as caught:
        recipe.paraphrase.candidates_file()
    assert str(caught.value) == (f'paraphrase.path: no file "c.json"; looked in {beside}, {data}, {here}')
    assert recipe.resolved()["paraphrase"]["path"] == "c.json"


def test_an_absolute_candidates_file_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text("{}")
    assert ParaphraseConfig(path=str(tmp_path / "c.json")).candidates_file() == tmp_path / "c.json"


def test_a_candidates_file_that_is_not_set_is_an_error() -> None:
    with pytest.raises(RecipeError, match=r"paraphrase\.path: expected a file of candidates, found nothing"):
        ParaphraseConfig().candidates_file()


def test_a_data_folder_is_sought_beside_the_recipe_then_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_recipe: Callable[..., str]
) -> None:
    sequence = load_recipe(write_recipe(), ["sequence.data=bench"]).sequence
    beside, here = tmp_path, tmp_path / "here"
    for folder in (beside, here):
        (folder / "bench").mkdir(parents=True)
    monkeypatch.chdir(here)
    assert sequence.data_folder() == beside / "bench"
    (beside / "bench").rmdir()
    assert sequence.data_folder() == here / "bench"
    (here / "bench").rmdir()
    assert sequence.data_folder() == beside / "bench"
    assert SequenceConfig(suite="lab", tasks=("stars",)).data_folder() is None


# --- texts


def test_describe_is_the_first_line_and_only_if_a_comment(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    for text, purpose in (("# What it does.\n# More.\n", "What it does."), ("seed = 1\n", ""), ("", "")):
        path.write_text(text)
        assert describe(path) == purpose


def test_recipe_text_is_the_file_and_knows_the_nearest_name() -> None:
    assert recipe_text("lab") == shipped_recipes()[0].read_text(encoding="utf-8")
    with pytest.raises(RecipeError, match='did you mean "lab"'):
        recipe_text("labb")


def test_differences_name_the_setting_and_both_values() -> None:
    old = {"name": "a", "seed": 0, "training": {"epochs": 10, "old": 1}, "sequence": {"tasks": ["1", "2"]}}
    new = {"name": "b", "seed": 0, "training": {"epochs": 5}, "sequence": {"tasks": ["1"]}, "x": {"y": "z"}}
    assert differences(old, new) == [
        "training.epochs: 10 in the run, 5 in the recipe",
        "training.old: 1 in the run, nothing in the recipe",
        'sequence.tasks: ["1", "2"] in the run, ["1"] in the recipe',
        'x.y: nothing in the run, "z" in the recipe',
    ]


@pytest.mark.parametrize(
    ("overrides", "key", "value", "notice"),
    [
        (
            ["sequence.train_examples=16"],
            "scoring.score_examples",
            16,
            "scoring.score_examples is 16 instead of 80: sequence.train_examples is 16",
        ),
        (
            ["training.batch_size=4"],
            "training.micro_batch_size",
            4,
            "training.micro_batch_size is 4 instead of 8: training.batch_size is 4",
        ),
        (
            ["rewrite.prompts=8", "rewrite.batch_size=9"],
            "rewrite.batch_size",
            8,
            "rewrite.batch_size is 8 instead of 9: rewrite.prompts is 8",
        ),
        # What was left to its default gives way in silence.
        (["rewrite.prompts=3"], "rewrite.batch_size", 3, None),
    ],
)
def test_a_lowered_limit_lowers_what_it_limits_and_the_recipe_says_so(
    overrides: list[str], key: str, value: int, notice: str | None
) -> None:
    recipe = load_recipe("lab", overrides)
    assert flat(recipe.resolved())[key] == value
    assert recipe.notices == ((notice,) if notice else ())
    # The same recipe, however it was written; and nothing to say where the numbers agree.
    agreeing = load_recipe("lab", [*overrides, f"{key}={value}"])
    assert (agreeing.resolved(), agreeing.notices) == (recipe.resolved(), ())


def test_a_recipe_file_that_contradicts_itself_comes_to_the_lower_number(
    write_recipe: Callable[..., str],
) -> None:
    recipe = load_recipe(write_recipe(more="[scoring]\nscore_examples = 1001\n"))
    assert recipe.scoring.score_examples == 1000
    assert recipe.notices == (
        "scoring.score_examples is 1000 instead of 1001: sequence.train_examples is 1000",
    )
    assert load_recipe(write_recipe()).notices == ()
