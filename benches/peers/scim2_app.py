"""scim2-server with its storage in memory, for gunicorn."""

import os

from scim2_server.memory import InMemoryStorage
from scim2_server.testserver.application import BearerTokenApplication
from scim2_server.utils import load_default_provider

app = BearerTokenApplication(
    InMemoryStorage(), load_default_provider(), bearer_tokens=[os.environ["PEER_TOKEN"]]
)
