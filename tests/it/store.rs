//! The store underneath: the two databases are the same, lookups use indexes, and the rule of
//! membership in SQL is the rule.

use std::collections::BTreeSet;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};
use futures_util::future::join_all;
use muster::app::mend_totals;
use muster::db::backup::{NOT_COPIED, TABLES};
use muster::db::connection::Conn;
use muster::db::sql::Sql;
use muster::db::{DatabaseUrl, Db, members, memberships, migrations};
use muster::directory::membership::{Facts, Policy, granted};
use muster::scim::fold::fold;
use muster::scim::precis::prepare;
use muster::scim::quirks::Quirks;
use serde_json::{Value, json};

use crate::support::{Backend, Case, TestApp, TestDatabase, cases, database_cases, pure_cases};

pub fn cases() -> Vec<Case> {
    let pure: &[Case] = pure_cases![both_databases_have_the_same_migrations];
    let databases: &[Case] = database_cases![
        a_store_migrates_once_and_back,
        several_processes_migrate_at_once,
        names_from_before_get_the_keys_of_now,
        the_tables_are_those_of_the_schema,
        the_rule_of_membership_in_sql_is_the_rule,
        text_folds_the_same_everywhere,
        the_same_instant_is_read_everywhere,
    ];
    let apps: &[Case] = cases![
        lookups_use_indexes,
        one_member_more_is_one_row_more,
        the_members_of_a_team_are_those_of_the_rule,
        totals_are_what_there_is,
        totals_that_are_wrong_are_mended,
        a_write_is_there_after_a_restart
    ];
    [pure, databases, apps].concat()
}

fn both_databases_have_the_same_migrations() {
    let names = |folder: &str| {
        let folder = format!("{}/migrations/{folder}", env!("CARGO_MANIFEST_DIR"));
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .expect("a folder of migrations")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    };
    let sqlite = names("sqlite");
    assert!(!sqlite.is_empty());
    assert_eq!(sqlite, names("postgres"));
}

async fn a_store_migrates_once_and_back(database: TestDatabase) {
    let empty = TestDatabase::empty(database.backend);
    let mut conn = empty.connect();
    assert!(migrations::is_pending(&mut conn).expect("a look"));
    assert!(!migrations::migrate(&mut conn).expect("migrations").is_empty());
    assert!(migrations::migrate(&mut conn).expect("no migrations").is_empty());
    // The way back exists as well, for whoever has to take it by hand.
    let folder = format!(
        "{}/migrations/{}",
        env!("CARGO_MANIFEST_DIR"),
        if database.backend == Backend::Sqlite { "sqlite" } else { "postgres" }
    );
    let mut downs: Vec<_> = std::fs::read_dir(folder)
        .expect("a folder of migrations")
        .map(|entry| entry.expect("an entry").path().join("down.sql"))
        .collect();
    downs.sort();
    for down in downs.iter().rev() {
        let sql = std::fs::read_to_string(down).expect("a way back");
        conn.batch_execute(&sql).expect("a way back that runs");
    }
    let left = table_columns(&mut conn, "users");
    assert!(left.is_empty(), "{left:?}");
}

async fn names_from_before_get_the_keys_of_now(database: TestDatabase) {
    #[derive(QueryableByName)]
    struct Key {
        #[diesel(sql_type = Text)]
        user_name_fold: String,
    }
    let mut conn = database.connect();
    conn.batch_execute(
        "INSERT INTO connections \
         (id, name, name_fold, provider, membership, unknown_members, created_at, updated_at) \
         VALUES ('c', 'c', 'c', 'okta', 'scim', 'refuse', 0, 0); \
         DELETE FROM __diesel_schema_migrations WHERE version = '20261126010000'",
    )
    .expect("a store of before");
    // As they were: folded alone. The last two are one name now.
    let names = [
        "ann",
        "Jos\u{e9}",
        "JOSE\u{301}-2",
        "\u{ff21}nn-2",
        "\u{1112}\u{1161}\u{11ab}",
        "\u{ff76}\u{ff9e}",
        "twin-\u{e5}",
        "twin-a\u{30a}",
    ];
    for (n, name) in names.iter().enumerate() {
        let folded = fold(name);
        conn.batch_execute(&format!(
            "INSERT INTO users (id, connection_id, user_name, user_name_fold, active, scim_owned, \
             document, version, created_at, updated_at) \
             VALUES ('u{n}', 'c', '{name}', '{folded}', TRUE, TRUE, '{{}}', 1, 0, 0)"
        ))
        .expect("a user");
    }
    assert_eq!(migrations::migrate(&mut conn).expect("a migration").len(), 1);
    let keys: Vec<Key> = diesel::sql_query("SELECT user_name_fold FROM users ORDER BY id")
        .load(&mut conn)
        .expect("keys");
    let keys: Vec<&str> = keys.iter().map(|key| key.user_name_fold.as_str()).collect();
    let mut wanted: Vec<String> = names.iter().map(|name| prepare(name).into_owned()).collect();
    assert_eq!(wanted[6], wanted[7]);
    wanted[7] = fold(names[7]).into_owned();
    assert_eq!(keys, wanted);
}

async fn several_processes_migrate_at_once(database: TestDatabase) {
    let empty = TestDatabase::empty(database.backend);
    let url: DatabaseUrl = empty.url.parse().expect("a URL");
    let tasks = (0..4).map(|_| {
        let db = Db::new(url.clone(), 1);
        async move { db.migrate().await.expect("migrations") }
    });
    let done = futures_util::future::join_all(tasks).await;
    assert_eq!(done.iter().filter(|names| !names.is_empty()).count(), 1, "{done:?}");
}

#[derive(QueryableByName)]
struct Named {
    #[diesel(sql_type = Text)]
    name: String,
}

fn table_columns(conn: &mut Conn, table: &str) -> Vec<String> {
    let query = if conn.is_postgres() {
        format!(
            "SELECT column_name::text AS name FROM information_schema.columns \
             WHERE table_name = '{table}' AND table_schema = current_schema() \
             ORDER BY ordinal_position"
        )
    } else {
        format!("SELECT name FROM pragma_table_info('{table}') ORDER BY cid")
    };
    let rows: Vec<Named> = diesel::sql_query(query).load(conn).expect("columns");
    rows.into_iter().map(|row| row.name).collect()
}

async fn the_tables_are_those_of_the_schema(database: TestDatabase) {
    let schema = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/db/schema.rs"))
        .expect("the schema");
    let mut conn = database.connect();
    let mut tables = BTreeSet::new();
    for block in schema.split("diesel::table! {").skip(1) {
        let mut lines = block.lines().map(str::trim).filter(|line| !line.is_empty());
        let table = lines.next().and_then(|line| line.split(' ').next()).expect("a table");
        let columns: Vec<&str> = lines
            .take_while(|line| *line != "}")
            .map(|line| line.split(" -> ").next().unwrap_or_default())
            .collect();
        assert_eq!(table_columns(&mut conn, table), columns, "{table}");
        tables.insert(table);
    }
    // Each is in a copy of the store, or left out of it on purpose.
    let known: Vec<&str> = [&TABLES[..], &NOT_COPIED[..]].concat();
    assert_eq!(tables.len(), known.len());
    assert_eq!(tables, known.into_iter().collect());
}

async fn the_rule_of_membership_in_sql_is_the_rule(database: TestDatabase) {
    #[derive(QueryableByName)]
    struct Answer {
        #[diesel(sql_type = Bool)]
        granted: bool,
    }
    let mut conn = database.connect();
    let both = [false, true];
    for policy in [Policy::ScimFirst, Policy::Union] {
        let rule = memberships::granted_sql(policy == Policy::Union, "m", "t", "u");
        for scim in both {
            for claim in both {
                for scim_managed in both {
                    for scim_owned in both {
                        let facts = Facts { scim, claim, scim_managed, scim_owned };
                        let query = format!(
                            "SELECT {rule} AS granted FROM \
                             (SELECT {scim} AS scim, {claim} AS claim) AS m, \
                             (SELECT {scim_managed} AS scim_managed) AS t, \
                             (SELECT {scim_owned} AS scim_owned) AS u"
                        );
                        let answer: Answer =
                            diesel::sql_query(query).get_result(&mut conn).expect("an answer");
                        assert_eq!(answer.granted, granted(policy, facts), "{policy} {facts:?}");
                    }
                }
            }
        }
    }
}

async fn the_members_of_a_team_are_those_of_the_rule(app: TestApp) {
    let both = [false, true];
    let (users, client) = (app.seed(8), app.scim());
    let mut conn = app.database.connect();
    let mut teams = Vec::new();
    for scim_managed in both {
        let body = json!({ "displayName": format!("managed: {scim_managed}") });
        let team = client.post("/Groups", &body).await.expect(201).id();
        let managed = format!("UPDATE teams SET scim_managed = {scim_managed} WHERE id = '{team}'");
        conn.batch_execute(&managed).expect("a team");
        teams.push((team, scim_managed));
    }
    for policy in [Policy::ScimFirst, Policy::Union] {
        for (team, scim_managed) in &teams {
            let mut expected = Vec::new();
            let facts = both.map(|scim| both.map(|claim| both.map(|owned| (scim, claim, owned))));
            let facts = facts.into_iter().flatten().flatten();
            conn.batch_execute("DELETE FROM memberships").expect("nobody");
            for (user, (scim, claim, scim_owned)) in users.iter().zip(facts) {
                conn.batch_execute(&format!(
                    "UPDATE users SET scim_owned = {scim_owned} WHERE id = '{user}'; \
                     INSERT INTO memberships (team_id, user_id, connection_id, scim, claim) \
                     SELECT '{team}', id, connection_id, {scim}, {claim} FROM users \
                     WHERE id = '{user}'"
                ))
                .expect("what is said");
                let facts = Facts { scim, claim, scim_managed: *scim_managed, scim_owned };
                if granted(policy, facts) {
                    expected.push(user.clone());
                }
            }
            let union = policy == Policy::Union;
            let stated = members::scim_members(&mut conn, team).expect("members");
            let claimed = members::claimed_members(&mut conn, team, union).expect("members");
            assert!(claimed.iter().all(|id| !stated.contains(id)));
            let together: BTreeSet<String> = stated.into_iter().chain(claimed).collect();
            assert_eq!(together, expected.iter().cloned().collect(), "{policy} {scim_managed}");
            for named in both {
                let found = members::members(&mut conn, team, union, named).expect("members");
                assert!(found.iter().all(|row| row.display.is_some() == named));
                let found: Vec<String> = found.into_iter().map(|row| row.user_id).collect();
                assert_eq!(found, expected, "{policy} {scim_managed}");
                let of = [team.as_str(), "another"];
                let found = members::members_of(&mut conn, &of, union, named);
                let found = found.expect("members").into_iter().map(|(_, row)| row.user_id);
                assert_eq!(found.collect::<Vec<_>>(), expected, "{policy} {scim_managed}");
            }
        }
    }
}

async fn text_folds_the_same_everywhere(database: TestDatabase) {
    #[derive(QueryableByName)]
    struct Folded {
        #[diesel(sql_type = Text)]
        folded: String,
    }
    let mut conn = database.connect();
    // Every character there is, some hundreds at a time.
    let characters: Vec<char> = ('\u{1}'..=char::MAX).collect();
    for run in characters.chunks(4096) {
        let text: String = run.iter().collect();
        let folded: Folded = diesel::sql_query(if conn.is_postgres() {
            "SELECT muster_fold($1) AS folded"
        } else {
            "SELECT muster_fold(?) AS folded"
        })
        .bind::<Text, _>(&text)
        .get_result(&mut conn)
        .expect("folded text");
        assert_eq!(folded.folded, fold(&text), "from {:?}", run.first());
    }
}

async fn the_same_instant_is_read_everywhere(database: TestDatabase) {
    #[derive(QueryableByName)]
    struct Micros {
        #[diesel(sql_type = BigInt)]
        micros: i64,
    }
    let mut conn = database.connect();
    for text in [
        "1970-01-01T00:00:00Z",
        "2026-11-24T12:34:56.789012+05:30",
        "2026-11-24T12:34:56-08:00",
        "1969-12-31T23:59:59.5Z",
        "2024-02-29T23:59:59Z",
    ] {
        let query = format!("SELECT muster_micros('{text}') AS micros");
        let found: Micros = diesel::sql_query(query).get_result(&mut conn).expect("an instant");
        assert_eq!(Some(found.micros), muster::scim::filter::instant(text), "{text}");
    }
}

/// The plan of the statement that a lookup by the filter runs, as the database explains it.
fn plan(conn: &mut Conn, tenant: &str, table: &str, filter: &str) -> String {
    let condition = condition(conn, tenant, table, filter);
    let explain = if conn.is_postgres() { "EXPLAIN" } else { "EXPLAIN QUERY PLAN" };
    let statement =
        Sql::new(format!("{explain} SELECT {table}.* FROM {table} WHERE {table}.connection_id = "))
            .text(tenant)
            .raw(" AND ")
            .append(condition)
            .raw(format!(" ORDER BY {table}.id LIMIT "))
            .integer(100)
            .raw(" OFFSET ")
            .integer(0);
    if conn.is_postgres() {
        #[derive(QueryableByName)]
        struct Line {
            #[diesel(sql_type = Text)]
            #[diesel(column_name = "QUERY PLAN")]
            line: String,
        }
        let lines: Vec<Line> = statement.load(conn).expect("a plan");
        lines.into_iter().map(|line| line.line + "\n").collect()
    } else {
        #[derive(QueryableByName)]
        struct Step {
            #[diesel(sql_type = Text)]
            detail: String,
        }
        let steps: Vec<Step> = statement.load(conn).expect("a plan");
        steps.into_iter().map(|step| step.detail + "\n").collect()
    }
}

async fn lookups_use_indexes(app: TestApp) {
    let client = app.scim();
    // Enough rows, of enough tenants, that a planner which can use an index wants to.
    for number in 0..200 {
        let body = json!({
            "userName": format!("user{number}"),
            "externalId": format!("x{number}"),
            "displayName": format!("User {number}"),
            "emails": [{ "value": format!("user{number}@example.com") }],
        });
        client.post("/Users", &body).await.expect(201);
        client.post("/Groups", &json!({ "displayName": format!("G{number}") })).await.expect(201);
    }
    let mut conn = app.database.connect();
    let tenant: Named =
        diesel::sql_query("SELECT id AS name FROM connections WHERE name = 'default'")
            .get_result(&mut conn)
            .expect("a connection");
    let tenant = tenant.name;
    if conn.is_postgres() {
        conn.batch_execute("ANALYZE; SET enable_seqscan = off").expect("statistics");
    } else {
        conn.batch_execute("ANALYZE").expect("statistics");
    }
    for (table, filter, index) in [
        ("users", "userName eq \"User7\"", "users_by_user_name"),
        ("users", "externalId eq \"x7\"", "users_by_external_id"),
        ("users", "displayName eq \"User 7\"", "users_by_display_name"),
        ("users", "emails.value eq \"user7@example.com\"", "user_emails_by_value"),
        ("users", "emails[type eq \"work\"].value eq \"u@example.com\"", "user_emails_by_value"),
        ("users", "emails[value eq \"u@example.com\"]", "user_emails_by_value"),
        ("users", "id eq \"u7\"", "users_by_connection|users_pkey|sqlite_autoindex_users_1"),
        ("teams", "displayName eq \"G7\"", "teams_by_display_name"),
        ("teams", "externalId eq \"g7\"", "teams_by_external_id"),
        ("teams", "id eq \"g7\"", "teams_by_connection|teams_pkey|sqlite_autoindex_teams_1"),
    ] {
        let plan = plan(&mut conn, &tenant, table, filter);
        assert!(
            index.split('|').any(|index| plan.contains(index)),
            "{filter} does not use {index}:\n{plan}"
        );
        let scans = plan.contains(&format!("SCAN {table}")) || plan.contains("Seq Scan");
        assert!(!scans, "{filter} reads the whole table:\n{plan}");
    }
}

/// The condition that the filter compiles to.
fn condition(conn: &Conn, tenant: &str, table: &str, filter: &str) -> Sql {
    use muster::db::filter::{Context, Kind, condition};
    let registry = muster::scim::schema::Registry::builtin().expect("schemas");
    let (kind, resource_type) = match table {
        "users" => (Kind::User, registry.user()),
        _ => (Kind::Team, registry.group()),
    };
    let expression = muster::scim::filter::parse(filter).expect("a filter");
    let filter = muster::scim::filter::check(&expression, resource_type, &mut Quirks::default())
        .expect("a filter");
    let context = Context { kind, connection_id: tenant, base_url: "http://h", union: false };
    condition(conn, context, &filter)
}

async fn one_member_more_is_one_row_more(app: TestApp) {
    #[derive(QueryableByName)]
    struct Counted {
        #[diesel(sql_type = BigInt)]
        total: i64,
    }
    let count = |conn: &mut Conn, table: &str| {
        let query = format!("SELECT COUNT(*) AS total FROM {table}");
        let counted: Counted = diesel::sql_query(query).get_result(conn).expect("a count");
        counted.total
    };
    let client = app.scim();
    let user = client.post("/Users", &json!({ "userName": "ann" })).await.expect(201).id();
    let group = client.post("/Groups", &json!({ "displayName": "Team" })).await.expect(201).id();
    let mut conn = app.database.connect();
    let (rows, events) = (count(&mut conn, "memberships"), count(&mut conn, "events"));
    let add = json!([{ "op": "add", "path": "members", "value": [{ "value": user }] }]);
    for _ in 0..2 {
        let body = crate::support::patch_body(add.clone());
        client.patch(&format!("/Groups/{group}"), &body).await.expect(200);
    }
    assert_eq!(count(&mut conn, "memberships"), rows + 1);
    assert_eq!(count(&mut conn, "events"), events + 1, "the second time nothing changed");
}

async fn totals_are_what_there_is(app: TestApp) {
    let other = app.other("other").await;
    let again = app.replica().await;
    let replica = again.with_token(app.default_token());
    let (here, mut writes) = (app.scim(), Vec::new());
    // Some names come twice, so that some writes fail, and some transactions begin anew.
    for number in 0..40 {
        let client = [&here, &replica, &other][number % 3].clone();
        writes.push(async move {
            let user = json!({ "userName": format!("user{}", number / 4) });
            let group = json!({ "displayName": format!("Group {}", number / 4) });
            let user = client.post("/Users", &user).await;
            let group = client.post("/Groups", &group).await;
            if number % 5 == 0 && user.status == 201 && group.status == 201 {
                client.delete(&format!("/Users/{}", user.id())).await.expect(204);
                client.delete(&format!("/Groups/{}", group.id())).await.expect(204);
            }
        });
    }
    join_all(writes).await;
    let operations: Vec<Value> = (0..20)
        .map(|number| {
            let user = json!({ "userName": format!("bulk{}", number / 2) });
            json!({ "method": "POST", "path": "/Users", "bulkId": format!("b{number}"), "data": user })
        })
        .collect();
    let bulk = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": operations,
    });
    here.post("/Bulk", &bulk).await.expect(200);
    let counts = |condition: &str| counts(&app.database, condition);
    let of_other = "connection_id IN (SELECT id FROM connections WHERE name = 'other')";
    let of_default = of_other.replace("'other'", "'default'");
    assert!(counts(of_other).iter().all(|count| *count > 0));
    assert!(counts(&of_default).iter().all(|count| *count > 5));
    // What a connection had goes with it.
    let now = app.clock.now();
    app.db
        .write("delete", move |conn| muster::directory::connections::delete(conn, "other", now))
        .await
        .expect("a connection that can go");
    counts("connection_id IS NOT NULL");
    again.stopper().await;
}

/// How many users and teams there are by what is kept, which is what there is.
#[track_caller]
fn counts(database: &TestDatabase, condition: &str) -> Vec<i64> {
    #[derive(QueryableByName)]
    struct Counted {
        #[diesel(sql_type = BigInt)]
        kept: i64,
        #[diesel(sql_type = BigInt)]
        counted: i64,
    }
    let mut counts = Vec::new();
    for (table, kind) in [("users", "user"), ("teams", "team")] {
        let query = format!(
            "SELECT CAST(COALESCE((SELECT SUM(total) FROM totals WHERE kind = '{kind}' AND \
             {condition}), 0) AS BIGINT) AS kept, \
             (SELECT COUNT(*) FROM {table} WHERE {condition}) AS counted"
        );
        let found: Counted =
            diesel::sql_query(query).get_result(&mut database.connect()).expect("two numbers");
        assert_eq!(found.kept, found.counted, "{table}");
        counts.push(found.counted);
    }
    counts
}

async fn totals_that_are_wrong_are_mended(app: TestApp) {
    let client = app.scim();
    for wrong in [
        "UPDATE totals SET total = total + 7 WHERE kind = 'user'",
        "UPDATE totals SET total = total - 3",
        "DELETE FROM totals WHERE kind = 'user' AND part = 0",
        "DELETE FROM totals",
    ] {
        client
            .post("/Users", &json!({ "userName": format!("u{}", wrong.len()) }))
            .await
            .expect(201);
        app.database.connect().batch_execute(wrong).expect("another total");
        let write = async |number: usize| {
            let body = json!({ "userName": format!("{number}-{}", wrong.len()) });
            let user = client.post("/Users", &body).await.expect(201);
            let body = json!({ "displayName": format!("{number}-{}", wrong.len()) });
            client.post("/Groups", &body).await.expect(201);
            if number.is_multiple_of(2) {
                client.delete(&format!("/Users/{}", user.id())).await.expect(204);
            }
        };
        // While others write, and by two at once.
        let writes = join_all((0..12).map(write));
        let (_, one, two) = tokio::join!(writes, mend_totals(&app.db), mend_totals(&app.db));
        one.expect("totals");
        two.expect("totals");
        // Those whom nobody has told of it count on.
        client.post("/Groups", &json!({ "displayName": wrong })).await.expect(201);
        assert!(counts(&app.database, "connection_id IS NOT NULL")[0] > 0);
    }
}

async fn a_write_is_there_after_a_restart(app: TestApp) {
    let body: Value = json!({ "userName": "ann" });
    let id = app.scim().post("/Users", &body).await.expect(201).id();
    app.stopper().await;
    let again = app.replica().await;
    let client = again.with_token(app.default_token());
    assert_eq!(client.get(&format!("/Users/{id}")).await.expect(200).body["userName"], "ann");
    again.stopper().await;
}
