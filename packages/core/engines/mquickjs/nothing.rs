//! Fetches a source, see Cargo.toml.
