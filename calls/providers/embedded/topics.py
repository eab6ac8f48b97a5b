"""What the scripted agent can talk about: signs of a topic, and the words that answer it.

The practice does not exist. Signs are phrases as people say them, and as the recogniser is known to
mishear them.
"""

from dataclasses import dataclass
from functools import lru_cache

from calls.providers.embedded.words import Words, strength

PRACTICE = "Maple Street Dental"


@dataclass(frozen=True, slots=True)
class Topic:
    name: str
    signs: tuple[str, ...]
    answer: tuple[str, ...]


APPOINTMENT = ("appointment", "blind man", "appoint", "point man", "apartment")

YES = (
    "yes", "yeah", "yep", "yup", "sure", "correct", "right", "okay", "ok", "exactly", "of course",
    "please do", "go ahead", "sounds good", "that's fine", "perfect", "great", "that is it",
)  # fmt: skip
NO = (
    "no",
    "nope",
    "not",
    "wrong",
    "don't",
    "incorrect",
    "nah",
    "never",
    "isn't",
    "nothing",
    "know",
)
STOP = ("cancel", "never mind", "stop", "forget it", "quit", "leave it", "start over")
REPEAT = (
    "repeat", "say that again", "say again", "pardon", "what did you say", "come again",
    "didn't hear", "didn't catch", "once more",
)  # fmt: skip
GOODBYE = (
    "goodbye", "good bye", "bye", "bye bye", "see you", "hang up", "that's all", "that is all",
    "that was all", "end the call", "have a nice day", "have a good day", "good by",
)  # fmt: skip
_WANT = ("book", "make", "need", "want", "get", "like", "have", "schedule", "arrange")
BOOK = (
    *(f"{verb} {noun}" for verb in _WANT for noun in APPOINTMENT),
    *("book", "booking", "reservation", "schedule a visit", "see the dentist", "see a dentist"),
)

HOURS = "hours"
CHANGING = "changing an appointment"
THANKS = "thanks"
OFFERS = ("services", "people")
"""Topics whose answer offers an appointment."""

TOPICS = (
    Topic(
        HOURS,
        ("opening hours", "opening", "open", "hours", "when close", "close", "closing time",
         "business hours", "office hours"),
        ("We are open from Monday to Friday, from nine to five.", "At weekends we are closed."),
    ),
    Topic(
        "prices",
        ("how much", "cost", "costs", "price", "prices", "fee", "charge", "expensive", "cheap"),
        ("A check-up costs fifty dollars.", "A cleaning costs eighty."),
    ),
    Topic(
        "payment",
        ("credit card", "pay", "payment", "cash", "pay by card", "bill", "bell", "invoice"),
        ("You can pay in cash or by card.", "For a question about a bill, please write to us."),
    ),
    Topic(
        "insurance",
        ("insurance", "insured", "accept insurance", "health plan"),
        ("We accept most dental insurance.", "Please bring your card with you."),
    ),
    Topic(
        "discount",
        ("discount", "students", "cheaper", "special offer"),
        ("Students and children get ten percent off.",),
    ),
    Topic(
        "address",
        ("where are you", "address", "located", "location", "find you", "where is", "what street"),
        ("We are at twelve Maple Street, next to the library.",),
    ),
    Topic(
        "directions",
        ("by bus", "bus", "train", "how do i get", "get to your office", "directions", "tram",
         "subway"),
        ("Take bus number seven to the library.", "From there it is one minute on foot."),
    ),
    Topic(
        "parking",
        ("parking", "park", "parking lot", "parking space", "where can i park"),
        ("Yes, there is free parking behind the house.",),
    ),
    Topic(
        "contact",
        ("phone number", "telephone", "email", "e mail", "contact", "website", "write to you"),
        ("You can write to hello at maple dot example.", "This demo has no real phone number."),
    ),
    Topic(
        "duration",
        ("how long", "take long", "how much time", "duration", "how many minutes"),
        ("A check-up takes about thirty minutes.", "A cleaning takes an hour."),
    ),
    Topic(
        "services",
        ("services", "treatment", "offer", "check up", "tooth", "teeth", "pain", "do you do"),
        ("We offer check-ups, cleaning and fillings.", "Shall I book an appointment for you?"),
    ),
    Topic(
        CHANGING,
        tuple(
            f"{verb} {noun}"
            for verb in ("cancel", "change", "move", "reschedule", "postpone")
            for noun in (*APPOINTMENT, "booking")
        ),
        ("I am sorry, I can only book new appointments.", "Please write to us to change one."),
    ),
    Topic(
        "people",
        ("speak to a human", "talk to a human", "human", "you man", "real person", "a person",
         "operator", "somebody else", "receptionist", "manager", "representative"),
        ("There is no person behind this demo.", "Shall I book an appointment for you?"),
    ),
    Topic(
        "who I am",
        ("who are you", "what are you", "your name", "robot", "machine", "are you real",
         "are you human", "artificial", "intelligence", "a i", "computer", "chat bot",
         "here are you", "you are you", "to argue"),
        ("I am a scripted demo.", "I look for words that I know, and no AI is connected."),
    ),
    Topic(
        "languages",
        ("speak german", "speak spanish", "speak french", "german", "spanish", "french", "chinese",
         "what language", "languages", "do you speak"),
        ("I only speak English.",),
    ),
    Topic(
        "pets and prams",
        ("wheelchair", "elevator", "stairs", "stroller", "my dog", "dog", "my child", "children",
         "my kids", "baby"),
        ("There is a ramp at the door, and children are welcome.", "Dogs please wait outside."),
    ),
    Topic(
        "the weather",
        ("weather", "rain", "sunny", "temperature"),
        ("I have no window to look out of.", "I am only a script."),
    ),
    Topic(
        "jokes",
        ("joke", "funny", "make me laugh"),
        ("What does a dentist call his X-rays?", "Tooth pics."),
    ),
    Topic(
        "my speech",
        ("slower", "slow down", "too fast", "speak slower", "louder", "speaks louder", "too quiet",
         "speak up"),
        ("I always speak like this.", "The volume can be set on the page."),
    ),
    Topic(
        "help",
        ("help", "what can you do", "options", "what can i ask", "how does this work", "menu",
         "what can i say", "what do you know"),
        ("You can ask about opening hours, prices, parking or the address.",
         "Or say: book an appointment.", "You can also say repeat, or goodbye."),
    ),
    Topic(
        THANKS,
        ("thank you", "thanks", "thank you very much", "very kind"),
        ("You are welcome.", "Is there anything else?"),
    ),
    Topic(
        "greetings",
        ("hello", "hi", "hey", "good morning", "good afternoon", "good evening", "how are you"),
        ("Hello!", "How can I help you?"),
    ),
)  # fmt: skip


@lru_cache(maxsize=1_000)
def topic_of(words: Words) -> Topic | None:
    """The topic with the strongest sign in these words."""
    found = [(max(strength(words, sign) for sign in topic.signs), topic) for topic in TOPICS]
    strongest = max(found, key=lambda entry: entry[0])
    return strongest[1] if strongest[0] else None
