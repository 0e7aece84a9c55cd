//! A JSON object written field by field, in the order given: exchanges send `id` and `imp` first, and a parser may be
//! faster or slower for it. `serde_json::Value` would sort the fields.

use serde::Serialize;

/// An object under construction.
#[derive(Clone, Debug, Default)]
pub(crate) struct Object {
    text: String,
}

impl Object {
    /// Adds a field.
    pub(crate) fn put(self, name: &str, value: impl Serialize) -> Object {
        let value = serde_json::to_string(&value).expect("strings, numbers and lists of them are JSON");
        self.raw(name, &value)
    }

    /// Adds a field if there is a value.
    pub(crate) fn put_some(self, name: &str, value: Option<impl Serialize>) -> Object {
        match value {
            Some(value) => self.put(name, value),
            None => self,
        }
    }

    /// Adds an object.
    pub(crate) fn object(self, name: &str, value: Object) -> Object {
        self.raw(name, &value.finish())
    }

    /// Adds a list of objects.
    pub(crate) fn objects(self, name: &str, values: impl IntoIterator<Item = Object>) -> Object {
        let values: Vec<String> = values.into_iter().map(Object::finish).collect();
        self.raw(name, &format!("[{}]", values.join(",")))
    }

    fn raw(mut self, name: &str, value: &str) -> Object {
        self.text.push(if self.text.is_empty() { '{' } else { ',' });
        self.text.push('"');
        self.text.push_str(name);
        self.text.push_str("\":");
        self.text.push_str(value);
        self
    }

    /// The text.
    pub(crate) fn finish(mut self) -> String {
        if self.text.is_empty() {
            self.text.push('{');
        }
        self.text.push('}');
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stay_in_order_and_values_are_escaped() {
        let object = Object::default()
            .put("z", "a\"b")
            .put("a", [1, 2])
            .put_some("gone", None::<u8>)
            .object("o", Object::default())
            .objects("l", [Object::default().put("x", 0.5)]);
        assert_eq!(object.finish(), r#"{"z":"a\"b","a":[1,2],"o":{},"l":[{"x":0.5}]}"#);
    }
}
