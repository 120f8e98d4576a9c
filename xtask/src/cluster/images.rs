//! Images without a registry: a binary and what it needs, in the archive that `docker save` would write.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::json;

use super::{
    layout::{Layout, make, write},
    programs::{COREDNS, ECHO, PAUSE as PAUSE_PROGRAM},
    space::{Space, checked, text},
};

/// What containerd starts for every pod.
pub(crate) const PAUSE: &str = "lasthop.dev/conformance/pause:1";
/// The cluster's own DNS server.
pub(crate) const DNS: &str = "lasthop.dev/conformance/coredns:1";

/// The names under which the suites' manifests ask for the echo server: v1.6.3's, then v1.7.0's.
const ECHO_NAMES: &[&str] = &[
    "registry.k8s.io/gateway-api/echo-basic:v1.5.1",
    "registry.k8s.io/gateway-api/echo-basic:v1.6.0-dev.2",
    "registry.k8s.io/gateway-api/echo-basic:v1.6.0-dev.3",
    "registry.k8s.io/gateway-api/conformance/echo-basic:v0.1.0",
    "registry.k8s.io/gateway-api/conformance/echo-basic:v0.2.0",
];
/// The names of the DNS server: ours, and the one in the manifests of v1.6.3.
const DNS_NAMES: &[&str] = &[DNS, "registry.k8s.io/coredns/coredns:v1.12.2"];

/// The machine's CA certificates, for programs that verify public servers.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// One image: a program, alone or with the libraries it is linked to.
pub(crate) struct Image<'a> {
    pub(crate) names: &'a [&'a str],
    pub(crate) program: &'a Path,
    /// Group and user that run it where the pod says nothing.
    pub(crate) user: &'a str,
    /// Settings, as `NAME=value`.
    pub(crate) env: &'a [&'a str],
}

/// The images every cluster has.
pub(crate) fn import_usual(layout: &Layout, space: &Space) -> Result<(), String> {
    let pause = PAUSE_PROGRAM.build()?;
    let (dns, echo) = (COREDNS.build()?, ECHO.build()?);
    let images = [
        Image { names: &[PAUSE], program: &pause, user: "65532:65532", env: &[] },
        Image { names: DNS_NAMES, program: &dns, user: "0:0", env: &[] },
        Image { names: ECHO_NAMES, program: &echo, user: "65532:65532", env: &[] },
    ];
    for image in &images {
        import(layout, space, image)?;
    }
    Ok(())
}

/// Makes the image's archive and gives it to the cluster's containerd.
pub(crate) fn import(layout: &Layout, space: &Space, image: &Image<'_>) -> Result<(), String> {
    let folder = layout.folder.join("run").join(format!("image-{}", std::process::id()));
    let archive = archive(&folder, image)?;
    let outcome = import_archive(space, &archive);
    let _ = std::fs::remove_dir_all(&folder);
    outcome
}

/// Gives an archive to the cluster's containerd.
pub(crate) fn import_archive(space: &Space, archive: &Path) -> Result<(), String> {
    let mut command = space.command("ctr");
    command.args(["--namespace", "k8s.io", "images", "import"]).arg(archive);
    checked(command, &format!("import of {}", archive.display()))
}

/// Writes the image's archive into the folder.
pub(crate) fn archive(folder: &Path, image: &Image<'_>) -> Result<PathBuf, String> {
    let _ = std::fs::remove_dir_all(folder);
    let files = folder.join("files");
    furnish(&files, image.program)?;
    let name = image.program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    pack(&files, &folder.join("layer.tar"), &["."])?;
    let mut sum = Command::new("sha256sum");
    sum.arg(folder.join("layer.tar"));
    let sum = text(sum, "sha256sum")?;
    let digest = sum.split_whitespace().next().unwrap_or_default();
    let env: Vec<&str> = ["PATH=/usr/local/bin:/usr/bin:/bin"].iter().chain(image.env).copied().collect();
    let config = json!({
        "architecture": architecture(),
        "os": "linux",
        "config": {
            "Entrypoint": [format!("/usr/local/bin/{name}")],
            "Env": env,
            "User": image.user,
        },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{digest}")] },
        "history": [{ "created_by": "cargo xtask" }],
    });
    write(&folder.join("config.json"), &config.to_string())?;
    let manifest = json!([{ "Config": "config.json", "RepoTags": image.names, "Layers": ["layer.tar"] }]);
    write(&folder.join("manifest.json"), &manifest.to_string())?;
    let archive = folder.join("image.tar");
    pack(folder, &archive, &["manifest.json", "config.json", "layer.tar"])?;
    Ok(archive)
}

/// Lays out, in a new folder, what an image of the program holds: itself, its libraries, CA certificates.
pub(crate) fn furnish(files: &Path, program: &Path) -> Result<(), String> {
    let _ = std::fs::remove_dir_all(files);
    make(files)?;
    copy(program, &files.join("usr/local/bin").join(program.file_name().unwrap_or_default()))?;
    if Path::new(AUTHORITIES).is_file() {
        copy(Path::new(AUTHORITIES), &files.join(AUTHORITIES.trim_start_matches('/')))?;
    }
    for library in libraries(program)? {
        copy(&library, &files.join(library.strip_prefix("/").unwrap_or(&library)))?;
    }
    Ok(())
}

/// The name of this machine's processor as images have it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The libraries that a program is linked to, its loader among them; none for a static program.
fn libraries(program: &Path) -> Result<Vec<PathBuf>, String> {
    let mut command = Command::new("ldd");
    command.arg(program);
    let printed = crate::processes::output(command)?;
    let list = String::from_utf8_lossy(&printed.stdout);
    if list.contains("not found") {
        return Err(format!("{}: a library is missing here: {list}", program.display()));
    }
    Ok(library_paths(&list))
}

/// The absolute paths in what `ldd` prints.
fn library_paths(list: &str) -> Vec<PathBuf> {
    list.lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')).map(PathBuf::from))
        .collect()
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    make(to.parent().unwrap_or(to))?;
    std::fs::copy(from, to).map(drop).map_err(|error| format!("{}: {error}", from.display()))
}

fn pack(folder: &Path, archive: &Path, parts: &[&str]) -> Result<(), String> {
    let mut command = Command::new("tar");
    command.args(["--owner=0", "--group=0", "--numeric-owner", "--sort=name", "--mtime=@0"]);
    command.arg("-C").arg(folder).arg("-cf").arg(archive).args(parts);
    checked(command, "tar")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_paths_and_the_loader_from_ldd() {
        let list = "\tlinux-vdso.so.1 (0x00007ffc)\n\
                    \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let paths = library_paths(list);
        assert_eq!(
            paths,
            ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"].map(PathBuf::from)
        );
        assert!(library_paths("\tnot a dynamic executable\n").is_empty());
    }
}
