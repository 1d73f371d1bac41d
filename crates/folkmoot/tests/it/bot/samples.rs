//! The samples that `folkmoot bot new` writes, run as it says.

use std::process::Command;

use super::support::{World, installed, until};
use crate::support::{program, text};

const BOT: u8 = 1;

/// Writes the sample, and hands back what it says.
fn written(world: &World, lang: &str) -> String {
    let output = program()
        .args(["bot", "new", "--lang", lang])
        .current_dir(world.place.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// Says something to the bot that these arguments run, and hears it back.
async fn echoes(world: &World, arguments: &[&str]) {
    let mut running = world.run(BOT, arguments);
    running.notes_with("bot: listening").await;
    let mut ann = world.person(2).await;
    let dm = ann.dm(BOT).await;
    assert_eq!(ann.hears_text().await, "Hello!");
    for said in ["at noon", "\"by\\\nthe\tlake\" 👍"] {
        dm.send_text(said).await.unwrap();
        assert_eq!(ann.hears_text().await, format!("You said: {said}"));
    }
    assert_eq!(running.end().await, Some(0), "{}", running.notes());
}

#[tokio::test(flavor = "multi_thread")]
async fn bash() {
    if installed("bash").is_none() {
        return;
    }
    let world = World::new().await;
    let told = written(&world, "bash");
    assert!(
        told.ends_with("\n  folkmoot bot run --format text ./echo.sh\n"),
        "{told}"
    );
    echoes(&world, &["--format", "text", "./echo.sh"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn python() {
    if installed("python3").is_none() {
        return;
    }
    let world = World::new().await;
    let told = written(&world, "python");
    assert!(told.ends_with("\n  folkmoot bot run ./echo.py\n"), "{told}");
    echoes(&world, &["./echo.py"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn node() {
    if installed("node").is_none() {
        return;
    }
    let world = World::new().await;
    let told = written(&world, "node");
    assert!(
        told.ends_with("\n  folkmoot bot run ./echo.mjs\n"),
        "{told}"
    );
    echoes(&world, &["./echo.mjs"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rust() {
    if installed("rustc").is_none() {
        return;
    }
    let world = World::new().await;
    let told = written(&world, "rust");
    let how = "\n  rustc echo.rs -o ./echo && folkmoot bot run --format text ./echo\n";
    assert!(told.ends_with(how), "{told}");
    let compiled = Command::new("rustc")
        .args(["echo.rs", "-o", "./echo", "-D", "warnings"])
        .current_dir(world.place.path())
        .output()
        .unwrap();
    assert!(compiled.status.success(), "{}", text(&compiled.stderr));
    echoes(&world, &["--format", "text", "./echo"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_there_is_kept() {
    let world = World::new().await;
    std::fs::write(world.path("echo.py"), "mine").unwrap();
    let output = program()
        .args(["bot", "new", "--lang", "python"])
        .current_dir(world.place.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(5));
    assert!(text(&output.stderr).contains("echo.py exists already"));
    let kept = until("the file", async || {
        std::fs::read_to_string(world.path("echo.py")).ok()
    });
    assert_eq!(kept.await, "mine");
}
