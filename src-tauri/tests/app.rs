//! What the page may do is a decision: the configuration and the capabilities are held to it here.

use serde_json::Value;

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// What a configuration and its capabilities allow beyond the one command, and what the policy leaves open.
fn offences(config: &Value, capabilities: &[Value]) -> Vec<String> {
    let mut found = Vec::new();
    let app = &config["app"];
    if app["withGlobalTauri"] != Value::Bool(false) {
        found.push("Tauri's functions are global".to_owned());
    }
    if app["security"]["freezePrototype"] != Value::Bool(true) {
        found.push("prototypes are not frozen".to_owned());
    }
    let policy = app["security"]["csp"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    if policy.get("default-src") != Some(&Value::from("'none'")) {
        found.push("the policy does not begin with nothing".to_owned());
    }
    for (directive, sources) in &policy {
        let sources = sources.as_str().unwrap_or("*");
        for open in ["*", "unsafe-inline", "unsafe-eval", "https:"] {
            if sources.contains(open) {
                found.push(format!("{directive} allows {open}"));
            }
        }
    }
    for key in ["dangerousDisableAssetCspModification", "assetProtocol"] {
        if !app["security"][key].is_null() {
            found.push(format!("{key} is set"));
        }
    }
    for capability in capabilities {
        if !capability["remote"].is_null() {
            found.push("a remote page has a capability".to_owned());
        }
        if capability["windows"] != Value::from(vec!["till"]) {
            found.push("a capability is not the till window's alone".to_owned());
        }
        if capability["permissions"] != Value::from(vec!["allow-call", "core:event:allow-listen"]) {
            found.push(format!("permissions are {}", capability["permissions"]));
        }
    }
    found
}

#[test]
fn the_page_may_call_the_till_and_nothing_else() {
    let config = json(include_str!("../tauri.conf.json"));
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/capabilities"))
        .expect("capabilities");
    let capabilities: Vec<Value> = files
        .map(|file| json(&std::fs::read_to_string(file.expect("a file").path()).expect("text")))
        .collect();
    assert_eq!(capabilities.len(), 1);
    assert_eq!(offences(&config, &capabilities), Vec::<String>::new());
}

#[test]
fn an_opened_door_is_seen() {
    let config = json(
        r#"{"app": {"withGlobalTauri": true, "security": {"csp": {"default-src": "*", "script-src": "'unsafe-eval'"}}}}"#,
    );
    let capability = json(
        r#"{"remote": {"urls": ["https://x"]}, "windows": ["*"], "permissions": ["core:default"]}"#,
    );
    assert_eq!(offences(&config, &[capability]).len(), 8);
}
