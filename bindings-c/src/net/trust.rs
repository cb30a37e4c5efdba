//! Whom to trust and who to be: what the options say about certificates, as rustls wants it.
//!
//! Files are read anew for each connection, so that a long-lived client takes up certificates that were renewed meanwhile.
//! The authorities of the system are read once, and only when a connection needs them.

use std::{
    fmt, fs,
    sync::{Arc, OnceLock},
};

use natskv_core::Error;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{
        CertificateDer, PrivateKeyDer, ServerName, UnixTime,
        pem::{self, PemObject},
    },
};
use zeroize::Zeroizing;

use super::refusal::of_certificate;
use crate::ffi::invalid;

/// The TLS side of the options. By default the system's authorities are trusted and nothing is shown of us.
#[derive(Debug, Default)]
pub(crate) struct Trust {
    /// The name that certificates must carry; None: what core says.
    pub(crate) hostname: Option<String>,
    /// None: those of the system.
    pub(crate) authorities: Option<Pem>,
    /// Our own certificate and its key; a key of None stands beside the certificate.
    pub(crate) identity: Option<(Pem, Option<Pem>)>,
    pub(crate) accepts_any: bool,
    pub(crate) system: OnceLock<Arc<RootCertStore>>,
}

/// PEM text, or the file that has it.
pub(crate) struct Pem {
    /// The option that it was given as, for messages.
    pub(crate) option: &'static str,
    pub(crate) source: Source,
}

pub(crate) enum Source {
    File(String),
    Text(Zeroizing<Vec<u8>>),
}

impl Trust {
    /// What can be said before any connection: files that cannot be read, PEM that is none, a key that does not fit.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.authorities.is_some() || self.identity.is_some() {
            self.config(|| Ok(Arc::new(RootCertStore::empty()))).map_err(invalid)?;
        }
        Ok(())
    }

    /// TLS for one connection, to a server with this name.
    pub(crate) fn session(&self, name: &str) -> Result<ClientConnection, String> {
        let name = self.hostname.as_deref().unwrap_or(name);
        let server = ServerName::try_from(name)
            .map_err(|_| format!("{name:?} is neither a host name nor an address that a certificate can carry"))?;
        let config = self.config(|| self.of_system())?;
        ClientConnection::new(Arc::new(config), server.to_owned()).map_err(|e| e.to_string())
    }

    fn config(&self, system: impl FnOnce() -> Result<Arc<RootCertStore>, String>) -> Result<ClientConfig, String> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?;
        let builder = if self.accepts_any {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AcceptAny(provider)))
        } else {
            builder.with_root_certificates(match &self.authorities {
                Some(pem) => Arc::new(pem.authorities()?),
                None => system()?,
            })
        };
        let mut config = match &self.identity {
            Some((certificate, key)) => {
                let key = key.as_ref().unwrap_or(certificate);
                let chain = certificate.certificates()?;
                builder.with_client_auth_cert(chain, key.private_key()?).map_err(|e| match e {
                    rustls::Error::InconsistentKeys(_) => format!("{certificate} and {key} do not belong together"),
                    rustls::Error::InvalidCertificate(why) => format!("{certificate} {}", of_certificate(&why, self)),
                    other => format!("{certificate} and {key}: {other}"),
                })?
            }
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::disabled(); // each connection is verified anew
        Ok(config)
    }

    fn of_system(&self) -> Result<Arc<RootCertStore>, String> {
        if let Some(found) = self.system.get() {
            return Ok(Arc::clone(found));
        }
        let loaded = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(loaded.certs);
        if roots.is_empty() {
            let why = loaded.errors.first().map_or_else(|| "none found".into(), ToString::to_string);
            return Err(format!("this system has no certificate authorities ({why}); set tls_ca_file"));
        }
        Ok(Arc::clone(self.system.get_or_init(|| Arc::new(roots))))
    }
}

impl Pem {
    fn read(&self) -> Result<Zeroizing<Vec<u8>>, String> {
        match &self.source {
            Source::File(path) => fs::read(path).map(Zeroizing::new).map_err(|e| format!("{self}: {e}")),
            Source::Text(text) => Ok(text.clone()),
        }
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, String> {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.read()?).collect();
        match found {
            Ok(found) if found.is_empty() => Err(format!("{self}: no certificate in it; it must be PEM")),
            Ok(found) => Ok(found),
            Err(e) => Err(format!("{self}: broken PEM: {e}")),
        }
    }

    fn authorities(&self) -> Result<RootCertStore, String> {
        let mut roots = RootCertStore::empty();
        for (at, certificate) in self.certificates()?.into_iter().enumerate() {
            roots.add(certificate).map_err(|e| format!("{self}: certificate {} is broken: {e}", at + 1))?;
        }
        Ok(roots)
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>, String> {
        let text = self.read()?;
        PrivateKeyDer::from_pem_slice(&text).map_err(|e| match e {
            pem::Error::NoItemsFound if contains(&text, b"ENCRYPTED PRIVATE KEY") => {
                format!("{self}: the private key is encrypted; it must be in the clear")
            }
            pem::Error::NoItemsFound => {
                format!("{self}: no private key in it; it must be PEM (PKCS#8, PKCS#1 or SEC1)")
            }
            _ => format!("{self}: broken PEM"), // its own words could quote the key
        })
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Where it comes from; never what it holds.
impl fmt::Display for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::File(path) => write!(f, "{} {path:?}", self.option),
            Source::Text(_) => f.write_str(self.option),
        }
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `tls_danger_accept_any_certificate`: the connection is encrypted, with whomever.
#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
