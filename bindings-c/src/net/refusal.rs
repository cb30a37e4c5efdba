//! Why TLS failed, in words that say what did not match and what would help.

use natskv_core::to_rfc3339;
use rustls::{
    AlertDescription, CertificateError, Error, InvalidMessage,
    pki_types::{ServerName, UnixTime},
};

use super::trust::Trust;

/// The text behind "TLS: " in the error.
pub(crate) fn words(error: &Error, trust: &Trust) -> String {
    match error {
        Error::InvalidCertificate(why) => format!("the server's certificate {}", of_certificate(why, trust)),
        Error::AlertReceived(alert) => of_alert(*alert, trust),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "the server answers without TLS; with tls_first it must be set to handshake_first".into()
        }
        other => other.to_string(),
    }
}

/// What is wrong with a certificate, as the end of a sentence that names it.
pub(crate) fn of_certificate(error: &CertificateError, trust: &Trust) -> String {
    match error {
        CertificateError::NotValidForNameContext { expected, presented } => not_for(expected, presented),
        CertificateError::ExpiredContext { not_after, .. } => format!("expired at {}", date(*not_after)),
        CertificateError::NotValidYetContext { not_before, .. } => format!("is not valid before {}", date(*not_before)),
        CertificateError::UnknownIssuer => match &trust.authorities {
            Some(pem) => format!("is not signed by an authority of {pem}"),
            None => "is not signed by an authority that this system knows; for one of your own set tls_ca_file".into(),
        },
        CertificateError::InvalidPurposeContext { .. } => "is not one for servers (its extended key usage)".into(),
        CertificateError::Other(other) => match other.to_string().as_str() {
            "CaUsedAsEndEntity" => "is an authority's (CA:TRUE), not one for servers".into(),
            "UnsupportedCertVersion" => "is of X.509 version 1; it must be of version 3, with a subjectAltName".into(),
            other => format!("is refused: {other}"),
        },
        other => format!("is refused: {other}"),
    }
}

fn not_for(expected: &ServerName<'_>, presented: &[String]) -> String {
    // rustls hands the names out as `DnsName("a.b")` and `IpAddress(1.2.3.4)`.
    let bare = |name: &String| {
        let inner = name.split_once('(').map_or(name.as_str(), |(_, inner)| inner.trim_end_matches(')'));
        inner.trim_matches('"').to_owned()
    };
    let names = presented.iter().map(bare).collect::<Vec<_>>().join(", ");
    let expected = expected.to_str();
    if names.is_empty() {
        return format!("is not for {expected}: it has no subjectAltName");
    }
    format!("is not for {expected} but for {names}")
}

fn of_alert(alert: AlertDescription, trust: &Trust) -> String {
    let wants_certificate = matches!(
        alert,
        AlertDescription::CertificateRequired | AlertDescription::BadCertificate | AlertDescription::NoCertificate
    );
    match &trust.identity {
        None if wants_certificate => {
            "the server asks for a client certificate: set tls_cert_file and tls_key_file".into()
        }
        Some((certificate, _)) => {
            format!("the server refuses, maybe for the client certificate {certificate}: {alert:?}")
        }
        None => format!("the server refuses: {alert:?}"),
    }
}

fn date(time: UnixTime) -> String {
    to_rfc3339(i64::try_from(time.as_secs()).unwrap_or(i64::MAX).saturating_mul(1_000_000_000))
}
