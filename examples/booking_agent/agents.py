"""An agent that books appointments. It needs no language model: it looks for words."""

import json
import re
from typing import Literal

from django.db import IntegrityError, transaction

from booking_agent.models import Appointment
from calls.agents import Commands, LiveCall, Message, ToolCall, ToolError, VoiceAgent, tool

Day = Literal["monday", "tuesday", "wednesday", "thursday", "friday"]
TIMES = ("9:00", "11:30", "15:00")
GOODBYES = {"bye", "goodbye", "no", "nothing", "thanks"}


class BookingAgent(VoiceAgent):
    """Gives away the free times of a practice."""

    first_message = "Hello, this is the practice. On which day would you like to come?"
    language = "en"

    def generate_answer(self, conversation: list[Message]) -> str | Message | ToolCall:
        """Answer by what was said last; a sync method may use the database."""
        last = conversation[-1]
        if last.role == "tool":
            return self.about_booking(last)
        words = set(re.findall(r"[a-z]+", last.content.lower()))
        for day in Day.__args__:
            if day in words:
                return ToolCall("book", {"day": day})
        if words & GOODBYES:
            return Message("assistant", "Goodbye!", commands=Commands(end_call=True))
        return "We are open from Monday to Friday. Which day suits you?"

    def about_booking(self, result: Message) -> Message:
        """Say what came of it; the page can show the metadata."""
        if result.metadata["failed"]:
            return Message("assistant", f"{json.loads(result.content)['error']} Another day?")
        booked = json.loads(result.content)
        words = f"You can come on {booked['day']} at {booked['time']}. Anything else?"
        return Message("assistant", words, metadata={"booked": booked})

    @tool
    def book(self, day: Day, call: LiveCall) -> dict[str, str]:
        """Book the first free appointment of a day."""
        for time in TIMES:
            try:
                with transaction.atomic():
                    Appointment.objects.create(day=day, time=time, call_id=call.call_id)
            except IntegrityError:
                continue
            return {"day": day.capitalize(), "time": time}
        raise ToolError(f"{day.capitalize()} is full.")
