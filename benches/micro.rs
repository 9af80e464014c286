//! The pieces that requests are made of, without HTTP and mostly without a store.
//!
//! ```console
//! cargo bench --bench micro
//! ```

#![expect(clippy::expect_used, reason = "a measurement that meets the unexpected is none")]

#[path = "../tests/it/support/provider/random.rs"]
mod random;

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use divan::{Bencher, black_box};
use muster::db::connection::{Access, Conn};
use muster::db::filter::{Context as FilterContext, Kind, condition};
use muster::db::{DatabaseUrl, migrations};
use muster::directory::{connections, tokens};
use muster::oidc::token::{Received, verify};
use muster::oidc::{Metadata, Registration};
use muster::schemas;
use muster::scim::filter::{Filter, check, parse};
use muster::scim::group::Body;
use muster::scim::members::member_ids;
use muster::scim::patch::PatchPlan;
use muster::scim::quirks::Quirks;
use muster::scim::resource::Document;
use muster::scim::schema::Registry;
use openidconnect::core::{
    CoreEdDsaPrivateSigningKey, CoreJsonWebKey, CoreJsonWebKeySet, CoreJwsSigningAlgorithm,
    CoreRsaPrivateSigningKey,
};
use openidconnect::{AccessToken, AuthorizationCode, JsonWebKeyId, Nonce, PrivateSigningKey};
use rsa::RsaPrivateKey;
use rsa::pkcs1::{EncodeRsaPrivateKey, LineEnding};
use serde_json::{Value, json};

use self::random::Random;

fn main() {
    divan::main();
}

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| schemas::registry(None).expect("schemas"));

/// A user as Okta pushes it.
fn user() -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": "ann@example.com",
        "externalId": "00u1",
        "name": { "givenName": "Ann", "familyName": "Lee" },
        "displayName": "Ann Lee",
        "emails": [{ "value": "ann@mail.example.com", "type": "work", "primary": true }],
        "title": "Engineer",
        "locale": "en-US",
        "active": true,
    })
}

fn document() -> Document {
    Document::from_body(REGISTRY.user(), user(), &mut Quirks::default()).expect("a user")
}

const FILTERS: [&str; 3] = [
    "userName eq \"ann@example.com\"",
    "emails[type eq \"work\" and value co \"@example.com\"]",
    "title pr and (userType eq \"Employee\" or not (active eq false)) and \
     meta.lastModified gt \"2026-01-01T00:00:00Z\"",
];

fn filter(text: &str) -> Filter {
    let expression = parse(text).expect("a filter");
    check(&expression, REGISTRY.user(), &mut Quirks::default()).expect("a filter of users")
}

#[divan::bench(args = FILTERS)]
fn filter_parse(bencher: Bencher<'_, '_>, text: &str) {
    bencher.bench(|| parse(black_box(text)));
}

#[divan::bench(args = FILTERS)]
fn filter_check(bencher: Bencher<'_, '_>, text: &str) {
    let expression = parse(text).expect("a filter");
    bencher.bench(|| check(black_box(&expression), REGISTRY.user(), &mut Quirks::default()));
}

#[divan::bench(args = FILTERS)]
fn filter_compile(bencher: Bencher<'_, '_>, text: &str) {
    let store = Store::new();
    let filter = filter(text);
    let context = FilterContext {
        kind: Kind::User,
        connection_id: "c",
        base_url: "https://muster.example.com/scim/v2",
        union: false,
    };
    bencher.bench_local(|| condition(&store.conn, context, black_box(&filter)));
}

#[divan::bench]
fn patch_plan_of_one_attribute(bencher: Bencher<'_, '_>) {
    let body = patch(&json!([{ "op": "replace", "path": "title", "value": "x" }]));
    bencher.with_inputs(|| body.clone()).bench_values(|body| PatchPlan::new(REGISTRY.user(), body));
}

#[divan::bench]
fn patch_plan_of_one_member(bencher: Bencher<'_, '_>) {
    let id = "01980000-0000-7000-8000-000000000000";
    let body = patch(&json!([{ "op": "add", "path": "members", "value": [{ "value": id }] }]));
    bencher
        .with_inputs(|| body.clone())
        .bench_values(|body| PatchPlan::new(REGISTRY.group(), body));
}

#[divan::bench]
fn patch_apply(bencher: Bencher<'_, '_>) {
    let body = patch(&json!([{ "op": "replace", "path": "title", "value": "x" }]));
    let plan = PatchPlan::new(REGISTRY.user(), body).expect("a plan");
    bencher
        .with_inputs(document)
        .bench_values(|document| plan.apply(document, &mut Quirks::default()));
}

fn patch(operations: &Value) -> Value {
    json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations })
}

#[divan::bench]
fn json_parse_a_user(bencher: Bencher<'_, '_>) {
    let text = user().to_string();
    bencher.bench(|| serde_json::from_str::<Value>(black_box(&text)));
}

#[divan::bench]
fn json_user_of_a_body(bencher: Bencher<'_, '_>) {
    let body = user();
    bencher
        .with_inputs(|| body.clone())
        .bench_values(|body| Document::from_body(REGISTRY.user(), body, &mut Quirks::default()));
}

#[divan::bench]
fn json_write_a_user(bencher: Bencher<'_, '_>) {
    let document = document();
    bencher.bench(|| serde_json::to_vec(black_box(document.as_map())));
}

fn members(count: usize) -> Value {
    let id = |number: usize| json!({ "value": format!("01980000-0000-7000-8000-{number:012}") });
    (0..count).map(id).collect()
}

#[divan::bench(args = [10, 1_000, 100_000])]
fn json_parse_a_group(bencher: Bencher<'_, '_>, count: usize) {
    let text = json!({ "displayName": "Staff", "members": members(count) }).to_string();
    bencher.bench(|| serde_json::from_str::<Value>(black_box(&text)));
}

#[divan::bench(args = [10, 1_000, 100_000])]
fn json_read_a_group(bencher: Bencher<'_, '_>, count: usize) {
    let text = json!({ "displayName": "Staff", "members": members(count) }).to_string();
    bencher.bench(|| {
        let body: Body = serde_json::from_str(black_box(&text)).expect("a group");
        body.read(REGISTRY.group(), &mut Quirks::default())
    });
}

#[divan::bench(args = [10, 1_000, 100_000])]
fn json_ids_of_members(bencher: Bencher<'_, '_>, count: usize) {
    let members = members(count);
    bencher
        .with_inputs(|| members.clone())
        .bench_values(|members| member_ids(members, &mut Quirks::default()));
}

/// A SQLite store with a connection and a token.
struct Store {
    conn: Conn,
    token: String,
    _folder: tempfile::TempDir,
}

impl Store {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = DatabaseUrl::Sqlite(folder.path().join("muster.db"));
        let mut conn = Conn::open(&url, Access::Write).expect("a store");
        migrations::migrate(&mut conn).expect("migrations");
        let token = conn.write(|conn| {
            let made = connections::create(conn, "bench", connections::Settings::default(), 0)?;
            tokens::create(conn, &made, "bench", None, 0)
        });
        let (_, token) = token.expect("a token");
        Self { conn, token: token.expose().to_owned(), _folder: folder }
    }
}

#[divan::bench]
fn token_hash(bencher: Bencher<'_, '_>) {
    bencher
        .bench(|| tokens::hash(black_box("muster_scim_Kd7Tw2Pz9Lm4Vx8Qb3Nc6Rf1Kd7Tw2Pz9Lm4Vx8")));
}

#[divan::bench]
fn token_lookup(bencher: Bencher<'_, '_>) {
    let mut store = Store::new();
    bencher.bench_local(|| tokens::authenticate(&mut store.conn, &store.token, 1));
}

const ISSUER: &str = "https://example.okta.com";
const NOW: i64 = 1_780_000_000;

fn metadata(keys: CoreJsonWebKeySet) -> Metadata {
    let metadata: Metadata = serde_json::from_value(json!({
        "issuer": ISSUER,
        "authorization_endpoint": "https://example.okta.com/authorize",
        "token_endpoint": "https://example.okta.com/token",
        "jwks_uri": "https://example.okta.com/keys",
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["EdDSA", "RS256"],
    }))
    .expect("metadata");
    metadata.set_jwks(keys)
}

/// An ID token of the issuer's, with what it is checked against.
struct IdToken {
    text: String,
    metadata: Metadata,
}

impl IdToken {
    fn signed<K>(name: &str, algorithm: &CoreJwsSigningAlgorithm, key: &K) -> Self
    where
        K: PrivateSigningKey<VerificationKey = CoreJsonWebKey>,
    {
        let header = encoded(&json!({ "alg": name, "kid": "k" }));
        let claims = encoded(&json!({
            "iss": ISSUER, "aud": "0oa1", "sub": "00u1", "nonce": "nonce", "iat": NOW, "exp": NOW + 300,
            "preferred_username": "ann@example.com", "groups": ["Engineering", "Everyone", "Berlin"],
        }));
        let signed = format!("{header}.{claims}");
        let signature = key.sign(algorithm, signed.as_bytes()).expect("a signature");
        let text = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
        let keys = CoreJsonWebKeySet::new(vec![key.as_verification_key()]);
        Self { text, metadata: metadata(keys) }
    }

    fn check(&self) {
        let token = black_box(&self.text).parse().expect("a token");
        let received = Received {
            token: &token,
            access_token: &AccessToken::new("access".to_owned()),
            code: AuthorizationCode::new("code".to_owned()),
            nonce: Nonce::new("nonce".to_owned()),
        };
        let registration = Registration {
            issuer: ISSUER.to_owned(),
            client_id: "0oa1".to_owned(),
            client_secret: None,
            redirect_uri: "https://muster.example.com/login/callback".to_owned(),
        };
        let now = chrono::DateTime::from_timestamp(NOW, 0).expect("a time");
        assert!(verify(&received, &self.metadata, &registration, now).is_ok());
    }
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn key_id() -> JsonWebKeyId {
    JsonWebKeyId::new("k".to_owned())
}

#[divan::bench]
fn id_token_rs256(bencher: Bencher<'_, '_>) {
    let private = RsaPrivateKey::new(&mut Random, 2048).expect("a key");
    let pem = private.to_pkcs1_pem(LineEnding::LF).expect("a key as PEM");
    let key = CoreRsaPrivateSigningKey::from_pem(&pem, Some(key_id())).expect("a key");
    let token = IdToken::signed("RS256", &CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256, &key);
    bencher.bench_local(|| token.check());
}

#[divan::bench]
fn id_token_eddsa(bencher: Bencher<'_, '_>) {
    // The example of RFC 8410 section 10.3.
    let pem = "-----BEGIN PRIVATE KEY-----\n\
               MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
               -----END PRIVATE KEY-----";
    let key = CoreEdDsaPrivateSigningKey::from_ed25519_pem(pem, Some(key_id())).expect("a key");
    let token = IdToken::signed("EdDSA", &CoreJwsSigningAlgorithm::EdDsa, &key);
    bencher.bench_local(|| token.check());
}
