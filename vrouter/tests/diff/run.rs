//! Runs: kept cases, a short one from a fixed seed, and a long one that must see everything.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flowtable::Level;
use vrouter::drops::DropReason;

use crate::case::{Case, Kept};
use crate::duel::{Difference, Hits, How, WAYS, duel, settled};
use crate::random_case::random_case;
use crate::replay::replay;
use crate::shrink::shrink;

/// Cases of the short run.
const SHORT: u64 = 30;

/// Reasons that no frame on these wires comes to, and why. Each is provoked in `wire/reasons.rs`.
const OUT_OF_REACH: &[(&str, &str)] = &[
    ("rx_missed", "a device's counter"),
    ("rx_no_mbuf", "a device's counter"),
    ("rx_errors", "a device's counter"),
    ("multi_segment", "a device with small buffers"),
    ("exception_budget", "fewer frames than a tenth of a second may have"),
    ("next_hop_gone", "a port where the worker has no queue"),
    ("flow_budget", "budgets are high here, so that outcomes do not hang on the order of frames"),
    ("flow_table_full", "the table is never full here: the model has no table"),
    ("fragment_hold_full", "fewer fragments than may wait"),
    ("outer_fragment_full", "fewer outer packets in fragments than have room"),
    ("piece_no_room", "fewer pieces than have room"),
    ("no_headroom", "a device without headroom"),
    ("flood_budget", "budgets are high here"),
    ("flood_no_room", "more copies than are made here"),
    ("neighbour_hold_full", "more frames than wait here"),
    ("punt_budget", "budgets are high here"),
    ("punt_ring_full", "the control thread is never late here"),
    ("tx_handover_full", "a port with fewer queues than workers"),
    ("tx_refused", "wires are wide here"),
];

/// What the model names when it takes part; a run that sees one never has not tried it.
#[rustfmt::skip]
const FEATURES: &[&str] = &[
    "redirected_by_sender", "redirected_by_vrf", "redirected_by_receiver", "flow_from_service",
    "answer_to_vif", "answered", "arp_own", "arp_proxy", "closing", "congestion_in_label", "congestion_to_label", "echo4", "echo6", "established", "flow_after_change",
    "flow_aged", "fragment_follows", "fragment_of_dropped_head", "fragment_of_two_heads", "fragment_released", "fragment_split", "fragment_waits", "flow_forward", "flow_moved", "flow_new", "flow_place_gone", "flow_reverse", "from_label",
    "from_geneve", "from_geneve6", "from_label_to_vif", "by_other_uplink", "geneve_options", "from_mpls_gre", "from_mpls_gre6", "from_mpls_udp", "from_mpls_udp6", "from_vif", "from_vxlan",
    "from_vxlan6", "held", "icmp_error_of_flow",
    "kernel_has", "kernel_has_neighbours", "kernel_sent", "kernel_sent_tagged", "label_tc_uniform", "label_ttl_taken", "label_ttl_uniform", "mss_at_odd_place", "mss_fits", "mss_from_tunnel", "mss_to_tunnel", "later_fragment", "link_through_geneve", "link_through_geneve6", "link_through_vxlan", "link_through_vxlan6", "nd_own", "nd_proxy", "neighbour_asked", "neighbour_confirmed",
    "neighbour_forgotten", "neighbour_learnt", "neighbour_probed", "opening", "packet_mode", "path_backup", "path_by_fields", "path_by_hash", "path_changed_in_group", "path_left", "path_named", "path_of_answers_named", "path_of_group", "path_of_tunnels", "path_of_vifs", "path_open", "pipe_from_tunnel", "pipe_to_tunnel", "outer_piece", "outer_piece_again", "outer_whole", "outer_whole6", "released", "remarked_by_tunnel",
    "reverse_key_gives_way", "reverse_key_in_use", "router_asked", "router_ends", "router_moved", "router_unasked", "tcp_reopened", "to_geneve", "to_geneve6", "to_mpls_gre", "to_mpls_gre6", "to_mpls_udp", "to_mpls_udp6", "to_underlay", "to_vif",
    "bridged_arp", "bridged_discovery", "bridged_error", "bridged_from_tunnel", "bridged_from_vif", "bridged_held", "bridged_other", "flooded_discovery", "flooded_from_nobody", "flooded_other", "flooded_packet", "flooded_to_vif", "flooded_to_vtep",
    "flooded_unknown", "frames_to_geneve", "frames_to_mpls_gre", "gateway_asked_in_bridge", "router_or_gateway_asked_in_bridge",
    "arp_suppressed", "copy_for_leaf", "leaf_behind_tunnel", "leaf_not_told_of_leaf", "station_forgotten", "station_held", "station_learnt", "station_learnt_at_vif", "station_moved", "nd_suppressed", "own_address_asked", "router_named",
    "frames_to_mpls_udp", "frames_to_vxlan", "routed_error_of_bridged", "station_behind_tunnel", "to_gateway_from_bridge", "to_station",
    "to_vxlan", "to_vxlan6", "told_no_route", "told_time_exceeded", "told_too_big", "udp6_checksum", "udp6_without_checksum", "unanswered", "vlan",
    "link_back", "link_lost", "neighbour_lost", "path_without_link", "released_elsewhere", "several_worlds", "split", "sub_interface", "sub_interface_of_two_tags",
    "frame_answered_by_routing", "routed_and_answered_by_frame",
    "own_pair_gives_way", "own_quota", "pair_of_other_family_gives_way", "pair_of_tenant_gives_way", "tenant_quota",
    "bfd_far_end_back", "bfd_far_end_failed", "bfd_neighbour_back", "bfd_neighbour_failed", "path_that_failed",
    "checksum_completed", "segments_cut", "segments_split",
    "underlay_back", "underlay_less_specific", "underlay_kept", "underlay_left", "underlay_none_live", "underlay_of_group", "underlay_several",
];

fn setting(name: &str) -> Option<String> {
    std::env::var(format!("VROUTER_DIFF_{name}")).ok().filter(|value| !value.is_empty())
}

/// The case of a seed, every way. A difference is shrunk, written down, and the end.
fn run(seed: u64, hits: &mut Hits) {
    level_of(seed);
    let case = settled(random_case(seed));
    for how in WAYS {
        if let (_, Some(difference)) = duel(&case, how, hits) {
            report(seed, case, how, difference);
        }
    }
}

/// Code for each level of processor has its turn.
fn level_of(turn: u64) {
    Level::limit(if turn.is_multiple_of(2) { Level::Baseline } else { Level::V3 });
}

fn report(seed: u64, case: Case, how: How, difference: Difference) -> ! {
    let quick = setting("QUICK").is_some();
    let (case, difference) = if quick { (case, difference) } else { shrink(case, difference, how) };
    let (kept, _) = duel(&case, how, &mut Hits::default());
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("diff-{seed}"));
    kept.write(&folder, &format!("seed {seed}, {how:?}\n{}", difference.what));
    panic!(
        "seed {seed}, {how:?}: product and model differ after event {}: {}\ncase: {}",
        difference.at + 1,
        difference.what,
        folder.display()
    );
}

/// Panics inside the model and the books are caught, and told by us.
fn quietly(run: impl FnOnce()) {
    std::panic::set_hook(Box::new(|info| {
        let text = crate::duel::text_of(info.payload());
        if text.starts_with("seed ") {
            eprintln!("{text}");
        }
    }));
    run();
    let _ = std::panic::take_hook();
}

#[test]
fn product_and_model_agree() {
    let number =
        |name: &str| setting(name).map(|text| text.parse::<f64>().unwrap_or_else(|_| panic!("{name}: {text}?")));
    let end = number("MINUTES").map(|minutes| Duration::from_secs_f64(minutes * 60.0));
    let first = number("SEED").unwrap_or(1.0) as u64;
    let (start, mut seed, mut hits) = (Instant::now(), first, Hits::default());
    quietly(|| {
        while end.map_or(seed < first + SHORT, |end| start.elapsed() < end) {
            run(seed, &mut hits);
            seed += 1;
        }
    });
    println!(
        "{} cases from seed {first} in {:.1} s, each {} ways",
        seed - first,
        start.elapsed().as_secs_f64(),
        WAYS.len()
    );
    print(&hits);
    // the short run is too short to see everything
    let unseen = unseen(&hits);
    assert!(end.is_none() || unseen.is_empty(), "never seen in this run: {unseen:?}");
}

fn print(hits: &Hits) {
    println!("{} frames, {} changes, {} changes refused", hits.frames, hits.changes, hits.refused);
    let table = |title: &str, rows: &BTreeMap<String, u64>| {
        println!("{title}:");
        rows.iter().for_each(|(name, count)| println!("  {count:>9}  {name}"));
    };
    table("features", &hits.features);
    table("drops", &hits.drops);
    table("cases that ended early", &hits.unmodelled);
    println!("out of reach of these wires:");
    OUT_OF_REACH.iter().for_each(|(reason, why)| println!("             {reason}: {why}"));
}

/// Drop reasons and features without a hit.
fn unseen(hits: &Hits) -> Vec<&'static str> {
    let within_reach = |reason: &&str| !OUT_OF_REACH.iter().any(|(other, _)| other == reason);
    let reasons = DropReason::ALL.iter().map(|reason| reason.name()).filter(within_reach);
    let features = FEATURES.iter().copied().filter(|feature| !hits.features.contains_key(*feature));
    reasons.filter(|reason| !hits.drops.contains_key(*reason)).chain(features).collect()
}

/// The folders of kept cases, or the one that is asked for.
fn folders(asked: Option<String>) -> Vec<PathBuf> {
    if let Some(folder) = asked {
        return vec![folder.into()];
    }
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diff/cases");
    let mut folders: Vec<_> = std::fs::read_dir(all).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

#[test]
fn kept_cases_are_as_they_were() {
    let mut wrong = Vec::new();
    for folder in folders(setting("REPLAY")) {
        let kept = Kept::read(&folder);
        for workers in [1, 2] {
            level_of(workers as u64);
            wrong.extend(
                replay(&kept, workers).err().map(|why| format!("{}, {workers} worker(s): {why}", folder.display())),
            );
        }
        for how in WAYS {
            let difference = duel(&kept.case, how, &mut Hits::default()).1;
            wrong.extend(
                difference.map(|found| format!("{}, {how:?}, beside the model: {}", folder.display(), found.what)),
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Writes down anew what the case in VROUTER_DIFF_RECORD leads to, once product and model agree about it.
#[test]
fn a_case_is_recorded() {
    let Some(folder) = setting("RECORD") else { return };
    let about: String = std::fs::read_to_string(Path::new(&folder).join("events")).expect("a case");
    let about: Vec<&str> = about.lines().filter_map(|line| line.strip_prefix("# ")).collect();
    let (kept, difference) = duel(&Kept::read(Path::new(&folder)).case, WAYS[0], &mut Hits::default());
    assert!(difference.is_none(), "{difference:?}");
    kept.write(Path::new(&folder), &about.join("\n"));
}

#[test]
fn a_case_outlives_its_folder() {
    let case = settled(random_case(7));
    let (kept, _) = duel(&case, WAYS[0], &mut Hits::default());
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("diff-round-trip");
    kept.write(&folder, "a round trip");
    let read = Kept::read(&folder);
    assert_eq!(read.case.network.text(), kept.case.network.text());
    assert_eq!((read.expected, read.flows), (kept.expected, kept.flows));
    assert_eq!(read.case.events.len(), case.events.len());
    let frames = |case: &Case| {
        case.events
            .iter()
            .map(|event| format!("{event:?}"))
            .filter(|text| text.starts_with("Frame"))
            .collect::<Vec<_>>()
    };
    assert_eq!(frames(&read.case), frames(&case));
}
