"""Static files under a name that changes with their content, ES modules included."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedModulesStorage(CompressedManifestStaticFilesStorage):
    """Rewrites the imports between ES modules as well.

    A worklet's address is made in JavaScript, by `new URL(..., import.meta.url)`, where nothing
    rewrites it: the plain names stay on disk and are served too, for a short time each.
    """

    support_js_module_import_aggregation = True
