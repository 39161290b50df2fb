//! Who may do what: each client has a role by who it is, each call and operation the least role that it needs.

mod account;
mod audit;
mod body;
mod caller;
mod certificate;
mod farewell;
mod guard;
mod names;
mod table;
mod terms;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;

pub(super) use account::{Account, Accounts, Of, Place};
pub(super) use audit::Changes;
pub use audit::{Audit, Writer};
pub(super) use caller::Caller;
pub(super) use farewell::farewell;
pub(super) use guard::Guard;
pub use names::{Names, UnknownName, Users};
pub use table::{OPERATIONS, RPCS};
pub use terms::Terms;
pub(super) use tls::Door;
pub use tls::{Tls, TlsError};

use crate::api::config::{self, Operation, Role};

/// The rules of a daemon, by numbers.
#[derive(Clone, Debug)]
pub struct Access {
    rules: Vec<Rule>,
    /// Whose daemon it is.
    own: u32,
    /// Whose members read, if nothing else is said of them.
    group: u32,
    names: Names,
}

#[derive(Clone, Debug)]
struct Rule {
    whose: Whose,
    grant: Grant,
}

#[derive(Clone, Debug)]
enum Whose {
    User(u32),
    Group(u32),
    Certificate(String),
}

/// What a client may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// Absent: nothing.
    pub role: Option<Role>,
    /// As whom it may write; absent: as everybody.
    pub owners: Option<Vec<String>>,
    /// What it may do beyond its role.
    pub also: Vec<Operation>,
}

/// Who is at the other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A process of this host, as the kernel says.
    Local { uid: u32, gid: u32, pid: Option<i32> },
    /// The holder of a certificate that was verified: its subject's common name, then its URIs.
    Certificate { names: Vec<String>, address: SocketAddr },
}

impl Access {
    /// The rules of a configuration; its names are looked up in `names`.
    ///
    /// # Errors
    /// A user or group that is not there.
    pub fn new(config: &config::Access, names: Names) -> Result<Access, UnknownName> {
        let own = rustix::process::geteuid().as_raw();
        let group = config.group.as_ref().map(|group| names.group(group)).transpose()?;
        let group = group.unwrap_or_else(|| rustix::process::getegid().as_raw());
        let rule = |rule: &config::Rule| {
            let whose = match (&rule.user, &rule.group, &rule.certificate) {
                (Some(user), ..) => Whose::User(names.user(user)?),
                (_, Some(group), _) => Whose::Group(names.group(group)?),
                (.., name) => Whose::Certificate(name.clone().unwrap_or_default()),
            };
            let (owners, also) = (rule.owners.clone(), rule.also.clone());
            Ok(Rule { whose, grant: Grant { role: Some(rule.role), owners, also } })
        };
        let rules = config.rules.iter().map(|it| rule(it)).collect::<Result<_, UnknownName>>()?;
        Ok(Access { rules, own, group, names })
    }

    /// Whose members may connect.
    pub fn group(&self) -> u32 {
        self.group
    }

    /// What this client may do.
    pub fn grant(&self, peer: &Peer) -> Grant {
        if let Some(rule) = self.rules.iter().find(|rule| self.fits(&rule.whose, peer)) {
            return rule.grant.clone();
        }
        let role = match peer {
            Peer::Local { uid, .. } if *uid == 0 || *uid == self.own => Some(Role::Admin),
            Peer::Local { .. } if self.fits(&Whose::Group(self.group), peer) => Some(Role::Read),
            _ => None,
        };
        Grant { role, ..Grant::default() }
    }

    /// A client, with what it may do.
    pub(super) fn caller(&self, peer: Peer, account: Arc<Account>) -> Caller {
        let user = match &peer {
            Peer::Local { uid, .. } => self.names.of_user(*uid).map(str::to_owned),
            Peer::Certificate { .. } => None,
        };
        Caller::new(self.grant(&peer), peer, user, account)
    }

    fn fits(&self, whose: &Whose, peer: &Peer) -> bool {
        match (whose, peer) {
            (Whose::User(user), Peer::Local { uid, .. }) => user == uid,
            (Whose::Group(group), Peer::Local { uid, gid, .. }) => group == gid || self.names.is_member(*uid, *group),
            (Whose::Certificate(name), Peer::Certificate { names, .. }) => names.contains(name),
            _ => false,
        }
    }
}

impl Default for Access {
    /// Root and the user that the process runs as may do all, members of its group read.
    fn default() -> Access {
        let (own, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        Access { rules: Vec::new(), own, group, names: Names::default() }
    }
}

#[cfg(test)]
mod tests;
