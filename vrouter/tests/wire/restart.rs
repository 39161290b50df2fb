//! Restarts: a vRouter ends as by SIGKILL, and one that adopts its flows takes its place, ports and frames on wires gone.
// Not every test binary restarts.
#![allow(dead_code)]

use flowtable::{FlowTable, Region};
use vrouter::api::v1;
use vrouter::control::Request;
use vrouter::daemon::clock::tick_at;
use vrouter::daemon::flow_file::{Left, Numbering, Refused, Sizes};
use vrouter::tables::Snapshot;

use super::{Lab, Rig, Setup, changes};

/// Numbers that a lab's flow file has room for.
const RECORDS: usize = 200;
/// The boot of the host.
pub const BOOT: u64 = 5;

impl Setup {
    fn sizes(&self) -> Sizes {
        Sizes { table: self.flow_config(), records: RECORDS, boot: BOOT }
    }

    /// An empty table with room for its numbering, as a flow file is.
    pub(super) fn flows_to_leave(&self) -> FlowTable {
        let sizes = self.sizes();
        let table = FlowTable::create(Region::heap(sizes.bytes().unwrap()).unwrap(), &sizes.table).unwrap();
        Numbering::begin(table.spare(), sizes.table.seed, &sizes, &Snapshot::default());
        table
    }
}

impl Rig {
    /// The words of its flow file, as they are now.
    pub fn left(&self) -> Vec<u64> {
        self.shared.flows.region().to_words()
    }

    /// What it says of the flows that it found.
    pub fn flow_file(&mut self) -> v1::FlowFile {
        self.ask(|reply| Request::Status { reply }).flow_file.unwrap_or_default()
    }

    /// A vRouter with these objects from its start that adopts what is in these words.
    fn successor(workers: usize, setup: &Setup, now: u64, words: &[u64]) -> Result<Rig, Refused> {
        let left = Left::of(Region::from_words(words).unwrap(), &setup.sizes())?;
        let mut model = setup.model(workers);
        model.begin_after(left.generation());
        model.apply("", &changes(&setup.network)).unwrap_or_else(|refused| panic!("{refused:?}"));
        let (flows, told) = left.adopt(&setup.sizes(), &model.snapshot(), tick_at(now)).expect("it was read");
        let mut rig = Rig::of(workers, setup, now, model, flows);
        rig.control.tell_of_flow_file(Some(told));
        Ok(rig)
    }
}

impl Lab {
    /// One rig with a flow file.
    pub fn with_flow_file(workers: usize, setup: &Setup) -> Lab {
        Lab::with(workers, &[&Setup { flow_file: true, ..setup.clone() }])
    }

    /// A is killed, and one with this set-up adopts what it left, so many milliseconds later.
    pub fn restart(&mut self, setup: &Setup, outage: u64) -> v1::FlowFile {
        let words = self.rig().left();
        self.succeed(setup, outage, &words)
    }

    /// The same with what A left as these words.
    pub fn succeed(&mut self, setup: &Setup, outage: u64, words: &[u64]) -> v1::FlowFile {
        self.discard();
        self.now += outage;
        let workers = self.rig().workers.len();
        let rig = Rig::successor(workers, setup, self.now, words).unwrap_or_else(|refused| panic!("{refused}"));
        self.rigs[0] = rig;
        self.run();
        self.rig().flow_file()
    }

    /// What one that finds these words says of them, if it refuses them.
    pub fn refusal(&self, setup: &Setup, words: &[u64]) -> Option<Refused> {
        Rig::successor(1, setup, self.now, words).err()
    }
}
