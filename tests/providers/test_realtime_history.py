"""The other side's conversation follows ours; what a session is told; where words lie in sound."""

import typing

import pytest
from openai.types import realtime

from calls.domain.audio import AGENT
from calls.domain.events import ResponseAudio, ResponseDone, ResponseText, Stage, VoiceFailed
from calls.domain.items import Item, ItemStatus, Role, Source
from calls.ports.tools import ToolSpec
from calls.providers.openai.realtime import aloud, asking, hearing
from calls.providers.openai.realtime.history import History
from calls.providers.openai.realtime.messages import HANDLED_EVENTS, IGNORED_EVENTS
from calls.providers.openai.realtime.settings import RealtimeSettings, session_update
from calls.providers.openai.realtime.speech import Speech


def user(item_id, text, source=Source.TEXT):
    return Item(item_id=item_id, role=Role.USER, text=text, turn=1, source=source)


def agent(item_id, text, response_id, status=ItemStatus.COMPLETE):
    return Item(
        item_id=item_id,
        role=Role.AGENT,
        text=text,
        turn=1,
        response_id=response_id,
        status=status,
    )


def tool(item_id, call_id, text="", status=ItemStatus.COMPLETE):
    return Item(
        item_id=item_id,
        role=Role.TOOL,
        text=text,
        turn=1,
        status=status,
        tool_call_id=call_id,
        tool_name="hours",
        arguments="{}",
    )


class Server:
    """Does what the messages say."""

    def __init__(self) -> None:
        self.history = History()
        self.items: list[tuple[str, dict]] = []

    def follow(self, *items):
        plan = self.history.plan(items)
        self.history.follow(plan)
        self.obey(plan.messages)
        return plan

    def obey(self, messages):
        for message in messages:
            if message["type"] == "conversation.item.delete":
                self.items = [entry for entry in self.items if entry[0] != message["item_id"]]
                continue
            item = message["item"]
            after = message.get("previous_item_id")
            ids = [entry[0] for entry in self.items]
            at = len(ids) if after is None else 0 if after == "root" else ids.index(after) + 1
            self.items.insert(at, (item["id"], item))

    def told(self):
        return [_told(item) for _, item in self.items]

    def adds(self, item_id, what):
        self.items.append((item_id, {"type": "theirs", "what": what}))


def _told(item):
    match item["type"]:
        case "theirs":
            return item["what"]
        case "message":
            return f"{item['role']}: {item['content'][0]['text']}"
        case "function_call":
            return f"call {item['call_id']}"
        case _:
            return f"result {item['output']}"


class TestHistory:
    def test_what_is_there_is_not_told_again(self):
        server = Server()
        server.follow(user(1, "Hello"))
        assert server.follow(user(1, "Hello")).messages == ()
        assert server.told() == ["user: Hello"]

    def test_an_instruction_in_the_conversation_is_one_of_the_system(self):
        server = Server()
        server.follow(
            user(1, "Hello"),
            Item(2, Role.SYSTEM, "Be brief.", 1, source=Source.CLIENT),
            agent(3, "Hi", None),
        )
        assert server.told() == ["user: Hello", "system: Be brief.", "assistant: Hi"]

    def test_words_that_were_heard_find_their_item(self):
        server = Server()
        server.history.heard("u1", "What time is it?")
        server.adds("u1", "heard")
        plan = server.follow(user(1, "What time is it?", Source.VOICE))
        assert plan.messages == ()
        assert plan.last == "u1"

    def test_the_same_words_twice_are_two_items(self):
        server = Server()
        for item_id in ("u1", "u2"):
            server.history.heard(item_id, "Yes")
            server.adds(item_id, item_id)
        assert server.follow(user(1, "Yes", Source.VOICE)).last == "u1"
        assert server.told() == ["u1"]
        server.history.heard("u3", "Yes")
        server.adds("u3", "u3")
        both = user(1, "Yes", Source.VOICE), user(2, "Yes", Source.VOICE)
        assert server.follow(*both).last == "u3"
        assert server.told() == ["u1", "u3"]

    def test_what_our_conversation_lost_is_taken_away(self):
        server = Server()
        server.follow(user(1, "Hello"), user(2, "Never mind"))
        server.follow(user(1, "Hello"))
        assert server.told() == ["user: Hello"]

    def test_what_is_missing_gets_its_place(self):
        server = Server()
        server.follow(user(1, "One"), user(3, "Three"))
        server.follow(user(0, "Zero"), user(1, "One"), user(2, "Two"), user(3, "Three"))
        assert server.told() == ["user: Zero", "user: One", "user: Two", "user: Three"]

    def test_an_answer_of_the_model_is_there_already(self):
        server = Server()
        server.follow(user(1, "Hello"))
        server.history.answered(1, "a1")
        server.adds("a1", "answer")
        server.follow(user(1, "Hello"), agent(2, "Hi.", 1), user(3, "Bye"))
        assert server.told() == ["user: Hello", "answer", "user: Bye"]

    def test_given_words_heard_to_their_end_are_told_at_once(self):
        server = Server()
        server.history.saying(1)
        assert server.history.behind
        server.obey(server.history.said(1, "Welcome."))
        assert not server.history.behind
        assert server.follow(agent(1, "Welcome.", 1)).messages == ()
        assert server.told() == ["assistant: Welcome."]

    def test_given_words_heard_in_part_are_told_so_far(self):
        server = Server()
        server.history.saying(1)
        server.follow(agent(1, "Welcome to", 1, ItemStatus.INTERRUPTED), user(2, "Hi"))
        assert server.told() == ["assistant: Welcome to [interrupted by the caller]", "user: Hi"]
        assert not server.history.behind

    def test_an_answer_that_went_on_in_given_words_is_told_anew(self):
        server = Server()
        server.history.answered(1, "a1")
        server.adds("a1", "half an answer")
        server.history.saying(1)
        assert server.history.said(1, "Sorry.") == ()
        server.follow(agent(1, "It is. Sorry.", 1), user(2, "Well?"))
        assert server.told() == ["assistant: It is. Sorry.", "user: Well?"]

    def test_every_call_gets_its_result(self):
        server = Server()
        for n in (1, 2):
            server.history.called(f"c{n}", f"f{n}")
            server.adds(f"f{n}", f"call c{n}")
        server.follow(tool(1, "c1", "9-17"), tool(2, "c2"))
        assert server.told() == [
            "call c1",
            "result 9-17",
            "call c2",
            'result {"error": "The tool gave no result."}',
        ]

    def test_a_late_result_takes_the_place_of_the_first_one(self):
        server = Server()
        server.follow(tool(1, "c1", status=ItemStatus.IN_PROGRESS), user(2, "Well?"))
        assert server.told()[1] == 'result {"status": "still running"}'
        server.follow(tool(1, "c1", "9-17"), user(2, "Well?"))
        assert server.told() == ["call c1", "result 9-17", "user: Well?"]

    def test_a_call_that_nobody_made_is_taken_away(self):
        server = Server()
        server.history.called("c1", "f1")
        server.adds("f1", "call c1")
        server.follow(user(1, "Well?"))
        assert server.told() == ["user: Well?"]

    def test_after_a_loss_everything_is_told_as_text(self):
        server = Server()
        items = user(1, "Hello", Source.VOICE), agent(2, "Hi.", 1), tool(3, "c1", "9-17")
        server.history.heard("u1", "Hello")
        server.follow(*items)
        server.items.clear()
        server.history.lost()
        assert server.history.behind
        server.follow(*items)
        assert server.told() == ["user: Hello", "assistant: Hi.", "call c1", "result 9-17"]


class TestSettings:
    def test_a_session_is_told_everything(self):
        settings = RealtimeSettings(
            model="gpt-realtime-2.1",
            system_prompt="Be kind.",
            tools=(ToolSpec("hours", "When.", {"type": "object", "properties": {"d": {}}}),),
            language="pt-BR",
            language_instruction=True,
            voice="cedar",
            speed=1.1,
            temperature=0.8,
            turn_detection="server_vad",
            vad_threshold=0.6,
            vad_prefix_ms=200,
            vad_silence_ms=700,
            max_output_tokens=4096,
            transcription_model="whisper-1",
            noise_reduction="far_field",
            tracing=True,
        )
        instructions = "Be kind.\n\nAlways speak Portuguese, whatever language you hear."
        assert session_update(settings) == {
            "type": "session.update",
            "session": {
                "type": "realtime",
                "model": "gpt-realtime-2.1",
                "output_modalities": ["audio"],
                "instructions": instructions,
                "audio": {
                    "input": {
                        "format": {"type": "audio/pcm", "rate": 24000},
                        "transcription": {"model": "whisper-1", "language": "pt"},
                        "noise_reduction": {"type": "far_field"},
                        "turn_detection": {
                            "type": "server_vad",
                            "threshold": 0.6,
                            "prefix_padding_ms": 200,
                            "silence_duration_ms": 700,
                            "create_response": False,
                            "interrupt_response": False,
                        },
                    },
                    "output": {
                        "format": {"type": "audio/pcm", "rate": 24000},
                        "voice": "cedar",
                        "speed": 1.1,
                    },
                },
                "tools": [
                    {
                        "type": "function",
                        "name": "hours",
                        "description": "When.",
                        "parameters": {"type": "object", "properties": {"d": {}}},
                    }
                ],
                "tool_choice": "auto",
                "max_output_tokens": 4096,
                "truncation": "auto",
                "tracing": "auto",
            },
        }

    def test_what_is_not_set_is_off(self):
        session = session_update(RealtimeSettings(model="m", noise_reduction=""))["session"]
        inputs = session["audio"]["input"]
        assert inputs["noise_reduction"] is None
        assert inputs["turn_detection"] is None
        assert (session["max_output_tokens"], session["tracing"]) == ("inf", None)
        assert session["instructions"] == ""

    def test_semantic_detection_knows_only_its_eagerness(self):
        settings = RealtimeSettings(model="m", turn_detection="semantic_vad", vad_eagerness="high")
        assert session_update(settings)["session"]["audio"]["input"]["turn_detection"] == {
            "type": "semantic_vad",
            "eagerness": "high",
            "create_response": False,
            "interrupt_response": False,
        }

    @pytest.mark.parametrize(
        ("model", "told"),
        [("gpt-4o-realtime-preview-2024-12-17", 0.8), ("gpt-realtime-2.1", None)],
    )
    def test_only_models_of_the_beta_are_told_a_temperature(self, model, told):
        session = session_update(RealtimeSettings(model=model, temperature=0.8))["session"]
        assert session.get("temperature") == told

    @pytest.mark.parametrize(("speed", "told"), [(0.1, 0.25), (1.2, 1.2), (3.0, 1.5)])
    def test_speed_is_what_the_provider_takes(self, speed, told):
        session = session_update(RealtimeSettings(model="m", speed=speed))["session"]
        assert session["audio"]["output"]["speed"] == told

    def test_newer_recognisers_take_several_languages(self):
        settings = RealtimeSettings(model="m", transcription_model="gpt-transcribe", language="de")
        transcription = session_update(settings)["session"]["audio"]["input"]["transcription"]
        assert transcription == {"model": "gpt-transcribe", "languages": ["de"]}


class TestEvents:
    def test_every_event_of_the_sdk_is_handled_or_ignored(self):
        union = typing.get_args(realtime.RealtimeServerEvent)[0]
        kinds = {
            kind
            for event in typing.get_args(union)
            for kind in typing.get_args(event.model_fields["type"].annotation)
        }
        assert kinds - HANDLED_EVENTS - IGNORED_EVENTS == set()

    def test_what_is_called_handled_is(self):
        kinds = {*hearing.HANDLERS, *asking.HANDLERS, *aloud.HANDLERS, "error"}
        assert kinds == HANDLED_EVENTS
        assert not HANDLED_EVENTS & IGNORED_EVENTS


def sound(ms):
    return b"\x01\x02" * AGENT.samples(ms)


def given(speech):
    """What it gives out, as (text, milliseconds of sound before it) and the whole length."""
    words, at = [], 0
    while (event := speech.take(held=False)) is not None:
        if isinstance(event, ResponseText):
            words.append((event.text, AGENT.ms_of(at)))
        elif isinstance(event, ResponseAudio):
            at += len(event.pcm)
        if speech.over:
            break
    return words, AGENT.ms_of(at)


class TestSpeech:
    def test_words_lie_where_their_sound_had_come_to(self):
        speech = Speech(1, provider="p")
        for word in ("one ", "two ", "three "):
            speech.add_text(word)
            speech.add_sound(sound(500))
        speech.finish(ResponseDone(response_id=1))
        assert given(speech) == ([("one ", 0), ("two ", 500), ("three ", 1000)], 1500)

    def test_words_that_came_all_at_once_share_the_sound(self):
        speech = Speech(1, provider="p")
        speech.add_text("aaaa bbbb ")
        speech.add_sound(sound(1000))
        speech.finish(ResponseDone(response_id=1))
        assert given(speech) == ([("aaaa ", 0), ("bbbb ", 500)], 1000)

    def test_nobody_speaks_faster_than_one_can(self):
        speech = Speech(1, provider="p")
        speech.add_text("x" * 20 + " and the rest ")
        speech.add_sound(sound(2000))
        words, _ = given(speech)
        assert words[1] == ("and ", 21 * 50)

    def test_words_come_before_their_sound(self):
        speech = Speech(1, provider="p")
        speech.add_sound(sound(100))
        assert speech.take(held=False) is None
        speech.add_text("Yes. ")
        assert isinstance(speech.take(held=False), ResponseText)
        assert isinstance(speech.take(held=False), ResponseAudio)

    def test_sound_does_not_wait_for_ever_for_words(self):
        speech = Speech(1, provider="p")
        speech.add_sound(sound(400))
        assert isinstance(speech.take(held=False), ResponseAudio)

    def test_half_a_sample_waits_for_the_other_half(self):
        speech = Speech(1, provider="p")
        speech.add_text("Yes. ")
        pcm = sound(10)
        for at in range(0, len(pcm), 7):
            speech.add_sound(pcm[at : at + 7])
        speech.finish(ResponseDone(response_id=1))
        events = []
        while not speech.over:
            events.append(speech.take(held=False))
        assert b"".join(e.pcm for e in events if isinstance(e, ResponseAudio)) == pcm

    def test_of_a_failed_answer_words_without_sound_are_forgotten(self):
        speech = Speech(1, provider="p")
        speech.add_text("one ")
        speech.add_sound(sound(200))
        speech.add_text("two " * 10)
        speech.finish(VoiceFailed(stage=Stage.VOICE, message="No.", response_id=1))
        words, length = given(speech)
        assert "".join(text for text, _ in words) == "one "
        assert length == 200

    def test_given_words_are_shown_as_they_are_given(self):
        speech = Speech(1, provider="p", script="Good day, Sir.")
        speech.add_text("Good day sir")
        speech.add_sound(sound(700))
        speech.finish(ResponseDone(response_id=1))
        words, _ = given(speech)
        assert "".join(text for text, _ in words) == "Good day, Sir."

    def test_more_sound_than_anybody_listens_to_is_dropped(self):
        speech = Speech(1, provider="p")
        minute = sound(60_000)
        for _ in range(12):
            speech.add_sound(minute)
        assert speech.received_ms == 10 * 60_000
