//! Who may do what at the control socket, as the daemon's config file says it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::position::{At, Fault};

/// Who may do what. The first rule that fits a client says it. Whom no rule fits: root and the user that the daemon runs as have
/// the role admin, members of the socket's group read, and nobody else has a role.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Access {
    /// The group of the socket's file, whose mode is 0660. Default: that of the daemon.
    pub group: Option<Account>,
    pub rules: Vec<At<Rule>>,
}

/// What one user, one group's members or the holder of a certificate may do: exactly one of the three is given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    #[serde(default)]
    pub user: Option<Account>,
    /// The client's own group, or one of which `/etc/group` says that its user is a member. It is read when the daemon starts.
    #[serde(default)]
    pub group: Option<Account>,
    /// The common name (CN) of a certificate's subject, or a URI among its alternative names.
    #[serde(default)]
    pub certificate: Option<String>,
    pub role: Role,
    /// Whose objects a client of role write may put, delete and lease. Default: everybody's.
    #[serde(default)]
    pub owners: Option<Vec<String>>,
    /// What a client of role write may do besides; one of role read may be granted `capture` alone.
    #[serde(default)]
    pub also: Vec<Operation>,
}

/// A user or group of the host, by name or number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Account {
    Number(u32),
    Name(String),
}

/// What a client may do; each role may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Ask for what there is, counters and dropped packets' headers included.
    Read,
    /// Change objects.
    Write,
    /// All there is.
    Admin,
}

/// What only an admin may do unless a rule says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Put the settings, which are everybody's.
    Settings,
    /// Add and delete ports: their devices are opened with the daemon's privileges.
    Ports,
    /// Take objects over from other owners.
    TakeOver,
    /// Capture packets: what tenants send and receive, with all its bytes.
    Capture,
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Account::Number(number) => number.fmt(f),
            Account::Name(name) => name.fmt(f),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Read => "read",
            Role::Write => "write",
            Role::Admin => "admin",
        })
    }
}

impl Access {
    pub(super) fn check(&self) -> Result<(), Fault> {
        for (at, rule) in self.rules.iter().enumerate() {
            let fault = |field: &str, reason: &str| {
                Err(Fault::new(rule.position, format!("access.rules[{at}]{field}"), reason))
            };
            let given = [rule.user.is_some(), rule.group.is_some(), rule.certificate.is_some()];
            if given.iter().filter(|given| **given).count() != 1 {
                return fault("", "names not exactly one of user, group and certificate");
            }
            if rule.certificate.as_ref().is_some_and(String::is_empty) {
                return fault(".certificate", "is empty");
            }
            if rule.role != Role::Write && rule.owners.is_some() {
                return fault(".owners", "is for the role write: who reads writes as nobody, an admin as everybody");
            }
            if rule.role == Role::Admin && !rule.also.is_empty() {
                return fault(".also", "is for the roles write and read: an admin may do all");
            }
            if rule.role == Role::Read && rule.also.iter().any(|operation| *operation != Operation::Capture) {
                return fault(".also", "is for the role write, but for capture");
            }
            if let Some(owner) = rule.owners.iter().flatten().find(|owner| super::check_name(owner).is_err()) {
                return fault(".owners", &format!("{owner:?} is no owner's name"));
            }
        }
        Ok(())
    }
}
