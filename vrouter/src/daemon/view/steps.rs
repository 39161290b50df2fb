//! The steps of a decision, as the datapath's own code tells of them.

use std::net::IpAddr;

use super::victims::rule_text;
use super::{member_name, next_hop_text, place_text, underlay_text, vrf_name};
use crate::api::text::Prefix;
use crate::api::v1;
use crate::datapath::decide::{Recorder, Stage};
use crate::ids::{NextHopId, Place};
use crate::tables::acl::{Acl, Redirect};
use crate::tables::{Kept, Member, NextHopKind, Resolved, Snapshot, Tunnel, Underlay, Vrf, Watched};

/// What was asked on the way.
pub(super) struct Steps<'a> {
    pub(super) snapshot: &'a Snapshot,
    steps: Vec<v1::Step>,
    judged: Vec<Judged>,
    /// Of the next hop that it is too large for.
    mtu: Option<u16>,
}

/// What an ACL said: by which rule, or by its end, which denies.
pub(super) struct Judged {
    pub stage: Stage,
    pub acl: Acl,
    pub rule: Option<usize>,
}

impl<'a> Steps<'a> {
    /// None yet.
    pub(super) fn new(snapshot: &'a Snapshot) -> Steps<'a> {
        Steps { snapshot, steps: Vec::new(), judged: Vec::new(), mtu: None }
    }

    /// The packet is too large for a next hop with this MTU.
    pub(super) fn is_beyond(&mut self, mtu: u16) {
        self.mtu = Some(mtu);
    }

    pub(super) fn into_all(self) -> Vec<v1::Step> {
        self.steps
    }

    pub(super) fn add(&mut self, name: &str, object: String, detail: String) {
        self.steps.push(v1::Step { name: name.into(), object, detail, ..v1::Step::default() });
    }

    pub(super) fn all(&self) -> &[v1::Step] {
        &self.steps
    }

    pub(super) fn judged(&self) -> &[Judged] {
        &self.judged
    }

    pub(super) fn mtu(&self) -> Option<u16> {
        self.mtu
    }

    /// Says more of the last step, for programs.
    fn say_more(&mut self, more: impl FnOnce(&mut v1::Step)) {
        if let Some(step) = self.steps.last_mut() {
            more(step);
        }
    }

    /// Tells which of several ways the flow with this hash has, and returns it.
    pub(super) fn way<'t>(&mut self, tunnel: &'t Tunnel, hash: u64) -> &'t Underlay {
        let way = tunnel.ways.of(hash);
        let share = tunnel.ways.all().find(|(other, _)| std::ptr::eq(*other, way)).map_or(0, |(_, share)| share);
        let count = tunnel.ways.all().count();
        let failed =
            self.snapshot.bfd_failed.iter().filter(|watched| Some(watched.vrf) == self.snapshot.local.underlay);
        for watched in failed.filter(|watched| !watched.multihop || watched.remote == tunnel.remote) {
            let kind = if watched.multihop { "multihop BFD session" } else { "BFD session" };
            self.add(
                "bfd",
                watched.remote.to_string(),
                format!("its {kind} has failed: no way by it while there is another"),
            );
        }
        if count > 1 {
            let detail = format!("by the flow's hash; one of {count} ways, with {share} of 256 shares");
            self.add("way", underlay_text(self.snapshot, &way.underlay), detail);
        }
        &way.underlay
    }

    fn found(&mut self, name: &str, vrf: &Vrf, destination: IpAddr, found: Option<(u8, NextHopId)>) {
        let detail = match found {
            None => format!("no route to {destination}"),
            Some((length, next_hop)) => {
                format!("{destination} matches a /{length}: {}", next_hop_text(self.snapshot, next_hop))
            }
        };
        self.add(name, format!("vrf {}", vrf.name), detail);
        self.say_more(|step| {
            step.vrf = vrf.name.to_string();
            step.prefix = found.map(|(length, _)| Prefix::around(destination, length).into());
        });
    }
}

impl Recorder for Steps<'_> {
    fn route(&mut self, vrf: &Vrf, destination: IpAddr, found: Option<(u8, NextHopId)>) {
        self.found("route", vrf, destination, found);
    }

    fn acl(&mut self, stage: Stage, acl: &Acl, rule: Option<usize>, permit: bool) {
        let (name, at) = match stage {
            Stage::FromVif(vif) => ("acl_from_vif", place_text(self.snapshot, Place::Vif(vif))),
            Stage::Vrf(vrf) => ("acl_vrf", format!("vrf {}", vrf_name(self.snapshot, vrf))),
            Stage::ToVif(vif) => ("acl_to_vif", place_text(self.snapshot, Place::Vif(vif))),
        };
        let verdict = if permit { "permits" } else { "denies" };
        self.add(name, rule_text(Some(acl), rule), format!("{verdict} at {at}"));
        self.say_more(|step| {
            step.acl = acl.name.to_string();
            step.rule = rule.map(|rule| rule as u32);
        });
        self.judged.push(Judged { stage, acl: acl.clone(), rule });
    }

    fn member(&mut self, way: &Resolved, kept: Option<Kept>) {
        let Some((group, id)) = way.chosen else { return };
        let Some(NextHopKind::Group(group)) = self.snapshot.next_hops.row(group.index()).map(|row| &row.kind) else {
            return;
        };
        let Some(member) = group.members().iter().find(|member| member.id == id) else { return };
        let why = match kept {
            Some(kept) if kept.member == id => "the flow keeps it by its name",
            Some(kept) if kept.next_hop == member.next_hop => "the flow went this way before",
            Some(kept) if group.members().iter().any(|member| member.id == kept.member && member.up) => {
                "the flow's own is a backup"
            }
            Some(kept) if group.members().iter().any(|member| member.id == kept.member) => "the flow's own is down",
            Some(_) => "the flow's own is gone",
            None => "by the flow's hash, or as the place that asked",
        };
        let sum = |wanted: fn(&Member) -> bool| -> u32 {
            group.members().iter().filter(|member| wanted(member)).map(|member| member.weight).sum()
        };
        let (all, up) = (sum(|_| true), sum(|member| member.up));
        let detail = format!("{why}; weight {} of {all}, {up} of it up", member.weight);
        for down in group.members().iter().filter(|member| !member.up) {
            let row = self.snapshot.next_hops.row(down.next_hop.index()).map(|row| &row.kind);
            let (Some(NextHopKind::Tunnel(tunnel)), Some(vrf)) = (row, self.snapshot.local.underlay) else { continue };
            if self.snapshot.bfd_failed.contains(&Watched { vrf, remote: tunnel.remote, multihop: true }) {
                let text =
                    format!("{}: {}", member_name(self.snapshot, down.id), next_hop_text(self.snapshot, down.next_hop));
                self.add("path", text, "down: the BFD session with its far end has failed".into());
            }
        }
        let text = format!("{}: {}", member_name(self.snapshot, id), next_hop_text(self.snapshot, member.next_hop));
        self.add("path", text, detail);
    }

    fn redirect(&mut self, to: Redirect) {
        let object = match to {
            Redirect::Vrf(vrf) => format!("vrf {}", vrf_name(self.snapshot, vrf)),
            Redirect::Vif(vif) => place_text(self.snapshot, Place::Vif(vif)),
        };
        self.add("redirect", object, "goes there, whatever its route says".into());
    }

    fn reverse_route(&mut self, vrf: &Vrf, destination: IpAddr, found: Option<(u8, NextHopId)>) {
        self.found("reverse_route", vrf, destination, found);
    }
}
