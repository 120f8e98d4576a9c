//! The folder that the manifests go to.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use super::{DemoError, manifests::FILES};

/// Makes the folder, or takes one that holds nothing but an earlier demo's files.
pub(crate) fn prepare(named: Option<&Path>) -> Result<PathBuf, DemoError> {
    let folder = match named {
        Some(folder) => folder.to_owned(),
        None => std::env::temp_dir().join(format!("lasthop-demo-{}", std::process::id())),
    };
    let failed = |reason: String| DemoError::Folder { folder: folder.clone(), reason };
    let cannot = |error: io::Error| failed(format!("cannot be made or read: {error}"));
    // A key will be in it.
    DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(cannot)?;
    for entry in fs::read_dir(&folder).map_err(cannot)? {
        let name = entry.map_err(cannot)?.file_name();
        let ours = FILES.iter().any(|file| name == *file);
        if !ours {
            return Err(failed(format!("holds {}, which no demo wrote", name.display())));
        }
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_demos_own_files_are_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let new = folder.path().join("a/b");
        assert_eq!(prepare(Some(&new)).unwrap(), new);
        fs::write(new.join(FILES[0]), "").unwrap();
        assert!(prepare(Some(&new)).is_ok());
        fs::write(new.join("mine.yaml"), "").unwrap();
        let error = prepare(Some(&new)).unwrap_err().to_string();
        assert!(
            error.contains("holds mine.yaml, which no demo wrote; name another folder with --dir"),
            "{error}"
        );
    }
}
