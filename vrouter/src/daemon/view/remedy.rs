//! What would have to change for the opposite verdict, for people.

use super::place_text;
use super::steps::{Judged, Steps};
use super::victims::rule_text;
use crate::api::text::{Prefix, Protocol};
use crate::api::v1;
use crate::datapath::decide::{Question, Stage, Verdict, tuple_of};
use crate::drops::DropReason;
use crate::tables::acl::Tuple;

/// One sentence, without a stop; empty where nothing is known to help. `question` is the one that was decided.
pub(super) fn remedy(question: &Question, verdict: Verdict, steps: &Steps<'_>, request: &v1::ExplainRequest) -> String {
    let tuple = tuple_of(question);
    match verdict {
        Verdict::Forward(_) => {
            let all: Vec<_> = steps.judged().iter().map(|judged| without_rule(judged, &tuple)).collect();
            match &all[..] {
                [] => "to have it dropped: no ACL judges it yet".into(),
                _ => format!("to have it dropped: {}", all.join("; ")),
            }
        }
        Verdict::Local => String::new(),
        Verdict::Drop(reason) => {
            of_drop(question, reason, steps, request).map(|what| format!("to let it pass: {what}")).unwrap_or_default()
        }
    }
}

/// What an ACL says of a packet that it permits if the rule that does so is gone.
fn without_rule(judged: &Judged, tuple: &Tuple) -> String {
    let Judged { acl, rule, .. } = judged;
    let next = match rule {
        None => return format!("acl {} permits nothing of it", acl.name),
        Some(rule) => acl.rules().enumerate().skip(rule + 1).find(|(_, other)| other.matches(tuple)),
    };
    let this = rule_text(Some(acl), *rule);
    match next {
        Some((at, other)) if other.permit => {
            format!("not {this} alone, {} permits it too", rule_text(Some(acl), Some(at)))
        }
        next => format!("without {this} it is {} that denies", rule_text(Some(acl), next.map(|(at, _)| at))),
    }
}

fn of_drop(question: &Question, reason: DropReason, steps: &Steps<'_>, request: &v1::ExplainRequest) -> Option<String> {
    let (snapshot, tuple) = (steps.snapshot, &question.tuple);
    let step = |name: &str| steps.all().iter().rev().find(|step| step.name == name);
    let vif = place_text(snapshot, question.place);
    Some(match reason {
        DropReason::AclFromVif | DropReason::AclVrf | DropReason::AclToVif => {
            let Judged { stage, acl, rule } = steps.judged().last()?;
            let what = text(&tuple_of(question));
            let place = match stage {
                Stage::FromVif(_) => "acl_from_vif",
                Stage::Vrf(_) => "acl_vrf",
                Stage::ToVif(_) => "acl_to_vif",
            };
            match rule {
                None => format!("a rule of acl {} ({place}) that permits {what}", acl.name),
                Some(_) => format!("a rule before {} ({place}) that permits {what}", rule_text(Some(acl), *rule)),
            }
        }
        DropReason::NoRoute => format!("a route of {} to {}", step("route")?.object, tuple.destination),
        DropReason::RouteDrop => {
            let step = step("route")?;
            let prefix = Prefix::try_from(step.prefix.as_ref()?).ok()?;
            format!("the route {prefix} of {} another way, or one that is more specific", step.object)
        }
        DropReason::SourceSpoofed => {
            format!("{} among addresses or allowed_sources of {vif}, or spoofing_allowed there", tuple.source)
        }
        DropReason::MacSpoofed => format!("spoofing_allowed at {vif}, or its guest's own MAC"),
        DropReason::MacNotOurs => format!("its frame to the MAC of the gateway of {vif}"),
        DropReason::UnknownUnicast => {
            format!("a station with its MAC in the FDB of {}, or flood_unknown there", step("fdb")?.object)
        }
        DropReason::LeafToLeaf => "one of the two ends no leaf".into(),
        DropReason::MtuExceeded => {
            let cut = snapshot.fragmentation && tuple.source.is_ipv4() && !request.may_be_cut;
            let or = if cut { ", or one that may be cut (IPv4 without Don't Fragment)" } else { "" };
            format!("a packet of at most {} bytes{or}", steps.mtu()?)
        }
        DropReason::NoUnderlayRoute => "a route of the underlay's VRF to the far end of the tunnel".into(),
        DropReason::NewFlowQuota | DropReason::FlowQuota | DropReason::PuntQuota => {
            format!("more of its quota: {}", step("quota")?.detail)
        }
        _ => return None,
    })
}

/// "tcp from 10.1.1.11 to 10.1.1.12 port 80".
fn text(tuple: &Tuple) -> String {
    let port = match (tuple.ports, tuple.icmp) {
        (Some((_, port)), _) => format!(" port {port}"),
        (_, Some((kind, code))) => format!(" type {kind} code {code}"),
        _ => String::new(),
    };
    format!("{} from {} to {}{port}", Protocol(tuple.protocol), tuple.source, tuple.destination)
}
