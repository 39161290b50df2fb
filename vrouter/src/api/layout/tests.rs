//! Files as people write them, and as the product does.

use proptest::prelude::*;

use super::*;
use crate::api::yaml::tests::network;

fn of(text: &str) -> String {
    laid_out("n.yaml", text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[test]
fn sections_and_fields_have_one_order_and_comments_stay_with_theirs() {
    let text = "\
# of the whole file
# (two lines)

routes:   # all of red
# the database
- prefix: 10.1.0.0/16
  vrf: red     # tenant acme
  via:
    # by tunnel
    vxlan: {mac: 02:00:00:00:00:01, vni: 5, remote: 172.31.0.2}


- {via: {drop: true}, vrf: red, prefix: '10.2.0.0/16'}   # no more
  # - {vrf: red, prefix: 10.3.0.0/16, drop: true}
# tenants
vrfs: [{tenant: acme, name: red}, {name: \"blue\", allowed_vteps: [ 172.31.0.2,
   172.31.0.3 ]}]
# the end
";
    let want = "\
# of the whole file
# (two lines)

# tenants
vrfs:
  - {name: red, tenant: acme}
  - {name: \"blue\", allowed_vteps: [172.31.0.2, 172.31.0.3]}
routes:  # all of red
  # the database
  - vrf: red  # tenant acme
    prefix: 10.1.0.0/16
    via:
      # by tunnel
      vxlan: {remote: 172.31.0.2, vni: 5, mac: 02:00:00:00:00:01}

  - {vrf: red, prefix: '10.2.0.0/16', via: {drop: true}}  # no more
  # - {vrf: red, prefix: 10.3.0.0/16, drop: true}
# the end
";
    assert_eq!(of(text), want);
    assert_eq!(of(want), want);
}

#[test]
fn what_has_a_list_of_objects_in_it_has_lines_and_what_is_long_too() {
    let text = "\
acls: [{name: web, rules: [{action: permit, protocol: tcp}, {action: deny}]}, {rules: [], name: none}]
groups:
- {name: many, prefixes: [10.0.0.0/24, 10.0.1.0/24, 10.0.2.0/24, 10.0.3.0/24, 10.0.4.0/24, 10.0.5.0/24, 10.0.6.0/24, 10.0.7.0/24]} # all
ports: [{name: p, devargs: net_tap0}, {name: q, devargs: \"net_tap1,iface=q\"}]
settings: {}
";
    let want = "\
settings: {}
ports:
  - {name: p, devargs: net_tap0}
  - {name: q, devargs: \"net_tap1,iface=q\"}
groups:
  # all
  - name: many
    prefixes: [10.0.0.0/24, 10.0.1.0/24, 10.0.2.0/24, 10.0.3.0/24, 10.0.4.0/24, 10.0.5.0/24, 10.0.6.0/24, 10.0.7.0/24]
acls:
  - name: web
    rules:
      - {action: permit, protocol: tcp}
      - {action: deny}
  - {name: none, rules: []}
";
    assert_eq!(of(text), want);
    assert_eq!(of(want), want);
    // what needs no quotes on a line of its own needs them in brackets
    let block = "ports:\n- name: p\n  devargs: net_tap0,iface=p\n";
    assert_eq!(of(block), "ports:\n  - {name: p, devargs: \"net_tap0,iface=p\"}\n");
    assert_eq!((of(""), of("{}"), of("vrfs: []")), (String::new(), String::new(), "vrfs: []\n".into()));
}

#[test]
fn what_is_not_laid_out_is_refused_where_it_stands() {
    for (text, want) in [
        ("vrfs: [{name: a}, {name: a}]", "n.yaml:1:19: vrf a: is already there"),
        ("vrfs:\n- &one {name: a}\n", "n.yaml:2:"),
        ("vrfs:\n- &one {name: a}\n", "an anchor or alias: files with any are not laid out"),
        ("vrfs: !!seq [{name: a}]", "a tag: files with any are not laid out"),
    ] {
        let error = laid_out("n.yaml", text).expect_err(text).to_string();
        assert!(error.contains(want), "{error}");
    }
}

/// Puts comments and blank lines between a text's lines and behind them, where none can be part of a word.
fn commented(text: &str, seeds: &[u8]) -> String {
    let mut seeds = seeds.iter().cycle();
    let mut out = String::new();
    for (at, line) in text.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        match seeds.next() {
            Some(0) => out.push_str(&format!("{:indent$}# above {at}\n", "")),
            Some(1) => out.push('\n'),
            Some(2) => {
                out.push_str(&format!("{line} # right {at}\n"));
                continue;
            }
            Some(3) => out.push_str(&format!("#above {at}\n\n")),
            _ => {}
        }
        out.push_str(&format!("{line}\n"));
    }
    out
}

proptest! {
    /// What is written is read as the same objects, is laid out already, and stays so with comments anywhere.
    #[test]
    fn a_layout_says_the_same_and_is_its_own(network in network(), seeds in prop::collection::vec(0_u8..9, 1..40)) {
        prop_assume!(network.check().is_ok());
        let text = written(&network, &["head".into()]);
        let read = Network::parse("written.yaml", &text).map_err(|error| format!("{error}\n{text}"));
        prop_assert_eq!(&read, &Ok(network.clone()));
        if network != Network::default() {
            prop_assert_eq!(&of(&text), &text);
        }
        let long = serde_saphyr::to_string(&network).unwrap();
        for given in [long.clone(), commented(&long, &seeds), commented(&text, &seeds)] {
            let once = of(&given);
            prop_assert_eq!(Network::parse("once.yaml", &once), Ok(network.clone()));
            prop_assert_eq!(&of(&once), &once, "{}", given);
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "[a-z0-9:{}\\[\\],.\\- \n\"#'/|>]{0,200}") {
        let _ = laid_out("n.yaml", &text);
        let _ = laid_out("n.yaml", &format!("vrfs:\n- name: a # {text}"));
    }
}
