//! Quotas: who holds how many flow pairs, and what was taken of the rates. All workers share the accounts; only what has a bound is
//! counted but for flow pairs, which are counted when they begin and end, never by a packet of theirs.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use flowtable::{FlowTable, Handle, Pair, Pairs};

use crate::ids::{Place, Tick, VrfId};
use crate::tables::{Quota, Snapshot, TenantId, Vif};

/// Rows for the tunnel sides of VRFs: a VRF has the row of its number, modulo this.
pub const TUNNEL_ROWS: usize = 4096;
/// Searches for a holder's own pairs that find nothing, after which none is made until the next tick.
const BARREN: u64 = 64;
/// Places that one search looks at.
const LOOK: usize = 2048;
/// The owner of a place where no pair is: of no row and no tenant.
const NOBODY: u32 = Owner::ROW - 1;

/// Who holds a flow pair, as its entries tell: a row of accounts (20 bits), below its tenant's number (12 bits).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner(pub u32);

/// What was counted of everybody.
pub struct Accounts {
    /// Tunnel sides of VRFs, then VIFs by their slots, then nobody.
    rows: Box<[Account]>,
    /// By [`TenantId`].
    tenants: Box<[Account]>,
    /// Who holds each pair, by family and the pair's place: where to look for somebody's own.
    holders: [Box<[AtomicU32]>; 2],
}

/// Of one of them.
#[derive(Default)]
#[repr(align(64))]
pub struct Account {
    held: AtomicU32,
    meters: [Meter; 3],
    /// When a search found nothing (32 bits), and how many did so in that tick.
    barren: AtomicU64,
}

/// A rate that all workers share: a token bucket of at most a second's worth.
#[derive(Default)]
struct Meter {
    /// Filled when (32 bits), and with how many tokens.
    bucket: AtomicU64,
    taken: AtomicU32,
    /// About so many.
    refused: AtomicU32,
}

/// What has a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    NewFlows,
    Punts,
    Fragments,
}

/// Who pays, and the bounds.
#[derive(Clone, Copy, Debug)]
pub struct Purse<'a> {
    pub owner: Owner,
    own: &'a Quota,
    tenant: &'a Quota,
}

/// What of an account people are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    pub held: u32,
    /// Both go round.
    pub taken: [u32; 3],
    pub refused: [u32; 3],
}

/// Whose bound of flow pairs is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Own,
    Tenant,
}

impl Owner {
    const ROW: u32 = (1 << 20) - 1;

    fn new(row: usize, tenant: TenantId) -> Owner {
        Owner((row as u32 & Owner::ROW) | u32::from(tenant.0) << 20)
    }

    fn row(self) -> usize {
        (self.0 & Owner::ROW) as usize
    }

    fn tenant(self) -> TenantId {
        TenantId((self.0 >> 20) as u16)
    }

    /// Whether both are the same holder, or of the same tenant.
    #[inline]
    pub fn shares(self, other: Owner, scope: Scope) -> bool {
        match scope {
            Scope::Own => (self.0 ^ other.0) & Owner::ROW == 0,
            Scope::Tenant => self.0 >> 20 == other.0 >> 20,
        }
    }
}

impl Rate {
    /// All of them, in the order of a [`Used`].
    pub const ALL: [Rate; 3] = [Rate::NewFlows, Rate::Punts, Rate::Fragments];

    /// Its bound.
    #[inline]
    pub fn of(self, quota: &Quota) -> u32 {
        match self {
            Rate::NewFlows => quota.new_flows,
            Rate::Punts => quota.punts,
            Rate::Fragments => quota.fragments,
        }
    }
}

impl<'a> Purse<'a> {
    /// Of who has no quota.
    pub const NOBODYS: Purse<'static> = Purse { owner: Owner(Owner::ROW), own: &Quota::NONE, tenant: &Quota::NONE };

    /// Who pays for what enters, or is held, there.
    #[inline]
    pub fn of(snapshot: &'a Snapshot, place: Place) -> Purse<'a> {
        let vrf = |vrf: VrfId| snapshot.vrfs.row(vrf.index());
        let (row, own, vrf) = match place {
            Place::Vif(vif) => match snapshot.vifs.row(vif.index()) {
                Some(vif) => (row_of(vif), &vif.quota, vrf(vif.vrf)),
                None => (Owner::ROW as usize, &Quota::NONE, None),
            },
            Place::Tunnel(id) => {
                let vrf = vrf(id);
                (row_of_tunnels(id), vrf.map_or(&Quota::NONE, |vrf| &vrf.tunnel_quota), vrf)
            }
        };
        let tenant = vrf.map_or(TenantId::NONE, |vrf| vrf.tenant);
        let shared = if tenant == TenantId::NONE { None } else { snapshot.tenants.row(tenant.index()) };
        Purse { owner: Owner::new(row, tenant), own, tenant: shared.map_or(&Quota::NONE, |tenant| &tenant.quota) }
    }

    /// The own bound, and the tenant's.
    #[inline]
    fn bounds(&self, rate: Rate) -> [u32; 2] {
        [rate.of(self.own), rate.of(self.tenant)]
    }
}

fn row_of(vif: &Vif) -> usize {
    TUNNEL_ROWS + vif.slot
}

fn row_of_tunnels(vrf: VrfId) -> usize {
    vrf.index() % TUNNEL_ROWS
}

impl Accounts {
    /// For this many rows of VIFs, of flows in this table. Nothing is charged.
    pub fn new(vif_slots: usize, flows: &FlowTable) -> Accounts {
        let rows = |count: usize| (0..count).map(|_| Account::default()).collect();
        let holders = |pairs: u32| (0..pairs).map(|_| AtomicU32::new(NOBODY)).collect();
        Accounts {
            rows: rows(TUNNEL_ROWS + vif_slots + 1),
            tenants: rows(TenantId::MOST + 1),
            holders: [holders(flows.narrow().capacity()), holders(flows.wide().capacity())],
        }
    }

    /// Charges what the table holds, that may be another process's. Before workers begin, once.
    pub fn charge(&self, flows: &FlowTable) {
        each_owner(flows, |owner, wide, index| {
            self.take_up(owner);
            self.note(owner, wide, index);
        });
    }

    /// Bytes that accounts for so many VIFs take, but for [`Accounts::PER_PAIR`].
    pub fn bytes(vif_slots: usize) -> usize {
        (TUNNEL_ROWS + vif_slots + 1 + TenantId::MOST + 1) * size_of::<Account>()
    }

    /// Bytes for each flow pair that there is room for.
    pub const PER_PAIR: usize = size_of::<AtomicU32>();

    /// A pair was set up, and charged before.
    #[inline(always)]
    pub fn began(&self, owner: Owner, wide: bool, handle: Handle) {
        self.note(owner, wide, handle.index() / 2);
    }

    /// A pair has ended. (Its place may be another's already, whom a search does not find then.)
    #[inline(always)]
    pub fn ended<const K: usize>(&self, pair: &Pair<K>) {
        self.note(Owner(NOBODY), K > 2, pair.handle.index() / 2);
        self.release(Owner(pair.forward.1.owner));
    }

    #[inline(always)]
    fn note(&self, Owner(owner): Owner, wide: bool, place: u32) {
        if let Some(holder) = self.holders[usize::from(wide)].get(place as usize) {
            holder.store(owner, Relaxed);
        }
    }

    /// Places of pairs that probably are the holder's, or its tenant's, from the cursor on, which goes round: all among the next [`LOOK`], or as
    /// many as there is room for in `found`. Tells how many.
    pub fn look_for(&self, owner: Owner, scope: Scope, wide: bool, cursor: &mut u32, found: &mut [u32]) -> usize {
        let holders = &self.holders[usize::from(wide)];
        let mut count = 0;
        for _ in 0..holders.len().min(LOOK) {
            let at = if (*cursor as usize) < holders.len() { *cursor } else { 0 };
            *cursor = at + 1;
            if owner.shares(Owner(holders[at as usize].load(Relaxed)), scope) {
                found[count] = at;
                count += 1;
                if count == found.len() {
                    break;
                }
            }
        }
        count
    }

    #[inline]
    fn row(&self, owner: Owner) -> &Account {
        self.rows.get(owner.row()).unwrap_or(&self.rows[self.rows.len() - 1])
    }

    #[inline]
    fn tenant(&self, owner: Owner) -> Option<&Account> {
        if owner.tenant() == TenantId::NONE { None } else { self.tenants.get(owner.tenant().index()) }
    }

    /// The account and the tenant's; the one of no tenant is never asked for anything.
    fn both(&self, owner: Owner) -> [&Account; 2] {
        [self.row(owner), &self.tenants[owner.tenant().index()]]
    }

    /// Counts one more flow pair, unless that is more than the bounds allow.
    #[inline]
    pub fn hold(&self, purse: &Purse) -> Result<(), Scope> {
        let own = self.row(purse.owner);
        if !own.hold(purse.own.flows) {
            return Err(Scope::Own);
        }
        if let Some(tenant) = self.tenant(purse.owner)
            && !tenant.hold(purse.tenant.flows)
        {
            own.held.fetch_sub(1, Relaxed);
            return Err(Scope::Tenant);
        }
        Ok(())
    }

    /// One pair less: it was not set up after all, or has ended.
    #[inline(always)]
    pub fn release(&self, owner: Owner) {
        self.row(owner).held.fetch_sub(1, Relaxed);
        if let Some(tenant) = self.tenant(owner) {
            tenant.held.fetch_sub(1, Relaxed);
        }
    }

    fn take_up(&self, owner: Owner) {
        self.row(owner).held.fetch_add(1, Relaxed);
        if let Some(tenant) = self.tenant(owner) {
            tenant.held.fetch_add(1, Relaxed);
        }
    }

    /// Takes one of a rate, if the own bound and the tenant's allow it.
    #[inline]
    pub fn take(&self, purse: &Purse, rate: Rate, now: Tick) -> bool {
        let [own, tenant] = purse.bounds(rate);
        own | tenant == 0 || self.take_bounded(purse, rate, now)
    }

    fn take_bounded(&self, purse: &Purse, rate: Rate, now: Tick) -> bool {
        let ([own, tenant], [mine, ours]) = (purse.bounds(rate), self.both(purse.owner));
        let take = |bound, account: &Account| bound == 0 || account.meters[rate as usize].take(bound, now);
        take(own, mine) && take(tenant, ours)
    }

    /// Whether [`Accounts::take`] would find one.
    #[inline]
    pub fn has(&self, purse: &Purse, rate: Rate, now: Tick) -> bool {
        let [own, tenant] = purse.bounds(rate);
        own | tenant == 0 || self.has_bounded(purse, rate, now)
    }

    fn has_bounded(&self, purse: &Purse, rate: Rate, now: Tick) -> bool {
        let ([own, tenant], [mine, ours]) = (purse.bounds(rate), self.both(purse.owner));
        let has = |bound, account: &Account| bound == 0 || account.meters[rate as usize].filled(bound, now).0 > 0;
        has(own, mine) && has(tenant, ours)
    }

    /// What is left of a rate: of the own bound and of the tenant's, each with that bound, of which 0 is none.
    pub fn left(&self, purse: &Purse, rate: Rate, now: Tick) -> [(u32, u32); 2] {
        let ([own, tenant], [mine, ours]) = (purse.bounds(rate), self.both(purse.owner));
        let left = |bound, account: &Account| (account.meters[rate as usize].filled(bound, now).0, bound);
        [left(own, mine), left(tenant, ours)]
    }

    /// Flow pairs that the payer holds, and its tenant, each with its bound, of which 0 is none.
    pub fn held(&self, purse: &Purse) -> [(u32, u32); 2] {
        let [mine, ours] = self.both(purse.owner);
        [(mine.held.load(Relaxed), purse.own.flows), (ours.held.load(Relaxed), purse.tenant.flows)]
    }

    /// Whether a search for the holder's own pairs is worth while: not when many found nothing just now.
    pub fn may_search(&self, owner: Owner, scope: Scope, now: Tick) -> bool {
        let word = self.both(owner)[scope as usize].barren.load(Relaxed);
        (word >> 32) as u32 != now.0 || word & 0xffff_ffff < BARREN
    }

    /// A search found nothing.
    pub fn searched_in_vain(&self, owner: Owner, scope: Scope, now: Tick) {
        let barren = &self.both(owner)[scope as usize].barren;
        let word = barren.load(Relaxed);
        let times = if (word >> 32) as u32 == now.0 { word & 0xffff_ffff } else { 0 };
        barren.store(u64::from(now.0) << 32 | (times + 1), Relaxed);
    }

    /// A VIF is new: its rates are not what who had its slot before has left.
    pub fn renew(&self, vif: &Vif) {
        let meters = self.rows.get(row_of(vif)).into_iter().flat_map(|account| &account.meters);
        meters.for_each(|meter| meter.bucket.store(0, Relaxed));
    }

    /// What a VIF uses.
    pub fn of_vif(&self, vif: &Vif) -> Used {
        self.rows.get(row_of(vif)).map(Account::used).unwrap_or_default()
    }

    /// What a VRF's tunnels use.
    pub fn of_tunnels(&self, vrf: VrfId) -> Used {
        self.rows[row_of_tunnels(vrf)].used()
    }

    /// What a tenant uses.
    pub fn of_tenant(&self, tenant: TenantId) -> Used {
        self.tenants.get(tenant.index()).map(Account::used).unwrap_or_default()
    }

    /// Whether the counts are those of the pairs that are there; while nothing moves.
    pub fn agree_with(&self, flows: &FlowTable) -> bool {
        let counted = Accounts::new(self.rows.len() - TUNNEL_ROWS - 1, flows);
        counted.charge(flows);
        let same = |a: &[Account], b: &[Account]| a.iter().zip(b).all(|(a, b)| a.used().held == b.used().held);
        same(&self.rows, &counted.rows) && same(&self.tenants, &counted.tenants)
    }
}

fn each_owner(flows: &FlowTable, mut see: impl FnMut(Owner, bool, u32)) {
    fn of<const K: usize>(pairs: &Pairs<K>, wide: bool, see: &mut impl FnMut(Owner, bool, u32)) {
        if pairs.used() > 0 {
            let pairs = (0..pairs.capacity()).filter_map(|index| Some((index, pairs.outline(index)?.1.owner)));
            pairs.for_each(|(index, owner)| see(Owner(owner), wide, index));
        }
    }
    of(flows.narrow(), false, &mut see);
    of(flows.wide(), true, &mut see);
}

impl Account {
    #[inline]
    fn hold(&self, most: u32) -> bool {
        let before = self.held.fetch_add(1, Relaxed);
        let may = most == 0 || before < most;
        if !may {
            self.held.fetch_sub(1, Relaxed);
        }
        may
    }

    fn used(&self) -> Used {
        let load = |count: fn(&Meter) -> &AtomicU32| self.meters.each_ref().map(|meter| count(meter).load(Relaxed));
        Used { held: self.held.load(Relaxed), taken: load(|meter| &meter.taken), refused: load(|meter| &meter.refused) }
    }
}

impl Meter {
    fn take(&self, rate: u32, now: Tick) -> bool {
        let mut word = self.bucket.load(Relaxed);
        loop {
            let (tokens, filled) = Meter::refilled(word, rate, now);
            if tokens == 0 {
                self.refused.store(self.refused.load(Relaxed).wrapping_add(1), Relaxed);
                return false;
            }
            let next = u64::from(filled) << 32 | u64::from(tokens - 1);
            match self.bucket.compare_exchange_weak(word, next, Relaxed, Relaxed) {
                Ok(_) => break,
                Err(other) => word = other,
            }
        }
        self.taken.fetch_add(1, Relaxed);
        true
    }

    fn filled(&self, rate: u32, now: Tick) -> (u32, u32) {
        Meter::refilled(self.bucket.load(Relaxed), rate, now)
    }

    /// The tokens that a bucket has by now, and since when. One that was never used is full.
    fn refilled(word: u64, rate: u32, now: Tick) -> (u32, u32) {
        let (tokens, filled) = (word as u32, (word >> 32) as u32);
        if word == 0 {
            return (rate, now.0);
        }
        // another worker may be a tick ahead
        let ticks = if now.0.wrapping_sub(filled) < 1 << 31 { now.0.wrapping_sub(filled) } else { 0 };
        let more = u64::from(ticks) * u64::from(rate) / u64::from(Tick::PER_SECOND);
        let all = (u64::from(tokens) + more).min(u64::from(rate)) as u32;
        (all, if more > 0 { now.0 } else { filled })
    }
}
