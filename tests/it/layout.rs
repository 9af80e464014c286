//! The direction of imports: `main → cli → http → app → directory → db → scim`.

use std::path::{Path, PathBuf};

use crate::support::{Case, pure_cases};

pub const CASES: &[Case] = pure_cases![
    each_layer_imports_only_what_is_below_it,
    actix_is_known_to_the_http_side_only,
    diesel_is_known_to_the_store_only,
    secrets_are_compared_in_one_way,
    a_comparison_of_a_secret_is_noticed,
    no_module_is_too_long,
    the_documents_name_tests_that_exist,
    a_row_without_evidence_is_noticed,
];

/// Each module of the crate, and which others it may name.
const LAYERS: [(&str, &[&str]); 16] = [
    ("access", &["access"]),
    ("reach", &["access"]),
    ("webhooks", &["webhooks", "clock", "db", "directory", "reach", "secret"]),
    ("secret", &[]),
    ("scim", &["scim"]),
    ("oidc", &["oidc", "access", "reach", "secret"]),
    ("clock", &[]),
    ("certificate", &[]),
    ("config", &["access", "reach"]),
    ("metrics", &["access", "scim"]),
    ("schemas", &["scim"]),
    ("serving", &[]),
    ("db", &["db", "scim", "serving"]),
    ("directory", &["directory", "access", "db", "reach", "scim", "clock", "secret"]),
    (
        "http",
        &[
            "http",
            "access",
            "oidc",
            "app",
            "metrics",
            "directory",
            "db",
            "scim",
            "clock",
            "config",
            "secret",
            "certificate",
            "serving",
        ],
    ),
    (
        "app",
        &[
            "access",
            "oidc",
            "metrics",
            "db",
            "directory",
            "scim",
            "clock",
            "config",
            "secret",
            "certificate",
            "webhooks",
        ],
    ),
];

/// Longest module, tests apart, in lines.
const LONGEST: usize = 600;

fn sources() -> Vec<PathBuf> {
    let found = files(&root());
    assert!(found.len() > 50, "the sources are found");
    found
}

/// The Rust files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The path below `src/`, with forward slashes.
fn name(path: &Path) -> String {
    let below = path.strip_prefix(root()).expect("a path below src");
    below.to_string_lossy().replace('\\', "/")
}

/// The code without comments, up to the tests of the module.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).expect("a source file");
    let before_tests = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    before_tests
        .lines()
        .map(|line| {
            // Not those of an address.
            let comment = line.match_indices("//").find(|(at, _)| !line[..*at].ends_with(':'));
            &line[..comment.map_or(line.len(), |(at, _)| at)]
        })
        .collect::<Vec<_>>()
        .join("\n")
}

fn each_layer_imports_only_what_is_below_it() {
    let mut wrong = Vec::new();
    for path in sources() {
        let name = name(&path);
        let top = name.split(['/', '.']).next().unwrap_or_default();
        let Some((_, allowed)) = LAYERS.iter().find(|(layer, _)| *layer == top) else { continue };
        for import in code(&path).split("crate::").skip(1) {
            let module: String =
                import.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            // `use crate::{a, b}` would hide from this test.
            if !allowed.contains(&module.as_str()) {
                wrong.push(format!("{name} imports crate::{module}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn only_in(library: &str, folders: &[&str]) {
    let wrong: Vec<String> = sources()
        .iter()
        .filter(|path| code(path).contains(library))
        .map(|path| name(path))
        .filter(|name| !folders.iter().any(|folder| name.starts_with(folder)))
        .collect();
    assert!(wrong.is_empty(), "{library} appears in {wrong:?}");
}

fn actix_is_known_to_the_http_side_only() {
    only_in("actix_web", &["http", "cli/serve.rs"]);
}

fn diesel_is_known_to_the_store_only() {
    // A directory's transaction ends with the store's error type.
    only_in("diesel", &["db", "directory"]);
    let wrong: Vec<String> = sources()
        .iter()
        .filter(|path| {
            name(path).starts_with("directory") && code(path).contains("diesel::prelude")
        })
        .map(|path| name(path))
        .collect();
    assert!(wrong.is_empty(), "queries are written in db/, not in {wrong:?}");
}

/// A comparison that ends at the first difference tells how much was guessed right. What is compared
/// by one beside a secret or a hash of one is listed here: where, by which words, and what it is.
const NO_SECRETS: [(&str, &str, &str); 31] = [
    ("http/console/actions", "token.id != id && token.status(now)", "ids, and the name of a state"),
    ("http/console/actions", "find(|token| token.id == id)", "ids"),
    ("http/console/actions", "\" loses \" (sessions)", "a number of sessions"),
    ("http/console/actions", "\" live session\" @if sessions != 1", "a number of sessions"),
    ("http/console/actions", "if ended == 0", "a number of sessions"),
    ("http/console/login", "starts_with(tokens::PREFIX)", "how all tokens of a kind begin"),
    ("directory/operators", "contains(&role)", "the name of a role"),
    ("directory/sessions", "is_none_or(|id| id == row.id)", "ids"),
    ("directory/overview", "token.status(now) == \"live\"", "the name of a state"),
    ("db/webhooks", "row.state == \"active\"", "the name of a state"),
    ("oidc/flow", "CoreClientAuthMethod::ClientSecretPost)", "the name of a method"),
    ("oidc/flow", "CoreClientAuthMethod::ClientSecretBasic)", "the name of a method"),
    ("oidc/flow", "KNOWN_ERRORS.contains(", "the name of an error"),
    ("http/", "scheme.eq_ignore_ascii_case(\"bearer\")", "the name of a scheme"),
    ("http/signin/client", "!id.is_empty() && !id.contains('\\0')", "the id beside the secret"),
    ("scim/filter/tests", "", "tests"),
    ("http/signin/authorize", "challenge.len() == 43", "a length, and the challenge is public"),
    ("http/signin/client", "named, .. } if secret.is_some()", "client ids"),
    ("directory/grants", "rows::use_code(conn, &hash, now)? == 0", "a number of rows"),
    ("directory/revocation", "rows::delete_access_token(", "a number of rows"),
    ("directory/apps", "revoke_admin_token(", "a number of rows"),
    ("scim/", "attribute.returned == Returned::Never", "a characteristic"),
    ("directory/sealing", "seal.hash ==", "a hash of the log, for everybody to see"),
    ("directory/sealing", "Some(&seal.hash)", "the same"),
    ("directory/sealing", "found == seal.events_hash", "the same"),
    ("cli.rs", "Ok(code) if code == ExitCode::SUCCESS", "an exit code"),
    ("http/signin/callback", "OidcError::CodeRefused(code) if code ==", "the name of an error"),
    ("http/signin/token", "Some(\"authorization_code\")", "a word of the protocol"),
    ("directory/brake", "Actor::Token(_)", "a kind of actor"),
    ("directory/webhooks", "== Some(State::Active)", "whether something is sent"),
    ("directory/webhooks", "row.state != state.as_str()", "the same"),
];

/// The lines that compare something beside a secret in a time that tells of it, by their words.
fn comparisons_of_secrets(name: &str, code: &str) -> Vec<String> {
    // As parts of longer words too.
    const PARTS: [&str; 7] =
        ["hash", "secret", "nonce", "verifier", "challenge", "browser", "pkce"];
    // These are in the middle of many a harmless word.
    const WORDS: [&str; 6] = ["token", "code", "state", "cookie", "session", "mac"];
    const SIGNS: [&str; 8] = [
        "==",
        "!=",
        "matches!",
        ".starts_with(",
        ".ends_with(",
        ".contains(",
        ".cmp(",
        "eq_ignore_ascii_case",
    ];
    // What rustfmt has put on a line of its own belongs to the one before.
    let broken = regex::Regex::new(r"\n\s*(==|!=|\.eq\(|\.ne\()").expect("an expression");
    let code = broken.replace_all(code, " $1");
    let mut found = Vec::new();
    for line in code.lines() {
        // In the store's queries `.eq(` is SQL's, by the index of hashes (docs/access.md).
        let is_query = name.starts_with("db/");
        let compares = SIGNS.iter().any(|sign| line.contains(sign))
            || (!is_query && [".eq(", ".ne("].iter().any(|sign| line.contains(sign)));
        let is_known = NO_SECRETS
            .iter()
            .any(|(place, piece, _)| name.starts_with(place) && line.contains(piece));
        let lower = line.to_lowercase();
        let is_word = |word: &str| {
            WORDS.iter().any(|known| word == *known || word.strip_suffix('s') == Some(known))
        };
        let names_one = PARTS.iter().any(|part| lower.contains(part))
            || lower.split(|c: char| !c.is_ascii_alphanumeric()).any(is_word);
        if compares && !is_known && names_one {
            found.push(line.trim().to_owned());
        }
    }
    found
}

fn secrets_are_compared_in_one_way() {
    let mut wrong = Vec::new();
    let mut all = Vec::new();
    for path in sources().iter().filter(|path| !name(path).starts_with("cli/check")) {
        let (name, code) = (name(path), code(path));
        let found = comparisons_of_secrets(&name, &code);
        wrong.extend(found.iter().map(|line| format!("{name}: {line}")));
        all.push((name, code));
    }
    assert!(wrong.is_empty(), "use directory::apps::equal: {wrong:#?}");
    let is_there = |place: &str, piece: &str| {
        all.iter().any(|(name, code)| name.starts_with(place) && code.contains(piece))
    };
    let stale: Vec<_> =
        NO_SECRETS.iter().filter(|(place, piece, _)| !is_there(place, piece)).collect();
    assert!(stale.is_empty(), "nothing is so any more: {stale:#?}");
}

/// That the test above can fail.
fn a_comparison_of_a_secret_is_noticed() {
    for bad in [
        "if given == row.token {",
        "let same = stored_token != given;",
        "found.filter(|row| row.code.eq(&given))",
        "if state.ne(&flow.state) {",
        "cookie.value() == value",
        "matches!(given, Some(text) if text.starts_with(\"a\") && is(nonce))",
        "mac.finalize().into_bytes()[..] == given[..]",
        "let is_good = tokens\n            == given;",
        "let is_good = row.secret_hash\n    .eq(&given);",
        "browser_hash == hash(browser)",
        "client_secret.expose() == given",
        "if presented.starts_with(&row.token) {",
        "known_tokens.contains(given)",
        // What is known elsewhere is not known here.
        "Ok(code) if code == ExitCode::SUCCESS && is_lost() => FAILURE,",
    ] {
        assert_eq!(comparisons_of_secrets("http/x.rs", bad).len(), 1, "{bad}");
    }
    for good in [
        "let statement = statements.len() == 2;",
        "let machine = name == \"x\";",
        "let token = tokens::find(conn, id)?;",
        "if bytes.ct_eq(secret).into() {",
        "match code { Some(code) => code, None => return }",
    ] {
        assert_eq!(comparisons_of_secrets("http/x.rs", good), Vec::<String>::new(), "{good}");
    }
    let query = "tokens::table.filter(tokens::hash.eq(hash))";
    assert!(comparisons_of_secrets("db/x.rs", query).is_empty());
    assert_eq!(comparisons_of_secrets("http/x.rs", query).len(), 1);
}

fn no_module_is_too_long() {
    let wrong: Vec<String> = sources()
        .iter()
        .map(|path| (name(path), code(path).lines().count()))
        .filter(|(_, lines)| *lines > LONGEST)
        .map(|(name, lines)| format!("{name}: {lines} lines"))
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// Other words with so many underscores.
const NO_TESTS: [&str; 4] = [
    "tcp_user_timeout",
    "target_link_uri",
    "muster_webhook_lag_events",
    "muster_webhook_lag_seconds",
];

fn the_documents_name_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut code = String::new();
    for folder in ["tests/it", "src"] {
        for path in files(&root.join(folder)) {
            code.push_str(&std::fs::read_to_string(path).expect("a source file"));
        }
    }
    let mut wrong = Vec::new();
    for (document, least) in
        [("docs/convergence.md", 40), ("docs/conformance.md", 200), ("SECURITY.md", 90)]
    {
        let text = std::fs::read_to_string(root.join(document)).expect("a document");
        for line in text.lines() {
            if lacks_evidence(line) {
                wrong.push(format!("{document}: no test is named: {line}"));
            }
            for name in test_names(line) {
                if !is_test(&code, &name) {
                    wrong.push(format!("{document}: there is no test {name}"));
                }
            }
        }
        assert!(text.lines().flat_map(test_names).count() > least, "{document}: names are found");
    }
    // These have tables of other things too.
    for (document, least) in [
        ("docs/access.md", 12),
        ("docs/audit.md", 15),
        ("docs/hardening.md", 4),
        ("docs/reliability.md", 50),
        ("docs/webhooks.md", 20),
    ] {
        let text = std::fs::read_to_string(root.join(document)).expect("a document");
        let names: Vec<String> = text
            .lines()
            .flat_map(test_names)
            .filter(|name| !name.ends_with("_total") && !NO_TESTS.contains(&name.as_str()))
            .collect();
        assert!(names.len() > least, "{document}: names are found");
        for name in names {
            if !is_test(&code, &name) {
                wrong.push(format!("{document}: there is no test {name}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Whether the code has a test of that name, or a row of a table that is one.
fn is_test(code: &str, name: &str) -> bool {
    [format!("fn {name}("), format!("\n    {name} =>")].iter().any(|text| code.contains(text))
}

/// The names of tests in a line. They are sentences; nothing else in a document has so many
/// underscores.
fn test_names(line: &str) -> Vec<String> {
    let quoted = line.split('`').skip(1).step_by(2);
    let is_name = |text: &&str| {
        text.matches('_').count() > 1
            && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    quoted.filter(is_name).map(str::to_owned).collect()
}

/// Whether the line is a row of a table of tests without one. A requirement may say why it does not
/// apply; and one that is no more than recommended, why it is not met.
fn lacks_evidence(line: &str) -> bool {
    let Some(row) = line.strip_prefix("| ") else { return false };
    let cells: Vec<&str> = row.trim_end_matches('|').split(" | ").map(str::trim).collect();
    // Tables of other things have other columns.
    if row.ends_with("| test |") || cells.last() == Some(&"result") || row.starts_with('[') {
        return false;
    }
    let (level, said) = (cells.get(1).unwrap_or(&""), cells.last().unwrap_or(&""));
    let binds = ["MUST", "SHALL", "REQUIRED"].iter().any(|word| level.contains(word));
    let excused =
        said.starts_with("not applicable: ") || (!binds && said.starts_with("not done: "));
    test_names(line).is_empty() && !excused && !row.starts_with('`')
}

/// That the test above can fail.
fn a_row_without_evidence_is_noticed() {
    for bad in [
        "| 3.1 | MUST | something | not done: no time |",
        "| 3.1 | SHALL NOT | something | not done: no time |",
        "| 3.1 | SHOULD | something | not done |",
        "| 3.1 | MUST | something | |",
        "| a case | what happens | `one_word` |",
    ] {
        assert!(lacks_evidence(bad), "{bad}");
    }
    for good in [
        "| 3.1 | MUST | something | `a_test_of_something` |",
        "| 3.1 | MUST | something | not applicable: there is none |",
        "| 3.1 | SHOULD | something | not done: nobody wants it |",
        "| section | level | requirement | test |",
        "no row at all",
    ] {
        assert!(!lacks_evidence(good), "{good}");
    }
}
