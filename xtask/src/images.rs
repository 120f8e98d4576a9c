//! `cargo xtask images`: container images of the controller and the proxy, by buildah, as archives.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use clap::{Args, ValueEnum};

use crate::{
    Outcome,
    cluster::{images::furnish, layout::make},
    processes::{build_folder, cargo, in_path, run as run_command},
    root,
};

/// The programs with an image, by the name of their folder.
const PROGRAMS: [&str; 2] = ["controller", "proxy"];

#[derive(Args)]
pub(crate) struct Options {
    /// Tag of the images [default: the version]
    #[arg(long, value_name = "TAG", default_value = env!("CARGO_PKG_VERSION"))]
    tag: String,
    /// What their names begin with
    #[arg(long, value_name = "REGISTRY", default_value = "ghcr.io/lasthop")]
    registry: String,
    /// Which binaries they hold
    #[arg(long, value_enum, default_value_t = Build::Release)]
    build: Build,
    /// Take the binaries as they are
    #[arg(long)]
    no_build: bool,
    /// Build without BoringSSL
    #[arg(long, conflicts_with = "no_build")]
    rustls_only: bool,
    /// Where the archives go [default: target/images]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Build {
    Release,
    Debug,
}

pub(crate) fn run(options: &Options) -> Outcome {
    if !in_path("buildah") {
        return Err("`buildah` is missing; it builds the images: apt-get install buildah".to_owned());
    }
    let output = options.output.clone().unwrap_or_else(|| root().join("target/images"));
    let output = std::path::absolute(output).map_err(|error| format!("--output: {error}"))?;
    make(&output)?;
    // A store of our own: whatever the user's is, it neither decides what we build nor keeps it.
    let store = output.join("store");
    let built = PROGRAMS.iter().try_for_each(|program| image(options, program, &output, &store));
    let _ = std::fs::remove_dir_all(&store);
    built
}

fn image(options: &Options, program: &str, folder: &Path, store: &Path) -> Outcome {
    let name = format!("lasthop-{program}");
    let binary = binary(options, &name)?;
    let files = folder.join(format!("{name}.files"));
    furnish(&files, &binary)?;
    let image = format!("{}/{name}:{}", options.registry, options.tag);
    let mut build = buildah(store);
    build.args(["bud", "--quiet", "--isolation", "chroot", "--timestamp", "0", "--tag", &image, "--file"]);
    build.arg(root().join("containers").join(program).join("Containerfile")).arg(&files);
    run_command(build)?;
    let archive = folder.join(format!("{name}.tar"));
    // It would add to one that is there.
    let _ = std::fs::remove_file(&archive);
    let mut push = buildah(store);
    push.args(["push", "--quiet", &image]).arg(format!("docker-archive:{}:{image}", archive.display()));
    run_command(push)?;
    let program_size = size(&binary)?;
    println!("images: {image}, {} with {name} of {program_size}: {}", size(&archive)?, archive.display());
    let _ = std::fs::remove_dir_all(&files);
    Ok(())
}

fn buildah(store: &Path) -> Command {
    let mut command = Command::new("buildah");
    command.args(["--storage-driver", "vfs", "--root"]).arg(store.join("images"));
    command.arg("--runroot").arg(store.join("run"));
    command
}

fn binary(options: &Options, name: &str) -> Result<PathBuf, String> {
    let folder = match options.build {
        Build::Release => "release",
        Build::Debug => "debug",
    };
    if !options.no_build {
        let mut build = cargo(["build", "--locked", "--package", name]);
        if matches!(options.build, Build::Release) {
            build.arg("--release");
        }
        if !options.rustls_only {
            build.arg("--all-features");
        }
        run_command(build)?;
    }
    let binary = build_folder().join(folder).join(name);
    if binary.is_file() {
        Ok(binary)
    } else {
        Err(format!("{} is missing; build it, or leave --no-build out", binary.display()))
    }
}

/// The size of a file, as one says it.
fn size(file: &Path) -> Result<String, String> {
    let bytes = file.metadata().map_err(|error| format!("{}: {error}", file.display()))?.len();
    Ok(format!("{}.{} MiB", bytes >> 20, ((bytes & 0xf_ffff) * 10) >> 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_has_a_containerfile_that_starts_it_as_nobody() {
        for program in PROGRAMS {
            let file = root().join("containers").join(program).join("Containerfile");
            let text = std::fs::read_to_string(&file).unwrap();
            assert!(text.contains("FROM scratch\n") && text.contains("USER 65532:65532\n"), "{text}");
            assert!(text.contains(&format!("ENTRYPOINT [\"/usr/local/bin/lasthop-{program}\"]\n")), "{text}");
        }
    }

    #[test]
    fn sizes_are_told_in_mebibytes() {
        let file = std::env::temp_dir().join(format!("xtask-size-{}", std::process::id()));
        std::fs::write(&file, vec![0_u8; 1_572_864]).unwrap();
        assert_eq!(size(&file).unwrap(), "1.5 MiB");
        std::fs::remove_file(&file).unwrap();
    }
}
