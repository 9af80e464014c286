//! Removes what a run made: groups before users, and a user that cannot be deleted is deactivated.

use serde_json::json;

use super::bodies::patch;
use super::client::Client;
use super::expect::Checked;
use super::report::Report;

/// Deletes everything the run created and did not delete itself.
pub async fn run(api: &Client, report: &mut Report) {
    let mut left = api.left_over();
    left.sort_unstable();
    let mut kept = Vec::new();
    for path in left {
        if let Err(reason) = remove(api, &path).await {
            kept.push(format!("{path} ({reason})"));
        }
    }
    if !kept.is_empty() {
        let kept = kept.join("\n  ");
        report.fail("what the check made is removed", format!("left behind, remove it:\n  {kept}"));
    }
}

/// Deletes one resource; Okta never deletes a user, so a server may not know how.
async fn remove(api: &Client, path: &str) -> Checked<()> {
    let reply = api.delete(path).await?;
    if matches!(reply.status, 200..=299 | 404) {
        return Ok(());
    }
    if path.starts_with("/Users/") {
        let off = patch(json!([{"op": "replace", "value": {"active": false}}]));
        api.patch(path, &off).await?;
    }
    Err(reply.wrong("a deletion"))
}
