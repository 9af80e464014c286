//! What is measured, a row of the table each.

use std::cell::Cell;
use std::rc::Rc;

use hyper::Method;
use hyper::body::Bytes;
use serde_json::{Value, json};

use super::client::{Ask, Lane, Work};
use super::raw::Raw;
use super::sign_in::SignIn;
use super::subject::{GROUPS, Seed, user};

/// Resources on a page.
pub const PAGE: usize = 100;
const SCIM: &str = "application/scim+json";
/// Clients at most.
const LANES: usize = 64;

/// A row: something that clients do again and again.
pub struct Row {
    pub name: String,
    pub work: Work,
    /// A request that a handler which does nothing can be sent, with the same answer.
    pub sample: Option<Ask>,
    /// The same on the database alone.
    pub raw: Option<Raw>,
    /// Clients at once, at most: what takes seconds for one is no better by 64.
    pub most_clients: usize,
    /// Whether bodies are so large that its memory is told apart.
    pub is_large: bool,
}

impl Row {
    fn new(name: impl Into<String>, work: Work) -> Self {
        Self {
            name: name.into(),
            work,
            sample: None,
            raw: None,
            most_clients: LANES,
            is_large: false,
        }
    }

    /// A row of one request, which depends on the client and the turn.
    fn of(name: impl Into<String>, ask: impl Fn(usize, u64) -> Ask + 'static) -> Self {
        let sample = Some(ask(0, 0));
        let ask = Rc::new(ask);
        let work: Work = Rc::new(move |lane: &mut Lane, turn| {
            let ask = ask.clone();
            Box::pin(async move {
                let asked = ask(lane.number, turn);
                lane.get(&asked).await;
            })
        });
        Self { sample, ..Self::new(name, work) }
    }

    fn beside(mut self, raw: Raw) -> Self {
        self.raw = Some(raw);
        self
    }

    fn large(mut self, most_clients: usize) -> Self {
        self.is_large = true;
        self.most_clients = most_clients;
        self
    }

    fn of_few(mut self, most_clients: usize) -> Self {
        self.most_clients = most_clients;
        self
    }
}

/// A number below `end` that looks like any other, the same for the same turn.
pub fn pick(lane: usize, turn: u64, end: usize) -> usize {
    let mut x = ((lane as u64) << 40) ^ turn.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    usize::try_from((x ^ (x >> 31)) % end as u64).expect("less than end")
}

fn encoded(filter: &str) -> String {
    url::form_urlencoded::byte_serialize(filter.as_bytes()).collect()
}

fn get(seed: &Seed, path: &str) -> Ask {
    Ask { path: format!("/scim/v2{path}"), token: Some(seed.token.clone()), ..Ask::default() }
}

fn send(seed: &Seed, method: Method, path: &str, body: &Value) -> Ask {
    Ask { method, content_type: SCIM, body: Bytes::from(body.to_string()), ..get(seed, path) }
}

/// Every row that a store of this size has; `cursors` are those of the first and of the last page.
pub fn all(seed: &Rc<Seed>, sign_in: &Rc<SignIn>, last_cursor: &str) -> Vec<Row> {
    let mut rows = lookups(seed);
    rows.extend(pages(seed, last_cursor));
    rows.extend(writes(seed));
    rows.extend(groups(seed));
    rows.push(Row::new("sign-in: /authorize and the callback", sign_in.work()).of_few(8));
    let (admin, token) = (seed.admin.clone(), sign_in.access_token());
    rows.push(Row::of("introspect an access token", move |_, _| Ask {
        method: Method::POST,
        path: "/introspect".to_owned(),
        token: Some(admin.clone()),
        content_type: "application/x-www-form-urlencoded",
        body: Bytes::from(format!("token={token}")),
        ..Ask::default()
    }));
    // What bodies of many megabytes leave in memory for a while is not to be seen in other rows.
    rows.sort_by_key(|row| row.is_large);
    rows
}

fn lookups(seed: &Rc<Seed>) -> Vec<Row> {
    let filter = |name: &str, raw: Raw, text: fn(usize) -> String| {
        let of = seed.clone();
        let row = Row::of(name, move |lane, turn| {
            let filter = encoded(&text(pick(lane, turn, of.users)));
            get(&of, &format!("/Users?filter={filter}"))
        });
        row.beside(raw)
    };
    let of = seed.clone();
    let by_id = Row::of("GET a user by id", move |lane, turn| {
        get(&of, &format!("/Users/{}", of.ids[pick(lane, turn, of.users)]))
    });
    vec![
        by_id.beside(Raw::ById),
        filter("filter userName eq", Raw::ByUserName, |number| {
            format!("userName eq \"user{number:07}@example.com\"")
        }),
        filter("filter externalId eq", Raw::ByExternalId, |number| {
            format!("externalId eq \"00uuser{number:07}\"")
        }),
        filter("filter emails.value eq", Raw::ByEmail, |number| {
            format!("emails.value eq \"user{number:07}@mail.example.com\"")
        }),
    ]
}

fn pages(seed: &Rc<Seed>, last_cursor: &str) -> Vec<Row> {
    let page = |name: &str, query: String| {
        let of = seed.clone();
        Row::of(name, move |_, _| get(&of, &format!("/Users?count={PAGE}{query}"))).of_few(8)
    };
    let start = |index: usize| format!("&startIndex={index}");
    let no_index = seed.clone();
    vec![
        page("first page of 100", String::new()),
        page("page of 100 in the middle, by startIndex", start(seed.users / 2)),
        page("last page of 100, by startIndex", start(seed.users.saturating_sub(PAGE) + 1)),
        page("first page of 100, by cursor", "&cursor".to_owned()),
        page("last page of 100, by cursor", format!("&cursor={}", encoded(last_cursor))),
        // About one in 10,000, and the first of them.
        Row::of("filter name.familyName co (no index)", move |lane, turn| {
            let number = pick(lane, turn, no_index.users);
            let filter = encoded(&format!("name.familyName co \"ily{number}\""));
            get(&no_index, &format!("/Users?filter={filter}"))
        })
        .of_few(8),
    ]
}

fn writes(seed: &Rc<Seed>) -> Vec<Row> {
    let (of, number) = (seed.clone(), Cell::new(seed.users));
    let create = Row::of("create a user", move |_, _| {
        number.set(number.get() + 1);
        send(&of, Method::POST, "/Users", &user(number.get()))
    });
    let of = seed.clone();
    let merge: Work = Rc::new(move |lane: &mut Lane, turn| {
        let of = of.clone();
        Box::pin(async move {
            // Clients keep to users of their own, as one provider does.
            let own = of.users / LANES;
            let number = lane.number * own + pick(lane.number, turn, own);
            let path = format!("/Users/{}", of.ids[number]);
            let found = lane.get(&get(&of, &path)).await.body;
            let mut body: Value = serde_json::from_slice(&found).expect("JSON");
            body["title"] = json!(format!("Engineer {turn}"));
            lane.get(&send(&of, Method::PUT, &path, &body)).await;
        })
    });
    vec![create.beside(Raw::Create), Row::new("GET a user, merge, PUT", merge)]
}

fn groups(seed: &Rc<Seed>) -> Vec<Row> {
    let mut rows = Vec::new();
    for size in GROUPS {
        if let Some(id) = seed.group(size) {
            rows.push(patch_one(seed, size, id));
        }
    }
    for size in [1_000, 100_000] {
        let Some(id) = seed.group(size) else { continue };
        let few = if size > 1_000 { 1 } else { 8 };
        let path = format!("/Groups/{id}?excludedAttributes=members");
        rows.push(Row::of(format!("GET a group of {size}, without members"), {
            let of = seed.clone();
            move |_, _| get(&of, &path)
        }));
        let path = format!("/Groups/{id}");
        let with = Row::of(format!("GET a group of {size}, with members"), {
            let (of, path) = (seed.clone(), path.clone());
            move |_, _| get(&of, &path)
        });
        rows.push(with.large(few));
        let bodies = [size, size - 1].map(|count| {
            let members: Vec<Value> =
                seed.ids[..count].iter().map(|id| json!({ "value": id })).collect();
            let name = format!("group of {size}");
            send(seed, Method::PUT, &path, &json!({ "displayName": name, "members": members }))
        });
        let without = bodies
            .clone()
            .map(|ask| Ask { path: format!("{}?excludedAttributes=members", ask.path), ..ask });
        let put = |name: &str, bodies: [Ask; 2]| {
            let name = format!("PUT a group of {size} with one change{name}");
            // Whoever puts what is there changes nothing, so one client at a time.
            Row::of(name, move |_, turn| bodies[usize::from(turn % 2 == 0)].clone()).large(1)
        };
        rows.push(put("", bodies).beside(Raw::Members(size)));
        rows.push(put(", answered without members", without).beside(Raw::Members(size)));
    }
    rows
}

/// Each client puts a user of its own into the group and takes it out again.
fn patch_one(seed: &Rc<Seed>, size: usize, id: &str) -> Row {
    // Those behind the members or, where everybody is one, the last of them.
    let first = if size + LANES <= seed.users { size } else { size - LANES.min(size) };
    let is_member: Vec<Cell<bool>> =
        (0..LANES).map(|lane| Cell::new(first + lane < size)).collect();
    let (of, path) = (seed.clone(), format!("/Groups/{id}"));
    let work: Work = Rc::new({
        let is_member = Rc::new(is_member);
        move |lane: &mut Lane, _| {
            let (of, path, is_member) = (of.clone(), path.clone(), is_member.clone());
            Box::pin(async move {
                let user = &of.ids[first + lane.number];
                let is_in = is_member[lane.number].replace(!is_member[lane.number].get());
                let operation = if is_in {
                    json!({ "op": "remove", "path": format!("members[value eq \"{user}\"]") })
                } else {
                    json!({ "op": "add", "path": "members", "value": [{ "value": user }] })
                };
                let body = json!({
                    "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
                    "Operations": [operation],
                });
                lane.get(&send(&of, Method::PATCH, &path, &body)).await;
            })
        }
    });
    Row::new(format!("PATCH one member of a group of {size}"), work)
}
