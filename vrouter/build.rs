//! Compiles the control socket's contract, `proto/vrouter/v1/vrouter.proto`, and the state directory's records without protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let protos = ["proto/vrouter/v1/vrouter.proto", "proto/vrouter/state/v1/state.proto"];
    protos.iter().for_each(|proto| println!("cargo:rerun-if-changed={proto}"));
    let files = protox::compile(protos, ["proto"])?;
    tonic_prost_build::configure().compile_fds(files)?;
    Ok(())
}
