//! Who the children run as: ourselves, or, where we are root, a user without rights (PostgreSQL and PgBouncer refuse root).

use std::path::Path;

use crate::error::{Error, Result};

#[derive(Debug, Clone)]
pub(crate) enum Account {
    Ourselves,
    Other { name: String, uid: u32, gid: u32 },
}

impl Account {
    pub(crate) fn unprivileged() -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Ourselves);
        }
        let passwd = std::fs::read_to_string("/etc/passwd").map_err(Error::file("/etc/passwd"))?;
        ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| Self::parse(&passwd, name))
            .ok_or(Error::NoUnprivilegedUser)
    }

    fn parse(passwd: &str, name: &str) -> Option<Self> {
        passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next() == Some(name)).then_some(())?;
            let uid = fields.nth(1)?.parse().ok()?;
            let gid = fields.next()?.parse().ok()?;
            Some(Self::Other {
                name: name.to_owned(),
                uid,
                gid,
            })
        })
    }

    /// Makes `path` theirs.
    pub(crate) fn own(&self, path: &Path) -> Result<()> {
        match self {
            Self::Ourselves => Ok(()),
            Self::Other { uid, gid, .. } => {
                std::os::unix::fs::chown(path, Some(*uid), Some(*gid)).map_err(Error::file(path))
            }
        }
    }

    /// The arguments by which `setpriv` becomes this user.
    pub(crate) fn setpriv_arguments(&self) -> Vec<String> {
        match self {
            Self::Ourselves => Vec::new(),
            Self::Other { uid, gid, .. } => vec![
                format!("--reuid={uid}"),
                format!("--regid={gid}"),
                "--clear-groups".to_owned(),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_ids_of_a_user_by_its_whole_name() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nnobody2:x:7:7::/:/bin/false\nnobody:x:65534:65533::/:/bin/false\n";
        let Some(Account::Other { name, uid, gid }) = Account::parse(passwd, "nobody") else {
            panic!("not found")
        };
        assert_eq!((name.as_str(), uid, gid), ("nobody", 65534, 65533));
        assert!(Account::parse(passwd, "postgres").is_none());
    }
}
