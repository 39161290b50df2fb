//! Generated ACLs against a walk over their rules: as built, and after edits.

use bench::random::Random;
use bench::rules::{self, FAMILIES};
use vrouter::tables::acl::Acl;

#[test]
fn every_family_judges_as_a_walk_before_and_after_edits() {
    for (name, family) in FAMILIES {
        for v6 in [false, true] {
            let mut random = Random(17);
            let mut list = rules::rules(family, v6, 1200);
            let mut acl = Acl::new("".into(), list.clone());
            let last = |flow: &_| rules::walk(&list, flow) == Some(list.len() - 1);
            let flows = rules::flows(&list, v6, 600, last);
            for edit in 0..40 {
                for flow in flows.iter().skip(edit % 8).step_by(8) {
                    let found = acl.judge(flow);
                    assert_eq!(found.rule, rules::walk(&list, flow), "{name}, IPv6: {v6}, edit {edit}: {flow:?}");
                    assert_eq!(found.permit, found.rule.is_some_and(|rule| list[rule].permit));
                }
                let place = random.below(list.len() as u64 - 1) as usize;
                let out = [0, 1, 1, 200][edit % 4];
                let replaced = place..(place + out).min(list.len() - 1);
                let into: Vec<_> =
                    (0..[1, 0, 1, 150][edit % 4]).map(|_| rules::rule(&mut random, family, v6)).collect();
                acl = acl.spliced(replaced.clone(), into.clone());
                list.splice(replaced, into);
                assert_eq!(acl.len(), list.len());
            }
        }
    }
}
