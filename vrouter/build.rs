//! Compiles the control socket's contract, `proto/vrouter/v1/vrouter.proto`, without protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let proto = "proto/vrouter/v1/vrouter.proto";
    println!("cargo:rerun-if-changed={proto}");
    let files = protox::compile([proto], ["proto"])?;
    tonic_prost_build::configure().compile_fds(files)?;
    Ok(())
}
