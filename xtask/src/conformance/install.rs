//! Installs Lasthop as a user would: images, then the manifests that `cargo xtask manifests` writes.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use super::{Build, Dataplane};
use crate::{
    cluster::{
        images::{self, Image},
        kubectl::Kubectl,
        layout::Layout,
        space::{Space, text, until},
    },
    processes::{build_folder, cargo, run},
};

/// Our programs, each an image of its own.
pub(crate) const PROGRAMS: [&str; 2] = ["lasthop-controller", "lasthop-proxy"];

/// What is installed.
pub(crate) struct What<'a> {
    pub(crate) build: Build,
    /// Take the binaries as they are.
    pub(crate) no_build: bool,
    /// Take those of this folder.
    pub(crate) binaries: Option<&'a Path>,
    /// Instead of those that our own task writes.
    pub(crate) manifests: Option<&'a Path>,
    pub(crate) dataplane: Dataplane,
}

/// Builds what is missing, gives the images to the cluster (ours; a user's pulls them) and applies the manifests.
pub(crate) fn install(
    options: &What<'_>,
    ours: Option<(&Layout, &Space)>,
    kubectl: &Kubectl<'_>,
) -> Result<(), String> {
    build(options)?;
    let manifests = manifests(options)?;
    if let Some((layout, space)) = ours {
        for program in PROGRAMS {
            let names = image_names(&manifests, program)?;
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let binary = binary(options, program)?;
            let env = options.dataplane.env();
            let image = Image { names: &names, program: &binary, user: "65532:65532", env };
            images::import(layout, space, &image)?;
            println!("conformance: {} is {}", names.join(", "), binary.display());
        }
    }
    let former = controller(kubectl)?;
    kubectl.apply(&manifests, "Lasthop's manifests")?;
    if let (None, Some((namespace, name))) = (ours, controller(kubectl)?) {
        // Our own images set it themselves.
        kubectl.run(&[&["set", "env", &namespace, &name], options.dataplane.env()].concat())?;
    }
    if let Some((namespace, name)) = former {
        // The image may have another content under its name: what runs is of the one before.
        kubectl.run(&["rollout", "restart", &namespace, &name])?;
    }
    let (namespace, name) =
        controller(kubectl)?.ok_or("the manifests place no deployment lasthop-controller")?;
    let rollout = kubectl.run(&["rollout", "status", &namespace, &name, "--timeout=120s"]);
    rollout.map(drop).map_err(|error| {
        let log = kubectl.run(&["logs", &namespace, &name, "--all-containers", "--tail=20"]);
        format!("{error}\nits log:\n{}", log.unwrap_or_else(|error| error))
    })
}

/// The manifests: a file the user names, or what the controller that is installed prints, as `cargo xtask manifests` does.
fn manifests(options: &What<'_>) -> Result<String, String> {
    if let Some(file) = options.manifests {
        return std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()));
    }
    let mut command = Command::new(binary(options, PROGRAMS[0])?);
    command.arg("manifests");
    let printed = text(command, "Lasthop cannot be installed: `lasthop-controller manifests`")?;
    if printed.lines().any(|line| line.starts_with("kind:")) {
        Ok(printed)
    } else {
        Err("Lasthop cannot be installed: `lasthop-controller manifests` wrote no objects; name a file by --manifests".into())
    }
}

/// Builds the programs, unless they shall be taken as they are: at once, so that what they share is built once.
fn build(options: &What<'_>) -> Result<(), String> {
    if options.no_build || options.binaries.is_some() {
        return Ok(());
    }
    let mut command = cargo(["build", "--locked", "--all-features"]);
    command.args(options.build.selection());
    for program in PROGRAMS {
        command.args(["--bin", program]);
    }
    run(command)
}

/// The program's binary.
fn binary(options: &What<'_>, program: &str) -> Result<PathBuf, String> {
    let built = build_folder().join(options.build.folder());
    let binary = options.binaries.unwrap_or(&built).join(program);
    if binary.is_file() {
        Ok(binary)
    } else {
        Err(format!("{} is missing; build it, or leave --no-build out", binary.display()))
    }
}

/// The images of a program that the manifests name. The controller knows by itself which proxies belong to it.
fn image_names(manifests: &str, program: &str) -> Result<Vec<String>, String> {
    let words = manifests.split(|letter: char| letter.is_whitespace() || "\"'=,[]{}".contains(letter));
    let mut names: Vec<_> = words
        .filter(|word| {
            let last = word.rsplit('/').next().unwrap_or_default();
            last.split_once(':').is_some_and(|(name, tag)| name == program && !tag.is_empty())
        })
        .map(str::to_owned)
        .collect();
    names.sort();
    names.dedup();
    if !names.is_empty() {
        return Ok(names);
    }
    match PROGRAMS {
        [controller, proxy] if program == proxy => {
            let names = image_names(manifests, controller)?;
            Ok(names.iter().map(|name| name.replace(controller, proxy)).collect())
        }
        _ => Err(format!("the manifests name no image of {program}; what should the cluster run?")),
    }
}

/// The controller's deployment, if it is there, as `kubectl` is told of one.
fn controller(kubectl: &Kubectl<'_>) -> Result<Option<(String, String)>, String> {
    let find = ["get", "deployments", "--all-namespaces", "--output=json"];
    let list: serde_json::Value =
        serde_json::from_str(&kubectl.run(&find)?).map_err(|error| format!("the deployments: {error}"))?;
    let mut names = list["items"].as_array().into_iter().flatten().filter_map(|item| {
        let metadata = &item["metadata"];
        let name = metadata["name"].as_str().filter(|name| name.contains("lasthop-controller"))?;
        Some((format!("--namespace={}", metadata["namespace"].as_str()?), format!("deployment/{name}")))
    });
    Ok(names.next())
}

/// What runs must have the TLS stack that the report will name.
pub(crate) fn check_stack(kubectl: &Kubectl<'_>, wanted: Dataplane) -> Result<(), String> {
    let selector = "--selector=app.kubernetes.io/name=lasthop-controller";
    let path = "--output=jsonpath={range .items[*]}{.metadata.namespace}/pods/{.metadata.name}{'\\n'}{end}";
    let pods = kubectl.run(&["get", "pods", "--all-namespaces", selector, path])?;
    let stacks = pods.lines().map(|pod| {
        let metrics =
            kubectl.run(&["get", "--raw", &format!("/api/v1/namespaces/{pod}:15021/proxy/metrics")])?;
        stack(&metrics).ok_or_else(|| format!("{pod}: its metrics name no TLS stack"))
    });
    let stacks = stacks.collect::<Result<Vec<String>, String>>()?;
    let wanted = wanted.stack();
    if !stacks.is_empty() && stacks.iter().all(|stack| stack == wanted) {
        return Ok(());
    }
    let found = if stacks.is_empty() { "no controller runs".to_owned() } else { stacks.join(", ") };
    Err(format!("the proxies are to have the TLS stack {wanted}, but: {found}; see --dataplane"))
}

/// The TLS stack that a controller's metrics name.
fn stack(metrics: &str) -> Option<String> {
    let line = metrics.lines().find(|line| line.starts_with("lasthop_build_info{"))?;
    Some(line.split_once("tls_backend=\"")?.1.split_once('"')?.0.to_owned())
}

/// Waits until the class is accepted, and gives the features it says it supports.
pub(crate) fn wait_for_class(kubectl: &Kubectl<'_>, class: &str) -> Result<Vec<String>, String> {
    let name = format!("gatewayclass/{class}");
    let accepted = until(Duration::from_secs(60), "accepted", || {
        let answer = kubectl.run(&["get", &name, "--output=json"]).ok()?;
        let object: serde_json::Value = serde_json::from_str(&answer).ok()?;
        let conditions = object["status"]["conditions"].as_array()?;
        let accepted = conditions
            .iter()
            .any(|condition| condition["type"] == "Accepted" && condition["status"] == "True");
        accepted.then_some(object)
    });
    let object = accepted.map_err(|_| {
        let said = kubectl.run(&["describe", &name]).unwrap_or_else(|error| error);
        format!(
            "GatewayClass {class:?} is not there or not accepted after 60 s; is a controller running?\n{said}"
        )
    })?;
    let features = object["status"]["supportedFeatures"].as_array().into_iter().flatten();
    Ok(features.filter_map(|feature| feature["name"].as_str()).map(str::to_owned).collect())
}

impl Dataplane {
    /// As the setting and the metrics name it.
    fn stack(self) -> &'static str {
        match self {
            Self::Boring => "boringssl",
            Self::Rustls => "rustls",
        }
    }

    /// What the images set: controller and proxies take it for the setting of their TLS stack.
    fn env(self) -> &'static [&'static str] {
        match self {
            Self::Boring => &["LASTHOP_TLS_BACKEND=boringssl"],
            Self::Rustls => &["LASTHOP_TLS_BACKEND=rustls"],
        }
    }
}

/// Where a folder of results is: emptied, so that nothing in it is of another run.
pub(crate) fn fresh(folder: &Path) -> Result<(), String> {
    let _ = std::fs::remove_dir_all(folder);
    crate::cluster::layout::make(folder)
}

#[cfg(test)]
mod tests {
    use super::{image_names, stack};

    #[test]
    fn finds_the_stack_in_the_metrics() {
        let metrics = "# TYPE lasthop_build_info gauge\nlasthop_build_info{built_in=\"rustls, boringssl\",tls_backend=\"boringssl\"} 1\n";
        assert_eq!(stack(metrics).as_deref(), Some("boringssl"));
        assert_eq!(stack("up 1\n"), None);
    }

    #[test]
    fn finds_images_wherever_manifests_name_them() {
        let text = "image: \"ghcr.io/lasthop/lasthop-controller:0.1.0\"\n\
                    args: [--proxy-image=ghcr.io/lasthop/lasthop-proxy:0.1.0]\n\
                    value: ghcr.io/lasthop/lasthop-proxy:0.1.0\nname: lasthop-proxy\nx: lasthop-proxy:\n";
        let controller = ["ghcr.io/lasthop/lasthop-controller:0.1.0"];
        let proxy = ["ghcr.io/lasthop/lasthop-proxy:0.1.0"];
        assert_eq!(image_names(text, "lasthop-controller").unwrap(), controller);
        assert_eq!(image_names(text, "lasthop-proxy").unwrap(), proxy);
        let alone = text.lines().next().unwrap();
        assert_eq!(
            image_names(alone, "lasthop-proxy").unwrap(),
            proxy,
            "the controller's, by the proxy's name"
        );
        assert!(image_names("image: nginx:1", "lasthop-controller").is_err());
    }
}
