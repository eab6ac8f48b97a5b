"""Abbreviations, signs and figures, as they are said."""

import string
import time
import tomllib
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from calls.domain.events import ResponseDone, ResponseText
from calls.domain.items import Mark
from calls.ports.speech import Services
from calls.ports.voice import VoiceProfile
from calls.providers.cascade import spelling
from calls.providers.cascade.session import Cascade, Manner
from calls.providers.cascade.speakable import speakable
from calls.providers.cascade.spelling import LANGUAGES, base_language, wording
from calls.providers.cascade.wording import expansions
from tests.doubles.clock import FakeClock
from tests.doubles.speech import ScriptedModel, ScriptedRecogniser, ScriptedVoice
from tests.providers.parity import ASKED

SAID = [
    # language, displayed, said
    ("en", "e.g. this, i.e. that, etc.", "for example this, that is that, et cetera."),
    ("en", "E.g. (cats, etc.) vs. dogs", "For example (cats, et cetera) versus dogs"),
    ("en", "Mr. Fox and Mrs. Hen, approx. here", "Mister Fox and Missus Hen, approximately here"),
    ("en", "Dr. Fox of St. Ives, Main St.", "Doctor Fox of Saint Ives, Main Street."),
    ("en", "12 Sunset Dr. and Park Ave., no st. here", "12 Sunset Drive and Park Avenue, no st. here"),
    ("en", "No. 5, but no. Not I. p. 7 by Jan. 3", "number 5, but no. Not I. page 7 by January 3"),
    ("en", "I said no.", "I said no."),
    ("en-GB", "5 km, 1 km, 3.5km and 1.1 kg", "5 kilometers, 1 kilometer, 3.5 kilometers and 1.1 kilograms"),
    ("en", "20°C is 68 °F, 90° or 5%", "20 degrees Celsius is 68 degrees Fahrenheit, 90 degrees or 5 percent"),
    ("en", "50 m² at 30 km/h, 512 kB", "50 square meters at 30 kilometers per hour, 512 kilobytes"),
    ("en", "the 1990s, an iPhone 5s, a 5G phone", "the 1990s, an iPhone 5s, a 5G phone"),
    ("en", "5 min, 10 s, 250ms", "5 minutes, 10 seconds, 250 milliseconds"),
    ("en", "$29.50, $1, €5 and £0.50", "29 dollars and 50 cents, 1 dollar, 5 euros and 50 pence"),
    ("en", "$1,234.05 or $5 million", "1,234 dollars and 5 cents or 5 million dollars"),
    ("en", "20.00 USD, EUR 7", "20 dollars, 7 euros"),
    ("en", "at 9:05, 9:00, 14:30", "at 9 oh 5, 9 o'clock, 14 30"),
    ("en", "9am to 5:30 p.m., 9:00am-5:15pm", "9 AM to 5 30 PM, 9 AM to 5 15 PM"),
    ("en", "9am–5pm", "9 AM to 5 PM"),
    ("en", "on 2024-03-05", "on March 5, 2024"),
    ("en", "on 3/5/2024 or 05.03.2024", "on March 5, 2024 or March 5, 2024"),
    ("en", "9-17, 2019–2024, 17-9", "9 to 17, 2019 to 2024, 17-9"),
    ("en", "9-17 km for 5-10%", "9 to 17 kilometers for 5 to 10 percent"),
    ("en", "call +49 151 1234567", "call plus 4 9, 1 5 1, 1 2 3, 4 5 6 7"),
    ("en", "(555) 123-4567 or 555-1234", "5 5 5, 1 2 3, 4 5 6 7 or 5 5 5, 1 2 3 4"),
    ("en", "order 12345678, agent 007", "order 1 2 3, 4 5 6, 7 8, agent 0 0 7"),
    ("en", "3000000 people, 1,000,000 cats", "3000000 people, 1,000,000 cats"),
    ("en", "#5 and #1234567, #tag", "number 5 and number 1 2 3, 4 5 6 7, #tag"),
    ("en", "v2.1 of 3.11.7, but 3.14", "version 2 point 1 of 3 point 11 point 7, but 3.14"),
    ("en", "R&D at A & B, @home", "R and D at A and B, at home"),
    ("en", "2 + 2 = 4, C++, 50+", "2 plus 2 equals 4, C plus plus, 50 plus"),
    ("en", "3 × 4 ≥ 12 − 5, -5 and a-5", "3 times 4 at least 12 minus 5, minus 5 and a-5"),
    ("en", "he/she and/or TCP/IP 24/7", "he or she and or TCP IP 24 7"),
    ("en", "a/b/c stays, and x == y, <b>", "a/b/c stays, and x == y, <b>"),
    ("en", "~5 a.k.a. w/o", "about 5 also known as without"),
    ("de", "z. B. und z.B., d. h., usw.", "zum Beispiel und zum Beispiel, das heißt, und so weiter."),
    ("de", "Z. B. Nr. 5, Hauptstr. 7, Fr. Dr. Ei", "Zum Beispiel Nummer 5, Hauptstraße 7, Frau Doktor Ei"),
    ("de", "12,50 €, 1 €, 5 Mio. €", "12 Euro 50, 1 Euro, 5 Millionen Euro"),
    ("de", "um 9:05 Uhr, 14:30, 9:00–17:00", "um 9 Uhr 5, 14 Uhr 30, 9 Uhr bis 17 Uhr"),
    ("de-AT", "am 2024-03-05 bis 6.3.2024", "am 5. März 2024 bis 6. März 2024"),
    ("de", "9-17 Uhr, 5 km/h, 1 Std., 20 %", "9 bis 17 Uhr, 5 Kilometer pro Stunde, 1 Stunden, 20 Prozent"),
    ("de", "10.000.000 Leute & und/oder", "10.000.000 Leute und und oder"),
    ("fr", "p. ex. M. Petit, Mme Grand, etc.", "par exemple Monsieur Petit, Madame Grand, et cetera."),
    ("fr", "à 14h30, 1 h, 9:05 ; 12,50 €", "à 14 heures 30, 1 heure, 9 heures 5 ; 12 euros 50"),
    ("fr", "5 millions € pour 20 %, n° 5", "5 millions d'euros pour 20 pour cent, numéro 5"),
    ("es", "p. ej. Sr. Gil y Sra. Paz, n.º 5", "por ejemplo señor Gil y señora Paz, número 5"),
    ("es", "9:05, 12,50 €, el 2024-03-05", "9 y 5, 12 euros con 50, el 5 de marzo de 2024"),
    ("it", "ad es. il sig. Re, ecc. 3 kg", "ad esempio il signor Re, eccetera 3 chilogrammi"),
    ("pt-BR", "p. ex. às 14:30, 1 km, 9-17", "por exemplo às 14 horas e 30, 1 quilômetro, 9 a 17"),
    ("nl", "bijv. dhr. Bos, enz. om 14:30 t/m 5", "bijvoorbeeld de heer Bos, enzovoort om 14 uur 30 tot en met 5"),
    ("nl", "Kerkstr. 5, 05-03-2024, 3 & 4", "Kerkstraat 5, 5 maart 2024, 3 en 4"),
    ("pl", "$5 o 9:05, np. 5 km & 3-4", "$5 o 9:05, np. 5 km & 3-4"),
]  # fmt: skip


def said(shown, language="en"):
    return speakable(shown, language=language).text


@pytest.mark.parametrize(
    ("language", "shown", "words"), [pytest.param(*c, id=f"{c[0]}: {c[1]}") for c in SAID]
)
def test_said(language, shown, words):
    assert said(shown, language) == words


@pytest.mark.parametrize(
    ("language", "shown"), [pytest.param(*c[:2], id=f"{c[0]}: {c[1]}") for c in SAID]
)
def test_what_was_said_once_is_said_the_same_again(language, shown):
    once = said(shown, language)
    assert said(once, language) == once


MARKS = [
    # displayed, so much was said, so much of the display counts
    ("It costs $29.50 now", "It costs", "It costs"),
    ("It costs $29.50 now", "It costs 29 dollars and", "It costs "),
    ("It costs $29.50 now", "It costs 29 dollars and 50 cents", "It costs $29.50"),
    ("It costs $29.50 now", "It costs 29 dollars and 50 cents now", "It costs $29.50 now"),
    ("At 5 km, e.g. here", "At 5", "At 5"),
    ("At 5 km, e.g. here", "At 5 kilometers", "At 5 km"),
    ("At 5 km, e.g. here", "At 5 kilometers, for example", "At 5 km, e.g."),
    ("**Dr.** Fox", "Docto", "**"),
    ("**Dr.** Fox", "Doctor", "**Dr.**"),
    ("**Dr.** Fox", "Doctor Fo", "**Dr.** Fo"),
    ("a **$29**.50 b", "a 29 dollars", "a **"),
    ("a **$29**.50 b", "a 29 dollars and 50 cents", "a **$29**.50"),
]


@pytest.mark.parametrize(("shown", "words", "counts"), MARKS)
def test_what_is_said_otherwise_counts_once_all_of_it_is_said(shown, words, counts):
    spoken = speakable(shown, language="en")
    assert spoken.text.startswith(words)
    (mark,) = spoken.shown([Mark(len(words), 70)])
    assert shown[: mark.end_char] == counts


_PARTS = (
    "9:05 5 km $ 29.50 € 12,50 e.g. z. B. St. Dr. Main # & @ + = / - – % ° 0049 +49 2024-03-05 "
    "v2.1.0 1,000,000 12345678 am pm h Uhr and/or ** ` _ ~ < > Mio. str. n° million"
)
PARTS = st.sampled_from(_PARTS.split()) | st.sampled_from([" ", "\n", "\xa0", "", "é", "٣", "²"])
TEXTS = st.lists(PARTS | st.text(max_size=4), max_size=14).map("".join)
LANGUAGE = st.sampled_from([*LANGUAGES, "en-GB", "xx", ""])


@given(TEXTS, LANGUAGE, st.booleans())
def test_marks_ascend_within_the_display_and_end_with_it(shown, language, in_code):
    spoken = speakable(shown, in_code=in_code, language=language)
    marks = spoken.shown(Mark(n, n) for n in range(len(spoken.text) + 1))
    ends = [mark.end_char for mark in marks]
    assert ends == sorted(ends)
    assert ends[0] >= 0
    assert ends[-1] == len(shown)


@given(TEXTS, LANGUAGE)
def test_expansions_are_apart_and_in_order(text, language):
    found = expansions(text, language)
    edges = [edge for each in found for edge in (each.start, each.end)]
    assert edges == sorted(edges)
    assert all(each.start < each.end <= len(text) and each.said for each in found)


WORD = st.text(string.ascii_lowercase + "äéñ", min_size=3, max_size=9)


COUNTED = st.tuples(st.integers(1, 9999), WORD).map(lambda pair: f"{pair[0]} {pair[1]}")


@given(st.lists(WORD | COUNTED, max_size=20), LANGUAGE)
def test_plain_prose_is_said_as_it_is_written(words, language):
    prose = " ".join(words)
    assume({"svp", "rdv", "min"}.isdisjoint(prose.split()))
    assert said(prose + ".", language) == prose + "."


@given(st.lists(st.sampled_from([c[1] for c in SAID if c[0] == "en"]), max_size=4))
def test_pieces_are_said_each_for_itself(pieces):
    apart = "".join(said(f"{piece}.\n") for piece in pieces)
    assert "\n" not in pieces
    assert apart.count("\n") == len(pieces)


HOSTILE = ["1", "1 ", "1.", "1,000", "1-", "9:05", "+", "+1 ", "(1", "0 ", "$", "$1", "a/", "Main St. ",
           "A", "#", " ", "e.g. ", "etc.)", "5 km", "-", "01 ", "https://", "1.1.1.1", "1–"]  # fmt: skip


@pytest.mark.parametrize("unit", HOSTILE)
def test_hostile_text_costs_linear_time(unit):
    def cost_s(times):
        text, best = unit * times, 9.0
        for _ in range(3):
            began = time.thread_time()  # whatever else the machine does
            expansions(text, "en")
            best = min(best, time.thread_time() - began)
        return best

    expansions("warm", "en")
    few, many = cost_s(1_000), cost_s(8_000)
    assert many < 8 * few * 4 + 0.02


@pytest.mark.asyncio
async def test_an_answer_is_said_in_the_language_of_its_voice():
    voice, model = ScriptedVoice(), ScriptedModel()
    model.scripts.append(("Um 9:05 Uhr, z. B. für 5 €.",))
    cascade = Cascade(
        Services(ScriptedRecogniser(), model, voice),
        Manner(language="de-DE"),
        profile=VoiceProfile("stt", "llm", "tts"),
        clock=FakeClock(),
    )
    shown = ""
    async with cascade:
        await cascade.respond(1, ASKED, tools_allowed=True)
        async for event in cascade.events():
            shown += event.text if isinstance(event, ResponseText) else ""
            if isinstance(event, ResponseDone):
                break
    assert shown == "Um 9:05 Uhr, z. B. für 5 €."
    assert "".join(spoken.text for spoken in voice.spoken) == (
        "Um 9 Uhr 5, zum Beispiel für 5 Euro."
    )


def test_every_language_has_every_table():
    raw = tomllib.loads(
        Path(spelling.__file__).with_name("spelling.toml").read_text(encoding="utf-8")
    )
    assert set(LANGUAGES) == set(raw) == {"en", "de", "fr", "es", "it", "pt", "nl"}
    for language in LANGUAGES:
        words = wording(language)
        assert len(words.months) == 12
        for phrase in (
            "number",
            "to",
            "either",
            "point",
            "version",
            "price",
            "hour",
            "time",
            "date",
        ):
            assert words.phrases[phrase]


def test_a_language_is_found_by_its_tag():
    assert [base_language(tag) for tag in ("de", "de-AT", "pt_BR", "EN", "")] == [
        "de", "de", "pt", "en", "",
    ]  # fmt: skip
    assert wording("xx") is None
