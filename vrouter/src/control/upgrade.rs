//! What the server knows of upgrades: whom to ask for one, and that one is under way.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam::channel::Sender;
use tokio::sync::watch;
use tonic::Status;

use super::request::Reply;
use crate::api::v1;

/// How long a program may prepare unless said otherwise, and at most.
pub const PREPARE: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(600);

/// An upgrade that somebody asked for.
#[derive(Debug)]
pub struct Order {
    /// An absolute path.
    pub binary: PathBuf,
    /// How long it may prepare.
    pub prepare: Duration,
    pub reply: Reply<Result<v1::UpgradeReply, NotUpgraded>>,
}

/// Why there was none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotUpgraded {
    /// All is as it was.
    #[error("{0}")]
    Unchanged(String),
    /// The program failed when it had taken over; this one begins anew.
    #[error("{0}")]
    BeginsAnew(String),
}

/// Where upgrades are asked for. Copies are the same one.
#[derive(Clone, Debug)]
pub struct Upgrades {
    orders: Sender<Option<Order>>,
    standing: Arc<Standing>,
}

#[derive(Debug)]
struct Standing {
    under_way: AtomicBool,
    /// Nobody is let in any more: clients wait for the next daemon.
    leaving: watch::Sender<bool>,
}

impl Upgrades {
    /// Orders are sent there; `None` when there are none any more.
    pub fn new(orders: Sender<Option<Order>>) -> Upgrades {
        Upgrades {
            orders,
            standing: Arc::new(Standing { under_way: AtomicBool::new(false), leaving: watch::Sender::new(false) }),
        }
    }

    /// Hands an order on.
    pub(super) fn ask(&self, order: Order) -> Result<(), Status> {
        if self.standing.under_way.swap(true, Ordering::AcqRel) {
            return Err(Status::failed_precondition("an upgrade is under way already"));
        }
        self.orders.send(Some(order)).map_err(|_| super::server::stopping())
    }

    /// It failed, and all goes on.
    pub fn over(&self) {
        self.standing.under_way.store(false, Ordering::Release);
    }

    /// From now on clients are not let in.
    pub fn leave(&self) {
        self.standing.leaving.send_replace(true);
    }

    /// Whoever takes orders is told that there are no more.
    pub fn end(&self) {
        // an error means that it has ended
        _ = self.orders.send(None);
    }

    /// Whether [`Upgrades::leave`] was called.
    pub fn is_leaving(&self) -> bool {
        *self.standing.leaving.borrow()
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.standing.under_way.load(Ordering::Acquire)
    }

    /// Comes when nobody is to be let in any more.
    pub(super) async fn leaving(this: Option<&Upgrades>) {
        match this {
            // the sender is as long there as this
            Some(this) => _ = this.standing.leaving.subscribe().wait_for(|&leaving| leaving).await,
            None => std::future::pending().await,
        }
    }
}

/// What a request asks for.
pub(super) fn wanted(request: v1::UpgradeRequest) -> Result<(PathBuf, Duration), String> {
    let v1::UpgradeRequest { binary, timeout_ms } = request;
    let binary = PathBuf::from(binary);
    if !binary.is_absolute() {
        return Err(format!("binary: {:?} is no absolute path", binary.display().to_string()));
    }
    let prepare = if timeout_ms == 0 { PREPARE } else { Duration::from_millis(timeout_ms.into()) };
    if prepare > LONGEST {
        return Err(format!("timeout_ms: {timeout_ms} is more than {}", LONGEST.as_millis()));
    }
    Ok((binary, prepare))
}

impl From<NotUpgraded> for Status {
    fn from(not: NotUpgraded) -> Status {
        match not {
            NotUpgraded::Unchanged(why) => Status::failed_precondition(why),
            NotUpgraded::BeginsAnew(why) => Status::unavailable(why),
        }
    }
}
