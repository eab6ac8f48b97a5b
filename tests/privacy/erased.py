"""Erases callers one after the other, killed at another point each time; started by the tests.

Arguments: how many kills. Prints one line of JSON: for each caller its canary, and what a killed
run and the one after it said. What the database and the folders then hold is the tests' business.
"""

import json
import os
import signal
import sys
from io import StringIO
from secrets import token_hex

import django

django.setup()

from django.contrib.admin.models import CHANGE, LogEntry  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.contrib.contenttypes.models import ContentType  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402

from calls.conf import calls_settings  # noqa: E402
from calls.domain.items import Item, Role  # noqa: E402
from calls.models import Conversation, Summary  # noqa: E402
from calls.store.journal import refused_keep  # noqa: E402
from calls.store.traces import debug_file  # noqa: E402
from calls.store.units import unit_item  # noqa: E402
from calls.store.waveforms import recording_peaks  # noqa: E402
from tests.store.factories import answered, demo_conversation, said  # noqa: E402

CALLS_EACH = 3


def seed(canary: str) -> None:
    """Calls of one caller, with the canary wherever something of a caller can stand."""
    for number in range(CALLS_EACH):
        call_id = f"{token_hex(8)}-{number}"
        items = [
            said(1, f"my secret is {canary} and again {canary}", 1, 1_000),
            answered(2, f"I heard {canary}.", 1, 4_000, unheard=f" Never said: {canary}"),
            Item(3, Role.TOOL, f'{{"result": "{canary}"}}', 1, tool_name="t", tool_call_id="1",
                 arguments=f'{{"x": "{canary}"}}', metadata={"note": canary}),
            *(said(n, f"filler {n} {canary} " + "word " * 60, n, n * 2_000) for n in range(4, 12)),
        ]  # fmt: skip
        row = demo_conversation(call_id, items=items, turns=(), uses=())
        sound = row.recording.file
        sound.write_bytes(sound.read_bytes() + canary.encode() * 50)
        recording_peaks(row.recording)
        debug_file(call_id).parent.mkdir(parents=True, exist_ok=True)
        debug_file(call_id).write_bytes(canary.encode() * 20)
        change(call_id, canary)
        leave_in_journals(call_id, canary)
        look_at(row)


def change(call_id: str, canary: str) -> None:
    """Rows are written more than once: what they said before has to go as well."""
    for _ in range(2):
        Conversation.objects.filter(pk=call_id).update(
            caller=f"caller {canary}", metadata={"m": canary * 3}, user_agent=canary,
            consent_text=canary, agent_snapshot={"system_prompt": canary * 40},
        )  # fmt: skip
        Summary.objects.filter(pk=call_id).update(
            title=canary, summary=f"About {canary}", key_points=[canary], next_steps=[canary],
            outcome=canary, extracted={"name": canary},
        )  # fmt: skip


def leave_in_journals(call_id: str, canary: str) -> None:
    folder = calls_settings().journal_dir
    late = unit_item(call_id, said(99, f"late {canary}", 9, 90_000))
    refused_keep(folder, [late])
    orphan = folder / f"1-{token_hex(6)}.jsonl"
    orphan.write_bytes(late.line() + late.line()[:-20])


def look_at(row: Conversation) -> None:
    user, _ = User.objects.get_or_create(username="looker", is_staff=True)
    kind = ContentType.objects.get_for_model(Conversation)
    LogEntry.objects.create(
        user=user, content_type=kind, object_id=row.pk, object_repr=str(row),
        action_flag=CHANGE, change_message="Looked.",
    )  # fmt: skip


def erase(canary: str, *, kill_at: int | None = None) -> dict:
    """In a process of its own, killed before its statement of that number."""
    read, write = os.pipe()
    connection.close()
    if hasattr(connection, "close_pool"):
        connection.close_pool()
    if not (pid := os.fork()):
        told = erase_here(canary, kill_at)
        os.write(write, json.dumps(told).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as said_:
        answer = said_.read()
    _, status = os.waitpid(pid, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    return {"killed": killed, **(json.loads(answer) if answer else {})}


def erase_here(canary: str, kill_at: int | None) -> dict:
    count = 0

    def counting(execute, sql, params, many, context):
        nonlocal count
        count += 1
        if count == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return execute(sql, params, many, context)

    out = StringIO()
    with connection.execute_wrapper(counting):
        options = {"caller": f"caller {canary}", "yes": True, "json": True, "stdout": out}
        call_command("call_erase", vacuum_full="--full" in sys.argv, **options)
    return {"statements": count, **json.loads(out.getvalue())}


def main(kills: int) -> None:
    kept = token_hex(12)
    seed(kept)
    call_command("reap_calls", stdout=StringIO())
    told: list[dict] = []
    for number in range(kills + 1):
        canary = token_hex(12)
        seed(canary)
        entry = {"canary": canary}
        if number:
            statements = told[0]["again"]["statements"]
            entry["cut"] = erase(canary, kill_at=max(2, statements * number // (kills + 1)))
        told.append(entry | {"again": erase(canary)})
    sys.stdout.write(json.dumps({"kept": kept, "erased": told}) + "\n")


main(int(sys.argv[1]))
