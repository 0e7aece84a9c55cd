//! Compiles `proto/openrtb.proto` into the types of `exchange::proto::wire` and the table of `exchange::schema`, and
//! `proto/events.proto` into the types of `events::message`. The compiler is a library: no `protoc` is needed.

use std::fmt::Write as _;
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    let files = protox::compile(["openrtb.proto"], ["proto"])?;
    let mut table = Table::default();
    for message in files.file.iter().flat_map(|file| &file.message_type) {
        table.enter("", message);
    }
    let out = std::env::var("OUT_DIR")?;
    std::fs::write(Path::new(&out).join("schema.rs"), table.as_rust())?;
    prost_build::compile_fds(files)?;
    prost_build::compile_fds(protox::compile(["events.proto"], ["proto"])?)?;
    Ok(())
}

/// Messages by their full name, with their fields as Rust.
#[derive(Default)]
struct Table(Vec<(String, Vec<Field>)>);

struct Field {
    name: String,
    number: i32,
    repeated: bool,
    /// `TYPE_STRING` and the like.
    kind: &'static str,
    /// The message's name, where it is one.
    message: String,
}

impl Table {
    fn enter(&mut self, outer: &str, message: &prost_types::DescriptorProto) {
        let name =
            if outer.is_empty() { message.name().to_owned() } else { format!("{outer}.{}", message.name()) };
        let field = |field: &prost_types::FieldDescriptorProto| Field {
            name: field.name().to_owned(),
            number: field.number(),
            repeated: field.label().as_str_name() == "LABEL_REPEATED",
            kind: field.r#type().as_str_name(),
            message: field.type_name().trim_start_matches(".outbid.openrtb.").to_owned(),
        };
        self.0.push((name.clone(), message.field.iter().map(field).collect()));
        message.nested_type.iter().for_each(|nested| self.enter(&name, nested));
    }

    fn as_rust(&self) -> String {
        let mut rust = String::from("[\n");
        for (name, fields) in &self.0 {
            // Writing to a string cannot fail.
            let _infallible = writeln!(rust, "Message {{ name: {name:?}, fields: &[");
            for field in fields {
                let kind = match field.kind {
                    "TYPE_STRING" => "Kind::Text".to_owned(),
                    "TYPE_INT32" => "Kind::Integer".to_owned(),
                    "TYPE_DOUBLE" => "Kind::Decimal".to_owned(),
                    "TYPE_BOOL" => "Kind::Flag".to_owned(),
                    "TYPE_MESSAGE" => {
                        let at = self.0.iter().position(|(name, _)| *name == field.message);
                        format!("Kind::Message({})", at.expect("the compiler has resolved every name"))
                    }
                    other => panic!("{name}.{} is {other}, which no reader here knows", field.name),
                };
                let Field { name, number, repeated, .. } = field;
                let _infallible = writeln!(
                    rust,
                    "    Field {{ name: {name:?}, number: {number}, repeated: {repeated}, kind: {kind} }},"
                );
            }
            rust.push_str("] },\n");
        }
        rust.push(']');
        rust
    }
}
