"""`manage.py check` says when sound lies in the open, or is kept without end."""

import pytest
from django.conf import settings as django_settings

from calls.checks import KEEPS_FOR_EVER, SOUND_IN_PUBLIC, retention_check, sound_check
from calls.models import Site


def ids(messages) -> list[str]:
    return [message.id for message in messages]


@pytest.mark.parametrize("key", ["RECORDINGS_DIR", "DEBUG_DIR"])
@pytest.mark.parametrize("root", ["MEDIA_ROOT", "STATIC_ROOT"])
def test_sound_below_a_folder_that_is_shown(settings, tmp_path, key, root):
    assert sound_check(None) == []
    setattr(settings, root, tmp_path / "shown")
    settings.CALLS = django_settings.CALLS | {key: tmp_path / "shown" / "deep"}
    (message,) = sound_check(None)
    assert message.id == SOUND_IN_PUBLIC
    assert key in message.msg
    assert root in message.msg


@pytest.mark.django_db
def test_strangers_words_are_not_kept_for_ever_unnoticed(settings):
    settings.ALLOWED_HOSTS = ["localhost"]
    assert retention_check(None, databases=["default"]) == []
    site = Site.objects.create(slug="shop", name="Shop", public=True)
    assert retention_check(None) == []
    assert ids(retention_check(None, databases=["default"])) == [KEEPS_FOR_EVER]
    site.delete()
    settings.ALLOWED_HOSTS = ["calls.example"]
    assert ids(retention_check(None, databases=["default"])) == [KEEPS_FOR_EVER]
    settings.CALLS = django_settings.CALLS | {"KEEP_AUDIO_DAYS": 30}
    assert ids(retention_check(None, databases=["default"])) == [KEEPS_FOR_EVER]
    settings.CALLS = django_settings.CALLS | {"KEEP_AUDIO_DAYS": 30, "KEEP_TEXT_DAYS": 90}
    assert retention_check(None, databases=["default"]) == []
