"""How long a search takes among 100,000 items, and what keeping the index costs.

    .venv/bin/python bench/search.py [DATABASE_URL]

Makes a database of its own and removes it: SQLite, or beside the PostgreSQL one that is named.
"""

import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CALLS, ITEMS_PER_CALL, WORDS = 5_000, 20, 12
ASKED = ("fairly", 'word17 "word3 word4"', "rareword", "wor", "nothingofthekind", "caller77")


def main() -> None:
    sys.path.insert(0, str(ROOT))
    place = tempfile.mkdtemp(prefix="bench-search-")
    url = sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{place}/db.sqlite3"
    names = {"DATABASE_URL": url, "VAR_DIR": place, "ENV_FILE": os.devnull}
    os.environ.update(names, DJANGO_SETTINGS_MODULE="voiceapp.settings")  # noqa: TID251
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    created = connection.creation.create_test_db(verbosity=0) if "postgres" in url else ""
    if not created:
        call_command("migrate", verbosity=0)
    try:
        measure()
    finally:
        if created:
            connection.creation.destroy_test_db(created, verbosity=0)


def measure() -> None:
    from django.db import connection

    from calls.models import Conversation

    print(f"{connection.vendor}: {CALLS * ITEMS_PER_CALL} items, filled in {fill():.1f} s")
    for asked in ASKED:
        times_ms = []
        for _ in range(15):
            began = time.perf_counter()
            count = len(Conversation.objects.search(asked).values_list("pk", flat=True)[:50])
            times_ms.append((time.perf_counter() - began) * 1000)
        print(
            f"{asked!r:28} first {count:2}: median {statistics.median(times_ms):6.1f} ms, "
            f"longest {max(times_ms):6.1f} ms"
        )


def fill() -> float:
    from calls.models import Conversation, Item

    chance = random.Random(7)
    began = time.perf_counter()
    for start in range(0, CALLS, 500):
        rows = [
            Conversation(
                call_id=f"{n:032x}", agent_slug="demo", protocol="browser", caller=f"caller{n}",
                agent_snapshot={"system_prompt": "x" * 2_000},
            )
            for n in range(start, start + 500)
        ]  # fmt: skip
        Conversation.objects.bulk_create(rows)
        items = [
            Item(conversation=row, item_id=i, turn=i, role="user", status="complete",
                 source="voice", text=sentence(chance, int(row.pk, 16), i))
            for row in rows for i in range(ITEMS_PER_CALL)
        ]  # fmt: skip
        Item.objects.bulk_create(items, batch_size=1_000)
    return time.perf_counter() - began


def sentence(chance: random.Random, call: int, item: int) -> str:
    words = [f"word{int(chance.paretovariate(0.6)) % 20_000}" for _ in range(WORDS)]
    if call % 50 == 0 and item == 3:
        words.append("fairly common")
    if call == 4_321 and item == 7:
        words.append("rareword")
    return " ".join(words)


main()
