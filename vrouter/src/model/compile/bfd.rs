//! BFD sessions as workers and their own thread see them.

use std::collections::BTreeSet;
use std::sync::Arc;

use hashbrown::HashMap;

use super::{Compiled, Touched};
use crate::model::state::{Dirty, State};
use crate::tables::{BfdSession, Snapshot, Watched};

/// Sessions whose end is there, if that may have changed.
pub(super) fn compile(state: &State, dirty: &Dirty, fabric: bool, next: &mut Snapshot) {
    if !(dirty.bfd || fabric || dirty.settings) || state.bfd.is_empty() && next.bfd.is_empty() {
        return;
    }
    let failed: BTreeSet<Watched> =
        state.bfd.values().filter(|session| session.stand.failed).map(|session| session.watched).collect();
    if *next.bfd_failed != failed {
        next.bfd_failed = Arc::new(failed);
    }
    let mut sessions: HashMap<Watched, BfdSession> = HashMap::new();
    for session in state.bfd.values() {
        let Some(local) = state.bfd_end(&session.watched, session.local) else { continue };
        let session_of = BfdSession {
            id: session.id,
            local,
            least_ttl: session.least_ttl,
            min_tx: session.min_tx,
            min_rx: session.min_rx,
            multiplier: session.multiplier,
            admin_down: session.admin_down,
        };
        sessions.insert(session.watched, session_of);
    }
    if *next.bfd != sessions {
        next.bfd = Arc::new(sessions);
    }
}

/// What leads to whom a session watches that failed, or does so no more.
pub(super) fn touch(compiled: &Compiled, state: &State, dirty: &Dirty, touched: &mut Touched) {
    for watched in &dirty.ways {
        let (ways, far_end) = state.watched_ways(watched);
        touched.next_hops.extend(ways);
        touched.tunnels.extend(compiled.index.tunnels_within(far_end));
    }
}
