//! Keeps the logs of pods that come and go while the suite runs: what a failed test's gateway said is gone with it.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use crate::cluster::{kubectl::Kubectl, layout::make};

/// How often new logs are looked for.
const PERIOD: Duration = Duration::from_millis(300);

/// A thread that links every pod's log file into our folder; a linked file stays, and grows, when kubelet removes it.
pub(crate) struct Gatherer {
    end: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Gatherer {
    /// Follows the node's folder of pod logs.
    pub(crate) fn start(pods: PathBuf, folder: PathBuf) -> Self {
        let end = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&end);
        let thread = std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                link_all(&pods, &folder);
                std::thread::sleep(PERIOD);
            }
            link_all(&pods, &folder);
        });
        Self { end, thread }
    }

    /// Looks once more and ends.
    pub(crate) fn finish(self) {
        self.end.store(true, Ordering::Relaxed);
        let _ = self.thread.join();
    }
}

/// Links `<namespace>_<pod>_<uid>/<container>/<n>.log` of every pod but the cluster's own.
fn link_all(pods: &Path, folder: &Path) {
    for pod in entries(pods) {
        let Some((namespace, name)) = pod_of(&pod) else { continue };
        for container in entries(&pod) {
            for log in entries(&container) {
                let (Some(part), Some(file)) = (container.file_name(), log.file_name()) else { continue };
                let name = format!("{name}_{}_{}", part.to_string_lossy(), file.to_string_lossy());
                let link = folder.join(&namespace).join(name);
                if !link.exists() && make(&folder.join(&namespace)).is_ok() {
                    // It may be gone already.
                    let _ = std::fs::hard_link(&log, &link);
                }
            }
        }
    }
}

/// Namespace and name of the pod whose folder this is.
fn pod_of(folder: &Path) -> Option<(String, String)> {
    let name = folder.file_name()?.to_str()?;
    let mut parts = name.split('_');
    let (namespace, pod) = (parts.next()?, parts.next()?);
    (namespace != "kube-system").then(|| (namespace.to_owned(), pod.to_owned()))
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// What is left in the cluster after the suite: our objects, events, and the logs of our own pods.
pub(crate) fn snapshot(kubectl: &Kubectl<'_>, folder: &Path) {
    let questions: [(&str, &[&str]); 4] = [
        ("pods.txt", &["get", "pods,services,endpointslices", "--all-namespaces", "--output=wide"]),
        ("events.txt", &["get", "events", "--all-namespaces", "--sort-by=.lastTimestamp"]),
        ("gateways.yaml", &["get", "gatewayclasses,gateways", "--all-namespaces", "--output=yaml"]),
        (
            "controller.log",
            &[
                "logs",
                "--selector=app.kubernetes.io/name=lasthop-controller",
                "--all-containers",
                "--namespace=lasthop-system",
                "--tail=-1",
                "--prefix",
            ],
        ),
    ];
    for (file, arguments) in questions {
        let text = kubectl.run(arguments).unwrap_or_else(|error| format!("{error}\n"));
        let _ = make(folder);
        let _ = std::fs::write(folder.join(file), text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_a_pod_by_its_folder() {
        let pod = pod_of(Path::new("/var/log/pods/gateway-conformance-infra_gw-6d5-x_0b1c-22"));
        assert_eq!(pod, Some(("gateway-conformance-infra".to_owned(), "gw-6d5-x".to_owned())));
        assert_eq!(pod_of(Path::new("/var/log/pods/kube-system_coredns-1_ab")), None);
        assert_eq!(pod_of(Path::new("/var/log/pods/stray")), None);
    }
}
