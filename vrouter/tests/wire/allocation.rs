//! Workers allocate and free nothing: every test here runs under an allocator that ends the process when one does, and this is
//! how that looks.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use vrouter::datapath::Worker;
use vrouter::ids::{Tick, WorkerIndex};
use vrouter::port::{Frame, Port, RxReport, TxReport};

use super::frames::frame;
use super::lab::{Lab, scenario};
use super::network::{RA, UP};

/// Set in the child process that is to end.
const PLANTED: &str = "VROUTER_TEST_PLANTED_ALLOCATION";

/// A port that does not keep the contract.
struct Greedy(Option<Box<u64>>, Option<Frame>);

impl Port for Greedy {
    fn rx(&mut self, frames: &mut Vec<Frame>) -> RxReport {
        match self.0.take() {
            // this one frees
            Some(_) => {}
            None => frames.extend(self.1.take()),
        }
        RxReport { frames: frames.len(), ..RxReport::default() }
    }

    fn tx(&mut self, _: &mut Vec<Frame>) -> TxReport {
        TxReport::default()
    }
}

/// Ends this process as a child that is told to do the planted thing; what it says at its end.
fn child(planted: &str) -> String {
    let test = std::env::current_exe().expect("this test");
    let name = "allocation::a_worker_that_allocates_or_frees_ends_the_process";
    let child = Command::new(test).args([name, "--exact", "--nocapture"]).env(PLANTED, planted).output();
    let child = child.expect("a child process");
    assert_eq!(child.status.signal(), Some(6), "{planted}: it was to abort: {child:?}");
    String::from_utf8_lossy(&child.stderr).into_owned()
}

#[test]
fn a_worker_that_allocates_or_frees_ends_the_process() {
    let Ok(planted) = std::env::var(PLANTED) else {
        for (planted, says) in [("free", "frees 8 bytes"), ("frame", "frees 2"), ("slot", "allocates ")] {
            let said = child(planted);
            assert!(said.contains(says) && said.contains("where nothing may allocate"), "{planted}: {said}");
            // by its file: in optimised builds names are short
            assert!(said.contains("src/datapath/mod.rs"), "the backtrace says where: {said}");
        }
        return;
    };
    let lab = Lab::a(1);
    let shared = lab.rigs[0].shared.clone();
    let poll = |port: Greedy| Worker::new(WorkerIndex(0), shared.clone(), vec![Some(Box::new(port))]).poll(Tick(1));
    match &*planted {
        "free" => poll(Greedy(Some(Box::new(1)), None)),
        // a frame of no rooms: dropped on the worker, it is freed there
        "frame" => poll(Greedy(None, Frame::from_bytes(b"short"))),
        // a thread that did not settle
        _ => {
            let mut worker = Worker::new(WorkerIndex(0), shared.clone(), Vec::new());
            std::thread::spawn(move || worker.poll(Tick(1))).join().expect("it does not come back")
        }
    };
}

/// The frames of what the slow path sends come back, whether they are sent, refused or dropped.
#[test]
fn the_slow_path_s_frames_go_round() {
    scenario("injected-frames", Lab::a, |lab| {
        for _ in 0..300 {
            for name in ["arp.gateway", "echo4.gateway", "nd.gateway"] {
                lab.put(RA, name);
            }
            lab.put_bytes(UP, frame("udp4.vxlan.back"));
            lab.run();
            lab.now += 100;
            lab.discard();
        }
        let answered: u64 = lab.rig().stats().conservation.unwrap().originated;
        assert!(answered > 600, "{answered}");
        for end in &lab.rigs[0].shared.workers {
            assert_eq!(end.rings.injected.in_use(), 0);
            assert!(end.rings.injected.idle() < 8, "as few frames as there are under way at once");
        }
    });
}
