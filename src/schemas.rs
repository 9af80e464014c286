//! The schemas that a server knows: those of the program, and those of a folder of the operator's.

use std::io;
use std::path::{Path, PathBuf};

use crate::scim::schema::{Registry, SchemaErrors, SchemaFile, SchemaProblem};

/// The schemas of the program and those in the folder, if there is one.
///
/// Every file of the folder whose name ends in `.json` is one; hidden files and folders are not.
///
/// # Errors
/// All that is wrong: the folder, the files, and what is in them.
pub fn registry(folder: Option<&Path>) -> Result<Registry, SchemaErrors> {
    let Some(folder) = folder else { return Registry::builtin() };
    let unreadable = |path: &Path, error: &io::Error| SchemaProblem {
        file: path.display().to_string(),
        attribute: None,
        what: format!("cannot be read: {error}"),
    };
    let paths = match paths(folder) {
        Ok(paths) => paths,
        Err(error) => return Err(SchemaErrors(vec![unreadable(folder, &error)])),
    };
    if paths.is_empty() {
        log::warn!("there is no schema in {}: no file ends in .json", folder.display());
    }
    let mut files = Vec::with_capacity(paths.len());
    let mut problems = Vec::new();
    for path in paths {
        match std::fs::read_to_string(&path) {
            Ok(text) => files.push(SchemaFile { name: path.display().to_string(), text }),
            Err(error) => problems.push(unreadable(&path, &error)),
        }
    }
    let loaded = Registry::load(&files);
    if problems.is_empty() {
        return loaded;
    }
    if let Err(SchemaErrors(more)) = loaded {
        problems.extend(more);
    }
    Err(SchemaErrors(problems))
}

/// The files, in the order of their names.
fn paths(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let is_json =
            path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
        let name = path.file_name().unwrap_or_default();
        let is_hidden = name.as_encoded_bytes().starts_with(b".");
        if is_json && !is_hidden && !path.is_dir() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}
