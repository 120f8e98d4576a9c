//! Where the cases are.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

/// The file, unpacked by `xz`; `None` if it is not on this machine, which is an error in CI.
pub fn unpacked(file: &str) -> Option<Vec<u8>> {
    let path = folder().join(file);
    if !path.is_file() {
        let missing = format!("{} is missing; see conformance/trust/README.md", path.display());
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing}");
        eprintln!("SKIPPED, nothing was tested: {missing}");
        return None;
    }
    let output = Command::new("xz")
        .args(["--decompress", "--stdout"])
        .arg(&path)
        .stderr(Stdio::inherit())
        .output()
        .expect("`xz` can be run (`cargo xtask setup` installs it)");
    assert!(output.status.success(), "`xz` cannot unpack {}", path.display());
    Some(output.stdout)
}

/// Whether every case is tried in every way; otherwise a sample of the long suites is.
pub fn all() -> bool {
    std::env::var_os("LASTHOP_TRUST_ALL").is_some()
}

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn folder() -> PathBuf {
    std::env::var_os("LASTHOP_TRUST_DATA").map_or_else(|| root().join("../shared/data"), PathBuf::from)
}
