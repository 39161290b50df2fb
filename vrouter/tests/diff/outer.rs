//! Outer packets that the underlay fragments: in order and not, doubled, overlapping, with a piece that is lost.

use super::packets::checksum;
use super::random::Random;
use super::traffic::Traffic;
use super::world::World;

const LINK: usize = 14;

impl Traffic {
    /// The next frame, and the port where it comes in.
    pub fn next_frame(&mut self, world: &World, random: &mut Random) -> (usize, Vec<u8>) {
        if random.chance(85)
            && let Some(next) = self.outer.pop()
        {
            return next;
        }
        let (port, frame) = self.frame(world, random);
        if !self.outer.is_empty() || ![0, 7].contains(&port) || !random.chance(9) {
            return (port, frame);
        }
        let pieces = cut(&frame, random).unwrap_or_default();
        self.outer = pieces.into_iter().rev().map(|piece| (port, piece)).collect();
        self.outer.pop().unwrap_or((port, frame))
    }
}

/// A whole packet of IPv4 without options, or of IPv6 without extensions, of UDP or GRE, in pieces.
fn cut(frame: &[u8], random: &mut Random) -> Option<Vec<Vec<u8>>> {
    let l3 = frame.get(LINK..)?;
    let v6 = l3.first()? >> 4 == 6;
    let (header, at) = if v6 { (40, 6) } else { (20, 9) };
    let whole = v6 || l3.get(..8).is_some_and(|l3| l3[0] == 0x45 && l3[6] & 0x3f == 0 && l3[7] == 0);
    if l3.len() < header + 40 || ![17, 47].contains(&l3[at]) || !whole {
        return None;
    }
    let length = usize::from(u16::from_be_bytes(if v6 { [l3[4], l3[5]] } else { [l3[2], l3[3]] }));
    let payload = l3.get(header..if v6 { 40 + length } else { length })?.to_vec();
    let id = 0x3000 + random.below(3) as u32;
    let step = random.pick(&[16, 16, 24, 40, 48]);
    let ends = payload.len();
    let mut pieces: Vec<(usize, usize)> = (0..ends).step_by(step).map(|at| (at, ends.min(at + step))).collect();
    // few, of which the last has the rest
    let most = random.pick(&[2, 2, 3, 4, 18]);
    if pieces.len() > most {
        pieces.truncate(most);
        pieces[most - 1].1 = ends;
    }
    let one = random.below(pieces.len());
    match random.weighted(&[(40, 0), (25, 1), (8, 2), (9, 3), (9, 4), (4, 5), (5, 6)]) {
        1 => pieces.rotate_left(one),
        2 => _ = pieces.remove(one),
        3 => pieces.insert(one, pieces[one]),
        4 => pieces.insert(one, (pieces[one].0, ends.min(pieces[one].1 + 8))),
        5 => pieces.push((9600, 9600)),
        6 => pieces.push((pieces[one].0, pieces[one].0.max(pieces[one].1 - 3))),
        _ => {}
    }
    let marked = random.chance(10).then_some(one);
    let pieces = pieces.into_iter().enumerate().map(|(number, (from, to))| {
        let data = if from < ends { payload[from..to].to_vec() } else { vec![0x5a; 16] };
        let more = to < ends;
        let field = (from as u16 / 8) << if v6 { 3 } else { 0 };
        let mut packet = l3[..header].to_vec();
        if v6 {
            packet[4..6].copy_from_slice(&((8 + data.len()) as u16).to_be_bytes());
            packet[6] = 44;
            packet.extend([l3[6], 0]);
            packet.extend((field | u16::from(more)).to_be_bytes());
            packet.extend(id.to_be_bytes());
            packet[1] |= if marked == Some(number) { 0x30 } else { 0 };
        } else {
            packet[2..4].copy_from_slice(&((20 + data.len()) as u16).to_be_bytes());
            packet[4..6].copy_from_slice(&(id as u16).to_be_bytes());
            packet[6..8].copy_from_slice(&(field | if more { 0x2000 } else { 0 }).to_be_bytes());
            packet[1] |= if marked == Some(number) { 3 } else { 0 };
            packet[10..12].fill(0);
            let sum = checksum(0, &packet);
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        [&frame[..LINK], &packet, &data].concat()
    });
    Some(pieces.collect())
}
