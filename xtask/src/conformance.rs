//! `cargo xtask conformance`: the official Gateway API suite, on a cluster of ours or the user's.

mod gather;
mod install;
mod log;
mod report;
mod suite;
mod table;
mod verdict;
mod yaml;

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use clap::{Args, Parser as _, ValueEnum};

use self::{gather::Gatherer, report::Report};
use crate::{
    Outcome,
    cluster::{self, addresses::Addresses, kubectl::Kubectl, layout::Layout, programs, space::Space},
    processes::in_path,
    root,
    suite::Tally,
};

/// What a gateway can be measured by; the suite's two others are for meshes.
const PROFILES: [&str; 5] = ["GATEWAY-HTTP", "GATEWAY-GRPC", "GATEWAY-TLS", "GATEWAY-TCP", "GATEWAY-UDP"];

#[derive(Args)]
pub(crate) struct Options {
    /// A cluster of yours, with the Gateway API's CRDs of the suite's version; otherwise one is made
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The name of our own cluster; one that runs already is used and kept
    #[arg(long, default_value = "conformance")]
    name: String,
    /// Keep the cluster that is made for this run
    #[arg(long)]
    keep: bool,
    /// The suite's version; reports of 1.7.0 are not official yet, see conformance/README.md
    #[arg(long, value_enum, default_value_t = Suite::V1_6_3)]
    suite: Suite,
    /// Only this profile, such as GATEWAY-TLS; may be repeated [default: all five of gateways]
    #[arg(long, value_name = "PROFILE")]
    profile: Vec<String>,
    /// Only this test
    #[arg(long, value_name = "NAME")]
    test: Option<String>,
    /// The TLS stack of the proxies; with --installed, what they are said to have
    #[arg(long, value_enum, default_value_t = Dataplane::Rustls)]
    dataplane: Dataplane,
    /// Which binaries the images hold
    #[arg(long, value_enum, default_value_t = Build::Release)]
    build: Build,
    /// Take the binaries as they are
    #[arg(long)]
    no_build: bool,
    /// Take the binaries of this folder, as they are
    #[arg(long, value_name = "DIR", conflicts_with_all = ["build", "no_build"])]
    binaries: Option<PathBuf>,
    /// The manifests to install [default: those of `cargo xtask manifests`]
    #[arg(long, value_name = "FILE")]
    manifests: Option<PathBuf>,
    /// Lasthop runs in the cluster already
    #[arg(long)]
    installed: bool,
    /// The GatewayClass of the suite's Gateways
    #[arg(long, default_value = "lasthop")]
    gateway_class: String,
    /// An address that a Gateway can get; needed on a cluster of yours
    #[arg(long, requires = "unusable_address")]
    usable_address: Option<String>,
    /// An address that no Gateway can get; needed on a cluster of yours
    #[arg(long, requires = "usable_address")]
    unusable_address: Option<String>,
    /// How many of the tests that may run side by side do
    #[arg(long, default_value_t = 4)]
    parallel: u8,
    /// Where report, table and logs go [default: target/conformance/SUITE-DATAPLANE]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Suite {
    #[value(name = "1.6.3")]
    V1_6_3,
    #[value(name = "1.7.0")]
    V1_7_0,
}

#[derive(Clone, Copy, ValueEnum)]
enum Dataplane {
    Rustls,
    #[value(alias = "boringssl")]
    Boring,
}

#[derive(Clone, Copy, ValueEnum)]
enum Build {
    Release,
    Debug,
}

impl Suite {
    fn version(self) -> &'static str {
        match self {
            Self::V1_6_3 => "1.6.3",
            Self::V1_7_0 => "1.7.0",
        }
    }
}

impl Dataplane {
    /// As the report names the way we ran.
    fn mode(self) -> &'static str {
        match self {
            Self::Rustls => "default",
            Self::Boring => "boringssl",
        }
    }
}

impl Build {
    fn folder(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Debug => "debug",
        }
    }

    /// What is built, and how: unoptimised with the selection of the tests, so that nothing is built twice.
    fn selection(self) -> Vec<String> {
        let packages = || install::PROGRAMS.iter().map(|program| format!("--package={program}"));
        match self {
            Self::Release => packages().chain(["--release".to_owned()]).collect(),
            Self::Debug => vec!["--workspace".to_owned()],
        }
    }
}

impl Options {
    fn profiles(&self) -> Vec<String> {
        if self.profile.is_empty() {
            return PROFILES.map(str::to_owned).to_vec();
        }
        let upper = self.profile.iter().map(|name| name.to_uppercase());
        upper.map(|name| if name.contains('-') { name } else { format!("GATEWAY-{name}") }).collect()
    }

    fn output(&self) -> PathBuf {
        self.output.clone().unwrap_or_else(|| {
            let name = format!("{}-{}", self.suite.version(), self.dataplane.mode());
            root().join("target/conformance").join(name)
        })
    }
}

/// The whole suite on the rustls proxies as the tests built them, on a cluster of its own; counted with the tests. The
/// tests it leaves out are for meshes, and for a GatewayClass with fewer features: they are no skips.
pub(crate) fn counted(tally: &mut Tally) -> Outcome {
    let alone: Alone = Alone::parse_from(["conformance", "--name", "test", "--build", "debug"]);
    // What an interrupted run left is of another time.
    cluster::end(&alone.options.name)?;
    let outcome = run(&alone.options);
    let table = std::fs::read_to_string(alone.options.output().join("table.txt")).unwrap_or_default();
    *tally = tally.plus(table::counts(&table));
    outcome
}

/// The options by themselves, for their defaults.
#[derive(clap::Parser)]
struct Alone {
    #[command(flatten)]
    options: Options,
}

pub(crate) fn run(options: &Options) -> Outcome {
    for profile in options.profiles() {
        if !PROFILES.contains(&profile.as_str()) {
            return Err(format!("--profile {profile}: there are {}", PROFILES.join(", ")));
        }
    }
    let binary = suite::program(options.suite.version()).build()?;
    let output = std::path::absolute(options.output()).map_err(|error| format!("--output: {error}"))?;
    install::fresh(&output)?;
    if let Some(kubeconfig) = &options.kubeconfig {
        if !in_path("kubectl") {
            return Err("`kubectl` is missing; it is how your cluster is reached".to_owned());
        }
        let kubeconfig = std::path::absolute(kubeconfig).map_err(|error| format!("--kubeconfig: {error}"))?;
        let kubectl = Kubectl { space: None, program: "kubectl".into(), kubeconfig };
        return run_on(options, None, &kubectl, &binary, &output);
    }
    let found = Layout::find(&options.name)?.is_some_and(|layout| Space::find(&layout).is_some());
    cluster::up(&cluster::Up::for_suite(&options.name, options.suite.version()))?;
    let (layout, space) = cluster::running(&options.name)?;
    let kubectl = cluster::kubectl(&layout, &space);
    let outcome = run_on(options, Some((&layout, &space)), &kubectl, &binary, &output);
    if !found && !options.keep {
        cluster::end(&options.name)?;
    }
    outcome
}

/// Installs binaries that are built, for other tasks that need Lasthop in a cluster of ours.
pub(crate) fn install_built(
    (layout, space): (&Layout, &Space),
    kubectl: &Kubectl<'_>,
    debug: bool,
    manifests: &Path,
) -> Outcome {
    let what = install::What {
        build: if debug { Build::Debug } else { Build::Release },
        no_build: true,
        binaries: None,
        manifests: Some(manifests),
        dataplane: Dataplane::Rustls,
    };
    install::install(&what, Some((layout, space)), kubectl)?;
    install::wait_for_class(kubectl, "lasthop").map(drop)
}

/// Installs what the tests built, building what is missing.
pub(crate) fn install_debug((layout, space): (&Layout, &Space), kubectl: &Kubectl<'_>) -> Outcome {
    let what = install::What {
        build: Build::Debug,
        no_build: false,
        binaries: None,
        manifests: None,
        dataplane: Dataplane::Rustls,
    };
    install::install(&what, Some((layout, space)), kubectl)?;
    install::wait_for_class(kubectl, "lasthop").map(drop)
}

/// The run itself, on a cluster that stands.
fn run_on(
    options: &Options,
    ours: Option<(&Layout, &Space)>,
    kubectl: &Kubectl<'_>,
    binary: &std::path::Path,
    output: &std::path::Path,
) -> Outcome {
    check_crds(kubectl, options.suite.version())?;
    let logs = output.join("logs");
    let gatherer = ours.map(|(layout, _)| Gatherer::start(layout.folder.join("var-log/pods"), logs.clone()));
    let outcome = install_and_run(options, ours, kubectl, binary, output);
    if outcome.is_err() {
        gather::snapshot(kubectl, &logs);
    }
    if let Some(gatherer) = gatherer {
        gatherer.finish();
    }
    match outcome {
        Ok(()) => {
            // Of use only where something failed.
            let _ = std::fs::remove_dir_all(&logs);
            println!("conformance: passed; report and log: {}", output.display());
            Ok(())
        }
        Err(error) => {
            Err(format!("conformance: NOT passed: {error}\n  report, log, pods' logs: {}", output.display()))
        }
    }
}

fn install_and_run(
    options: &Options,
    ours: Option<(&Layout, &Space)>,
    kubectl: &Kubectl<'_>,
    binary: &std::path::Path,
    output: &std::path::Path,
) -> Outcome {
    if !options.installed {
        let what = install::What {
            build: options.build,
            no_build: options.no_build,
            binaries: options.binaries.as_deref(),
            manifests: options.manifests.as_deref(),
            dataplane: options.dataplane,
        };
        install::install(&what, ours, kubectl)?;
    }
    let features = install::wait_for_class(kubectl, &options.gateway_class)?;
    if features.is_empty() {
        return Err(format!("GatewayClass {:?} publishes no supportedFeatures", options.gateway_class));
    }
    install::check_stack(kubectl, options.dataplane)?;
    println!("conformance: GatewayClass {:?} supports {} features", options.gateway_class, features.len());
    let given = options.usable_address.clone().zip(options.unusable_address.clone());
    let addresses = given.or_else(|| {
        let (layout, _) = ours?;
        Some((layout.addresses.usable().to_string(), Addresses::unusable().to_string()))
    });
    let addresses = addresses.as_ref().map(|(usable, unusable)| (usable.as_str(), unusable.as_str()));
    let report_file = output.join("report.yaml");
    let arguments = suite::arguments(options, addresses, &features, &report_file);
    let begun = Instant::now();
    println!("conformance: suite {}, {}", options.suite.version(), options.profiles().join(", "));
    let (exit, log) = suite::follow(kubectl, binary, &arguments, output.join("suite.log"))?;
    println!("conformance: {:.0} s", begun.elapsed().as_secs_f32());
    let report = std::fs::read_to_string(&report_file).map_err(|error| format!("is missing: {error}"));
    let report = report.and_then(|text| Report::read(&text));
    let mut text = table::tests(&log);
    if let Ok(report) = &report {
        text.push('\n');
        text.push_str(&table::profiles(report));
        let unsupported = table::unsupported(report);
        if !unsupported.is_empty() {
            text.push_str(&format!("\nFeatures not supported: {}\n", unsupported.join(", ")));
        }
        cluster::layout::write(&output.join("report.md"), &table::markdown(report))?;
    }
    println!("\n{text}");
    cluster::layout::write(&output.join("table.txt"), &text)?;
    let objections = verdict::objections(&verdict::Run {
        exit,
        log: &log,
        report: report.as_ref(),
        profiles: &options.profiles(),
        single: options.test.as_deref(),
        version: options.suite.version(),
        complete: ours.is_some(),
    });
    if objections.is_empty() { Ok(()) } else { Err(objections.join("\n  - ")) }
}

/// The suite asks for CRDs of its own version; say so before anything is installed.
fn check_crds(kubectl: &Kubectl<'_>, version: &str) -> Outcome {
    let path = "--output=jsonpath={.metadata.annotations.gateway\\.networking\\.k8s\\.io/bundle-version}";
    let found = kubectl.run(&["get", "crd", "gateways.gateway.networking.k8s.io", path])?;
    if found.trim() == format!("v{version}") {
        return Ok(());
    }
    let folder = programs::gateway_api(version).map(|folder| folder.join("config/crd/experimental"));
    let folder =
        folder.map_or_else(|_| "config/crd/experimental".to_owned(), |folder| folder.display().to_string());
    Err(format!(
        "the cluster has the CRDs of Gateway API {found:?}, the suite asks for v{version}; they are in {folder}"
    ))
}
