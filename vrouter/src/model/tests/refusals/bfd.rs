use super::*;

/// A session of the underlay, changed.
fn session(remote: &str, change: impl FnOnce(&mut v1::BfdSession)) -> v1::Change {
    let mut session =
        v1::BfdSession { name: "s".into(), vrf: "underlay".into(), remote: ip(remote), ..Default::default() };
    change(&mut session);
    put(Kind::BfdSession(Box::new(session)))
}

#[test]
fn sessions() {
    let near = |change: fn(&mut v1::BfdSession)| session("10.0.0.2", change);
    let far = |change: fn(&mut v1::BfdSession)| {
        session("198.51.100.9", |session| {
            session.multihop = true;
            change(session);
        })
    };
    let (text, range) = ("bfd s", "is not within");
    check(vec![
        (near(|session| session.name.clear()), "bfd ", "name", "a name is"),
        (near(|session| session.vrf = "x".into()), text, "vrf", "no VRF x"),
        (session("224.0.0.1", |_| {}), text, "remote", "no address of one host"),
        (near(|session| session.remote.clear()), text, "remote", "is missing"),
        (near(|session| session.remote.truncate(3)), text, "remote", "3 bytes"),
        (session("10.0.0.1", |_| {}), text, "remote", "is our own address"),
        (session("10.7.0.2", |_| {}), text, "remote", "on no connected subnet"),
        (session("fe80::2", |_| {}), text, "remote", "on no connected subnet"),
        (near(|session| session.vrf = "red".into()), text, "remote", "on no connected subnet"),
        (near(|session| session.local = ip("10.0.0.9")), text, "local", "no address of a fabric VIF"),
        (near(|session| session.local = ip("fd00::1")), text, "local", "of another address family"),
        (near(|session| session.local = vec![1]), text, "local", "1 bytes"),
        (near(|session| session.min_tx = Some(0)), text, "min_tx", range),
        (near(|session| session.min_rx = Some(0)), text, "min_rx", range),
        (near(|session| session.min_rx = Some(60_001)), text, "min_rx", "10 to 60000"),
        (near(|session| session.multiplier = Some(0)), text, "multiplier", range),
        (near(|session| session.multiplier = Some(256)), text, "multiplier", "1 to 255"),
        (near(|session| session.min_ttl = 1), text, "min_ttl", "only a multihop session"),
        (far(|session| session.min_ttl = 256), text, "min_ttl", "1 to 255"),
        (far(|session| session.vrf = "red".into()), text, "local", "is missing"),
        (session("2001:db8::9", |session| session.multihop = true), text, "local", "is missing"),
        (delete(Key::BfdSession("s".into())), text, "", "does not exist"),
    ]);
}

#[test]
fn sessions_that_are_there() {
    let mut model = model_with(&[session("10.0.0.2", |_| {})]);
    let of = |model: &mut Model, change| {
        let refused = refusal(model, "", &[change]);
        (refused.field, refused.reason)
    };
    let twin = session("10.0.0.2", |session| session.name = "t".into());
    assert_eq!(of(&mut model, twin), ("remote".into(), "session s watches 10.0.0.2 already".into()));
    let fixed = "cannot change: delete and create it anew";
    type Change = fn(&mut v1::BfdSession);
    let changed: [(&str, Change); 3] = [
        ("remote", |session| session.remote = ip("10.0.0.3")),
        ("multihop", |session| session.multihop = true),
        ("local", |session| session.local = ip("10.0.0.1")),
    ];
    for (field, change) in changed {
        assert_eq!(of(&mut model, session("10.0.0.2", change)), (field.into(), fixed.into()));
    }
    // the other kind, to the same host, is another session
    let far = session("10.0.0.2", |session| (session.name, session.multihop) = ("far".into(), true));
    model.apply("", &[far]).unwrap();
    let mut limited = model_with(&[]);
    let many = |at: u8| session(&format!("10.0.0.{at}"), |session| session.name = format!("s{at}"));
    let all: Vec<_> = (2..=254)
        .map(many)
        .chain((2..=5).map(|at| {
            session(&format!("10.0.0.{at}"), |session| (session.name, session.multihop) = (format!("m{at}"), true))
        }))
        .collect();
    let refused = refusal(&mut limited, "", &all);
    assert_eq!((refused.change, &*refused.reason), (256, "the limit of 256 bfd_sessions is reached"));
}
