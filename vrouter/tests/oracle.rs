//! The reference model (`oracle/mod.rs`) by itself, held against frames that scapy built. The differential test holds the product
//! against it.

#[path = "oracle/mod.rs"]
mod oracle;

#[test]
fn an_empty_model_has_no_flows() {
    let port = oracle::Port { name: "p0".into(), mac: [0x52, 0, 0, 0, 0x0a, 0], mtu: 1500 };
    assert_eq!(oracle::Oracle::new(&[port], 0).flows(), []);
}
