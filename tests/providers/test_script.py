"""The scripted agent: short real conversations, also with what a recogniser makes of them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls.domain.events import Stage
from calls.domain.items import Item, Role
from calls.ports.speech import Prompt, TextDelta
from calls.ports.tools import CallInfo, ToolError
from calls.providers.embedded.demo_tools import BookAppointment, OpeningHours, demo_tools
from calls.providers.embedded.dialogue import GREETING, reply_to
from calls.providers.embedded.notice import NOTICE, notice
from calls.providers.embedded.script import ScriptedAgent
from calls.providers.embedded.topics import TOPICS, topic_of
from calls.providers.embedded.when import bookable, day_in, name_in, spoken_time, time_in
from calls.providers.embedded.words import alike, strength, words_of
from tests.doubles.conversation import CALL, Conversation

TOOLS = frozenset({"book_appointment", "opening_hours"})


def conversation(**options):
    return Conversation(ScriptedAgent(), demo_tools(), **options)


async def replies(*said, **options):
    """What the agent says, to an empty conversation first and then to each of these."""
    talk = conversation(**options)
    return [await talk.answer(), *[await talk.say(text) for text in said]]


# Whole conversations


@pytest.mark.asyncio
async def test_it_greets_and_says_what_it_is():
    talk = conversation()
    greeting = await talk.answer()
    assert "scripted demo" in greeting
    assert not talk.ended


@pytest.mark.asyncio
async def test_it_books_an_appointment_step_by_step():
    talk = conversation()
    await talk.answer()
    assert await talk.say("I would like to make an appointment.") == "What day would suit you?"
    assert await talk.say("on monday") == "What time would suit you?"
    assert await talk.say("at three o'clock") == "What is your name, please?"
    assert await talk.say("my name is john smith") == (
        "So that is Monday at 3 PM, for John Smith. Is that right?"
    )
    assert talk.calls() == []
    booked = await talk.say("yes please")
    assert talk.calls() == [
        ("book_appointment", {"day": "Monday", "time": "15:00", "name": "John Smith"})
    ]
    number = " ".join(json.loads(talk.items[-2].text)["confirmation"])
    assert booked == f"It is booked. Your number is {number}. Is there anything else?"
    assert await talk.say("no thank you") == "Thank you for calling. Goodbye!"
    assert talk.ended


@pytest.mark.asyncio
async def test_it_takes_everything_at_once_and_asks_only_for_what_is_missing():
    talk = conversation()
    asked = await talk.say("Can I book an appointment for Friday at half past ten?")
    assert asked == "What is your name, please?"
    assert await talk.say("Anna") == "So that is Friday at 10:30 AM, for Anna. Is that right?"


CORRECTIONS = [
    # id                     what is said instead of yes        what is confirmed next
    ("another day", ["no, Wednesday"], "So that is Wednesday at 3 PM, for Anna."),
    ("another time", ["yes, but at four o'clock"], "So that is Monday at 4 PM, for Anna."),
    ("another name", ["my name is Hanna"], "So that is Monday at 3 PM, for Hanna."),
    ("first no", ["no", "the day", "thursday"], "So that is Thursday at 3 PM, for Anna."),
    ("first wrong", ["that is wrong", "the time", "eleven"], "So that is Monday at 11 AM, for Anna."),
    ("the name is wrong", ["the name is wrong", "Hanna"], "So that is Monday at 3 PM, for Hanna."),
    ("nothing after all", ["no", "no"], "So that is Monday at 3 PM, for Anna."),
]  # fmt: skip


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("said", "confirmed"), [pytest.param(*c[1:], id=c[0]) for c in CORRECTIONS]
)
async def test_it_corrects_before_it_books(said, confirmed):
    talk = conversation()
    for text in ("an appointment on Monday at three o'clock", "Anna", *said):
        reply = await talk.say(text)
    assert reply.startswith(confirmed)
    assert talk.calls() == []
    await talk.say("yes")
    assert len(talk.calls()) == 1


@pytest.mark.asyncio
async def test_a_question_in_between_is_answered_and_the_booking_goes_on():
    talk = conversation()
    await talk.say("book an appointment")
    assert (await talk.say("do you have parking")).endswith("What day would suit you?")
    assert (await talk.say("tuesday")) == "What time would suit you?"


@pytest.mark.asyncio
async def test_a_booking_can_be_dropped():
    talk = conversation()
    await talk.say("book an appointment for tuesday")
    assert "booked nothing" in await talk.say("never mind")
    assert "fifty dollars" in await talk.say("how much does it cost")
    assert talk.calls() == []


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("said", "refused"),
    [
        ("an appointment on Sunday", "closed on Sunday"),
        ("an appointment on Monday at seven in the evening", "open from nine to five"),
        ("an appointment on Monday at eight", "open from nine to five"),
    ],
)
async def test_it_does_not_book_when_nobody_is_there(said, refused):
    talk = conversation()
    assert refused in await talk.say(said)
    assert talk.calls() == []


@pytest.mark.asyncio
async def test_without_the_tool_it_says_that_it_cannot_book():
    talk = Conversation(ScriptedAgent(), ())
    assert "cannot book" in await talk.say("I want an appointment")


@pytest.mark.asyncio
async def test_a_booking_that_fails_is_told_and_can_be_tried_again():
    class Failing(BookAppointment):
        async def run(self, call, arguments):
            raise ToolError("The diary is away.")

    talk = Conversation(ScriptedAgent(), (Failing(),))
    for text in ("an appointment on Monday at three o'clock", "Anna"):
        await talk.say(text)
    assert "did not work" in await talk.say("yes")
    await talk.say("yes")
    assert len(talk.calls()) == 2


@pytest.mark.asyncio
async def test_it_looks_the_hours_of_a_day_up():
    talk = conversation()
    assert (
        await talk.say("when do you open on monday") == "We are open on Monday from 9 AM to 5 PM."
    )
    assert await talk.say("are you open on saturday") == "We are closed on Saturday."
    assert "Monday to Friday" in await talk.say("what are your opening hours")


@pytest.mark.asyncio
async def test_it_repeats_what_it_said():
    greeting, again, price, again_2 = await replies(
        "Can you repeat that please?", "how much is it", "pardon"
    )
    assert again == greeting
    assert again_2 == price


@pytest.mark.asyncio
async def test_it_says_what_it_did_not_understand_and_then_helps_further():
    _, first, second, third = await replies("purple monkeys", "xyzzy", "do you have parking")
    assert "purple monkeys" in first
    assert "do not understand" in second
    assert "parking" in third


@pytest.mark.asyncio
async def test_it_does_not_pretend():
    _, robot, human, name = await replies("are you a robot", "I want a human", "who are you")
    assert "scripted demo" in robot
    assert "no AI" in robot
    assert "no person" in human
    assert "scripted demo" in name


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "said", ["goodbye", "bye bye", "ok that's all thank you", "thank you goodbye"]
)
async def test_it_takes_its_leave_and_ends(said):
    talk = conversation()
    assert "Goodbye" in await talk.say(said)
    assert talk.ended


@pytest.mark.asyncio
async def test_it_tells_others_once_that_it_speaks_english_alone():
    said = await replies("guten tag", "wie spät ist es", language="de-DE")
    assert [text.count("I only speak English.") for text in said] == [1, 0, 0]
    talk = conversation(language="fr")
    assert (await talk.say("bonjour")).startswith("I only speak English.")
    assert "only speak English" not in (await replies("hello"))[0]


# Whatever happens to the call


@pytest.mark.asyncio
async def test_an_interrupted_question_was_asked_all_the_same():
    talk = conversation()
    await talk.say("book an appointment")
    talk.cut("What")
    assert await talk.say("monday") == "What time would suit you?"


@pytest.mark.asyncio
async def test_asked_again_it_says_the_same_again():
    talk = conversation()
    first = await talk.say("how much does it cost")
    talk.cut("A check-up")
    assert await talk.answer() == first


@pytest.mark.asyncio
async def test_a_confirmation_whose_tool_never_ran_is_taken_up_again():
    talk = conversation()
    for text in ("an appointment on Monday at three o'clock", "Anna"):
        await talk.say(text)
    talk.items.append(Item(9, Role.USER, "yes", turn=9))
    assert (await talk.say("no, wednesday")).startswith("So that is Wednesday at 3 PM")


@pytest.mark.asyncio
async def test_tool_calls_have_ids_of_their_own():
    talk = conversation()
    for text in ("hours on monday", "hours on tuesday"):
        await talk.say(text)
    ids = [item.tool_call_id for item in talk.items if item.role is Role.TOOL]
    assert len(set(ids)) == 2


SAID = st.sampled_from(
    ["yes", "no", "monday", "at three", "anna", "book an appointment", "cancel", "repeat", "help",
     "goodbye", "the day", "sunday", "at nine pm", "thank you", "my name is bob", "blah", ""]
) | st.text(max_size=30)  # fmt: skip


@given(st.lists(SAID, max_size=12))
def test_it_has_an_answer_to_anything_in_any_order_and_books_only_what_is_whole(said):
    items = []
    for number, text in enumerate(said, 1):
        items.append(Item(number, Role.USER, text, turn=number))
        reply = reply_to(items, TOOLS)
        assert bool(reply.sentences) != bool(reply.tool)
        assert reply_to(items, TOOLS) == reply
        if reply.tool == "book_appointment":
            assert all(reply.arguments[slot] for slot in ("day", "time", "name"))
            assert bookable(reply.arguments["time"])


@given(st.lists(st.sampled_from([*Role]), max_size=6), st.text(max_size=20))
def test_no_conversation_whatever_breaks_it(roles, text):
    items = [
        Item(n, role, text, turn=n, tool_name="book_appointment", arguments=text)
        for n, role in enumerate(roles, 1)
    ]
    assert reply_to(items, TOOLS)


@pytest.mark.asyncio
async def test_it_speaks_in_sentences():
    async with ScriptedAgent().answer(Prompt("", (), (), "en")) as parts:
        deltas = [part.text async for part in parts if isinstance(part, TextDelta)]
    assert [delta.strip() for delta in deltas] == list(GREETING)


# What the recogniser made of four voices: said, understood

MISHEARD = [
    ("i would like to book an appointment", "i would like to put in a blind man", "book"),
    ("do you have parking", "did you have parking", "parking"),
    ("i need to cancel my appointment", "i need to cancel my blind man", "changing an appointment"),
    ("i would like to speak to a human", "i would like to speak to you man", "people"),
    ("i would like to speak to a human", "i would like to speak to us human", "people"),
    ("how do i get to your office by bus", "how do i get to your office guidance", "directions"),
    ("how long does an appointment take", "how long does an appliance monday", "duration"),
    ("who are you", "here are you", "who I am"),
    ("who are you", "you are you", "who I am"),
    ("i have a question about my bill", "i have a question about my bell", "payment"),
    ("could you please speak slower", "could you please speaks louder", "my speech"),
    ("are you a robot", "arguing robot", "who I am"),
    ("thank you very much", "sam que very much", None),
    ("what are your opening hours", "what are your opening bucks", "hours"),
    ("when do you open on monday", "when the area then on monday", None),
    ("do you speak german", "do you speak john", "languages"),
    ("how much does it cost", "how much does it costs", "prices"),
]


@pytest.mark.parametrize(("said", "understood", "topic"), MISHEARD)
def test_what_is_misheard_is_understood_or_asked_back_but_not_mistaken(said, understood, topic):
    reply = reply_to([Item(1, Role.USER, understood, turn=1)], TOOLS)
    if topic == "book":
        assert reply.sentences == ("What day would suit you?",)
    elif topic is None:
        assert "I do not know what to say to that." in reply.sentences
    else:
        found = topic_of(words_of(understood))
        assert found is not None
        assert found.name == topic
        assert reply.sentences == found.answer


ASKED = [
    ("hours", "What time do you close?"),
    ("prices", "What's the price of a cleaning?"),
    ("payment", "Can I pay by credit card?"),
    ("insurance", "Do you accept insurance?"),
    ("discount", "Is there a discount for students?"),
    ("address", "Where are you located?"),
    ("directions", "How do I get to your office by train?"),
    ("parking", "Where can I park?"),
    ("contact", "What is your phone number?"),
    ("duration", "How long does it take?"),
    ("services", "What treatments do you offer?"),
    ("changing an appointment", "I have to reschedule my appointment."),
    ("people", "Let me talk to a real person."),
    ("who I am", "Are you an artificial intelligence?"),
    ("languages", "Do you speak Spanish?"),
    ("pets and prams", "Can I bring my dog?"),
    ("the weather", "What's the weather like?"),
    ("jokes", "Tell me a joke!"),
    ("my speech", "Can you speak slower?"),
    ("help", "What can you do?"),
    ("thanks", "Thanks a lot!"),
    ("greetings", "Good morning!"),
]


@pytest.mark.parametrize(("topic", "text"), ASKED)
def test_it_knows_its_topics(topic, text):
    found = topic_of(words_of(text))
    assert found is not None
    assert found.name == topic


def test_every_topic_is_tried():
    assert {topic.name for topic in TOPICS} == {topic for topic, _ in ASKED}


# Words, days, times, names


@pytest.mark.parametrize(
    ("word", "heard", "same"),
    [
        ("parking", "parked", True),
        ("cost", "costs", True),
        ("insurance", "insurence", True),
        ("appointment", "apointments", True),
        ("bus", "but", False),
        ("hours", "ours", False),
        ("close", "clothes", False),
        ("train", "rain", False),
    ],
)
def test_words_are_alike(word, heard, same):
    assert alike(word, heard) is same


def test_a_phrase_may_have_two_words_in_its_gaps_and_no_more():
    assert strength(words_of("book me an appointment"), "book appointment")
    assert not strength(words_of("book me a really nice appointment"), "book appointment")
    assert not strength(words_of("appointment book"), "book appointment")


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("on Monday", "Monday"), ("tuesdays", "Tuesday"), ("to stay", "Tuesday"),
        ("tomorrow morning", "tomorrow"), ("the day after tomorrow", "the day after tomorrow"),
        ("this afternoon", "today"), ("next wednesday", "Wednesday"), ("some other time", ""),
        ("not today but friday", "Friday"),
    ],
)  # fmt: skip
def test_days(text, day):
    assert day_in(words_of(text)) == day


@pytest.mark.parametrize(
    ("text", "asked", "time"),
    [
        ("at three o'clock", False, "15:00"), ("at half past ten", False, "10:30"),
        ("a quarter to four", False, "15:45"), ("quarter past nine", False, "09:15"),
        ("at 3:30", False, "15:30"), ("15:00", False, "15:00"), ("ten thirty", False, "10:30"),
        ("two forty five", False, "14:45"), ("11 a.m.", False, "11:00"), ("3pm", False, "15:00"),
        ("9 PM", False, "21:00"), ("at noon", False, "12:00"), ("twelve o'clock", False, "12:00"),
        ("in the morning", False, "10:00"), ("two", True, "14:00"), ("two", False, ""),
        ("we are two people", False, ""), ("eight", True, "08:00"), ("never", True, ""),
        ("99:99", True, ""), ("at 77", True, ""),
    ],
)  # fmt: skip
def test_times(text, asked, time):
    assert time_in(words_of(text), asked=asked) == time


@given(st.text(alphabet="0123456789: apmtwothree'half quarter", max_size=30), st.booleans())
def test_a_time_is_a_time(text, asked):
    time = time_in(words_of(text), asked=asked)
    assert not time or ("00:00" <= time < "24:00" and spoken_time(time))


@pytest.mark.parametrize(
    ("text", "asked", "name"),
    [
        ("my name is anna miller", False, "Anna Miller"), ("Anna Miller", True, "Anna Miller"),
        ("it's John, please", True, "John"), ("this is bob and i am late", True, "Bob"),
        ("I am McDonald", True, "McDonald"), ("Anna Miller", False, ""), ("yes", True, ""),
        ("how much does it cost", True, ""), ("my name is on or", True, ""), ("", True, ""),
        ("the name's O'Brien", False, "O'Brien"), ("i am looking for a doctor", True, ""),
    ],
)  # fmt: skip
def test_names(text, asked, name):
    assert name_in(text, asked=asked) == name


# The tools


@pytest.mark.asyncio
async def test_the_same_appointment_has_the_same_number():
    wanted = {"day": "Monday", "time": "15:00", "name": "Anna"}
    first = json.loads(await BookAppointment().run(CALL, wanted))
    other_call = CallInfo("call-2", "demo", "en")
    assert json.loads(await BookAppointment().run(other_call, wanted)) == first
    other = json.loads(await BookAppointment().run(CALL, wanted | {"name": "Bob"}))
    assert other["confirmation"] != first["confirmation"]
    assert len(first["confirmation"]) == 4


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "arguments", [{}, {"day": "Monday"}, {"day": "", "time": "x", "name": "y"}]
)
async def test_half_an_appointment_is_none(arguments):
    with pytest.raises(ToolError, match="Missing"):
        await BookAppointment().run(CALL, arguments)


@pytest.mark.asyncio
async def test_opening_hours_are_of_weekdays():
    with pytest.raises(ToolError):
        await OpeningHours().run(CALL, {"day": "someday"})
    assert json.loads(await OpeningHours().run(CALL, {"day": "Sunday"}))["closed"] is True


@pytest.mark.parametrize(
    ("stages", "sentence"),
    [
        ({Stage.STT, Stage.LLM, Stage.TTS}, NOTICE),
        ({Stage.LLM}, "Offline demo voice: scripted answers."),
        ((), ""),
    ],
)
def test_the_notice_names_the_limits_of_what_is_in_use(stages, sentence):
    assert notice(stages) == sentence


def test_the_notice_says_all_of_it():
    assert NOTICE == (
        "Offline demo voice: English, quiet room, short sentences, robotic voice, scripted answers."
    )
