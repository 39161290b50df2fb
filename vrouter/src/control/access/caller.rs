//! One client: who it is, and what it may do.

use std::fmt;
use std::sync::Arc;

use super::table::{GRANTED, least, least_of};
use super::{Account, Grant, Peer};
use crate::api::config::{Operation, Role};
use crate::api::{Item, v1};

/// A client, known for as long as its connection is open.
#[derive(Debug)]
pub struct Caller {
    pub peer: Peer,
    /// The user's name, if the host has one.
    pub user: Option<String>,
    grant: Grant,
    /// With all other connections of the same user, or holder of the certificate.
    pub account: Arc<Account>,
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.peer, &self.user) {
            (Peer::Local { uid, .. }, Some(name)) => write!(f, "user {name} (uid {uid})"),
            (Peer::Local { uid, .. }, None) => write!(f, "uid {uid}"),
            (Peer::Certificate { names, address }, _) => {
                let name = names.first().map_or("no name", String::as_str);
                write!(f, "certificate {name} at {address}")
            }
        }
    }
}

/// Answers are for people: who may not do what, and which role would do.
impl Caller {
    pub(super) fn new(grant: Grant, peer: Peer, user: Option<String>, account: Arc<Account>) -> Caller {
        Caller { peer, user, grant, account }
    }

    pub fn role(&self) -> Option<Role> {
        self.grant.role
    }

    #[cfg(test)]
    pub fn admin() -> Arc<Caller> {
        let grant = Grant { role: Some(Role::Admin), ..Grant::default() };
        let account = Arc::new(Account::new(super::super::server::Bounds::default()));
        Arc::new(Caller::new(grant, Peer::Local { uid: 0, gid: 0, pid: None }, None, account))
    }

    /// That it may make this call.
    pub fn may_call(&self, rpc: &str) -> Result<(), String> {
        let least = least(rpc);
        let granted = GRANTED.iter().any(|(it, operation)| *it == rpc && self.grant.also.contains(operation));
        if self.has(least) || granted { Ok(()) } else { Err(self.too_little(rpc, least)) }
    }

    /// That it may begin this batch, whose owner is filled in. A replacement of all kinds leaves ports to who may delete them.
    pub fn may_begin(&self, begin: &mut v1::Begin) -> Result<(), String> {
        self.may_act_for("Apply", &begin.owner)?;
        if begin.take_over {
            self.may("Apply", Operation::TakeOver)?;
        }
        let Err(ports) = self.may("Apply", Operation::Ports) else { return Ok(()) };
        if begin.kinds.iter().any(|kind| [v1::Kind::Port as i32, v1::Kind::All as i32].contains(kind)) {
            return Err(ports);
        }
        if begin.replace && begin.kinds.is_empty() {
            let kinds = (v1::Kind::Settings as i32..64).filter(|kind| v1::Kind::try_from(*kind).is_ok());
            begin.kinds = kinds.filter(|kind| *kind != v1::Kind::Port as i32).collect();
        }
        Ok(())
    }

    /// That it may say this in a batch of its own.
    pub fn may_change(&self, changes: &v1::Changes) -> Result<(), String> {
        if self.has(Role::Admin) {
            return Ok(());
        }
        changes.iter().try_for_each(|item| match item {
            Item::Route(route) if route.owner().is_empty() => Ok(()),
            Item::Route(route) => self.may_act_for("Apply", route.owner()),
            Item::Other(change) => self.may_say(&change),
        })
    }

    fn may_say(&self, change: &v1::Change) -> Result<(), String> {
        use v1::change::Op;
        use v1::object::Kind;
        use v1::object_key::Kind as Key;

        match &change.op {
            Some(Op::Create(object) | Op::Put(object)) => {
                if !object.owner.is_empty() {
                    self.may_act_for("Apply", &object.owner)?;
                }
                match &object.kind {
                    Some(Kind::Settings(_)) => self.may("Apply", Operation::Settings),
                    Some(Kind::Port(_)) => self.may("Apply", Operation::Ports),
                    Some(Kind::Route(route)) => self.may_name(route.key.as_ref()),
                    _ => Ok(()),
                }
            }
            Some(Op::Delete(key)) => match &key.kind {
                Some(Key::Port(_)) => self.may("Apply", Operation::Ports),
                Some(Key::Route(key)) => self.may_name(Some(key)),
                _ => Ok(()),
            },
            None => Ok(()),
        }
    }

    /// That it may write in this owner's name.
    pub fn may_act_for(&self, rpc: &str, owner: &str) -> Result<(), String> {
        match &self.grant.owners {
            Some(owners) if !owners.iter().any(|it| it == owner) => {
                let role = Role::Write;
                Err(format!("{rpc}: {self} has the role {role} for the owners {}, not for {owner}", owners.join(", ")))
            }
            _ => Ok(()),
        }
    }

    fn may_name(&self, key: Option<&v1::RouteKey>) -> Result<(), String> {
        match key {
            Some(key) if !key.owner.is_empty() => self.may_act_for("Apply", &key.owner),
            _ => Ok(()),
        }
    }

    fn may(&self, rpc: &str, operation: Operation) -> Result<(), String> {
        let (least, name) = least_of(operation);
        if self.has(least) || self.grant.also.contains(&operation) {
            return Ok(());
        }
        Err(self.too_little(&format!("{rpc} with {name}"), least))
    }

    fn has(&self, least: Role) -> bool {
        self.grant.role.is_some_and(|role| role >= least)
    }

    fn too_little(&self, what: &str, least: Role) -> String {
        match self.grant.role {
            Some(role) => format!("{what} needs the role {least}: {self} has the role {role}"),
            None => format!("{what} needs the role {least}: {self} has none"),
        }
    }
}
