"""A server to talk to, and clients that know of it what it says of itself."""

import os
import uuid
from pathlib import Path

import httpx2
import pytest
from scim2_client.engines.httpx2 import SyncSCIMClient

BASE_URL = os.environ["MUSTER_SCIM_URL"]
TOKEN = Path(os.environ["MUSTER_SCIM_TOKEN_FILE"]).read_text().strip()


@pytest.fixture(scope="session")
def base_url():
    return BASE_URL


@pytest.fixture(scope="session")
def token():
    return TOKEN


@pytest.fixture(scope="session")
def http():
    """Requests as they are, for what a client library would not send."""
    with httpx2.Client(
        base_url=BASE_URL, headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False
    ) as client:
        yield client


@pytest.fixture(scope="session")
def scim(http):
    """A client that was told nothing but the address and the token.

    It holds every answer against the schemas that it discovered: an attribute of the wrong type,
    one that must not be there, or a status or media type that the RFC does not have for the
    request is an exception.
    """
    client = SyncSCIMClient(http)
    client.discover()
    return client


@pytest.fixture(scope="session")
def User(scim):
    return scim.get_resource_model("User")


@pytest.fixture(scope="session")
def Group(scim):
    return scim.get_resource_model("Group")


@pytest.fixture
def name():
    """A name that nobody has."""
    return f"client-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def people(scim, User, name):
    """Three users, who are gone again afterwards."""
    made = [
        scim.create(User(user_name=f"{name}-{n}@example.com", display_name=f"Person {n}"))
        for n in range(3)
    ]
    yield made
    for person in made:
        scim.delete(User, person.id, raise_scim_errors=False)
