//! `PromoteShadow` and `DiscardShadow`: who may, and what is written down of it.

use std::sync::Arc;

use serde_json::{Value, json};
use tonic::{Response, Status};

use super::access::{Audit, Caller};
use super::apply::{check_commit, outcome, reply_of};
use super::request::{Made, May, NotPromoted, Reply, Request};
use super::server::refusal;
use crate::api::v1;

/// Why a client may not promote this, or what makes no sense.
pub(super) fn check(caller: &Caller, audit: &Audit, wanted: &v1::PromoteShadowRequest) -> Result<(), Status> {
    check_commit(&wanted.message, wanted.confirm_ms).map_err(Status::invalid_argument)?;
    may_act_for(caller, audit, "PromoteShadow", &wanted.owner)
}

/// That a client may act for the owner of a shadow.
pub(super) fn may_act_for(caller: &Caller, audit: &Audit, rpc: &str, owner: &str) -> Result<(), Status> {
    caller.may_act_for(rpc, owner).map_err(|why| audit.denied(caller, rpc, owner, why))
}

/// The request, which the audit log hears of.
pub(super) fn promote(
    (caller, audit): (&Arc<Caller>, &Audit),
    wanted: v1::PromoteShadowRequest,
    mut reply: Reply<Result<Made, NotPromoted>>,
) -> Request {
    if audit.is_kept() {
        let told = |made: &Result<Made, NotPromoted>| match made {
            Err(NotPromoted::Denied(why)) => json!({ "result": "denied", "reason": why }),
            Err(NotPromoted::Refused(refused)) => outcome(&Err(refused.clone())).into(),
            Ok(made) => outcome(&Ok(made.clone())).into(),
        };
        reply = audit.hears(caller, ("PromoteShadow", wanted.owner.clone()), reply, told);
    }
    let (by, who) = (caller.to_string(), caller.clone());
    let may: May = Box::new(move |begin, changes| {
        who.may_begin(begin)?;
        who.may_change(changes)
    });
    Request::PromoteShadow { wanted, by, may, reply }
}

/// What a client is told that promoted one.
pub(super) fn promoted(made: Result<Made, NotPromoted>) -> Result<Response<v1::ApplyReply>, Status> {
    let made = match made {
        Ok(made) => Ok(made),
        Err(NotPromoted::Refused(refused)) => Err(refused),
        Err(NotPromoted::Denied(why)) => return Err(Status::permission_denied(why)),
    };
    reply_of(made).map(Response::new)
}

/// The request, which the audit log hears of.
pub(super) fn discard(
    (caller, audit): (&Arc<Caller>, &Audit),
    wanted: v1::DiscardShadowRequest,
    mut reply: Reply<Result<v1::DiscardShadowReply, v1::Refused>>,
) -> Request {
    if audit.is_kept() {
        let told = |gone: &Result<v1::DiscardShadowReply, v1::Refused>| -> Value {
            match gone {
                Ok(it) => json!({ "result": "discarded", "generation": it.generation }),
                Err(refused) => json!({ "result": "refused", "reason": refused.reason }),
            }
        };
        reply = audit.hears(caller, ("DiscardShadow", wanted.owner.clone()), reply, told);
    }
    Request::DiscardShadow { wanted, reply }
}

/// What a client is told that discarded one.
pub(super) fn discarded(
    gone: Result<v1::DiscardShadowReply, v1::Refused>,
) -> Result<Response<v1::DiscardShadowReply>, Status> {
    gone.map(Response::new).map_err(refusal)
}
