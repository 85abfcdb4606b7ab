"""Rules for English: patterns of whole instructions, and phrases that can stand for one another.

In templates {x} is the input, {y} the thing to do ({Y}: with a capital letter), {q} a question.
"""

import re

from sapo_lite.prompts.sources.rules.forms import Rules, form, items

_VERB = r"""(?:answer arrange assess assign calculate categorize choose classify compare complete compose
compute convert correct count craft create decide describe detect determine edit evaluate explain extract
fill find generate identify indicate infer judge label list make mark name output paraphrase pick point
predict produce provide rank rate read recommend rephrase reply respond return rewrite say select simplify
solve sort state suggest summarize tag tell translate use write)\b""".replace("\n", "|").replace(" ", "|")
_VERB = re.sub(r"(?<=[|:])([a-z])", lambda m: f"[{m[1].upper()}{m[1]}]", _VERB)
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
Given {x}, {y}{end} | You are given {x}. {Y}{end}
You will receive {x}. {Y}{end} | You will see {x}. {Y}{end}
You are provided with {x}. Your job is to {y}{end} | You will be shown {x}. Your task is to {y}{end}
You get {x}, and you have to {y}{end} | When you are given {x}, {y}{end}
The input consists of {x}. The goal is to {y}{end} | Input: {x}. Task: {Y}{end}
This task gives you {x}. What you have to do is {y}{end}"""
_GIVEN_FRAMED = """\
You will be given {x}. Please {y}{end} | I will give you {x}. I would like you to {y}{end}
You receive {x}. Can you {y}? | You have {x} in front of you. Could you please {y}?
Kindly take {x} as input and {y}{end}"""
_GIVEN_LAST = """\
{Y}. What you are given is {x}. | {Y}. The input consists of {x}.
Your task is to {y}. For this you will receive {x}. | Please {y}. You are provided with {x}."""
_ONLY_GIVEN = """\
You are given {x}. | You will be given {x}. | You will receive {x}. | You are provided with {x}.
The input consists of {x}. | Input: {x}. | What you are given is {x}. | In what follows, you get {x}.
This task gives you {x}."""
_GOAL_PLAIN = """\
{Y}{end} | {Y}{end} | Your task is to {y}{end} | Your job is to {y}{end} | The goal is to {y}{end}
What you have to do is {y}{end} | In this task, you have to {y}{end}"""
_GOAL_FRAMED = """\
Please {y}{end} | Kindly {y}{end} | I would like you to {y}{end} | You are asked to {y}{end}
We need you to {y}{end} | It is up to you to {y}{end} | The aim of this task is to {y}{end}
Help me out here: {y}{end} | Can you {y}? | Could you please {y}? | Would you be able to {y}?"""
_WHAT_IS = "{q} | Identify {x}. | Determine {x}. | State {x}. | Your task is to determine {x}."
_ASKED = """\
Question: {q} | Answer this question: {q} | Your task is to answer this question: {q}
Please answer the following: {q} | Can you tell? {q} | We would like to know: {q}"""
_FRAGMENT = """\
Task: {q} | Your task: {q} | Assignment: {q} | What is needed: {q} | This is the task: {q}
Please work on this: {q} | What you have to do: {q}"""

_INPUT = (
    "((?:[a-z]+ )?(?:abstract|article|comment|conversation|dialogue|document|essay|headline|message|paragraph"
    "|passage|poem|post|problem|question|review|sentence|snippet|statement|text|title|transcript|tweet)"
)
_CLAUSE_END = r"(?=[.,;?!]|\Z| (?:and|as|by|for|from|in|into|is|are|on|or|to|using|whether|with)\b)"
_THE = r"(?= (?:the|its|their|your|this|these|all)\b)"
_A = r"(?= (?:an?|the|your|one|its)\b)"
_LABEL = r"(?:the )?(?:labels?|tags?)\b"
_WRITING = r"(?= (?:\S+ ){0,4}(?:summary|title|headline|sentence|story|question|response)\b)"

# A phrase (its first letter in either case), and phrases that can replace it in any sentence.
_PHRASES = (
    (r"classify ([^.;\n]{1,80}?) into", r"sort \1 into | group \1 into | assign \1 to | categorize \1 into"),
    (r"classify(?! [^.;\n]{1,80}? into\b)", "categorize | label"),
    (r"(?:determine|decide|judge)(?= (?:whether|if)\b)", "decide | determine | judge | work out | establish"),
    (r"(?:determine|identify)(?= the\b)", "establish | identify | work out"),
    (r"(?:assess|evaluate)(?= the\b)", "assess | judge | evaluate"),
    (r"(?:indicate|state)(?= (?:whether|if)\b)", "say | state | tell | specify"),
    (
        r"indicate your (choice|answer) (?:by|as|with)",
        r"state your \1 as | give your \1 as | report your \1 as",
    ),
    (r"generate" + _WRITING, "write | compose"),
    (rf"generate(?= {_LABEL})", "output | give | produce"),
    (rf"generate(?! {_LABEL})", "produce | create | come up with"),
    (r"craft" + _A, "write | compose | formulate"),
    (r"write" + _A, "compose | produce"),
    (r"create" + _A, "produce | come up with"),
    (r"provide" + _A, "give | supply | offer"),
    (r"output(?= (?:the|an?|only|one)\b)", "give | return | produce"),
    (r"(?:choose|select)(?= (?:the|an?|one|your|which|from|between)\b)", "pick | select | choose"),
    (r"find" + _THE, "identify | locate | pick out"),
    (r"extract" + _THE, "pick out | retrieve"),
    (r"solve(?= (?:the|this|these|an?)\b)", "work out | find the solution to | give the solution to"),
    (r"(?:calculate|compute)", "compute | calculate | work out"),
    (r"count the number of", "determine the number of | count up the number of | establish the number of"),
    (r"summarize", "sum up | write a summary of | give a summary of"),
    (r"explain(?= (?:why|how|the)\b)", "make clear | clarify"),
    (r"give(?= (?:your|the) reasons?\b)", "state | explain"),
    (r"answer with", "reply with | respond with"),
    (
        r"(?:your|the) (?:task|job) is to",
        "your task is to | your job is to | you need to | what you have to do is",
    ),
    (r"you need to", "you have to | you are to"),
    (r"you(?: are|['’]re) given", "you receive | you are provided with | you are presented with"),
    (r"based on" + _THE, "according to | on the basis of"),
    (rf"the following {_INPUT}s?){_CLAUSE_END}", r"the \1 below | the given \1"),
    (r"the given(?= [a-z])(?! (?:in|by|to|is|are|below)\b)", "the provided | the supplied"),
    (r"note that", "please note that | keep in mind that | bear in mind that | be aware that"),
    (r"make sure(?! to\b)(?: that)?", "ensure that | see to it that | take care that"),
    (r"try to(?= (?:find|give|use|write|keep|make)\b)", "do your best to | aim to | attempt to"),
    (r"(?:do not|don['’]t) (?:need|have) to", "need not | do not have to | are not required to"),
    (r"an appropriate", "a suitable | a fitting | a proper"),
    (r"(?:short|brief)(?= (?:summary|summaries|description|answer|title)\b)", "brief | concise | short"),
    (r"should(?= [a-z])(?! (?:not|the|an?|it|you|we|i|this|they)\b)", "ought to"),
    (r"if you (?:think|believe)", "if you believe | if you think | if you feel"),
    (r"if possible", "where possible | if you can"),
    (r"consistent with", "in keeping with | in line with"),
    (r"further information", "more information | additional information"),
    (r"math problem", "mathematical problem | maths problem"),
    (r"in order to", "so as to | to"),
    (r"in short", "in brief | to put it briefly"),
    (r"has to be", "must be | needs to be"),
    (r"although", "though | even though"),
    (r"for example", "for instance"),
    (r"instead of", "rather than"),
    (r"requires(?= [a-z])", "calls for | needs"),
    (r"appear in", "occur in"),
)

# Sentences that may precede any instruction ...
_OPENINGS = """\
Task: | Instruction: | Assignment: | Task description: | To do: | Here is the task. | Here is the assignment.
This is what is asked of you. | The task is the following. | Please carry out the task described here.
Please follow this instruction. | Kindly complete the task set out here. | Let us get started.
Hello! Please help with this task. | Hi there, here is something for you to work on.
Read this instruction and follow it. | Could you help with this task? | Can you take care of this?
You are an annotator. | You work as an editor. | You are an expert in language.
Imagine you are an experienced annotator. | Act as an attentive assistant."""
# ... and follow it. None of them may add a condition.
_CLOSINGS = """\
Thank you. | Thanks in advance. | Thanks for your help. | Your help is appreciated. | That is the whole task.
That is all there is to it. | Please begin. | You may start now. | Good luck!"""

ENGLISH = Rules(
    forms=(
        form(
            rf"{_GIVEN}(?:\.\s+{_DO}| and (?:have|need) to |,? and your (?:task|job) is to ){_Y}",
            _GIVEN_PLAIN,
            _GIVEN_FRAMED,
            _GIVEN_LAST,
        ),
        form(
            rf"Given (?P<x>[^.?!\n]+?), (?:please )?(?={_VERB}){_Y}", _GIVEN_PLAIN, _GIVEN_FRAMED, _GIVEN_LAST
        ),
        form(_HERE + _DO + _Y, _GOAL_PLAIN, _GOAL_FRAMED),
        form(rf"{_GIVEN}\.(?P<rest>(?:\s.*)?)\Z", _ONLY_GIVEN),
        form(r"(?P<q>What is (?P<x>the [^.?!\n]+)\?)(?P<rest>(?:\s.*)?)\Z", _WHAT_IS, _ASKED),
        form(r"(?P<q>[^.?!\n]+\?)(?P<rest>(?:\s.*)?)\Z", "{q}", _ASKED),
        form(r"(?P<q>[^.?!\n]*[^.?!\n\U000F0000-\U0010FFFF])(?P<rest>)\Z", "", _FRAGMENT),
    ),
    phrases=tuple((re.compile(rf"\b(?:{p})\b", re.I), items(others)) for p, others in _PHRASES),
    openings=items(_OPENINGS),
    closings=items(_CLOSINGS),
    space=" ",
)
