//! The contract does not change beneath clients that are there: messages kept as bytes are read as what they say and written as the same
//! bytes, and no field that was ever published changes its number or type.
//!
//! A file of `golden/` holds a message's type, its text form, and after a line `--` its bytes, which protoc made of the text:
//! `protoc -I vrouter/proto --encode=vrouter.v1.TYPE vrouter/v1/vrouter.proto`. They are never changed; what is new gets new files.
//! `golden/contract.list` has a line for each field and value of an enum.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use prost::Message;
use protox::prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, MessageDescriptor};
use vrouter::api::v1;

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn contract() -> DescriptorPool {
    let (folder, file) = (here().join("proto"), here().join("proto/vrouter/v1/vrouter.proto"));
    let files = protox::compile([file], [folder]).expect("the contract compiles");
    DescriptorPool::from_file_descriptor_set(files).expect("the contract is whole")
}

/// One file.
struct Vector {
    file: PathBuf,
    kind: String,
    text: String,
    bytes: Vec<u8>,
}

fn vectors() -> Vec<Vector> {
    let read = |file: PathBuf| {
        let all = std::fs::read_to_string(&file).unwrap();
        let (head, hex) = all.split_once("--\n").expect("a line --");
        let (kind, text) = head.split_once('\n').expect("a type");
        let bytes = hex.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
        Vector { file, kind: kind.into(), text: text.into(), bytes }
    };
    let files = std::fs::read_dir(here().join("tests/golden")).unwrap().map(|entry| entry.unwrap().path());
    let vectors: Vec<_> = files.filter(|file| file.extension().is_some_and(|of| of == "txt")).map(read).collect();
    assert!(vectors.len() >= 49, "{}", vectors.len());
    vectors
}

/// The bytes of a message that was read and is written again, by the types that the daemon has.
fn again(kind: &str, bytes: &[u8]) -> Vec<u8> {
    macro_rules! by_type {
        ($($message:ident),*) => {
            match kind {
                $(stringify!($message) => v1::$message::decode(bytes).expect("it is read").encode_to_vec(),)*
                other => panic!("no request, reply or object: {other}"),
            }
        };
    }
    by_type!(
        Object,
        ApplyRequest,
        ApplyReply,
        UpgradeRequest,
        UpgradeReply,
        ListRequest,
        ListChunk,
        WatchRequest,
        Event,
        SyncRequest,
        SyncReply,
        FlowsRequest,
        FlowsChunk,
        HitsRequest,
        HitsChunk,
        StatsRequest,
        StatsReply,
        VictimsRequest,
        VictimsReply,
        CaptureRequest,
        CaptureChunk,
        ExplainRequest,
        ExplainReply,
        StatusRequest,
        StatusReply,
        KeepAliveRequest,
        KeepAliveReply,
        OwnersRequest,
        OwnersReply,
        ConfirmRequest,
        ConfirmReply,
        RevisionsRequest,
        RevisionsReply,
        ShadowReportRequest,
        ShadowReportReply,
        PromoteShadowRequest,
        DiscardShadowRequest,
        DiscardShadowReply
    )
}

#[test]
fn messages_of_old_are_read_as_what_they_say_and_written_as_the_same_bytes() {
    let pool = contract();
    for Vector { file, kind, text, bytes } in vectors() {
        let message = pool.get_message_by_name(&format!("vrouter.v1.{kind}")).expect("a type of the contract");
        let said = DynamicMessage::parse_text_format(message.clone(), &text).expect("text");
        let read = DynamicMessage::decode(message, &*bytes).expect("bytes");
        assert!(read == said, "{}: the bytes say {}", file.display(), read.to_text_format());
        assert_eq!(again(&kind, &bytes), bytes, "{}", file.display());
    }
}

#[test]
fn they_mean_what_they_meant() {
    let bytes = |name: &str| {
        let found = vectors().into_iter().find(|vector| vector.file.file_stem().unwrap() == name);
        found.expect("a file").bytes
    };
    let begin = v1::Begin {
        owner: "cni".into(),
        take_over: true,
        replace: true,
        kinds: vec![v1::Kind::Route.into(), v1::Kind::Vif.into()],
        dry_run: true,
        if_generation: Some(0),
        lease_ms: Some(0),
        ..v1::Begin::default()
    };
    let step = v1::ApplyRequest::decode(&*bytes("apply-begin")).unwrap().step;
    assert_eq!(step, Some(v1::apply_request::Step::Begin(begin)));
    let old = v1::Begin { owner: "bgp".into(), ..v1::Begin::default() };
    let step = v1::ApplyRequest::decode(&*bytes("apply-begin-old")).unwrap().step;
    assert_eq!(step, Some(v1::apply_request::Step::Begin(old)));
    let refused = v1::Refused {
        change: 7,
        object: "vif web1".into(),
        field: "port".into(),
        reason: "there is no port p9".into(),
        unconfirmed: 0,
    };
    let result = v1::ApplyReply::decode(&*bytes("refused")).unwrap().result;
    assert_eq!(result, Some(v1::apply_reply::Result::Refused(refused)));
    let vni = v1::Vni { vni: 100, vrf: "red".into(), bridge: "lan".into() };
    assert_eq!(v1::Object::decode(&*bytes("object-vni")).unwrap(), v1::Object::from(v1::object::Kind::Vni(vni)));
}

/// Each field that a message has, with those of the messages in it.
fn fields_of(message: &DynamicMessage, seen: &mut BTreeSet<String>) {
    use protox::prost_reflect::Value;
    for (field, value) in message.fields() {
        seen.insert(field.full_name().to_owned());
        match value {
            Value::Message(inner) => fields_of(inner, seen),
            Value::List(all) => all.iter().filter_map(|one| one.as_message()).for_each(|inner| fields_of(inner, seen)),
            _ => {}
        }
    }
}

#[test]
fn every_request_reply_and_object_is_kept_with_all_its_fields() {
    let pool = contract();
    let mut seen = BTreeSet::new();
    let mut kinds = BTreeSet::new();
    for Vector { kind, bytes, .. } in vectors() {
        let message = pool.get_message_by_name(&format!("vrouter.v1.{kind}")).unwrap();
        fields_of(&DynamicMessage::decode(message, &*bytes).unwrap(), &mut seen);
        kinds.insert(format!("vrouter.v1.{kind}"));
    }
    for method in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
        for message in [method.input(), method.output()] {
            assert!(kinds.contains(message.full_name()), "no file in tests/golden has a {}", message.full_name());
        }
    }
    let recorded = recorded();
    let of_contract = pool.all_messages().flat_map(|message| message.fields().collect::<Vec<_>>());
    for field in of_contract.filter(|field| recorded.contains(&line(field))) {
        assert!(seen.contains(field.full_name()), "no file in tests/golden has {}", field.full_name());
    }
}

/// A field as it is written down: name, number, type, and how often.
fn line(field: &FieldDescriptor) -> String {
    let often = match (field.is_list(), field.containing_oneof()) {
        (true, _) => " repeated".to_owned(),
        (false, Some(oneof)) if field.field_descriptor_proto().proto3_optional() => {
            format!(" optional {}", oneof.name())
        }
        (false, Some(oneof)) => format!(" oneof {}", oneof.name()),
        (false, None) => String::new(),
    };
    format!("{} = {} {:?}{often}", field.full_name(), field.number(), field.kind())
}

fn summary(pool: &DescriptorPool) -> BTreeSet<String> {
    let fields = |message: MessageDescriptor| message.fields().map(|field| line(&field)).collect::<Vec<_>>();
    let mut lines: BTreeSet<String> = pool.all_messages().flat_map(fields).collect();
    for one in pool.all_enums() {
        lines.extend(one.values().map(|value| format!("{} = {}", value.full_name(), value.number())));
    }
    for method in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
        let stream = |is: bool| if is { "stream " } else { "" };
        let (from, to) = (stream(method.is_client_streaming()), stream(method.is_server_streaming()));
        let (input, output) = (method.input(), method.output());
        lines.insert(format!("{} ({from}{}) {to}{}", method.full_name(), input.full_name(), output.full_name()));
    }
    lines
}

fn recorded() -> BTreeSet<String> {
    let list = std::fs::read_to_string(here().join("tests/golden/contract.list")).unwrap();
    list.lines().map(str::to_owned).collect()
}

/// What is new may be written down with `WRITE_CONTRACT=1`; what was written down stays.
#[test]
fn what_was_published_stays_as_it_was() {
    let now = summary(&contract());
    let gone: Vec<_> = recorded().difference(&now).cloned().collect();
    assert!(
        gone.is_empty(),
        "clients that are there know these, which are not in the contract any more:\n{}",
        gone.join("\n")
    );
    if std::env::var_os("WRITE_CONTRACT").is_some() {
        let lines: Vec<_> = now.into_iter().collect();
        std::fs::write(here().join("tests/golden/contract.list"), lines.join("\n") + "\n").unwrap();
    }
}

#[test]
fn a_changed_contract_is_noticed() {
    let of = |text: &str| {
        let file = protox_parse(text);
        let pool = DescriptorPool::from_file_descriptor_set(file).unwrap();
        summary(&pool)
    };
    let before = of("message M { uint32 a = 1; string b = 2; oneof c { uint32 d = 3; } } enum E { X = 0; Y = 1; }");
    assert!(before.is_subset(&of(
        "message M { uint32 a = 1; string b = 2; oneof c { uint32 d = 3; bool n = 4; } } enum E { X = 0; Y = 1; Z = 2; }"
    )));
    for changed in [
        "message M { uint32 a = 9; string b = 2; oneof c { uint32 d = 3; } } enum E { X = 0; Y = 1; }",
        "message M { uint64 a = 1; string b = 2; oneof c { uint32 d = 3; } } enum E { X = 0; Y = 1; }",
        "message M { repeated uint32 a = 1; string b = 2; oneof c { uint32 d = 3; } } enum E { X = 0; Y = 1; }",
        "message M { uint32 a = 1; oneof c { uint32 d = 3; } } enum E { X = 0; Y = 1; }",
        "message M { uint32 a = 1; string b = 2; uint32 d = 3; } enum E { X = 0; Y = 1; }",
        "message M { uint32 a = 1; string b = 2; oneof c { uint32 d = 3; } } enum E { X = 0; Y = 2; }",
    ] {
        assert!(!before.is_subset(&of(changed)), "{changed}");
    }
}

/// A contract of its own.
fn protox_parse(text: &str) -> protox::prost_reflect::prost_types::FileDescriptorSet {
    use protox::file::{File, FileResolver};
    struct One(String);
    impl FileResolver for One {
        fn open_file(&self, name: &str) -> Result<File, protox::Error> {
            File::from_source(name, &self.0)
        }
    }
    let mut compiler = protox::Compiler::with_file_resolver(One(format!("syntax = \"proto3\"; package t; {text}")));
    compiler.include_imports(true).open_file("t.proto").unwrap();
    compiler.file_descriptor_set()
}
