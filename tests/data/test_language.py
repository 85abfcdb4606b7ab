"""Languages: which one an instruction is in, and which texts may replace it."""

import json
from pathlib import Path

import pytest

from sapo_lite.data.foreign import foreign_to
from sapo_lite.data.language import language_of
from sapo_lite.data.language_names import LANGUAGE_NAMES
from sapo_lite.errors import ParaphraseError
from sapo_lite.evaluation.final_answers import answers_of
from sapo_lite.learning.rewriting.request import rewrite_request
from sapo_lite.model.chat import user_turn
from sapo_lite.prompts.gate import reject_reason
from sapo_lite.prompts.sources.builtin import Builtin
from sapo_lite.support.shipped import shipped
from sapo_lite.types import Example, Task, TrainingRow

# Language: an instruction, its labels, and good paraphrases of it, some of them short.
WORDINGS: dict[str, tuple[str, tuple[str, str], list[str]]] = {
    "de": (
        "Klassifiziere den Tweet als positiv oder negativ. Antworte nur mit dem Label.",
        ("positiv", "negativ"),
        [
            "Ist dieser Tweet positiv oder negativ?",
            "Lies den folgenden Tweet und entscheide, ob seine Stimmung positiv oder negativ ist.",
            "Bitte ordne jeden Tweet einer der beiden Klassen zu: positiv / negativ.",
            "Stimmung? positiv oder negativ.",
            "Du bist Annotator. Schreib positiv, wenn der Tweet freundlich klingt, sonst negativ.",
        ],
    ),
    "es": (
        "Clasifica el tuit como positivo o negativo.",
        ("positivo", "negativo"),
        [
            "¿Este tuit es positivo o negativo?",
            "Lee el siguiente tuit y decide si expresa un sentimiento positivo o negativo.",
            "Indica el sentimiento del tuit: positivo / negativo.",
            "Tu tarea es etiquetar cada tuit: positivo si el autor está contento y negativo si no.",
            "Sentimiento: positivo o negativo.",
        ],
    ),
    "fr": (
        "Classez le tweet comme positif ou négatif.",
        ("positif", "négatif"),
        [
            "Ce tweet est-il positif ou négatif ?",
            "Lisez le tweet ci-dessous puis dites si le ton est positif ou négatif.",
            "Quel sentiment ce tweet exprime-t-il : positif, ou bien négatif ?",
            "Voici un tweet. Attribuez-lui l'étiquette positif s'il est favorable, négatif sinon.",
            "Sentiment : positif ou négatif.",
        ],
    ),
    "ru": (
        "Определите, является ли твит положительным или отрицательным.",
        ("положительным", "отрицательным"),
        [
            "Является твит положительным или отрицательным?",
            "Прочитайте твит и скажите, каким он кажется: положительным или отрицательным.",
            "Назовите настроение твита положительным либо отрицательным.",
            "Пожалуйста, прочтите текст твита и считайте его положительным или отрицательным.",
        ],
    ),
    "ja": (
        "次の文章の感情を分類してください。肯定的または否定的と答えてください。",
        ("肯定的", "否定的"),
        [
            "この文章は肯定的ですか、それとも否定的ですか。",
            "以下の文を読み、感情が肯定的か否定的かを判断しなさい。",
            "感情分類：肯定的／否定的のどちらかを選ぶこと。",
            "書き手の気持ちを考えて、肯定的か否定的のいずれかで答えてね。",
        ],
    ),
    "ko": (
        "다음 문장의 감정을 분류하세요. 긍정 또는 부정으로 답하세요.",
        ("긍정", "부정"),
        [
            "이 문장은 긍정 또는 부정 중 어느 쪽입니까?",
            "아래 문장을 읽고 감정이 긍정 혹은 부정 가운데 어느 것인지 판단하십시오.",
            "감정: 긍정 / 부정. 하나를 고르세요.",
        ],
    ),
    "tr": (
        "Tweet'in olumlu mu olumsuz mu olduğunu belirle.",
        ("olumlu", "olumsuz"),
        [
            "Bu tweet olumlu mu olumsuz mu?",
            "Aşağıdaki tweeti oku ve duygunun olumlu ya da olumsuz olduğuna karar ver.",
            "Lütfen her tweet için iki etiketten birini seç: olumlu veya olumsuz.",
            "Duygu: olumlu / olumsuz",
        ],
    ),
    "id": (
        "Tentukan apakah tweet ini positif atau negatif.",
        ("positif", "negatif"),
        [
            "Apakah tweet ini positif atau negatif?",
            "Bacalah tweet berikut lalu nilai sentimennya: positif atau negatif.",
            "Tugas Anda adalah memberi label positif kalau penulis senang, dan negatif kalau tidak.",
            "Pilih satu: positif / negatif.",
        ],
    ),
    "fi": (
        "Luokittele twiitti positiiviseksi tai negatiiviseksi.",
        ("positiiviseksi", "negatiiviseksi"),
        [
            "Merkitse twiitti joko positiiviseksi tai negatiiviseksi.",
            "Lue alla oleva twiitti ja arvioi se positiiviseksi tai negatiiviseksi.",
            "Arvioi tunnelma: positiiviseksi vai negatiiviseksi?",
            "Jos kirjoittaja on iloinen, merkitse twiitti positiiviseksi; muuten merkitse se negatiiviseksi.",
        ],
    ),
    "tl": (
        "Tukuyin kung positibo o negatibo ang tweet.",
        ("positibo", "negatibo"),
        [
            "Ang tweet na ito ba ay positibo o negatibo?",
            "Basahin ang sumusunod na tweet at sabihin kung ito ay positibo o negatibo.",
            "Pumili ng isa: positibo o negatibo.",
            "Lagyan ng label ang bawat tweet: positibo kapag masaya ang sumulat, negatibo kapag hindi.",
        ],
    ),
    "pl": (
        "Określ, czy tweet jest pozytywny czy negatywny.",
        ("pozytywny", "negatywny"),
        [
            "Czy ten tweet jest pozytywny, czy negatywny?",
            "Przeczytaj poniższy tweet i zdecyduj: pozytywny albo negatywny.",
        ],
    ),
    "pt": (
        "Classifique o tuíte como positivo ou negativo.",
        ("positivo", "negativo"),
        [
            "Este tuíte é positivo ou negativo?",
            "Leia o texto abaixo e diga se o sentimento dele é positivo ou negativo.",
        ],
    ),
    "it": (
        "Classifica il tweet come positivo o negativo.",
        ("positivo", "negativo"),
        [
            "Questo tweet è positivo o negativo?",
            "Leggi il testo che segue e di' se il sentimento è positivo o negativo.",
        ],
    ),
    "nl": (
        "Bepaal of de tweet positief of negatief is.",
        ("positief", "negatief"),
        [
            "Is deze tweet positief of negatief?",
            "Lees de tweet hieronder en geef aan of het gevoel positief dan wel negatief is.",
        ],
    ),
    "uk": (
        "Визначте, чи є твіт позитивним чи негативним.",
        ("позитивним", "негативним"),
        [
            "Цей твіт є позитивним чи негативним?",
            "Прочитайте текст і скажіть, чи вважаєте його позитивним або негативним.",
        ],
    ),
    "ar": (
        "حدد ما إذا كانت التغريدة إيجابية أم سلبية.",
        ("إيجابية", "سلبية"),
        ["هل هذه التغريدة إيجابية أم سلبية؟", "اقرأ التغريدة التالية وقل إن كانت إيجابية أو سلبية."],
    ),
    "hi": (
        "बताइए कि ट्वीट सकारात्मक है या नकारात्मक।",
        ("सकारात्मक", "नकारात्मक"),
        [
            "क्या यह ट्वीट सकारात्मक है या नकारात्मक?",
            "नीचे दिया गया ट्वीट पढ़कर तय कीजिए कि वह सकारात्मक है या नकारात्मक।",
        ],
    ),
    "vi": (
        "Xác định xem dòng tweet là tích cực hay tiêu cực.",
        ("tích cực", "tiêu cực"),
        [
            "Dòng tweet này tích cực hay tiêu cực?",
            "Hãy đọc dòng tweet dưới đây và cho biết cảm xúc là tích cực hoặc tiêu cực.",
        ],
    ),
}

ENGLISH = [
    "Is this tweet positive or negative?",
    "Decide whether the author of this tweet sounds happy or not, and answer with one label.",
    "Read the text that follows and choose the label which fits it best.",
]
TWEET = "Classify the tweet as positive or negative."
# Not told apart from the task's own language: a few words, or a language close to it.
SHORT_OR_CLOSE = 0.35


def task(instruction: str, labels: tuple[str, ...] = (), language: str = "en") -> Task:
    return Task("task1_x", "SUPERNI", instruction, "", labels, language, train=(), test=())


@pytest.mark.parametrize("language", WORDINGS)
def test_the_language_of_an_instruction_is_found(language: str) -> None:
    assert language_of(WORDINGS[language][0]) == language


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("次の文章の感情を分類してください。肯定的または否定的と答えてください。", "ja"),
        ("次の文章を分類せよ。", "ja"),
        ("判断以下文本对指定对象的态度，选择一项：A.支持，B.反对，C.中立。", "zh"),
        ("把这句话译成日语，并以敬语「ます」结尾。", "zh"),
        ("Translate the sentence into Japanese (日本語).", "en"),
        ("Fasse den Text zusammen.", "de"),
        ("Résumez le texte ci-dessous.", "fr"),
        ("สรุปข้อความนี้", "th"),
        ("Δώσε μια περίληψη.", "el"),
        ("", "en"),
        ("1 + 1 = ?", "en"),
        ("say yes .", "en"),
        ("Sort tweets.", "en"),
        ("Predict label", "en"),
        ("Extract named entities", "en"),
        ("Sentiment classification of tweets", "en"),
        ("Grammatical error correction", "en"),
        ("zun mor bel tak rin", "en"),
        ("Provide a simplified version of the following paragraph in German.", "en"),
    ],
)
def test_a_text_is_english_unless_another_language_is_sure(text: str, language: str) -> None:
    assert language_of(text) == language


def test_the_tasks_of_the_lab_are_english() -> None:
    index = json.loads((shipped("data") / "lab" / "instructions.json").read_text(encoding="utf-8"))
    assert {language_of(entry["instruction"] + entry["suffix"]) for entry in index.values()} == {"en"}


@pytest.mark.benchmarks_data
def test_of_the_published_tasks_only_c_stance_is_not_english(benchmarks: Path) -> None:
    found: dict[str, str] = {}
    for suite in ("SUPERNI", "TRACE"):
        index = json.loads((benchmarks / suite / "instructions.json").read_text(encoding="utf-8"))
        found |= {name: language_of(entry["instruction"] + entry["suffix"]) for name, entry in index.items()}
    assert {name: language for name, language in found.items() if language != "en"} == {"C-STANCE": "zh"}


# --- the gate


@pytest.mark.parametrize("language", WORDINGS)
def test_good_paraphrases_in_the_language_of_the_instruction_pass(language: str) -> None:
    instruction, labels, good = WORDINGS[language]
    about = task(instruction, labels, language)
    assert {text: reject_reason(text, about, []) for text in good} == dict.fromkeys(good)


@pytest.mark.parametrize("language", WORDINGS)
def test_english_does_not_replace_another_language(language: str) -> None:
    instruction, labels, _ = WORDINGS[language]
    reason = f"not in {LANGUAGE_NAMES[language]}"
    for text in ENGLISH[1:]:
        assert foreign_to(text, task(instruction, labels, language)) == reason


@pytest.mark.parametrize("language", WORDINGS)
def test_most_texts_in_a_third_language_are_refused(language: str) -> None:
    instruction, labels, _ = WORDINGS[language]
    about = task(instruction, labels, language)
    others = [
        text.replace(theirs[0], labels[0]).replace(theirs[1], labels[1])
        for other, (_, theirs, texts) in WORDINGS.items()
        for text in texts
        if other != language
    ]
    missed = [text for text in others if foreign_to(text, about) is None]
    assert len(missed) < SHORT_OR_CLOSE * len(others), missed


@pytest.mark.parametrize(
    "text",
    [
        "Tentukan apakah tweet ini positive atau negative.",
        "Luokittele twiitti: positive tai negative.",
        "Bu tweet positive mi negative mi?",
        "Tukuyin kung positive o negative ang tweet.",
        "Apakah tweet ini positive atau negative?",
        "Klassifiziere den Tweet als positive oder negative.",
        "このツイートは positive か negative か。",
        "이 트윗은 positive 인가 negative 인가?",
    ],
)
def test_texts_in_latin_letters_are_not_english_for_that(text: str) -> None:
    assert foreign_to(text, task(TWEET, ("positive", "negative"))) == "not in English"


@pytest.mark.parametrize("text", ENGLISH)
def test_english_replaces_english(text: str) -> None:
    assert foreign_to(text, task(TWEET, ("positive", "negative"))) is None


def test_japanese_and_chinese_do_not_replace_each_other() -> None:
    instruction, labels, good = WORDINGS["ja"]
    chinese = "请判断这段文字的情感，回答肯定的或者否定的。"
    assert foreign_to(chinese, task(instruction, labels, "ja")) == "not in Japanese"
    about = task("请判断这段文字的情感。", (), "zh")
    assert {foreign_to(text, about) for text in good} == {"not in Chinese"}


def test_an_instruction_that_is_not_in_its_own_language_holds_nothing_to_it() -> None:
    about = task("Classify the tweet by what its author feels about the matter.", (), "de")
    assert foreign_to("Decide what the author of the tweet feels, and name it in a word.", about) is None


# --- where a language matters otherwise


@pytest.mark.parametrize(("language", "header"), [("en", "Text:"), ("zh", "文本:"), ("ja", "Text:")])
def test_only_chinese_prompts_have_the_chinese_header(language: str, header: str) -> None:
    assert user_turn(task("x", (), language), "x", "y") == f"x\n\n{header}\ny"


@pytest.mark.parametrize("language", ["de", "ja", "qqq"])
def test_every_language_has_a_request_for_rewrites_and_a_length_of_short_answers(language: str) -> None:
    about = Task("t", "", "Sag es.", "", (), language, train=(Example("a", "b c"),), test=())
    assert "in your own words" in rewrite_request(about, TrainingRow("Sag es.", "a", "b c"), "short")
    assert answers_of(about).kind == "short"


@pytest.mark.parametrize("language", ["de", "ja"])
def test_the_rules_refuse_other_languages_in_a_sentence(language: str) -> None:
    about = task(WORDINGS[language][0], (), language)
    with pytest.raises(ParaphraseError) as caught:
        list(Builtin(seed=0).answers(about, range(3), []))
    assert str(caught.value) == (
        'task1: paraphrase.backend "builtin" rewords English and Chinese instructions, found '
        f"{LANGUAGE_NAMES[language]} ({language}): name another source, such as ollama, or correct the "
        "task's language."
    )
