"""The full-text index, and groups of staff by what they may do."""

from django.db import migrations

from calls.models.fulltext import index_make, index_remove

GROUPS = {
    "Call reviewers": ("view_conversation",),
    "Call listeners": ("view_conversation", "listen_recording"),
    "Call operators": (
        "view_conversation",
        "listen_recording",
        "end_conversation",
        "redact_conversation",
        "erase_conversation",
        "view_erasure",
        "view_auditentry",
    ),
}
NAMES = {
    "view_conversation": ("conversation", "Can view conversation"),
    "listen_recording": ("recording", "Can listen to recordings"),
    "end_conversation": ("conversation", "Can end live calls"),
    "redact_conversation": ("conversation", "Can have conversations redacted"),
    "erase_conversation": ("conversation", "Can erase conversations everywhere"),
    "view_erasure": ("erasure", "Can view erasure"),
    "view_auditentry": ("auditentry", "Can view audit entry"),
}


def make_index(apps, schema_editor):
    index_make(schema_editor.connection)


def remove_index(apps, schema_editor):
    index_remove(schema_editor.connection)


def make_groups(apps, schema_editor):
    """Rights are made by Django after all migrations; these groups need theirs now."""
    database = schema_editor.connection.alias
    kinds = apps.get_model("contenttypes", "ContentType").objects.using(database)
    rights = apps.get_model("auth", "Permission").objects.using(database)
    groups = apps.get_model("auth", "Group").objects.using(database)
    made = {}
    for codename, (model, name) in NAMES.items():
        kind, _ = kinds.get_or_create(app_label="calls", model=model)
        made[codename], _ = rights.get_or_create(
            content_type=kind, codename=codename, defaults={"name": name}
        )
    for name, codenames in GROUPS.items():
        group, fresh = groups.get_or_create(name=name)
        if fresh:
            group.permissions.set([made[codename] for codename in codenames])


class Migration(migrations.Migration):

    dependencies = [
        ('calls', '0005_sites_limits_privacy'),
        ('auth', '0012_alter_user_first_name_max_length'),
        ('contenttypes', '0002_remove_content_type_name'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='conversation',
            options={'get_latest_by': 'started_at', 'ordering': ('-started_at',), 'permissions': [('end_conversation', 'Can end live calls'), ('erase_conversation', 'Can erase conversations everywhere'), ('redact_conversation', 'Can have conversations redacted')]},
        ),
        migrations.RunPython(make_index, remove_index),
        migrations.RunPython(make_groups, migrations.RunPython.noop),
    ]
