"""Records, `name : anna ; city : oslo`: reading a field, and putting the record into a sentence."""

from random import Random

from pretraining.family import Sample, family
from pretraining.frames import give, turn
from sapo_lite.lab.sentences import record, written

FIELDS = ("name", "age", "city", "job", "color", "day")


def _some_fields(rng: Random) -> dict[str, str]:
    return record(rng, rng.sample(FIELDS, rng.randint(3, 5)))


@family(give("{field}", "record", "what is the {field} ?", "the value of the field {field}"))
def field_value(rng: Random) -> Sample:
    fields = _some_fields(rng)
    asked = rng.choice(list(fields))
    return Sample(written(fields), fields[asked], {"field": asked})


@family(give("field of {value}", "record", "which field holds {value} ?", "what is {value} ?"))
def field_name(rng: Random) -> Sample:
    fields = _some_fields(rng)
    answer = rng.choice(list(fields))
    return Sample(written(fields), answer, {"value": fields[answer]})


@family(
    turn(
        "record",
        ["describe the person", "turn the record into a sentence", "summarize the record"],
        ["a description of the person", "a summary of the record"],
    )
)
def description(rng: Random) -> Sample:
    fields = record(rng, ("name", "age", "city", "job"))
    return Sample(written(fields), "{name} is a {age} year old {job} from {city} .".format(**fields))


@family(turn("record", ["write what the person says to begin"], ["the introduction of the person"]))
def introduction(rng: Random) -> Sample:
    fields = record(rng, ("name", "city", "job"))
    return Sample(written(fields), "i am {name} , the {job} from {city} .".format(**fields))


@family(turn("record", ["write a label with name and city"], ["a label with name and city"]))
def label(rng: Random) -> Sample:
    fields = record(rng, ("name", "city", rng.choice(["age", "day", "color"])))
    return Sample(written(fields), "{name} ( {city} )".format(**fields))


@family(turn("record", ["write the news of the day"], ["the news of the day"]))
def news(rng: Random) -> Sample:
    fields = record(rng, ("name", "city", "day"))
    return Sample(written(fields), "on {day} {name} was seen in {city} .".format(**fields))


@family(turn("record", ["write a question to the person"], ["a question to the person"]))
def question(rng: Random) -> Sample:
    fields = record(rng, ("name", "color", rng.choice(["age", "day", "city"])))
    return Sample(written(fields), "{name} , do you like {color} ?".format(**fields))
