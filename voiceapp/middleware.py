"""One header that Django does not send by itself."""

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.deprecation import MiddlewareMixin


class PermissionsPolicy(MiddlewareMixin):
    """Says which devices a page may ask for: the microphone, for our own pages.

    A view that set the header itself (an embedded page) keeps its own.
    """

    def process_response(
        self, _request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        """Add the header to what the view answered."""
        response.headers.setdefault("Permissions-Policy", settings.PERMISSIONS_POLICY)
        return response
