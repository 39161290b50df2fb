//! The rules against literal ones, and the table against the contract.

use super::*;
use crate::api::config::Account;
use crate::api::position::At;
use crate::api::v1;

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nfrr:x:92:92::/:/bin/false\nada:x:1000:1000::/:/bin/sh\n\
                      bob:x:1001:1001::/:/bin/sh\nbroken:x:many\n";
const GROUP: &str = "root:x:0:\nfrr:x:92:\nvrouter:x:200:ada, nobody\nnetops:x:201:bob\n";

fn names() -> Names {
    Names::parse(PASSWD, GROUP)
}

fn named(name: &str) -> Option<Account> {
    Some(Account::Name(name.into()))
}

fn rule(role: Role) -> config::Rule {
    config::Rule { user: None, group: None, certificate: None, role, owners: None, also: Vec::new() }
}

fn access(rules: Vec<config::Rule>) -> Access {
    let rules = rules.into_iter().map(At::nowhere).collect();
    Access::new(&config::Access { group: named("vrouter"), rules }, names()).unwrap()
}

fn local(uid: u32, gid: u32) -> Peer {
    Peer::Local { uid, gid, pid: Some(7) }
}

fn certificate(names: &[&str]) -> Peer {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    Peer::Certificate { names, address: ([192, 0, 2, 1], 4711).into() }
}

fn one(change: &v1::Change) -> v1::Changes {
    [change].into_iter().collect()
}

#[test]
fn without_rules_root_is_admin_the_group_reads_and_others_do_nothing() {
    let access = access(Vec::new());
    let role = |peer: &Peer| access.grant(peer).role;
    assert_eq!(role(&local(0, 0)), Some(Role::Admin));
    assert_eq!(role(&local(access.own, 5)), Some(Role::Admin));
    assert_eq!(role(&local(1000, 1000)), Some(Role::Read), "ada is a member");
    assert_eq!(role(&local(1001, 200)), Some(Role::Read), "the group that it runs as");
    assert_eq!(role(&local(1001, 1001)), None);
    assert_eq!(role(&certificate(&["root"])), None, "a certificate's name is no user's");
}

#[test]
fn the_first_rule_that_fits_decides() {
    let frr = config::Rule { user: named("frr"), owners: Some(vec!["bgp".into()]), ..rule(Role::Write) };
    let all = access(vec![
        frr.clone(),
        config::Rule { group: named("vrouter"), ..rule(Role::Write) },
        config::Rule { user: Some(Account::Number(1000)), ..rule(Role::Admin) },
        config::Rule { user: named("root"), ..rule(Role::Read) },
        config::Rule { certificate: Some("spiffe://cluster/cni".into()), ..rule(Role::Write) },
    ]);
    assert_eq!(all.grant(&local(92, 92)), Grant { role: Some(Role::Write), owners: frr.owners, also: vec![] });
    assert_eq!(all.grant(&local(1000, 1000)).role, Some(Role::Write), "by the group, which comes first");
    assert_eq!(all.grant(&local(0, 0)).role, Some(Role::Read), "also root");
    assert_eq!(all.grant(&certificate(&["cni", "spiffe://cluster/cni"])).role, Some(Role::Write));
    assert_eq!(all.grant(&certificate(&["cni"])).role, None);
}

#[test]
fn who_is_unknown_to_the_host_is_no_rule() {
    let user = config::Rule { user: named("nobody-here"), ..rule(Role::Read) };
    let rules = config::Access { group: None, rules: vec![At::nowhere(user)] };
    let error = Access::new(&rules, names()).unwrap_err().to_string();
    assert_eq!(error, "access: there is no user nobody-here on this host (/etc/passwd); a number is taken as it is");
    assert!(Access::new(&config::Access { group: named("nogroup-here"), rules: vec![] }, names()).is_err());
}

#[test]
fn every_call_of_the_contract_has_its_role() {
    let contract = include_str!("../../../proto/vrouter/v1/vrouter.proto");
    let mut calls: Vec<&str> = contract
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("rpc "))
        .map(|rest| rest.split('(').next().unwrap_or(rest).trim())
        .collect();
    let mut table: Vec<&str> = RPCS.iter().map(|(name, _)| *name).collect();
    calls.sort_unstable();
    table.sort_unstable();
    assert_eq!(table, calls);
    assert!(calls.len() >= 11, "the contract is elsewhere");
    let streamed = contract.lines().filter_map(|line| line.trim_start().strip_prefix("rpc ")?.split_once("(stream "));
    let streamed: Vec<&str> = streamed.filter(|(name, _)| !name.contains('(')).map(|(name, _)| name).collect();
    assert_eq!(table::STREAMED[..], streamed);
}

fn caller(grant: Grant) -> Caller {
    let account = Arc::new(super::Account::new(super::super::Bounds::default()));
    Caller::new(grant, local(92, 92), Some("frr".into()), account)
}

fn put(kind: v1::object::Kind, owner: &str) -> v1::Change {
    let object = v1::Object { owner: owner.into(), ..v1::Object::from(kind) };
    v1::Change { op: Some(v1::change::Op::Put(object)) }
}

fn delete(kind: v1::object_key::Kind) -> v1::Change {
    v1::Change { op: Some(v1::change::Op::Delete(v1::ObjectKey { kind: Some(kind) })) }
}

#[test]
fn each_role_may_what_those_before_it_may() {
    for (call, least) in RPCS {
        for role in [Role::Read, Role::Write, Role::Admin] {
            let may = caller(Grant { role: Some(role), ..Grant::default() }).may_call(call);
            assert_eq!(may.is_ok(), role >= least, "{call} by {role}: {may:?}");
        }
        assert!(caller(Grant::default()).may_call(call).is_err());
    }
    let reader = caller(Grant { role: Some(Role::Read), ..Grant::default() });
    assert_eq!(
        reader.may_call("Capture").unwrap_err(),
        "Capture needs the role admin: user frr (uid 92) has the role read"
    );
    let also = vec![Operation::Capture];
    let granted = caller(Grant { role: Some(Role::Read), also, ..Grant::default() });
    granted.may_call("Capture").unwrap();
    assert!(granted.may_call("Upgrade").is_err() && granted.may_call("Apply").is_err());
    assert_eq!(
        reader.may_call("Apply").unwrap_err(),
        "Apply needs the role write: user frr (uid 92) has the role read"
    );
    assert!(reader.may_call("NewerCall").is_err(), "what is in no table is an admin's");
}

#[test]
fn a_writer_of_some_owners_acts_for_nobody_else() {
    let owners = Some(vec!["bgp".to_owned(), "cni".to_owned()]);
    let writer = caller(Grant { role: Some(Role::Write), owners, also: vec![] });
    let begin = |owner: &str, take_over| v1::Begin { owner: owner.into(), take_over, ..v1::Begin::default() };
    writer.may_begin(&mut begin("bgp", false)).unwrap();
    assert_eq!(
        writer.may_begin(&mut begin("operator", false)).unwrap_err(),
        "Apply: user frr (uid 92) has the role write for the owners bgp, cni, not for operator"
    );
    assert!(
        writer.may_begin(&mut begin("bgp", true)).unwrap_err().contains("Apply with take_over needs the role admin")
    );
    let route = |owner: &str| v1::RouteKey { owner: owner.into(), ..v1::RouteKey::default() };
    let put_route =
        |owner: &str| put(v1::object::Kind::Route(v1::Route { key: Some(route(owner)), ..v1::Route::default() }), "");
    let vrf = |owner: &str| put(v1::object::Kind::Vrf(v1::Vrf::default()), owner);
    for good in
        [put_route(""), put_route("cni"), vrf(""), vrf("cni"), delete(v1::object_key::Kind::Route(route("bgp")))]
    {
        writer.may_change(&one(&good)).unwrap();
    }
    for bad in [put_route("dhcp"), vrf("operator"), delete(v1::object_key::Kind::Route(route("operator")))] {
        assert!(writer.may_change(&one(&bad)).is_err(), "{bad:?}");
    }
}

#[test]
fn what_needs_more_than_writing_is_an_admin_s_or_granted_by_name() {
    let settings = put(v1::object::Kind::Settings(Box::default()), "");
    let port = put(v1::object::Kind::Port(v1::Port::default()), "");
    let no_port = delete(v1::object_key::Kind::Port("p1".into()));
    let grant = Grant { role: Some(Role::Write), ..Grant::default() };
    let writer = caller(grant.clone());
    for change in [&settings, &port, &no_port] {
        assert!(writer.may_change(&one(change)).is_err(), "{change:?}");
        caller(Grant { role: Some(Role::Admin), ..Grant::default() }).may_change(&one(change)).unwrap();
    }
    let cni = caller(Grant { also: vec![Operation::Ports], ..grant });
    cni.may_change(&one(&port)).unwrap();
    cni.may_change(&one(&no_port)).unwrap();
    assert!(cni.may_change(&one(&settings)).is_err());
}

/// Ports go by a sweep too: who may not delete them leaves them.
#[test]
fn a_replacement_leaves_ports_to_who_may_delete_them() {
    let of = |role, also| caller(Grant { role: Some(role), owners: None, also });
    let after = |caller: &Caller, kinds: &[v1::Kind]| {
        let kinds = kinds.iter().map(|kind| *kind as i32).collect();
        let mut begin = v1::Begin { owner: "operator".into(), replace: true, kinds, ..v1::Begin::default() };
        caller.may_begin(&mut begin).map(|()| begin.kinds)
    };
    let writer = of(Role::Write, vec![]);
    let kinds = after(&writer, &[]).unwrap();
    assert!(kinds.contains(&v1::Kind::Vif.into()) && kinds.contains(&v1::Kind::BfdSession.into()));
    assert!(!kinds.contains(&v1::Kind::Port.into()) && !kinds.contains(&v1::Kind::All.into()));
    assert_eq!(after(&writer, &[v1::Kind::Vif]), Ok(vec![v1::Kind::Vif.into()]));
    for named in [v1::Kind::Port, v1::Kind::All] {
        assert!(
            after(&writer, &[v1::Kind::Vif, named]).unwrap_err().starts_with("Apply with ports needs the role admin")
        );
    }
    for who in [of(Role::Admin, vec![]), of(Role::Write, vec![Operation::Ports])] {
        assert_eq!(after(&who, &[]), Ok(vec![]));
        assert_eq!(after(&who, &[v1::Kind::Port]), Ok(vec![v1::Kind::Port.into()]));
    }
}
