//! The least role of each call, and of what a call may do beyond that.

use crate::api::config::{Operation, Role};

/// By the name of the call. A call that is not here needs the highest.
pub const RPCS: [(&str, Role); 19] = [
    ("Apply", Role::Write),
    ("KeepAlive", Role::Write),
    ("Confirm", Role::Write),
    ("List", Role::Read),
    ("Watch", Role::Read),
    ("Sync", Role::Read),
    ("Flows", Role::Read),
    ("Hits", Role::Read),
    ("Stats", Role::Read),
    ("Victims", Role::Read),
    ("Capture", Role::Admin),
    ("Explain", Role::Read),
    ("Owners", Role::Read),
    ("Revisions", Role::Read),
    ("Status", Role::Read),
    ("ShadowReport", Role::Read),
    ("PromoteShadow", Role::Write),
    ("DiscardShadow", Role::Write),
    ("Upgrade", Role::Admin),
];

/// Calls in which a client sends any number of messages.
pub const STREAMED: [&str; 1] = ["Apply"];

/// Calls that a rule may grant by name to who has not their role.
pub const GRANTED: [(&str, Operation); 1] = [("Capture", Operation::Capture)];

/// What needs more than its call does, and what it is called.
pub const OPERATIONS: [(Operation, Role, &str); 4] = [
    (Operation::Settings, Role::Admin, "settings"),
    (Operation::Ports, Role::Admin, "ports"),
    (Operation::TakeOver, Role::Admin, "take_over"),
    (Operation::Capture, Role::Admin, "capture"),
];

/// The least role of a call.
pub fn least(rpc: &str) -> Role {
    RPCS.iter().find(|(name, _)| *name == rpc).map_or(Role::Admin, |(_, role)| *role)
}

/// The least role of an operation, and its name.
pub fn least_of(operation: Operation) -> (Role, &'static str) {
    let row = OPERATIONS.iter().find(|(it, ..)| *it == operation);
    row.map_or((Role::Admin, ""), |(_, role, name)| (*role, name))
}
