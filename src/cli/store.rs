//! Opening the store for a command.

use anyhow::{Context, bail};

use crate::db::{DatabaseUrl, Db, StoreError, migrations};

/// The store of a command that works on what is there.
///
/// # Errors
/// There is no store yet, or its tables are not up to date.
pub async fn existing(url: DatabaseUrl) -> anyhow::Result<Db> {
    if let Some(file) = url.file()
        && !file.exists()
    {
        bail!(
            "there is no store at {url}; 'muster serve', 'muster migrate' and 'muster connection create' make one"
        );
    }
    let db = open(url);
    let pending = db
        .read(|conn| {
            migrations::is_pending(conn).map_err(|error| StoreError::Unavailable(error.to_string()))
        })
        .await
        .with_context(|| format!("could not open {}", db.url()))?;
    if pending {
        bail!("the tables of {} are not up to date; run 'muster migrate'", db.url());
    }
    Ok(db)
}

/// The store of a command that creates it if need be and brings its tables up to date.
///
/// # Errors
/// The database cannot be opened or migrated.
pub async fn migrated(url: DatabaseUrl) -> anyhow::Result<Db> {
    let is_new = url.file().is_some_and(|file| !file.exists());
    let db = open(url);
    db.migrate().await.with_context(|| format!("could not migrate {}", db.url()))?;
    if is_new {
        eprintln!("this made a new store, {}; start the server on the same one", db.url());
    }
    Ok(db)
}

/// The store of a command that looks for itself whether it is there.
pub fn unchecked(url: DatabaseUrl) -> Db {
    open(url)
}

fn open(url: DatabaseUrl) -> Db {
    Db::new(url, 1)
}
