"""A small Django project that serves SCIM by django-scim2, from a SQLite file."""

import os

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ["PEER_FOLDER"] + "/django.db",
        # Connections are kept, and set up as Django's documentation advises for production.
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            "timeout": 30,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode = WAL; PRAGMA synchronous = "
            + os.environ.get("PEER_SYNCHRONOUS", "NORMAL"),
        },
    }
}
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django_scim", "django_app"]
MIDDLEWARE = ["django_app.web.Bearer", "django_scim.middleware.SCIMAuthCheckMiddleware"]
AUTH_USER_MODEL = "django_app.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ROOT_URLCONF = "django_app.web"
SECRET_KEY = "only for a benchmark"
ALLOWED_HOSTS = ["*"]
DATA_UPLOAD_MAX_MEMORY_SIZE = None
SCIM_SERVICE_PROVIDER = {
    "NETLOC": "127.0.0.1",
    "SCHEME": "http",
    "GROUP_MODEL": "django_app.models.Group",
    "AUTHENTICATION_SCHEMES": [{"type": "oauth2", "name": "OAuth 2", "description": "A token"}],
}
