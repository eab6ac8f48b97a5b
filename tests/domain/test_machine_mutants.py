"""A watch that never barks proves nothing: here is what it has to bark at.

Each mutant breaks the machine in one way that a caller, a reviewer or an operator would notice,
and has to be caught within a hundred calls. The sound machine passes the same hundred in
`test_machine_properties.py`.
"""

from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from calls.domain import (
    conversation,
    floor,
    keypad,
    leading,
    link,
    machine,
    playback,
    responses,
    timers,
    turns,
)
from calls.domain import effects as do
from calls.domain import events as ev
from calls.domain.draft import Draft
from calls.domain.errors import EndReason
from calls.domain.items import Item, ItemStatus, Role, Source
from calls.domain.state import Awaited, Caller, CallState, Response
from calls.domain.timings import TurnTimings
from tests.doubles.runs import run, seeded

HANDLERS = machine._HANDLERS


def _plays_cancelled_sound(patch: pytest.MonkeyPatch) -> None:
    def on_audio(draft: Draft, event: ev.ResponseAudio) -> None:
        draft.do(do.SendAudio(event.response_id, event.pcm))

    patch.setitem(HANDLERS, ev.ResponseAudio, on_audio)


def _forgets_to_settle(patch: pytest.MonkeyPatch) -> None:
    def settle_cut(draft: Draft) -> None:
        draft.set(cut=None)
        draft.do(do.CancelTimer(timers.CUT))

    patch.setattr(playback, "settle_cut", settle_cut)


def _settles_twice(patch: pytest.MonkeyPatch) -> None:
    settle_cut = playback.settle_cut

    def twice(draft: Draft) -> None:
        if (cut := draft.state.cut) is not None:
            draft.do(do.SettleHeard(cut.response_id, cut.played_ms))
        settle_cut(draft)

    patch.setattr(playback, "settle_cut", twice)


def _leaves_a_turn_off_the_record(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Draft, "record_open_turn", lambda _draft: None)


def _does_not_clear(patch: pytest.MonkeyPatch) -> None:
    interrupt = playback.interrupt

    def quietly(draft: Draft, *outcome: do.Outcome) -> None:
        interrupt(draft, *outcome)
        draft.effects = [e for e in draft.effects if not isinstance(e, do.ClearAudio)]

    patch.setattr(playback, "interrupt", quietly)


def _ends_twice(patch: pytest.MonkeyPatch) -> None:
    close = link.close

    def twice(draft: Draft) -> None:
        close(draft)
        draft.do(do.EndCall(EndReason.ERROR))

    patch.setattr(link, "close", twice)


def _goes_on_after_the_end(patch: pytest.MonkeyPatch) -> None:
    end = link.end

    def end_at_once(draft: Draft, reason: EndReason, *outcome: do.Outcome) -> None:
        end(draft, reason, *outcome)
        draft.do(do.EndCall(reason))

    patch.setattr(link, "end", end_at_once)


def _shows_before_it_is_stored(patch: pytest.MonkeyPatch) -> None:
    def add_item(draft: Draft, role: Role, text: str, **fields: Any) -> Item:
        item = conversation.add_item(draft, role, text, **fields)
        draft.do(do.SendItem(item))
        return item

    for module in (playback, responses, turns):
        patch.setattr(module, "add_item", add_item)


def _shows_a_former_revision(patch: pytest.MonkeyPatch) -> None:
    def on_item_stored(draft: Draft, event: ev.ItemStored) -> None:
        if 0 < event.item_id <= len(draft.state.items):
            draft.set(unstored=draft.state.unstored - {event.item_id})
            draft.do(do.SendItem(draft.item(event.item_id)))

    patch.setitem(HANDLERS, ev.ItemStored, on_item_stored)


def _does_not_store_a_change(patch: pytest.MonkeyPatch) -> None:
    def change_item(draft: Draft, item_id: int, **changes: Any) -> Item:
        item = conversation.change_item(draft, item_id, **changes)
        draft.effects.pop()
        return item

    patch.setattr(playback, "change_item", change_item)


def _loses_the_unheard_words(patch: pytest.MonkeyPatch) -> None:
    def split_heard(response: Response, heard_ms: int) -> tuple[str, str]:
        return conversation.split_heard(response, heard_ms)[0], ""

    patch.setattr(playback, "split_heard", split_heard)


def _talks_over_the_caller(patch: pytest.MonkeyPatch) -> None:
    def is_free(state: CallState) -> bool:
        return state.response is None and state.link in floor.LIVE and not state.end_reason

    patch.setattr(floor, "is_free", is_free)


def _ignores_a_barge_in(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(floor, "is_deaf", lambda state: state.response is not None)


def _uses_an_id_again(patch: pytest.MonkeyPatch) -> None:
    interrupt = playback.interrupt

    def rewind(draft: Draft, *outcome: do.Outcome) -> None:
        if draft.state.response is not None:
            draft.set(next_response_id=draft.state.response.response_id)
        interrupt(draft, *outcome)

    patch.setattr(playback, "interrupt", rewind)


def _answers_twice_at_once(patch: pytest.MonkeyPatch) -> None:
    interrupt = playback.interrupt

    def unsettled(draft: Draft, *outcome: do.Outcome) -> None:
        interrupt(draft, *outcome)
        draft.set(cut=None)

    patch.setattr(playback, "interrupt", unsettled)


def _owes_an_answer(patch: pytest.MonkeyPatch) -> None:
    on_final = turns.on_final

    def forgetful(draft: Draft, event: ev.TranscriptFinal) -> None:
        on_final(draft, event)
        draft.set(unanswered=False)

    patch.setitem(HANDLERS, ev.TranscriptFinal, forgetful)


def _takes_two_transcripts_for_a_turn(patch: pytest.MonkeyPatch) -> None:
    def take_awaited(draft: Draft) -> Awaited:
        draft.do(do.CancelTimer(timers.STT_WAIT))
        awaited, *_ = draft.state.awaiting
        draft.set(awaiting=())
        return awaited

    patch.setattr(turns, "take_awaited", take_awaited)


def _forgets_the_pause_of_who_comes_back(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(link, "_rearm", lambda draft: None)


def _shows_nothing_to_who_comes_back(patch: pytest.MonkeyPatch) -> None:
    def on_attached(draft: Draft, event: ev.ClientAttached) -> None:
        link.on_attached(draft, event)
        draft.effects = [e for e in draft.effects if not isinstance(e, do.SendItem)]

    patch.setitem(HANDLERS, ev.ClientAttached, on_attached)


def _waits_for_ever_for_an_answer(patch: pytest.MonkeyPatch) -> None:
    on_text = responses.on_text

    def patient(draft: Draft, event: ev.ResponseText) -> None:
        on_text(draft, event)
        draft.do(do.CancelTimer(timers.RESPONSE_WAIT))

    patch.setitem(HANDLERS, ev.ResponseText, patient)


def _never_gives_up_a_client(patch: pytest.MonkeyPatch) -> None:
    def on_detached(draft: Draft, event: ev.ClientDetached) -> None:
        link.on_detached(draft, event)
        draft.do(do.CancelTimer(timers.RESUME))

    patch.setitem(HANDLERS, ev.ClientDetached, on_detached)


def _counts_silence_while_somebody_speaks(patch: pytest.MonkeyPatch) -> None:
    follow = machine._follow_phase

    def keep_idle(draft: Draft, before: do.Phase) -> None:
        follow(draft, before)
        draft.effects = [e for e in draft.effects if e != do.CancelTimer(timers.IDLE)]

    patch.setattr(machine, "_follow_phase", keep_idle)


def _remembers_another_call(patch: pytest.MonkeyPatch) -> None:
    answers = count()

    def begin_turn(draft: Draft, timings: TurnTimings | None = None) -> None:
        draft.set(turn=next(answers), turn_answered=False, timings=timings or TurnTimings(), stt="")

    patch.setattr(responses, "begin_turn", begin_turn)


def _raises_for_what_comes_too_late(patch: pytest.MonkeyPatch) -> None:
    def on_tool_finished(draft: Draft, event: ev.ToolFinished) -> None:
        assert event.tool_call_id in draft.state.tool_items
        responses.on_tool_finished(draft, event)

    patch.setitem(HANDLERS, ev.ToolFinished, on_tool_finished)


# Clients that lead


def _without(patch: pytest.MonkeyPatch, module: Any, name: str, kind: type[do.Effect]) -> None:
    """That function no longer asks for effects of this kind."""
    whole = getattr(module, name)

    def less(draft: Draft, *args: Any, **fields: Any) -> Any:
        before = len(draft.effects)
        result = whole(draft, *args, **fields)
        rest = [effect for effect in draft.effects[before:] if not isinstance(effect, kind)]
        draft.effects[before:] = rest
        return result

    patch.setattr(module, name, less)


def _hides_that_an_answer_was_cut(patch: pytest.MonkeyPatch) -> None:
    _without(patch, playback, "interrupt", do.SendResponseMade)


def _tells_twice_that_an_answer_is_made(patch: pytest.MonkeyPatch) -> None:
    finish_round = responses.finish_round

    def again(draft: Draft) -> None:
        now = draft.respond()
        if not now.tools_used:
            made = do.SendResponseMade(now.response_id, now.rounds, do.Outcome.COMPLETE)
            draft.do(made)
        finish_round(draft)

    patch.setattr(responses, "finish_round", again)


def _hides_further_rounds(patch: pytest.MonkeyPatch) -> None:
    _without(patch, responses, "finish_round", do.SendResponseBegan)


def _calls_every_cut_an_interruption(patch: pytest.MonkeyPatch) -> None:
    interrupt = playback.interrupt
    complete = do.Outcome.COMPLETE
    patch.setattr(playback, "interrupt", lambda draft, *_outcome: interrupt(draft, complete))


def _answers_unasked(patch: pytest.MonkeyPatch) -> None:
    due = property(lambda state: state.unanswered or state.asked is not None)
    patch.setattr(CallState, "answer_due", due)


def _forgets_that_it_was_asked(patch: pytest.MonkeyPatch) -> None:
    begin = floor.begin_utterance

    def forgetful(draft: Draft, *event: ev.SpeechStarted) -> None:
        begin(draft, *event)
        draft.set(asked=None)

    patch.setattr(floor, "begin_utterance", forgetful)


def _does_not_answer_anew(patch: pytest.MonkeyPatch) -> None:
    asked = leading.on_answer_asked

    def only_when_silent(draft: Draft, event: ev.AnswerAsked) -> None:
        if draft.state.response is None:
            asked(draft, event)

    patch.setitem(HANDLERS, ev.AnswerAsked, only_when_silent)


def _goes_on_with_what_was_stopped(patch: pytest.MonkeyPatch) -> None:
    def dismiss(draft: Draft) -> None:
        playback.interrupt(draft, do.Outcome.CANCELLED)

    patch.setattr(playback, "dismiss", dismiss)


def _loses_a_key(patch: pytest.MonkeyPatch) -> None:
    take_text = turns.take_text

    def shorter(draft: Draft, text: str, source: Source) -> None:
        take_text(draft, text[:-1] if source is Source.KEYPAD else text, source)

    patch.setattr(turns, "take_text", shorter)


def _waits_for_ever_for_a_key(patch: pytest.MonkeyPatch) -> None:
    def on_digit(draft: Draft, event: ev.DigitPressed) -> None:
        keypad.on_digit(draft, event)
        draft.do(do.CancelTimer(timers.DIGITS))

    patch.setitem(HANDLERS, ev.DigitPressed, on_digit)


def _takes_any_key(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(keypad, "KEYS", frozenset("0123456789*#ABCDx"))


def _leaves_keys_at_the_end(patch: pytest.MonkeyPatch) -> None:
    finish = keypad.finish

    def unless_ending(draft: Draft) -> None:
        if draft.state.response is not None or draft.state.awaiting:
            return
        finish(draft)

    patch.setattr(keypad, "finish", unless_ending)


def _brings_back_what_was_removed(patch: pytest.MonkeyPatch) -> None:
    def change_item(draft: Draft, item_id: int, **changes: Any) -> Item:
        items, change = draft.state.items, conversation.change_item
        if items[item_id - 1].status is ItemStatus.CANCELLED:
            shown = replace(items[item_id - 1], status=ItemStatus.COMPLETE)
            draft.set(items=(*items[: item_id - 1], shown, *items[item_id:]))
        return change(draft, item_id, **changes)

    for module in (playback, responses):
        patch.setattr(module, "change_item", change_item)


def _is_interrupted_by_an_entry(patch: pytest.MonkeyPatch) -> None:
    def on_entry_given(draft: Draft, event: ev.EntryGiven) -> None:
        playback.interrupt(draft)
        leading.on_entry_given(draft, event)

    patch.setitem(HANDLERS, ev.EntryGiven, on_entry_given)


def _hides_entries_from_the_model(patch: pytest.MonkeyPatch) -> None:
    shown = conversation._shown
    patch.setattr(
        conversation, "_shown", lambda item: shown(item) and item.source is not Source.CLIENT
    )


def _commits_what_was_dropped(patch: pytest.MonkeyPatch) -> None:
    def on_turn_dropped(draft: Draft, _event: ev.TurnDropped) -> None:
        if draft.state.caller is not Caller.SILENT:
            turns.commit(draft)

    patch.setitem(HANDLERS, ev.TurnDropped, on_turn_dropped)


def _talks_on_when_the_turn_is_dropped(patch: pytest.MonkeyPatch) -> None:
    def on_turn_dropped(draft: Draft, _event: ev.TurnDropped) -> None:
        turns.on_turn_dropped(draft, ev.TurnDropped(at_ms=draft.at_ms))
        draft.set(asked=None)

    patch.setitem(HANDLERS, ev.TurnDropped, on_turn_dropped)


def _hides_that_speech_was_dropped(patch: pytest.MonkeyPatch) -> None:
    _without(patch, turns, "_discard", do.SendSpeech)


def _begins_an_utterance_twice(patch: pytest.MonkeyPatch) -> None:
    begin = floor.begin_utterance

    def always(draft: Draft, *event: ev.SpeechStarted) -> None:
        if draft.state.caller is Caller.PAUSED:
            draft.do(do.SendSpeech(do.SpeechMark.STARTED, draft.state.turn + 1))
        begin(draft, *event)

    patch.setattr(floor, "begin_utterance", always)


def _does_not_believe_the_listener(patch: pytest.MonkeyPatch) -> None:
    def on_heard_told(draft: Draft, event: ev.HeardTold) -> None:
        if draft.state.response is None:
            leading.on_heard_told(draft, event)

    patch.setitem(HANDLERS, ev.HeardTold, on_heard_told)


def _settles_anew_with_more(patch: pytest.MonkeyPatch) -> None:
    part_anew = leading._part_anew

    def always(draft: Draft, response_id: int, heard_ms: int) -> None:
        part_anew(draft, response_id, heard_ms)
        if response_id < draft.state.next_response_id:
            draft.do(do.SettleHeard(response_id, heard_ms))

    patch.setattr(leading, "_part_anew", always)


MUTANTS = (
    _plays_cancelled_sound,
    _leaves_a_turn_off_the_record,
    _forgets_to_settle,
    _settles_twice,
    _does_not_clear,
    _ends_twice,
    _goes_on_after_the_end,
    _shows_before_it_is_stored,
    _shows_a_former_revision,
    _does_not_store_a_change,
    _loses_the_unheard_words,
    _talks_over_the_caller,
    _ignores_a_barge_in,
    _uses_an_id_again,
    _answers_twice_at_once,
    _owes_an_answer,
    _takes_two_transcripts_for_a_turn,
    _forgets_the_pause_of_who_comes_back,
    _shows_nothing_to_who_comes_back,
    _waits_for_ever_for_an_answer,
    _never_gives_up_a_client,
    _counts_silence_while_somebody_speaks,
    _remembers_another_call,
    _raises_for_what_comes_too_late,
    _hides_that_an_answer_was_cut,
    _tells_twice_that_an_answer_is_made,
    _hides_further_rounds,
    _calls_every_cut_an_interruption,
    _answers_unasked,
    _forgets_that_it_was_asked,
    _does_not_answer_anew,
    _goes_on_with_what_was_stopped,
    _loses_a_key,
    _waits_for_ever_for_a_key,
    _takes_any_key,
    _leaves_keys_at_the_end,
    _brings_back_what_was_removed,
    _is_interrupted_by_an_entry,
    _hides_entries_from_the_model,
    _commits_what_was_dropped,
    _talks_on_when_the_turn_is_dropped,
    _hides_that_speech_was_dropped,
    _begins_an_utterance_twice,
    _does_not_believe_the_listener,
    _settles_anew_with_more,
)


def caught() -> bool:
    """Whether one of a hundred calls shows that something is wrong."""
    for seed in range(100):
        try:
            run(seeded(seed))
        except AssertionError:
            return True
    return False


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__.strip("_"))
def test_a_mutant_is_caught(mutant, monkeypatch):
    mutant(monkeypatch)
    assert caught()
