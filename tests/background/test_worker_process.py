"""Real workers: killed in the middle of their work, asked to leave, several at once."""

import time

import pytest
from django.core.management import call_command
from django.db import transaction

from calls.models import Summary, WebhookDelivery, WebhookEvent
from calls.store.webhooks import deliveries_add
from tests.background.conftest import LEASE_S, until
from tests.doubles.providers.base import Fault
from tests.server.programs import addresses

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(150)]

CHAT = "/chat/completions"


def told(call_id: str) -> WebhookDelivery:
    with transaction.atomic():
        deliveries_add(WebhookEvent.CALL_ENDED, {call_id: "own"})
    return WebhookDelivery.objects.get(conversation=call_id)


def ids(receiver) -> list[str]:
    return [asked.headers["webhook-id"] for asked in receiver.requests("/hook")]


def test_what_a_killed_worker_held_is_done_by_another_once_in_effect(
    start_worker, model, receiver, hook, ended, tmp_path
):
    ended()
    model.fail(CHAT, Fault(stall_headers=True))
    receiver.fail("/hook", Fault(stall_headers=True))
    where = addresses(openai=model.origin) | {"WEBHOOKS_TO_PRIVATE": "true"}
    first = start_worker(**where)
    until(lambda: model.requests(CHAT), why=first.log)  # all it needs is loaded by now
    delivery = told("call-1")
    until(lambda: receiver.requests("/hook"), why=first.log)
    row, held = Summary.objects.get(), WebhookDelivery.objects.get()
    assert (row.state, row.attempts) == (held.state, held.attempts) == ("running", 1)
    for work in (row, held):
        same = type(work).objects.filter(lease=work.lease, attempts=1)
        until(same.filter(lease_until__gt=work.lease_until).exists, why=first.log)  # renewed
    alive = tmp_path / "alive"
    second = start_worker("--alive-file", str(alive), **where)
    first.kill()
    killed_s = time.monotonic()
    until(alive.exists, why=second.log)
    free_s = max(time.monotonic(), killed_s + LEASE_S)

    done = until(lambda: Summary.objects.filter(state="done").first(), why=second.log)
    told_of = until(
        lambda: WebhookDelivery.objects.filter(pk=delivery.pk, state="done").first(),
        why=second.log,
    )

    assert time.monotonic() - free_s < 20, "it looks every 5 s, and loads what it needs"
    assert (done.method, done.attempts) == ("model", 2)
    assert done.lease != row.lease
    assert len(model.requests(CHAT)) == 2, "once by the dead, once by the living"
    assert (told_of.status, told_of.attempts) == (200, 2)
    assert ids(receiver).count(delivery.event_id) == 2, "the receiver knows it by its id"


def test_workers_share_the_work_and_leave_with_nothing_half_done(
    start_worker, model, receiver, hook, ended, tmp_path
):
    for number in range(12):
        ended(f"call-{number}", summarized=False)
        told(f"call-{number}")
    alive = tmp_path / "alive"
    where = addresses(openai=model.origin) | {"WEBHOOKS_TO_PRIVATE": "true"}
    workers = [start_worker(**where), start_worker("--alive-file", str(alive), **where)]
    until(lambda: not WebhookDelivery.objects.exclude(state="done").exists())
    assert len(ids(receiver)) == len(set(ids(receiver))) == 12
    assert set(WebhookDelivery.objects.values_list("attempts", flat=True)) == {1}
    until(alive.exists)
    assert workers[0].terminate() == 0

    model.go_on.clear()
    ended("last")
    until(lambda: model.requests(CHAT), why=workers[1].log)
    ended("too late")
    workers[1].process.terminate()
    until(lambda: "finishes what it holds" in workers[1].log(), why=workers[1].log)
    model.go_on.set()
    assert workers[1].process.wait(20) == 0

    assert Summary.objects.get(conversation="last").state == "done", "it finished what it held"
    other = Summary.objects.get(conversation="too late")
    assert (other.state, other.attempts) == ("pending", 0), "and took nothing more"
    assert not alive.exists()


def test_a_worker_may_do_what_is_due_once(ended, capsys):
    ended()
    call_command("worker", once=True)
    assert "summaries 1" in capsys.readouterr().out
    assert Summary.objects.get().state == "done"
