"""What the service provider configuration says is there, by scim2-client.

The library reads the configuration too: it sends conditions by itself where the server has entity
tags, and keeps to the limits of bulk jobs.
"""

import pytest
import scim2_models
from scim2_models import BulkOperation, BulkRequest, SearchRequest


def names(listed):
    return [resource.display_name for resource in listed.resources or []]


def test_a_stale_version_is_refused(scim, User, people):
    assert scim.provider.config.etag.supported
    first = people[0]
    assert first.meta.version
    # 304: the library gives back the very object.
    assert scim.query(first) is first

    first.title = "Director"
    second = scim.replace(first)
    assert second.meta.version != first.meta.version
    first.title = "Intern"
    with pytest.raises(scim2_models.PreconditionFailedException):
        scim.replace(first)
    with pytest.raises(scim2_models.PreconditionFailedException):
        scim.delete(first)
    read = scim.query(User, first.id)
    assert (read.title, read.meta.version) == ("Director", second.meta.version)
    scim.delete(read)


def test_lists_are_sorted(scim, User, people, name):
    assert scim.provider.config.sort.supported
    ours = {"filter": f'userName sw "{name}"', "sort_by": "displayName"}
    in_order = ["Person 0", "Person 1", "Person 2"]
    assert names(scim.query(User, SearchRequest(**ours))) == in_order
    descending = SearchRequest(**ours, sort_order="descending")
    assert names(scim.query(User, descending)) == in_order[::-1]
    assert names(scim.search(User, descending)) == in_order[::-1]


def test_cursors_lead_from_page_to_page(scim, User, people, name):
    pagination = scim.provider.config.pagination
    assert pagination.cursor and pagination.index
    ours = {"filter": f'userName sw "{name}"', "count": 2}
    first = scim.query(User, SearchRequest(**ours, cursor=""))
    second = scim.query(User, SearchRequest(**ours, cursor=first.next_cursor))
    assert [len(first.resources), len(second.resources)] == [2, 1]
    assert names(first) + names(second) == ["Person 0", "Person 1", "Person 2"]
    assert second.next_cursor is None and first.previous_cursor is None
    searched = scim.search(User, SearchRequest(**ours, cursor=first.next_cursor))
    assert names(searched) == names(second)
    with pytest.raises(scim2_models.InvalidCursorException):
        scim.query(User, SearchRequest(**ours, cursor="forged"))


def test_a_bulk_job_refers_to_what_it_makes(scim, User, Group, people, name):
    assert scim.provider.config.bulk.supported

    def operation(model, **sent):
        return BulkOperation[model](**sent)

    job = BulkRequest[User | Group](
        operations=[
            operation(
                Group,
                method="POST",
                path="/Groups",
                bulk_id="team",
                data=Group(display_name=name, members=[Group.Members(value="bulkId:boss")]),
            ),
            operation(
                User,
                method="POST",
                path="/Users",
                bulk_id="boss",
                data=User(user_name=f"{name}-boss"),
            ),
            operation(
                User,
                method="POST",
                path="/Users",
                bulk_id="again",
                data=User(user_name=people[0].user_name),
            ),
            operation(User, method="DELETE", path=f"/Users/{people[1].id}"),
        ]
    )
    team, boss, again, deleted = scim.bulk(job).operations
    assert [int(each.status) for each in (team, boss, again, deleted)] == [201, 201, 409, 204]
    assert [each.bulk_id for each in (team, boss, again)] == ["team", "boss", "again"]
    assert again.response.scim_type == "uniqueness" and again.location is None
    assert str(deleted.location) == str(people[1].meta.location)

    group = scim.query(Group, str(team.location).rsplit("/", 1)[1])
    made = scim.query(User, str(boss.location).rsplit("/", 1)[1])
    assert [member.value for member in group.members] == [made.id]
    assert boss.version == 'W/"1"'
    with pytest.raises(scim2_models.NotFoundException):
        scim.query(User, people[1].id)
    scim.delete(Group, group.id)
    scim.delete(User, made.id)
