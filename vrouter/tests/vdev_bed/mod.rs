//! What the tests on DPDK's virtual devices share: one EAL per process, pools, pcap files.
#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use vrouter::port::dpdk::{DeviceConfig, DeviceError, DpdkDevice, DpdkPort, Eal, EalConfig, Memory, Mempool, mempool};
use vrouter::port::{BURST, Frame, Port, RxReport};

/// Set in a process whose EAL is to take huge pages.
pub const HUGE: &str = "VROUTER_TEST_HUGE_PAGES";

/// The EAL of this process: without huge pages, or with them where [`HUGE`] is set.
pub fn eal() -> Eal {
    static EAL: OnceLock<Eal> = OnceLock::new();
    let plain = || EalConfig::no_huge(&format!("vt-ffi-{}", std::process::id()), 256);
    *EAL.get_or_init(|| match std::env::var_os(HUGE) {
        None => Eal::init(&plain()).unwrap(),
        Some(_) => Eal::init(&EalConfig { memory: Memory::Huge { mib: None }, ..plain() }).unwrap(),
    })
}

const PAGES: u32 = 64;
/// Times that the kernel is asked for them, a tenth of a second apart.
const ASKED: usize = 300;
const RESERVED: &str = "/proc/sys/vm/nr_hugepages";
/// Tests of one process reserve and give back in turn.
static TURN: Mutex<()> = Mutex::new(());

/// 64 huge pages of 2 MiB, given back when dropped. Needs root.
pub struct Reservation;

impl Reservation {
    pub fn take() -> Reservation {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let before = reserved();
        let mut taken = before;
        // the kernel may find some only when it is asked again: files fill the memory, in pieces
        for _ in 0..ASKED {
            fs::write(RESERVED, (before + PAGES).to_string()).expect("huge pages are reserved by root");
            taken = reserved();
            if taken >= before + PAGES {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        if taken < before + PAGES {
            fs::write(RESERVED, before.to_string()).unwrap();
            panic!(
                "this test needs {PAGES} more huge pages of 2 MiB, the kernel grants {}",
                taken.saturating_sub(before)
            );
        }
        Reservation
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        fs::write(RESERVED, reserved().saturating_sub(PAGES).to_string()).unwrap();
    }
}

fn reserved() -> u32 {
    fs::read_to_string(RESERVED).unwrap().trim().parse().unwrap()
}

/// A pool of its own for a test, so that its count is the test's alone.
pub fn pool(name: &str, size: u32) -> Mempool {
    let pool = mempool(&eal(), name, size, 0).unwrap();
    assert_eq!(huge_kib() > 0, std::env::var_os(HUGE).is_some(), "memory from other pages than asked for");
    pool
}

/// KiB of huge pages that this process has.
pub fn huge_kib() -> u32 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("HugetlbPages:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// Starts a device with the device's own MTU.
pub fn start(devargs: &str, queue_pairs: u16, pool: &Mempool) -> Result<(DpdkDevice, Vec<DpdkPort>), DeviceError> {
    DpdkDevice::start(&eal(), &DeviceConfig { name: "p", devargs, queue_pairs, mtu: None, large: None }, pool)
}

/// A device with one queue pair.
pub fn one(devargs: &str, pool: &Mempool) -> (DpdkDevice, DpdkPort) {
    let (device, mut ports) = start(devargs, 1, pool).unwrap();
    assert_eq!(ports.len(), 1);
    (device, ports.remove(0))
}

/// A frame of the local experimental ethertype (IEEE 802): no kernel answers it.
pub fn frame(number: u8, len: usize) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5];
    bytes.resize(len, number);
    bytes
}

/// Those bytes as heap frames.
pub fn heap<'a>(frames: impl IntoIterator<Item = &'a Vec<u8>>) -> Vec<Frame> {
    frames.into_iter().map(|bytes| Frame::from_bytes(bytes).unwrap()).collect()
}

/// The bytes of those frames.
pub fn bytes(frames: &[Frame]) -> Vec<Vec<u8>> {
    frames.iter().map(|frame| frame.bytes().to_vec()).collect()
}

/// Polls until `count` frames came; fails when they don't come in ten seconds.
pub fn rx_until(port: &mut impl Port, count: usize) -> (Vec<Frame>, RxReport) {
    let (mut frames, mut total) = (Vec::with_capacity(count + BURST), RxReport::default());
    let deadline = Instant::now() + Duration::from_secs(10);
    while total.frames < count {
        let report = port.rx(&mut frames);
        total.frames += report.frames;
        total.multi_segment += report.multi_segment;
        assert!(Instant::now() < deadline, "{count} frames were to come, {total:?} came");
        if report.frames == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    (frames, total)
}

/// A path in the target folder's scratch space, of this process alone.
pub fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()))
}

/// Writes a pcap file (libpcap's format 2.4, Ethernet).
pub fn write_pcap(path: &Path, frames: &[Vec<u8>]) {
    let mut file = Vec::new();
    file.extend(0xa1b2_c3d4_u32.to_le_bytes());
    file.extend([2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 1, 0, 0, 0]);
    for (number, frame) in frames.iter().enumerate() {
        for word in [number as u32, 0, frame.len() as u32, frame.len() as u32] {
            file.extend(word.to_le_bytes());
        }
        file.extend(frame);
    }
    fs::write(path, file).unwrap();
}

/// The frames of a pcap file, whole.
pub fn read_pcap(path: &Path) -> Vec<Vec<u8>> {
    let file = fs::read(path).unwrap();
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
    let (mut at, mut frames) = (24, Vec::new());
    while at < file.len() {
        let (captured, original) = (word(at + 8), word(at + 12));
        assert_eq!(captured, original, "frame {} is cut", frames.len());
        frames.push(file[at + 16..at + 16 + captured].to_vec());
        at += 16 + captured;
    }
    frames
}
