//! What the demo prints.

use std::path::Path;

use lasthop_dataplane_api::TlsStack;

use super::{
    cases::Case,
    client::{Answer, Scheme},
    manifests::FILES,
    watcher::Record,
};
use crate::{cli::say, table::Table};

/// Where everything is.
pub(crate) struct Place<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) http_port: u16,
    pub(crate) https_port: u16,
    pub(crate) admin_port: u16,
}

/// What became of one request.
pub(crate) struct Verdict {
    pub(crate) case: Case,
    pub(crate) scheme: Scheme,
    pub(crate) answer: Result<Answer, String>,
    pub(crate) record: Option<Record>,
    /// Requests that the backend got.
    pub(crate) arrived: usize,
}

impl Place<'_> {
    pub(crate) fn port(&self, scheme: Scheme) -> u16 {
        match scheme {
            Scheme::Http => self.http_port,
            Scheme::Https => self.https_port,
        }
    }

    fn url(&self, case: &Case, scheme: Scheme) -> String {
        format!("{}://{}:{}/", scheme.listener(), case.host(), self.port(scheme))
    }
}

impl Verdict {
    /// Whether it is what it has to be: the status, the reason in the log and no word of it in the response, and no
    /// request at a backend that is refused.
    pub(crate) fn is_as_expected(&self) -> bool {
        let (Ok(answer), Some(record)) = (&self.answer, &self.record) else { return false };
        let told = self.case.reason.is_some_and(|reason| answer.body.contains(reason));
        let arrived = self.case.reason.is_none() == (self.arrived > 0);
        answer.status == self.case.status && record.reason == self.case.reason && !told && arrived
    }

    fn outcome(&self) -> String {
        let record = self.record.clone().unwrap_or_default();
        match (&self.answer, record.reason) {
            (Err(error), _) => format!("no response: {error}"),
            (Ok(_), Some(reason)) => match record.detail {
                Some(detail) => format!("{reason}: {detail}"),
                None => reason.to_owned(),
            },
            (Ok(answer), None) => match record.tls {
                Some(version) => format!("TLS {version}, verified: {}", answer.body),
                None => format!("in plaintext: {}", answer.body),
            },
        }
    }
}

pub(crate) fn begin(place: &Place<'_>, stack: TlsStack) {
    let Place { folder, http_port, https_port, .. } = place;
    let (folder, files, stack) = (folder.display(), FILES.join(", "), stack.name());
    say(&format!(
        "\
Manifests  {folder} ({files})
Listeners  http on port {http_port}, https on port {https_port}
TLS stack  {stack}

"
    ));
}

/// Prints the verdicts. Answers whether all are as they have to be.
pub(crate) fn table(verdicts: &[Verdict], place: &Place<'_>) -> bool {
    let mut table = Table::new(["REQUEST", "THE BACKEND SHOWS", "STATUS", "VERDICT"]);
    for verdict in verdicts {
        let status = match &verdict.answer {
            Ok(answer) => answer.status.to_string(),
            Err(_) => "-".to_owned(),
        };
        let mark = if verdict.is_as_expected() { "" } else { "  <- not as expected" };
        table.row([
            place.url(&verdict.case, verdict.scheme),
            verdict.case.shows.words().to_owned(),
            status,
            format!("{}{mark}", verdict.outcome()),
        ]);
    }
    let (count, wrong) =
        (verdicts.len(), verdicts.iter().filter(|verdict| !verdict.is_as_expected()).count());
    say(&match wrong {
        0 => format!("{table}\nAll {count} verdicts are as expected; no refused backend got a request.\n"),
        wrong => format!("{table}\n{wrong} of {count} verdicts are not as expected.\n"),
    });
    wrong == 0
}

/// Prints what is left when the demo ends at once.
pub(crate) fn kept(place: &Place<'_>) {
    let folder = place.folder.display();
    say(&format!("The manifests stay where they are: lasthop-proxy check --config {folder}\n"));
}

/// Prints what can be tried while the demo stays up.
pub(crate) fn commands(place: &Place<'_>, temporary: bool) {
    let Place { folder, http_port, https_port, admin_port } = place;
    let folder = folder.display();
    let proxies = ["http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
    let direct =
        if proxies.iter().any(|name| std::env::var_os(name).is_some()) { " --noproxy '*'" } else { "" };
    let end = if temporary { "ends the demo and removes the folder" } else { "ends the demo" };
    say(&format!(
        "
Try it, and see the access log here:
  curl{direct} http://orders.localhost:{http_port}/
  curl{direct} --cacert {folder}/ca.crt https://payments.localhost:{https_port}/
  curl{direct} -i http://wrong-name.localhost:{http_port}/
  curl{direct} http://127.0.0.1:{admin_port}/status
  lasthop-proxy check --config {folder}

Change a file there, and it takes effect at once. Ctrl-C {end}.

"
    ));
}
