//! DPDK devices as ports: the only module that knows both frames and mbufs.

pub use ffi::{
    Counters, DeviceError, Eal, EalConfig, EalError, LcoreError, LcoreRegistration, Memory, Mempool, MempoolConfig,
    MempoolError, Offloads, close_on_exec, cycles, cycles_hertz, inherited, pci_address, register_thread,
};

use std::num::NonZeroU8;

use super::traffic;
use super::{BURST, Frame, HEADROOM, IpChecksum, LARGE_ROOM, Port, ROOM, RxReport, Store, TxReport, Undone};
use crate::ids::Mac;
use crate::packet::ether;
use crate::packet::offload;

/// Devices that this DPDK was built for.
pub const MOST_PORTS: u32 = ffi::MOST_PORTS;
/// Descriptors of each queue, where the device does not insist on another number.
pub const DESCRIPTORS: u16 = 1024;
/// Mbufs that a worker's cache keeps for itself, at most 1.5 times this.
pub const CACHE: u32 = 256;
/// Bursts that are taken out of a device before it is closed: more than its queues hold, and an end to endless ones.
const SETTLE_BURSTS: usize = 2 * DESCRIPTORS as usize / BURST;
/// Ethernet's shortest frame without FCS.
const SHORTEST: u16 = 60;

const _: () = assert!(ffi::HEADROOM == super::HEADROOM);

/// How a device is started.
#[derive(Clone, Copy, Debug)]
pub struct DeviceConfig<'a> {
    /// Its name in the configuration.
    pub name: &'a str,
    /// What DPDK attaches ("net_tap0,iface=t0", "0000:01:00.0").
    pub devargs: &'a str,
    /// Queue pairs wanted: one for each worker. The device may have fewer.
    pub queue_pairs: u16,
    /// L3 MTU in bytes; absent: the device's own.
    pub mtu: Option<u16>,
    /// Where frames are put together that the pool's buffers are too small for; absent: they are dropped.
    pub large: Option<Mempool>,
}

/// Control side of a device. Any thread but workers.
#[derive(Clone, Debug)]
pub struct DpdkDevice {
    name: String,
    devargs: String,
    queue_pairs: u16,
    device: ffi::Device,
}

/// One queue pair of a device: one worker's.
pub struct DpdkPort {
    queues: ffi::QueuePair,
    pool: Mempool,
    large: Option<Mempool>,
    /// On their way between frames and queue; empty between calls.
    mbufs: Vec<ffi::Mbuf>,
    /// Frames of the burst for whose copy there was no mbuf; empty between calls.
    no_mbuf: Vec<Frame>,
    /// Shorter frames are padded to this.
    shortest: u16,
    /// Its peer is a guest, which leaves work undone.
    of_guest: bool,
}

/// A worker's way to a pool, a burst at once: what sources and sinks have instead of a device.
pub struct Buffers {
    pool: Mempool,
    /// On their way; empty between calls.
    mbufs: Vec<ffi::Mbuf>,
}

/// What a pool's buffers are for; their sum is its size.
#[derive(Clone, Copy, Debug, Default)]
pub struct PoolParts {
    /// Queue pairs of all devices: each may fill its rx and its tx ring.
    pub queue_pairs: u32,
    /// Workers: each has its cache, and a burst on its way in and out.
    pub workers: u32,
    /// Frames in handover rings and in hold queues.
    pub held: u32,
}

impl PoolParts {
    /// Buffers in all.
    pub fn size(&self) -> u32 {
        let worker = CACHE * 3 / 2 + 2 * BURST as u32;
        self.queue_pairs * 2 * u32::from(DESCRIPTORS) + self.workers * worker + self.held
    }

    /// Their memory in bytes: room, DPDK's two headers, a place in the ring.
    pub fn bytes(&self) -> u64 {
        u64::from(self.size()) * (ROOM as u64 + 128 + 64 + 16)
    }

    /// MiB that an EAL without huge pages needs for them, with some for what drivers take.
    pub fn eal_mib(&self) -> u32 {
        (self.bytes() >> 20) as u32 + 32
    }
}

/// A pool whose buffers hold what a heap frame holds. `size` is [`PoolParts::size`] or more. Control thread, at
/// start.
pub fn mempool(eal: &Eal, name: &str, size: u32, cache: u32) -> Result<Mempool, MempoolError> {
    mempool_of(eal, name, (size, cache), (ROOM - HEADROOM) as u16)
}

/// The same, whose buffers hold frames of so many bytes.
pub fn mempool_of(eal: &Eal, name: &str, (size, cache): (u32, u32), frame: u16) -> Result<Mempool, MempoolError> {
    Mempool::create(eal, &MempoolConfig { name, size, cache, room: frame.saturating_add(HEADROOM as u16) })
}

/// A pool of so many buffers for frames of any size. Control thread, at start.
pub fn large_mempool(eal: &Eal, name: &str, size: u32) -> Result<Mempool, MempoolError> {
    Mempool::create(eal, &MempoolConfig { name, size, cache: 0, room: LARGE_ROOM as u16 })
}

impl DpdkDevice {
    /// Attaches and starts a device. Returns its control side and its queue pairs, at least one and at most what was asked
    /// for; when they are fewer, the other workers send through [`super::handover`]. Control thread, at start. The device
    /// stops when this and all its ports are dropped.
    pub fn start(eal: &Eal, config: &DeviceConfig, pool: &Mempool) -> Result<(DpdkDevice, Vec<DpdkPort>), DeviceError> {
        let DeviceConfig { name, devargs, queue_pairs, mtu, large } = *config;
        let wanted = ffi::DeviceConfig { devargs, queue_pairs, mtu, descriptors: DESCRIPTORS, pool: *pool, large };
        let (device, pairs) = ffi::Device::start(eal, &wanted)?;
        // Drivers of NICs leave short frames to the application, or refuse them; virtual devices carry them as they are.
        let shortest = if pci_address(devargs).is_some() { SHORTEST } else { 0 };
        let ports: Vec<DpdkPort> =
            pairs.into_iter().map(|queues| DpdkPort::new(queues, (*pool, large), shortest)).collect();
        let (name, devargs, queue_pairs) = (name.to_owned(), devargs.to_owned(), ports.len() as u16);
        Ok((DpdkDevice { name, devargs, queue_pairs, device }, ports))
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What DPDK attached.
    pub fn devargs(&self) -> &str {
        &self.devargs
    }

    /// Queue pairs in use.
    pub fn queue_pairs(&self) -> u16 {
        self.queue_pairs
    }

    /// Its MAC address at its start.
    pub fn mac(&self) -> Mac {
        Mac(self.device.mac())
    }

    /// Its L3 MTU in bytes.
    pub fn mtu(&self) -> u16 {
        self.device.mtu()
    }

    /// Whether the link is up; a device that cannot say counts as up.
    pub fn link_up(&self) -> bool {
        self.device.link_up().unwrap_or(true)
    }

    /// Its own counters: `rx_missed`, `rx_no_mbuf` and `rx_errors` are drops of these names.
    pub fn counters(&self) -> Counters {
        self.device.counters()
    }

    /// Whether its peer is a guest.
    pub fn has_guest(&self) -> bool {
        self.device.has_guest()
    }

    /// Offloads that are on.
    pub fn offloads(&self) -> Offloads {
        self.device.offloads()
    }
}

impl DpdkPort {
    fn new(queues: ffi::QueuePair, (pool, large): (Mempool, Option<Mempool>), shortest: u16) -> DpdkPort {
        let (mbufs, no_mbuf) = (Vec::with_capacity(BURST), Vec::with_capacity(BURST));
        let of_guest = queues.tx.guest().is_some();
        DpdkPort { queues, pool, large, mbufs, no_mbuf, shortest, of_guest }
    }

    /// The mbuf to send for a frame: its own, or a fresh one with a copy. Gives the frame back when there is none.
    fn mbuf_of(&self, mut frame: Frame) -> Result<ffi::Mbuf, Frame> {
        let left = if frame.undone.is_any() { self.left_to_guest(&mut frame) } else { None };
        if left.is_none() && frame.undone.is_any() {
            return Err(frame);
        }
        let in_device = frame.tx_ip_checksum.filter(|_| self.queues.tx.completes_ip_checksum());
        if in_device.is_none() {
            frame.finish_outer_checksum();
        }
        let (start, mut len) = (frame.start(), frame.len() as u16);
        let mut mbuf = match frame.into_store() {
            Store::Mbuf(mbuf) => mbuf,
            Store::Heap(room) => {
                let window = usize::from(start)..usize::from(start + len);
                let fits = window.end <= usize::from(self.pool.room());
                let pool = if fits { Some(&self.pool) } else { self.large.as_ref() };
                let Some(mut mbuf) = pool.and_then(Mempool::alloc) else {
                    return Err(Frame::new(Store::Heap(room), start, len));
                };
                mbuf.room_mut()[window.clone()].copy_from_slice(&room.bytes()[window]);
                mbuf
            }
        };
        if len < self.shortest {
            mbuf.room_mut()[usize::from(start + len)..usize::from(start + self.shortest)].fill(0);
            len = self.shortest;
        }
        mbuf.set_window(start, len);
        if let Some(l3) = in_device {
            mbuf.request_tx_ip_checksum(l3.get(), 20);
        }
        if let Some((what, lengths)) = left {
            mbuf.leave_undone(what, lengths);
        }
        Ok(mbuf)
    }

    /// What a guest is left to do of this frame. What it does not take is done here, but that nobody cuts a large segment.
    #[cold]
    fn left_to_guest(&self, frame: &mut Frame) -> Option<(ffi::LeftUndone, ffi::Lengths)> {
        let l2 = ether::packet_of(frame.bytes());
        let guest = self.queues.tx.guest().filter(|guest| guest.polls);
        let headers = guest.and_then(|guest| Some((guest, offload::Headers::of(frame.bytes().get(l2..)?)?)));
        if let (Some((guest, offload::Headers { l3, l4, v6, tcp })), Ok(l2)) = (headers, l2.try_into()) {
            let lengths = ffi::Lengths { l2, l3, l4, v6, tcp };
            match frame.undone.segment() {
                None => return Some((ffi::LeftUndone::Checksum, lengths)),
                Some(each) if tcp && (if v6 { guest.tso6 } else { guest.tso4 }) => {
                    return Some((ffi::LeftUndone::Segments(each), lengths));
                }
                Some(_) => {}
            }
        }
        frame.complete(l2);
        None
    }
}

impl Buffers {
    /// Those of this pool.
    pub fn of(pool: Mempool) -> Buffers {
        Buffers { pool, mbufs: Vec::with_capacity(BURST) }
    }
}

impl traffic::Buffers for Buffers {
    #[inline]
    fn take(&mut self, frames: &mut Vec<Frame>, count: usize) {
        self.pool.alloc_bulk(&mut self.mbufs, count.min(frames.capacity() - frames.len()));
        frames.extend(self.mbufs.drain(..).map(|mbuf| Frame::new(Store::Mbuf(mbuf), HEADROOM as u16, 0)));
    }

    #[inline]
    fn give_back(&mut self, frames: &mut Vec<Frame>) {
        for frame in frames.drain(..) {
            match frame.into_store() {
                Store::Mbuf(mbuf) => self.mbufs.push(mbuf),
                Store::Heap(room) => drop(room),
            }
            if self.mbufs.len() == BURST {
                ffi::Mbuf::free_bulk(&mut self.mbufs);
            }
        }
        ffi::Mbuf::free_bulk(&mut self.mbufs);
    }
}

impl Port for DpdkPort {
    fn rx(&mut self, frames: &mut Vec<Frame>) -> RxReport {
        let burst = self.queues.rx.rx_burst(&mut self.mbufs, BURST.min(frames.capacity() - frames.len()));
        let (before, mut undone) = (frames.len(), false);
        if self.of_guest {
            frames.extend(self.mbufs.drain(..).map(frame_of_guest));
            undone = frames[before..].iter().any(|frame| frame.undone.is_any());
        } else {
            frames.extend(self.mbufs.drain(..).map(frame_of));
        }
        RxReport { frames: burst.received, multi_segment: burst.multi_segment, handed_over: 0, undone }
    }

    fn tx(&mut self, frames: &mut Vec<Frame>) -> TxReport {
        let mut report = TxReport::default();
        while !frames.is_empty() {
            let taken = frames.len().min(BURST);
            let bytes = self.offer(frames, taken);
            let offered = self.mbufs.len();
            let sent = self.queues.tx.tx_burst(&mut self.mbufs);
            let kept: usize = self.mbufs.iter().map(|mbuf| usize::from(mbuf.data_len())).sum();
            report.frames += sent;
            report.bytes += bytes - kept;
            if sent == offered && self.no_mbuf.is_empty() {
                continue;
            }
            // Back to the front, within the capacity that they left.
            let refused = self.mbufs.len() + self.no_mbuf.len();
            frames.extend(self.mbufs.drain(..).map(frame_again));
            frames.append(&mut self.no_mbuf);
            frames.rotate_right(refused);
            break;
        }
        report
    }

    fn takes_segments(&self, v6: bool) -> bool {
        self.queues.tx.guest().is_some_and(|guest| guest.polls && if v6 { guest.tso6 } else { guest.tso4 })
    }

    fn is_open(&self) -> bool {
        self.queues.tx.guest().is_none_or(|guest| guest.polls)
    }

    /// Frees what the device has received: some (net_ring) would take it with them.
    fn settle(&mut self) {
        for _ in 0..SETTLE_BURSTS {
            if self.queues.rx.rx_burst(&mut self.mbufs, BURST).received == 0 {
                break;
            }
            self.mbufs.clear();
        }
    }
}

impl DpdkPort {
    /// Moves the first `taken` frames to `mbufs`, or to `no_mbuf`. Returns the bytes in `mbufs`.
    fn offer(&mut self, frames: &mut Vec<Frame>, taken: usize) -> usize {
        let mut bytes = 0;
        for frame in frames.drain(..taken) {
            match self.mbuf_of(frame) {
                Ok(mbuf) => {
                    bytes += usize::from(mbuf.data_len());
                    self.mbufs.push(mbuf);
                }
                Err(frame) => self.no_mbuf.push(frame),
            }
        }
        bytes
    }
}

/// A frame that its device did not take, with what was to be done to it.
#[cold]
fn frame_again(mbuf: ffi::Mbuf) -> Frame {
    let l3 = mbuf.tx_ip_checksum();
    let mut frame = frame_of_guest(mbuf);
    frame.tx_ip_checksum = l3.and_then(NonZeroU8::new);
    frame
}

/// The same as [`frame_of`], with what a guest left undone.
#[inline]
fn frame_of_guest(mbuf: ffi::Mbuf) -> Frame {
    let undone = match mbuf.left_undone() {
        ffi::LeftUndone::Nothing => Undone::NOTHING,
        ffi::LeftUndone::Checksum => Undone::CHECKSUM,
        ffi::LeftUndone::Segments(each) => Undone::segments(each),
    };
    let mut frame = frame_of(mbuf);
    frame.undone = undone;
    frame
}

#[inline]
fn frame_of(mbuf: ffi::Mbuf) -> Frame {
    let (start, len) = (mbuf.data_off(), mbuf.data_len());
    let rx_ip_checksum = match mbuf.rx_ip_checksum() {
        ffi::RxChecksum::Unknown => IpChecksum::Unknown,
        ffi::RxChecksum::Good => IpChecksum::Good,
        ffi::RxChecksum::Bad => IpChecksum::Bad,
    };
    let mut frame = Frame::new(Store::Mbuf(mbuf), start, len);
    frame.rx_ip_checksum = rx_ip_checksum;
    frame
}
