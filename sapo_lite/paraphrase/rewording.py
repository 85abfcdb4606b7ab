"""Wordings of any instruction by rule: offline, at once, for who has no paraphrasing model.

What must not change is hidden behind placeholders first (`_hide`): labels, numbers, quotes, brackets,
code, and all that follows a colon or opens a list. The rest is recast as a whole (`_recast`: "You are
given X. Your task is to Y." -> "Given X, y."), then phrase by phrase, then framed. The rules know
patterns, no grammar: what they do not recognise they leave alone, and only frame.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import TypeVar

from sapo_lite.paraphrase.gate import normalise
from sapo_lite.types import Task

_T = TypeVar("_T")

_DRAWS = 3000  # combinations tried in all: an instruction of many phrases has billions
_LOOK_AHEAD, _LOOK_BACK = 16, 6  # of this many texts the one least like the last six comes next

# --- English. {x} is what is given, {y} what is to be done, {Y} the same with a capital.

_VERBS = """answer arrange assess assign calculate categorize choose classify compare complete compose compute
convert correct count craft create decide describe detect determine edit evaluate explain extract fill find
generate identify indicate infer judge label list make mark name output paraphrase pick point predict produce
provide rank rate read recommend rephrase reply respond return rewrite say select simplify solve sort state
suggest summarize tag tell translate use write""".split()
_VERB = rf"(?:{'|'.join(f'[{v[0].upper()}{v[0]}]{v[1:]}' for v in _VERBS)})\b"
_HERE = r"(?:(?:[Ii]n|[Ff]or) this task,? )?"
_GIVEN = (
    _HERE + r"[Yy]ou(?: are|['’]re| will be) (?:given|provided with|presented with|shown) (?P<x>[^.?!;\n]+?)"
)
_GOAL = (
    r"(?:(?:Here|Now), )?(?:(?:[Yy]our|[Tt]he) (?:task|job|goal|aim) is to"
    r"|[Yy]ou(?: need| have| are (?:asked|expected)|['’]re (?:asked|expected)) to) (?!be |not )"
)
_DO = rf"(?:{_GOAL}|(?:[Pp]lease )?(?={_VERB}(?! (?:is|are|was|of|options?|choices?)\b)))"
_Y = r"(?P<y>[A-Za-z][^.?!\n]*+)(?P<end>\.?)(?![.?!])(?P<rest>(?:\s.*)?)\Z"

_GIVEN_PLAIN = """\
Given {x}, {y}{end}
You are given {x}. {Y}{end}
You will receive {x}. {Y}{end}
When you are given {x}, {y}{end}
You will see {x}. {Y}{end}
You are provided with {x}. Your job is to {y}{end}
You will be shown {x}. Your task is to {y}{end}
You get {x}, and you have to {y}{end}
The input consists of {x}. The goal is to {y}{end}
Input: {x}. Task: {Y}{end}
This task gives you {x}. What you have to do is {y}{end}"""
_GIVEN_FRAMED = """\
You will be given {x}. Please {y}{end}
I will give you {x}. I would like you to {y}{end}
You receive {x}. Can you {y}?
You have {x} in front of you. Could you please {y}?
Kindly take {x} as input and {y}{end}"""
# Only where nothing in {y} or after it may point back to {x}.
_GIVEN_LAST = """\
{Y}. What you are given is {x}.
{Y}. The input consists of {x}.
Your task is to {y}. For this you will receive {x}.
Please {y}. You are provided with {x}."""
_ONLY_GIVEN = """\
You are given {x}.
You will be given {x}.
You will receive {x}.
You are provided with {x}.
The input consists of {x}.
Input: {x}.
What you are given is {x}.
In what follows, you get {x}.
This task gives you {x}."""
_GOAL_PLAIN = """\
{Y}{end}
{Y}{end}
Your task is to {y}{end}
Your job is to {y}{end}
The goal is to {y}{end}
What you have to do is {y}{end}
In this task, you have to {y}{end}"""
_GOAL_FRAMED = """\
Please {y}{end}
Kindly {y}{end}
Can you {y}?
Could you please {y}?
Would you be able to {y}?
I would like you to {y}{end}
You are asked to {y}{end}
We need you to {y}{end}
The aim of this task is to {y}{end}
It is up to you to {y}{end}
Help me out here: {y}{end}"""
_ASKED = """\
{q}
{q}
Question: {q}
Answer this question: {q}
Your task is to answer this question: {q}
Please answer the following: {q}
Can you tell? {q}
We would like to know: {q}"""
_WHAT_IS = (
    _ASKED
    + """
Identify {x}.
Determine {x}.
Your task is to determine {x}.
Please state {x}.
Can you tell me {x}?"""
)

_INPUT = (
    "(?:abstract|article|comment|conversation|dialogue|document|essay|headline|message|paragraph|passage|poem|post"
    "|problem|question|review|sentence|snippet|statement|story|text|title|transcript|tweet)"
)
_CLAUSE_END = r"(?=[.,;?!]|\Z| (?:and|as|by|for|from|in|into|is|are|on|or|to|using|whether|with)\b)"
_THE = "(?=(?:the|its|their|your|this|these|whether) )"
_A = "(?=(?:a|an|the|your|one|its) )"

# A phrase (its first letter in either case) and others that can stand for it, however the sentence goes on.
_PHRASES = (
    (r"classify ([^.;\n]{1,80}?) into\b", r"sort \1 into|group \1 into|assign \1 to|categorize \1 into"),
    (r"classify(?! [^.;\n]{1,80}? into\b)", "categorize|label"),
    (r"(?:determine|decide)(?= (?:whether|if)\b)", "decide|determine|judge|work out|establish"),
    (r"(?:determine|identify) (?=the\b)", "establish |identify |work out "),
    (r"judge(?= (?:whether|if|how)\b)", "decide|assess|determine"),
    (r"(?:assess|evaluate) (?=the\b)", "assess |judge |evaluate "),
    (r"(?:indicate|state)(?= (?:whether|if)\b)", "say|state|tell|specify"),
    (r"indicate your (choice|answer)\b", r"give your \1|state your \1|mark your \1"),
    (
        r"generate (?=(?:\S+ ){0,4}(?:summary|title|headline|sentence|story|question|response)\b)",
        "write |compose ",
    ),
    (r"generate\b", "produce|create|come up with"),
    (r"craft " + _A, "write |compose |formulate "),
    (r"write " + _A, "compose |produce |draw up "),
    (r"create " + _A, "produce |come up with "),
    (r"provide " + _A, "give |supply |offer "),
    (r"output (?=(?:the|a|an|only|one) )", "give |return |produce "),
    (r"(?:choose|select) (?=(?:the|an?|one|your|which|from|between) )", "pick |select |choose "),
    (r"find (?=(?:the|all) )", "identify |locate |pick out "),
    (r"extract (?=(?:the|all) )", "pick out |retrieve "),
    (r"solve (?=(?:the|this|these|an?) )", "work out |find the solution to |give the solution to "),
    (r"(?:calculate|compute)\b", "compute|calculate|work out"),
    (r"count the number of\b", "determine the number of|count up the number of|establish the number of"),
    (r"predict (?=(?:the|whether|if) )", "infer |work out |predict "),
    (r"summarize\b", "sum up|write a summary of|give a summary of"),
    (r"explain (?=(?:why|how|the) )", "make clear |clarify "),
    (r"give (?=(?:your|the) reasons?\b)", "state |explain "),
    (r"answer with\b", "reply with|respond with"),
    (
        r"(?:your|the) (?:task|job) is to\b",
        "your task is to|your job is to|you need to|what you have to do is|you have to",
    ),
    (r"you need to\b", "you have to|your task is to|you are to"),
    (r"you(?: are|['’]re) given\b", "you receive|you are provided with|you are presented with"),
    (r"based on " + _THE, "according to |on the basis of |going by |judging by "),
    (
        r"the following ((?:[a-z]+ )?" + _INPUT + "s?)" + _CLAUSE_END,
        r"the \1 below|the \1 that follows|the given \1",
    ),
    (r"the given (?!(?:in|by|to|is|are|below)\b)(?=[a-z])", "the provided |the supplied |the presented "),
    (r"note that\b", "please note that|keep in mind that|bear in mind that|be aware that"),
    (r"make sure(?! to\b)(?: that)?\b", "ensure that|see to it that|take care that"),
    (r"try to (?=(?:find|give|use|write|keep|make)\b)", "do your best to |aim to |attempt to "),
    (r"(?:do not|don['’]t) (?:need|have) to\b", "need not|do not have to|are not required to"),
    (r"an appropriate\b", "a suitable|a fitting|a proper"),
    (r"appropriate\b", "suitable|fitting|proper"),
    (r"(?:short|brief) (?=(?:summary|summaries|description|answer|title)\b)", "brief |concise |short "),
    (r"in order to\b", "so as to|to"),
    (r"has to be\b", "must be|needs to be"),
    (r"regarding (?=the\b)", "about |concerning "),
    (r"mathematical problem|math problem", "mathematical problem|maths problem|problem in mathematics"),
)

# What may stand before any instruction, whatever its form ...
_OPENINGS = """\
Task:
Instruction:
Assignment:
Task description:
What to do:
Here is the task.
Here is what to do.
This is what is asked of you.
The task is the following.
Please carry out the task described here.
Please follow this instruction.
Kindly complete the task set out here.
Read this instruction and follow it.
Hello! Please help with this task.
Hi there, here is something for you to work on.
Could you help with this task?
Can you take care of this?
You are an annotator.
You are an expert in language.
Imagine you are an experienced annotator.
Act as an attentive assistant.
You work as an editor.
Let us turn to the next task."""
# ... and after it: nothing here may add a condition.
_CLOSINGS = """\
Thank you.
Thanks in advance.
Thanks for your help.
That is the whole task.
That is all there is to it.
Please begin.
You may start now.
Good luck!
Your help is appreciated."""

# --- Chinese

_VERBS_ZH = """判断 判定 确定 分类 选择 选出 挑选 生成 输出 撰写 写(?!作) 回答 阅读 根据 依据 按照 将 把 从(?!前|此) 对(?!话|于) 为(?!什么|了)
提取 抽取 翻译 总结 概括 归纳 计算 找出 识别 辨别 指出 给出 解释 列出 分析 预测 评估 改写 续写 补全 描述 比较 提供 检查 标注 推断 解答
解决 用(?!户) 给(?!定) 在""".split()
_VERB_ZH = f"(?={'|'.join(_VERBS_ZH)})"
_GOAL_ZH = (
    r"(?:(?:你的任务|你的工作|任务)(?:就?是)|(?:现在)?你(?:需要|要|应该)|请(?:你|您)?(?!勿|不|问|注意))"
)
_Y_ZH = r"(?P<y>[^。？！?!\n]++)(?P<end>。?)(?![？?！!])(?P<rest>.*)\Z"
_HERE_ZH = "(?:在(?:这个|这项|本|该|此)?任务中，?)?"
_GIVEN_ZH = _HERE_ZH + "(?:给定|给你|你[将会](?:看到|得到|收到|获得))(?:了)?(?P<x>[^，。？！；\n]+)"

_GIVEN_PLAIN_ZH = """\
给定{x}，{y}{end}
下面给出{x}。你的任务是{y}{end}
你会看到{x}。你需要{y}{end}
你将得到{x}，要做的是{y}{end}
输入：{x}。任务：{y}{end}
这里有{x}，需要你{y}{end}
对于给出的内容，即{x}，任务是{y}{end}"""
_GIVEN_FRAMED_ZH = """\
你会收到{x}，请{y}{end}
现在给你{x}，麻烦你{y}{end}
我会提供{x}，希望你{y}{end}
你将看到{x}。能否请你{y}？"""
_GOAL_PLAIN_ZH = """\
{y}{end}
{y}{end}
你的任务是{y}{end}
你需要{y}{end}
你要做的是{y}{end}
任务要求你{y}{end}"""
_GOAL_FRAMED_ZH = """\
请{y}{end}
请你{y}{end}
麻烦您{y}{end}
希望你{y}{end}
现在需要你{y}{end}
本任务的目标是{y}{end}
能否请你{y}？
可以请你{y}吗？"""

_ASKED_ZH = """\
{q}
{q}
问题：{q}
请回答：{q}
请回答这个问题：{q}
你的任务是回答这个问题：{q}
请问，{q}"""

_START_ZH = r"(?:^|(?<=[，。；、\n请要是你您并来]))"
_INPUT_ZH = "(?:文本|文章|句子|段落|内容|问题|评论|对话|推文|新闻|故事|材料|短文|语句|信息|陈述|题目|微博|帖子|片段|摘要|这)"
_PHRASES_ZH = (
    (_START_ZH + "(?:判断|确定|判定)(?![题力的])", "判断|判定|确定|辨别"),
    (_START_ZH + "(?:根据|依据)(?![地的])", "依据|根据|按照"),
    (f"(?:以下|下列|下面的?)(?={_INPUT_ZH})", "下面的|以下|下列|如下"),
    ("选择一[项个](?=[，。：]|$)", "选出一项|挑选一项|选定一项"),
    (_START_ZH + "(?:选择|选出)(?!题|一项)", "选出|挑选|选取"),
    (_START_ZH + "(?:输出|给出)(?!的|结果)", "给出|写出|输出"),
    (_START_ZH + "生成(?!的)", "写出|给出"),
    (_START_ZH + "撰写", "写出|编写"),
    (_START_ZH + "回答(?!的)", "解答|答复"),
    (_START_ZH + "将(?!会|要|来)", "把"),
    (_START_ZH + "把", "将"),
    (_START_ZH + "(?:总结|概括)(?![的性])", "概括|归纳|总结"),
    (_START_ZH + "(?:提取|抽取)(?!的)", "抽取|提取|摘出"),
    (_START_ZH + "(?:识别|辨别)(?!的)", "辨认|辨别|识别"),
    (_START_ZH + "找出", "指出|挑出|找到"),
    (_START_ZH + "计算", "算出|求出"),
    ("(?:给定|所给|给出)的", "所给的|提供的|给出的"),
    ("是否", "是不是"),
    ("翻译成", "译成|翻译为"),
    ("分为", "归为|划分为"),
    ("如果", "若|假如|要是"),
    ("简短的", "简要的|简洁的"),
    ("所有的?(?=[^有以])", "全部"),
    ("不要(?=[改加输重写])", "请勿|别"),
    ("或者", "或"),
    ("尽量", "尽可能"),
)
_OPENINGS_ZH = """\
任务：
指令：
任务说明：
具体任务：
要求如下：
请完成下面的任务。
下面说明任务内容。
请看清任务，然后完成它。
请按照说明完成任务。
请仔细阅读说明。
你好！请帮忙完成这个任务。
麻烦你处理一下这个任务。
可以帮忙完成这个任务吗？
假设你在担任标注员。
请你以标注员的身份完成任务。
请扮演一名语言专家。
现在开始新的任务。
有一个任务要交给你。"""
_CLOSINGS_ZH = """\
谢谢。
谢谢你的帮助。
感谢配合。
请开始。
现在可以开始了。
任务说明到此结束。
说明完毕。
辛苦了。"""


# --- What is never altered

_HAN = "㐀-鿿"
_UNCHANGED = (
    r"https?://\S+",
    r"(?<!\S)\(?[Aa1][.)]\s(?=.*(?<!\S)\(?[Bb2][.)]\s).*",  # options A. ... B. ..., to the end
    r"\n\s*(?:[-*+•·–—]|\w[.)、])\s*\S.*",  # a list, to the end
    r"`[^`]*`|`.*",
    r'"[^"]*"|".*|“[^”]*”|“.*|「[^」]*」|『[^』]*』|《[^》]*》|〈[^〉]*〉|<[^<>]*>',
    r"(?<!\w)'(?:[^'\n]|(?<=\w)'(?=\w))+'(?!\w)|‘(?:[^’]|(?<=\w)’(?=\w))*’",
    r"\((?:[^()]|\([^()]*\))*\)|（[^（）]*）|\[[^\[\]]*\]|【[^【】]*】|[({\[（【].*",  # unclosed, nested: to the end
    r"(?:e\.g|i\.e|etc|vs|cf|approx)\.|(?:[A-Za-z]\.){2,}",  # full stops that end no sentence
    r"[A-Za-z_]*[\d_](?:[A-Za-z\d_]|[.,:/%-](?=\d))*%?",
    r"[:：].*",
    r"[\U000F0000-\U0010FFFF]+",  # a text with our placeholders in it
)
_PLACEHOLDER = re.compile(r"[\U000F0000-\U0010FFFF]")


@dataclass(frozen=True)
class _Form:
    """A shape that a whole instruction may have, and templates for other shapes that say the same.

    `plain` ones can follow any opening, `framed` ones address the reader already, `last` ones name
    what is given after what is to be done.
    """

    pattern: re.Pattern[str]
    plain: Sequence[str]
    framed: Sequence[str] = ()
    last: Sequence[str] = ()


@dataclass(frozen=True)
class _Rules:
    """All there is to say in one language. Of the forms, the first that matches is taken."""

    forms: Sequence[_Form]
    phrases: Sequence[tuple[re.Pattern[str], Sequence[str]]]
    openings: Sequence[str]
    closings: Sequence[str]
    space: str


def _form(pattern: str, plain: str, framed: str = "", last: str = "") -> _Form:
    templates = (tuple(table.splitlines()) for table in (plain, framed, last))
    return _Form(re.compile(pattern, re.DOTALL), *templates)


_ENGLISH = _Rules(
    forms=(
        _form(
            rf"{_GIVEN}(?:\.\s+{_DO}| and (?:have|need) to |,? and your (?:task|job) is to ){_Y}",
            _GIVEN_PLAIN,
            _GIVEN_FRAMED,
            _GIVEN_LAST,
        ),
        _form(
            rf"Given (?P<x>[^.?!\n]+?), (?:please )?(?={_VERB}){_Y}", _GIVEN_PLAIN, _GIVEN_FRAMED, _GIVEN_LAST
        ),
        _form(_HERE + _DO + _Y, _GOAL_PLAIN, _GOAL_FRAMED),
        _form(rf"{_GIVEN}\.(?P<rest>(?:\s.*)?)\Z", _ONLY_GIVEN),
        _form(r"(?P<q>What is (?P<x>the [^.?!\n]+)\?)(?P<rest>(?:\s.*)?)\Z", _WHAT_IS),
        _form(r"(?P<q>[^.?!\n]+\?)(?P<rest>(?:\s.*)?)\Z", _ASKED),
    ),
    phrases=tuple((re.compile(rf"\b(?:{p})", re.I), others.split("|")) for p, others in _PHRASES),
    openings=_OPENINGS.splitlines(),
    closings=_CLOSINGS.splitlines(),
    space=" ",
)
_CHINESE = _Rules(
    forms=(
        _form(rf"{_GIVEN_ZH}[，。](?:{_GOAL_ZH}|{_VERB_ZH}){_Y_ZH}", _GIVEN_PLAIN_ZH, _GIVEN_FRAMED_ZH),
        _form(rf"{_HERE_ZH}(?:{_GOAL_ZH}|{_VERB_ZH}){_Y_ZH}", _GOAL_PLAIN_ZH, _GOAL_FRAMED_ZH),
        _form(r"(?P<q>[^。？！?!\n]+[？?])(?P<rest>.*)\Z", _ASKED_ZH),
    ),
    phrases=tuple((re.compile(p), others.split("|")) for p, others in _PHRASES_ZH),
    openings=_OPENINGS_ZH.splitlines(),
    closings=_CLOSINGS_ZH.splitlines(),
    space="",
)
# A word that may mean {x} cannot come before it.
_POINTS_BACK = re.compile(r"\b(?:it|its|this|these|those|they|them|their|each|both)\b", re.IGNORECASE)


def rewordings(task: Task, seed: int) -> Iterator[str]:
    """Different wordings of the task's instruction, in an order drawn from `seed`, until the rules have no more.

    Neighbours in the order are unlike each other. Nothing comes of an instruction without a letter.
    """
    draws = _combinations(task, seed)
    waiting = list(islice(draws, _LOOK_AHEAD))
    recent: list[tuple[str, frozenset[str]]] = []
    while waiting:
        best = min(waiting, key=lambda text: _likeness(_look(text), recent))
        waiting.remove(best)
        waiting.extend(islice(draws, 1))
        recent = [_look(best), *recent][:_LOOK_BACK]
        yield best


def _look(text: str) -> tuple[str, frozenset[str]]:
    """How a text begins, and its runs of four characters."""
    plain = normalise(text)
    return plain[:4], frozenset(plain[i : i + 4] for i in range(len(plain)))


def _likeness(look: tuple[str, frozenset[str]], others: Sequence[tuple[str, frozenset[str]]]) -> float:
    """From 0 to 2: the most that the text has in common with one of the others, runs and beginning."""
    start, runs = look
    return max((len(runs & r) / len(runs | r) + (start == s) for s, r in others), default=0)


def _combinations(task: Task, seed: int) -> Iterator[str]:
    """Body, phrases, opening and closing drawn at random; every text once, the original never."""
    original = task.instruction.strip()
    seen = {"", normalise(original)}
    if seen == {""}:
        return
    rules = _CHINESE if task.language == "zh" else _ENGLISH
    named = _label_pattern(task.labels, re.NOFLAG)
    hidden, spans = _hide(original, task.labels)
    rng = Random(f"{seed}\n{task.id}\n{task.instruction}")
    bodies = _deck(rng, _recast(hidden, rules.forms))
    openings = _deck(rng, [*rules.openings, *[""] * (len(rules.openings) // 2)])
    closings = _deck(rng, [*rules.closings, *[""] * (2 * len(rules.closings))])
    phrases = [(p, _deck(rng, [*others, None])) for p, others in rules.phrases if p.search(hidden)]
    for _ in range(_DRAWS):
        body, is_plain = next(bodies)
        for pattern, choices in phrases:
            body = _replace(pattern, next(choices), body, task.labels)
        opening = next(openings) if is_plain else ""
        text = _show(_join(opening, body, next(closings), rules.space), spans)
        plain = normalise(text)
        if plain not in seen and sorted(named.findall(text)) == sorted(named.findall(original)):
            seen.add(plain)
            yield text


def _deck(rng: Random, cards: Sequence[_T]) -> Iterator[_T]:
    """The cards in random order, shuffled anew each time they are through: all come up equally often."""
    while True:
        yield from rng.sample(cards, len(cards))


def _recast(text: str, forms: Sequence[_Form]) -> list[tuple[str, bool]]:
    """The text and its other forms, and whether any opening may stand before it."""
    bodies = [(text, True)]
    found = next(((form, match) for form in forms if (match := form.pattern.match(text))), None)
    if found is None:
        return bodies
    form, match = found
    slots = {"end": "", **match.groupdict()}
    if y := slots.get("y"):
        slots |= {"y": y[0].lower() + y[1:], "Y": y[0].upper() + y[1:]}
    last = () if _POINTS_BACK.search(text) else form.last
    for template in (*form.plain, *form.framed, *last):
        # A template that ends {y} itself would put its mark after a list or code.
        if "{y" not in template.lower() or "{end}" in template or slots["end"]:
            bodies.append((template.format(**slots) + slots["rest"], template in form.plain))
    return bodies


def _replace(pattern: re.Pattern[str], other: str | None, text: str, labels: Sequence[str]) -> str:
    """The text with `other` in place of what the pattern matches, unless that may be part of a label or name."""

    def replaced(match: re.Match[str]) -> str:
        is_name = match[0][1:] != match[0][1:].lower()
        if other is None or is_name or any(match[0].strip() in label for label in labels):
            return match[0]
        new = match.expand(other)
        return new[0].upper() + new[1:] if match[0][0].isupper() else new

    return pattern.sub(replaced, text)


def _join(opening: str, body: str, closing: str, space: str) -> str:
    """The three in a row; on lines of their own around a body of several lines, or one without a full stop."""
    gap = "\n" if "\n" in body else space
    text = f"{opening}{gap}{body}" if opening else body
    ended = gap == space and body.endswith(tuple(".?!。？！"))
    return f"{text}{space if ended else chr(10)}{closing}" if closing else text


def _label_pattern(labels: Sequence[str], flags: re.RegexFlag) -> re.Pattern[str]:
    """Any of the labels as a whole word (in Chinese, which does not part words, as any characters)."""
    letter = rf"[^\W{_HAN}]"
    whole = (
        (rf"(?<!{letter})" if re.match(letter, label) else "")
        + re.escape(label)
        + (rf"(?!{letter})" if re.match(letter, label[-1]) else "")
        for label in sorted(labels, key=len, reverse=True)
        if label
    )
    return re.compile("|".join(whole) or r"(?!)", flags)


def _hide(text: str, labels: Sequence[str]) -> tuple[str, list[str]]:
    """The text with a placeholder for each stretch that must stay as it is, and these stretches."""
    words = {word for label in labels for word in (label, *label.split())}
    # A letter is an option in one case only: "a review" does not name option A.
    letters = _label_pattern([w for w in words if len(w) == 1], re.NOFLAG)
    longer = _label_pattern([w for w in words if len(w) > 1], re.NOFLAG)
    patterns = "|".join([*_UNCHANGED, letters.pattern, f"(?i:{longer.pattern})"])
    spans: list[str] = []

    def placeholder(match: re.Match[str]) -> str:
        spans.append(match[0])
        return chr(0xF0000 + len(spans) - 1)

    return re.sub(patterns, placeholder, text, flags=re.DOTALL), spans


def _show(text: str, spans: Sequence[str]) -> str:
    return _PLACEHOLDER.sub(lambda match: spans[ord(match[0]) - 0xF0000], text)
