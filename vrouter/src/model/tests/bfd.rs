use std::collections::BTreeMap;

use super::network::*;
use crate::api::v1;
use crate::model::Model;
use crate::packet::bfd::{Diagnostic, State};
use crate::tables::{BfdStand, NextHopKind, Watched};
use v1::change::Op;
use v1::object::Kind;
use v1::object_key::Kind as Key;

const UP: BfdStand = BfdStand { state: State::Up, diagnostic: Diagnostic::NONE, failed: false };
const FAILED: BfdStand = BfdStand { state: State::Down, diagnostic: Diagnostic::DETECTION_TIME_EXPIRED, failed: true };

fn session(name: &str, remote: &str, multihop: bool) -> v1::BfdSession {
    v1::BfdSession { name: name.into(), vrf: "underlay".into(), remote: ip(remote), multihop, ..Default::default() }
}

fn with_sessions() -> Model {
    let mut model = model();
    let sessions = [session("near", "10.0.0.254", false), session("far", "10.0.0.2", true)];
    model.apply("", &sessions.map(|session| put(Kind::BfdSession(Box::new(session))))).unwrap();
    model.note_changes(100);
    model
}

fn tell(model: &mut Model, name: &str, stand: BfdStand) -> bool {
    let watched = model.watched(name).unwrap();
    model.bfd(&BTreeMap::from([(watched, stand)])).is_some()
}

/// Whether each tunnel to this remote leads anywhere.
fn leads(model: &Model, remote: &str) -> Vec<bool> {
    let remote: std::net::IpAddr = remote.parse().unwrap();
    let snapshot = model.snapshot();
    let tunnels = snapshot.next_hops.iter().filter_map(|(_, row)| match &row.kind {
        NextHopKind::Tunnel(tunnel) if tunnel.remote == remote => Some(tunnel.leads),
        _ => None,
    });
    tunnels.collect()
}

#[test]
fn how_a_session_stands_is_an_event_and_in_the_list() {
    let mut model = with_sessions();
    assert!(tell(&mut model, "near", UP));
    assert!(!tell(&mut model, "near", UP), "known already");
    assert!(tell(&mut model, "near", FAILED));
    let noted: Vec<_> = model.take_noted().into_iter().flat_map(|noted| noted.changes.unwrap()).collect();
    let states: Vec<_> = noted
        .into_iter()
        .map(|change| match change.op {
            Some(Op::Put(v1::Object { kind: Some(Kind::BfdSession(session)), .. })) => {
                (session.name, session.state, session.diagnostic, session.failed)
            }
            other => panic!("{other:?}"),
        })
        .collect();
    let row = |state: &str, why: &str, failed| ("near".to_string(), state.to_string(), why.to_string(), failed);
    assert_eq!(states, [row("up", "none", false), row("down", "detection_time_expired", true)]);
    let listed = model.list(v1::Kind::BfdSession, "");
    let Some(Kind::BfdSession(near)) = &listed[1].kind else { panic!("{listed:?}") };
    assert_eq!((&*near.state, near.failed, near.min_tx, near.multiplier), ("down", true, Some(300), Some(3)));
    // other timers leave it as it stands
    let slower = v1::BfdSession { min_tx: Some(1000), ..session("near", "10.0.0.254", false) };
    model.apply("", &[put(Kind::BfdSession(Box::new(slower)))]).unwrap();
    assert!(model.snapshot().bfd_failed.contains(&model.watched("near").unwrap()));
    model.apply("", &[delete(Key::BfdSession("near".into()))]).unwrap();
    assert!(model.snapshot().bfd_failed.is_empty() && model.watched("near").is_none());
    let nobody = Watched { vrf: model.vrf_id("underlay").unwrap(), remote: [10, 0, 0, 254].into(), multihop: false };
    assert!(model.bfd(&BTreeMap::from([(nobody, UP)])).is_none());
}

#[test]
fn a_failed_far_end_takes_its_tunnels_down_until_it_is_back_or_watched_no_more() {
    let mut model = with_sessions();
    model.learn(model.vif_id("up0").unwrap(), std::net::Ipv4Addr::new(10, 0, 0, 2), crate::ids::Mac(PEER_MAC));
    let all = leads(&model, "10.0.0.2");
    assert!(!all.is_empty() && all.iter().all(|leads| *leads));
    assert!(tell(&mut model, "far", UP) && tell(&mut model, "far", FAILED));
    assert!(leads(&model, "10.0.0.2").iter().all(|leads| !leads));
    assert!(tell(&mut model, "far", UP));
    assert_eq!(leads(&model, "10.0.0.2"), all);
    assert!(tell(&mut model, "far", FAILED));
    model.apply("", &[delete(Key::BfdSession("far".into()))]).unwrap();
    assert_eq!(leads(&model, "10.0.0.2"), all);
}

#[test]
fn what_a_session_s_ends_need_does_not_go_before_it() {
    let mut model = with_sessions();
    assert_eq!(model.snapshot().bfd.len(), 2);
    // no tunnels, no VTEP; the link remains
    let bare = put(Kind::Settings(Box::new(v1::Settings { underlay_vrf: "underlay".into(), ..Default::default() })));
    let refused = model.apply("", std::slice::from_ref(&bare)).err().expect("the far one's end is the VTEP");
    assert_eq!((&*refused.field, &*refused.reason), ("vtep", "still referred to by BFD session far"));
    model.apply("", &[delete(Key::BfdSession("far".into())), bare]).unwrap();
    assert_eq!(model.snapshot().bfd.len(), 1);
    let refused = model.apply("", &[delete(Key::Vrf("underlay".into()))]).err().expect("it is in use");
    assert!(refused.reason.contains("still referred to"), "{refused:?}");
}

#[test]
fn a_route_by_who_has_failed_leads_nowhere() {
    let mut model = with_sessions();
    model.apply("", &[put(Kind::BfdSession(Box::new(session("next", "10.0.0.2", false))))]).unwrap();
    model.learn(model.vif_id("up0").unwrap(), std::net::Ipv4Addr::new(10, 0, 0, 2), crate::ids::Mac(PEER_MAC));
    let all = leads(&model, "10.0.0.2");
    assert!(!all.is_empty() && all.iter().all(|leads| *leads));
    assert!(tell(&mut model, "next", UP) && tell(&mut model, "next", FAILED));
    assert!(leads(&model, "10.0.0.2").iter().all(|leads| !leads));
    assert!(tell(&mut model, "next", UP));
    assert_eq!(leads(&model, "10.0.0.2"), all);
}
