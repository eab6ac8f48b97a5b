"""What stands on the rows ends calls, found for all of them at once."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db.models.functions import Now

from calls.domain.errors import EndReason
from calls.models import OWN_SITE, Conversation, Site
from calls.store.standing import calls_standing

pytestmark = pytest.mark.django_db


def call(call_id: str, site: Site | None = None, **fields) -> str:
    slug = OWN_SITE if site is None else site.slug
    defaults = {"site": site, "site_slug": slug, "agent_slug": "demo", "protocol": "browser"}
    Conversation.objects.create(call_id=call_id, **(defaults | fields))
    return call_id


def site(slug: str, **fields) -> Site:
    return Site.objects.create(slug=slug, name=slug, **fields)


def ends(*call_ids: str) -> dict[str, EndReason]:
    return dict(calls_standing(call_ids).ends)


def test_calls_that_may_go_on_are_let_alone():
    assert ends(call("a"), call("b", site("shop")), "unknown") == {}


def test_a_site_that_was_switched_off_ends_its_calls_and_no_others():
    shop, other = site("shop"), site("other")
    ids = call("a", shop), call("b", other), call("c")
    shop.active = False
    shop.save()
    assert ends(*ids) == {"a": EndReason.SITE_STOPPED}
    shop.delete()
    assert ends(*ids) == {"a": EndReason.SITE_STOPPED}, "one that is gone is off as well"


def test_this_server_s_own_calls_can_be_switched_off():
    own = site(OWN_SITE, active=False)
    assert ends(call("a", own)) == {"a": EndReason.SITE_STOPPED}
    assert ends(call("b")) == {}, "of before there was a row"


def test_somebody_wants_it_ended():
    assert ends(call("a", end_asked="staff_ended"), call("b", end_asked="budget")) == {
        "a": EndReason.STAFF_ENDED,
        "b": EndReason.BUDGET,
    }


def test_money_of_the_day_that_is_used_up_ends_all_calls_of_the_site():
    shop, other = site("shop", max_day_cost=Decimal("0.5")), site("other", max_day_cost=Decimal(9))
    ids = call("a", shop), call("b", shop), call("c", other)
    Conversation.objects.update(cost_micros=249_999)
    assert ends(*ids) == {}
    Conversation.objects.update(cost_micros=250_000)
    assert ends(*ids) == {"a": EndReason.BUDGET, "b": EndReason.BUDGET}


def test_minutes_of_the_day_with_those_of_calls_elsewhere():
    shop = site("shop", max_minutes_per_day=1)
    here, _ = call("a", shop), call("elsewhere", shop)
    long_ago = Now() - timedelta(seconds=25)
    Conversation.objects.update(started_at=long_ago)
    row = Conversation.objects.annotate(now=Now())[0]
    if row.started_at.date() == row.now.date():  # else it was yesterday's
        found = calls_standing([here])
        assert dict(found.ends) == {}
        assert found.left_ms == pytest.approx(5_000, abs=500), "two calls use up ten seconds"
        Conversation.objects.update(started_at=Now() - timedelta(seconds=31))
        assert ends(here) == {"a": EndReason.BUDGET}


def test_few_queries_however_many_calls(django_assert_num_queries):
    shop = site("shop")
    ids = [call(f"c{n}", shop) for n in range(20)]
    with django_assert_num_queries(1):
        calls_standing(ids)
    Site.objects.update(max_day_cost=1)
    with django_assert_num_queries(3):
        calls_standing(ids)
