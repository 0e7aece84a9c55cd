//! Compiles `proto/openrtb.proto` into the types of `exchange::proto::wire`, `proto/events.proto` into those of
//! `events::wire`. The compiler is a library: no `protoc` is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    let files = protox::compile(["openrtb.proto"], ["proto"])?;
    prost_build::compile_fds(files)?;
    prost_build::compile_fds(protox::compile(["events.proto"], ["proto"])?)?;
    Ok(())
}
