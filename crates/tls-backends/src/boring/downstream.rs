//! Handshakes with clients.

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use boring::{
    error::ErrorStack,
    ex_data::Index,
    ssl::{
        AlpnError, ClientHello, ExtensionType, NameType, SelectCertError, SniError, Ssl, SslAlert,
        SslContext, SslContextBuilder, SslOptions, SslRef, SslSessionCacheMode, SslStreamBuilder,
        SslVerifyError, SslVerifyMode,
    },
    x509::X509,
};
use bytes::Bytes;
use lasthop_dataplane_api::{ClientValidationMode, TlsVersion};
use lasthop_tls_verify::{TlsError, Verifier};
use pki_types::UnixTime;
use tokio::net::TcpStream;

use super::{
    bridge::Bridge,
    certificates::{self, Prepared},
    context::{self, setup},
    errors, handshake,
};
use crate::{
    Alpn, ClientIdentity, DownstreamEntry, DownstreamInfo, DownstreamSettings, DownstreamTls, PolicyError,
    TlsStream,
    classify::Side,
    read_ahead::ReadAhead,
    sni::{self, CertificateNames},
    stream::Inner,
};

/// TLS of the listeners of a port.
pub(super) struct Downstream(Arc<Port>);

struct Port {
    settings: DownstreamSettings,
    entries: Vec<Entry>,
}

struct Entry {
    names: CertificateNames,
    certificates: Vec<Prepared>,
    validation: Option<Validation>,
}

struct Validation {
    verifier: Arc<Verifier>,
    mandatory: bool,
    /// The same as the process's own context, with the names of the CAs to tell the client.
    context: SslContext,
}

/// What a connection remembers for the callbacks.
struct Connection {
    /// Until the handshake is done.
    port: Option<Arc<Port>>,
    name: Option<String>,
    entry: Option<usize>,
    verdict: Option<TlsError>,
}

static CONNECTION: LazyLock<Result<Index<Ssl, Connection>, ErrorStack>> = LazyLock::new(Ssl::new_ex_index);

/// One context for all listeners of the process: it holds the keys of session tickets, which all workers share, which
/// outlive a changed certificate, and which BoringSSL replaces every two days. What differs between listeners is set
/// per connection, once the client's server name is known.
static CONTEXT: LazyLock<Result<SslContext, PolicyError>> = LazyLock::new(|| {
    let mut context = listener_context()?;
    context.set_select_certificate_callback(choose);
    context.set_servername_callback(refuse_unknown_name);
    Ok(context.build())
});

fn listener_context() -> Result<SslContextBuilder, PolicyError> {
    let mut context = context::new((TlsVersion::V1_2, TlsVersion::V1_3), &[], &[])?;
    context.set_session_id_context(b"lasthop").map_err(setup)?;
    // Tickets only: what BoringSSL remembers by session id would be resumed where tickets are off.
    context.set_session_cache_mode(SslSessionCacheMode::OFF);
    context.set_alpn_select_callback(choose_protocol);
    Ok(context)
}

fn connection(ssl: &mut SslRef) -> Option<&mut Connection> {
    ssl.ex_data_mut(*CONNECTION.as_ref().ok()?)
}

impl Downstream {
    pub(super) fn new(settings: DownstreamSettings) -> Result<Self, PolicyError> {
        CONTEXT.as_ref().map_err(Clone::clone)?;
        let entries = settings.entries.iter().map(Entry::new).collect::<Result<_, _>>()?;
        Ok(Self(Arc::new(Port { settings, entries })))
    }
}

impl Entry {
    fn new(entry: &DownstreamEntry) -> Result<Self, PolicyError> {
        let certificates = &entry.tls.certificates;
        if certificates.is_empty() {
            return Err(PolicyError::Setup("a listener has no certificate".to_owned()));
        }
        let validation = match &entry.tls.client_validation {
            None => None,
            Some(validation) => {
                let mut context = listener_context()?;
                for certificate in validation.anchors.certificates() {
                    let parsed = X509::from_der(certificate).map_err(setup)?;
                    context.add_client_ca(&parsed).map_err(setup)?;
                }
                let verifier = Verifier::new(validation.requirements())
                    .map_err(|e| PolicyError::Setup(e.to_string()))?;
                Some(Validation {
                    verifier: Arc::new(verifier),
                    mandatory: validation.mode == ClientValidationMode::AllowValidOnly,
                    context: context.build(),
                })
            }
        };
        Ok(Self {
            names: CertificateNames::of(certificates.iter().map(Arc::as_ref)),
            certificates: certificates
                .iter()
                .map(|certificate| Prepared::new(certificate).map_err(setup))
                .collect::<Result<_, _>>()?,
            validation,
        })
    }

    /// Sets up a connection to be what the entry says.
    fn apply(&self, ssl: &mut SslRef, name: Option<&str>, schemes: Option<&[u8]>) -> Result<(), ErrorStack> {
        if let Some(validation) = &self.validation {
            ssl.set_ssl_context(&validation.context)?;
            // A resumed session would carry a verdict on a client past a change of what is trusted, or from a
            // listener that asks for none.
            ssl.set_options(SslOptions::NO_TICKET);
            let mut mode = SslVerifyMode::PEER;
            if validation.mandatory {
                mode |= SslVerifyMode::FAIL_IF_NO_PEER_CERT;
            }
            let verifier = validation.mandatory.then(|| validation.verifier.clone());
            ssl.set_custom_verify_callback(mode, move |ssl| verify(verifier.as_deref(), ssl));
        }
        let ranked = self.names.ranked(name);
        let mut ranked = ranked.into_iter().filter_map(|place| self.certificates.get(place)).peekable();
        // A client that cannot verify the best one's kind of key may still verify another's.
        let best = ranked.peek().copied();
        let chosen = ranked.find(|certificate| certificate.suits(schemes)).or(best);
        chosen.map_or(Ok(()), |certificate| certificate.show(ssl))
    }

    fn identity(&self, ssl: &SslRef) -> ClientIdentity {
        let Some(validation) = &self.validation else { return ClientIdentity::None };
        let chain = certificates::shown(ssl).unwrap_or_default();
        let Some(leaf) = chain.first() else { return ClientIdentity::None };
        if validation.mandatory || validation.verifier.verify_client(&chain, UnixTime::now()).is_ok() {
            ClientIdentity::Verified(Bytes::copy_from_slice(leaf))
        } else {
            ClientIdentity::Unverified
        }
    }
}

/// Before anything else is decided, also whether a session is resumed: which entry it is.
fn choose(mut hello: ClientHello<'_>) -> Result<(), SelectCertError> {
    let schemes = hello.get_extension(ExtensionType::SIGNATURE_ALGORITHMS).map(<[u8]>::to_vec);
    let name = hello.servername(NameType::HOST_NAME).and_then(sni::normalise);
    let ssl = hello.ssl_mut();
    let connection = connection(ssl).ok_or(SelectCertError::ERROR)?;
    let port = connection.port.clone().ok_or(SelectCertError::ERROR)?;
    connection.entry = sni::choose_entry(&port.settings, name.as_deref());
    connection.name = name.clone();
    match connection.entry.and_then(|index| port.entries.get(index)) {
        Some(entry) => {
            entry.apply(ssl, name.as_deref(), schemes.as_deref()).map_err(|_| SelectCertError::ERROR)
        }
        // Refused a little later, where the alert can be chosen.
        None => Ok(()),
    }
}

fn refuse_unknown_name(ssl: &mut SslRef, alert: &mut SslAlert) -> Result<(), SniError> {
    match connection(ssl) {
        Some(Connection { entry: Some(_), .. }) => Ok(()),
        Some(connection) => {
            connection.verdict = Some(TlsError::UnrecognizedName(connection.name.clone()));
            *alert = SslAlert::UNRECOGNIZED_NAME;
            Err(SniError::ALERT_FATAL)
        }
        None => Err(SniError::ALERT_FATAL),
    }
}

fn choose_protocol<'a>(ssl: &mut SslRef, offered: &'a [u8]) -> Result<&'a [u8], AlpnError> {
    let ours = connection(ssl).and_then(|connection| Some(connection.port.as_ref()?.settings.alpn.clone()));
    let ours = ours.unwrap_or_default();
    if ours.is_empty() {
        return Err(AlpnError::NOACK);
    }
    let find = |wanted: &[u8]| {
        let mut rest = offered;
        std::iter::from_fn(|| {
            let (length, tail) = rest.split_first()?;
            let (id, tail) = tail.split_at_checked(usize::from(*length))?;
            rest = tail;
            Some(id)
        })
        .find(|id| *id == wanted)
    };
    ours.iter().find_map(|alpn| find(alpn.id())).ok_or(AlpnError::ALERT_FATAL)
}

/// Judges a client's certificate, if there must be a valid one.
fn verify(verifier: Option<&Verifier>, ssl: &mut SslRef) -> Result<(), SslVerifyError> {
    let Some(verifier) = verifier else { return Ok(()) };
    let verdict = certificates::shown(ssl)
        .map_err(|error| TlsError::BadCertificate(error.to_string()))
        .and_then(|chain| verifier.verify_client(&chain, UnixTime::now()));
    verdict.map(|_| ()).map_err(|error| {
        let alert = errors::alert(&error);
        if let Some(connection) = connection(ssl) {
            connection.verdict = Some(error);
        }
        SslVerifyError::Invalid(alert)
    })
}

impl Downstream {
    fn prepare(&self) -> Result<Ssl, String> {
        let context = CONTEXT.as_ref().map_err(ToString::to_string)?;
        let index = (*CONNECTION).clone().map_err(|error| error.to_string())?;
        let mut ssl = Ssl::new(context).map_err(|error| error.to_string())?;
        ssl.set_ex_data(
            index,
            Connection { port: Some(self.0.clone()), name: None, entry: None, verdict: None },
        );
        Ok(ssl)
    }
}

#[async_trait]
impl DownstreamTls for Downstream {
    async fn accept(&self, io: TcpStream, prefix: Bytes) -> Result<(TlsStream, DownstreamInfo), TlsError> {
        let ssl = self.prepare().map_err(TlsError::Local)?;
        let started = SslStreamBuilder::new(ssl, Bridge::new(ReadAhead::new(io, prefix))).setup_accept();
        let verdict = |ssl: &mut SslRef| connection(ssl)?.verdict.take();
        let mut stream =
            handshake::complete(started, Side::Downstream, verdict).await.map_err(|error| match error {
                TlsError::AlpnMismatch { selected, .. } => TlsError::AlpnMismatch {
                    offered: self.0.settings.alpn.iter().map(ToString::to_string).collect(),
                    selected,
                },
                error => error,
            })?;
        let chosen = connection(stream.ssl_mut()).and_then(|connection| {
            connection.port = None;
            Some((connection.name.take(), connection.entry?))
        });
        let Some((name, index)) = chosen else {
            return Err(TlsError::Local("no listener was chosen".to_owned()));
        };
        let ssl = stream.ssl();
        let info = DownstreamInfo {
            sni: name,
            entry: index,
            alpn: ssl.selected_alpn_protocol().and_then(Alpn::from_id),
            version: context::version_of(ssl.version2()),
            resumed: ssl.session_reused(),
            client: self.0.entries.get(index).map_or(ClientIdentity::None, |entry| entry.identity(ssl)),
        };
        Ok((TlsStream(Inner::Boring(stream)), info))
    }
}
