//! Makes the server's side of the protocol from the files in the client's package.

use std::error::Error;

use cargo_metadata::MetadataCommand;

fn main() -> Result<(), Box<dyn Error>> {
    let metadata = MetadataCommand::new().manifest_path("../../Cargo.toml").exec()?;
    let client = metadata.packages.iter().find(|package| package.name.as_str() == "eventstore");
    let manifest = &client.ok_or("the eventstore client is not among the packages")?.manifest_path;
    let protos = manifest.parent().ok_or("a package has a folder")?.join("protos");
    let files = ["streams.proto", "gossip.proto", "serverfeatures.proto"];
    let files = protox::compile(files.map(|file| protos.join(file)), [&protos])?;
    tonic_build::configure().build_client(false).compile_fds(files)?;
    Ok(())
}
