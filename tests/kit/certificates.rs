//! Certificates for TLS on loopback, right ones and wrong ones, made anew each time.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};

/// What a server's certificate is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// For `localhost`, 127.0.0.1 and ::1, by our CA.
    Good,
    /// For `localhost` only.
    NameOnly,
    /// For another host.
    WrongName,
    /// Its time is over.
    Expired,
    /// By another CA.
    UnknownCa,
}

/// A certificate and its key, as PEM files.
#[derive(Clone, Debug)]
pub struct Pair {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// Two CAs that know nothing of each other. Clients trust the first.
#[derive(Debug)]
pub struct Certificates {
    folder: PathBuf,
    ca: Authority,
    other: Authority,
}

#[derive(Debug)]
struct Authority {
    file: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Certificates {
    /// Makes the CAs; all files go into `folder`.
    pub fn new(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            ca: Authority::new(folder, "ca")?,
            other: Authority::new(folder, "other-ca")?,
        })
    }

    /// The CA that clients trust, a PEM file.
    pub fn ca(&self) -> &Path {
        &self.ca.file
    }

    /// The CA that clients do not know, a PEM file.
    pub fn other_ca(&self) -> &Path {
        &self.other.file
    }

    /// A server's certificate.
    pub fn server(&self, kind: Certificate) -> io::Result<Pair> {
        let (names, authority): (&[&str], _) = match kind {
            Certificate::Good | Certificate::Expired => (&["localhost", "127.0.0.1", "::1"], &self.ca),
            Certificate::UnknownCa => (&["localhost", "127.0.0.1", "::1"], &self.other),
            Certificate::NameOnly => (&["localhost"], &self.ca),
            Certificate::WrongName => (&["elsewhere.example"], &self.ca),
        };
        let mut params = params(names, "server")?;
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        if kind == Certificate::Expired {
            params.not_after = date_time_ymd(2020, 1, 1);
        }
        self.sign(params, authority, "server")
    }

    /// A client's certificate, by our CA or by one that the server does not know.
    pub fn client(&self, is_known: bool) -> io::Result<Pair> {
        let (authority, name) = if is_known { (&self.ca, "client") } else { (&self.other, "other-client") };
        let mut params = params(&[], name)?;
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        self.sign(params, authority, name)
    }

    fn sign(&self, params: CertificateParams, authority: &Authority, name: &str) -> io::Result<Pair> {
        let pair = Pair {
            certificate: self.folder.join(format!("{name}.pem")),
            key: self.folder.join(format!("{name}-key.pem")),
        };
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = params.signed_by(&key, &authority.issuer).map_err(io::Error::other)?;
        fs::write(&pair.certificate, certificate.pem())?;
        fs::write(&pair.key, key.serialize_pem())?;
        Ok(pair)
    }
}

impl Authority {
    fn new(folder: &Path, name: &str) -> io::Result<Self> {
        let mut params = params(&[], name)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages.extend([KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign]);
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = params.self_signed(&key).map_err(io::Error::other)?;
        let file = folder.join(format!("{name}.pem"));
        fs::write(&file, certificate.pem())?;
        Ok(Self { file, issuer: Issuer::new(params, key) })
    }
}

fn params(names: &[&str], name: &str) -> io::Result<CertificateParams> {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).map_err(io::Error::other)?;
    params.distinguished_name.push(DnType::CommonName, format!("natskv tests' {name}"));
    params.key_usages.push(KeyUsagePurpose::DigitalSignature);
    params.use_authority_key_identifier_extension = true;
    params.not_before = date_time_ymd(2019, 1, 1);
    params.not_after = date_time_ymd(2100, 1, 1);
    Ok(params)
}
