//! A long ACL that is edited, put by put, beside a model that is given the last list alone.

use std::net::IpAddr;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::{Index as At, select};

use super::network::*;
use super::random::any_rule;
use crate::api::v1;
use crate::model::{Limits, Model};
use crate::tables::acl::{Acl, Tuple};
use v1::address_match::By;
use v1::object::Kind;

/// What one batch does to the list, and to a group that rules name.
#[derive(Clone, Debug)]
struct Step {
    edits: Vec<(At, usize, Vec<v1::Rule>)>,
    regroup: Option<usize>,
}

const GROUPS: [&[&str]; 3] = [&["10.1.0.0/16"], &["192.168.0.0/24", "fd00:1::/64"], &["0.0.0.0/0"]];

/// One that is not refused.
fn good_rule() -> impl Strategy<Value = v1::Rule> {
    let to = prop_oneof![Just(None), select(&["clients", "all"][..]).prop_map(|name| Some(By::Group(name.into())))];
    let kind = prop::option::of(select(&[0_u32, 8][..]));
    (any_rule(), to, kind, select(&["", "a", "b"][..])).prop_map(|(rule, to, kind, name)| {
        let prefix = rule.source.as_ref().and_then(|side| side.by.as_ref());
        let v6 = matches!(prefix, Some(By::Prefix(prefix)) if prefix.address.len() == 16);
        let icmp = rule.protocol == Some(1);
        v1::Rule {
            name: name.into(),
            protocol: if icmp && v6 { Some(58) } else { rule.protocol },
            destination: to.map(|by| v1::AddressMatch { by: Some(by) }),
            destination_ports: if icmp { Vec::new() } else { rule.destination_ports },
            icmp_type: kind.filter(|_| icmp),
            redirect: rule.redirect.map(|_| v1::Redirect { to: Some(v1::redirect::To::Vrf("red".into())) }),
            ..rule
        }
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let edit = (any::<At>(), 0..4_usize, prop::collection::vec(good_rule(), 0..3));
    let step = (prop::collection::vec(edit, 0..3), prop::option::weighted(0.2, 0..GROUPS.len()));
    prop::collection::vec(step.prop_map(|(edits, regroup)| Step { edits, regroup }), 1..8)
}

fn named(name: &str, of: usize) -> Kind {
    Kind::Group(v1::AddressGroup { name: name.into(), ..group(GROUPS[of]) })
}

fn list(rules: &[v1::Rule]) -> Kind {
    Kind::Acl(v1::Acl { name: "long".into(), rules: rules.to_vec() })
}

fn start(clients: usize, rules: &[v1::Rule]) -> Model {
    let mut model = Model::new(Limits::default(), ports());
    let red = Kind::Vrf(v1::Vrf { acl: "long".into(), ..vrf("red") });
    model.apply("", &[named("clients", clients), named("all", 2), list(rules), red].map(put)).unwrap();
    model
}

fn acl(model: &Model) -> Arc<Acl> {
    let snapshot = model.snapshot();
    snapshot.vrfs.row(model.vrf_id("red").unwrap().index()).unwrap().acl.clone().unwrap()
}

fn agree(edited: &Acl, anew: &Acl) -> Result<(), TestCaseError> {
    prop_assert_eq!(edited.len(), anew.len());
    let addresses = ["10.1.2.3", "10.0.0.7", "192.168.0.9", "8.8.8.8", "fd00:1::5", "fd00::1"];
    for (source, destination) in
        addresses.iter().zip(addresses.iter().cycle().skip(1)).chain(addresses.iter().zip(&addresses))
    {
        let with_ports =
            [(6, Some((5, 80))), (6, Some((5, 81))), (17, Some((1, 1))), (17, None)].map(|(p, ports)| (p, ports, None));
        let icmp =
            [(1, Some((8, 0))), (1, Some((3, 1))), (1, None), (58, Some((0, 0)))].map(|(p, icmp)| (p, None, icmp));
        for (protocol, ports, icmp) in with_ports.into_iter().chain(icmp) {
            let (source, destination): (IpAddr, IpAddr) = (source.parse().unwrap(), destination.parse().unwrap());
            let tuple = Tuple { source, destination, protocol, ports, icmp };
            let judgement = edited.judge(&tuple);
            prop_assert_eq!(judgement, anew.judge(&tuple), "{:?}", tuple);
            prop_assert_eq!(edited.redirect(&judgement), anew.redirect(&judgement), "{:?}", tuple);
        }
    }
    prop_assert!(edited.rules().map(|rule| &rule.name).eq(anew.rules().map(|rule| &rule.name)));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn an_edited_acl_judges_as_one_that_is_given_at_once(
        first in prop::collection::vec(good_rule(), 0..60),
        steps in steps(),
    ) {
        let (mut rules, mut clients) = (first, 0);
        let mut model = start(clients, &rules);
        for step in steps {
            let before = (acl(&model), start(clients, &rules));
            let mut batch = Vec::new();
            if let Some(of) = step.regroup {
                clients = of;
                batch.push(put(named("clients", of)));
            }
            for (at, out, into) in step.edits {
                let at = at.index(rules.len() + 1);
                rules.splice(at..(at + out).min(rules.len()), into);
                batch.push(put(list(&rules)));
            }
            model.apply("", &batch).unwrap();
            agree(&acl(&model), &acl(&start(clients, &rules)))?;
            // Whoever holds the snapshot before is not disturbed.
            agree(&before.0, &acl(&before.1))?;
        }
    }
}
