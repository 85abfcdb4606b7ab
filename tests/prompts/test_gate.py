"""The gate: accepted and rejected texts; no text makes it fail."""

import json
import re
import time
import unicodedata
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from sapo_lite.data.language import language_of, words_of
from sapo_lite.model.chat import ChatFormat
from sapo_lite.prompts.gate import NEAR_DUPLICATE, normalise, overlap, reject_reason, required_labels
from sapo_lite.support.shipped import shipped
from sapo_lite.types import Language, Task
from tiny import FAMILIES, llama_tokenizer, qwen3_tokenizer


def task(
    instruction: str,
    labels: tuple[str, ...] = (),
    *,
    id: str = "task273_europarl_classification",
    language: Language = "en",
) -> Task:
    return Task(id, "SUPERNI", instruction, "Answer:", labels, language, train=(), test=())


YES_NO = task('Generate label "yes" if the translation is right, otherwise "no".', ("yes", "no"))
STANCE = task("判断对指定对象的态度：A.支持，B.反对，C.中立。输出A，B或者C。", ("A", "B", "C"), language="zh")
RATING = task("Rate the product on a scale of 1-5 based on the review.", ("1", "2", "3", "4", "5"))
ENTAILS = task("Say 0 for entailment, 1 for a neutral pair, 2 for a contradiction.", ("0", "1", "2"))
FREE = task("Write a summary of the review.")
TWEETS = task(
    "You are given the text of a tweet. Your task is to sort it into one of two categories by its "
    "content: positive or negative.",
    ("positive", "negative"),
)
ETHICS = task(
    "This is a story in which somebody gets into a difficult situation. The question is whether the "
    'person who tells it behaved well. Answer with "RIGHT" or "WRONG".',
    ("RIGHT", "WRONG"),
)
DIALOGUE = task(
    "Two people are talking, and there are 4 options for how their conversation goes on. Choose the most "
    "reasonable one. The options stand on a line of their own after the conversation.",
    ("A", "B", "C", "D"),
)
MATHS = task("Solve the following math problem.")
PLAIN_GERMAN = task("Give a simpler version of this paragraph, in German.")
SAME_MEANING = task(
    "Here are two questions. Decide whether the second one is a paraphrase of the first one. Answer "
    '"duplicate" or "different".',
    ("duplicate", "different"),
)
CLOZE = task("Find the words that fit best for _ in the query. Links have been replaced by [Link].")
CODE = task("Complete the line of Python. Replace {name} by a list[int] such as [1, 2] or by a dict {}.")
MOOD_ZH = task("请判断这条评论的情感，输出“积极”或“消极”。", ("积极", "消极"), language="zh")
TITLE_ZH = task("请为下面的新闻写一个简短的标题，不要超过二十个字。", language="zh")
PLAIN_ZH = task("把下面的段落改成小学生能看懂的话。", language="zh")

TALK = "talks about the paraphrase"
ANSWER = "answers the task"
LOOP = "repeats itself"
LEFTOVER = "markers or tags left over"


# --- the reasons


REASONS = [
    (YES_NO, "Say yes for a right translation and no for a wrong one.", None),
    (YES_NO, "", "empty"),
    (YES_NO, " \n", "empty"),
    (YES_NO, "...", "empty"),
    (YES_NO, "\u200b\u2060\ufeff", "empty"),
    (YES_NO, "Say yes or no\ufffd", "broken characters"),
    (YES_NO, "Say yes or no\x00 here.", "broken characters"),
    (YES_NO, "Say yes or no\x1b[0m here.", "broken characters"),
    (YES_NO, "Say yes or no \ud83d here.", "broken characters"),
    (YES_NO, "Say yes if right,\r\n\tno if wrong.", None),
    (YES_NO, "GENERATE label yes, if the Translation is right; otherwise no!", "equal to the original"),
    (YES_NO, "taken:  YES, yes? no", "equal to another candidate"),
    (YES_NO, "Decide whether the translation is right.", 'label "yes" missing'),
    (YES_NO, "Say Yes or no.", 'label "yes" altered'),
    (YES_NO, "Say ｙｅｓ or no.", 'label "yes" altered'),
    (YES_NO, "Say yess or no.", 'label "yes" missing'),
    (YES_NO, "Say ye\u200bs or no.", 'label "yes" missing'),
    (YES_NO, "Say yes\u0301 or no.", 'label "yes" missing'),
    (YES_NO, "Say yes, or nothing: yes and nobody else.", 'label "no" missing'),
    (YES_NO, "Say **yes** or 'no', then.", None),
    (YES_NO, "Right translation?\n- yes\n- no", None),
    (STANCE, "这段文字持什么立场？支持选A，反对选B，中立选C。", None),
    (STANCE, "支持选Ａ，反对选B，中立选C。", 'label "A" altered'),
    (STANCE, "支持选a，反对选B，中立选C。", 'label "A" altered'),
    (STANCE, "支持选AB，反对选B，中立选C。", 'label "A" missing'),
    (RATING, "Give 1 star to 5 stars.", None),
    (RATING, "Give one star to 5 stars.", 'label "1" missing'),
    (RATING, "Give 10 to 5 stars.", 'label "1" missing'),
    (ENTAILS, "Mark every pair of texts as 0 (entailment) or 2 (contradiction).", 'label "1" missing'),
]


@pytest.mark.slow
def test_the_gate_gives_a_reason_for_every_refusal() -> None:
    for about, text, reason in REASONS:
        accepted = ["Taken: yes, YES, no."]
        assert reject_reason(text, about, accepted) == reason, text
        # These hold for what people write too.
        assert reject_reason(text, about, accepted, generated=False) == reason, text


LEFTOVERS = [
    *"<START> </START> <START/> </START ＜START＞ <END> <think> </think> <think/> <THINKING>".split(),
    *"</thought> <reasoning> ◁think▷ [THINK] [START] [/INST] <<SYS>> <s> </s> <bos> <eos> <pad>".split(),
    *"<|im_end|> <|eot_id|> <|endoftext|> <｜end▁of▁sentence｜> <start_of_turn>".split(),
    *"<end_of_turn> <tool_call> </tool_response>".split(),
    *("</start >", "< START >", "<think>\n\n</think>", "<think>\nThe user wants yes or no.\n"),
]


def test_markers_thinking_and_tags_of_chat_templates_are_left_over() -> None:
    for rest in LEFTOVERS:
        for text in (f"Say yes or no.{rest}", f"{rest} Say yes or no."):
            assert reject_reason(text, YES_NO, [], generated=False) == LEFTOVER, rest


@pytest.mark.parametrize("tag", ["<s>", "<end>", "[INST]", "\ufffd", "\x0c", "<|sep|>"])
def test_what_the_original_has_a_paraphrase_may_have(tag: str) -> None:
    about = task(f"Summarise what stands before {tag} in the text.")
    text = f"What comes ahead of {tag}? Sum it up."
    assert reject_reason(text, about, []) is None
    assert reject_reason(text, FREE, []) is not None


@pytest.mark.parametrize(
    ("original", "text", "reason"),
    [
        (
            "One two three four five six seven eight nine ten.",
            "One two three four five six seven eight nine eleven!",
            None,
        ),
        (
            TWEETS.instruction,
            TWEETS.instruction.replace("one of two", "one of these two"),
            "nearly equal to the original",
        ),
        (
            TWEETS.instruction,
            TWEETS.instruction.replace("sort it", "put it"),
            "nearly equal to the original",
        ),
    ],
)
def test_a_few_words_changed_are_no_other_wording(original: str, text: str, reason: str | None) -> None:
    assert (overlap(text, original) > NEAR_DUPLICATE) == (reason is not None)
    assert reject_reason(text, task(original), []) == reason
    other = "nearly equal to another candidate" if reason else None
    assert reject_reason(text, FREE_LONG, [original]) == other
    assert reject_reason(text, task(original), [], generated=False) is None


FREE_LONG = task("Write down, in a sentence or two of your own, what the customer thought of it all.")

AT_LENGTH = (
    "Read what the customer has written about it with care, to the end, before you decide on any "
    "number. Look at praise and at complaints alike; a late delivery counts less than a thing that "
    "broke on its first day. If somebody bought another one as a gift, that says a lot. Irony means the"
    " opposite of its words. Think of how likely you would be, after reading all this, to spend your "
    "own money there. Then choose whichever grade fits best, and do not be shy of either end: where "
    "nothing speaks for it, be strict, and where all of it does, be generous. Doubtful cases lie in the"
    " middle."
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Rate it from 1-5.", None),
        ("1-5?", "answers the task"),  # no word
        (f"Rate it from 1 to 5. {AT_LENGTH[:450]}", None),
        (f"Rate it from 1 to 5. {AT_LENGTH}", "too long"),
    ],
)
def test_a_paraphrase_may_be_brief_and_a_few_sentences_longer(text: str, reason: str | None) -> None:
    assert reject_reason(text, RATING, []) == reason
    assert reject_reason(text, RATING, [], generated=False) is None


def test_a_tenth_of_a_long_instruction_has_lost_its_conditions() -> None:
    about = task("Keep to each of these conditions. " * 20)
    assert (
        reject_reason(
            "Keep to each of the twenty conditions that I name in this text here and now.", about, []
        )
        is None
    )
    assert reject_reason("Keep to all twenty.", about, []) == "too short"


LANGUAGES = [
    (
        YES_NO,
        "Верен ли этот перевод. Say yes if the translation is right, and otherwise say no.",
        "not in English",
    ),
    (YES_NO, "Ist die Übersetzung richtig, dann „yes“, sonst „no“.", "not in English"),
    (YES_NO, "Prüfe, ob die Übersetzung korrekt ist, und gib yes oder no aus.", "not in English"),
    (FREE, "Schreibe eine Zusammenfassung der Rezension.", "not in English"),
    (FREE, "Fasse das Wichtigste zusammen.", "not in English"),
    (FREE, "Rédigez un résumé de la critique.", "not in English"),
    (YES_NO, "Indiquez yes si la traduction est correcte et no dans le cas contraire.", "not in English"),
    (FREE, "Escribe un resumen de la siguiente reseña.", "not in English"),
    (FREE, "Scrivi un riassunto della recensione che segue.", "not in English"),
    (FREE, "Escreva um resumo da avaliação, por favor.", "not in English"),
    (FREE, "Schrijf een samenvatting van het volgende.", "not in English"),
    (FREE, "Hãy viết một bản tóm tắt cho bài đánh giá này.", "not in English"),
    (FREE, "Напишите краткое изложение отзыва.", "not in English"),
    (FREE, "请写出这条评论的摘要。", "not in English"),
    (FREE, "レビューの要約を書いてください。", "not in English"),
    (FREE, "Sum up the review. 只输出摘要。", "not in English"),
    (YES_NO, "如果翻译正确，输出 yes，否则输出 no。", "not in English"),
    (STANCE, "State the stance: A, B or C.", "not in Chinese"),
    (
        STANCE,
        "Determine the author's attitude to the target (目标): A for 支持, B for 反对, C.",
        "not in Chinese",
    ),
    (STANCE, "対象に対する態度を判断してください。支持ならA、反対ならB、中立ならC。", "not in Chinese"),
    (STANCE, "대상에 대한 태도를 판단하세요. A, B 또는 C.", "not in Chinese"),
    (PLAIN_GERMAN, "Vereinfache den folgenden Absatz auf Deutsch.", "not in English"),
    (PLAIN_GERMAN, "Say in simple German (einfaches Deutsch) what the paragraph says.", None),
    (YES_NO, "Is the translation from Bulgarian (български) into English right? yes or no.", None),
    (task("Translate en-fr."), "From en to fr: translate.", None),
    (task("Is 你好 a greeting?"), "Tell whether 你好 is used to greet someone.", None),
    (
        task("Mots et phrases du texte: lesquels sont dans la liste?"),
        "Quels mots sont dans la liste ?",
        None,
    ),
    (FREE, "Review in, summary out: short, café style, no fluff.", None),
]


def test_a_paraphrase_is_in_the_language_of_the_task() -> None:
    for about, text, reason in LANGUAGES:
        assert reject_reason(text, about, []) == reason, text
        assert reject_reason(text, about, [], generated=False) is None, text


# --- what small local models say

BAD: list[tuple[Task, str, str]] = [
    # talk before the paraphrase
    (TWEETS, "Sure! Decide whether the tweet is positive or negative.", TALK),
    (TWEETS, "Certainly! Here's a rephrased version:\n\nIs the tweet positive or negative?", TALK),
    (TWEETS, "Here is a paraphrased version of the instruction:\nIs it positive or negative?", TALK),
    (TWEETS, "Here's one possible rewrite: tag the tweet as positive or negative.", TALK),
    (TWEETS, "**Rewritten Instruction:**\n\nLabel the tweet positive or negative.", TALK),
    (TWEETS, "Paraphrase: Does the tweet sound positive or negative?", TALK),
    (TWEETS, "Paraphrase 1: Does the tweet sound positive or negative?", TALK),
    (TWEETS, "Rephrased (formal): The tweet shall be labelled positive or negative.", TALK),
    (TWEETS, "I've rewritten it as a question: is the tweet positive or negative?", TALK),
    (TWEETS, "Okay, the user wants me to rewrite this. So: is the tweet positive or negative?", TALK),
    (TWEETS, "Let me rephrase that. Is the tweet positive or negative?", TALK),
    (TWEETS, "Rewrite the instruction of a task. The labels positive and negative must stay.", TALK),
    (TWEETS, "This is the original instruction in plain words: positive or negative tweet?", TALK),
    (MOOD_ZH, "好的，以下是改写后的指令：这条评论是积极还是消极？", TALK),
    (MOOD_ZH, "改写后：这条评论的情绪是积极还是消极？", TALK),
    (MOOD_ZH, "当然！读一读评论，说说它是积极还是消极。", TALK),
    (MOOD_ZH, "用户希望我改写这条指令。判断评论积极还是消极。", TALK),
    (MOOD_ZH, "以下是换一种说法：评论是积极的还是消极的？", TALK),
    # and after it
    (ETHICS, "Did the narrator do well? RIGHT or WRONG.\n\nI hope this helps!", TALK),
    (ETHICS, "Was it RIGHT or WRONG? Let me know if you'd like another version.", TALK),
    (ETHICS, "Was it RIGHT or WRONG?\n\n(Note: I kept the labels exactly as they were.)", TALK),
    (ETHICS, "Was it RIGHT or WRONG?\n\nThis version keeps the meaning and is more direct.", TALK),
    (MOOD_ZH, "评论是积极还是消极？希望这对你有帮助！", TALK),
    (MOOD_ZH, "评论是积极还是消极？\n（注：改写时保留了原文的标签。）", TALK),
    # it asks for the input
    (MATHS, "Please provide the math problem you would like me to solve.", TALK),
    (MATHS, "I'd be happy to help! What is the problem?", TALK),
    (FREE, "I'm here to support you. What is the product that you are reviewing?", TALK),
    (FREE, "I'm glad to be able to assist you with your review.", TALK),
    (TITLE_ZH, "请提供新闻内容，我会为您写一个标题。", TALK),
    # it refuses
    (ETHICS, "I'm sorry, but I can't decide who is RIGHT or WRONG.", "refuses"),
    (FREE, "I cannot fulfill this request.", "refuses"),
    (FREE, "As an AI language model, I have not read the review.", "refuses"),
    (FREE, "It seems you did not include a review.", "refuses"),
    (FREE, "N/A", "refuses"),
    (TITLE_ZH, "很抱歉，我无法完成这个任务。", "refuses"),
    (TITLE_ZH, "作为一个人工智能，我没有看到新闻。", "refuses"),
    # gaps to fill in
    (TWEETS, "Is this tweet positive or negative? {tweet}", "placeholder {tweet} left over"),
    (
        TWEETS,
        "Tweet: [INSERT TWEET HERE]. positive or negative?",
        "placeholder [INSERT TWEET HERE] left over",
    ),
    (TWEETS, "{{text}}\nIs it positive or negative?", "placeholder {{text}} left over"),
    (FREE, "Review: [Your text here]. Sum it up.", "placeholder [Your text here] left over"),
    (FREE, "<your instruction> about the review", "placeholder <your instruction> left over"),
    (FREE, "Sum up {0} in one sentence.", "placeholder {0} left over"),
    (TITLE_ZH, "新闻：[在此插入新闻]。请写标题。", "placeholder [在此插入新闻] left over"),
    (TITLE_ZH, "请为{文本}写一个标题。", "placeholder {文本} left over"),
    # it loses its way
    (TWEETS, "Say positive or negative, and then say " + "positive or negative, and then say " * 9, LOOP),
    (FREE, "Sum up the review. The review is to be summed up. " * 3, LOOP),
    (MATHS, "Find the most likely of the options, and the most likely of the options, " * 4, LOOP),
    (TITLE_ZH, "请写一个简短的标题，" * 8, LOOP),
    # it carries the task out
    (TWEETS, "positive", 'label "negative" missing'),
    (TWEETS, "positive or negative", ANSWER),
    (DIALOGUE, "B", ANSWER),
    (TWEETS, "The answer is positive or negative.", ANSWER),
    (TWEETS, 'The answer to this question is: "positive" or "negative"', ANSWER),
    (TWEETS, 'The answer is "negative".\n\nThe task is to say positive or negative of a tweet.', ANSWER),
    (DIALOGUE, "Answer: C", ANSWER),
    (FREE, "Great!", ANSWER),
    (MATHS, "Twelve.", ANSWER),
    (TITLE_ZH, "大雪", ANSWER),
    (DIALOGUE, "The most reasonable option is B, because the man has just agreed to come.", ANSWER),
    (DIALOGUE, "A or C", ANSWER),
    (MATHS, "42", ANSWER),
    (MATHS, "The answer is 42.", ANSWER),
    (MATHS, "x = 5", ANSWER),
    (task("谁写了这首诗？请回答。", language="zh"), "答案是：李白。", ANSWER),
    (STANCE, "A，B，C", ANSWER),
]

GOOD: list[tuple[Task, str]] = [
    (FREE, "Summary?"),
    (TITLE_ZH, "写标题。"),
    (RATING, "Rate 1-5."),
    (TWEETS, "The answer is positive where the author of the tweet sounds glad, and negative elsewhere."),
    (YES_NO, "Is the translation from Bulgarian (български език) into English right? Say yes or no."),
    (TWEETS, "Is this tweet positive or negative?"),
    (TWEETS, "Tweet in, label out: positive / negative."),
    (
        TWEETS,
        "Sentiment. Input: one tweet. Output: positive OR negative, nothing else, no comment, single word.",
    ),
    (TWEETS, "Hey! Mind telling me if this tweet feels positive or negative? 😊"),
    (TWEETS, "Okay, here's a tweet. Is its mood positive, or rather negative?"),
    (TWEETS, "Let me know if this tweet is positive or negative."),
    (TWEETS, "Sorry to bother you, but which is it: a positive tweet, or a negative one?"),
    (TWEETS, "1. Read the tweet.\n2. Think about how it feels.\n3. Write positive or negative."),
    (TWEETS, "**Task**\n\nSort tweets.\n\n**Labels**\n\n- positive\n- negative"),
    (TWEETS, "Given a tweet, choose from the set {positive, negative}."),
    (TWEETS, "Assign [positive] or [negative] to every tweet."),
    (
        TWEETS,
        "The annotator reads a tweet and marks it “positive” or “negative”, whichever its content suggests.",
    ),
    (TWEETS, "I can't tell whether this tweet is positive or negative. Can you?"),
    (TWEETS, "A tweet is posted by the user. Label: positive if they are happy, negative if not."),
    (RATING, "Here is a review. How many stars, 1 to 5, does it deserve?"),
    (RATING, "Unfortunately, the stars of this review got lost. Restore them: 1 is the worst, 5 the best."),
    (RATING, "Rating scale: 1 < 2 < 3 < 4 < 5. Input text > output number."),
    (RATING, "Review in, rating out. Legend: 1 poor / 2 weak / 3 fair / 4 good / 5 superb."),
    (YES_NO, 'Right translation: "yes". Wrong translation: "no".'),
    (YES_NO, "Does the translation convey what the original sentence says? Respond yes if so; if not, no."),
    (YES_NO, "The answer is yes where the translation is right, and no where it is not."),
    (ETHICS, "After reading the story: did its teller do the RIGHT thing, or the WRONG one?"),
    (ETHICS, "Here's a story somebody told. I have no opinion yet. Were they RIGHT or WRONG?"),
    (DIALOGUE, "Which of the options A, B, C and D continues the conversation best?"),
    (DIALOGUE, "A conversation between two people is given. Pick the option that follows most naturally."),
    (DIALOGUE, "The correct answer is the option that two sensible people would go on with."),
    (DIALOGUE, "Read the dialogue. Below it you will find options A to D. What is said next?"),
    (MATHS, "Work it out: what is the result?"),
    (MATHS, "Solve this."),
    (MATHS, "Please provide the result of this calculation, and nothing else."),
    (PLAIN_GERMAN, "Rewrite the paragraph below in plain German:"),
    (PLAIN_GERMAN, "Here is a paragraph to be rewritten in easy German."),
    (SAME_MEANING, "Two questions: paraphrases of each other (duplicate), or not (different)?"),
    (
        SAME_MEANING,
        "Compare both questions: if one is a rewritten version of the other, say duplicate; else different.",
    ),
    (
        CLOZE,
        "Read the query and give the words that belong in the place of _. Note that [Link] stands for a URL.",
    ),
    (CODE, "Finish the Python line: {name} is to become a list[int], say [1, 2], or else a dict {}."),
    (
        CODE,
        "Which code completes the line? `if a < b and c > d: x[i] = List<String>` is no Python, remember.",
    ),
    (FREE, "Read the answer the customer gave, then sum it up."),
    (FREE, "Summarise. One line. No opinions."),
    (FREE, "In one sentence, what does the reviewer say?"),
    (STANCE, "请阅读文本，指出作者对该对象的立场。支持写A，反对写B，没有明确立场写C。"),
    (STANCE, "【任务】立场判断\n【选项】A：支持；B：反对；C：中立"),
    (STANCE, "作者是赞成、反对，还是保持中立？请分别用A、B、C作答。"),
    (MOOD_ZH, "看完这条评论，你觉得它是积极的，还是消极的？"),
    (MOOD_ZH, "情感分类：积极/消极。输入：一条评论。"),
    (MOOD_ZH, "希望你能读一读评论，然后告诉我它积极还是消极。"),
    (MOOD_ZH, "如果你还拿不准，就多读一遍评论：是积极还是消极？"),
    (TITLE_ZH, "1. 读新闻。\n2. 想一个标题。\n3. 标题最多二十个字。"),
    (TITLE_ZH, "给这则新闻起个标题吧，二十字以内 😀"),
    (PLAIN_ZH, "将这段话改写得通俗易懂，让小学生也能明白。"),
]


def test_what_is_no_paraphrase_is_told_by_its_look() -> None:
    for about, text, reason in BAD:
        assert reject_reason(text, about, []) == reason, text


def test_a_good_paraphrase_passes_whatever_its_style() -> None:
    for about, text in GOOD:
        assert reject_reason(text, about, []) is None, text


def test_curly_apostrophes_are_read_as_straight_ones() -> None:
    text = "I’m sorry, but I can’t choose between positive and negative."
    assert reject_reason(text, TWEETS, []) == "refuses"


LOOKS_LIKE_TALK = [text for _, text, reason in BAD if reason in (TALK, "refuses", ANSWER)]


def test_a_person_may_write_what_looks_like_talk() -> None:
    for text in LOOKS_LIKE_TALK:
        about = task("Something else altogether.")
        assert reject_reason(text, about, [], generated=False) is None, text


# --- real paraphrases


def benchmark_tasks(benchmarks: Path) -> dict[str, Task]:
    tasks = {}
    for suite in ("SUPERNI", "TRACE"):
        for name, entry in json.loads((benchmarks / suite / "instructions.json").read_text("utf-8")).items():
            language = language_of(entry["instruction"] + entry["suffix"])
            labels = tuple(entry["labels"])
            tasks[name] = Task(name, suite, entry["instruction"], entry["suffix"], labels, language, (), ())
    return tasks


C1_LABELS = {
    "task195_sentiment140_classification": ["positive", "negative"],
    "task1310_amazonreview_rating_classification": ["1", "2", "3", "4", "5"],
    "task273_europarl_classification": ["yes", "no"],
    "task611_mutual_multi_turn_dialogue": ["A", "B", "C", "D"],
    "task224_scruples_anecdotes_ethical_judgment": ["RIGHT", "WRONG"],
}


def test_the_shipped_file_has_twenty_paraphrases_a_task_which_keep_the_labels() -> None:
    path = shipped("data") / "candidates" / "ni_seq_c1.json"
    candidates = json.loads(path.read_text(encoding="utf-8"))
    assert list(candidates) == list(C1_LABELS)
    for task, texts in candidates.items():
        assert len({" ".join(text.lower().split()) for text in texts}) == len(texts) == 20
        for text in texts:
            assert text.strip() == text != ""
            for label in C1_LABELS[task]:
                assert re.search(rf"(?<!\w){re.escape(label)}(?!\w)", text), f"{label}: {text}"


@pytest.mark.benchmarks_data
def test_every_paraphrase_of_the_shipped_file_would_pass_as_a_models(benchmarks: Path) -> None:
    tasks = benchmark_tasks(benchmarks)
    texts: dict[str, list[str]] = json.loads(
        (shipped("data") / "candidates" / "ni_seq_c1.json").read_text(encoding="utf-8")
    )
    assert sum(map(len, texts.values())) == 100
    for name, wordings in texts.items():
        accepted: list[str] = []
        for text in wordings:
            assert reject_reason(text, tasks[name], accepted) is None, text
            accepted.append(text)
        pairs = [(a, b) for a in wordings for b in [*wordings, tasks[name].instruction] if a != b]
        assert max(overlap(a, b) for a, b in pairs) < NEAR_DUPLICATE - 0.2


@pytest.mark.benchmarks_data
def test_every_instruction_of_the_benchmarks_would_pass_but_for_being_the_original(benchmarks: Path) -> None:
    for about in benchmark_tasks(benchmarks).values():
        if about.instruction:
            assert reject_reason(about.instruction, about, []) == "equal to the original"
            one_more = reject_reason(f"{about.instruction} 9", about, [])
            near = "nearly equal to the original" if len(words_of(about.instruction)) > 7 else None
            assert one_more == near


@pytest.mark.benchmarks_data
def test_the_instruction_of_another_task_lacks_the_labels(benchmarks: Path) -> None:
    tasks = benchmark_tasks(benchmarks)
    labelled = [about for about in tasks.values() if required_labels(about)]
    assert len(labelled) >= 9
    for about in labelled:
        others = [t for t in tasks.values() if t.instruction and t.labels != about.labels]
        reasons = [str(reject_reason(t.instruction, about, [])) for t in others]
        assert sum(reason.startswith("label ") for reason in reasons) > 0.8 * len(reasons)


# --- labels


NAMED = [
    (RATING, ("1", "5")),
    (task("Rate it. 1: poor, 2: fair, 3: good.", ("1", "2", "3")), ("1", "2", "3")),  # a meaning each
    (task("Mark each pair as 0 (entailment), 1 (neutral) or 2.", ("0", "1", "2")), ("0", "1", "2")),
    (task("1 world, 2 sports, 3 business, 4 science: which?", ("1", "2", "3", "4")), ("1", "2", "3", "4")),
    (task("Rate it from 1 to 5, where 3 is neutral.", ("1", "2", "3", "4", "5")), ("1", "5")),
    (task("Rate it 1-5; 3 is neutral.", ("1", "2", "3", "4", "5")), ("1", "5")),
    (task("Rate it between 1 and 5; 3 is neutral.", ("1", "2", "3", "4", "5")), ("1", "5")),
    (task("打1到5分，3分为中立。", ("1", "2", "3", "4", "5"), language="zh"), ("1", "5")),
    (task("Is it 1 and 3, or 2?", ("1", "2", "3")), ("1", "2", "3")),  # no range
    (task("Answer 1 or 2 or 4.", ("1", "2", "4")), ("1", "2", "4")),
    (STANCE, ("A", "B", "C")),
    (task("In this task, choose the best option.", ("A", "B", "C")), ()),
    (task("A text is given. Choose the best option.", ("A", "B", "C")), ()),  # an article
    (task("There is no text without a claim. Is it so?", ("yes", "no")), ()),  # an ordinary word
    (task("这是一段文本，请判断真假。", ("是", "否"), language="zh"), ()),
    (task("是真的吗？回答是或否。", ("是", "否"), language="zh"), ("是", "否")),
    (task("Two options a and b are given.", ("a", "b")), ("a", "b")),
    (task("Say 'Positive Review' or 'Negative'.", ("Positive Review", "neg")), ("Positive Review",)),
    (task("Is it not entailment?", ("entailment", "not entailment")), ("not entailment",)),
    (task("true, or mostly-true?", ("true", "mostly-true")), ("true", "mostly-true")),
    (task("支持还是不支持？", ("支持", "不支持"), language="zh"), ("支持", "不支持")),
    (task("Is it C++ or C?", ("C", "C++")), ("C", "C++")),
    (task("Free text."), ()),
]


def test_only_labels_that_the_original_names_are_required() -> None:
    for about, named in NAMED:
        assert required_labels(about) == named, about


WITHIN_LONGER = [
    (
        task("Say entailment or not entailment.", ("entailment", "not entailment")),
        "Is it not entailment?",
        "entailment",
    ),
    (task("true, or mostly-true?", ("true", "mostly-true")), "Is the claim mostly-true?", "true"),
    (task("支持还是不支持？", ("支持", "不支持"), language="zh"), "他是不是不支持这件事？", "支持"),
    (task("Say a 10 or a 0.", ("10", "0")), "Say a 100 or a 10.", "0"),
]


def test_a_label_within_a_longer_label_does_not_count() -> None:
    for about, text, missing in WITHIN_LONGER:
        assert reject_reason(text, about, []) == f'label "{missing}" missing', text


LABELS = ["(a)", "C++", "a|b", ".*", "\\d", "[x]", "$1", "né", "yes and no", "_x_", "👍"]


def test_labels_are_no_patterns() -> None:
    for label in LABELS:
        about = task(f"Say {label} where it fits the text.", (label, "other one"))
        assert required_labels(about) == (label,), label
        assert reject_reason(f"Where it fits, the word to use is {label}, always.", about, []) is None, label
        assert (
            reject_reason("Where it fits, the word to use is zzz, always.", about, [])
            == f'label "{label}" missing'
        ), label


# --- normalisation and overlap


EQUAL_TEXTS = [
    ("Say  YES,\nplease!", "say yes please"),
    ("输出Ａ，B。", "输出a、b"),
    ("Straße", "STRASSE"),
    ("“a”", "'a'"),
]


def test_texts_that_differ_in_case_space_or_punctuation_are_equal() -> None:
    for one, other in EQUAL_TEXTS:
        assert normalise(one) == normalise(other), one


def test_signs_that_carry_meaning_are_kept_by_normalisation() -> None:
    assert normalise("a + b") != normalise("a = b")


OVERLAPS = [
    ("", "", 1),
    ("", "a", 0),
    ("a b", "A, b!", 1),
    ("a b c", "c b a", 0),
    ("a b c d", "a b x d", 3 / 7),
    ("判断情感", "判断态度", 2 / 8),
    ("a a a a", "a a", 3 / 5),
]


def test_overlap_is_the_share_of_neighbouring_words() -> None:
    for one, other, share in OVERLAPS:
        assert overlap(one, other) == share, one


ANY_TEXT = st.text(st.characters(), max_size=60)  # half surrogate pairs too


@given(one=ANY_TEXT, other=ANY_TEXT)
@example(one="", other="")
@example(one="...", other="\ud800")
def test_overlap_is_symmetric_and_a_share(one: str, other: str) -> None:
    assert 0 <= overlap(one, other) <= 1
    assert overlap(one, other) == overlap(other, one)
    assert overlap(one, one) == 1


# --- whatever comes back

LABELLED = [YES_NO, STANCE, RATING, ETHICS, MOOD_ZH, TWEETS]
SCRAPS = [
    *(
        "yes",
        "no",
        "Yes",
        "ＹＥＳ",
        "maybe",
        "YES ",
        "A",
        "B",
        "C",
        "A.",
        "a",
        "1",
        "5",
        "1-5",
        "RIGHT",
        "WRONG",
    ),
    *(
        "积极",
        "消极",
        "positive",
        "negative",
        "支持",
        "这条评论",
        "判断",
        "态度",
        "the tweet",
        "say",
        "is it",
    ),
    *(
        ".",
        " ",
        "\n",
        "\t",
        "\r\n",
        "{",
        "}",
        "{}",
        "[",
        "<",
        "|>",
        "<|",
        "<START>",
        "</think>",
        "<|im_end|>",
    ),
    *(
        "\ud800",
        "\ufffd",
        "\u200d",
        "\u202e",
        "e\u0301",
        "é",
        "ß",
        "😀",
        "👩\u200d💻",
        "İ",
        "ﬁ",
        "\x00",
        '"',
        "\\",
    ),
]
ANSWERS = (
    st.lists(st.sampled_from(SCRAPS), max_size=14).flatmap(
        lambda scraps: st.sampled_from(["", " "]).map(lambda between: between.join(scraps))
    )
    | ANY_TEXT
)


def labels_and(about: Task) -> st.SearchStrategy[str]:
    """Texts of which many pass: the labels in them, in any order, with anything between them."""
    labels = st.permutations(required_labels(about)).map(list)
    words = "say read text it whether the if for 如果 判断 评论 输出 请 态度".split()
    more = st.lists(st.sampled_from([*SCRAPS, *words]), max_size=10)
    return st.tuples(labels, more, st.randoms(use_true_random=False)).map(_shuffled)


def _shuffled(parts: tuple[list[str], list[str], Random]) -> str:
    labels, more, random = parts
    words = [*labels, *more]
    random.shuffle(words)
    return " ".join(words)


@cache
def chat(family: str) -> ChatFormat:
    return ChatFormat(qwen3_tokenizer() if family == "qwen3" else llama_tokenizer(), 512, 24)


def holds(text: str, label: str) -> bool:
    """Whether the label stands in the text between characters that are no letters of its script.

    Found without regular expressions, so that a slip in those of the gate shows."""
    places = [n for n in range(len(text)) if text.startswith(label, n)]
    return any(
        not _joins(text[n - 1 : n] if n else "", label[0])
        and not _joins(text[n + len(label) : n + len(label) + 1], label[-1])
        for n in places
    )


def _joins(neighbour: str, edge: str) -> bool:
    latin = [char.isascii() and char.isalnum() for char in (neighbour, edge) if char]
    return len(latin) == 2 and all(latin)


@settings(max_examples=80, deadline=None)
@given(data=st.data(), about=st.sampled_from(LABELLED), generated=st.booleans())
def test_whatever_comes_back_what_is_accepted_can_be_used(
    data: st.DataObject, about: Task, generated: bool
) -> None:
    answers = data.draw(st.lists(labels_and(about) | ANSWERS, max_size=6))
    accepted: list[str] = []
    for text in answers:
        if reject_reason(text, about, accepted, generated=generated) is None:
            accepted.append(text)
    pool = [about.instruction, *accepted]
    assert len({normalise(text) for text in pool}) == len(pool)
    for text in accepted:
        assert all(holds(text, label) for label in required_labels(about))
        assert json.loads(json.dumps(text, ensure_ascii=False).encode("utf-8").decode("utf-8")) == text
        for family in FAMILIES:
            prompt = chat(family).prompt(about, text, "An input.")
            assert f"{text}\n\n" in prompt
            (ids,) = chat(family).encode_prompts(about, text, ["An input."])
            back = str(chat(family).tokenizer.decode(ids, clean_up_tokenization_spaces=False))
            assert back == (nfc(prompt) if family == "qwen3" else prompt)
            # No piece of it became a control token: as many of them as around any other text.
            plain = chat(family).encode_prompts(about, "x", ["An input."])[0]
            special = set(chat(family).tokenizer.all_special_ids)
            assert sum(i in special for i in ids) == sum(i in special for i in plain)


def nfc(text: str) -> str:
    """As Qwen3's tokenizer reads every text."""
    return unicodedata.normalize("NFC", text)


@pytest.mark.slow
@pytest.mark.parametrize("about", LABELLED, ids=lambda about: about.labels[0])
def test_many_of_these_texts_are_accepted(about: Task) -> None:
    passed: set[str] = set()

    @settings(max_examples=100, deadline=None, database=None, derandomize=True)
    @given(text=labels_and(about))
    def collect(text: str) -> None:
        if reject_reason(text, about, []) is None:
            passed.add(text)

    collect()
    assert len(passed) > 5


@settings(max_examples=200)
@given(
    text=ANSWERS,
    instruction=ANY_TEXT,
    labels=st.lists(st.text(min_size=1, max_size=4) | st.sampled_from(SCRAPS[:20]), max_size=4),
    accepted=st.lists(ANY_TEXT, max_size=3),
    language=st.sampled_from(["en", "zh"]),
    generated=st.booleans(),
)
@example(text="", instruction="", labels=[], accepted=[""], language="en", generated=True)
@example(text="a", instruction="", labels=[""], accepted=[], language="zh", generated=True)
def test_the_gate_never_fails_and_gives_the_same_verdict_again(
    text: str, instruction: str, labels: list[str], accepted: list[str], language: Language, generated: bool
) -> None:
    about = task(instruction, tuple(labels), language=language)
    verdict = reject_reason(text, about, accepted, generated=generated)
    assert verdict is None or verdict.strip()
    assert reject_reason(text, about, list(accepted), generated=generated) == verdict


@given(text=ANY_TEXT)
def test_half_surrogate_pairs_pass_neither_as_they_are_nor_replaced(text: str) -> None:
    about = task("Anything at all.")
    for broken in (f"{text}\ud800 word", f"\udfff {text}", f"{text}\ufffd word"):
        reason = reject_reason(broken, about, [], generated=False)
        assert reason in ("broken characters", "empty")


@given(text=st.text(max_size=40))
def test_a_person_may_write_anything_that_can_be_used(text: str) -> None:
    assume(normalise(text))
    reason = reject_reason(text, task("Something else."), [], generated=False)
    assert reason in (None, "broken characters", LEFTOVER, "equal to the original")


# --- long texts

UNITS: list[str] = [
    *(
        "(",
        "[",
        "{",
        "<",
        "<|",
        "</",
        "【",
        "（",
        "{{ ",
        "[ ",
        "< ",
        "a ",
        "a",
        "yes ",
        "1",
        " ",
        "\n",
        ".",
        "!",
        ":",
    ),
    *(
        "</ ",
        "<tool_",
        "[your ",
        "[a ",
        "here is ",
        "here is a ",
        "rewritten ",
        "Paraphrase of ",
        "I have ",
        "请",
    ),
    *(
        "改写",
        "我会",
        "以下是",
        "（注：",
        "好的",
        "用户",
        "let me know ",
        "please provide ",
        "answer ",
        "ok, ",
        "so ",
    ),
    *(
        "the ",
        "label is ",
        "x = ",
        "é",
        "e\u0301",
        "😀",
        "\u200b",
        "_",
        "A or ",
        "no ",
        '"',
        "'",
        "’",
        "\\",
        "\t ",
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize("unit", UNITS)
def test_a_long_text_of_any_kind_is_judged_at_once(unit: str) -> None:
    long = (unit * 10_000)[:10_000]
    tasks = [YES_NO, STANCE, DIALOGUE, replace(FREE, instruction=long)]
    begun = time.monotonic()
    for about in tasks:
        for text in (long, f"Rewritten {long} A, B, C: yes or no.", f"改写 {long} ABC"):
            reject_reason(text, about, [f"yes or no {long}"])
    assert time.monotonic() - begun < 20  # a tenth of a second; a pattern that backtracks takes minutes


@pytest.mark.parametrize(
    "text", ["Positive or negative?", "Is it positive or negative?", "positive 还是 negative？"]
)
def test_a_question_that_names_the_labels_is_no_answer(text: str) -> None:
    about = task("Is the review positive or negative in its sentiment?", ("positive", "negative"))
    assert reject_reason(text.lower(), about, []) != "answers the task"
