//! The options about certificates become a [`Trust`].

use std::ffi::c_char;

use natskv_core::Error;
use zeroize::Zeroizing;

use crate::{
    ffi::{invalid, optional_string, optional_text},
    net::trust::{Pem, Source, Trust},
    options::natskv_options,
};

impl natskv_options {
    /// Whoever names an authority or a certificate does not mean to go on in the clear.
    pub(crate) fn speaks_of_tls(&self) -> bool {
        let texts = [self.tls_hostname, self.tls_ca_file, self.tls_ca_pem, self.tls_cert_file, self.tls_cert_pem];
        texts.iter().any(|text| !text.is_null())
    }

    pub(crate) fn trust(&self) -> Result<Trust, Error> {
        let authorities = pem(("tls_ca_file", self.tls_ca_file), ("tls_ca_pem", self.tls_ca_pem))?;
        let certificate = pem(("tls_cert_file", self.tls_cert_file), ("tls_cert_pem", self.tls_cert_pem))?;
        let key = pem(("tls_key_file", self.tls_key_file), ("tls_key_pem", self.tls_key_pem))?;
        let accepts_any = self.tls_danger_accept_any_certificate.is_set();
        if let (true, Some(authorities)) = (accepts_any, &authorities) {
            return Err(invalid(format!(
                "tls_danger_accept_any_certificate makes {authorities} meaningless: give one"
            )));
        }
        let identity = match (certificate, key) {
            (None, Some(key)) => return Err(invalid(format!("{key} without the certificate that it belongs to"))),
            (certificate, key) => certificate.map(|certificate| (certificate, key)),
        };
        let hostname = optional_string("tls_hostname", self.tls_hostname)?;
        let trust = Trust { hostname, authorities, identity, accepts_any, ..Trust::default() };
        trust.check()?;
        Ok(trust)
    }
}

/// PEM by file or by text, not both.
fn pem(file: (&'static str, *const c_char), text: (&'static str, *const c_char)) -> Result<Option<Pem>, Error> {
    match (optional_text(file.0, file.1)?, optional_text(text.0, text.1)?) {
        (None, None) => Ok(None),
        (Some(path), None) => Ok(Some(Pem { option: file.0, source: Source::File(path.into()) })),
        (None, Some(pem)) => {
            Ok(Some(Pem { option: text.0, source: Source::Text(Zeroizing::new(pem.as_bytes().to_vec())) }))
        }
        (Some(_), Some(_)) => Err(invalid(format!("both {} and {} are given: one is enough", file.0, text.0))),
    }
}
