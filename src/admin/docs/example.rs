//! A call of a route with curl, as it could be typed.

use serde_json::Value;

/// The command.
pub(super) fn curl(document: &Value, path: &str, method: &str, operation: &Value) -> String {
    let mut words = vec!["curl".to_owned()];
    if method != "get" {
        words.push(format!("-X {}", method.to_ascii_uppercase()));
    }
    words.push(format!("\"$ADMIN{}\"", path.replace("{id}", "1")));
    let mut lines = vec![words.join(" ")];
    if !operation["security"].is_array() {
        lines.push("-H \"Authorization: Bearer $KEY\"".to_owned());
    }
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let is_sent = parameter["required"] == true || (parameter["name"] == "If-Match" && method == "patch");
        if parameter["in"] == "header" && is_sent {
            let value = parameter["schema"]["examples"][0].as_str().unwrap_or_default();
            lines.push(format!("-H '{}: {value}'", parameter["name"].as_str().unwrap_or_default()));
        }
    }
    let content = operation["requestBody"]["content"].as_object().and_then(|content| content.iter().next());
    if let Some((media, content)) = content {
        lines.push(format!("-H 'Content-Type: {media}'"));
        let example = content.get("example").cloned().unwrap_or_else(|| plain(document, &content["schema"]));
        // A quote would end the text of the shell.
        lines.push(format!("-d '{}'", example.to_string().replace('\'', "'\\''")));
    }
    lines.join(" \\\n    ")
}

/// The shortest document of a schema that says something.
fn plain(document: &Value, schema: &Value) -> Value {
    let target = schema["$ref"].as_str().and_then(|target| document.pointer(target.trim_start_matches('#')));
    let schema = target.unwrap_or(schema);
    let has_notes = schema["properties"].get("notes").is_some();
    if has_notes { serde_json::json!({ "notes": "as agreed" }) } else { serde_json::json!({}) }
}
