//! `proto/openrtb.proto` as a table: which fields each object of OpenRTB has, of what type. For tools that look at
//! requests and answers as a whole; readers that serve know their fields themselves.
//!
//! Objects have the names of the schema, nested ones with a dot: `Imp`, `User.Ext`, `NativeRequest.Asset`. Types are
//! those of the schema too: what is a flag here is 0 or 1 in JSON.

/// An object.
#[derive(Debug)]
pub struct Message {
    /// Its name in the schema.
    pub name: &'static str,
    /// Its fields, in the order of the schema.
    pub fields: &'static [Field],
}

/// A field of an object.
#[derive(Debug)]
pub struct Field {
    /// Its name, the same in JSON and protobuf.
    pub name: &'static str,
    /// Its number in protobuf.
    pub number: u64,
    /// It is a list.
    pub repeated: bool,
    /// What it, or each entry, is.
    pub kind: Kind,
}

/// The type of a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Text.
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Decimal,
    /// 0 or 1 in JSON, a boolean in protobuf.
    Flag,
    /// An object: its position in [`MESSAGES`].
    Message(usize),
}

/// Every object of the schema.
pub static MESSAGES: &[Message] = &include!(concat!(env!("OUT_DIR"), "/schema.rs"));

impl Message {
    /// The object of a name.
    pub fn named(name: &str) -> Option<&'static Message> {
        MESSAGES.iter().find(|message| message.name == name)
    }

    /// The field of a name.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}
