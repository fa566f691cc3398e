//! The address of a host's admin listener: `http://host:port`, and a path before it if something stands in front of the host.

use std::fmt;

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminUrl {
    authority: Authority,
    /// Without the slash at its end.
    path: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAdminUrl {
    #[error("not a URL; write for example http://127.0.0.1:9400")]
    NotAUrl,
    #[error(
        "only http:// is supported; to a host elsewhere, go through a tunnel (`ssh -L 9400:127.0.0.1:9400 HOST`), which keeps the token \
         from others"
    )]
    NotHttp,
    #[error("a token is given in FLOWVIZ_ADMIN_TOKEN or by --admin-token-file, never in the URL")]
    Credentials,
    #[error("a query has no meaning here")]
    Query,
}

// === impl AdminUrl ===

impl AdminUrl {
    pub fn parse(text: &str) -> Result<Self, BadAdminUrl> {
        let uri: Uri = text.parse().map_err(|_| BadAdminUrl::NotAUrl)?;
        match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => {}
            Some(_) => return Err(BadAdminUrl::NotHttp),
            None => return Err(BadAdminUrl::NotAUrl),
        }
        let authority = uri.authority().ok_or(BadAdminUrl::NotAUrl)?;
        if authority.as_str().contains('@') {
            return Err(BadAdminUrl::Credentials);
        }
        if uri.query().is_some() {
            return Err(BadAdminUrl::Query);
        }
        Ok(Self {
            authority: authority.clone(),
            path: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    /// The URI of a path of the API, which starts with a slash.
    pub fn join(&self, path: &str) -> Result<Uri, http::Error> {
        Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(self.authority.clone())
            .path_and_query(PathAndQuery::try_from(format!("{}{path}", self.path))?)
            .build()
    }
}

impl fmt::Display for AdminUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::{AdminUrl, BadAdminUrl};

    #[test]
    fn a_path_follows_the_address() {
        for (url, expected) in [
            ("http://127.0.0.1:9400", "http://127.0.0.1:9400/functions"),
            ("http://127.0.0.1:9400/", "http://127.0.0.1:9400/functions"),
            ("http://[::1]:9400", "http://[::1]:9400/functions"),
            ("http://plant/flowviz/", "http://plant/flowviz/functions"),
        ] {
            let url = AdminUrl::parse(url).unwrap();
            assert_eq!(url.join("/functions").unwrap(), expected);
        }
    }

    #[test]
    fn what_is_no_admin_address_is_refused() {
        for (url, expected) in [
            ("https://plant:9400", BadAdminUrl::NotHttp),
            ("localhost:9400", BadAdminUrl::NotAUrl),
            ("/var/run/admin.sock", BadAdminUrl::NotAUrl),
            ("http://", BadAdminUrl::NotAUrl),
            ("", BadAdminUrl::NotAUrl),
            ("http://admin:secret@plant:9400", BadAdminUrl::Credentials),
            ("http://plant:9400/?token=secret", BadAdminUrl::Query),
        ] {
            assert_eq!(AdminUrl::parse(url), Err(expected), "{url}");
        }
    }
}
