"""Conversations are found by what was said, through the database's own full-text index."""

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calls.models import Conversation, Item, Summary
from calls.models.fulltext import ITEM_WORDS, SUMMARY_WORDS, index_make, index_mend, index_remove
from tests.store.factories import answered, demo_conversation, said

SQLITE = connection.vendor == "sqlite"


def made(call_id: str, *texts: str, unheard: str = "", caller: str = "") -> Conversation:
    items = [said(n, text, n, n * 1_000) for n, text in enumerate(texts, 1)]
    items.append(answered(len(texts) + 1, "Yes.", 1, 60_000, unheard=unheard))
    row = demo_conversation(call_id, items=items, turns=(), uses=(), sound=False)
    Summary.objects.filter(pk=call_id).update(title="", summary="", key_points=[])
    Conversation.objects.filter(pk=call_id).update(caller=caller)
    return row


def found(text: str) -> set[str]:
    return set(Conversation.objects.search(text).values_list("pk", flat=True))


@pytest.fixture
def calls(db):
    made(
        "aa11", "the quick brown Fox jumps", "over the lazy dog", caller="Ann-Marie <ann@x.example>"
    )
    made("bb22", "write to john.smith@example.com or Straße 12", unheard=" never heard marmalade")
    made("cc33", "over and out, quick!", "Größe zählt", caller="+49 170 1234567")
    Summary.objects.filter(pk="cc33").update(
        title="Reclamation of a kettle", summary="He wants it back", key_points=["Müller & sons"]
    )


FINDS = [
    ("quick", {"aa11", "cc33"}),
    ("QUI", {"aa11", "cc33"}),
    ("uick", set()),
    ("quick dog", {"aa11"}),
    ("dog fox", {"aa11"}),
    ('"quick brown"', {"aa11"}),
    ("'quick brown'", {"aa11"}),
    ('"brown quick"', set()),
    ('"quick bro"', set()),
    ("marmala", {"bb22"}),
    ("john.smith@example.com", {"bb22"}),
    ("john.smith@exam", {"bb22"}),
    ("smith example", {"bb22"}),
    ("straße", {"bb22"}),
    ("größe", {"cc33"}),
    ("kettle", {"cc33"}),
    ("müller", {"cc33"}),
    ("wants out", {"cc33"}),
    ("1701", set()),
    ("1234567", {"cc33"}),
    ("ann@x.example", {"aa11"}),
    ("bb2", {"bb22"}),
    ("BB22", {"bb22"}),
    ("demo", {"aa11", "bb22", "cc33"}),
    ("yes", {"aa11", "bb22", "cc33"}),
    ("", set()),
    ("***", set()),
    ("fox ***", {"aa11"}),
    ("fox AND dog", set()),
    ("fox OR dog", set()),
    ("dog & fox", {"aa11"}),
]


def test_what_is_found(calls):
    assert [(asked, found(asked)) for asked, _ in FINDS] == FINDS


@pytest.mark.skipif(not SQLITE, reason="PostgreSQL tells accents apart")
def test_accents_count_for_nothing_on_sqlite(calls):
    assert found("grosse") == set()
    assert found("große") == {"cc33"}
    assert found("muller") == {"cc33"}


HOSTILE = (
    '"', "'", '""', "''", '"a', "a*", "*a", "^a", "a:b", "text:fox", "-a", "NOT a", "a NEAR b",
    "NEAR(a b)", "(a", "a)", "{a}", "a\x00b", "\x00", "a & !b", "a <-> b", "a:*", "\\", "'\\'",
    "'a' | 'b'", ":*", "%", "%s", "%(a)s", "_", "a;drop table calls_item", "a\ud800", "\u202ea",
    "𝒇𝒐𝒙", "fox" * 500, "a " * 500, "٣", "ﬁ", "�", "ⅷ", "a\u0301", "½", "²", "1e400", "-1.5e-3",
    "http://x/y?z=%00", "<b>", "​", "\U000e0001",
)  # fmt: skip


def test_nothing_that_is_typed_is_an_error(calls):
    for text in HOSTILE:
        assert found(text) <= {"aa11", "bb22", "cc33"}


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.text(max_size=60))
def test_no_text_is_an_error(calls, text):
    assert found(text) <= {"aa11", "bb22", "cc33"}


def test_whatever_was_said_is_stored(db):
    made("hostile", *HOSTILE, "canary")
    assert found("canary") == {"hostile"}


def test_a_text_without_end_is_stored(db):
    made("long", " ".join(f"word{n}" for n in range(300_000)))
    assert found("word77") == {"long"}


def test_what_changes_is_found_by_its_new_words_only(calls):
    Item.objects.filter(conversation="aa11", item_id=1).update(text="a slow badger")
    assert found("fox") == set()
    assert found("badger") == {"aa11"}
    Summary.objects.filter(pk="cc33").update(title="Teapot")
    assert found("kettle") == set()
    assert found("teapot") == {"cc33"}
    Conversation.objects.get(pk="cc33").delete()
    assert found("teapot") == set()
    assert found("over") == {"aa11"}


def test_the_index_comes_and_goes(calls, transactional_db):
    index_remove(connection)
    index_make(connection)
    index_make(connection)
    assert found("fox") == {"aa11"}
    assert found("müller") == {"cc33"}


@pytest.mark.skipif(not SQLITE, reason="only there triggers get lost")
def test_a_table_that_was_rebuilt_gets_its_triggers_back(calls):
    with connection.cursor() as cursor:
        for event in ("added", "removed", "changed"):
            cursor.execute(f"DROP TRIGGER {ITEM_WORDS}_{event}")
    Item.objects.filter(conversation="aa11", item_id=1).update(text="a slow badger")
    assert found("badger") == set()
    index_mend(connection)
    assert found("badger") == {"aa11"}
    assert found("fox") == set()


def test_the_index_answers(calls):
    """No plan reads the items or the summaries row by row."""
    with connection.cursor() as cursor:
        if not SQLITE:
            cursor.execute("SET enable_seqscan = off")
    plan = Conversation.objects.search('quick "lazy dog"').explain()
    if not SQLITE:
        with connection.cursor() as cursor:
            cursor.execute("SET enable_seqscan = on")
        assert plan.count(f"Index Scan on {ITEM_WORDS}") == 2, plan
        assert plan.count(f"Index Scan on {SUMMARY_WORDS}") == 2, plan
        return
    assert plan.count(f"SCAN {ITEM_WORDS} VIRTUAL TABLE INDEX") == 2, plan
    assert plan.count(f"SCAN {SUMMARY_WORDS} VIRTUAL TABLE INDEX") == 2, plan
    assert "SCAN calls_item\n" not in plan, plan
    assert "SCAN calls_summary\n" not in plan, plan
    assert "SEARCH calls_conversation USING INDEX sqlite_autoindex" in plan, plan
