//! The networks of the labs, in the network language.
//!
//! ```text
//!  A 10.0.0.1                                    B 10.0.0.2
//!  p0 up0 ───────────────────────────────────── p0 up0
//!  p1 ra   red  10.1.1.10 fd01::10               p1 rb   red  10.1.1.20 fd01::20
//!  p2 ba   blue 10.1.1.10 fd01::10               p2 bb   blue 10.1.1.20 fd01::20
//!  p3 ra2  red  10.1.1.11 fd01::11               p3 rb2  red  10.1.1.21 fd01::21
//! ```
//! Towards rb: VXLAN 100. Towards rb2: MPLS 1001. Blue: MPLS 2001. Back: VXLAN 100, MPLS 1000, MPLS 2000.

/// Ports.
pub const UP: (usize, usize) = (0, 0);
pub const RA: (usize, usize) = (0, 1);
pub const BA: (usize, usize) = (0, 2);
pub const RA2: (usize, usize) = (0, 3);
pub const RB: (usize, usize) = (1, 1);
pub const BB: (usize, usize) = (1, 2);
pub const RB2: (usize, usize) = (1, 3);

/// A with a static neighbour entry of B.
pub fn a() -> String {
    a_dynamic() + "neighbours:\n  - {vif: up0, address: 10.0.0.2, mac: \"52:00:00:00:0b:00\"}\n"
}

/// A without.
pub fn a_dynamic() -> String {
    r#"
settings: {underlay_vrf: underlay, vtep: 10.0.0.1}
vrfs:
  - {name: underlay, flows: off}
  - {name: red}
  - {name: blue}
vifs:
  - {name: up0, kind: fabric, port: p0, vrf: underlay, addresses: [10.0.0.1], subnets: [10.0.0.0/24]}
  - {name: ra, port: p1, vrf: red, mac: "02:00:00:00:0a:01", addresses: [10.1.1.10, "fd01::10"], gateway_v4: 10.1.1.1, gateway_v6: "fd01::1"}
  - {name: ba, port: p2, vrf: blue, mac: "02:00:00:00:0a:02", addresses: [10.1.1.10, "fd01::10"], gateway_v4: 10.1.1.1, gateway_v6: "fd01::1"}
  - {name: ra2, port: p3, vrf: red, mac: "02:00:00:00:0a:03", addresses: [10.1.1.11, "fd01::11"], gateway_v4: 10.1.1.1, gateway_v6: "fd01::1"}
routes:
  - {vrf: red, prefix: 10.1.1.20/32, via: {vxlan: {remote: 10.0.0.2, vni: 100, mac: "02:0a:00:00:02:01"}}}
  - {vrf: red, prefix: "fd01::20/128", via: {vxlan: {remote: 10.0.0.2, vni: 100, mac: "02:0a:00:00:02:01"}}}
  - {vrf: red, prefix: 10.1.1.21/32, via: {mpls_udp: {remote: 10.0.0.2, label: 1001}}}
  - {vrf: red, prefix: "fd01::21/128", via: {mpls_udp: {remote: 10.0.0.2, label: 1001}}}
  - {vrf: blue, prefix: 10.1.1.20/32, via: {mpls_udp: {remote: 10.0.0.2, label: 2001}}}
  - {vrf: blue, prefix: "fd01::20/128", via: {mpls_udp: {remote: 10.0.0.2, label: 2001}}}
vnis:
  - {vni: 100, vrf: red}
  - {vni: 200, vrf: blue}
labels:
  - {label: 1000, vrf: red}
  - {label: 2000, vrf: blue}
  - {label: 3000, vif: ra2}
"#
    .into()
}

/// B, which resolves A by ARP.
pub fn b_dynamic() -> String {
    r#"
settings: {underlay_vrf: underlay, vtep: 10.0.0.2}
vrfs:
  - {name: underlay, flows: off}
  - {name: red}
  - {name: blue}
vifs:
  - {name: up0, kind: fabric, port: p0, vrf: underlay, addresses: [10.0.0.2], subnets: [10.0.0.0/24]}
  - {name: rb, port: p1, vrf: red, mac: "02:00:00:00:0b:01", addresses: [10.1.1.20, "fd01::20"], gateway_v4: 10.1.1.1, gateway_v6: "fd01::1"}
  - {name: bb, port: p2, vrf: blue, mac: "02:00:00:00:0b:02", addresses: [10.1.1.20, "fd01::20"], gateway_v4: 10.1.1.1, gateway_v6: "fd01::1"}
  - {name: rb2, port: p3, vrf: red, mac: "02:00:00:00:0b:03", addresses: [10.1.1.21, "fd01::21"], gateway_v4: 10.1.1.1, gateway_v6: "fd01::1"}
routes:
  - {vrf: red, prefix: 10.1.1.10/32, via: {vxlan: {remote: 10.0.0.1, vni: 100, mac: "02:0a:00:00:01:01"}}}
  - {vrf: red, prefix: "fd01::10/128", via: {vxlan: {remote: 10.0.0.1, vni: 100, mac: "02:0a:00:00:01:01"}}}
  - {vrf: red, prefix: 10.1.1.11/32, via: {mpls_udp: {remote: 10.0.0.1, label: 1000}}}
  - {vrf: blue, prefix: 10.1.1.10/32, via: {mpls_udp: {remote: 10.0.0.1, label: 2000}}}
  - {vrf: blue, prefix: "fd01::10/128", via: {mpls_udp: {remote: 10.0.0.1, label: 2000}}}
vnis:
  - {vni: 100, vrf: red}
labels:
  - {label: 1001, vrf: red}
  - {label: 2001, vrf: blue}
  - {label: 3001, vif: rb2}
"#
    .into()
}

/// VIF ra of A with these fields besides.
pub fn ra(more: &str) -> String {
    let more = and(more);
    format!(
        r#"vifs: [{{name: ra, port: p1, vrf: red, mac: "02:00:00:00:0a:01", addresses: [10.1.1.10, "fd01::10"], gateway_v4: 10.1.1.1, gateway_v6: "fd01::1"{more}}}]"#
    )
}

/// VIF ra2 of A with these fields besides.
pub fn ra2(more: &str) -> String {
    let more = and(more);
    format!(
        r#"vifs: [{{name: ra2, port: p3, vrf: red, mac: "02:00:00:00:0a:03", addresses: [10.1.1.11, "fd01::11"], gateway_v4: 10.1.1.1, gateway_v6: "fd01::1"{more}}}]"#
    )
}

fn and(more: &str) -> String {
    if more.is_empty() { String::new() } else { format!(", {more}") }
}
