//! Compiles the control socket's contract, `proto/vrouter/v1/vrouter.proto`, and the state directory's records without protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let protos = ["proto/vrouter/v1/vrouter.proto", "proto/vrouter/state/v1/state.proto"];
    protos.iter().for_each(|proto| println!("cargo:rerun-if-changed={proto}"));
    let files = protox::compile(protos, ["proto"])?;
    // a route is what there is a million of: what is larger does not make each of them larger
    let large = ["settings", "vif", "bfd_session", "bridge"];
    let boxed = large
        .iter()
        .fold(tonic_prost_build::configure(), |made, kind| made.boxed(format!(".vrouter.v1.Object.kind.{kind}")));
    // changes are kept as they came
    boxed.extern_path(".vrouter.v1.Changes", "crate::api::Changes").compile_fds(files)?;
    Ok(())
}
