//! Reads the workspace.

use std::{fs, path::Path};

use super::{File, root};

const FOLDERS: &[&str] = &[
    "src",
    "domain",
    "projections",
    "tests",
    "benches",
    "docs",
    "scripts",
    ".ci",
    ".config",
];
const EXTENSIONS: &[&str] = &[
    "rs", "sql", "md", "toml", "json", "txt", "js", "mjs", "py", "sh", "html", "css", "",
];

/// One file, which must be there.
pub(super) fn read(path: &str) -> File {
    let text =
        fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    File::new(path, &text)
}

/// All files that people write.
pub(super) fn texts() -> Vec<File> {
    let mut found = Vec::new();
    for folder in FOLDERS {
        collect(&root().join(folder), &mut found);
    }
    assert!(found.len() > 100, "only {} files found", found.len());
    found
}

/// All Rust files.
pub(super) fn rust() -> Vec<File> {
    let mut files = texts();
    files.retain(|file| file.has_extension("rs"));
    files
}

fn collect(folder: &Path, found: &mut Vec<File>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.expect("the folder is read").path();
        if path.is_dir() {
            if !path.ends_with("node_modules") && !path.ends_with("target") {
                collect(&path, found);
            }
            continue;
        }
        let extension = path
            .extension()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if EXTENSIONS.contains(&extension.as_str())
            && let Ok(text) = fs::read_to_string(&path)
        {
            let inside = path.strip_prefix(root()).expect("it lies in the workspace");
            found.push(File::new(
                &inside.to_string_lossy().replace('\\', "/"),
                &text,
            ));
        }
    }
}
