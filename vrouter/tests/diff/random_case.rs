//! A case that a seed decides.

use super::case::{Case, Event, Network};
use super::fabric::tagged;
use super::random::Random;
use super::traffic::Traffic;
use super::world::World;

pub fn random_case(seed: u64) -> Case {
    let mut random = Random::new(seed);
    let (mut world, objects) = World::random(&mut random);
    let mut traffic = Traffic::new();
    let mut events = Vec::new();
    let quiet = random.chance(30);
    for _ in 0..20 + random.below(50) {
        let mut again = false;
        let links = if world.restless { 14 } else { 5 };
        let event = match random.weighted(&[(if quiet { 400 } else { 82 }, 0), (8, 1), (4, 2), (6, 3), (links, 4)]) {
            0 => {
                let (port, bytes) = tagged(&world, traffic.next_frame(&world, &mut random), &mut random);
                Event::Frame { port, bytes }
            }
            1 => world.change(&mut random),
            2 => world.delete(&mut random),
            4 => {
                again = true;
                world.loss(&mut random)
            }
            _ => Event::Wait(random.weighted(&[(40, 100), (25, 1000), (15, 3500), (15, 12_000), (5, 35_000)])),
        };
        let gone = match &event {
            Event::Delete { kind, key } if kind == "vif" => key[1..].parse().ok(),
            _ => None,
        };
        events.push(event);
        if again {
            // what went a way, goes another
            let more = traffic.repeated(&world, &mut random);
            let more = more.into_iter().map(|frame| tagged(&world, frame, &mut random));
            events.extend(more.map(|(port, bytes)| Event::Frame { port, bytes }));
        }
        if let Some((port, bytes)) = gone.and_then(|vif| traffic.answer_to(&world, vif, &mut random)) {
            let (port, bytes) = tagged(&world, (port, bytes), &mut random);
            events.push(Event::Frame { port, bytes });
        }
    }
    Case { network: Network::Objects(objects), events }
}
