"""Makes the rows that the embed tests need: `python -m tests.embed.prepare`, origins by JSON.

Prints a key of the private site.
"""

import json
import sys

import django

django.setup()

from calls.models import Agent, Site  # noqa: E402 - needs the setup
from calls.store.keys import key_create  # noqa: E402

CONSENT = "We record this call and keep it for 30 days."


def main(shop: list[str], clinic: list[str]) -> None:
    Site.objects.create(
        slug="shop",
        name="Shop",
        public=True,
        all_agents=True,
        origins=shop,
        max_address_calls=None,
        max_address_calls_per_hour=None,
    )
    asks = Agent.objects.get(slug="demo")
    asks.pk, asks.slug = None, "asks"
    asks.consent_text, asks.consent_mode = CONSENT, "required"
    asks.save()
    private = Site.objects.create(slug="clinic", name="Clinic", all_agents=True, origins=clinic)
    _, key = key_create("clinic's server", site=private, scopes=("tokens",))
    sys.stdout.write(key)


if __name__ == "__main__":
    main(*json.loads(sys.argv[1]))
