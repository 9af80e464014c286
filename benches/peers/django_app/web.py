"""The token's check, the URLs, and what gunicorn calls."""

import os
from hmac import compare_digest
from types import SimpleNamespace

from django.core.wsgi import get_wsgi_application
from django.urls import include, path

EXPECTED = "Bearer " + os.environ["PEER_TOKEN"]
urlpatterns = [path("scim/v2/", include("django_scim.urls"))]


class Bearer:
    """Whoever has the token is signed in."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        sent = request.headers.get("Authorization", "")
        signed_in = compare_digest(sent.encode(), EXPECTED.encode())
        request.user = SimpleNamespace(is_anonymous=not signed_in, is_authenticated=signed_in)
        return self.get_response(request)


app = get_wsgi_application()
