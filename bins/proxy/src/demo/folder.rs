//! The folder that the manifests go to.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use super::{DemoError, manifests::FILES};

/// How many names are tried.
const TRIES: usize = 100;

/// Makes the folder, or takes one that holds nothing but an earlier demo's files. Without a name, it is a new one.
pub(crate) fn prepare(named: Option<&Path>) -> Result<PathBuf, DemoError> {
    let Some(folder) = named else { return new() };
    let failed = |reason: String| DemoError::Folder { folder: folder.to_owned(), reason };
    let cannot = |error: io::Error| failed(format!("cannot be made or read: {error}"));
    // A key will be in it.
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(cannot)?;
    for entry in fs::read_dir(folder).map_err(cannot)? {
        let name = entry.map_err(cannot)?.file_name();
        let ours = FILES.iter().any(|file| name == *file);
        if !ours {
            return Err(failed(format!("holds {}, which no demo wrote", name.display())));
        }
    }
    Ok(folder.to_owned())
}

/// A folder that was not there before: in a place where everybody may write, one that is there may be anybody's.
fn new() -> Result<PathBuf, DemoError> {
    let base = std::env::temp_dir().join(format!("lasthop-demo-{}", std::process::id()));
    for number in 0..TRIES {
        let folder = match number {
            0 => base.clone(),
            number => base.with_added_extension(number.to_string()),
        };
        match DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(DemoError::Folder { folder, reason: format!("cannot be made: {error}") });
            }
        }
    }
    Err(DemoError::Folder { folder: base, reason: "is there already".to_owned() })
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

    #[test]
    fn without_a_name_the_folder_is_a_new_one() {
        let (one, two) = (prepare(None).unwrap(), prepare(None).unwrap());
        assert_ne!(one, two);
        for folder in [one, two] {
            fs::remove_dir(folder).unwrap();
        }
    }
}
