"""A whole life of users and groups, by scim2-client with the schemas that it discovered."""

import pytest
import scim2_models
from scim2_models import PatchOp, PatchOperation, ResponseParameters, SearchRequest

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


def patch(model, *operations):
    return PatchOp[model](operations=[PatchOperation(**operation) for operation in operations])


def found(listed):
    return [resource.id for resource in listed.resources or []]


@pytest.fixture
def enterprise(User):
    return User.get_extension_model(ENTERPRISE)


def test_discovery_describes_one_coherent_service(scim):
    names = {resource_type.name for resource_type in scim.provider.resource_types}
    assert names == {"User", "Group"}
    config = scim.provider.config
    assert config.patch.supported and config.filter.supported
    assert config.filter.max_results == 1000
    assert [scheme.type.value for scheme in config.authentication_schemes] == ["oauthbearertoken"]


def test_a_user_lives_and_dies(scim, User, enterprise, name):
    sent = User(
        external_id=name,
        user_name=f"{name}@example.com",
        name=User.Name(given_name="Ann", family_name="Lee"),
        emails=[
            User.Emails(value=f"{name}@example.com", type="work", primary=True),
            User.Emails(value=f"{name}@home.example", type="home"),
        ],
        active=True,
    )
    sent[enterprise] = enterprise(
        employee_number="7", department="R&D", manager=enterprise.Manager(value="26118915")
    )
    made = scim.create(sent)
    assert made.id and made.meta.location.endswith(f"/Users/{made.id}")
    assert made.meta.created == made.meta.last_modified
    assert made[enterprise].department == "R&D"
    assert made[enterprise].manager.value == "26118915"
    assert [email.value for email in made.emails if email.primary] == [f"{name}@example.com"]
    assert set(made.schemas) == {"urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE}
    assert scim.query(User, made.id) == made

    made.display_name = "Ann Li"
    made.name.family_name = "Li"
    replaced = scim.replace(made)
    assert (replaced.display_name, replaced.name.family_name) == ("Ann Li", "Li")
    assert replaced[enterprise].employee_number == "7"
    assert replaced.meta.created == made.meta.created
    assert replaced.meta.last_modified > made.meta.last_modified

    modified = scim.modify(
        replaced,
        patch(
            User,
            {"op": "replace", "path": "active", "value": False},
            {"op": "add", "path": f"{ENTERPRISE}:costCenter", "value": "4130"},
            {"op": "replace", "path": 'emails[type eq "home"].value', "value": "new@home.example"},
            {"op": "remove", "path": "name.givenName"},
        ),
    )
    assert modified.active is False
    assert modified[enterprise].cost_center == "4130"
    assert modified[enterprise].department == "R&D"
    assert {email.type: email.value for email in modified.emails}["home"] == "new@home.example"
    assert (modified.name.given_name, modified.name.family_name) == (None, "Li")

    scim.delete(modified)
    with pytest.raises(scim2_models.NotFoundException):
        scim.query(User, made.id)
    with pytest.raises(scim2_models.NotFoundException):
        scim.delete(User, made.id)


def test_what_every_attribute_of_the_schema_was_given_comes_back(scim, User, name):
    multi = {
        "phone_numbers": [User.PhoneNumbers(value="tel:+1-201-555-0123", type="mobile")],
        "ims": [User.Ims(value="ann", type="xmpp")],
        "photos": [User.Photos(value="https://example.com/ann.png", type="photo")],
        "addresses": [User.Addresses(locality="Hollywood", country="US", type="work")],
        "entitlements": [User.Entitlements(value="vault")],
        "roles": [User.Roles(value="guide", display="Guide")],
        "x_509_certificates": [User.X509Certificates(value="MIIDQzCCAqygAwIBAgICEAA=")],
    }
    single = {
        "nick_name": "Babs",
        "profile_url": "https://example.com/ann",
        "title": "Tour Guide",
        "user_type": "Employee",
        "preferred_language": "en-US, de;q=0.5",
        "locale": "en-US",
        "timezone": "America/Los_Angeles",
    }
    made = scim.create(User(user_name=name, password="t0p-s3cret", **multi, **single))
    read = scim.query(User, made.id).model_dump()
    for attribute, value in {**multi, **single}.items():
        sent = User(user_name=name, **{attribute: value}).model_dump()
        del sent["schemas"], sent["userName"]
        assert len(sent) == 1
        for key, expected in sent.items():
            assert read[key] == expected, attribute
    assert "password" not in read
    scim.delete(made)


def test_queries_find_and_page(scim, User, people, name):
    ours = f'userName sw "{name}"'
    ids = [person.id for person in people]
    assert found(scim.query(User, SearchRequest(filter=ours))) == ids
    pages = [
        scim.query(User, SearchRequest(filter=ours, start_index=start, count=2)) for start in (1, 3)
    ]
    assert [page.total_results for page in pages] == [3, 3]
    assert [page.items_per_page for page in pages] == [2, 1]
    assert found(pages[0]) + found(pages[1]) == ids
    assert scim.query(User, SearchRequest(filter=ours, count=0)).total_results == 3
    for text, expected in [
        (f'{ours} and displayName eq "PERSON 1"', ids[1:2]),
        (f"{ours} and not (displayName ew \"1\")", [ids[0], ids[2]]),
        (f'id eq "{ids[2]}"', ids[2:]),
        (f'{ours} and active eq true and meta.created gt "2020-01-01T00:00:00Z"', ids),
        (f"{ours} and title pr", []),
    ]:
        assert found(scim.query(User, SearchRequest(filter=text))) == expected, text


def test_attributes_choose_what_comes(scim, User, people):
    id = people[0].id
    only = scim.query(User, id, ResponseParameters(attributes=["displayName"])).model_dump()
    # The client takes the version from the ETag header.
    assert only.pop("meta") == {"version": people[0].meta.version}
    assert only == {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "id": id,
        "displayName": "Person 0",
    }
    without = scim.query(User, id, ResponseParameters(excluded_attributes=["displayName", "meta"]))
    assert without.display_name is None and without.meta.created is None
    assert without.user_name == people[0].user_name


def test_searches_by_post_cover_every_type(scim, User, Group, people, name):
    group = scim.create(Group(display_name=f"{name} team"))
    ours = SearchRequest(filter=f'userName sw "{name}" or displayName sw "{name}"', count=10)
    assert set(found(scim.search(ours))) == {group.id, *(person.id for person in people)}
    users = scim.search(User, SearchRequest(filter=f'userName sw "{name}"', count=1))
    assert (users.total_results, len(users.resources)) == (3, 1)
    scim.delete(group)


def test_a_group_lives_and_dies(scim, User, Group, people, name):
    def member(person):
        return Group.Members(value=person.id, type="User")

    def ids(group):
        return {each.value for each in group.members or []}

    ann, bob, cleo = people
    group = scim.create(
        Group(display_name=name, external_id=name, members=[member(ann), member(bob)])
    )
    assert ids(group) == {ann.id, bob.id}
    assert {str(each.ref) for each in group.members} == {
        str(person.meta.location) for person in (ann, bob)
    }
    assert scim.query(Group, group.id) == group
    assert [each.value for each in scim.query(User, ann.id).groups] == [group.id]

    # scim2-models will not send a filter on members, as they cannot be changed; removing may.
    changed = scim.modify(
        Group,
        group.id,
        {
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [
                {"op": "add", "path": "members", "value": [{"value": cleo.id}]},
                {"op": "remove", "path": f'members[value eq "{ann.id}"]'},
                {"op": "replace", "path": "displayName", "value": f"{name}-2"},
            ],
        },
    )
    assert (ids(changed), changed.display_name) == ({bob.id, cleo.id}, f"{name}-2")
    assert scim.query(User, ann.id).groups is None

    changed.members = [member(ann)]
    replaced = scim.replace(changed)
    assert ids(replaced) == {ann.id}

    by_member = SearchRequest(filter=f'members.value eq "{ann.id}"', excluded_attributes=["members"])
    listed = scim.query(Group, by_member)
    assert found(listed) == [group.id] and listed.resources[0].members is None

    scim.delete(User, ann.id)
    left = scim.query(Group, group.id)
    assert ids(left) == set()
    scim.delete(left)
    assert scim.query(Group, SearchRequest(filter=f'externalId eq "{name}"')).total_results == 0


def test_refusals_are_exceptions_of_their_own(scim, User, Group, people, name):
    taken = people[0].user_name.upper()
    with pytest.raises(scim2_models.UniquenessException, match="userName"):
        scim.create(User(user_name=taken))
    with pytest.raises(scim2_models.InvalidFilterException):
        bad = {"filter": "userName eq"}
        scim.query(User, query_parameters=bad, check_request_payload=False)
    with pytest.raises(scim2_models.InvalidValueException, match="userName"):
        scim.create(
            {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"]},
            url="/Users",
            check_request_payload=False,
        )

    def refused(path, op="replace", value="x"):
        operation = {"op": op, "path": path, "value": value}
        body = {
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{"op": "replace", "path": "title", "value": "Gone"}, operation],
        }
        scim.modify(User, people[0].id, body)

    with pytest.raises(scim2_models.MutabilityException):
        refused("id")
    with pytest.raises(scim2_models.InvalidPathException):
        refused("shoeSize")
    with pytest.raises(scim2_models.NoTargetException):
        refused('emails[type eq "nowhere"]', op="remove", value=None)
    assert scim.query(User, people[0].id).title is None, "a refused PATCH changes nothing"
    with pytest.raises(scim2_models.InvalidValueException):
        scim.create(Group(display_name=name, members=[Group.Members(value="nobody")]))
    with pytest.raises(scim2_models.NotFoundException):
        scim.query(Group, people[0].id)


def test_a_stranger_is_refused(base_url):
    import httpx2
    from scim2_client.engines.httpx2 import SyncSCIMClient

    with httpx2.Client(
        base_url=base_url, headers={"Authorization": "Bearer nobody"}, trust_env=False
    ) as http:
        with pytest.raises(scim2_models.UnauthorizedException):
            SyncSCIMClient(http).query(scim2_models.ResourceType)
