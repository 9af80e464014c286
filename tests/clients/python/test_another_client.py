"""Users by scim-client, which shares nothing with scim2-client and is less careful.

It sends `id` and `meta` along as null, counts pages from 0, and takes what comes as it comes.
"""

import json
from urllib.error import HTTPError

import pytest
from scim_client.resources import User
from scim_client.scim_client import SCIMClient

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


@pytest.fixture
def client(base_url, token):
    return SCIMClient(base_url, token, max_retries=1)


def user(name):
    return User(
        id=None,
        external_id=name,
        user_name=f"{name}@example.com",
        active=True,
        name={"given_name": "Ann", "family_name": "Lee"},
        display_name="Ann Lee",
        emails=[{"value": f"{name}@example.com", "primary": True, "type": "work"}],
        schemas=[User.CORE_SCHEMA, ENTERPRISE],
        enterprise_user={"department": "R&D"},
    )


def refusal(action):
    with pytest.raises(HTTPError) as refused:
        action()
    return refused.value.code, json.load(refused.value)


def test_a_user_lives_and_dies(client, name):
    made = client.create_user(user(name))
    assert made.id and made.meta["resource_type"] == "User"
    assert made.enterprise_user.department == "R&D"

    found = client.search_users(f'externalId eq "{name}"')
    assert (found.total_results, found.start_index, found.items_per_page) == (1, 1, 1)
    assert [(each.id, each.user_name) for each in found.resources] == [(made.id, made.user_name)]

    made.active = False
    made.name.family_name = "Li"
    after = client.update_user(made)
    assert (after.active, after.name.family_name, after.name.given_name) == (False, "Li", "Ann")
    assert after.enterprise_user.department == "R&D"
    read = client.read_user(made.id)
    assert (read.active, read.emails[0].value) == (False, f"{name}@example.com")

    client.delete_user(user=made)
    code, body = refusal(lambda: client.read_user(made.id))
    assert (code, body["status"]) == (404, "404") and made.id in body["detail"]
    assert client.search_users(f'externalId eq "{name}"').total_results == 0


def test_a_name_that_is_taken_is_refused(client, name):
    made = client.create_user(user(name))
    code, body = refusal(lambda: client.create_user(user(name)))
    assert (code, body["scimType"]) == (409, "uniqueness") and "userName" in body["detail"]
    client.delete_user(made.id)
