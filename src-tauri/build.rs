//! Tells Tauri which commands exist, and packs a plain page where the interface has not been built.

use std::path::{Path, PathBuf};

fn main() {
    let attributes = tauri_build::Attributes::new()
        .app_manifest(tauri_build::AppManifest::new().commands(&["call"]));
    tauri_build::try_build(attributes).expect("the Tauri configuration and capabilities are valid");

    // A type check must not need Node: without a built interface the window says what is missing.
    println!("cargo:rerun-if-changed=../ui/dist");
    if !Path::new("../ui/dist/till.html").exists() {
        let page = placeholder();
        println!(
            "cargo:rustc-env=TAURI_CONFIG={}",
            serde_json::json!({ "build": { "frontendDist": page } })
        );
        println!(
            "cargo:warning=ui/dist is not built; the window will only say so (npm run build in ui/)"
        );
    }
}

fn placeholder() -> PathBuf {
    let folder =
        PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("unbuilt-ui");
    std::fs::create_dir_all(&folder).expect("OUT_DIR is writable");
    std::fs::write(
        folder.join("till.html"),
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Hanout</title>\
         <p data-testid=\"unbuilt\">The interface was not built: run make run, or npm run build in ui/.</p></html>",
    )
    .expect("OUT_DIR is writable");
    folder
}
