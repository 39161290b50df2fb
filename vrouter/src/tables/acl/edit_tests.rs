//! Edited ACLs against the slow twin, whose rules are edited as a plain list.

use proptest::prelude::*;
use proptest::sample::Index as At;

use super::index::Sizes;
use super::tests::{Group, SlowRule, cases, compiled, judged_slowly, permit_all, sets};
use super::*;

/// Rules go from a place on and others come there.
#[derive(Clone, Debug)]
struct Edit {
    at: At,
    out: usize,
    into: Vec<At>,
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let some = |most: usize| prop_oneof![4 => 0..3_usize, 1 => 0..most];
    let into = some(30).prop_flat_map(|count| prop::collection::vec(any::<At>(), count));
    let edit = (any::<At>(), some(60), into).prop_map(|(at, out, into)| Edit { at, out, into });
    prop::collection::vec(edit, 1..12)
}

/// Groups so small that few rules split and join them; those of the product; and so few sets that groups must be made smaller.
fn sizes() -> impl Strategy<Value = Sizes> {
    let small = Sizes { most: 8, full: 6, few: 5, sets: 4096, least: 3 };
    prop_oneof![2 => Just(small), 1 => Just(SIZES), 2 => Just(Sizes { most: 16, full: 14, few: 8, sets: 8, least: 3 })]
}

fn agree(acl: &Acl, rules: &[SlowRule], tuples: &[Tuple]) -> Result<(), TestCaseError> {
    prop_assert_eq!(acl.len(), rules.len());
    for tuple in tuples {
        prop_assert_eq!(acl.judge(tuple), judged_slowly(rules, tuple), "{:?} by {:?}", tuple, rules);
    }
    Ok(())
}

fn edits_agree(
    (groups, rules, tuples): (Vec<Group>, Vec<SlowRule>, Vec<Tuple>),
    edits: Vec<Edit>,
    sizes: Sizes,
) -> Result<(), TestCaseError> {
    let groups = sets(&groups);
    let (pool, mut slow) = (rules.clone(), rules);
    let mut acl = compiled(&slow, &groups, sizes);
    for edit in edits {
        let first = edit.at.index(slow.len() + 1);
        let replaced = first..(first + edit.out).min(slow.len());
        let into: Vec<_> =
            edit.into.iter().filter(|_| !pool.is_empty()).map(|at| pool[at.index(pool.len())].clone()).collect();
        let next = match &acl.rules {
            Rules::Many(index) => {
                let into: Vec<_> = into.iter().map(|rule| Arc::new(rule.compiled(&groups))).collect();
                Acl { rules: Rules::Many(Arc::new(index.spliced(replaced.clone(), &into))), ..acl.clone() }
            }
            Rules::Few(_) => unreachable!("it began compiled"),
        };
        // Whoever holds the old version goes on asking it.
        agree(&acl, &slow, &tuples)?;
        slow.splice(replaced, into);
        agree(&next, &slow, &tuples)?;
        acl = next;
        if let (Rules::Many(index), 4096) = (&acl.rules, sizes.sets) {
            prop_assert!(index.groups() <= 2 * slow.len() / sizes.few + 2, "{} of {}", index.groups(), slow.len());
        }
    }
    // Nothing is left of rules that went.
    let anew = compiled(&slow, &groups, sizes);
    if let (Rules::Many(edited), Rules::Many(anew)) = (&acl.rules, &anew.rules) {
        prop_assert_eq!(edited.values(), anew.values());
        prop_assert!(edited.most_sets() <= sizes.sets);
    }
    // The rules are those of a build from nothing, in the same places.
    for (at, (rule, other)) in acl.rules().zip(anew.rules()).enumerate() {
        prop_assert_eq!((rule.permit, rule.protocol), (other.permit, other.protocol));
        prop_assert!(std::ptr::eq(&**rule, acl.rule(at).expect("a rule")));
    }
    prop_assert!(acl.rule(slow.len()).is_none());
    Ok(())
}

proptest! {
    #[test]
    fn edits_judge_as_their_slow_twin(case in cases(0..40), edits in edits(), sizes in sizes()) {
        edits_agree(case, edits, sizes)?;
    }

    /// Through the front door: few rules are walked, many compiled, and an edit goes from one to the other and back.
    #[test]
    fn growing_and_shrinking_changes_nothing(case in cases(1..40), edits in edits()) {
        let (groups, pool, tuples) = case;
        let groups = sets(&groups);
        let mut slow: Vec<SlowRule> = Vec::new();
        let mut acl = Acl::new("acl".into(), Vec::new());
        for edit in edits {
            let first = edit.at.index(slow.len() + 1);
            let replaced = first..(first + edit.out).min(slow.len());
            let into: Vec<_> = edit.into.iter().map(|at| pool[at.index(pool.len())].clone()).collect();
            acl = acl.spliced(replaced.clone(), into.iter().map(|rule| rule.compiled(&groups)).collect());
            slow.splice(replaced, into);
            agree(&acl, &slow, &tuples)?;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Marks of more groups than one word has, and edits that move them from word to word.
    #[test]
    fn many_groups_judge_as_their_slow_twin(
        (groups, rules, tuples) in cases(30..40),
        times in 8..24_usize,
        edits in edits(),
    ) {
        // Rules that match none of the flows come before, so that the first match is in any group.
        let idle: Vec<_> = rules.iter().filter(|rule| !rule.matches_one_of(&tuples)).cloned().collect();
        let mut all: Vec<_> = idle.iter().cycle().take(idle.len() * times).cloned().collect();
        all.extend(rules);
        edits_agree((groups, all, tuples), edits, Sizes { most: 4, full: 4, few: 2, sets: 4096, least: 2 })?;
    }
}

/// One group of many prefixes, which many rules name: it is compiled once a group of rules, not once a rule.
#[test]
fn a_large_address_group_is_shared() {
    let mut set = PrefixSet::default();
    (0..20_000_u32).for_each(|at| set.insert(IpAddr::V4((at << 8).into()), 24));
    let set = Arc::new(set);
    let rule = |port: u16, permit: bool| Rule {
        permit,
        source: AddressMatch::In(set.clone()),
        destination: AddressMatch::In(set.clone()),
        destination_ports: vec![(port, port)],
        ..permit_all()
    };
    let started = std::time::Instant::now();
    let acl = Acl::new("acl".into(), (0..2000).map(|port| rule(port, port % 3 == 0)).collect());
    let acl = acl.spliced(1000..1001, vec![]).spliced(0..1, vec![rule(7, true), rule(8, false)]);
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
    let judged = |port, host: u32| {
        let (source, destination) = (IpAddr::V4(host.into()), IpAddr::V4((host + 1).into()));
        acl.judge(&Tuple { source, destination, protocol: 6, ports: Some((1, port)), icmp: None })
    };
    let inside = 19_999 << 8 | 5;
    assert_eq!(judged(8, inside), Judgement { permit: false, rule: Some(1) });
    assert_eq!(judged(999, inside), Judgement { permit: true, rule: Some(1000) });
    assert_eq!(judged(1000, inside).rule, None);
    assert_eq!(judged(1001, inside), Judgement { permit: false, rule: Some(1001) });
    assert_eq!(judged(999, 20_000 << 8).rule, None);
}
