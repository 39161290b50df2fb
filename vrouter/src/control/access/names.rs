//! Users and groups of the host, as `/etc/passwd` and `/etc/group` have them.

use std::collections::HashMap;
use std::fs;

use crate::api::config::Account;

/// Numbers of names, and who is in which group.
#[derive(Clone, Debug, Default)]
pub struct Names {
    users: HashMap<String, u32>,
    groups: HashMap<String, u32>,
    names: HashMap<u32, String>,
    /// User and group.
    members: std::collections::HashSet<(u32, u32)>,
}

/// A name that the host does not know.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("access: there is no {kind} {name} on this host (/etc/{file}); a number is taken as it is")]
pub struct UnknownName {
    kind: &'static str,
    file: &'static str,
    name: String,
}

/// The bytes of the two files. What cannot be read is empty.
#[derive(Clone, Debug, Default)]
pub struct Users {
    pub passwd: Vec<u8>,
    pub group: Vec<u8>,
}

impl Users {
    /// This host's.
    pub fn of_host() -> Users {
        Users::default().or_newer()
    }

    /// This host's, as far as they can be read, else these.
    pub fn or_newer(self) -> Users {
        Users {
            passwd: fs::read("/etc/passwd").unwrap_or(self.passwd),
            group: fs::read("/etc/group").unwrap_or(self.group),
        }
    }

    /// What they say.
    pub fn names(&self) -> Names {
        Names::parse(&String::from_utf8_lossy(&self.passwd), &String::from_utf8_lossy(&self.group))
    }
}

impl Names {
    /// This host's; what cannot be read has no names.
    pub fn of_host() -> Names {
        Users::of_host().names()
    }

    /// From the text of the two files (passwd(5), group(5)). A line that is malformed is passed over.
    pub fn parse(passwd: &str, group: &str) -> Names {
        let mut names = Names::default();
        for line in passwd.lines() {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, uid, gid, ..] = fields[..] else { continue };
            let (Ok(uid), Ok(gid)) = (uid.parse(), gid.parse()) else { continue };
            names.users.entry(name.to_owned()).or_insert(uid);
            names.names.entry(uid).or_insert_with(|| name.to_owned());
            names.members.insert((uid, gid));
        }
        for line in group.lines() {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, gid, members] = fields[..] else { continue };
            let Ok(gid) = gid.parse() else { continue };
            names.groups.entry(name.to_owned()).or_insert(gid);
            let members = members.split(',').filter_map(|member| names.users.get(member.trim()));
            names.members.extend(members.map(|uid| (*uid, gid)));
        }
        names
    }

    pub fn user(&self, user: &Account) -> Result<u32, UnknownName> {
        look_up(&self.users, user, "user", "passwd")
    }

    pub fn group(&self, group: &Account) -> Result<u32, UnknownName> {
        look_up(&self.groups, group, "group", "group")
    }

    pub fn of_user(&self, uid: u32) -> Option<&str> {
        self.names.get(&uid).map(String::as_str)
    }

    pub fn is_member(&self, uid: u32, gid: u32) -> bool {
        self.members.contains(&(uid, gid))
    }
}

fn look_up(
    names: &HashMap<String, u32>,
    account: &Account,
    kind: &'static str,
    file: &'static str,
) -> Result<u32, UnknownName> {
    match account {
        Account::Number(number) => Ok(*number),
        Account::Name(name) => names.get(name).copied().ok_or_else(|| UnknownName { kind, file, name: name.clone() }),
    }
}
