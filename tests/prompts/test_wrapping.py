"""What stands around a paraphrase: it is taken off, or the text is refused."""

import html
import json
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sapo_lite.prompts.chatter import without_talk
from sapo_lite.prompts.gate import reject_reason
from sapo_lite.prompts.pool import Rejection, original_alone, top_up
from sapo_lite.prompts.styles import LENGTHS, STYLES
from sapo_lite.prompts.wrapping import json_text, unwrapped
from sapo_lite.types import Task

GOOD = "Tell whether the tweet is positive or negative."
LABELS = ("positive", "negative")


def task(instruction: str, labels: tuple[str, ...] = LABELS, language: str = "en") -> Task:
    return Task("task1_x", "SUPERNI", instruction, "", labels, language, train=(), test=())


TWEETS = task("Classify the tweet as positive or negative.")
MOOD = task("请判断这条评论的情感，输出“积极”或“消极”。", ("积极", "消极"), "zh")
FREE = task("Write a summary of the review.", ())
STORY = task(
    "A story is told by somebody who got into trouble with a neighbour, a friend or the family, and who"
    " wonders what others make of it. Read all of it before you make up your mind, since the end often "
    "puts the beginning in another light. Then say in one sentence what you would have done in that "
    "place, whoever was right. Do not repeat what was told.",
    (),
)
STARS = task("Give the review 1, 2 or 3 stars.", ("1", "2", "3"))


def verdict(text: str, about: Task = TWEETS) -> str:
    """The reason for the rejection of a model's answer, or the accepted text."""

    class Once:
        generated = True

        def answers(self, about: Task, numbers: range, taken: object) -> list[str | Rejection]:
            return [text]

    pool = top_up(original_alone(about), about, Once(), "test", count=1, attempts=1)  # type: ignore[arg-type]
    return pool.texts[0] if pool.texts else pool.rejected[0].reason


TAKEN_OFF = [
    f"```\n{GOOD}\n```",
    f"```text\n{GOOD}\n```",
    f"~~~\n{GOOD}\n~~~",
    json.dumps({"instruction": GOOD}),
    f"```json\n{json.dumps({'instruction': GOOD}, indent=1)}\n```",
    json.dumps([GOOD]),
    json.dumps({"result": {"instruction": GOOD}}),
    *(f"{a}{GOOD}{b}" for a, b in ('""', "''", "“”", "‘’", "«»", "„“", "「」", "``", "()")),
    *(f"{a}{GOOD}{a}" for a in ("*", "**", "***", "_", "__")),
    f"** {GOOD} **",
    f'**"{GOOD}"**',
    f"> {GOOD}",
    f"1. {GOOD}",
    f"- {GOOD}",
    f"### {GOOD}",
    f"<p>{GOOD}</p>",
    f'<p class="x"><b>{GOOD}</b></p>',
    f"<instruction>{GOOD}</instruction>",
    f"&quot;{GOOD}&quot;",
    f"&lt;p&gt;{GOOD}&lt;/p&gt;",
    GOOD.replace("the tweet", "the&nbsp;tweet"),
]


@pytest.mark.parametrize("text", TAKEN_OFF)
def test_a_wrapper_of_the_whole_text_is_taken_off(text: str) -> None:
    assert verdict(text) == GOOD


@pytest.mark.parametrize(
    "text",
    [
        f"Here is a paraphrase:\n\n{GOOD}",
        f"Sure! Here's the rewritten instruction: {GOOD}",
        f"**Rewritten instruction:**\n\n{GOOD}",
        f'Here is the rewritten instruction:\n\n"{GOOD}"',
        f"{GOOD}\n\n(Note: I've kept the labels as they were.)",
        f"{GOOD}\n\nI hope this helps!",
        f"{GOOD}\n\nLet me know if you'd like another one.",
        f'Here is the rewritten version:\n\n"{GOOD}"\n\nThis version keeps the labels.',
    ],
)
def test_talk_before_and_after_the_text_is_taken_off(text: str) -> None:
    assert verdict(text) == GOOD


@pytest.mark.parametrize(
    "text",
    [
        "Here is a tweet: is it positive or negative?",
        "Read the tweet: positive or negative?\n\nAnswer in a word. Feel free to ask if it is unclear.",
        "Decide: positive or negative.",
    ],
)
def test_what_may_belong_to_the_instruction_is_not_taken_off(text: str) -> None:
    assert without_talk(text, TWEETS.instruction) == text


def test_talk_that_the_original_has_stays() -> None:
    about = task("Here is a paraphrase: write it anew.\n\nLet me know if you need more.", ())
    text = "Here is a paraphrase: give it another form.\n\nLet me know if you need help."
    assert without_talk(text, about.instruction) == text


def test_quotation_marks_within_a_quoted_text_stay() -> None:
    assert verdict('"Say "positive" or "negative"."') == 'Say "positive" or "negative".'
    assert verdict(json.dumps('Say "positive" or "negative".')) == 'Say "positive" or "negative".'
    assert verdict("“Say “positive” or “negative”.”") == "Say “positive” or “negative”."


@pytest.mark.parametrize(
    "text",
    [
        '"positive" if the author is glad, otherwise "negative"',
        "“positive” if the author is glad, otherwise “negative”",
        "„positive“ if the author is glad, otherwise „negative“",
        "'positive' where it isn't sad, otherwise 'negative'",
        "**positive** if the author is glad, otherwise **negative**",
        "(a) Read the tweet, then say positive or negative (b)",
        "1. Read the tweet.\n2. Say positive or negative.",
        "1. Read the tweet. 2. Say positive or negative.",
        "- Read the tweet.\n- Say positive or negative.",
        "{positive, negative}: which of them fits the tweet?",
    ],
)
def test_marks_that_wrap_only_parts_stay(text: str) -> None:
    assert verdict(text) == text


def test_what_the_original_has_is_not_taken_off() -> None:
    about = task("Turn the HTML into text: <p>A &amp; B</p>", ())
    text = "<p>Write the HTML as plain text, &amp; nothing else.</p>"
    assert unwrapped(text, about.instruction) == text


WRAPPING, PREFIX, REQUEST = "wrapping", "begins with", "repeats words of the request"
SEVERAL, EXAMPLE, OTHER = "several texts", "gives an example", "names another answer"

REFUSED = [
    (TWEETS, "Write in English whether the tweet is positive or negative.", REQUEST),
    (TWEETS, "Say positive or negative of the tweet, with no example, and explain nothing.", REQUEST),
    (TWEETS, "Put into the requested style whether the tweet is positive or negative.", REQUEST),
    (TWEETS, f"{GOOD} Use another style, sentence structure or tone.", REQUEST),
    (TWEETS, f"{GOOD} This is a variation of the original task.", REQUEST),
    (TWEETS, "Sentence 1: The tweet is positive.\nSentence 2: The tweet is negative.", PREFIX),
    (STORY, f"{STORY.instruction[:300]} The rewritten instruction is to be in English.", REQUEST),
    (TWEETS, f"{GOOD}\n```", WRAPPING),
    (TWEETS, f"<p>{GOOD}", WRAPPING),
    (TWEETS, f"<p>Read it.</p><p>{GOOD}</p>", WRAPPING),
    (TWEETS, f'"{GOOD}', WRAPPING),
    (TWEETS, f"“{GOOD}", WRAPPING),
    (TWEETS, json.dumps({"instruction": GOOD, "style": "plain"}), WRAPPING),
    (TWEETS, json.dumps([GOOD, "Is it positive or negative?"]), WRAPPING),
    (TWEETS, f"{{'instruction': '{GOOD}'}}", WRAPPING),
    *(
        (TWEETS, f"{prefix} {GOOD}", PREFIX)
        for prefix in (
            *("Instruction:", "**Instruction:**", "Output:", "Response:", "Here you go:", "Option 1:"),
            *(
                "Version A:",
                "Alternative 2:",
                '"instruction":',
                "Instruction -",
                "Prompt:",
                "User:",
                "Final answer:",
                "Anweisung:",
                "指令：",
            ),
        )
    ),
    (TWEETS, f"assistant\n{GOOD}", PREFIX),
    (TWEETS, f"User: {GOOD}\nAssistant:", PREFIX),
    (TWEETS, f"# Instruction\n{GOOD}", PREFIX),
    (TWEETS, f"Option 1: {GOOD}\n\nOption 2: Is it positive or negative?", PREFIX),
    (MOOD, "选项1：评论是积极还是消极？", PREFIX),
    (TWEETS, f"{GOOD} (Style: formal and precise; as brief as possible)", REQUEST),
    (TWEETS, f"{GOOD} (formal and precise)", REQUEST),
    (TWEETS, f"{GOOD}\nformal and precise; as brief as possible", REQUEST),
    (TWEETS, f"Style: numbered steps\n{GOOD}", REQUEST),
    (TWEETS, f"{GOOD} Write in English.", REQUEST),
    (MOOD, "这条评论是积极还是消极？（风格：正式而准确）", REQUEST),
    (TWEETS, f"1. {GOOD}\n2. Is the tweet positive or negative?", SEVERAL),
    (TWEETS, f"- {GOOD}\n- Is the tweet positive or negative?", SEVERAL),
    (TWEETS, f"{GOOD}\n\nOr\n\nIs the tweet positive or negative?", SEVERAL),
    (TWEETS, f"{GOOD}\n\n---\n\nIs the tweet positive or negative?", SEVERAL),
    (FREE, "1. Write the summary of a review.\n2. Read the review and write its summary.", SEVERAL),
    (TWEETS, f"{GOOD} For example, 'I love it' is positive.", EXAMPLE),
    (TWEETS, f"{GOOD} 'I love it' is positive.", EXAMPLE),
    (TWEETS, f"Text: I love it\nOutput: positive\n\n{GOOD}", EXAMPLE),
    (TWEETS, f'{GOOD} "What a day!" -> positive', EXAMPLE),
    (MOOD, "判断评论是积极还是消极，例如“很好看”是积极。", EXAMPLE),
    (TWEETS, "Is the tweet positive, negative or neutral?", OTHER),
    (TWEETS, "Is it a positive, neutral, or negative tweet?", OTHER),
    (TWEETS, "Is the tweet positive or negative or mixed?", OTHER),
    (TWEETS, "positive/negative/neutral: which is the tweet?", OTHER),
    (TWEETS, "Pick from {positive, negative, mixed} for the tweet.", OTHER),
    (TWEETS, "Labels: positive, negative, neutral. Which fits?", OTHER),
    (TWEETS, 'Is the tweet "positive", "negative" or "neither"?', OTHER),
    (TWEETS, "Sort the tweet:\n- positive\n- negative\n- neutral", OTHER),
    (MOOD, "评论是积极、消极或中性？", OTHER),
    (STARS, "How many stars is it: 1, 2, 3 or 4?", OTHER),
]


@pytest.mark.parametrize(("about", "text", "reason"), REFUSED)
def test_what_is_not_the_paraphrase_alone_is_refused(about: Task, text: str, reason: str) -> None:
    assert verdict(text, about).startswith(reason)


PASS = [
    (TWEETS, "Output: positive or negative. Input: a tweet."),
    (TWEETS, "Instruction: sort the tweet.\nInput: a tweet.\nOutput: positive or negative."),
    (TWEETS, "1. Read the tweet.\n2. Decide: positive or negative?\n3. Write that down."),
    (TWEETS, "Say positive, or rather, negative, if the tweet is sad."),
    (TWEETS, "Answer positive or negative, or say which one is closer."),
    (TWEETS, "Is the tweet positive? Or is it negative, or does it only seem so?"),
    (TWEETS, "Give one label (positive, negative), nothing else, for the tweet."),
    (TWEETS, "Give a formal and precise label, positive or negative, to the tweet."),
    (TWEETS, "The tweet says how its author feels; positive and negative are the options."),
    (MOOD, "在积极、消极两者中选一个。"),
    (MOOD, "评论是积极的还是消极的？"),
    (FREE, "Read the review. Then write down what it says, in short."),
    (FREE, "1. Read the review.\n2. Write a summary."),
    (STARS, "1, 2 or 3 stars: how many does the review give?"),
    (STARS, "Option 1: poor. Option 2: fair. Option 3: good. Which one is the review?"),
    (task("For example, is the tweet positive or negative?"), f"{GOOD} For example, look at its verbs."),
    (task("Is the tweet positive, negative or neutral?"), "Which: positive, negative or neutral?"),
]


@pytest.mark.parametrize(("about", "text"), PASS)
def test_a_paraphrase_that_only_looks_so_passes(about: Task, text: str) -> None:
    assert reject_reason(text, about, []) is None


# Paraphrases of other kinds of tasks, in the styles that the request names.
NLI = task(
    "Given a premise and a hypothesis, say whether the relation is entailment, neutral or contradiction.",
    (
        "entailment",
        "neutral",
        "contradiction",
    ),
)
AG = task(
    "Which section does the news item belong to: World, Sports, Business or Sci/Tech?",
    (
        "World",
        "Sports",
        "Business",
        "Sci/Tech",
    ),
)
TOX = task(
    "Decide whether the comment is toxic or non-toxic.",
    (
        "toxic",
        "non-toxic",
    ),
)
TF = task(
    "Is the claim true or false?",
    (
        "true",
        "false",
    ),
)
ABC = task(
    "Answer the question with the letter of the right option: A, B, C or D.",
    (
        "A",
        "B",
        "C",
        "D",
    ),
)
EMO = task(
    "Name the emotion of the message: joy, anger, sadness, fear.",
    (
        "joy",
        "anger",
        "sadness",
        "fear",
    ),
)
TEAM = task(
    "Which team should answer this ticket: billing, shipping or technical?",
    (
        "billing",
        "shipping",
        "technical",
    ),
)
SUM = task("Summarize the following article in one sentence.", ())
TR = task("Translate the sentence from English into German.", ())
QA = task("Answer the question using the passage. If it cannot be answered, say so.", ())
CODE = task("Write a Python function that does what the docstring says.", ())
EX = task("Extract all names of people from the text and list them separated by commas.", ())
POL = task("Reply to the customer politely.", ())
BIN = task(
    "Is the sentence grammatical? Answer 1 if it is, otherwise 0.",
    (
        "0",
        "1",
    ),
)
GOOD_ONES = [
    (
        NLI,
        "Does the hypothesis follow from the premise (entailment), contradict "
        "it (contradiction), or neither (neutral)?",
    ),
    (
        NLI,
        "Label each premise–hypothesis pair:\n- entailment: the hypothesis "
        "must be true\n- neutral: it may be true\n- contradiction: it cannot be true",
    ),
    (NLI, "Relation between the two texts? Choose one: contradiction / neutral / entailment."),
    (
        NLI,
        "Read both texts, then decide. Use entailment when the second follows, "
        "contradiction when it cannot hold, and neutral for everything else.",
    ),
    (AG, "Sort this news item into World, Sports, Business, or Sci/Tech."),
    (AG, "News desk. Sections: World | Sports | Business | Sci/Tech. Where does this story go?"),
    (AG, "As an editor, file the story under one heading.\n1) World\n2) Sports\n3) Business\n4) Sci/Tech"),
    (AG, "Output one of World, Sports, Business and Sci/Tech; the input is a news item."),
    (TOX, "Would a moderator call this comment toxic, or is it non-toxic?"),
    (TOX, "toxic or non-toxic? Judge the comment by its tone, not its topic."),
    (TOX, "Check the comment. If it insults, threatens or demeans someone, it's toxic; if not, non-toxic."),
    (TF, "Fact-check this claim: true or false?"),
    (TF, "Respond with true if the claim holds, or with false if it doesn't."),
    (TF, "You're a fact checker. The claim below is either true or false. Which is it?"),
    (ABC, "Pick the correct choice and write only its letter (A, B, C, or D)."),
    (ABC, "A, B, C or D: which option answers the question?"),
    (
        ABC,
        "Read the question. Four options follow, marked A to D: A, B, C, D. "
        "Give the letter of the right one.",
    ),
    (EMO, "How does the writer feel? joy, anger, sadness or fear."),
    (EMO, "Emotion label (one of joy, anger, sadness, fear) for the message, please."),
    (EMO, "Pick the emotion that dominates the message. Your options are: joy, anger, sadness, and fear."),
    (TEAM, "Route the ticket to billing, shipping, or technical."),
    (TEAM, "Hi! Could you tell me who should take this ticket - billing, shipping or technical?"),
    (
        TEAM,
        "Routing rules: payment problems go to billing; delivery problems go "
        "to shipping; everything else goes to technical. Route this ticket.",
    ),
    (
        TEAM,
        "1. Read the ticket.\n2. Find out what the customer needs.\n3. Write billing, shipping or technical.",
    ),
    (SUM, "Condense the article into a single sentence."),
    (SUM, "What is the gist of this article? One sentence only."),
    (SUM, "Task: single-sentence summary. Input: article. Output: one sentence."),
    (SUM, "TL;DR in one sentence, please."),
    (SUM, "Given an article, produce a one-sentence summary."),
    (TR, "Render this English sentence in German."),
    (TR, "How would you say the English sentence in German?"),
    (TR, "Input: an English sentence. Output: its German translation."),
    (TR, "English → German. Translate the sentence."),
    (
        QA,
        "Use the passage to answer the question; when the passage has no "
        "answer, say that it cannot be answered.",
    ),
    (
        QA,
        "Question and passage are given. Base your answer on the passage "
        "alone, and admit it if no answer is there.",
    ),
    (CODE, "Implement the function described by the docstring, in Python."),
    (CODE, "Turn the docstring into working Python code (a function)."),
    (CODE, "Docstring in, Python function out."),
    (EX, "List every person's name that occurs in the text, with commas between them."),
    (EX, "Which people are mentioned? Give their names as a comma-separated list."),
    (POL, "Write a courteous answer to this customer."),
    (POL, "Answer the customer in a friendly and respectful way."),
    (BIN, "Print 1 for a grammatical sentence and 0 for an ungrammatical one."),
    (BIN, "Grammatical: 1. Ungrammatical: 0. Which one is this sentence?"),
    (BIN, "Return 0 or 1 depending on whether the sentence follows the rules of grammar (1 = yes)."),
]


def test_no_good_paraphrase_is_refused_or_altered() -> None:
    for about, text in GOOD_ONES:
        assert verdict(text, about) == text


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_style_and_length_in_brackets_is_a_word_of_the_request(language: str) -> None:
    about, text = (TWEETS, GOOD) if language == "en" else (MOOD, "评论是积极还是消极？")
    for style in STYLES[language]:  # type: ignore[index]
        for length in LENGTHS[language]:  # type: ignore[index]
            assert reject_reason(f"{text} {style}; {length}", about, []) == REQUEST


# --- whatever is wrapped

WORDS = st.sampled_from("the tweet says what its author feels about it and so do we".split())
SENTENCES = st.lists(WORDS, min_size=1, max_size=8).map(" ".join)
TEXTS = st.builds(
    "{} {}, {} {}.".format,
    SENTENCES,
    st.sampled_from(['"positive"', "positive"]),
    SENTENCES,
    st.just("negative"),
)
WRAPPERS: dict[str, Callable[[str], str]] = {
    "fence": lambda text: f"```\n{text}\n```",
    "json": lambda text: json.dumps({"instruction": text}),
    "list": lambda text: json.dumps([text], ensure_ascii=False),
    "string": json.dumps,
    "quotes": lambda text: f'"{text}"',
    "curly": lambda text: f"“{text}”",
    "bold": lambda text: f"**{text}**",
    "italics": lambda text: f"_{text}_",
    "brackets": lambda text: f"({text})",
    "element": lambda text: f"<div>{text}</div>",
    "quote": lambda text: "\n".join(f"> {line}" for line in text.split("\n")),
    "entities": html.escape,
    "item": lambda text: f"1. {text}",
    "blanks": lambda text: f"\n {text}\n",
}


@given(text=TEXTS, names=st.lists(st.sampled_from(sorted(WRAPPERS)), max_size=3, unique=True))
@example(text='the "positive", it negative.', names=["quotes", "json"])
def test_a_wrapped_text_comes_back_as_it_was_or_is_refused(text: str, names: list[str]) -> None:
    wrapped = text
    for name in names:
        wrapped = WRAPPERS[name](wrapped)
    found = unwrapped(wrapped, TWEETS.instruction)
    assert found == text or reject_reason(found, TWEETS, []) is not None
    if len(names) <= 1:
        assert found == text


@given(text=st.text(st.sampled_from("\"'*_`<>p/{}[]()“”„«»「」 \n1.-#&;quot\\ab是"), max_size=40))
def test_unwrapping_ends_and_makes_no_text_longer(text: str) -> None:
    found = unwrapped(text, "")
    assert len(found) <= len(text)
    assert found == found.strip()


@pytest.mark.slow
@given(value=st.recursive(st.none() | st.text() | st.integers(), lambda inner: st.lists(inner), max_leaves=4))
def test_json_with_one_text_is_that_text(value: object) -> None:
    found = json_text(json.dumps(value))
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
        if isinstance(value, str):
            assert found == value
            return
    assert found is None
