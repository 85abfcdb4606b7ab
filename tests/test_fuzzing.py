"""Bad input of every kind ends in a sentence, in time, and leaves no file; scripts/fuzz reads thousands."""

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

import fuzzing

# Inputs of a kind: a model takes as long as fifty recipes.
INPUTS = {"recipes": 60, "data": 80, "suites": 25, "candidates": 80, "adapters": 25, "models": 25}


@pytest.fixture(scope="module", autouse=True)
def _clean_up() -> object:
    yield
    fuzzing.clean_up()


@pytest.mark.slow
@pytest.mark.parametrize("name", fuzzing.KINDS)
def test_bad_input_is_accepted_or_refused_in_a_sentence(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    kind = fuzzing.KINDS[name]()

    @seed(1)
    @settings(
        max_examples=INPUTS[name],
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(kind.files)
    def each(files: fuzzing.Files) -> None:
        found = fuzzing.outcome(kind, files)
        assert found.good, f"{found.name}: {found.text}"

    each()


def test_the_fuzzer_tells_a_traceback_and_a_written_file_from_a_refusal() -> None:
    def fail(folder: object) -> None:
        raise KeyError("x")

    def write(folder: object) -> None:
        with open("more", "w", encoding="utf-8") as file:
            file.write("x")

    files = {"x.json": b"[]"}
    kind = fuzzing.KINDS["data"]()
    assert fuzzing.outcome(fuzzing.Kind(kind.files, fail), files).name == "traceback"
    assert fuzzing.outcome(fuzzing.Kind(kind.files, write), files).name == "wrote"
    assert fuzzing.outcome(kind, files).name == "refused"
